//! docs/configuration.md names exactly the keys that are accepted.

use std::collections::BTreeSet;

use toml::de::DeTable;

use super::{DNS_B, DNS_LB};
use crate::config::{load::read_document, report::Report};

const DOCUMENT: &str = include_str!("../../../../docs/configuration.md");

/// Every key that was asked for while `text` was read.
fn asked(text: &str) -> BTreeSet<String> {
    let report = Report::new("x.toml", text);
    let document = DeTable::parse(text).expect("an example");
    read_document(document.get_ref(), &report);
    report.asked.into_inner()
}

/// The keys in the first column of the tables below the headline `## {headline}`.
fn documented(headline: &str) -> BTreeSet<String> {
    let section = DOCUMENT
        .split("\n## ")
        .find(|section| section.lines().next() == Some(headline))
        .unwrap_or_else(|| panic!("no section {headline}"));
    let keys: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect();
    let set: BTreeSet<_> = keys.iter().cloned().collect();
    assert_eq!(set.len(), keys.len(), "a key stands twice in {headline}");
    set
}

#[test]
fn the_document_has_the_accepted_keys_and_no_others() {
    // The DNS-B's example has a prefix with a limit of its own, the other one has none; nor has it a margin.
    let prefix = "[[limit.prefix]]\n[map]";
    let dns_lb = DNS_LB
        .replacen("[map]", prefix, 1)
        .replacen("# margin =", "margin =", 1);
    for (role, example) in [("dns-b", DNS_B), ("dns-lb", &dns_lb)] {
        let common = documented("Every role");
        let own = documented(&format!("Role {role}"));
        assert_eq!(common.intersection(&own).count(), 0);
        let documented: BTreeSet<_> = common.union(&own).cloned().collect();
        assert_eq!(documented, asked(example), "role {role}");
    }
}

#[test]
fn every_row_says_type_default_bounds_and_meaning() {
    let rows: Vec<_> = DOCUMENT
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(rows.len() > 40);
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
    }
}

#[test]
fn every_example_in_the_document_is_toml() {
    let mut examples = 0;
    for block in DOCUMENT.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        DeTable::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        examples += 1;
    }
    assert!(examples >= 3);
}
