//! The answer table's rows of a DNS-B.

use std::net::IpAddr;

use dglb_common::counters::Counter;
use dglb_user::config::{BService, DnsB, DnsLbNode, Form, Site, Zone};
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};

use super::{
    Expected,
    asker::{Asker, Place, addresses, servfail},
    records::{address, below, hinfo, is_label_form, label_below, owner, soa},
};
use crate::model::Choice;

/// `None`: the name is not ours.
pub(super) fn expect(asker: &Asker<'_>, node: &DnsB, query: &Query) -> Option<Expected> {
    let name = query.name();
    let zones = node
        .zones
        .iter()
        .filter(|zone| owner(&zone.apex).zone_of(name));
    let zone = zones.max_by_key(|zone| zone.apex.label_count())?;
    let services = node.services.iter().enumerate();
    let services = services.filter(|(_, service)| owner(&service.name).zone_of(name));
    let service = services.max_by_key(|(_, service)| service.name.label_count());
    let Some((index, service)) = service else {
        return Some(in_zone(node, zone, query));
    };
    let n = owner(&service.name);
    Some(match service.form {
        Form::Referral => {
            // `b-r`: "at or below N, any type but DS at N: referral N NS, glue".
            if *name == n && query.query_type() == RecordType::DS {
                return Some(nodata(zone, Counter::BZone));
            }
            let host = |label: &str| below(label, &n);
            let place = asker.by_source();
            referral(node, Counter::BR, &n, place, host, service.referral_ttl)
        }
        Form::Cname => form_c(asker, node, zone, service, query),
        Form::Direct | Form::Cache if *name == n => {
            direct(asker, node, zone, (index, service), query)
        }
        Form::Direct | Form::Cache => in_zone(node, zone, query),
    })
}

fn form_c(
    asker: &Asker<'_>,
    node: &DnsB,
    zone: &Zone,
    service: &BService,
    query: &Query,
) -> Expected {
    let (name, n) = (query.name(), owner(&service.name));
    if *name == n {
        let place = asker.by_client();
        let label = node.dns_lbs[place.vantage].label.to_string();
        let target = rdata::CNAME(below(&label, &n));
        let cname = Record::from_rdata(n, service.referral_ttl, RData::CNAME(target));
        return match query.query_type() {
            RecordType::NS | RecordType::SOA => in_zone(node, zone, query),
            // RFC 8482 §4.2: a synthesized HINFO only "if there is no CNAME present at the owner name".
            RecordType::ANY => Expected::data(Counter::BZone, vec![cname]).scoped(place.scope),
            qtype if is_upkeep(qtype) => nodata(zone, Counter::BZone),
            _ => Expected::data(Counter::BCName, vec![cname]).scoped(place.scope),
        };
    }
    let Some(label) = label_below(name, &n).filter(|label| is_label_form(label)) else {
        return in_zone(node, zone, query);
    };
    let cut = below(&label, &n);
    if *name == cut && query.query_type() == RecordType::DS {
        return nodata(zone, Counter::BZone);
    }
    // "A well-formed label is never NXDOMAIN: known → its vantage; unknown → the default, TTL ≤ 60 s."
    let mut lbs = node.dns_lbs.iter();
    let known = lbs.position(|lb| lb.label.to_string() == label);
    let ttl = match known {
        Some(_) => service.referral_ttl,
        None => service.referral_ttl.min(60),
    };
    let place = asker.served(known.unwrap_or(node.default_dns_lb));
    // "NS host names: […] ns.L.N in form C; a backup's carry its own label."
    let host = |label: &str| below("ns", &below(label, &n));
    referral(node, Counter::BCLabel, &cut, place, host, ttl)
}

/// DNSSEC's and delegation's records: an unsigned zone has none.
fn is_upkeep(qtype: RecordType) -> bool {
    matches!(
        qtype,
        RecordType::DS
            | RecordType::DNSKEY
            | RecordType::CDS
            | RecordType::CDNSKEY
            | RecordType::CSYNC
            | RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM
    )
}

/// To who serves at `place`, and to the backup that stands beside it.
fn referral(
    node: &DnsB,
    row: Counter,
    cut: &Name,
    place: Place,
    host: impl Fn(&str) -> Name,
    ttl: u32,
) -> Expected {
    let with_host = |lb: &'_ DnsLbNode| host(&lb.label.to_string());
    let own = &node.dns_lbs[place.vantage];
    let backup = own.backup.map(|index| &node.dns_lbs[index]);
    let backup = backup.map(|backup| (with_host(backup), backup));
    Expected::referral(row, cut, (with_host(own), own), backup, ttl)
}

/// `b-address` and `b-nodata`.
fn direct(
    asker: &Asker<'_>,
    node: &DnsB,
    zone: &Zone,
    (index, service): (usize, &BService),
    query: &Query,
) -> Expected {
    let n = owner(&service.name);
    let of_family: fn(&Site) -> Option<IpAddr> = match query.query_type() {
        RecordType::A => |site| site.ipv4.map(IpAddr::V4),
        RecordType::AAAA => |site| site.ipv6.map(IpAddr::V6),
        RecordType::ANY => {
            return Expected::data(Counter::BZone, vec![hinfo(&n, service.answer_ttl)]);
        }
        _ => return nodata(zone, Counter::BNodata),
    };
    let place = asker.by_client();
    if service.form == Form::Cache {
        // "the DNS-LB's own address".
        let lb = &node.dns_lbs[place.vantage];
        let own = Site::new(lb.name.clone(), Some(lb.address), lb.address_v6);
        return match of_family(&own) {
            Some(own) => {
                let record = address(&n, service.answer_ttl, own);
                Expected::data(Counter::BAddress, vec![record]).scoped(place.scope)
            }
            None => nodata(zone, Counter::BNodata),
        };
    }
    // No site has an address of this family, whatever is measured.
    if !service.sites.iter().any(|site| of_family(site).is_some()) {
        return nodata(zone, Counter::BNodata);
    }
    let Some(choice) = &asker.model.rankings[index][place.vantage] else {
        return Expected::error(Counter::Error, ResponseCode::ServFail);
    };
    if *choice == Choice::Servfail {
        return servfail(place);
    }
    let owned = (&n, service.answer_ttl);
    let (choices, scope) = addresses(asker, place, choice, &service.sites, of_family, owned);
    if choices.is_empty() {
        return nodata(zone, Counter::BNodata);
    }
    Expected::any_of(Counter::BAddress, choices).scoped(scope)
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
    let of_type = |qtype| {
        let records = own.iter().filter(|record| record.record_type() == qtype);
        records.cloned().collect::<Vec<_>>()
    };
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
            let addresses: Vec<Record> = addresses.collect();
            Expected::data(Counter::BZone, set.collect()).with_additionals(&addresses, false)
        }
        RecordType::ANY => Expected::data(Counter::BZone, vec![hinfo(name, zone.ttl)]),
        qtype if !of_type(qtype).is_empty() => Expected::data(Counter::BZone, of_type(qtype)),
        _ => nodata(zone, Counter::BZone),
    }
}

fn hosts(zone: &Zone, name: &Name) -> Vec<Record> {
    let own = zone.hosts.iter().filter(|(host, _)| owner(host) == *name);
    own.map(|(host, own)| address(&owner(host), zone.ttl, *own))
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
