//! A DNS-B's zones as data: apex, hosts, what is absent. Rows `b-zone` and `b-negative`.

use std::{collections::HashSet, net::Ipv4Addr};

use dglb_common::{
    counters::Counter,
    query::{TYPE_A, TYPE_NS, TYPE_SOA},
};
use hickory_proto::{op::ResponseCode, rr::Record};

use super::{
    closest::Closest,
    query::Question,
    records::Writer,
    response::Response,
    types::{TYPE_ANY, TYPE_DS},
};
use crate::{
    config::{DnsB, Zone},
    name::OwnerName,
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

    /// The answer to a question in `zone`, for no balanced name and nothing below one.
    pub(super) fn answer(&self, dns_b: &DnsB, zone: usize, question: &Question<'_>) -> Response {
        let zone = &dns_b.zones[zone];
        let writer = Writer::new(question);
        let name = &question.name;
        if *name == zone.apex {
            return at_apex(dns_b, zone, question);
        }
        let addresses = addresses_of(zone, name, &writer);
        if !addresses.is_empty() {
            return match question.qtype {
                TYPE_A => Response::data(Counter::BZone, addresses, Vec::new()),
                TYPE_ANY => {
                    Response::data(Counter::BZone, vec![writer.any(name, zone.ttl)], Vec::new())
                }
                _ => nodata(zone, question, Counter::BZone),
            };
        }
        if self.apexes.exact(name).is_some() {
            // The DS of a cut between two zones of ours.
            return nodata(zone, question, Counter::BZone);
        }
        let soa = writer.negative_soa(&zone.apex, &zone.soa, u32::MAX);
        let rcode = if self.empty.contains(name) {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        Response::negative(Counter::BNegative, rcode, soa)
    }
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
                zones.flat_map(|zone| addresses_of(zone, host, &writer))
            });
            Response::data(Counter::BZone, set.collect(), additional.collect())
        }
        // An apex may be its own name server's host name.
        TYPE_A => match addresses_of(zone, &zone.apex, &writer) {
            addresses if addresses.is_empty() => nodata(zone, question, Counter::BZone),
            addresses => Response::data(Counter::BZone, addresses, Vec::new()),
        },
        _ => nodata(zone, question, Counter::BZone),
    }
}

/// NODATA with the zone's SOA.
pub(super) fn nodata(zone: &Zone, question: &Question<'_>, row: Counter) -> Response {
    let soa = Writer::new(question).negative_soa(&zone.apex, &zone.soa, u32::MAX);
    Response::negative(row, ResponseCode::NoError, soa)
}

fn addresses_of(zone: &Zone, name: &OwnerName, writer: &Writer<'_>) -> Vec<Record> {
    let hosts = zone.hosts.iter().filter(|(host, _)| host == name);
    hosts
        .map(|(host, address): &(OwnerName, Ipv4Addr)| writer.a(host, zone.ttl, *address))
        .collect()
}
