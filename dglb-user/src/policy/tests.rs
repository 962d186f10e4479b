//! Cases that read like the owner's wishes, and what must hold for any policy and any standings.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{
        AllDown, Family, Filter, Form, HttpProbe, LbService, Location, Margin, Overflow, Policy,
        Probe, ProbeKind, Scorer, Site, Soa, Tier, UnknownSites, Weights,
    },
    event::Selection,
    measure::figures::Figures,
    probe::message::{Success, Times},
};

const SECOND: Duration = Duration::from_secs(1);

fn soa() -> Soa {
    Soa {
        mname: "ns1.example.com".parse().unwrap(),
        rname: "hostmaster.example.com".parse().unwrap(),
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86400,
        minimum: 60,
        ttl: 60,
    }
}

fn site(index: usize) -> Site {
    Site::new(
        format!("site{index}"),
        Some([192, 0, 2, index as u8].into()),
        None,
    )
}

fn service(sites: Vec<Site>, policy: Policy) -> LbService {
    let probe = Probe::new(ProbeKind::Http(HttpProbe::new("www.example.com", "/")));
    LbService {
        policy,
        ..LbService::new(
            "www.example.com".parse().unwrap(),
            Form::Referral,
            soa(),
            sites,
            probe,
        )
    }
}

/// A chooser for so many plain sites.
fn chooser(sites: usize, policy: Policy) -> Chooser {
    Chooser::new(
        &service((0..sites).map(site).collect(), policy),
        Family::Ipv4,
        None,
    )
}

fn up(mean_ms: f64) -> Option<Standing> {
    Some(Standing {
        state: State::Up,
        mean_ms: Some(mean_ms),
        ..Standing::default()
    })
}

fn in_state(state: State) -> Option<Standing> {
    Some(Standing {
        state,
        ..Standing::default()
    })
}

fn loaded(mean_ms: f64, load: f64) -> Option<Standing> {
    up(mean_ms).map(|standing| Standing {
        load: Some(load),
        ..standing
    })
}

fn first(decision: &Decision) -> usize {
    decision.order[0]
}

fn listed(decision: &Decision) -> Vec<usize> {
    match &decision.served.selection {
        Selection::List(sites) => sites.clone(),
        other => panic!("{other:?} is no list"),
    }
}

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
    let decision = chooser.choose(&[up(30.0), in_state(State::Down), up(1.0), up(2.0)], SECOND);
    assert_eq!(listed(&decision), [2, 3, 0]);
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

/// Pseudo-random numbers from 0 to 1 (SplitMix64), so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Two sites that are probed in turn, and how often the answer changes.
struct Day {
    chooser: Chooser,
    figures: [Figures; 2],
    now: Duration,
    answered: Option<usize>,
    changes: usize,
}

impl Day {
    fn new() -> Self {
        Self {
            chooser: chooser(2, Policy::default()),
            figures: [Figures::default(), Figures::default()],
            now: SECOND,
            answered: None,
            changes: 0,
        }
    }

    /// Each site is probed once, ten seconds later.
    fn probe(&mut self, times_ms: [f64; 2]) {
        self.now += 10 * SECOND;
        for (site, time) in times_ms.into_iter().enumerate() {
            let times = Times {
                total_us: (time.max(1.0) * 1000.0) as u32,
                ..Times::default()
            };
            self.figures[site].record(&Ok(Success { times, load: None }));
            let standings = [0, 1].map(|site| {
                let figures: &Figures = &self.figures[site];
                figures.mean_ms.and_then(up).map(|standing| Standing {
                    spread_ms: figures.spread_ms,
                    ..standing
                })
            });
            let Some(&answered) = self.chooser.choose(&standings, self.now).order.first() else {
                continue;
            };
            self.changes += usize::from(self.answered.is_some_and(|before| before != answered));
            self.answered = Some(answered);
        }
    }
}

#[test]
fn a_day_of_noise_makes_at_most_ten_changes() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut normal = || 100.0 * (1.0 + 0.3 * random.normal());
        let mut day = Day::new();
        (0..8640).for_each(|_| day.probe([normal(), normal()]));
        assert!(day.changes <= 10, "normal, seed {seed}: {}", day.changes);
        let mut uniform = || 100.0 * (0.7 + 0.6 * random.next());
        let mut day = Day::new();
        (0..8640).for_each(|_| day.probe([uniform(), uniform()]));
        assert!(day.changes <= 10, "uniform, seed {seed}: {}", day.changes);
    }
}

#[test]
fn a_real_change_is_followed_all_the_same() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let mut noisy = |mean: f64| mean * (1.0 + 0.3 * random.normal());
        let mut day = Day::new();
        (0..100).for_each(|_| day.probe([noisy(100.0), noisy(100.0)]));
        let present = day.answered.expect("answered");
        let slower = |site| if site == present { 200.0 } else { 100.0 };
        let mut probes = 0;
        while day.answered == Some(present) {
            day.probe([noisy(slower(0)), noisy(slower(1))]);
            probes += 1;
            assert!(probes <= 60, "seed {seed}");
        }
    }
}

