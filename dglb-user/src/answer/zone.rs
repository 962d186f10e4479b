//! A DNS-B's zones as data: apex, hosts, what is absent. Rows `b-zone` and `b-negative`.

use std::{collections::HashSet, net::IpAddr};

use dglb_common::{
    counters::Counter,
    layout::{KIND_NODATA, KIND_NXDOMAIN, NameRole, NameWord},
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};
use hickory_proto::{op::ResponseCode, rr::Record};

use super::{
    asker::Asker,
    closest::Closest,
    lookup::Lookup,
    query::Question,
    records::Writer,
    response::Response,
    types::{TYPE_ANY, TYPE_DS},
};
use crate::{
    config::{DnsB, Zone},
    name::OwnerName,
    tables::Tables,
};

/// The zones of a DNS-B with their names indexed.
#[derive(Debug)]
pub(super) struct Zones {
    apexes: Closest<usize>,
    /// Names that exist although they have no data of their own (RFC 4592 §2.2.2).
    empty: HashSet<OwnerName>,
}

impl Zones {
    /// Indexes what `dns_b` is authoritative for.
    pub(super) fn new(dns_b: &DnsB) -> Self {
        let zones = dns_b.zones.iter().enumerate();
        let apexes = Closest::new(zones.map(|(index, zone)| (&zone.apex, index)));
        let hosts = dns_b.zones.iter().flat_map(|zone| &zone.hosts);
        let names = (hosts.map(|(name, _)| name))
            .chain(dns_b.services.iter().map(|service| &service.name))
            .chain(dns_b.zones.iter().map(|zone| &zone.apex));
        let empty = names
            .flat_map(|name| std::iter::successors(name.parent(), OwnerName::parent))
            .collect();
        Self { apexes, empty }
    }

    /// The zone that data of this type at `name` would be in; `None`: not ours.
    ///
    /// The parent of a zone cut has its DS (RFC 4035 §3.1.4.1); where the parent is not ours, the child
    /// says that it has none.
    pub(super) fn of(&self, name: &OwnerName, qtype: u16) -> Option<usize> {
        let zone = self.apexes.at_or_above(name)?;
        if qtype == TYPE_DS && self.apexes.exact(name) == Some(zone) {
            let parent = name.parent().and_then(|up| self.apexes.at_or_above(&up));
            return Some(parent.unwrap_or(zone));
        }
        Some(zone)
    }

    /// The answer to a question in `zone`, for no balanced name and nothing that was delegated.
    pub(super) fn answer(
        &self,
        dns_b: &DnsB,
        tables: &Tables,
        zone: usize,
        question: &Question<'_>,
        asker: &Asker,
    ) -> Response {
        let zone = &dns_b.zones[zone];
        let name = &question.name;
        if *name == zone.apex {
            return at_apex(dns_b, zone, question);
        }
        if zone.hosts.iter().any(|(host, _)| host == name) {
            return at_host(zone, question);
        }
        if self.apexes.exact(name).is_some() {
            // The DS of a cut between two zones of ours.
            return nodata(zone, question, Counter::BZone);
        }
        self.negative(tables, zone, question, asker)
    }

    /// `b-negative`: as it stands in the tables at the closest name, or of our own making where the SOA is
    /// too large for a slot.
    fn negative(
        &self,
        tables: &Tables,
        zone: &Zone,
        question: &Question<'_>,
        asker: &Asker,
    ) -> Response {
        let is_empty = self.empty.contains(&question.name);
        let (rcode, kind) = if is_empty {
            (ResponseCode::NoError, KIND_NODATA)
        } else {
            (ResponseCode::NXDomain, KIND_NXDOMAIN)
        };
        closest_entry(tables, &question.name)
            // An empty name has an entry of its own, what is absent has none.
            .filter(|(entry, word)| {
                let is_here = *entry == question.name && word.role() == NameRole::BEmpty as u8;
                is_empty == is_here && entry.is_at_or_below(&zone.apex)
            })
            .and_then(|(entry, word)| {
                let lookup = Lookup {
                    tables,
                    question,
                    asker,
                    group: word.group(),
                    ttl_at_most: u32::MAX,
                };
                lookup.fixed(kind, &entry)
            })
            .unwrap_or_else(|| {
                let soa = Writer::new(question).negative_soa(&zone.apex, &zone.soa, u32::MAX);
                Response::negative(Counter::BNegative, rcode, soa)
            })
    }
}

/// The longest name of the tables that `name` is or lies below.
fn closest_entry(tables: &Tables, name: &OwnerName) -> Option<(OwnerName, NameWord)> {
    std::iter::successors(Some(name.clone()), OwnerName::parent).find_map(|name| {
        let word = NameWord(tables.name(&name)?.word);
        Some((name, word))
    })
}

/// Data of an apex; NODATA for all that it does not have.
pub(super) fn at_apex(dns_b: &DnsB, zone: &Zone, question: &Question<'_>) -> Response {
    let writer = Writer::new(question);
    let one = |record| Response::data(Counter::BZone, vec![record], Vec::new());
    match question.qtype {
        TYPE_SOA => one(writer.soa(&zone.apex, &zone.soa, zone.soa.ttl)),
        TYPE_ANY => one(writer.any(&zone.apex, zone.ttl)),
        TYPE_NS => {
            let set = zone.ns.iter();
            let set = set.map(|host| writer.ns(&zone.apex, zone.ttl, host));
            let additional = zone.ns.iter().flat_map(|host| {
                let zones = dns_b.zones.iter();
                zones.flat_map(|zone| addresses_of(zone, host, None, &writer))
            });
            Response::data(Counter::BZone, set.collect(), additional.collect())
        }
        // An apex may be its own name server's host name.
        _ => at_host(zone, question),
    }
}

/// A name with addresses; NODATA for all that it does not have.
fn at_host(zone: &Zone, question: &Question<'_>) -> Response {
    let writer = Writer::new(question);
    let name = &question.name;
    let records = match question.qtype {
        TYPE_ANY => vec![writer.any(name, zone.ttl)],
        TYPE_A | TYPE_AAAA => addresses_of(zone, name, Some(question.qtype), &writer),
        _ => Vec::new(),
    };
    if records.is_empty() {
        return nodata(zone, question, Counter::BZone);
    }
    Response::data(Counter::BZone, records, Vec::new())
}

/// NODATA with the zone's SOA.
pub(super) fn nodata(zone: &Zone, question: &Question<'_>, row: Counter) -> Response {
    let soa = Writer::new(question).negative_soa(&zone.apex, &zone.soa, u32::MAX);
    Response::negative(row, ResponseCode::NoError, soa)
}

/// Address records of `name` in `zone`, of one type or of both.
fn addresses_of(
    zone: &Zone,
    name: &OwnerName,
    qtype: Option<u16>,
    writer: &Writer<'_>,
) -> Vec<Record> {
    let is_asked = |address: &IpAddr| match qtype {
        Some(TYPE_A) => address.is_ipv4(),
        Some(TYPE_AAAA) => address.is_ipv6(),
        _ => true,
    };
    let hosts = zone.hosts.iter();
    hosts
        .filter(|(host, address)| host == name && is_asked(address))
        .map(|(host, address)| writer.address(host, zone.ttl, *address))
        .collect()
}
