//! The answer table's rows of a DNS-LB, beside a resolver (DNS-ISP-LB) too.

use std::net::IpAddr;

use dglb_common::counters::Counter;
use dglb_user::config::{DnsLb, Form, LbService, Site};
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
pub(super) fn expect(asker: &Asker<'_>, node: &DnsLb, query: &Query) -> Option<Expected> {
    let name = query.name();
    let services = node.services.iter().enumerate();
    let ours = services.filter(|(_, service)| owner(&service.name).zone_of(name));
    let (index, service) = ours.max_by_key(|(_, service)| service.name.label_count())?;
    let n = owner(&service.name);
    let label = label_below(name, &n).filter(|label| is_label_form(label));
    let at_n = Delegated {
        m: n.clone(),
        place: asker.by_client(),
        most: u32::MAX,
    };
    let delegated = match service.form {
        Form::Cname if *name == n && node.beside_resolver => at_n,
        Form::Cname => {
            // "form C: N itself at a DNS-LB: REFUSED"; what is below no label is nobody's.
            let label = label.as_ref()?;
            let known = vantage_of(node, label);
            // "form C's label overrides the source address".
            Delegated {
                m: below(label, &n),
                place: asker.served(known.unwrap_or(0)),
                most: if known.is_some() { u32::MAX } else { 60 },
            }
        }
        Form::Referral | Form::Direct | Form::Cache => at_n,
    };
    if *name == delegated.m {
        return Some(at_m(asker, node, (index, service), &delegated, query));
    }
    let host_label = match service.form {
        Form::Cname => label.filter(|_| *name == below("ns", &delegated.m)),
        _ => label.filter(|label| *name == below(label, &n)),
    };
    let most = delegated.most;
    let Some(label) = host_label else {
        let (row, rcode) = (Counter::LbNxdomain, ResponseCode::NXDomain);
        return Some(negative(service, &delegated.m, row, rcode, most));
    };
    let known = vantage_of(node, &label).map(|vantage| addresses_of(node, vantage));
    Some(host(service, &delegated.m, known, query))
}

/// M, and what its referral said.
struct Delegated {
    m: Name,
    /// Whose addresses it has.
    place: Place,
    /// The largest TTL.
    most: u32,
}

fn at_m(
    asker: &Asker<'_>,
    node: &DnsLb,
    (index, service): (usize, &LbService),
    delegated: &Delegated,
    query: &Query,
) -> Expected {
    let Delegated { m, place, most } = delegated;
    let nodata = || negative(service, m, Counter::LbNodata, ResponseCode::NoError, *most);
    let ttl = service.answer_ttl.min(*most);
    let best = |of_family: fn(&Site) -> Option<IpAddr>| {
        // Nothing of this family anywhere is known without measuring.
        if service.sites.iter().all(|site| of_family(site).is_none()) {
            return nodata();
        }
        let Some(choice) = &asker.model.rankings[index][place.vantage] else {
            return Expected::error(Counter::Error, ResponseCode::ServFail);
        };
        if *choice == Choice::Servfail {
            return servfail(*place);
        }
        let owned = (m, ttl);
        let (choices, scope) = addresses(asker, *place, choice, &service.sites, of_family, owned);
        if choices.is_empty() {
            return nodata();
        }
        Expected::any_of(Counter::LbAddress, choices).scoped(scope)
    };
    match query.query_type() {
        RecordType::A => best(|site| site.ipv4.map(IpAddr::V4)),
        RecordType::AAAA => best(|site| site.ipv6.map(IpAddr::V6)),
        RecordType::NS => {
            let ttl = service.referral_ttl.min(*most);
            // "Its own NS answer has the set […] of the referral", in which "a backup's carry its own
            // label".
            let own = below(&node.label.to_string(), &owner(&service.name));
            let host = match service.form {
                Form::Cname => below("ns", &own),
                _ => own,
            };
            let ns = RData::NS(rdata::NS(host.clone()));
            let addresses = addresses_of(node, 0).into_iter();
            let addresses: Vec<_> = addresses.map(|own| address(&host, ttl, own)).collect();
            let set = vec![Record::from_rdata(m.clone(), ttl, ns)];
            Expected::data(Counter::LbApex, set).with_additionals(&addresses, true)
        }
        RecordType::SOA => {
            let ttl = service.soa.ttl.min(*most);
            Expected::data(Counter::LbApex, vec![soa(m, &service.soa, ttl)])
        }
        RecordType::ANY => Expected::data(Counter::LbApex, vec![hinfo(m, ttl)]),
        _ => nodata(),
    }
}

/// `lb-host`; `known`: the addresses of the node that has the label.
fn host(service: &LbService, m: &Name, known: Option<Vec<IpAddr>>, query: &Query) -> Expected {
    let (name, ttl) = (query.name(), service.referral_ttl);
    let of_family: fn(&IpAddr) -> bool = match query.query_type() {
        RecordType::A => IpAddr::is_ipv4,
        RecordType::AAAA => IpAddr::is_ipv6,
        // RFC 8482 §4: a subset of what is there, or HINFO; there is an address.
        RecordType::ANY if known.is_some() => {
            return Expected::data(Counter::LbHost, vec![hinfo(name, ttl)]);
        }
        _ => |_| false,
    };
    let mut known = known.into_iter().flatten();
    match known.find(of_family) {
        Some(own) => Expected::data(Counter::LbHost, vec![address(name, ttl, own)]),
        // "unknown node, other family or type: NODATA, SOA M, TTL ≤ 60 s"
        None => negative(service, m, Counter::LbHost, ResponseCode::NoError, 60),
    }
}

fn negative(
    service: &LbService,
    m: &Name,
    row: Counter,
    rcode: ResponseCode,
    most: u32,
) -> Expected {
    let ttl = service.soa.ttl.min(service.soa.minimum).min(most);
    Expected::negative(row, rcode, soa(m, &service.soa, ttl))
}

/// The vantage of a label that is known here: the node's own, or one that it stands in for.
fn vantage_of(node: &DnsLb, label: &str) -> Option<usize> {
    let own = [node.label.to_string()].into_iter();
    let others = node
        .stands_in_for
        .iter()
        .map(|other| other.label.to_string());
    own.chain(others).position(|of| of == label)
}

/// The addresses of a vantage's name server host.
fn addresses_of(node: &DnsLb, vantage: usize) -> Vec<IpAddr> {
    let (v4, v6) = match vantage.checked_sub(1) {
        None => (node.address, node.address_v6),
        Some(other) => {
            let other = &node.stands_in_for[other];
            (other.address, other.address_v6)
        }
    };
    [IpAddr::V4(v4)]
        .into_iter()
        .chain(v6.map(IpAddr::V6))
        .collect()
}
