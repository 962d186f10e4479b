//! From shares to what the tables are told.

use super::{place::Place, shares, standing::Standing};
use crate::{
    config::{Policy, Scorer},
    event::{MAX_LISTED, Selection},
};

/// Weights of a divided answer: a share in thousandths of a percent.
const WEIGHT_UNIT: f64 = 100_000.0;

/// The selection among `order`, best first and not empty, and the part of each site, 0 to 1.
///
/// A list is answered where all that are listed keep their whole share. Else each client gets one site, by
/// weight: of a list every client would try the first.
pub(super) fn select(
    policy: &Policy,
    order: &[usize],
    keeps: &[f64],
    places: &[Place],
    standings: &[Option<Standing>],
) -> (Selection, Vec<f64>) {
    let mut parts = vec![0.0; places.len()];
    let weight = |site: usize| {
        let reported = standings[site].as_ref();
        let reported = reported.and_then(|standing| standing.weight);
        f64::from(reported.unwrap_or(places[site].weight))
    };
    let selection = match policy.scorer {
        Scorer::Random => {
            shares::divide(order, weight, keeps, &mut parts);
            Selection::Weighted(weights(&parts))
        }
        Scorer::Sticky => {
            shares::divide(order, weight, keeps, &mut parts);
            Selection::Sticky(weights(&parts))
        }
        Scorer::Weighed(_) | Scorer::Failover => {
            let answers = policy.answers.clamp(1, MAX_LISTED).min(order.len());
            let listed = &order[..answers];
            shares::cascade(order, answers, keeps, &mut parts);
            let keep_all = listed.iter().all(|&site| keeps[site] >= 1.0);
            let mut answered = order.iter().filter(|&&site| parts[site] > 0.0);
            match (answered.next(), answered.next()) {
                _ if keep_all => Selection::List(listed.to_vec()),
                (Some(only), None) => Selection::List(vec![*only]),
                _ => Selection::Weighted(weights(&parts)),
            }
        }
    };
    (selection, parts)
}

/// In the order of the file, so that equal shares are equal selections.
fn weights(parts: &[f64]) -> Vec<(usize, u32)> {
    let weights = parts
        .iter()
        .map(|part| (part * WEIGHT_UNIT).round() as u32)
        .enumerate();
    weights.filter(|(_, weight)| *weight > 0).collect()
}

/// The TTL, shortened when a site that is answered may soon be down: by the part of the way that it has
/// gone, but not below `least`. All in seconds.
pub(super) fn ttl(full: u32, least: u32, parts: &[f64], standings: &[Option<Standing>]) -> u32 {
    let left = |(failures, fall): (u32, u32)| {
        let fall = fall.max(1);
        u64::from(full) * u64::from(fall.saturating_sub(failures)) / u64::from(fall)
    };
    let shortened = parts
        .iter()
        .zip(standings)
        .filter(|(part, _)| **part > 0.0)
        .filter_map(|(_, standing)| standing.as_ref()?.failing)
        .map(|failing| left(failing) as u32)
        .min()
        .unwrap_or(full);
    shortened.clamp(least.min(full), full)
}
