//! Reads `[service.policy]`: which sites are answered. What the policy names must be there.

mod filter;
mod scorer;

use std::{collections::HashSet, time::Duration};

use self::scorer::ReadScorer;
use super::{
    AllDown, Margin, Node, Overflow, Policy, Probe, ProbeKind, Tier, UnknownSites,
    error::ErrorKind,
    names,
    reader::Table,
    report::{Found, Report},
    site::ReadSite,
    value::Value,
    words,
};
use crate::event::MAX_LISTED;

const DAY: Duration = Duration::from_secs(86_400);

/// The most sites that a tier may want.
const MAX_MIN_SITES: u32 = 1000;
/// The most percent that anything may be of a capacity, or of a time.
const MAX_PERCENT: f64 = 10_000.0;
/// The most that a margin may be, in the unit of scores.
const MAX_MARGIN: f64 = 1e9;

const UNKNOWN: [(&str, UnknownSites); 2] = [
    ("serve", UnknownSites::Serve),
    ("exclude", UnknownSites::Exclude),
];

/// [`AllDown`] without the addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Despair {
    AllSites,
    LastGood,
    Servfail,
    Fallback,
}

const ALL_DOWN: [(&str, Despair); 4] = [
    ("all-sites", Despair::AllSites),
    ("last-good", Despair::LastGood),
    ("servfail", Despair::Servfail),
    ("fallback", Despair::Fallback),
];

/// What a policy can name, or counts on.
pub(super) struct Context<'c> {
    /// The service's sites.
    pub sites: &'c [ReadSite],
    /// Whether all of them could be read.
    pub sites_are_complete: bool,
    /// The service's probe; `None` when there is something wrong with it.
    pub probe: Option<&'c Probe>,
    /// The node; `None` when it could not be read.
    pub node: Option<&'c Node>,
}

impl Context<'_> {
    /// Reports what stands `at` a key and would be without effect, as no site tells its load.
    fn require_load(&self, table: &Table<'_>, report: &Report<'_>, key: &str, what: &str) {
        let Some(probe) = self.probe else { return };
        let is_told = match &probe.kind {
            ProbeKind::Http(http) => http.load.is_some(),
            ProbeKind::Tcp { .. } | ProbeKind::Icmp | ProbeKind::Command { .. } => false,
        };
        if !is_told {
            report.add(
                &table.at_key(key),
                ErrorKind::Conflict,
                format!("{what} goes by the load of the sites, and no site tells it"),
                "add load = \"header:X-Load\" or load = \"json\" to [service.probe], of type \"http\" or \
                 \"https\"",
            );
        }
    }
}

/// Reads the policy, which may be absent, and places the sites in its tiers: the numbers of the tiers, as
/// many as sites.
pub(super) fn read(
    service: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
) -> (Policy, Vec<usize>) {
    let before = report.count();
    let Some(mut table) = service.table("policy") else {
        let tiers = match report.count() == before {
            true => place(report, context, &[]),
            false => Vec::new(),
        };
        return (Policy::default(), tiers);
    };
    let tiers = tiers(&mut table, report);
    let tiers_are_complete = report.count() == before;
    let scorer = scorer::read(&mut table, report, context);
    let answers = table.or("answers", 1, |value| {
        Some(value.number(1..=MAX_LISTED as u32, ", what one answer lists")? as usize)
    });
    let margin = margin(&mut table);
    let overflow = overflow(&mut table, report, context);
    let ramp = table.or("ramp", Duration::ZERO, |value| {
        value.duration(Duration::ZERO..=DAY)
    });
    let unknown = table.or("unknown", UnknownSites::Serve, |value| {
        value.word("way to treat unknown sites", &UNKNOWN)
    });
    let all_down = all_down(&mut table, report);
    let filters = filter::read_all(&mut table, report, context);
    check_answers(&table, report, answers, scorer.as_ref());
    table.finish(&[]);
    let places = match tiers_are_complete {
        true => place(report, context, &tiers),
        false => Vec::new(),
    };
    let standard = Policy::default();
    let policy = Policy {
        tiers: match tiers.is_empty() {
            true => standard.tiers,
            false => tiers,
        },
        filters,
        scorer: scorer.map_or(standard.scorer, ReadScorer::into_scorer),
        answers,
        margin,
        overflow,
        ramp,
        unknown,
        all_down,
    };
    (policy, places)
}

fn tiers(table: &mut Table<'_>, report: &Report<'_>) -> Vec<Tier> {
    if table.is_empty_list("tiers") {
        report.add(
            &table.at_key("tiers"),
            ErrorKind::OutOfRange,
            "the list is empty, at least one tier is needed",
            "write tiers = [{ name = \"primary\" }, { name = \"backup\" }], or remove it",
        );
    }
    let (mut names, mut tiers) = (Vec::new(), Vec::new());
    for mut tier in table.tables("tiers") {
        let name = tier.required("name", "\"primary\"", |value| {
            names::for_people(value, "tier")
        });
        let min_sites = tier.or("min_sites", 1, |value| value.number(1..=MAX_MIN_SITES, ""));
        tier.finish(&[]);
        if let Some(name) = &name {
            tiers.push(Tier {
                name: name.value.to_owned(),
                min_sites: min_sites as usize,
            });
        }
        names.extend(name);
    }
    report.refuse_duplicates(names.iter().map(|name| (&name.at, name.value)), |name| {
        format!("the tier \"{name}\"")
    });
    tiers
}

