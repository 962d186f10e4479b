//! DNS-LBs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dglb_user::config::{
    DnsLb, Form, LbService, Probe, ProbeKind, ProbeLimits, ResolverSource, Role, Site,
};

use super::{
    DNS_LB, DNS_LB_V6, NODES, RESOLVER_1, config, eight_sites, label, longest, name, node,
    prefixes, sites, soa,
};
use crate::model::{Choice, Model};

/// A DNS-LB with form R at `www.g.foo.com` (two families), form C at `shop.foo.com` (IPv4 only), a
/// service that was not measured yet, one whose SOA is too large to be kept ready, one whose SOA is so
/// large that a long question with it is more than 512 octets, and form C at the longest name.
pub fn dns_lb() -> Model {
    let both = || sites(&[("frankfurt", true), ("tokyo", true), ("boston", false)]);
    let long = [63, 63, 63, 55].map(|len| "x".repeat(len)).join(".");
    let frankfurt = sites(&[("frankfurt", false)]);
    let mut large = service("large.g.foo.com", Form::Referral, frankfurt);
    (large.soa.mname, large.soa.rname) = (name(&long), name(&long.replace('x', "y")));
    let tokyo = || sites(&[("tokyo", true)]);
    let mut sizable = service("sizable.g.foo.com", Form::Referral, tokyo());
    sizable.soa.mname = name(&[60, 60, 60, 50].map(|len| "x".repeat(len)).join("."));
    let boston = sites(&[("boston", false)]);
    let services = vec![
        service("www.g.foo.com", Form::Referral, both()),
        service("shop.foo.com", Form::Cname, boston),
        service("new.g.foo.com", Form::Referral, both()),
        large,
        sizable,
        service(&longest("foo.com"), Form::Cname, tokyo()),
    ];
    let first = || vec![Some(Choice::Best(vec![0])); 2];
    let rankings = vec![
        vec![Some(Choice::Best(vec![1, 2, 0])); 2],
        first(),
        vec![None; 2],
        first(),
        first(),
        first(),
    ];
    let mut model = model(services, &[1], rankings);
    if let Role::DnsLb(node) = &mut model.config.role {
        node.prefixes.clear();
    }
    model
}

/// A DNS-LB with prefixes of four vantages, one of them silent: best site, list, shares, SERVFAIL, a fallback, in
/// both forms, and the shortest name.
pub fn dns_lb_vantages() -> Model {
    with_vantages(false)
}

/// The same beside an ISP's resolver.
pub fn dns_isp_lb() -> Model {
    with_vantages(true)
}

fn with_vantages(beside_resolver: bool) -> Model {
    let both = || sites(&[("frankfurt", true), ("tokyo", true), ("boston", false)]);
    let mut short = service("l.q", Form::Referral, eight_sites());
    (short.soa.mname, short.soa.rname) = (name("q"), name("q"));
    let services = vec![
        service("www.g.foo.com", Form::Referral, both()),
        service("shop.foo.com", Form::Cname, both()),
        service("list.g.foo.com", Form::Referral, eight_sites()),
        service("shares.g.foo.com", Form::Referral, both()),
        short,
        service("shares.shop.foo.com", Form::Cname, both()),
        service("v4.shop2.foo.com", Form::Cname, sites(&[("boston", false)])),
        service("out.g.foo.com", Form::Referral, both()),
        service("out.shop.foo.com", Form::Cname, both()),
    ];
    let at_each = |choice: &dyn Fn(usize) -> Choice| (0..4).map(|at| Some(choice(at))).collect();
    let best = |at: usize| Choice::Best(vec![at % 3, (at + 1) % 3, (at + 2) % 3]);
    let list = |at: usize| Choice::List((at..8).collect());
    let shares = |at: usize| Choice::Weighted(vec![(0, 1 + at as u32), (1, 5), (2, 0)]);
    // What the owner wants when no site is up, and what follows from the client alone.
    let out = |at: usize| match at {
        0 => Choice::Servfail,
        1 => Choice::Fallback([203, 0, 113, 99].into()),
        _ => Choice::Sticky(vec![(0, 3), (1, 2), (2, 1)]),
    };
    let rankings = vec![
        at_each(&best),
        at_each(&best),
        at_each(&list),
        at_each(&shares),
        at_each(&list),
        at_each(&shares),
        at_each(&|_| Choice::Best(vec![0])),
        at_each(&out),
        at_each(&out),
    ];
    let mut model = model(services, &[1, 3, 5], rankings);
    // The last is the vantage of the sixth node.
    model.silent = BTreeSet::from([3]);
    if let Role::DnsLb(node) = &mut model.config.role {
        node.beside_resolver = beside_resolver;
    }
    model
}

fn model(
    services: Vec<LbService>,
    stands_in_for: &[usize],
    rankings: Vec<Vec<Option<Choice>>>,
) -> Model {
    let role = Role::DnsLb(DnsLb {
        address: DNS_LB,
        address_v6: Some(DNS_LB_V6),
        beside_resolver: false,
        label: label(0),
        dns_bs: vec!["127.0.0.1:5353".parse().expect("an address")],
        renew: Duration::from_secs(3),
        resolvers: ResolverSource::Listed(vec![RESOLVER_1.into()]),
        stands_in_for: stands_in_for.iter().map(|&index| node(index)).collect(),
        prefixes: prefixes([1, 2, 0, 3]),
        probe_limits: ProbeLimits::default(),
        services: std::sync::Arc::new(services),
    });
    Model {
        config: config(NODES[0].0, &[DNS_LB.into(), DNS_LB_V6.into()], role),
        resolvers: BTreeMap::new(),
        silent: BTreeSet::new(),
        rankings,
    }
}

pub(super) fn service(service: &str, form: Form, sites: Vec<Site>) -> LbService {
    let probe = Probe::new(ProbeKind::Http(dglb_user::probe::spec::Http::new(
        service, "/health",
    )));
    LbService {
        answer_ttl: 120,
        ..LbService::new(name(service), form, soa(), sites, probe)
    }
}
