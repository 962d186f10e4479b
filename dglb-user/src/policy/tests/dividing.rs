//! Weights, overflow, ramp.

use super::*;
use crate::config::{Overflow, Scorer};

/// Shares in whole percent.
fn rounded(decision: &Decision) -> Vec<u32> {
    let shares = decision.shares.iter();
    shares.map(|share| share.round() as u32).collect()
}

fn overflow() -> Policy {
    Policy {
        overflow: Some(Overflow {
            from: 80.0,
            full: 100.0,
            step: 10.0,
        }),
        ..Policy::default()
    }
}

#[test]
fn a_site_near_its_capacity_gives_away_in_steps_and_not_at_once() {
    let mut chooser = chooser(3, overflow());
    let standings = [loaded(10.0, 90.0), loaded(20.0, 10.0), loaded(30.0, 10.0)];
    let mut shares = Vec::new();
    let mut now = SECOND;
    for _ in 0..8 {
        let decision = chooser.choose(&standings, now);
        shares.push(decision.shares[0].round());
        assert_eq!(decision.shares[2], 0.0);
        now = decision.again.unwrap_or(now + 100 * SECOND);
    }
    assert_eq!(shares, [90.0, 80.0, 70.0, 60.0, 50.0, 50.0, 50.0, 50.0]);
}

#[test]
fn what_is_given_away_comes_back_only_if_it_would_stay() {
    // The load follows the share: 95 % of the capacity with all clients.
    let mut chooser = chooser(2, overflow());
    let (mut now, mut share) = (SECOND, 100.0);
    let mut changes = 0;
    for round in 0..1000 {
        let used = 95.0 * share / 100.0;
        let decision = chooser.choose(&[loaded(10.0, used), loaded(20.0, 10.0)], now);
        if decision.shares[0] != share {
            share = decision.shares[0];
            changes += 1;
            assert!(round < 200, "still moving: {share}");
        }
        now += SECOND;
    }
    assert!(changes <= 3, "{changes} changes");
    assert!(
        95.0 * share / 100.0 <= 82.0 + 1e-9,
        "{share} % are too much"
    );
}

#[test]
fn a_site_that_comes_back_gets_its_share_by_a_ramp() {
    let policy = Policy {
        ramp: 100 * SECOND,
        ..Policy::default()
    };
    let mut chooser = chooser(2, policy);
    chooser.choose(&[in_state(State::Down), up(50.0)], SECOND);
    let back = |_| {
        up(10.0).map(|standing| Standing {
            back_since: Some(100 * SECOND),
            ..standing
        })
    };
    let mut now = 100 * SECOND;
    let mut shares = Vec::new();
    loop {
        let decision = chooser.choose(&[back(now), up(50.0)], now);
        shares.push(decision.shares[0].round());
        let Some(again) = decision.again else { break };
        assert!(again > now);
        now = again;
    }
    // Nine tenths of the way are at the last step, which is all.
    shares.dedup();
    let expected: Vec<f64> = (1..=10).map(|step| f64::from(step) * 10.0).collect();
    assert_eq!(shares, expected);
    assert_eq!(now.as_secs(), 200);
    let only = chooser.choose(&[back(now), in_state(State::Down)], 110 * SECOND);
    assert_eq!(listed(&only), [0], "the only one has all");
}

#[test]
fn what_comes_back_by_a_ramp_is_a_part_of_the_sites_own_share() {
    let policy = Policy {
        scorer: Scorer::Random,
        ramp: 100 * SECOND,
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..3).map(site).collect();
    sites[0].weight = 2;
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let back = up(1.0).map(|standing| Standing {
        back_since: Some(100 * SECOND),
        ..standing
    });
    let decision = chooser.choose(&[back.clone(), up(1.0), up(1.0)], 145 * SECOND);
    // Four tenths of a half; the others get the rest alike.
    assert_eq!(rounded(&decision), [20, 40, 40]);
    let decision = chooser.choose(&[back.clone(), back.clone(), back], 145 * SECOND);
    assert_eq!(
        rounded(&decision),
        [50, 25, 25],
        "all alike is as if none were"
    );
}

