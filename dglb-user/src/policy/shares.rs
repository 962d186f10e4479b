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
    let next = (ramp.as_nanos() * u128::from(steps + 1)).div_ceil(u128::from(RAMP_STEPS));
    let next = Duration::from_nanos_u128(next);
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
/// others, by weight and keep. Where nobody keeps all, the one that keeps most counts as if it did: that all
/// are loaded alike is no reason to move clients between them.
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
    let weighty = pool.iter().filter(|&&site| share(site) > 0.0);
    let most = weighty.map(|&site| keeps[site]).fold(0.0, f64::max);
    let keep = |site: usize| match most > 0.0 {
        true => keeps[site] / most,
        false => 1.0,
    };
    let all_take: f64 = pool.iter().map(|&site| share(site) * keep(site)).sum();
    for &giver in pool {
        let left = share(giver) * (1.0 - keep(giver));
        shares[giver] += share(giver) - left;
        if left <= 0.0 {
            continue;
        }
        // The one that keeps most is among the others, so this is not zero.
        let others_take = all_take - share(giver) * keep(giver);
        for &site in pool.iter().filter(|&&site| site != giver) {
            shares[site] += left * share(site) * keep(site) / others_take;
        }
    }
}
