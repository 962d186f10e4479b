//! Filters, scorers, tiers, and what is answered when nobody is left.

use super::*;
use crate::config::{AllDown, Filter, Location, Scorer, Tier, UnknownSites, Weights};

#[test]
fn the_fastest_site_that_is_up_is_answered() {
    let mut chooser = chooser(4, Policy::default());
    let standings = [
        up(50.0),
        in_state(State::Down),
        up(20.0),
        in_state(State::Drained),
    ];
    let decision = chooser.choose(&standings, SECOND);
    assert_eq!(listed(&decision), [2]);
    assert_eq!(decision.shares, [0.0, 0.0, 100.0, 0.0]);
    assert_eq!(decision.served.ttl, 60);
}

#[test]
fn a_difference_below_the_margin_keeps_the_present_site() {
    let mut chooser = chooser(2, Policy::default());
    assert_eq!(first(&chooser.choose(&[up(20.0), up(21.0)], SECOND)), 0);
    assert_eq!(first(&chooser.choose(&[up(22.0), up(21.0)], SECOND)), 0);
    assert_eq!(first(&chooser.choose(&[up(24.0), up(21.0)], SECOND)), 1);
    assert_eq!(first(&chooser.choose(&[up(20.0), up(21.0)], SECOND)), 1);
    let (_, trace) = chooser.explain(&[up(20.0), up(21.0)], SECOND);
    assert!(trace.notes[0].contains("less than the margin"), "{trace:?}");
}

#[test]
fn what_noise_explains_moves_nobody() {
    let noisy = |mean, spread_ms| {
        up(mean).map(|standing| Standing {
            spread_ms,
            ..standing
        })
    };
    let mut chooser = chooser(2, Policy::default());
    chooser.choose(&[noisy(100.0, 24.0), noisy(100.0, 24.0)], SECOND);
    let decision = chooser.choose(&[noisy(125.0, 24.0), noisy(100.0, 24.0)], SECOND);
    assert_eq!(first(&decision), 0);
    let decision = chooser.choose(&[noisy(145.0, 24.0), noisy(100.0, 24.0)], SECOND);
    assert_eq!(first(&decision), 1);
}

#[test]
fn cost_is_weighed_against_latency() {
    let weights = Weights {
        latency: 1.0,
        cost: 2.0,
        ..Weights::NONE
    };
    let policy = Policy {
        scorer: Scorer::Weighed(weights),
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..2).map(site).collect();
    sites[0].cost = 50.0;
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    // 20 + 2 × 50 against 80.
    let (decision, trace) = chooser.explain(&[up(20.0), up(80.0)], SECOND);
    assert_eq!(listed(&decision), [1]);
    let scores: Vec<_> = trace.candidates.iter().map(|site| site.score).collect();
    assert_eq!(scores, [Some(120.0), Some(80.0)]);
    assert_eq!(first(&chooser.choose(&[up(20.0), up(200.0)], SECOND)), 0);
}

#[test]
fn the_nearest_site_is_answered_when_distance_is_all() {
    let at = |latitude, longitude| {
        Some(Location {
            latitude,
            longitude,
        })
    };
    let policy = Policy {
        scorer: Scorer::Weighed(Weights {
            distance: 1.0,
            ..Weights::NONE
        }),
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..3).map(site).collect();
    sites[0].location = at(35.68, 139.69);
    sites[1].location = at(50.11, 8.68);
    let chooser = Chooser::new(&service(sites, policy), Family::Ipv4, at(52.52, 13.40));
    let (decision, trace) = chooser.explain(&[up(1.0), up(90.0), up(2.0)], SECOND);
    assert_eq!(listed(&decision), [1]);
    // Berlin to Frankfurt is 424 km, to Tokyo 8,918 km.
    let score = |site: usize| trace.candidates[site].score.expect("a score");
    assert!(
        (score(1) - 4.24).abs() < 0.02 && (score(0) - 89.2).abs() < 0.3,
        "{trace:?}"
    );
    assert_eq!(
        score(2),
        score(0),
        "who says nothing counts as the farthest"
    );
}