/// The tier of each site; the first one is that of sites that name none.
fn place(report: &Report<'_>, context: &Context<'_>, tiers: &[Tier]) -> Vec<usize> {
    let place = |site: &ReadSite| {
        let Some(wanted) = &site.tier else { return 0 };
        let found = tiers.iter().position(|tier| tier.name == wanted.value);
        if found.is_none() {
            refuse_tier(report, wanted, tiers);
        }
        found.unwrap_or(0)
    };
    context.sites.iter().map(place).collect()
}

fn refuse_tier(report: &Report<'_>, wanted: &Found<String>, tiers: &[Tier]) {
    let known: Vec<_> = tiers.iter().map(|tier| tier.name.as_str()).collect();
    let name = wanted.value.escape_debug();
    let remedy = match known.is_empty() {
        true => format!("add tiers = [{{ name = \"{name}\" }}] to [service.policy], or remove it"),
        false => words::remedy(&wanted.value, &known),
    };
    report.add(
        &wanted.at,
        ErrorKind::Conflict,
        format!("the service's policy has no tier \"{name}\""),
        remedy,
    );
}

fn margin(table: &mut Table<'_>) -> Margin {
    let standard = Margin::default();
    let Some(mut margin) = table.table("margin") else {
        return standard;
    };
    let absolute = margin.or("absolute", standard.absolute, |value| {
        value.decimal(0.0..=MAX_MARGIN, "")
    });
    let percent = margin.or("percent", standard.percent, percent);
    margin.finish(&[]);
    Margin { absolute, percent }
}

fn overflow(table: &mut Table<'_>, report: &Report<'_>, context: &Context<'_>) -> Option<Overflow> {
    let mut overflow = table.table("overflow")?;
    let from = overflow.or("from", 80.0, percent);
    let full = overflow.or("full", 100.0, percent);
    let step = overflow.or("step", 10.0, |value| value.decimal(1.0..=100.0, " percent"));
    if from >= full {
        let key = if overflow.has("from") { "from" } else { "full" };
        report.add(
            &overflow.at_key(key),
            ErrorKind::Conflict,
            format!(
                "overflow begins at {from} % of the capacity, and all is given away at {full} %"
            ),
            "make from less than full",
        );
    }
    overflow.finish(&[]);
    context.require_load(table, report, "overflow", "overflow");
    Some(Overflow { from, full, step })
}

fn percent(value: Value<'_>) -> Option<f64> {
    value.decimal(0.0..=MAX_PERCENT, " percent")
}

fn all_down(table: &mut Table<'_>, report: &Report<'_>) -> AllDown {
    let ipv4 = table.or("fallback_ipv4", None, |value| value.ipv4().map(Some));
    let ipv6 = table.or("fallback_ipv6", None, |value| value.ipv6().map(Some));
    let chosen = match table.value("all_down") {
        None => Some(Despair::AllSites),
        Some(value) => value.word("answer for all_down", &ALL_DOWN),
    };
    match chosen {
        Some(Despair::Fallback) if !table.has("fallback_ipv4") && !table.has("fallback_ipv6") => {
            report.add(
                &table.at_key("all_down"),
                ErrorKind::Conflict,
                "all_down is \"fallback\", and there is no fallback address",
                "add fallback_ipv4, fallback_ipv6, or both",
            );
        }
        Some(Despair::AllSites | Despair::LastGood | Despair::Servfail) => {
            for key in ["fallback_ipv4", "fallback_ipv6"] {
                table.out_of_place(
                    key,
                    "a fallback address is answered with all_down = \"fallback\" alone",
                    "remove it, or write all_down = \"fallback\"",
                );
            }
        }
        Some(Despair::Fallback) | None => {}
    }
    match chosen {
        Some(Despair::LastGood) => AllDown::LastGood,
        Some(Despair::Servfail) => AllDown::Servfail,
        Some(Despair::Fallback) => AllDown::Fallback { ipv4, ipv6 },
        Some(Despair::AllSites) | None => AllDown::AllSites,
    }
}

/// An answer with several sites divides nothing: all of them are for all clients.
fn check_answers(
    table: &Table<'_>,
    report: &Report<'_>,
    answers: usize,
    scorer: Option<&ReadScorer>,
) {
    if answers < 2 {
        return;
    }
    if let Some(word) = scorer.and_then(ReadScorer::divides) {
        report.add(
            &table.at_key("answers"),
            ErrorKind::Conflict,
            format!("scorer \"{word}\" gives each client one site, an answer with {answers} gives it all"),
            "write answers = 1, or another scorer",
        );
    }
    for key in ["overflow", "ramp"] {
        if table.has(key) {
            report.add(
                &table.at_key(key),
                ErrorKind::Conflict,
                format!(
                    "{key} moves clients from site to site, an answer with {answers} sites leaves the choice \
                     to them"
                ),
                format!("remove {key}, or write answers = 1"),
            );
        }
    }
}

/// What the sites have of something, each once, in their order.
fn distinct<'s>(values: impl Iterator<Item = &'s str>) -> Vec<&'s str> {
    let mut seen = HashSet::new();
    values.filter(|value| seen.insert(*value)).collect()
}
