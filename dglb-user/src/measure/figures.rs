//! What a target's probes came to, smoothed. Pure.
//!
//! One slow probe must not move traffic, a lasting change must: a time counts at most as far as
//! `REACH` deviations (and half of the mean) above the mean, and gets an eighth of the weight.

use serde::{Deserialize, Serialize};

use crate::probe::{
    failure::Failure,
    message::{SiteLoad, Success, Times},
};

/// Weight of a new time once there are that many of them; before that the plain average is taken.
const TIMES: f64 = 8.0;
/// Weight of a new deviation: slow, as a short calm must not make noise look like news.
const DEVIATION_WEIGHT: f64 = 1.0 / 16.0;
/// Weight of a new probe in the loss.
const LOSS_WEIGHT: f64 = 1.0 / 16.0;
/// Deviations above the mean that a time may count.
const REACH: f64 = 4.0;
/// The deviation is taken for at least this part of the mean.
const LEAST_DEVIATION: f64 = 1.0 / 8.0;

/// Smoothed times, loss and load of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Milliseconds of a whole probe.
    pub mean_ms: Option<f64>,
    /// Mean deviation of single probes from that, milliseconds.
    pub spread_ms: f64,
    /// Of the phases, milliseconds.
    pub connect_ms: Option<f64>,
    /// See `connect_ms`.
    pub tls_ms: Option<f64>,
    /// See `connect_ms`.
    pub first_byte_ms: Option<f64>,
    /// Probes that failed lately, 0 to 1.
    pub loss: f64,
    /// What the site said of itself last.
    pub load: Option<SiteLoad>,
    /// Times that are in the mean, up to [`TIMES`].
    samples: f64,
}

impl Figures {
    /// Takes a probe's result; a failure of this host's own changes nothing.
    pub fn record(&mut self, outcome: &Result<Success, Failure>) {
        match outcome {
            Ok(success) => {
                self.lose(0.0);
                self.smooth(&success.times);
                self.load = success.load;
            }
            Err(Failure::Local(_)) => {}
            Err(_) => self.lose(1.0),
        }
    }

    /// What was measured before an outage says nothing about the site after it.
    pub fn forget_times(&mut self) {
        *self = Self {
            loss: self.loss,
            ..Self::default()
        };
    }

    fn lose(&mut self, lost: f64) {
        self.loss += (lost - self.loss) * LOSS_WEIGHT;
    }

    fn smooth(&mut self, times: &Times) {
        let ms = |us: u32| f64::from(us) / 1000.0;
        self.samples = (self.samples + 1.0).min(TIMES);
        let weight = 1.0 / self.samples;
        let time = ms(times.total_us);
        match &mut self.mean_ms {
            None => self.mean_ms = Some(time),
            Some(mean) => {
                let reach = match self.samples < TIMES {
                    // Too little is known to call a time too long.
                    true => f64::INFINITY,
                    false => REACH * self.spread_ms.max(*mean * LEAST_DEVIATION),
                };
                let step = (time - *mean).min(reach);
                *mean += step * weight;
                let deviation_weight = DEVIATION_WEIGHT.max(weight / 2.0);
                self.spread_ms += (step.abs() - self.spread_ms) * deviation_weight;
            }
        }
        for (smoothed, time) in [
            (&mut self.connect_ms, times.connect_us),
            (&mut self.tls_ms, times.tls_us),
            (&mut self.first_byte_ms, times.first_byte_us),
        ] {
            *smoothed = time.map(ms).map(|time| match *smoothed {
                Some(before) => before + (time - before) * weight,
                None => time,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(total_ms: f64) -> Result<Success, Failure> {
        Ok(Success {
            times: Times {
                total_us: (total_ms * 1000.0) as u32,
                ..Times::default()
            },
            load: None,
        })
    }

    fn after(times: impl IntoIterator<Item = f64>) -> Figures {
        let mut figures = Figures::default();
        for time in times {
            figures.record(&ok(time));
        }
        figures
    }

    #[test]
    fn one_slow_probe_moves_the_mean_by_a_sixteenth_at_most() {
        let mut figures = after([100.0; 50]);
        figures.record(&ok(5000.0));
        let mean = figures.mean_ms.expect("measured");
        assert!((mean - 106.25).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_lasting_change_is_followed() {
        let mut figures = after([100.0; 50]);
        let mut probes = 0;
        while figures.mean_ms.expect("measured") < 190.0 {
            figures.record(&ok(200.0));
            probes += 1;
        }
        assert!(probes <= 25, "{probes}");
        while figures.mean_ms.expect("measured") > 105.0 {
            figures.record(&ok(100.0));
            probes += 1;
        }
        assert!(probes <= 60, "{probes}");
    }

    #[test]
    fn the_first_times_are_averaged() {
        let figures = after([10.0, 20.0, 30.0]);
        assert_eq!(figures.mean_ms, Some(20.0));
    }

    #[test]
    fn loss_follows_failures_but_not_those_of_this_host() {
        let mut figures = Figures::default();
        figures.record(&Err(Failure::Local("no ports".into())));
        assert_eq!(figures, Figures::default());
        for _ in 0..8 {
            figures.record(&Err(Failure::TimedOut));
        }
        assert!((0.35..0.45).contains(&figures.loss), "{}", figures.loss);
        figures.record(&ok(1.0));
        figures.forget_times();
        assert!(figures.mean_ms.is_none() && figures.loss > 0.3);
    }
}