#[test]
fn filters_say_what_they_removed_and_why() {
    let policy = Policy {
        filters: vec![
            Filter::Healthy,
            Filter::Region(vec!["eu".into()]),
            Filter::Tag(vec!["tls".into()]),
            Filter::Within {
                time: Duration::from_millis(10),
                percent: 50.0,
            },
            Filter::BelowCapacity { percent: 90.0 },
        ],
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..6).map(site).collect();
    for (index, site) in sites.iter_mut().enumerate() {
        site.region = (index != 1).then(|| "eu".to_owned());
        site.tags = if index == 2 {
            Vec::new()
        } else {
            vec!["tls".into()]
        };
    }
    let chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let standings = [
        in_state(State::Degraded),
        up(1.0),
        up(1.0),
        up(31.0),
        loaded(20.0, 95.0),
        loaded(22.0, 50.0),
    ];
    let (decision, trace) = chooser.explain(&standings, SECOND);
    assert_eq!(listed(&decision), [5]);
    let filters: Vec<_> = trace
        .candidates
        .iter()
        .map(|site| {
            site.removed_by
                .as_deref()
                .map(|why| why.split(':').next().unwrap())
        })
        .collect();
    let expected = ["healthy", "region", "tag", "within", "below-capacity"];
    assert_eq!(filters[..5], expected.map(Some));
    assert_eq!(filters[5], None);
}

#[test]
fn a_tier_with_too_few_sites_is_filled_from_the_next() {
    let tier = |name: &str, min_sites| Tier {
        name: name.into(),
        min_sites,
    };
    let policy = Policy {
        tiers: vec![tier("primary", 2), tier("backup", 1)],
        answers: 4,
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..4).map(site).collect();
    (sites[2].tier, sites[3].tier) = (1, 1);
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let decision = chooser.choose(&[up(30.0), up(40.0), up(1.0), up(2.0)], SECOND);
    assert_eq!(listed(&decision), [0, 1]);
    let (_, trace) = chooser.explain(&[up(30.0), up(40.0), up(1.0), up(2.0)], SECOND);
    let why = trace.candidates[2].removed_by.as_deref();
    assert_eq!(why, Some("tiers: \"primary\" has enough sites"));
    let one_down = [up(30.0), in_state(State::Down), up(1.0), up(2.0)];
    let decision = chooser.choose(&one_down, SECOND);
    assert_eq!(listed(&decision), [2, 3, 0]);
    let (_, trace) = chooser.explain(&one_down, SECOND);
    let note = "tier \"primary\": 1 of 2 sites are left, \"backup\" is used too";
    assert!(trace.notes.iter().any(|other| other == note), "{trace:?}");
}

#[test]
fn each_tier_is_judged_by_its_own_sites() {
    let tier = |name: &str, min_sites| Tier {
        name: name.into(),
        min_sites,
    };
    let policy = Policy {
        tiers: vec![tier("primary", 2), tier("backup", 1), tier("last", 1)],
        answers: 4,
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..4).map(site).collect();
    (sites[2].tier, sites[3].tier) = (1, 2);
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let down = || in_state(State::Down);
    let decision = chooser.choose(&[up(30.0), down(), up(1.0), up(2.0)], SECOND);
    assert_eq!(listed(&decision), [2, 0]);
    // The backup stands in for nothing when it is down: what is left of the primary is not enough.
    let decision = chooser.choose(&[up(30.0), down(), down(), up(2.0)], SECOND);
    assert_eq!(listed(&decision), [3, 0]);
    let decision = chooser.choose(&[up(30.0), down(), down(), down()], SECOND);
    assert_eq!(listed(&decision), [0]);
}

#[test]
fn what_is_not_measured_is_behind_what_is_also_when_it_was_there_before() {
    let mut chooser = chooser(2, Policy::default());
    // Forced up by the operator: it is up, and nothing more is known.
    assert_eq!(
        listed(&chooser.choose(&[in_state(State::Up), in_state(State::Down)], SECOND)),
        [0]
    );
    assert_eq!(
        listed(&chooser.choose(&[in_state(State::Up), up(500.0)], SECOND)),
        [1]
    );
}

#[test]
fn without_a_weight_on_latency_a_measurement_is_not_needed() {
    let policy = Policy {
        scorer: Scorer::Weighed(Weights {
            cost: 1.0,
            ..Weights::NONE
        }),
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..2).map(site).collect();
    (sites[0].cost, sites[1].cost) = (9.0, 2.0);
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    assert_eq!(
        listed(&chooser.choose(&[up(1.0), in_state(State::Up)], SECOND)),
        [1]
    );
    let unknown = || in_state(State::Unknown);
    assert_eq!(
        listed(&chooser.choose(&[unknown(), unknown()], SECOND)),
        [1]
    );
}

