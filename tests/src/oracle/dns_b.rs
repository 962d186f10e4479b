//! The answer table's rows of a DNS-B.

use std::net::Ipv4Addr;

use dglb_common::counters::Counter;
use dglb_user::config::{BService, DnsB, DnsLbNode, Form, Zone};
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};

use super::{Expected, a, below, hinfo, is_label_form, is_type, label_below, owner, soa};
use crate::model::Model;

pub(super) fn expect(model: &Model, node: &DnsB, source: Ipv4Addr, query: &Query) -> Expected {
    let name = query.name();
    let zones = node
        .zones
        .iter()
        .filter(|zone| owner(&zone.apex).zone_of(name));
    let Some(zone) = zones.max_by_key(|zone| zone.apex.label_count()) else {
        return Expected::refused();
    };
    let services = node
        .services
        .iter()
        .filter(|service| owner(&service.name).zone_of(name));
    let service = services.max_by_key(|service| service.name.label_count());
    match service {
        Some(service) if service.form == Form::Referral => {
            let n = owner(&service.name);
            // `b-r`: "at or below N, any type but DS at N: referral N NS, glue".
            if *name == n && is_type(query, RecordType::DS) {
                return nodata(zone, Counter::BZone);
            }
            let lb = mapped(model, node, source);
            let host = below(&lb.label.to_string(), &n);
            Expected::referral(Counter::BR, &n, host, lb.address, service.referral_ttl)
        }
        Some(service) => form_c(model, node, source, zone, service, query),
        None => in_zone(node, zone, query),
    }
}

fn form_c(
    model: &Model,
    node: &DnsB,
    source: Ipv4Addr,
    zone: &Zone,
    service: &BService,
    query: &Query,
) -> Expected {
    let (name, n) = (query.name(), owner(&service.name));
    if *name == n {
        let lb = mapped(model, node, source);
        let target = rdata::CNAME(below(&lb.label.to_string(), &n));
        let cname = Record::from_rdata(n, service.referral_ttl, RData::CNAME(target));
        return match query.query_type() {
            RecordType::NS | RecordType::SOA => in_zone(node, zone, query),
            // RFC 8482 §4.2: a synthesized HINFO only "if there is no CNAME present at the owner name".
            RecordType::ANY => Expected::data(Counter::BZone, vec![cname]),
            RecordType::DS
            | RecordType::DNSKEY
            | RecordType::CDS
            | RecordType::CDNSKEY
            | RecordType::CSYNC
            | RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM => nodata(zone, Counter::BZone),
            _ => Expected::data(Counter::BCName, vec![cname]),
        };
    }
    let Some(label) = label_below(name, &n).filter(|label| is_label_form(label)) else {
        return in_zone(node, zone, query);
    };
    let cut = below(&label, &n);
    if *name == cut && is_type(query, RecordType::DS) {
        return nodata(zone, Counter::BZone);
    }
    // "A well-formed label is never NXDOMAIN: known → its vantage; unknown → the default, TTL ≤ 60 s."
    let known = node
        .dns_lbs
        .iter()
        .position(|lb| lb.label.to_string() == label);
    let ttl = match known {
        Some(_) => service.referral_ttl,
        None => service.referral_ttl.min(60),
    };
    let lb = serving(model, node, known.unwrap_or(node.default_dns_lb));
    // "NS host names: […] ns.L.N in form C; a backup's carry its own label."
    let host = below("ns", &below(&lb.label.to_string(), &n));
    Expected::referral(Counter::BCLabel, &cut, host, lb.address, ttl)
}

/// The DNS-LB "mapped to whoever asks".
fn mapped<'a>(model: &Model, node: &'a DnsB, source: Ipv4Addr) -> &'a DnsLbNode {
    let index = model.resolvers.get(&source).copied();
    serving(model, node, index.unwrap_or(node.default_dns_lb))
}

fn serving<'a>(model: &Model, node: &'a DnsB, index: usize) -> &'a DnsLbNode {
    &node.dns_lbs[model.serving(node, index)]
}

/// `b-zone` and `b-negative`.
fn in_zone(node: &DnsB, zone: &Zone, query: &Query) -> Expected {
    let (name, apex) = (query.name(), owner(&zone.apex));
    let at_apex = *name == apex;
    let own = hosts(zone, name);
    if !at_apex && own.is_empty() {
        let rcode = if has_names_below(node, name) {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        return Expected::negative(Counter::BNegative, rcode, negative_soa(zone));
    }
    match query.query_type() {
        RecordType::SOA if at_apex => {
            Expected::data(Counter::BZone, vec![soa(&apex, &zone.soa, zone.soa.ttl)])
        }
        RecordType::NS if at_apex => {
            let ns = |host| RData::NS(rdata::NS(owner(host)));
            let set = zone.ns.iter();
            let set = set.map(|host| Record::from_rdata(apex.clone(), zone.ttl, ns(host)));
            let addresses = node.zones.iter().flat_map(|other| {
                let hosts_of = |host| hosts(other, &owner(host));
                zone.ns.iter().flat_map(hosts_of).collect::<Vec<_>>()
            });
            Expected {
                additionals: addresses.collect(),
                ..Expected::data(Counter::BZone, set.collect())
            }
        }
        RecordType::ANY => Expected::data(Counter::BZone, vec![hinfo(name, zone.ttl)]),
        RecordType::A if !own.is_empty() => Expected::data(Counter::BZone, own),
        _ => nodata(zone, Counter::BZone),
    }
}

fn hosts(zone: &Zone, name: &Name) -> Vec<Record> {
    let own = zone.hosts.iter().filter(|(host, _)| owner(host) == *name);
    own.map(|(host, address)| a(&owner(host), zone.ttl, *address))
        .collect()
}

/// RFC 8020 §2 turned round: a name with names below it exists.
fn has_names_below(node: &DnsB, name: &Name) -> bool {
    let hosts = node
        .zones
        .iter()
        .flat_map(|zone| &zone.hosts)
        .map(|(host, _)| host);
    let services = node.services.iter().map(|service| &service.name);
    hosts
        .chain(services)
        .any(|below| name.zone_of(&owner(below)))
}

fn nodata(zone: &Zone, row: Counter) -> Expected {
    Expected::negative(row, ResponseCode::NoError, negative_soa(zone))
}

fn negative_soa(zone: &Zone) -> Record {
    soa(
        &owner(&zone.apex),
        &zone.soa,
        zone.soa.ttl.min(zone.soa.minimum),
    )
}
