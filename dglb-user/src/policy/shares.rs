//! How the answers are divided: what a site near its capacity gives away, and what one that comes back
//! gets already.

use std::time::Duration;

use super::{chooser::Place, standing::Standing};
use crate::config::Overflow;

/// At least so long between two steps that give away.
const GIVE: Duration = Duration::from_secs(10);
/// At least so long between two steps that take back.
const TAKE_BACK: Duration = Duration::from_secs(30);
/// Steps of a ramp.
const RAMP_STEPS: u32 = 10;

/// What one site gives away, in steps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    steps: u32,
    moved: Option<Duration>,
}

impl Given {
    /// The part that the site keeps, 0 to 1, after the step that may be due; and when to look again.
    ///
    /// A step back is made only if the site, with that step's share on top, would not give it away again:
    /// else its own effect would make it go to and fro.
    pub fn look(
        &mut self,
        overflow: &Overflow,
        place: &Place,
        standing: &Standing,
        now: Duration,
    ) -> (f64, Option<Duration>) {
        let used = place.utilisation(standing).unwrap_or(0.0);
        let target = wanted(overflow, used);
        let step = if target > self.steps {
            Some((self.steps + 1, GIVE))
        } else if target < self.steps && self.may_take_back(overflow, used) {
            Some((self.steps - 1, TAKE_BACK))
        } else {
            None
        };
        let mut again = None;
        if let Some((steps, pause)) = step {
            let due = self.moved.map_or(now, |moved| moved + pause);
            if due <= now {
                self.steps = steps;
                self.moved = Some(now);
                // There may be another step to make.
                again = Some(now + pause);
            } else {
                again = Some(due);
            }
        }
        (self.kept(overflow), again)
    }

    fn kept(self, overflow: &Overflow) -> f64 {
        kept(self.steps, overflow)
    }

    fn may_take_back(self, overflow: &Overflow, used: f64) -> bool {
        let now = kept(self.steps, overflow);
        let then = kept(self.steps - 1, overflow);
        // With nothing left, nothing can be foretold.
        now <= 0.0 || wanted(overflow, used * then / now) < self.steps
    }
}

fn kept(steps: u32, overflow: &Overflow) -> f64 {
    (1.0 - f64::from(steps) * overflow.step / 100.0).max(0.0)
}

/// Steps that a site gives away at `used` percent of its capacity.
fn wanted(overflow: &Overflow, used: f64) -> u32 {
    let part = (used - overflow.from) / (overflow.full - overflow.from);
    // A rounding error must not cost a step.
    (part.clamp(0.0, 1.0) * 100.0 / overflow.step + 1e-9).floor() as u32
}

/// The part that a site gets which came back at `back_since`, and when it gets more.
pub(super) fn ramp(
    ramp: Duration,
    back_since: Option<Duration>,
    now: Duration,
) -> (f64, Option<Duration>) {
    let Some(since) = back_since.filter(|_| !ramp.is_zero()) else {
        return (1.0, None);
    };
    let elapsed = now.saturating_sub(since);
    if elapsed >= ramp {
        return (1.0, None);
    }
    let steps = (elapsed.as_nanos() * u128::from(RAMP_STEPS) / ramp.as_nanos()) as u32 + 1;
    let part = f64::from(steps) / f64::from(RAMP_STEPS);
    // A nanosecond more: what the division cuts off must not make it too early.
    let next = ramp * steps / RAMP_STEPS + Duration::from_nanos(1);
    (part, Some(since + next))
}

/// Divides among `order`, best first: each keeps its part of what those before it left. What nobody keeps
/// stays with the best.
pub(super) fn cascade(order: &[usize], keeps: &[f64], shares: &mut [f64]) {
    let mut left = 1.0;
    for &site in order {
        let share = left * keeps[site];
        shares[site] = share;
        left -= share;
        if left <= 0.0 {
            return;
        }
    }
    if let Some(&best) = order.first() {
        shares[best] += left;
    }
}

/// Divides among `pool` by weight; when nobody keeps anything, as if all kept all.
pub(super) fn divide(pool: &[usize], weights: &[f64], keeps: &[f64], shares: &mut [f64]) {
    let sum = |of: &dyn Fn(usize) -> f64| pool.iter().map(|&site| of(site)).sum::<f64>();
    let kept = |site: usize| weights[site] * keeps[site];
    let all = |site: usize| weights[site];
    let equal = |_: usize| 1.0;
    let candidates: [&dyn Fn(usize) -> f64; 3] = [&kept, &all, &equal];
    for of in candidates {
        let total = sum(of);
        if total > 0.0 {
            for &site in pool {
                shares[site] = of(site) / total;
            }
            return;
        }
    }
}