#[test]
fn who_reports_no_load_counts_as_the_most_loaded_of_the_others() {
    let policy = Policy {
        scorer: Scorer::Weighed(Weights {
            load: 1.0,
            ..Weights::NONE
        }),
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..3).map(site).collect();
    sites[2].capacity = 50.0;
    let chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let (decision, trace) =
        chooser.explain(&[up(1.0), loaded(1.0, 40.0), loaded(1.0, 30.0)], SECOND);
    assert_eq!(listed(&decision), [1]);
    let scores: Vec<_> = trace.candidates.iter().map(|site| site.score).collect();
    assert_eq!(scores, [Some(60.0), Some(40.0), Some(60.0)]);
}

#[test]
fn the_scorer_availability_leaves_a_site_that_loses_probes() {
    let policy = Policy {
        scorer: Scorer::Weighed(Weights {
            availability: 1.0,
            ..Weights::NONE
        }),
        ..Policy::default()
    };
    let losing = |loss_percent| {
        up(1.0).map(|standing| Standing {
            loss_percent,
            ..standing
        })
    };
    let mut chooser = chooser(2, policy);
    assert_eq!(
        first(&chooser.choose(&[losing(0.0), losing(0.0)], SECOND)),
        0
    );
    // One probe of sixteen: chance.
    assert_eq!(
        first(&chooser.choose(&[losing(6.0), losing(0.0)], SECOND)),
        0
    );
    assert_eq!(
        first(&chooser.choose(&[losing(30.0), losing(0.0)], SECOND)),
        1
    );
}

#[test]
fn a_list_keeps_its_members_unless_another_is_better_by_the_margin() {
    let policy = Policy {
        answers: 2,
        ..Policy::default()
    };
    let mut chooser = chooser(3, policy);
    let mut at = |times: [f64; 3]| listed(&chooser.choose(&times.map(up), SECOND));
    assert_eq!(at([10.0, 20.0, 30.0]), [0, 1]);
    assert_eq!(at([10.0, 20.0, 19.0]), [0, 1]);
    assert_eq!(at([10.0, 20.0, 15.0]), [0, 2]);
    assert_eq!(at([10.0, 14.5, 15.0]), [0, 2]);
    // The new first one pushes the others on; they keep their order.
    assert_eq!(at([10.0, 5.0, 15.0]), [1, 0]);
}

#[test]
fn a_list_is_no_longer_than_what_is_left() {
    let policy = Policy {
        answers: 5,
        scorer: Scorer::Failover,
        ..Policy::default()
    };
    let mut chooser = chooser(3, policy);
    let decision = chooser.choose(&[up(3.0), in_state(State::Down), up(1.0)], SECOND);
    assert_eq!(listed(&decision), [0, 2]);
    assert_eq!(decision.shares, [50.0, 0.0, 50.0]);
}

#[test]
fn a_full_site_comes_back_only_below_nine_tenths_of_what_it_may() {
    let policy = Policy {
        filters: vec![Filter::BelowCapacity { percent: 90.0 }],
        ..Policy::default()
    };
    let mut chooser = chooser(2, policy);
    let mut with = |load| first(&chooser.choose(&[loaded(1.0, load), up(50.0)], SECOND));
    assert_eq!(with(89.0), 0);
    assert_eq!(with(90.0), 1);
    assert_eq!(with(85.0), 1);
    assert_eq!(with(80.0), 0);
    assert_eq!(with(85.0), 0);
}

#[test]
fn a_site_that_is_in_stays_a_little_longer_than_within_says() {
    let policy = Policy {
        scorer: Scorer::Random,
        filters: vec![Filter::Within {
            time: Duration::from_millis(20),
            percent: 0.0,
        }],
        ..Policy::default()
    };
    let mut chooser = chooser(2, policy);
    let mut at = |time| chooser.choose(&[up(10.0), up(time)], SECOND).shares[1] > 0.0;
    assert!(!at(31.0), "it was never in");
    assert!(at(30.0));
    assert!(at(31.0));
    assert!(!at(33.0));
    assert!(!at(31.0));
}

#[test]
fn within_takes_the_more_of_time_and_percent_and_goes_by_the_fastest_that_is_left() {
    let policy = Policy {
        scorer: Scorer::Random,
        filters: vec![
            Filter::Region(vec!["eu".into()]),
            Filter::Within {
                time: Duration::from_millis(5),
                percent: 50.0,
            },
        ],
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..4).map(site).collect();
    for site in &mut sites[1..] {
        site.region = Some("eu".into());
    }
    let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let decision = chooser.choose(&[up(1.0), up(40.0), up(60.0), up(61.0)], SECOND);
    assert_eq!(decision.shares, [0.0, 50.0, 50.0, 0.0]);
}