fn any_scorer() -> impl Strategy<Value = Scorer> {
    let weight = || 0.0..3.0_f64;
    prop_oneof![
        (weight(), weight(), weight(), weight(), weight()).prop_map(
            |(latency, availability, load, cost, distance)| {
                Scorer::Weighed(Weights {
                    latency: latency + 0.01,
                    availability,
                    load,
                    cost,
                    distance,
                })
            }
        ),
        Just(Scorer::Random),
        Just(Scorer::Sticky),
        Just(Scorer::Failover),
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

fn any_policy() -> impl Strategy<Value = Policy> {
    (
        any_scorer(),
        prop::collection::vec(any_filter(), 0..4),
        1_usize..3,
        prop::option::of(Just(())),
        0_u64..200,
        prop_oneof![
            Just(AllDown::AllSites),
            Just(AllDown::LastGood),
            Just(AllDown::Servfail)
        ],
    )
        .prop_map(
            |(scorer, filters, min_sites, overflow, ramp, all_down)| Policy {
                tiers: vec![
                    Tier {
                        name: "primary".into(),
                        min_sites,
                    },
                    Tier {
                        name: "backup".into(),
                        min_sites: 1,
                    },
                ],
                filters,
                scorer,
                answers: 1,
                margin: Margin::default(),
                overflow: overflow.map(|()| Overflow {
                    from: 70.0,
                    full: 100.0,
                    step: 25.0,
                }),
                ramp: Duration::from_secs(ramp),
                unknown: UnknownSites::Serve,
                all_down,
            },
        )
}

fn any_site() -> impl Strategy<Value = Site> {
    (
        0_usize..2,
        any::<bool>(),
        any::<bool>(),
        0_u32..5,
        0.0..50.0_f64,
    )
        .prop_map(|(tier, european, tagged, weight, cost)| Site {
            tier,
            region: european.then(|| "eu".into()),
            tags: if tagged { vec!["b".into()] } else { Vec::new() },
            weight,
            cost,
            ..site(1)
        })
}

fn any_standing() -> impl Strategy<Value = Option<Standing>> {
    (
        prop_oneof![
            4 => Just(State::Up),
            1 => Just(State::Degraded),
            1 => Just(State::Unknown),
            2 => Just(State::Down),
            1 => Just(State::Drained)
        ],
        1.0..200.0_f64,
        0.0..50.0_f64,
        0.0..100.0_f64,
        prop::option::of(0.0..150.0_f64),
        prop::option::of(0_u32..10),
        prop::option::of(0_u64..300),
    )
        .prop_map(
            |(state, mean, spread_ms, loss_percent, load, weight, back)| {
                let measured = matches!(state, State::Up | State::Degraded);
                Some(Standing {
                    state,
                    mean_ms: measured.then_some(mean),
                    spread_ms,
                    loss_percent,
                    load,
                    weight,
                    failing: None,
                    back_since: back.map(Duration::from_secs),
                })
            },
        )
}

fn any_case() -> impl Strategy<Value = (LbService, Vec<Vec<Option<Standing>>>)> {
    (2_usize..7).prop_flat_map(|sites| {
        (
            any_policy(),
            prop::collection::vec(any_site(), sites),
            prop::collection::vec(prop::collection::vec(any_standing(), sites), 1..6),
        )
            .prop_map(|(policy, sites, rounds)| (service(sites, policy), rounds))
    })
}

/// Sites that a selection names, with their parts.
fn parts(selection: &Selection) -> Vec<(usize, f64)> {
    match selection {
        Selection::List(sites) => sites
            .iter()
            .map(|site| (*site, 1.0 / sites.len() as f64))
            .collect(),
        Selection::Weighted(weights) | Selection::Sticky(weights) => {
            let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
            weights
                .iter()
                .map(|(site, weight)| (*site, f64::from(*weight) / f64::from(total)))
                .collect()
        }
        Selection::Fallback(_) | Selection::Servfail => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nobody_who_is_out_is_answered_and_shares_are_what_is_said((service, rounds) in any_case()) {
        let mut chooser = Chooser::new(&service, Family::Ipv4, None);
        for (round, standings) in rounds.iter().enumerate() {
            let now = Duration::from_secs(300 + 7 * round as u64);
            let (explained, trace) = chooser.explain(standings, now);
            let decision = chooser.choose(standings, now);
            prop_assert_eq!(&decision, &explained);
            let left: Vec<_> = trace.candidates.iter().filter(|site| site.removed_by.is_none()).collect();
            let named = parts(&decision.served.selection);
            for (site, part) in &named {
                prop_assert!((part * 100.0 - decision.shares[*site]).abs() < 1.0);
                let state = standings[*site].as_ref().unwrap().state;
                if left.is_empty() {
                    let all_drained = standings.iter().flatten().all(|site| site.state == State::Drained);
                    prop_assert!(state != State::Drained || all_drained);
                } else {
                    prop_assert!(!matches!(state, State::Down | State::Drained));
                    prop_assert_eq!(&trace.candidates[*site].removed_by, &None);
                }
            }
            if !left.is_empty() {
                prop_assert!(!named.is_empty(), "{:?}", trace);
                let sum: f64 = decision.shares.iter().sum();
                prop_assert!((sum - 100.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn at_constant_input_a_decision_settles_and_stays((service, rounds) in any_case()) {
        let mut chooser = Chooser::new(&service, Family::Ipv4, None);
        let mut now = Duration::from_secs(300);
        for standings in &rounds {
            chooser.choose(standings, now);
            now += SECOND;
        }
        let standings = rounds.last().unwrap();
        // Ramps take 200 s and 10 steps, giving away at most 4 steps a site.
        for _ in 0..100 {
            let decision = chooser.choose(standings, now);
            now = decision.again.unwrap_or(now + 40 * SECOND);
        }
        let settled = chooser.choose(standings, now);
        for _ in 0..20 {
            now += 7 * SECOND;
            prop_assert_eq!(&chooser.choose(standings, now), &settled);
        }
    }
}
