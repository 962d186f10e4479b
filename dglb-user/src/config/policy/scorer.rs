//! `scorer` and `weights`: what makes a site better than another.

use super::Context;
use crate::config::{Scorer, Weights, error::ErrorKind, reader::Table, report::Report};

/// The most that a weight may be.
const MAX_WEIGHT: f64 = 1e6;

/// The scorers by their names in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Latency,
    Availability,
    Load,
    Cost,
    Distance,
    Weighed,
    Random,
    Failover,
    Sticky,
}

const WORDS: [(&str, Word); 9] = [
    ("latency", Word::Latency),
    ("availability", Word::Availability),
    ("load", Word::Load),
    ("cost", Word::Cost),
    ("distance", Word::Distance),
    ("weighed", Word::Weighed),
    ("random", Word::Random),
    ("failover", Word::Failover),
    ("sticky", Word::Sticky),
];

/// The scorer as it was written.
pub(super) struct ReadScorer {
    word: Word,
    scorer: Scorer,
}

impl ReadScorer {
    /// The scorer.
    pub fn into_scorer(self) -> Scorer {
        self.scorer
    }

    /// Its name, if it gives each client one of several sites.
    pub fn divides(&self) -> Option<&'static str> {
        match self.word {
            Word::Random => Some("random"),
            Word::Sticky => Some("sticky"),
            Word::Latency
            | Word::Availability
            | Word::Load
            | Word::Cost
            | Word::Distance
            | Word::Weighed
            | Word::Failover => None,
        }
    }
}

/// Reads the two keys; `None` when the scorer is none that there is.
pub(super) fn read(
    policy: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
) -> Option<ReadScorer> {
    let word = match policy.value("scorer") {
        None => Some(Word::Latency),
        Some(value) => value.word("scorer", &WORDS),
    };
    let before = report.count();
    let weights = weights(policy);
    let weights_are_read = report.count() == before;
    let word = word?;
    let none = Weights::NONE;
    let scorer = match word {
        Word::Latency => Scorer::Weighed(Weights::LATENCY),
        Word::Availability => Scorer::Weighed(Weights {
            availability: 1.0,
            ..none
        }),
        Word::Load => Scorer::Weighed(Weights { load: 1.0, ..none }),
        Word::Cost => Scorer::Weighed(Weights { cost: 1.0, ..none }),
        Word::Distance => Scorer::Weighed(Weights {
            distance: 1.0,
            ..none
        }),
        Word::Weighed => Scorer::Weighed(weights.unwrap_or(Weights::LATENCY)),
        Word::Random => Scorer::Random,
        Word::Failover => Scorer::Failover,
        Word::Sticky => Scorer::Sticky,
    };
    match (word, weights) {
        (Word::Weighed, None) if !policy.has("weights") => {
            let remedy =
                "add weights = { latency = 1, cost = 2 }: what is summed, and how much each counts";
            policy.missing("weights", remedy);
        }
        (Word::Weighed, Some(weights)) if weights_are_read && weights == Weights::NONE => report
            .add(
                &policy.at_key("weights"),
                ErrorKind::Conflict,
                "all weights are 0: no site would be better than another",
                "give one of latency, availability, load, cost, distance a weight above 0",
            ),
        (Word::Weighed, _) => {}
        _ => policy.out_of_place(
            "weights",
            "only scorer \"weighed\" has weights",
            "remove it, or write scorer = \"weighed\"",
        ),
    }
    check_inputs(policy, report, context, &scorer);
    Some(ReadScorer { word, scorer })
}

fn weights(policy: &mut Table<'_>) -> Option<Weights> {
    let mut table = policy.table("weights")?;
    let mut weight = |key| table.or(key, 0.0, |value| value.decimal(0.0..=MAX_WEIGHT, ""));
    let weights = Weights {
        latency: weight("latency"),
        availability: weight("availability"),
        load: weight("load"),
        cost: weight("cost"),
        distance: weight("distance"),
    };
    table.finish(&[]);
    Some(weights)
}

/// What the scorer goes by must be known.
fn check_inputs(policy: &Table<'_>, report: &Report<'_>, context: &Context<'_>, scorer: &Scorer) {
    let key = match policy.has("weights") {
        true => "weights",
        false => "scorer",
    };
    match scorer {
        Scorer::Weighed(weights) => {
            if weights.load > 0.0 {
                context.require_load(policy, report, key, "this scorer");
            }
            if weights.distance > 0.0 {
                require_places(policy, report, context, key);
            }
        }
        Scorer::Random | Scorer::Sticky => {
            let all_zero = context.sites.iter().all(|site| site.site.weight == 0);
            if context.sites_are_complete && !context.sites.is_empty() && all_zero {
                report.add(
                    &policy.at_key(key),
                    ErrorKind::Conflict,
                    "the clients are divided by the sites' weights, and all of them are 0",
                    "give one of the sites a weight above 0",
                );
            }
        }
        Scorer::Failover => {}
    }
}

fn require_places(policy: &Table<'_>, report: &Report<'_>, context: &Context<'_>, key: &str) {
    let node_is_lost = context.node.is_some_and(|node| node.location.is_none());
    let sites = context.sites;
    let sites_are_lost = sites.iter().all(|site| site.site.location.is_none());
    let (what, remedy) = if node_is_lost {
        (
            "this node does not know where it stands",
            "add location = \"52.5167, 13.4\" to [node]",
        )
    } else if sites_are_lost && context.sites_are_complete && !sites.is_empty() {
        (
            "no site says where it stands",
            "add location = \"52.5167, 13.4\" to the [[service.site]]s",
        )
    } else {
        return;
    };
    report.add(
        &policy.at_key(key),
        ErrorKind::Conflict,
        format!("this scorer goes by the distance, and {what}"),
        remedy,
    );
}