#[test]
fn the_family_filter_wants_an_address_of_the_other_family_too() {
    let policy = Policy {
        filters: vec![Filter::Family(Family::Ipv6)],
        ..Policy::default()
    };
    let mut sites: Vec<Site> = (0..2).map(site).collect();
    sites[1].ipv6 = Some(std::net::Ipv6Addr::LOCALHOST);
    let chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    let (decision, trace) = chooser.explain(&[up(1.0), up(90.0)], SECOND);
    assert_eq!(listed(&decision), [1]);
    let why = trace.candidates[0].removed_by.as_deref();
    assert_eq!(why, Some("family: the site has no IPv6 address"));
}

#[test]
fn what_is_not_known_is_behind_what_is() {
    let mut serving = chooser(3, Policy::default());
    let unknown = || in_state(State::Unknown);
    assert_eq!(
        first(&serving.choose(&[unknown(), unknown(), up(500.0)], SECOND)),
        2
    );
    let decision = serving.choose(&[unknown(), unknown(), in_state(State::Down)], SECOND);
    assert_eq!(listed(&decision), [0]);
    let policy = Policy {
        unknown: UnknownSites::Exclude,
        all_down: AllDown::Servfail,
        ..Policy::default()
    };
    let decision = chooser(1, policy).choose(&[unknown()], SECOND);
    assert_eq!(decision.served.selection, Selection::Servfail);
}

#[test]
fn the_owner_chooses_what_is_answered_when_all_are_down() {
    let down = || in_state(State::Down);
    let with = |all_down| {
        chooser(
            2,
            Policy {
                all_down,
                ..Policy::default()
            },
        )
    };
    let all = [down(), down()];
    assert_eq!(
        listed(&with(AllDown::AllSites).choose(&all, SECOND)),
        [0, 1]
    );
    let one_drained = [down(), in_state(State::Drained)];
    assert_eq!(
        listed(&with(AllDown::AllSites).choose(&one_drained, SECOND)),
        [0]
    );

    let mut last_good = with(AllDown::LastGood);
    last_good.choose(&[up(30.0), up(20.0)], SECOND);
    assert_eq!(listed(&last_good.choose(&all, SECOND)), [1]);
    assert_eq!(listed(&last_good.choose(&one_drained, SECOND)), [0]);

    let ipv4 = Some([192, 0, 2, 99].into());
    let decision = with(AllDown::Fallback { ipv4, ipv6: None }).choose(&all, SECOND);
    let address = Selection::Fallback([192, 0, 2, 99].into());
    assert_eq!(decision.served.selection, address);
    let decision = with(AllDown::Servfail).choose(&all, SECOND);
    assert_eq!(decision.served.selection, Selection::Servfail);
}

#[test]
fn a_family_that_no_site_has_has_no_data() {
    let service = service(vec![site(1)], Policy::default());
    let mut chooser = Chooser::new(&service, Family::Ipv6, None);
    assert!(listed(&chooser.choose(&[None], SECOND)).is_empty());
}

#[test]
fn failover_goes_by_the_file_and_back_at_once() {
    let policy = Policy {
        scorer: Scorer::Failover,
        ..Policy::default()
    };
    let mut chooser = chooser(2, policy);
    assert_eq!(first(&chooser.choose(&[up(90.0), up(1.0)], SECOND)), 0);
    assert_eq!(
        first(&chooser.choose(&[in_state(State::Down), up(1.0)], SECOND)),
        1
    );
    assert_eq!(first(&chooser.choose(&[up(90.0), up(1.0)], SECOND)), 0);
}

#[test]
fn clients_are_divided_by_weight_and_a_reported_weight_is_stronger() {
    for scorer in [Scorer::Random, Scorer::Sticky] {
        let policy = Policy {
            scorer,
            ..Policy::default()
        };
        let mut sites: Vec<Site> = (0..3).map(site).collect();
        sites[0].weight = 3;
        let mut chooser = Chooser::new(&service(sites, policy), Family::Ipv4, None);
        let decision = chooser.choose(&[up(1.0), up(2.0), in_state(State::Down)], SECOND);
        assert_eq!(decision.shares, [75.0, 25.0, 0.0]);
        let mut lighter = up(1.0);
        lighter.as_mut().unwrap().weight = Some(1);
        let decision = chooser.choose(&[lighter, up(2.0), in_state(State::Down)], SECOND);
        assert_eq!(decision.shares, [50.0, 50.0, 0.0]);
    }
}

