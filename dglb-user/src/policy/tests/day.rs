//! Noisy measurements: what is chance must not move clients, what is news must.

use super::*;
use crate::{
    config::{Filter, Margin, Scorer, Weights},
    measure::figures::Figures,
    probe::{
        failure::Failure,
        message::{Success, Times},
    },
};

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

    /// With a standard deviation of 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// Sites that are probed in turn, and how often the answer changes.
struct Day {
    chooser: Chooser,
    figures: Vec<Figures>,
    now: Duration,
    answered: Option<Selection>,
    changes: usize,
}

impl Day {
    fn new(sites: usize, policy: Policy) -> Self {
        Self {
            chooser: chooser(sites, policy),
            figures: vec![Figures::default(); sites],
            now: SECOND,
            answered: None,
            changes: 0,
        }
    }

    /// Each site is probed once, ten seconds later: milliseconds, or `None` for a failure.
    fn probe(&mut self, mut time_ms: impl FnMut(usize) -> Option<f64>) {
        self.now += 10 * SECOND;
        for site in 0..self.figures.len() {
            let outcome = match time_ms(site) {
                Some(time) => Ok(Success {
                    times: Times {
                        total_us: (time.max(1.0) * 1000.0) as u32,
                        ..Times::default()
                    },
                    load: None,
                }),
                None => Err(Failure::TimedOut),
            };
            self.figures[site].record(&outcome);
            let standings: Vec<Option<Standing>> = self.figures.iter().map(standing).collect();
            let decision = self.chooser.choose(&standings, self.now);
            let is_new = self.answered.as_ref() != Some(&decision.served.selection);
            if is_new && self.answered.is_some() {
                self.changes += 1;
            }
            self.answered = Some(decision.served.selection);
        }
    }

    fn first(&self) -> usize {
        match &self.answered {
            Some(Selection::List(sites)) => sites[0],
            other => panic!("{other:?} is no list"),
        }
    }
}

fn standing(figures: &Figures) -> Option<Standing> {
    Some(Standing {
        state: if figures.mean_ms.is_some() {
            State::Up
        } else {
            State::Unknown
        },
        mean_ms: figures.mean_ms,
        spread_ms: figures.spread_ms,
        loss_percent: figures.loss * 100.0,
        ..Standing::default()
    })
}

fn weighed(weights: Weights, absolute: f64, percent: f64) -> Policy {
    Policy {
        scorer: Scorer::Weighed(weights),
        margin: Margin { absolute, percent },
        ..Policy::default()
    }
}

/// A time around `mean`, with a jitter of 30 percent.
fn normal(random: &mut Random, mean: f64) -> Option<f64> {
    Some(mean * (1.0 + 0.3 * random.normal()))
}

fn uniform(random: &mut Random, mean: f64) -> Option<f64> {
    Some(mean * (0.7 + 0.6 * random.next()))
}

/// Changes of a day in which two equal sites are probed each ten seconds.
fn changes_of_a_day(policy: Policy, mut time_ms: impl FnMut() -> Option<f64>) -> usize {
    let mut day = Day::new(2, policy);
    (0..8640).for_each(|_| day.probe(|_| time_ms()));
    day.changes
}

#[test]
fn a_day_of_noise_makes_at_most_ten_changes() {
    // The owner's margin must not be needed for it.
    for (absolute, percent) in [(1.0, 10.0), (0.0, 0.0)] {
        for seed in 0..20 {
            for jitter in [normal, uniform] {
                let mut random = Random(seed);
                let policy = weighed(Weights::LATENCY, absolute, percent);
                let changes = changes_of_a_day(policy, || jitter(&mut random, 100.0));
                assert!(changes <= 10, "seed {seed}: {changes}");
            }
        }
    }
}

#[test]
fn equal_loss_makes_few_changes() {
    let availability = Weights {
        availability: 1.0,
        ..Weights::NONE
    };
    for seed in 0..10 {
        let mut random = Random(seed);
        let changes = changes_of_a_day(weighed(availability, 1.0, 10.0), || {
            (random.next() >= 0.05).then_some(100.0)
        });
        assert!(changes <= 15, "seed {seed}: {changes}");
    }
}

/// Probes until the answer is another, when the present site's and the other's probes become `mine`
/// and `other`.
fn probes_to_follow(
    seed: u64,
    policy: Policy,
    mut mine: impl FnMut(&mut Random) -> Option<f64>,
    mut other: impl FnMut(&mut Random) -> Option<f64>,
) -> usize {
    let mut random = Random(seed);
    let mut day = Day::new(2, policy);
    (0..200).for_each(|_| day.probe(|_| normal(&mut random, 100.0)));
    let present = day.first();
    let mut probes = 0;
    while day.first() == present && probes < 1000 {
        day.probe(|site| match site == present {
            true => mine(&mut random),
            false => other(&mut random),
        });
        probes += 1;
    }
    probes
}

/// The median over many seeds is `median` at most, the worst is `most`.
fn assert_followed(median: usize, most: usize, probes: impl Fn(u64) -> usize) {
    let mut all: Vec<usize> = (0..40).map(probes).collect();
    all.sort_unstable();
    assert!(all[20] <= median && all[39] <= most, "{all:?}");
}

#[test]
fn a_site_that_becomes_twice_as_slow_is_left() {
    assert_followed(10, 30, |seed| {
        let slow = |random: &mut Random| normal(random, 200.0);
        probes_to_follow(seed, Policy::default(), slow, |random| {
            normal(random, 100.0)
        })
    });
}

#[test]
fn a_site_that_becomes_faster_by_forty_percent_is_gone_to() {
    assert_followed(20, 60, |seed| {
        let same = |random: &mut Random| normal(random, 100.0);
        probes_to_follow(seed, Policy::default(), same, |random| normal(random, 60.0))
    });
}

#[test]
fn a_site_that_loses_a_fifth_of_the_probes_is_left() {
    let availability = Weights {
        availability: 1.0,
        ..Weights::NONE
    };
    assert_followed(30, 120, |seed| {
        let lossy = |random: &mut Random| (random.next() >= 0.2).then_some(100.0);
        let policy = weighed(availability, 1.0, 10.0);
        probes_to_follow(seed, policy, lossy, |_| Some(100.0))
    });
}

#[test]
fn a_site_at_the_edge_of_within_comes_and_goes_seldom() {
    for seed in 0..10 {
        let policy = Policy {
            scorer: Scorer::Sticky,
            filters: vec![Filter::Within {
                time: Duration::from_millis(20),
                percent: 50.0,
            }],
            ..Policy::default()
        };
        let mut random = Random(seed);
        let mut day = Day::new(2, policy);
        (0..8640).for_each(|_| day.probe(|site| normal(&mut random, [100.0, 150.0][site])));
        // Some two thousand times without the wider way out.
        assert!(day.changes <= 40, "seed {seed}: {}", day.changes);
    }
}
