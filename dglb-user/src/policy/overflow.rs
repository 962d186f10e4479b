//! What a site near its capacity gives away.
//!
//! The load that is seen follows from what was given away, with a delay. So steps are small and apart from each
//! other, and a step back is made only if the site, with that step's share on top, would not have to give
//! it away again. Where that was wrong all the same (the load comes late, or is not the clients' alone), the
//! site waits twice as long before it tries again.

use std::time::Duration;

use crate::config::Overflow;

/// At least so long between two steps that give away.
const GIVE: Duration = Duration::from_secs(10);
/// At least so long until a step back.
const TAKE_BACK: Duration = Duration::from_secs(30);
/// So often, at most, that time is doubled: to 16 minutes.
const MOST_PATIENCE: u32 = 5;
/// After so long without a step back that was wrong the time is halved.
const FORGET: Duration = Duration::from_secs(3600);

/// What one site gives away, in steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    steps: u32,
    /// When the last step was made.
    moved: Option<Duration>,
    /// Whether that was a step back.
    was_back: bool,
    /// How often a step back was wrong lately, and when that was last counted, up or down.
    patience: u32,
    counted: Duration,
}

impl Given {
    /// Makes the step that may be due. Returns the part that the site keeps, 0 to 1, and when to look
    /// again. `used`: percent of the capacity.
    pub fn look(
        &mut self,
        overflow: &Overflow,
        used: f64,
        now: Duration,
    ) -> (f64, Option<Duration>) {
        let next = self.next(overflow, used);
        match next {
            Some((step, due)) if self.moved.is_none() || due <= now => {
                self.make(step, now);
                let due = self.next(overflow, used).map(|(_, due)| due);
                (kept(overflow, self.steps), due)
            }
            _ => (kept(overflow, self.steps), next.map(|(_, due)| due)),
        }
    }

    /// The step that is wanted, and when it may be made.
    fn next(&self, overflow: &Overflow, used: f64) -> Option<(Step, Duration)> {
        let moved = self.moved.unwrap_or_default();
        let wanted = wanted(overflow, used);
        if wanted > self.steps {
            Some((Step::Give, moved + GIVE))
        } else if wanted < self.steps && self.would_stay(overflow, used) {
            Some((Step::TakeBack, moved + self.pause()))
        } else {
            None
        }
    }

    fn make(&mut self, step: Step, now: Duration) {
        match step {
            Step::Give => {
                self.steps += 1;
                if self.was_back {
                    self.patience = (self.patience + 1).min(MOST_PATIENCE);
                    self.counted = now;
                }
            }
            Step::TakeBack => {
                self.steps -= 1;
                if now.saturating_sub(self.counted) >= FORGET {
                    self.patience = self.patience.saturating_sub(1);
                    self.counted = now;
                }
            }
        }
        self.was_back = matches!(step, Step::TakeBack);
        self.moved = Some(now);
    }

    fn pause(&self) -> Duration {
        TAKE_BACK * (1 << self.patience)
    }

    /// Whether a step back would not have to be given away again, as far as the load is in proportion to
    /// what the site keeps.
    fn would_stay(&self, overflow: &Overflow, used: f64) -> bool {
        let now = kept(overflow, self.steps);
        let then = kept(overflow, self.steps - 1);
        // With nothing left, nothing can be foretold.
        now <= 0.0 || wanted(overflow, used * then / now) < self.steps
    }
}

#[derive(Clone, Copy)]
enum Step {
    Give,
    TakeBack,
}

/// The steps that are all: the last one is smaller where they do not come out even.
fn all(overflow: &Overflow) -> u32 {
    (100.0 / overflow.step - 1e-9).ceil() as u32
}

fn kept(overflow: &Overflow, steps: u32) -> f64 {
    (1.0 - f64::from(steps) * overflow.step / 100.0).max(0.0)
}

/// Steps that a site gives away at `used` percent of its capacity.
fn wanted(overflow: &Overflow, used: f64) -> u32 {
    if used >= overflow.full {
        return all(overflow);
    }
    let part = (used - overflow.from) / (overflow.full - overflow.from);
    // A rounding error must not cost a step.
    (part.max(0.0) * 100.0 / overflow.step + 1e-9).floor() as u32
}