#[test]
fn the_ttl_is_shortened_by_the_way_to_down() {
    let mut chooser = chooser(2, Policy::default());
    let failing = |failures| {
        up(1.0).map(|standing| Standing {
            failing: Some((failures, 3)),
            ..standing
        })
    };
    let mut ttl = |one, other| chooser.choose(&[one, other], SECOND).served.ttl;
    assert_eq!(ttl(failing(0), up(50.0)), 60);
    assert_eq!(ttl(failing(1), up(50.0)), 40);
    assert_eq!(ttl(failing(2), up(50.0)), 20);
    assert_eq!(
        ttl(up(1.0), failing(2)),
        60,
        "who is not answered does not count"
    );
    assert_eq!(ttl(failing(3), up(50.0)), 5, "the owner's least");
}

#[test]
fn what_the_filters_took_is_answered_before_what_is_down() {
    let policy = Policy {
        filters: vec![Filter::Tag(vec!["blue".into()])],
        ..Policy::default()
    };
    let mut chooser = chooser(3, policy);
    let standings = [in_state(State::Down), up(20.0), in_state(State::Drained)];
    assert_eq!(listed(&chooser.choose(&standings, SECOND)), [1]);
    let (_, trace) = chooser.explain(&standings, SECOND);
    assert!(trace.notes[0].contains("filters left none"), "{trace:?}");
}

#[test]
fn all_sites_stand_in_the_order_that_they_had_and_none_is_drained_unless_all_are() {
    let mut chooser = chooser(4, Policy::default());
    chooser.choose(
        &[up(90.0), up(20.0), in_state(State::Down), up(50.0)],
        SECOND,
    );
    let (down, drained) = (|| in_state(State::Down), || in_state(State::Drained));
    let mut all = |standings: [Option<Standing>; 4]| listed(&chooser.choose(&standings, SECOND));
    assert_eq!(all([down(), down(), down(), down()]), [1, 3, 0, 2]);
    assert_eq!(all([down(), drained(), down(), down()]), [3, 0, 2]);
    assert_eq!(
        all([drained(), drained(), drained(), drained()]),
        [1, 3, 0, 2]
    );
}

#[test]
fn no_more_than_eight_are_listed() {
    let standings: Vec<_> = (0..12).map(|_| in_state(State::Down)).collect();
    let decision = chooser(12, Policy::default()).choose(&standings, SECOND);
    assert_eq!(listed(&decision), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_last_good_answer_loses_what_is_drained_and_gets_it_back() {
    let policy = Policy {
        scorer: Scorer::Random,
        all_down: AllDown::LastGood,
        ..Policy::default()
    };
    let mut chooser = chooser(3, policy);
    let good = chooser.choose(&[up(1.0), up(1.0), in_state(State::Down)], SECOND);
    assert_eq!(good.shares, [50.0, 50.0, 0.0]);
    let (down, drained) = (|| in_state(State::Down), || in_state(State::Drained));
    let decision = chooser.choose(&[drained(), down(), down()], SECOND);
    assert_eq!(decision.shares, [0.0, 100.0, 0.0]);
    let decision = chooser.choose(&[down(), down(), down()], SECOND);
    assert_eq!(decision.served, good.served);
    let decision = chooser.choose(&[drained(), drained(), down()], SECOND);
    assert_eq!(listed(&decision), [2]);
}

#[test]
fn a_reload_moves_nobody() {
    let mut before = chooser(2, Policy::default());
    before.choose(&[up(20.0), up(30.0)], SECOND);
    // Another site in front, another margin; the same sites behind it.
    let mut sites: Vec<Site> = [7, 0, 1].map(site).into();
    sites[0].tier = 0;
    let policy = Policy {
        margin: crate::config::Margin {
            absolute: 2.0,
            percent: 10.0,
        },
        ..Policy::default()
    };
    let mut after = Chooser::new(&service(sites, policy), Family::Ipv4, None);
    after.adopt(before);
    assert_eq!(
        first(&after.choose(&[up(19.0), up(20.0), up(19.0)], SECOND)),
        1
    );
}

#[test]
fn a_site_that_comes_back_must_be_better_to_be_first_again() {
    let mut chooser = chooser(2, Policy::default());
    assert_eq!(first(&chooser.choose(&[up(20.0), up(20.5)], SECOND)), 0);
    assert_eq!(
        first(&chooser.choose(&[in_state(State::Down), up(20.5)], SECOND)),
        1
    );
    assert_eq!(first(&chooser.choose(&[up(20.0), up(20.5)], SECOND)), 1);
}
