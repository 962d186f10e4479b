//! Reads `[[dns_lb]]`: the DNS-LBs that a node knows besides itself.

use std::collections::HashMap;

use super::{
    DnsLbNode, Node,
    error::ErrorKind,
    names,
    reader::Table,
    report::{At, Found, Report},
    table_sizes,
};
use crate::{
    capacity::{MAX_DNS_LBS, TableFull},
    label::Label,
};

/// The entries that could be read, each with the place of its name.
pub(super) fn read(root: &mut Table<'_>, report: &Report<'_>) -> Vec<Found<DnsLbNode>> {
    let tables = root.tables("dns_lb");
    let mut addresses = Vec::new();
    let mut nodes = Vec::new();
    for mut table in tables {
        let name = table.required("name", "\"lb1.isp1.example\"", names::node_name);
        let address = table.required("address", "\"198.51.100.7\"", |value| value.found_ipv4());
        table.finish(&[]);
        let (Some(name), Some(address)) = (name, address) else {
            continue;
        };
        nodes.push(Found {
            at: name.at,
            value: DnsLbNode {
                label: Label::of_node(&name.value),
                name: name.value,
                address: address.value,
            },
        });
        addresses.push(address);
    }
    report.refuse_duplicates(
        nodes.iter().map(|node| (&node.at, &node.value.name)),
        |name| format!("the dns_lb \"{name}\""),
    );
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| format!("the dns_lb address {address}"),
    );
    refuse_label_collisions(report, &nodes);
    let places = nodes.iter().map(|node| &node.at);
    table_sizes::refuse_overflow(report, places, MAX_DNS_LBS, |needed| TableFull::Vantages {
        needed,
    });
    nodes
}

/// 65 bits of a hash practically never collide; if they do, two nodes would be one to resolvers.
pub(super) fn refuse_label_collisions(report: &Report<'_>, nodes: &[Found<DnsLbNode>]) {
    let mut first: HashMap<Label, &str> = HashMap::new();
    for Found { at, value: node } in nodes {
        let other = first.entry(node.label).or_insert(&node.name);
        if *other != node.name {
            report.add(
                at,
                ErrorKind::Conflict,
                format!(
                    "\"{}\" has the same label as \"{other}\", {}",
                    node.name, node.label
                ),
                "the label follows from the name: give one of the two nodes another name",
            );
        }
    }
}

/// Reports the entries that are this node itself, by name or by address; `why` says why that is wrong.
pub(super) fn refuse_self(report: &Report<'_>, node: &Node, nodes: &[Found<DnsLbNode>], why: &str) {
    for Found { at, value: other } in nodes {
        if other.name == node.name {
            report.add(
                at,
                ErrorKind::Conflict,
                format!("\"{}\" is the name of this node itself", other.name),
                "name another node here, or give this node another name",
            );
        }
        if node.addresses.contains(&other.address) {
            let at = At {
                offset: at.offset,
                key: at.key.replace(".name", ".address"),
            };
            report.add(
                &at,
                ErrorKind::Conflict,
                format!("{} is one of this node's own addresses", other.address),
                why,
            );
        }
    }
}
