//! How the answers are divided when not every site keeps its whole share: one near its capacity gives some away
//! ([`super::overflow`]), one that comes back gets only a part at first ([`ramp`]).
//!
//! A site's *keep* is the part, 0 to 1, that it takes of whatever comes to it. What it does not take goes on
//! to the others, who take their keep of it in turn; what nobody takes stays where it came from.

use std::time::Duration;

/// Steps of a ramp.
const RAMP_STEPS: u32 = 10;

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
    let steps = (elapsed.as_nanos() * u128::from(RAMP_STEPS) / ramp.as_nanos()) as u32;
    // The first step at once: with no clients at all it would not be known how the site bears them.
    let steps = steps.max(1);
    let part = f64::from(steps) / f64::from(RAMP_STEPS);
    // A nanosecond more: what the division cuts off must not make it too early.
    let next = ramp * (steps + 1) / RAMP_STEPS + Duration::from_nanos(1);
    (part, Some(since + next))
}

/// Divides among the first `answered` of `order`, equally; what one of them does not keep goes to the others
/// and those behind them, the best first.
pub(super) fn cascade(order: &[usize], answered: usize, keeps: &[f64], shares: &mut [f64]) {
    let answered = answered.min(order.len());
    for &giver in &order[..answered] {
        let share = 1.0 / answered as f64;
        let mut left = share * (1.0 - keeps[giver]);
        for &site in order.iter().filter(|&&site| site != giver) {
            if left <= 0.0 {
                break;
            }
            let taken = left * keeps[site];
            shares[site] += taken;
            left -= taken;
        }
        shares[giver] += share * keeps[giver] + left;
    }
}

/// Divides among `pool` by weight, equally if all weights are zero; what one does not keep goes to the
/// others, by weight and keep.
pub(super) fn divide(
    pool: &[usize],
    weight: impl Fn(usize) -> f64,
    keeps: &[f64],
    shares: &mut [f64],
) {
    let total: f64 = pool.iter().map(|&site| weight(site)).sum();
    let share = |site: usize| match total > 0.0 {
        true => weight(site) / total,
        false => 1.0 / pool.len() as f64,
    };
    let takes = |site: usize| share(site) * keeps[site];
    let all_take: f64 = pool.iter().map(|&site| takes(site)).sum();
    for &giver in pool {
        let left = share(giver) * (1.0 - keeps[giver]);
        shares[giver] += share(giver) - left;
        if left <= 0.0 {
            continue;
        }
        let others_take = all_take - takes(giver);
        // What is below is a rounding error, and nobody.
        if others_take < 1e-9 {
            shares[giver] += left;
            continue;
        }
        for &site in pool.iter().filter(|&&site| site != giver) {
            shares[site] += left * takes(site) / others_take;
        }
    }
}
