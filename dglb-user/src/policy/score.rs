//! Scores, and the order that follows from them without wavering.

use super::{chooser::Place, standing::Standing};
use crate::config::{Margin, Scorer, Weights};

/// Standard error of a smoothed time, by the mean deviation of single probes: an average that gives each new
/// value an eighth has a standard deviation of √(w ∕ (2 − w)) = 0.258 of theirs, which is 1.25 times the
/// mean deviation (of normal values).
const ERROR_OF_DEVIATION: f64 = 0.258 * 1.25;

/// So many standard errors of the difference are taken for noise. 3.5 is exceeded by chance about twice in
/// ten thousand independent looks; two equal sites that are probed each ten seconds are looked at
/// about a thousand times a day independently.
const NOISE: f64 = 3.5;

/// The score of each site of `pool` into `scores`, by site; less is better. A site that was not
/// measured is behind all that were.
pub(super) fn scores(
    scorer: &Scorer,
    pool: &[usize],
    places: &[Place],
    standings: &[Option<Standing>],
    scores: &mut [f64],
) {
    // Where the distance is not known the worst of the others is taken: who wants to be near says where
    // it is.
    let farthest = pool
        .iter()
        .filter_map(|&site| places[site].distance)
        .fold(0.0, f64::max);
    for &site in pool {
        let standing = standings[site].as_ref();
        scores[site] = match (scorer, standing) {
            (_, None) => f64::INFINITY,
            (Scorer::Failover, Some(_)) => site as f64,
            (Scorer::Weighed(weights), Some(standing)) => {
                weighed(weights, &places[site], standing, farthest)
            }
            // The clients are divided: there is no better and worse but by weight.
            (Scorer::Random | Scorer::Sticky, Some(_)) => 0.0,
        };
    }
}

fn weighed(weights: &Weights, place: &Place, standing: &Standing, farthest: f64) -> f64 {
    let Some(mean) = standing.mean_ms else {
        return f64::INFINITY;
    };
    let load = place.utilisation(standing).unwrap_or(0.0);
    weights.latency * mean
        + weights.availability * standing.loss_percent
        + weights.load * load
        + weights.cost * place.cost
        + weights.distance * place.distance.unwrap_or(farthest)
}

/// How much better another site must be than `present`, for it not to be chance or a trifle.
pub(super) fn margin(
    margin: &Margin,
    scorer: &Scorer,
    score: f64,
    present: Option<&Standing>,
    other: Option<&Standing>,
) -> f64 {
    let noise = match (scorer, present, other) {
        (Scorer::Weighed(weights), Some(present), Some(other)) => {
            let spread = present.spread_ms.hypot(other.spread_ms);
            weights.latency * spread * ERROR_OF_DEVIATION * NOISE
        }
        _ => 0.0,
    };
    let wanted = match scorer {
        Scorer::Weighed(_) => margin.absolute.max(score * margin.percent / 100.0),
        // The file's order is what the owner wants, at once.
        Scorer::Failover | Scorer::Random | Scorer::Sticky => 0.0,
    };
    wanted.max(noise)
}

/// Great-circle distance in units of 100 km.
pub(super) fn distance(from: crate::config::Location, to: crate::config::Location) -> f64 {
    /// Mean radius of the Earth, in 100 km.
    const RADIUS: f64 = 63.71;
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half = |radians: f64| (radians / 2.0).sin().powi(2);
    let longitude = (to.longitude - from.longitude).to_radians();
    let haversine = half(to_latitude - from_latitude)
        + from_latitude.cos() * to_latitude.cos() * half(longitude);
    2.0 * RADIUS * haversine.sqrt().min(1.0).asin()
}
