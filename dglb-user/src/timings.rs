//! How late probes begin, and how long a probe's result takes to the tables. Shared by the engine, which
//! records the one, and the publisher, which records the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::control::protocol::Quantiles;

/// The longest that is told apart, microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Both distributions, since the daemon's start. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Timings(Arc<Both>);

#[derive(Debug)]
struct Both {
    lateness: Mutex<Histogram<u64>>,
    to_tables: Mutex<Histogram<u64>>,
}

impl Default for Timings {
    fn default() -> Self {
        Self(Arc::new(Both {
            lateness: Mutex::new(histogram()),
            to_tables: Mutex::new(histogram()),
        }))
    }
}

/// Resolution of two digits.
fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LONGEST_US, 2) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("constant bounds: {error}"),
    }
}

impl Timings {
    /// A probe began so many nanoseconds after its time.
    pub fn record_lateness(&self, ns: u64) {
        record(&self.0.lateness, ns);
    }

    /// From a probe's end to the tables, nanoseconds.
    pub fn record_to_tables(&self, ns: u64) {
        record(&self.0.to_tables, ns);
    }

    /// What was recorded of lateness.
    pub fn lateness(&self) -> Quantiles {
        quantiles(&lock(&self.0.lateness))
    }

    /// What was recorded of results on their way to the tables.
    pub fn to_tables(&self) -> Quantiles {
        quantiles(&lock(&self.0.to_tables))
    }
}

fn record(histogram: &Mutex<Histogram<u64>>, ns: u64) {
    lock(histogram).saturating_record((ns / 1000).max(1));
}

fn lock(histogram: &Mutex<Histogram<u64>>) -> MutexGuard<'_, Histogram<u64>> {
    histogram.lock().unwrap_or_else(PoisonError::into_inner)
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let ms = |us: u64| us as f64 / 1000.0;
    Quantiles {
        count: histogram.len(),
        p50: ms(histogram.value_at_quantile(0.5)),
        p99: ms(histogram.value_at_quantile(0.99)),
        max: ms(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let timings = Timings::default();
        assert_eq!(timings.lateness(), Quantiles::default());
        for ms in 1..=100 {
            timings.record_lateness(ms * 1_000_000);
        }
        let seen = timings.lateness();
        let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.02;
        assert!(
            seen.count == 100 && near(seen.p50, 50.0) && near(seen.p99, 99.0),
            "{seen:?}"
        );
        assert!(near(seen.max, 100.0) && timings.to_tables().count == 0);
    }
}
