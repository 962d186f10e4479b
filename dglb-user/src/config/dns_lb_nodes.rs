//! Reads `[[dns_lb]]`: the DNS-LBs that a node knows besides itself.

use std::{collections::HashMap, net::IpAddr};

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

/// Whether the entries may name a backup.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backups {
    /// At a DNS-B.
    Named,
    /// At a DNS-LB.
    Elsewhere,
}

/// The entries that could be read, each with the place of its name.
pub(super) fn read(
    root: &mut Table<'_>,
    report: &Report<'_>,
    backups: Backups,
) -> Vec<Found<DnsLbNode>> {
    let before = report.count();
    let tables = root.tables("dns_lb");
    let mut addresses = Vec::new();
    let mut addresses_v6 = Vec::new();
    let mut wanted = Vec::new();
    let mut nodes = Vec::new();
    for mut table in tables {
        let name = table.required("name", "\"lb1.isp1.example\"", names::node_name);
        let address = table.required("address", "\"198.51.100.7\"", |value| value.found_ipv4());
        let address_v6 = table.or("address_v6", None, |value| value.found_ipv6().map(Some));
        let backup = match backups {
            Backups::Named => table.or("backup", None, |value| names::node_name(value).map(Some)),
            Backups::Elsewhere => None,
        };
        table.finish(&[(
            "backup",
            "remove it: the DNS-Bs name it, it stands in their files",
        )]);
        let (Some(name), Some(address)) = (name, address) else {
            continue;
        };
        nodes.push(Found {
            at: name.at,
            value: DnsLbNode {
                label: Label::of_node(&name.value),
                name: name.value,
                address: address.value,
                address_v6: address_v6.as_ref().map(|found| found.value),
                backup: None,
            },
        });
        addresses.push(address);
        addresses_v6.extend(address_v6);
        wanted.push(backup);
    }
    if report.count() == before {
        find_backups(report, &mut nodes, &wanted);
    }
    report.refuse_duplicates(
        nodes.iter().map(|node| (&node.at, &node.value.name)),
        |name| format!("the dns_lb \"{name}\""),
    );
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| format!("the dns_lb address {address}"),
    );
    report.refuse_duplicates(
        addresses_v6.iter().map(|found| (&found.at, found.value)),
        |address| format!("the dns_lb address {address}"),
    );
    refuse_label_collisions(report, &nodes);
    let places = nodes.iter().map(|node| &node.at);
    table_sizes::refuse_overflow(report, places, MAX_DNS_LBS, |needed| TableFull::Vantages {
        needed,
    });
    nodes
}

/// Finds each backup that is named: another one of the nodes. `wanted` is as long as `nodes`.
fn find_backups(
    report: &Report<'_>,
    nodes: &mut [Found<DnsLbNode>],
    wanted: &[Option<Found<String>>],
) {
    let places: HashMap<String, usize> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| (node.value.name.clone(), index))
        .collect();
    for (index, wanted) in wanted.iter().enumerate() {
        let Some(wanted) = wanted else { continue };
        match places.get(&wanted.value) {
            Some(&place) if place != index => nodes[index].value.backup = Some(place),
            Some(_) => report.add(
                &wanted.at,
                ErrorKind::Conflict,
                format!("\"{}\" can't be its own backup", wanted.value),
                "name another [[dns_lb]], or remove backup",
            ),
            None => report.add(
                &wanted.at,
                ErrorKind::Conflict,
                format!("no [[dns_lb]] has the name \"{}\"", wanted.value),
                "add it, or name another one that is there",
            ),
        }
    }
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
        let v4 = (".address", Some(IpAddr::V4(other.address)));
        let v6 = (".address_v6", other.address_v6.map(IpAddr::V6));
        for (key, address) in [v4, v6] {
            let Some(address) = address.filter(|address| node.addresses.contains(address)) else {
                continue;
            };
            let at = At {
                offset: at.offset,
                key: at.key.replace(".name", key),
            };
            report.add(
                &at,
                ErrorKind::Conflict,
                format!("{address} is one of this node's own addresses"),
                why,
            );
        }
    }
}
