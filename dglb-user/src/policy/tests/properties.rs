//! What must hold for any policy and any standings.

use proptest::prelude::*;

use super::*;
use crate::{
    config::{AllDown, Filter, Location, Margin, Overflow, Scorer, Tier, UnknownSites, Weights},
    event::MAX_LISTED,
};

fn any_scorer() -> impl Strategy<Value = Scorer> {
    let weight = || prop_oneof![Just(0.0), 0.0..3.0_f64];
    let weights = (weight(), weight(), weight(), weight(), weight()).prop_map(
        |(latency, availability, load, cost, distance)| Weights {
            latency,
            availability,
            load,
            cost,
            distance,
        },
    );
    prop_oneof![
        3 => weights.prop_map(Scorer::Weighed),
        1 => Just(Scorer::Random),
        1 => Just(Scorer::Sticky),
        1 => Just(Scorer::Failover),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    prop_oneof![
        Just(Filter::Healthy),
        (0_u64..100, 0.0..100.0_f64).prop_map(|(ms, percent)| Filter::Within {
            time: Duration::from_millis(ms),
            percent,
        }),
        Just(Filter::Region(vec!["eu".into()])),
        Just(Filter::Tag(vec!["a".into(), "b".into()])),
        Just(Filter::Family(Family::Ipv6)),
        (1.0..120.0_f64).prop_map(|percent| Filter::BelowCapacity { percent }),
    ]
}

fn any_all_down() -> impl Strategy<Value = AllDown> {
    prop_oneof![
        Just(AllDown::AllSites),
        Just(AllDown::LastGood),
        Just(AllDown::Servfail),
        Just(AllDown::Fallback {
            ipv4: Some([192, 0, 2, 99].into()),
            ipv6: None
        }),
    ]
}

fn any_overflow() -> impl Strategy<Value = Overflow> {
    (0.0..90.0_f64, 1.0..50.0_f64, 5.0..100.0_f64).prop_map(|(from, wide, step)| Overflow {
        from,
        full: from + wide,
        step,
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let margin = (0.0..5.0_f64, 0.0..30.0_f64);
    (
        any_scorer(),
        prop::collection::vec(any_filter(), 0..4),
        prop::collection::vec(1_usize..3, 3),
        1_usize..4,
        margin,
        prop::option::of(any_overflow()),
        prop_oneof![Just(0_u64), 0_u64..200],
        any::<bool>(),
        any_all_down(),
    )
        .prop_map(
            |(scorer, filters, tiers, answers, margin, overflow, ramp, serve, all_down)| Policy {
                tiers: tiers
                    .into_iter()
                    .map(|min_sites| Tier {
                        name: "a tier".into(),
                        min_sites,
                    })
                    .collect(),
                filters,
                scorer,
                answers,
                margin: Margin {
                    absolute: margin.0,
                    percent: margin.1,
                },
                overflow,
                ramp: Duration::from_secs(ramp),
                unknown: match serve {
                    true => UnknownSites::Serve,
                    false => UnknownSites::Exclude,
                },
                all_down,
            },
        )
}

fn any_site() -> impl Strategy<Value = Site> {
    (
        prop_oneof![2 => Just(0_usize), 1 => 1_usize..3],
        any::<(bool, bool, bool)>(),
        0_u32..5,
        0.0..50.0_f64,
        prop::option::of((-90.0..90.0_f64, -180.0..180.0_f64)),
    )
        .prop_map(
            |(tier, (european, tagged, both), weight, cost, place)| Site {
                tier,
                region: european.then(|| "eu".into()),
                tags: if tagged { vec!["b".into()] } else { Vec::new() },
                ipv6: both.then_some(std::net::Ipv6Addr::LOCALHOST),
                weight,
                cost,
                location: place.map(|(latitude, longitude)| Location {
                    latitude,
                    longitude,
                }),
                ..site(1)
            },
        )
}

fn any_standing() -> impl Strategy<Value = Option<Standing>> {
    (
        prop_oneof![
            6 => Just(State::Up),
            1 => Just(State::Degraded),
            1 => Just(State::Unknown),
            2 => Just(State::Down),
            1 => Just(State::Drained)
        ],
        (any::<u8>(), 1.0..200.0_f64, 0.0..50.0_f64),
        prop_oneof![Just(0.0), 0.0..100.0_f64],
        prop::option::of(0.0..150.0_f64),
        prop::option::of(0_u32..10),
        prop::option::of((0_u32..4, Just(3_u32))),
        prop::option::of(0_u64..300),
    )
        .prop_map(
            |(state, (rare, mean, spread_ms), loss_percent, load, weight, failing, back)| {
                // A site that was forced up has no measurement.
                let measured = matches!(state, State::Up | State::Degraded) && rare > 10;
                Some(Standing {
                    state,
                    mean_ms: measured.then_some(mean),
                    spread_ms,
                    loss_percent,
                    load,
                    weight,
                    failing,
                    back_since: back.map(Duration::from_secs),
                })
            },
        )
}

#[derive(Debug)]
struct Case {
    service: LbService,
    node: Option<Location>,
    rounds: Vec<Vec<Option<Standing>>>,
}

impl Case {
    fn chooser(&self) -> Chooser {
        Chooser::new(&self.service, Family::Ipv4, self.node)
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    (1_usize..7).prop_flat_map(|sites| {
        (
            any_policy(),
            any::<bool>(),
            prop::collection::vec(any_site(), sites),
            prop::collection::vec(prop::collection::vec(any_standing(), sites), 1..6),
        )
            .prop_map(|(policy, has_place, sites, rounds)| Case {
                service: service(sites, policy),
                node: has_place.then_some(Location {
                    latitude: 52.5,
                    longitude: 13.4,
                }),
                rounds,
            })
    })
}

fn any_weighed_case() -> impl Strategy<Value = Case> {
    any_case().prop_map(|mut case| {
        if !matches!(case.service.policy.scorer, Scorer::Weighed(_)) {
            case.service.policy.scorer = Scorer::Weighed(Weights::LATENCY);
        }
        case
    })
}

/// Sites that a selection names, with their parts in percent.
fn named(selection: &Selection) -> Vec<(usize, f64)> {
    match selection {
        Selection::List(sites) => sites
            .iter()
            .map(|site| (*site, 100.0 / sites.len() as f64))
            .collect(),
        Selection::Weighted(weights) | Selection::Sticky(weights) => {
            let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
            weights
                .iter()
                .map(|(site, weight)| (*site, 100.0 * f64::from(*weight) / f64::from(total)))
                .collect()
        }
        Selection::Fallback(_) | Selection::Servfail => Vec::new(),
    }
}

/// Whether a filter that looks at one site alone would remove it; said a second time, apart from the code.
fn is_out(filter: &Filter, site: &Site, standing: &Standing) -> bool {
    match filter {
        Filter::Healthy => standing.state == State::Degraded,
        Filter::Within { .. } => false,
        Filter::Region(_) => site.region.is_none(),
        Filter::Tag(_) => site.tags.is_empty(),
        Filter::Family(_) => site.ipv6.is_none(),
        Filter::BelowCapacity { percent } => standing.load.is_some_and(|load| load >= *percent),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nobody_who_is_out_is_answered(case in any_case()) {
        let mut chooser = case.chooser();
        for (round, standings) in case.rounds.iter().enumerate() {
            let now = Duration::from_secs(300 + 7 * round as u64);
            let (_, trace) = chooser.explain(standings, now);
            let decision = chooser.choose(standings, now);
            let nobody_is_left = trace.candidates.iter().all(|site| site.removed_by.is_some());
            for (site, _) in named(&decision.served.selection) {
                let standing = standings[site].as_ref().unwrap();
                if nobody_is_left {
                    let all_drained = standings.iter().flatten().all(|site| site.state == State::Drained);
                    prop_assert!(standing.state != State::Drained || all_drained);
                    continue;
                }
                prop_assert!(!matches!(standing.state, State::Down | State::Drained));
                prop_assert!(standing.state != State::Unknown
                    || case.service.policy.unknown == UnknownSites::Serve);
                prop_assert_eq!(&trace.candidates[site].removed_by, &None);
                for filter in &case.service.policy.filters {
                    prop_assert!(!is_out(filter, &case.service.sites[site], standing), "{:?}", filter);
                }
            }
        }
    }

    #[test]
    fn shares_are_what_is_said_and_all_of_it(case in any_case()) {
        let mut chooser = case.chooser();
        for (round, standings) in case.rounds.iter().enumerate() {
            let now = Duration::from_secs(300 + 7 * round as u64);
            let decision = chooser.choose(standings, now);
            let named = named(&decision.served.selection);
            let sum: f64 = decision.shares.iter().sum();
            if named.is_empty() {
                prop_assert_eq!(sum, 0.0);
                continue;
            }
            prop_assert!((sum - 100.0).abs() < 1e-6);
            prop_assert!(named.len() <= MAX_LISTED);
            let of_named: f64 = named.iter().map(|(site, _)| decision.shares[*site]).sum();
            prop_assert!((of_named - 100.0).abs() < 0.01);
            for (site, part) in &named {
                prop_assert!((part - decision.shares[*site]).abs() < 0.01, "{:?}", decision);
                prop_assert!(decision.order.contains(site));
            }
            let ttl = decision.served.ttl;
            prop_assert!((case.service.min_ttl..=case.service.answer_ttl).contains(&ttl));
        }
    }

    #[test]
    fn what_is_explained_is_what_was_decided_and_explaining_changes_nothing(case in any_case()) {
        let mut chooser = case.chooser();
        for (round, standings) in case.rounds.iter().enumerate() {
            let now = Duration::from_secs(300 + 7 * round as u64);
            let (before, _) = chooser.explain(standings, now);
            let decision = chooser.choose(standings, now);
            prop_assert_eq!(&before, &decision);
            let later = decision.again.map_or(now + 1000 * SECOND, |again| again - Duration::from_nanos(1));
            for time in [now, later.max(now)] {
                let (explained, trace) = chooser.explain(standings, time);
                prop_assert_eq!(&explained, &decision);
                let shares: Vec<f64> = trace.candidates.iter().map(|site| site.share_percent).collect();
                prop_assert_eq!(&shares, &decision.shares);
            }
        }
    }

    #[test]
    fn at_constant_input_a_decision_settles_and_stays(case in any_case()) {
        let mut chooser = case.chooser();
        let mut now = Duration::from_secs(300);
        for standings in &case.rounds {
            chooser.choose(standings, now);
            now += SECOND;
        }
        let standings = case.rounds.last().unwrap();
        let mut decision = chooser.choose(standings, now);
        // Six sites, each with ten steps of a ramp and at most twenty of overflow.
        let mut steps = 0;
        while let Some(again) = decision.again {
            prop_assert!(again > now, "{:?} after {:?}", again, now);
            now = again;
            decision = chooser.choose(standings, now);
            steps += 1;
            prop_assert!(steps <= 200);
        }
        for _ in 0..20 {
            now += 1000 * SECOND;
            prop_assert_eq!(&chooser.choose(standings, now), &decision);
        }
    }

    #[test]
    fn the_first_is_left_only_for_one_that_is_better_by_the_margin(case in any_weighed_case()) {
        let mut chooser = case.chooser();
        let mut present: Option<usize> = None;
        for standings in &case.rounds {
            let (_, trace) = chooser.explain(standings, SECOND);
            let decision = chooser.choose(standings, SECOND);
            let is_left = |site: &usize| trace.candidates[*site].removed_by.is_none();
            let first = decision.order.iter().copied().find(is_left);
            if let (Some(old), Some(new)) = (present.filter(is_left), first)
                && old != new
                && let Some(old) = trace.candidates[old].score
            {
                let margin = &case.service.policy.margin;
                let least = margin.absolute.max(old * margin.percent / 100.0);
                let new = trace.candidates[new].score.unwrap();
                prop_assert!(new < old - least + 1e-9, "{} for {}", new, old);
            }
            present = first;
        }
    }
}
