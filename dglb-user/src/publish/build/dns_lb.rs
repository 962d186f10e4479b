//! The tables of a DNS-LB: the node itself is vantage 0, those that it stands in for follow.

use std::net::IpAddr;

use dglb_common::layout::{
    AnswerRef, KIND_HOST_A, KIND_HOST_AAAA, KIND_HOST_NODATA, KIND_NODATA, KIND_NS, KIND_NXDOMAIN,
    KIND_SOA, NameRole, NameWord, Secret, VantageValue,
};
use ipnet::IpNet;

use super::{
    BuildError, Built, RankedService,
    builder::{Builder, Entry},
};
use crate::{
    config::{Config, DnsLb, DnsLbNode, Form, LbService, Policy, Scorer},
    ready::{self, AddressRow, Variants},
    tables::Prefixes,
};

/// The node's own vantage.
const OWN: u32 = 0;

pub fn build(config: &Config, dns_lb: &DnsLb, secret: Secret) -> Result<Built, BuildError> {
    let mut builder = Builder::new(config, secret);
    let own = DnsLbNode {
        name: config.node.name.clone(),
        address: dns_lb.address,
        address_v6: dns_lb.address_v6,
        label: dns_lb.label,
        backup: None,
    };
    let nodes: Vec<&DnsLbNode> = std::iter::once(&own).chain(&dns_lb.stands_in_for).collect();
    for node in &nodes {
        // Measured is from here alone, so that all are served as from here.
        builder.vantage(
            node,
            VantageValue {
                serves: OWN as u16,
                backup: OWN as u16,
                deadline: VantageValue::NO_DEADLINE,
            },
        );
    }
    let is_v4 = |(net, _): &&(IpNet, usize)| matches!(net, IpNet::V4(_));
    let v4 = dns_lb.prefixes.iter().filter(is_v4).count();
    let settings = &mut builder.tables.settings;
    settings.default_vantage = OWN;
    settings.maps_v4 = (v4 > 0).into();
    settings.maps_v6 = (dns_lb.prefixes.len() > v4).into();
    settings.recursion_available = dns_lb.beside_resolver.into();
    let prefixes = dns_lb.prefixes.iter();
    builder.tables.prefixes =
        Prefixes::new(OWN, prefixes.map(|&(net, vantage)| (net, vantage as u32)));
    let services = dns_lb
        .services
        .iter()
        .enumerate()
        .map(|(index, service)| Some(put(&mut builder, dns_lb, &nodes, index, service)))
        .collect();
    builder.finish(dns_lb.services.len(), services)
}

/// Whether the policy ever divides the clients among sites.
fn divides(policy: &Policy) -> bool {
    let by_scorer = match policy.scorer {
        Scorer::Random | Scorer::Sticky => true,
        Scorer::Weighed(_) | Scorer::Failover => false,
    };
    by_scorer || policy.overflow.is_some() || !policy.ramp.is_zero()
}

/// Puts a service in; its addresses come with the rankings.
fn put(
    builder: &mut Builder,
    dns_lb: &DnsLb,
    nodes: &[&DnsLbNode],
    index: usize,
    service: &LbService,
) -> RankedService {
    let group = index as u32;
    let role = match service.form {
        Form::Cname => NameRole::LbCname,
        Form::Referral | Form::Direct | Form::Cache => NameRole::LbReferral,
    };
    let itself = dns_lb.beside_resolver && role == NameRole::LbCname;
    let entry = Entry {
        role,
        flags: if itself { NameWord::ITSELF } else { 0 },
        group,
        service: Some(index),
    };
    builder.name(&service.name, entry);

    // What is too large for a slot stays without a reference: user space composes it.
    let (name, form, soa) = (&service.name, service.form, &service.soa);
    let same_for_all = [
        (KIND_NODATA, ready::nodata(name, form, soa)),
        (KIND_NXDOMAIN, ready::nxdomain(name, form, soa)),
        (KIND_SOA, ready::soa(name, form, soa)),
        (KIND_HOST_NODATA, ready::host_nodata(name, form, soa)),
    ];
    let mut nodata = AnswerRef::NONE;
    let mut host_nodata = None;
    for (kind, answer) in same_for_all {
        let Ok(answer) = answer else { continue };
        let word = builder.answer(answer);
        builder.rank(OWN, group, kind, word);
        match kind {
            KIND_NODATA => nodata = word,
            KIND_HOST_NODATA => host_nodata = Some(word),
            _ => {}
        }
    }
    let set: Variants = ready::name_servers(nodes[0].into(), form, service.referral_ttl);
    let set = builder.answer(set);
    builder.rank(OWN, group, KIND_NS, set);
    for (vantage, node) in nodes.iter().enumerate() {
        let v4 = (KIND_HOST_A, Some(IpAddr::V4(node.address)));
        let v6 = (KIND_HOST_AAAA, node.address_v6.map(IpAddr::V6));
        for (kind, address) in [v4, v6] {
            let answer = match address {
                Some(address) => {
                    Some(builder.answer(ready::host_address(address, service.referral_ttl)))
                }
                None => host_nodata,
            };
            if let Some(answer) = answer {
                builder.rank(vantage as u32, group, kind, answer);
            }
        }
    }
    RankedService {
        group,
        row: AddressRow::DnsLb,
        ttl: service.answer_ttl,
        nodata,
        sites: service.sites.iter().map(Into::into).collect(),
        divides: divides(&service.policy),
    }
}
