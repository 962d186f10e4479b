//! The answer table's rows of a DNS-LB.

use std::net::Ipv4Addr;

use dglb_common::counters::Counter;
use dglb_user::config::{DnsLb, Form, LbService};
use hickory_proto::{
    op::{Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};

use super::{Expected, a, below, hinfo, is_label_form, label_below, owner, soa};
use crate::model::Model;

pub(super) fn expect(model: &Model, node: &DnsLb, query: &Query) -> Expected {
    let name = query.name();
    let services = node.services.iter().enumerate();
    let ours = services.filter(|(_, service)| owner(&service.name).zone_of(name));
    let Some((index, service)) = ours.max_by_key(|(_, service)| service.name.label_count()) else {
        return Expected::refused();
    };
    let n = owner(&service.name);
    let own = node.label.to_string();
    let ranking = model.rankings[index].as_deref();
    let label = label_below(name, &n).filter(|label| is_label_form(label));
    let delegated = match service.form {
        Form::Referral => Delegated {
            m: n.clone(),
            host: below(&own, &n),
            label: own,
            most: u32::MAX,
        },
        Form::Cname => {
            // "form C: N itself at a DNS-LB: REFUSED"; what is below no label is nobody's.
            let Some(label) = label else {
                return Expected::refused();
            };
            let m = below(&label, &n);
            Delegated {
                host: below("ns", &m),
                most: if address_of(node, &label).is_some() {
                    u32::MAX
                } else {
                    60
                },
                label,
                m,
            }
        }
    };
    if *name == delegated.m {
        return at_m(node, service, ranking, &delegated, query);
    }
    let host_label = match service.form {
        Form::Referral => {
            label_below(name, &n).filter(|l| is_label_form(l) && *name == below(l, &n))
        }
        Form::Cname => (*name == delegated.host).then(|| delegated.label.clone()),
    };
    match host_label {
        Some(label) => match address_of(node, &label) {
            Some(address) if query.query_type() == RecordType::A => Expected::data(
                Counter::LbHost,
                vec![a(name, service.referral_ttl, address)],
            ),
            // RFC 8482 §4: a subset of what is there, or HINFO; there is an address.
            Some(_) if query.query_type() == RecordType::ANY => {
                Expected::data(Counter::LbHost, vec![hinfo(name, service.referral_ttl)])
            }
            // "unknown node, other family or type: NODATA, SOA M, TTL ≤ 60 s"
            _ => negative(
                service,
                &delegated.m,
                Counter::LbHost,
                ResponseCode::NoError,
                60,
            ),
        },
        None => negative(
            service,
            &delegated.m,
            Counter::LbNxdomain,
            ResponseCode::NXDomain,
            delegated.most,
        ),
    }
}

/// M, and what its referral said.
struct Delegated {
    m: Name,
    host: Name,
    label: String,
    /// The largest TTL.
    most: u32,
}

fn at_m(
    node: &DnsLb,
    service: &LbService,
    ranking: Option<&[usize]>,
    delegated: &Delegated,
    query: &Query,
) -> Expected {
    let Delegated { m, most, .. } = delegated;
    let nodata = || negative(service, m, Counter::LbNodata, ResponseCode::NoError, *most);
    let ttl = service.answer_ttl.min(*most);
    let best = |data: fn(&dglb_user::config::Site) -> Option<RData>| {
        // Nothing of this family anywhere is known without measuring.
        if service.sites.iter().all(|site| data(site).is_none()) {
            return nodata();
        }
        let Some(ranking) = ranking else {
            return Expected::error(Counter::Error, ResponseCode::ServFail);
        };
        // With no site up from the start, the sites stand in the order of the configuration.
        let in_order: Vec<usize> = (0..service.sites.len()).collect();
        let ranking = if ranking.is_empty() {
            &in_order
        } else {
            ranking
        };
        match ranking.iter().find_map(|&site| data(&service.sites[site])) {
            Some(data) => Expected::data(
                Counter::LbAddress,
                vec![Record::from_rdata(m.clone(), ttl, data)],
            ),
            None => nodata(),
        }
    };
    match query.query_type() {
        RecordType::A => best(|site| Some(RData::A(rdata::A(site.ipv4?)))),
        RecordType::AAAA => best(|site| Some(RData::AAAA(rdata::AAAA(site.ipv6?)))),
        RecordType::NS => {
            let ttl = service.referral_ttl.min(*most);
            // "Its own NS answer has the set […] of the referral", in which "a backup's carry its own
            // label".
            let own = below(&node.label.to_string(), &owner(&service.name));
            let host = match service.form {
                Form::Referral => own,
                Form::Cname => below("ns", &own),
            };
            let ns = RData::NS(rdata::NS(host.clone()));
            Expected {
                additionals: vec![a(&host, ttl, node.address)],
                ..Expected::data(
                    Counter::LbApex,
                    vec![Record::from_rdata(m.clone(), ttl, ns)],
                )
            }
        }
        RecordType::SOA => {
            let ttl = service.soa.ttl.min(*most);
            Expected::data(Counter::LbApex, vec![soa(m, &service.soa, ttl)])
        }
        RecordType::ANY => Expected::data(Counter::LbApex, vec![hinfo(m, ttl)]),
        _ => nodata(),
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

/// The address of a node that is known here by its label: itself, or one that it stands in for.
fn address_of(node: &DnsLb, label: &str) -> Option<Ipv4Addr> {
    let own = (node.label.to_string(), node.address);
    let others = node
        .stands_in_for
        .iter()
        .map(|other| (other.label.to_string(), other.address));
    others
        .chain([own])
        .find(|(of, _)| of == label)
        .map(|(_, address)| address)
}