#[test]
fn a_list_gives_way_to_shares_while_one_of_it_does_not_keep_all() {
    let policy = Policy {
        answers: 2,
        ..overflow()
    };
    let mut chooser = chooser(3, policy);
    let idle = [loaded(10.0, 10.0), loaded(20.0, 10.0), loaded(30.0, 10.0)];
    let decision = chooser.choose(&idle, SECOND);
    assert_eq!(listed(&decision), [0, 1]);
    assert_eq!(decision.shares, [50.0, 50.0, 0.0]);
    let mut busy = idle.clone();
    busy[0] = loaded(10.0, 82.0);
    let decision = chooser.choose(&busy, 2 * SECOND);
    let weights = vec![(0, 45_000), (1, 55_000)];
    assert_eq!(decision.served.selection, Selection::Weighted(weights));
    assert_eq!(rounded(&decision), [45, 55, 0]);
}

#[test]
fn what_is_given_away_cascades_and_what_nobody_takes_stays() {
    let mut cascading = chooser(3, overflow());
    let mut at = |loads: [f64; 3]| {
        let standings = [10.0, 20.0, 30.0].iter().zip(loads);
        let standings: Vec<_> = standings.map(|(mean, load)| loaded(*mean, load)).collect();
        let mut now = SECOND;
        loop {
            let decision = cascading.choose(&standings, now);
            let Some(again) = decision.again else {
                return decision;
            };
            now = again;
        }
    };
    // Half of all goes on; the second takes a half of that.
    assert_eq!(rounded(&at([90.0, 90.0, 10.0])), [50, 25, 25]);
    assert_eq!(rounded(&at([90.0, 90.0, 150.0])), [75, 25, 0]);
    let full = at([150.0, 150.0, 150.0]);
    assert_eq!(listed(&full), [0], "nobody can take anything");
}

#[test]
fn a_site_that_is_full_gives_all_away_also_in_uneven_steps() {
    let policy = Policy {
        overflow: Some(Overflow {
            from: 50.0,
            full: 100.0,
            step: 30.0,
        }),
        ..Policy::default()
    };
    let mut chooser = chooser(2, policy);
    let mut shares = Vec::new();
    for round in 0..6 {
        let decision = chooser.choose(&[loaded(1.0, 100.0), loaded(2.0, 1.0)], 10 * round * SECOND);
        shares.push(rounded(&decision)[0]);
    }
    assert_eq!(shares, [70, 40, 10, 0, 0, 0]);
}

/// Changes of the first site's share in each of `hours`, and its share at the end, when its load follows the
/// clients that it has, `delay` late; with all of them it would be at `demand` percent, and `other` is
/// there without any.
fn changes_by_hour(demand: f64, other: f64, delay: usize, hours: usize) -> (Vec<usize>, f64) {
    let mut chooser = chooser(2, overflow());
    let mut shares = vec![100.0; delay];
    let mut changes = vec![0; hours];
    for second in 0..hours * 3600 {
        let late = shares[second];
        let used = other + (demand - other) * late / 100.0;
        let standings = [loaded(10.0, used), loaded(20.0, 10.0)];
        let decision = chooser.choose(&standings, Duration::from_secs(second as u64));
        let before = shares.last().copied().unwrap_or(100.0);
        changes[second / 3600] += usize::from(before != decision.shares[0]);
        shares.push(decision.shares[0]);
    }
    (changes, shares[hours * 3600])
}

#[test]
fn a_load_that_comes_late_does_not_make_shares_go_to_and_fro() {
    for (demand, other) in [(95.0, 0.0), (120.0, 0.0), (120.0, 40.0), (300.0, 0.0)] {
        for delay in [1, 30, 90, 200] {
            let (changes, share) = changes_by_hour(demand, other, delay, 4);
            let case = format!("{demand} %, {other} %, {delay} s: {changes:?}, {share} %");
            // It learns in the first hour how long it takes.
            assert!(changes[1] <= 2 && changes[2..] == [0, 0], "{case}");
            let used = other + (demand - other) * share / 100.0;
            assert!((70.0..92.0).contains(&used), "{case}");
        }
    }
}

#[test]
fn a_site_that_can_bear_hardly_anything_is_tried_seldom() {
    // With all clients it would be at ten times its capacity: one step is too much, none too little.
    for delay in [1, 90] {
        let (changes, _) = changes_by_hour(1000.0, 0.0, delay, 4);
        assert!(
            changes[1..].iter().all(|changes| *changes <= 10),
            "{changes:?}"
        );
    }
}
