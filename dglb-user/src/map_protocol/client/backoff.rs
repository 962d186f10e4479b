//! How long to wait before the next connection.

use std::time::Duration;

/// The first pause, and that after a session that held.
const SHORTEST: Duration = Duration::from_millis(200);
/// The longest pause; a session that lasted so long is one that held.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 0.2 s to 5 s.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// The pause after a connection that `lasted` so long: half to all of the present step, at random,
    /// so that DNS-LBs that lost the same DNS-B do not come back all at once.
    pub(super) fn next(&mut self, lasted: Duration, replaced: bool) -> Duration {
        if replaced {
            // Somebody else has our name, or we have: do not take turns quickly.
            self.0 = LONGEST;
        } else if lasted >= LONGEST {
            self.0 = SHORTEST;
        }
        let step = self.0;
        self.0 = (step * 2).min(LONGEST);
        step.mul_f64(0.5 + 0.5 * random_fraction())
    }
}

fn random_fraction() -> f64 {
    // Without random numbers there is no jitter, and that is all.
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_start_anew_after_a_session() {
        let mut backoff = Backoff::new();
        for step_ms in [200, 400, 800, 1600, 3200, 5000, 5000] {
            let pause = backoff.next(Duration::ZERO, false);
            let step = Duration::from_millis(step_ms);
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
        }
        assert!(backoff.next(LONGEST, false) <= SHORTEST);
        assert!(backoff.next(LONGEST, true) >= LONGEST / 2);
    }
}
