//! Reads `[[zone]]`: what is delegated to a DNS-B.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use super::{
    Soa, Zone,
    balanced::Balanced,
    error::ErrorKind,
    names,
    reader::Table,
    report::{Found, Report},
    soa,
};
use crate::name::OwnerName;

/// A zone with the places of its names.
pub(super) struct ReadZone {
    /// Its apex.
    pub apex: Found<OwnerName>,
    soa: Soa,
    ns: Vec<Found<OwnerName>>,
    ttl: u32,
    hosts: Vec<(Found<OwnerName>, Found<IpAddr>)>,
}

/// Reads all zones.
pub(super) fn read_all(root: &mut Table<'_>, report: &Report<'_>) -> Vec<ReadZone> {
    let tables = root.tables("zone");
    let zones: Vec<_> = tables
        .into_iter()
        .filter_map(|table| read(table, report))
        .collect();
    report.refuse_duplicates(
        zones.iter().map(|zone| (&zone.apex.at, &zone.apex.value)),
        |apex| format!("zone {apex}"),
    );
    zones
}

fn read(mut table: Table<'_>, report: &Report<'_>) -> Option<ReadZone> {
    let apex = table.required("apex", "\"g.example.com\"", names::served_name);
    let ns = table.required_list("ns", "\"ns1.g.example.com\"", names::served_name);
    report.refuse_duplicates(ns.iter().map(|ns| (&ns.at, &ns.value)), |ns| {
        format!("name server {ns}")
    });
    let ttl = table.or("ttl", 86_400, soa::lasting_ttl);
    let soa = soa::read(&mut table);
    let mut hosts = Vec::new();
    for host in table.tables("host") {
        hosts.extend(read_host(host));
    }
    report.refuse_duplicates(
        hosts
            .iter()
            .map(|(name, address)| (&address.at, (&name.value, address.value))),
        |(name, address)| format!("host {name} with address {address}"),
    );
    table.finish(&[]);
    Some(ReadZone {
        apex: apex?,
        soa: soa?,
        ns,
        ttl,
        hosts,
    })
}

/// The address records of a host: one of each family at most, for more the host stands here again.
fn read_host(mut table: Table<'_>) -> Vec<(Found<OwnerName>, Found<IpAddr>)> {
    let name = table.required("name", "\"ns1.g.example.com\"", names::served_name);
    let v4 = table.or("ipv4", None, |value| value.found_ipv4().map(Some));
    let v6 = table.or("ipv6", None, |value| value.found_ipv6().map(Some));
    if !table.has("ipv4") && !table.has("ipv6") {
        table.missing("ipv4", "add ipv4 = \"192.0.2.53\", or the host's ipv6");
    }
    table.finish(&[]);
    let Some(name) = name else {
        return Vec::new();
    };
    let v4 = v4.map(|found| {
        let value = IpAddr::V4(found.value);
        Found {
            at: found.at,
            value,
        }
    });
    let v6 = v6.map(|found| {
        let value = IpAddr::V6(found.value);
        Found {
            at: found.at,
            value,
        }
    });
    let addresses = v4.into_iter().chain(v6);
    addresses.map(|address| (name.clone(), address)).collect()
}

/// The zones by their apexes.
pub(super) struct Zones(HashMap<OwnerName, usize>);

impl Zones {
    /// An index of `zones`.
    pub fn new(zones: &[ReadZone]) -> Self {
        let apexes = zones.iter().map(|zone| zone.apex.value.clone());
        Self(apexes.zip(0..).collect())
    }

    /// The index of the zone with the longest apex that `name` is or lies below of.
    pub fn of(&self, name: &OwnerName) -> Option<usize> {
        let mut name = Some(name.clone());
        while let Some(current) = name {
            if let Some(index) = self.0.get(&current) {
                return Some(*index);
            }
            name = current.parent();
        }
        None
    }
}

/// Checks name servers and hosts against all zones and balanced names.
pub(super) fn check(report: &Report<'_>, zones: &[ReadZone], balanced: &Balanced<'_>) {
    let index = Zones::new(zones);
    let hosts: HashSet<&OwnerName> = zones
        .iter()
        .flat_map(|zone| zone.hosts.iter().map(|(name, _)| &name.value))
        .collect();
    for (own, zone) in zones.iter().enumerate() {
        check_apex(report, zone, balanced);
        for ns in &zone.ns {
            if refuse_balanced(report, ns, "a name server", balanced) {
                continue;
            }
            if let Some(home) = index.of(&ns.value).filter(|_| !hosts.contains(&ns.value)) {
                report.add(
                    &ns.at,
                    ErrorKind::Conflict,
                    format!(
                        "{} lies in the zone {}, which has no address for it",
                        ns.value, zones[home].apex.value
                    ),
                    format!(
                        "add to that zone a [[zone.host]] with name = \"{}\" and its ipv4 or ipv6",
                        ns.value
                    ),
                );
            }
        }
        // A host with two addresses stands here twice; what is wrong with its name is said once.
        let mut places = HashSet::new();
        let hosts = zone.hosts.iter().map(|(host, _)| host);
        for host in hosts.filter(|host| places.insert(host.at.offset)) {
            if !refuse_balanced(report, host, "a host", balanced) {
                check_home(report, host, own, zones, &index);
            }
        }
    }
}

/// A zone below a balanced name would never be asked for.
fn check_apex(report: &Report<'_>, zone: &ReadZone, balanced: &Balanced<'_>) {
    let above = zone.apex.value.parent();
    if let Some((name, _)) = above.and_then(|parent| balanced.at_or_above(&parent)) {
        report.add(
            &zone.apex.at,
            ErrorKind::Conflict,
            format!(
                "the zone {} lies below the balanced name {name}",
                zone.apex.value
            ),
            "remove the zone, or give it a name beside the balanced name",
        );
    }
}

fn check_home(
    report: &Report<'_>,
    host: &Found<OwnerName>,
    own: usize,
    zones: &[ReadZone],
    index: &Zones,
) {
    let home = index.of(&host.value);
    if home == Some(own) {
        return;
    }
    let remedy = match home {
        Some(home) => format!("move it to the zone {}", zones[home].apex.value),
        None => "remove it: its own zone's servers give its address".to_owned(),
    };
    report.add(
        &host.at,
        ErrorKind::Conflict,
        format!(
            "{} does not lie in the zone {}",
            host.value, zones[own].apex.value
        ),
        remedy,
    );
}

/// Reports a name at or below a balanced name, where only referrals or the CNAME are answered.
fn refuse_balanced(
    report: &Report<'_>,
    name: &Found<OwnerName>,
    what: &str,
    balanced: &Balanced<'_>,
) -> bool {
    let Some((service, _)) = balanced.at_or_above(&name.value) else {
        return false;
    };
    let relation = if *service == name.value {
        "is"
    } else {
        "lies below"
    };
    report.add(
        &name.at,
        ErrorKind::Conflict,
        format!(
            "{what} can't be called {}: it {relation} the balanced name {service}, its address \
             would not be answered",
            name.value
        ),
        "take a name that is neither a balanced name nor below one",
    );
    true
}

impl From<ReadZone> for Zone {
    fn from(zone: ReadZone) -> Self {
        Self {
            apex: zone.apex.value,
            soa: zone.soa,
            ns: zone.ns.into_iter().map(|ns| ns.value).collect(),
            ttl: zone.ttl,
            hosts: zone
                .hosts
                .into_iter()
                .map(|(name, address)| (name.value, address.value))
                .collect(),
        }
    }
}
