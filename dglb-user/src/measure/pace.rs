//! How long a target rests between two probes, and in which lane it waits. Pure.

use std::time::Duration;

use super::{knowledge::Knowledge, plan::Plan, schedule::Lane};
use crate::config::LbService;

/// After so many failures in a row the pause of a target that is down is doubled, again and again.
const PATIENCE_WITH_THE_DEAD: u32 = 10;
/// The most that it is multiplied by.
const LONGEST_BACK_OFF: u32 = 8;
/// The shortest pause between two probes of a target, whatever is configured.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// The pause of a target that no service asks for, of which there are none.
const NOBODY_S: Duration = Duration::from_secs(10);

/// Where a target waits.
pub fn lane_of(known: &Knowledge) -> Lane {
    match known.is_unknown() || known.is_up() {
        true => Lane::Living,
        false => Lane::Down,
    }
}

/// From the end of a probe to the next: quick while a failure, or that it is back, is not yet confirmed; slower for what nobody asks
/// for and for the long dead.
pub fn pause_of(
    plan: &Plan,
    services: &[LbService],
    target: usize,
    known: &Knowledge,
    is_idle: impl Fn(usize) -> bool,
) -> Duration {
    if known.is_wavering() || known.is_unknown() {
        return plan.targets[target].retry.max(SHORTEST_PAUSE);
    }
    let of_service = |&service: &usize| {
        let effective = services[service].effective_interval();
        match is_idle(service) {
            true => effective.max(services[service].probe.idle_interval),
            false => effective,
        }
    };
    let pauses = plan.targets[target].services.iter().map(of_service);
    let pause = pauses.min().unwrap_or(NOBODY_S);
    let doublings = match known.is_up() {
        true => 0,
        false => known.failures_in_a_row() / PATIENCE_WITH_THE_DEAD,
    };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(LONGEST_BACK_OFF);
    (pause * factor.clamp(1, LONGEST_BACK_OFF)).max(SHORTEST_PAUSE)
}
