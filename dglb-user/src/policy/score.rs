//! Scores, and by how much one must be better to matter. Less is better.

use super::{place::Place, standing::Standing};
use crate::config::{Location, Margin, Scorer, Weights};

/// Standard error of a smoothed time, by the mean deviation of single probes: an average that gives each new
/// value an eighth has a standard deviation of √(w ∕ (2 − w)) = 0.258 of theirs, which is 1.25 times the
/// mean deviation (of normal values).
const ERROR_OF_DEVIATION: f64 = 0.258 * 1.25;

/// So many standard errors of the difference are taken for noise. 3.5 is exceeded by chance about twice in
/// ten thousand independent looks; two equal sites that are probed each ten seconds are looked at
/// about a thousand times a day independently.
const NOISE: f64 = 3.5;

/// The same for the loss: it remembers longer, and one of 20 percent must be seen.
const LOSS_NOISE: f64 = 2.5;

/// Probes that the smoothed loss stands for: an average that gives each new value w is as exact as one of
/// (2 − w) ∕ w values; w is a sixteenth.
const LOSS_PROBES: f64 = 31.0;

/// By how much the mean time of a site with `spread` must differ from another's, to be more than noise; of two
/// sites the root of the sum of squares.
pub(super) fn time_noise(spread: f64) -> f64 {
    NOISE * ERROR_OF_DEVIATION * spread
}

/// What the sites are worth now, by site.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    margin: Margin,
    /// Infinite where a figure is missing that the scorer weighs: behind all that have one.
    values: Vec<f64>,
    /// Squares of what is noise in `values`.
    noise: Vec<f64>,
}

impl Scores {
    /// For so many sites, none of them with a score.
    pub fn new(scorer: &Scorer, margin: Margin, sites: usize) -> Self {
        Self {
            margin: match scorer {
                Scorer::Weighed(_) => margin,
                // The file's order is what the owner wants, at once.
                Scorer::Failover | Scorer::Random | Scorer::Sticky => Margin {
                    absolute: 0.0,
                    percent: 0.0,
                },
            },
            values: vec![f64::INFINITY; sites],
            noise: vec![0.0; sites],
        }
    }

    /// Takes the standings of the sites of `pool`.
    pub fn update(
        &mut self,
        scorer: &Scorer,
        pool: &[usize],
        places: &[Place],
        standings: &[Option<Standing>],
    ) {
        let most = |figure: &dyn Fn(usize) -> Option<f64>| {
            let known = pool.iter().filter_map(|&site| figure(site));
            known.fold(0.0, f64::max)
        };
        // Who does not say where it is, or how loaded, counts as the worst of the others: it must not
        // be better off than those who do.
        let worst = match scorer {
            Scorer::Weighed(_) => Worst {
                load: most(&|site| places[site].utilisation(standings[site].as_ref()?)),
                distance: most(&|site| places[site].distance),
            },
            Scorer::Failover | Scorer::Random | Scorer::Sticky => Worst::default(),
        };
        for &site in pool {
            (self.values[site], self.noise[site]) = match (scorer, &standings[site]) {
                (Scorer::Weighed(weights), Some(standing)) => (
                    weighed(weights, &places[site], standing, &worst),
                    noise(weights, standing),
                ),
                (Scorer::Failover | Scorer::Random | Scorer::Sticky, Some(_)) => (site as f64, 0.0),
                (_, None) => (f64::INFINITY, 0.0),
            };
        }
    }

    /// The score, if the site has one.
    pub fn value(&self, site: usize) -> Option<f64> {
        Some(self.values[site]).filter(|value| value.is_finite())
    }

    /// Less is better; of equals the first in the file.
    pub fn compare(&self, one: usize, other: usize) -> std::cmp::Ordering {
        let by_value = self.values[one].total_cmp(&self.values[other]);
        by_value.then(one.cmp(&other))
    }

    /// Whether `site` is better than `present` by more than the margin.
    pub fn beats(&self, site: usize, present: usize) -> bool {
        let (new, old) = (self.values[site], self.values[present]);
        // What has no score gives way to what has one; two without are not compared.
        new < old && (old.is_infinite() || old - new > self.margin(site, present))
    }

    /// By how much `site` must be better than `present`.
    pub fn margin(&self, site: usize, present: usize) -> f64 {
        let noise = (self.noise[site] + self.noise[present]).sqrt();
        let percent = self.values[present] * self.margin.percent / 100.0;
        self.margin.absolute.max(percent).max(noise)
    }
}

/// The worst known figures of those that are compared; 0 where none is known.
#[derive(Default)]
struct Worst {
    load: f64,
    distance: f64,
}

fn weighed(weights: &Weights, place: &Place, standing: &Standing, worst: &Worst) -> f64 {
    let latency = match standing.mean_ms {
        Some(mean) => weights.latency * mean,
        None if weights.latency > 0.0 => return f64::INFINITY,
        None => 0.0,
    };
    latency
        + weights.availability * standing.loss_percent
        + weights.load * place.utilisation(standing).unwrap_or(worst.load)
        + weights.cost * place.cost
        + weights.distance * place.distance.unwrap_or(worst.distance)
}

/// The square of what is noise in a score; squares, as those of two sites add up.
fn noise(weights: &Weights, standing: &Standing) -> f64 {
    let time = weights.latency * time_noise(standing.spread_ms);
    if weights.availability == 0.0 {
        return time * time;
    }
    let loss = (standing.loss_percent / 100.0).clamp(0.0, 1.0);
    let loss_error = 100.0 * (loss * (1.0 - loss) / LOSS_PROBES).sqrt();
    let loss = weights.availability * LOSS_NOISE * loss_error;
    time * time + loss * loss
}

/// Great-circle distance in units of 100 km.
pub(super) fn distance(from: Location, to: Location) -> f64 {
    /// Mean radius of the Earth, in 100 km.
    const RADIUS: f64 = 63.71;
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half = |radians: f64| (radians / 2.0).sin().powi(2);
    let longitude = (to.longitude - from.longitude).to_radians();
    let haversine = half(to_latitude - from_latitude)
        + from_latitude.cos() * to_latitude.cos() * half(longitude);
    2.0 * RADIUS * haversine.sqrt().min(1.0).asin()
}
