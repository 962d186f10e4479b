//! The order of a service's sites. Pure: from the order so far and what is known of each site.

use std::time::Duration;

/// A site must be better than the one before it by more than this share of the other's time to take
/// its place: two sites that are about equally good must not change places, and move clients, each time
/// that their smoothed times wander.
const MARGIN_SHARE: f64 = 0.1;

/// And by more than this: below it the difference is the noise of two hosts' schedulers, and no client
/// feels it.
const MARGIN_LEAST: Duration = Duration::from_millis(2);

/// What is known of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Up, with its smoothed time.
    Up(Duration),
    /// Down, or without a result yet.
    Down,
    /// Not probed, as it has no IPv4 address: nobody knows.
    Unmeasured,
}

/// The site indices, best first; sites that are down are absent.
///
/// Every place goes to the fastest of the sites that are left (of equals to the first in
/// configuration order), but whoever comes first of them in the order so far, `previous`, keeps its
/// place unless the fastest is better by more than max(10 %, 2 ms). So times that wander within the
/// margin never change the order, and no site is ever behind one that is slower by more than it.
///
/// Sites that are not measured come last, in configuration order: they may answer for AAAA what no
/// measured site can. Callers that want an address of one family look for the first site that has it.
pub fn rank(previous: &[usize], sites: &[Standing]) -> Vec<usize> {
    let mut left = up_sites(previous, sites);
    let mut ranking = Vec::with_capacity(sites.len());
    while let Some(chosen) = choose(&left) {
        ranking.push(left.remove(chosen).site);
    }
    let unmeasured = |site: &usize| sites[*site] == Standing::Unmeasured;
    ranking.extend((0..sites.len()).filter(unmeasured));
    ranking
}

/// By how much another must be better than a site of this time.
pub fn margin(time: Duration) -> Duration {
    time.mul_f64(MARGIN_SHARE).max(MARGIN_LEAST)
}

#[derive(Clone, Copy)]
struct Candidate {
    site: usize,
    time: Duration,
    /// Whether it had a place before.
    ranked: bool,
}

/// The sites that are up: first those of the order so far, then the others.
fn up_sites(previous: &[usize], sites: &[Standing]) -> Vec<Candidate> {
    let candidate = |site: usize, ranked| match sites.get(site) {
        Some(Standing::Up(time)) => Some(Candidate {
            site,
            time: *time,
            ranked,
        }),
        Some(Standing::Down | Standing::Unmeasured) | None => None,
    };
    let mut up: Vec<_> = previous
        .iter()
        .filter_map(|site| candidate(*site, true))
        .collect();
    let new = (0..sites.len()).filter(|site| !previous.contains(site));
    up.extend(new.filter_map(|site| candidate(site, false)));
    up
}

