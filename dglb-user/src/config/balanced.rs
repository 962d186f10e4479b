//! Rules for balanced names that hold in every role.

use std::collections::{BTreeSet, HashMap};

use dglb_common::layout::MAX_LABEL_COUNTS;

use super::{
    Form, MAX_BALANCED_NAME,
    error::ErrorKind,
    names,
    reader::Table,
    report::{At, Found, Report},
    table_sizes,
    value::Value,
};
use crate::{
    capacity::{MAX_NAMES, TableFull},
    name::OwnerName,
};

/// Reads `name`.
pub(super) fn name(table: &mut Table<'_>) -> Option<Found<OwnerName>> {
    table.required("name", "\"www.g.example.com\"", |value| {
        let name = names::served_name(value.clone())?;
        let len = name.value.wire().len();
        if len <= MAX_BALANCED_NAME {
            return Some(name);
        }
        value.refuse(
            ErrorKind::OutOfRange,
            format!("the name has {len} octets on the wire"),
            format!(
                "a balanced name has at most {MAX_BALANCED_NAME}: there must be room for a DNS-LB's \
                 label and \"ns\" before it"
            ),
        )
    })
}

/// Reads `form`.
pub(super) fn form(table: &mut Table<'_>) -> Option<Found<Form>> {
    let read = |value: Value<'_>| match value.text()? {
        "referral" => Some(value.found(Form::Referral)),
        "cname" => Some(value.found(Form::Cname)),
        known @ ("direct" | "cache") => value.refuse(
            ErrorKind::OutOfRange,
            format!("form \"{known}\" has no daemon yet"),
            "write \"referral\" or \"cname\" until a later version answers with addresses at the \
             DNS-B",
        ),
        other => value.refuse(
            ErrorKind::OutOfRange,
            format!("there is no form \"{}\"", other.escape_debug()),
            "write \"referral\" (the name lies below a delegated zone) or \"cname\" (the name \
             itself is delegated)",
        ),
    };
    table.required("form", "\"referral\"", read)
}

/// Checks all balanced names of the node against each other.
pub(super) fn check(report: &Report<'_>, names: &[&Found<OwnerName>]) {
    report.refuse_duplicates(names.iter().map(|name| (&name.at, &name.value)), |name| {
        format!("balanced name {name}")
    });
    let all = Balanced::new(names.iter().copied());
    for name in names {
        let above = name
            .value
            .parent()
            .and_then(|parent| all.at_or_above(&parent));
        let Some((other, other_at)) = above else {
            continue;
        };
        let (line, _) = report.position(other_at.offset);
        report.add(
            &name.at,
            ErrorKind::Conflict,
            format!(
                "{} lies below the balanced name {other} of line {line}",
                name.value
            ),
            "whatever lies below a balanced name is answered with it: remove one of the two, or \
             give them names beside each other",
        );
    }
    check_label_counts(report, names);
    let places = names.iter().map(|name| &name.at);
    table_sizes::refuse_overflow(report, places, MAX_NAMES, |needed| TableFull::Names {
        needed,
    });
}

fn check_label_counts(report: &Report<'_>, names: &[&Found<OwnerName>]) {
    let mut counts = BTreeSet::new();
    for name in names {
        if counts.insert(name.value.label_count()) && counts.len() == MAX_LABEL_COUNTS + 1 {
            report.add(
                &name.at,
                ErrorKind::OutOfRange,
                format!(
                    "the balanced names have more than {MAX_LABEL_COUNTS} different numbers of \
                     labels, with this one of {}",
                    name.value.label_count()
                ),
                "each number of labels costs every query a look-up: give the names similar depths",
            );
        }
    }
}

/// The balanced names, to be looked up by what lies below them.
pub(super) struct Balanced<'a>(HashMap<&'a OwnerName, &'a At>);

impl<'a> Balanced<'a> {
    /// All of `names`.
    pub fn new(names: impl IntoIterator<Item = &'a Found<OwnerName>>) -> Self {
        let entry = |name: &'a Found<OwnerName>| (&name.value, &name.at);
        Self(names.into_iter().map(entry).collect())
    }

    /// The balanced name that `name` is, or lies below of.
    pub fn at_or_above(&self, name: &OwnerName) -> Option<(&'a OwnerName, &'a At)> {
        let mut name = Some(name.clone());
        while let Some(current) = name {
            if let Some((found, at)) = self.0.get_key_value(&current) {
                return Some((found, at));
            }
            name = current.parent();
        }
        None
    }
}
