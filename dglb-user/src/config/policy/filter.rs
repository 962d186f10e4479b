//! `[[service.policy.filter]]`: what keeps a site.

use std::time::Duration;

use super::{Context, distinct, percent};
use crate::config::{
    Family, Filter,
    error::ErrorKind,
    names,
    reader::Table,
    report::{Found, Report},
    words,
};

/// The longest time within which sites may be of the fastest.
const MAX_TIME: Duration = Duration::from_secs(60);
/// Percent of the capacity when the file says nothing.
const BELOW_CAPACITY: f64 = 90.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Healthy,
    Within,
    Region,
    Tag,
    Family,
    BelowCapacity,
}

const TYPES: [(&str, Type); 6] = [
    ("healthy", Type::Healthy),
    ("within", Type::Within),
    ("region", Type::Region),
    ("tag", Type::Tag),
    ("family", Type::Family),
    ("below-capacity", Type::BelowCapacity),
];

const FAMILIES: [(&str, Family); 2] = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];

/// The keys beside `type`, with the types that have them.
const KEYS: [(&str, &[Type], &str); 4] = [
    ("time", &[Type::Within], "\"within\""),
    (
        "percent",
        &[Type::Within, Type::BelowCapacity],
        "\"within\" or \"below-capacity\"",
    ),
    (
        "any_of",
        &[Type::Region, Type::Tag],
        "\"region\" or \"tag\"",
    ),
    ("has", &[Type::Family], "\"family\""),
];

/// Reads the chain, which may be empty.
pub(super) fn read_all(
    policy: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
) -> Vec<Filter> {
    let filters = policy.tables("filter");
    filters
        .into_iter()
        .filter_map(|table| read(table, report, context))
        .collect()
}

fn read(mut table: Table<'_>, report: &Report<'_>, context: &Context<'_>) -> Option<Filter> {
    let kind = table.required("type", "\"healthy\"", |value| value.word("filter", &TYPES));
    for (key, of, names) in KEYS {
        match kind {
            Some(kind) if !of.contains(&kind) => {
                let why = format!("only a filter of type {names} has {key}");
                table.out_of_place(key, &why, "remove it");
            }
            // Asked for below, or of no matter: the type is unknown.
            Some(_) | None => {
                table.value(key);
            }
        }
    }
    let filter = kind.and_then(|kind| read_kind(&mut table, report, context, kind));
    table.finish(&[]);
    filter
}

fn read_kind(
    table: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
    kind: Type,
) -> Option<Filter> {
    let sites = || context.sites.iter().map(|site| &site.site);
    match kind {
        Type::Healthy => Some(Filter::Healthy),
        Type::Within => {
            if !table.has("time") && !table.has("percent") {
                table.missing("time", "add time = \"20ms\", percent = 50, or both");
            }
            let time = table.or("time", Duration::ZERO, |value| {
                value.duration(Duration::ZERO..=MAX_TIME)
            });
            let percent = table.or("percent", 0.0, percent);
            Some(Filter::Within { time, percent })
        }
        Type::Region => {
            let known = distinct(sites().filter_map(|site| site.region.as_deref()));
            let any_of = any_of(table, report, context, "region", &known);
            Some(Filter::Region(any_of))
        }
        Type::Tag => {
            let known = distinct(sites().flat_map(|site| site.tags.iter().map(String::as_str)));
            let any_of = any_of(table, report, context, "tag", &known);
            Some(Filter::Tag(any_of))
        }
        Type::Family => {
            let has = table.required("has", "\"ipv6\"", |value| value.word("family", &FAMILIES))?;
            if context.sites_are_complete && !sites().any(|site| site.has(has)) {
                report.add(
                    &table.at_key("has"),
                    ErrorKind::Conflict,
                    "no site has an address of this family: nothing would be left",
                    "add the address to a [[service.site]], or remove the filter",
                );
            }
            Some(Filter::Family(has))
        }
        Type::BelowCapacity => {
            let percent = table.or("percent", BELOW_CAPACITY, percent);
            context.require_load(table, report, "type", "this filter");
            Some(Filter::BelowCapacity { percent })
        }
    }
}

/// Regions or tags, each of which a site must have.
fn any_of(
    table: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
    what: &str,
    known: &[&str],
) -> Vec<String> {
    let names: Vec<Found<&str>> =
        table.required_list("any_of", "\"europe\"", |item| names::for_people(item, what));
    report.refuse_duplicates(names.iter().map(|name| (&name.at, name.value)), |name| {
        format!("the {what} \"{name}\"")
    });
    for name in &names {
        if context.sites_are_complete && !known.contains(&name.value) {
            report.add(
                &name.at,
                ErrorKind::Conflict,
                format!(
                    "no site of this service has the {what} \"{}\"",
                    name.value.escape_debug()
                ),
                words::remedy(name.value, known),
            );
        }
    }
    names
        .into_iter()
        .map(|name| name.value.to_owned())
        .collect()
}