/// Index of the one that gets the next place.
fn choose(left: &[Candidate]) -> Option<usize> {
    let (fastest, best) = left
        .iter()
        .enumerate()
        .min_by_key(|(_, candidate)| (candidate.time, candidate.site))?;
    let holder = &left[0];
    let keeps = holder.ranked && best.time + margin(holder.time) >= holder.time;
    Some(if keeps { 0 } else { fastest })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Standing::*, *};

    fn up(ms: u64) -> Standing {
        Up(Duration::from_millis(ms))
    }

    #[test]
    fn sites_are_ordered_by_time_and_equals_by_configuration() {
        assert_eq!(rank(&[], &[up(30), up(10), up(20)]), [1, 2, 0]);
        assert_eq!(rank(&[], &[up(20), up(10), up(20), up(10)]), [1, 3, 0, 2]);
    }

    #[test]
    fn sites_that_are_down_are_absent_even_if_ranked_before() {
        assert_eq!(rank(&[0, 1, 2], &[Down, up(10), up(20)]), [1, 2]);
        assert_eq!(rank(&[2, 1, 0], &[up(30), Down, Down]), [0]);
        assert!(rank(&[0, 1], &[Down, Down]).is_empty());
        assert!(rank(&[], &[]).is_empty());
    }

    #[test]
    fn the_first_stays_within_the_margin() {
        // 10 % of 100 ms.
        assert_eq!(rank(&[0, 1], &[up(100), up(90)]), [0, 1]);
        assert_eq!(rank(&[0, 1], &[up(100), up(89)]), [1, 0]);
        // 2 ms, as 10 % of 5 ms are less.
        assert_eq!(rank(&[0, 1], &[up(5), up(3)]), [0, 1]);
        assert_eq!(rank(&[0, 1], &[up(6), up(3)]), [1, 0]);
    }

    #[test]
    fn a_site_that_was_not_ranked_has_no_place_to_keep() {
        // Neither had a place: the faster wins by any difference.
        assert_eq!(rank(&[2], &[up(100), up(99), Down]), [1, 0]);
        // Site 0 returns a little faster than the present first: that one stays.
        assert_eq!(rank(&[1], &[up(95), up(100)]), [1, 0]);
    }

    #[test]
    fn unmeasured_sites_are_last_and_never_push_others_away() {
        assert_eq!(
            rank(&[], &[Unmeasured, up(500), Unmeasured, Down]),
            [1, 0, 2]
        );
        assert_eq!(
            rank(&[1, 0, 2], &[Unmeasured, Down, Unmeasured, Down]),
            [0, 2]
        );
    }

    #[test]
    fn an_order_with_unknown_sites_is_no_reason_to_panic() {
        assert_eq!(rank(&[7, 1], &[up(1), up(1)]), [1, 0]);
    }

    fn standing() -> impl Strategy<Value = Standing> {
        prop_oneof![
            6 => (0u64..200_000).prop_map(|micros| Up(Duration::from_micros(micros))),
            2 => Just(Down),
            1 => Just(Unmeasured),
        ]
    }

    /// A history: what was known of up to eight sites at several moments.
    fn history() -> impl Strategy<Value = Vec<Vec<Standing>>> {
        (1usize..8).prop_flat_map(|count| {
            prop::collection::vec(prop::collection::vec(standing(), count), 1..8)
        })
    }

    proptest! {
        #[test]
        fn a_ranking_is_a_permutation_of_the_sites_that_are_not_down(history in history()) {
            let mut order = Vec::new();
            for sites in &history {
                order = rank(&order, sites);
                let mut sorted = order.clone();
                sorted.sort_unstable();
                let expected: Vec<_> = (0..sites.len()).filter(|site| sites[*site] != Down).collect();
                prop_assert_eq!(sorted, expected);
            }
        }

        #[test]
        fn nobody_stands_behind_a_site_that_is_slower_by_more_than_the_margin(history in history()) {
            let mut order = Vec::new();
            for sites in &history {
                order = rank(&order, sites);
                let times: Vec<_> = order.iter().filter_map(|site| match sites[*site] {
                    Up(time) => Some(time),
                    Down | Unmeasured => None,
                }).collect();
                for (index, time) in times.iter().enumerate() {
                    for later in &times[index..] {
                        prop_assert!(*later + margin(*time) >= *time);
                    }
                }
            }
        }

        #[test]
        fn the_same_times_give_the_same_order_again(history in history()) {
            let mut order = Vec::new();
            for sites in &history {
                order = rank(&order, sites);
                prop_assert_eq!(&rank(&order, sites), &order);
            }
        }

        /// All times within 5 % (and 1 ms) of a base: no two differ by more than the margin.
        #[test]
        fn noise_within_the_margin_changes_nothing(
            base in 1u64..1_000_000,
            noise in prop::collection::vec(prop::collection::vec(-1.0f64..1.0, 4), 2..20),
        ) {
            let swing = (base as f64 * 0.045).max(1_000.0).min(base as f64);
            let sites = |noise: &Vec<f64>| noise.iter()
                .map(|part| Up(Duration::from_micros((base as f64 + part * swing) as u64)))
                .collect::<Vec<_>>();
            let first = rank(&[], &sites(&noise[0]));
            for noise in &noise[1..] {
                prop_assert_eq!(&rank(&first, &sites(noise)), &first);
            }
        }
    }
}
