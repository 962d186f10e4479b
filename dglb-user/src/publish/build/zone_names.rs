//! Which names of a DNS-B's zones stand in the table, and which zones are complete by that.
//!
//! A zone is complete when the kernel may say NXDOMAIN of what it does not find: each of its names, its
//! empty non-terminals and the zones below it are in the table. A node looks up at most
//! [`MAX_LABEL_COUNTS`] numbers of labels. Those of the balanced names come first; a zone whose names
//! would need more has only the names that fit, and its other names are user space's.

use std::collections::{BTreeMap, BTreeSet};

use dglb_common::layout::{MAX_LABEL_COUNTS, NameRole};

use crate::{config::DnsB, name::OwnerName};

/// A name that is no balanced name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneName {
    /// Apex, present, or empty.
    pub role: NameRole,
    /// Index of its zone.
    pub zone: usize,
}

/// The names of all zones.
#[derive(Debug)]
pub struct ZoneNames {
    /// Without balanced names.
    pub names: BTreeMap<OwnerName, ZoneName>,
    /// By zone.
    pub complete: Vec<bool>,
}

impl ZoneNames {
    /// No name: no zone is complete.
    pub fn none(dns_b: &DnsB) -> Self {
        Self {
            names: BTreeMap::new(),
            complete: vec![false; dns_b.zones.len()],
        }
    }

    /// The names that fit.
    pub fn of(dns_b: &DnsB) -> Self {
        let balanced: BTreeSet<&OwnerName> =
            dns_b.services.iter().map(|service| &service.name).collect();
        let all = all_names(dns_b);
        let mut counts: BTreeSet<usize> = balanced.iter().map(|name| name.label_count()).collect();
        let mut complete = Vec::with_capacity(dns_b.zones.len());
        for zone in needed_counts(dns_b, &all) {
            let more: BTreeSet<usize> = counts.union(&zone).copied().collect();
            let fits = more.len() <= MAX_LABEL_COUNTS;
            if fits {
                counts = more;
            }
            complete.push(fits);
        }
        // A zone that came early may lack what one that came later brought in.
        let names = all
            .into_iter()
            .filter(|(name, _)| counts.contains(&name.label_count()) && !balanced.contains(name))
            .collect();
        Self { names, complete }
    }
}

/// Every name of every zone that is in it by data or by what lies below, balanced names among them.
fn all_names(dns_b: &DnsB) -> BTreeMap<OwnerName, ZoneName> {
    let apexes: BTreeMap<&OwnerName, usize> = dns_b
        .zones
        .iter()
        .enumerate()
        .map(|(index, zone)| (&zone.apex, index))
        .collect();
    let home = |name: &OwnerName| {
        std::iter::successors(Some(name.clone()), OwnerName::parent)
            .find_map(|name| apexes.get(&name).copied())
    };
    let mut names = BTreeMap::new();
    for (zone, apex) in dns_b.zones.iter().map(|zone| &zone.apex).enumerate() {
        let role = NameRole::BApex;
        names.insert(apex.clone(), ZoneName { role, zone });
    }
    let hosts = dns_b.zones.iter().flat_map(|zone| &zone.hosts);
    let hosts = hosts.map(|(host, _)| host);
    let services = dns_b.services.iter().map(|service| &service.name);
    for name in hosts.chain(services) {
        if let Some(zone) = home(name) {
            let role = NameRole::BPresent;
            names.entry(name.clone()).or_insert(ZoneName { role, zone });
        }
    }
    // What lies between one of them and the apex above it (RFC 4592 §2.2.2).
    let present: Vec<OwnerName> = names.keys().cloned().collect();
    for name in present {
        for above in std::iter::successors(name.parent(), OwnerName::parent) {
            let Some(zone) = home(&above) else { break };
            let role = NameRole::BEmpty;
            names.entry(above).or_insert(ZoneName { role, zone });
        }
    }
    names
}

/// By zone, the numbers of labels without which it is not complete: of its names, and of the apexes of
/// the zones right below it, without which their names would seem to be absent.
fn needed_counts(dns_b: &DnsB, names: &BTreeMap<OwnerName, ZoneName>) -> Vec<BTreeSet<usize>> {
    let mut counts = vec![BTreeSet::new(); dns_b.zones.len()];
    for (name, ZoneName { role, zone }) in names {
        counts[*zone].insert(name.label_count());
        let parent = name.parent().filter(|_| *role == NameRole::BApex);
        let above = std::iter::successors(parent, OwnerName::parent)
            .find_map(|name| names.get(&name).map(|name| name.zone));
        if let Some(above) = above {
            counts[above].insert(name.label_count());
        }
    }
    counts
}
