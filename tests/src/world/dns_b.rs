//! DNS-Bs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use dglb_user::config::{BService, Config, DnsB, Form, Role, Site, Zone};

use super::{
    DNS_B, DNS_B_V6, NODES, RESOLVER_1, RESOLVER_2, RESOLVER_2_V6, RESOLVER_3, RESOLVER_4,
    RESOLVER_5, RESOLVER_5_V6, RESOLVER_6, b_service, config, eight_sites, longest, name, node,
    prefixes, sites, zone,
};
use crate::model::{Choice, Model};

/// A DNS-B with form R at `www.g.foo.com`, `api.v1.g.foo.com`, the short `r.q`, a name of 29 labels and
/// one of as many octets as are allowed; form C at `shop.foo.com` and the short `c`.
pub fn dns_b() -> Model {
    let v4 = IpAddr::V4(DNS_B);
    let zones = vec![
        zone(
            "g.foo.com",
            &[("ns1.g.foo.com", v4), ("a.ent.g.foo.com", v4)],
        ),
        zone("shop.foo.com", &[("old.shop.foo.com", v4)]),
        zone("own.foo.com", &[("own.foo.com", v4)]),
        short_zone("q"),
        short_zone("c"),
        // Its empty non-terminals have more label counts than the kernel looks up: it is not complete.
        zone("deep.foo.com", &[]),
    ];
    let services = vec![
        b_service("www.g.foo.com", 0, Form::Referral),
        b_service("shop.foo.com", 1, Form::Cname),
        b_service("api.v1.g.foo.com", 0, Form::Referral),
        b_service(
            &format!("{}deep.foo.com", "d.".repeat(26)),
            5,
            Form::Referral,
        ),
        b_service(&longest("g.foo.com"), 0, Form::Referral),
        b_service("r.q", 3, Form::Referral),
        b_service("c", 4, Form::Cname),
    ];
    model(zones, services)
}

/// A DNS-B with direct and cache mode: the best site, a list, shares by weight, one family alone,
/// nothing measured yet, a name whose parent is empty, the longest and the shortest name.
pub fn dns_b_direct() -> Model {
    let both = || sites(&[("frankfurt", true), ("tokyo", true), ("boston", false)]);
    let v4_only = || sites(&[("boston", false), ("lima", false)]);
    let direct = |service: &str, zone, sites: Vec<Site>| BService {
        sites,
        ..b_service(service, zone, Form::Direct)
    };
    let zones = vec![
        zone(
            "d.foo.com",
            &[
                ("ns1.d.foo.com", DNS_B.into()),
                ("ns1.d.foo.com", DNS_B_V6.into()),
                ("a.b.d.foo.com", DNS_B_V6.into()),
            ],
        ),
        short_zone("q"),
    ];
    let services = vec![
        direct("best.d.foo.com", 0, both()),
        direct("list.d.foo.com", 0, eight_sites()),
        direct("shares.d.foo.com", 0, both()),
        direct("v4.d.foo.com", 0, v4_only()),
        direct("new.d.foo.com", 0, both()),
        direct("deep.ent.d.foo.com", 0, both()),
        direct("l.q", 1, eight_sites()),
        direct(&longest("d.foo.com"), 0, both()),
        b_service("cache.d.foo.com", 0, Form::Cache),
        b_service("k.q", 1, Form::Cache),
    ];
    let mut model = model(zones, services);
    let vantages = 0..NODES.len();
    let at_each = |choice: &dyn Fn(usize) -> Option<Choice>| vantages.clone().map(choice).collect();
    let best = |vantage: usize| {
        let first = vantage % 3;
        Some(Choice::Best(vec![first, (first + 1) % 3, (first + 2) % 3]))
    };
    let list = |vantage: usize| {
        let sites = (0..8).map(|index| (index + vantage) % 8);
        Some(Choice::List(sites.take(8 - vantage % 3).collect()))
    };
    let shares = |vantage: usize| {
        let weights = [1 + vantage as u32, 5, 10];
        Some(Choice::Weighted(weights.into_iter().enumerate().collect()))
    };
    model.rankings = vec![
        at_each(&best),
        at_each(&list),
        at_each(&shares),
        at_each(&|vantage| Some(Choice::Best(vec![vantage % 2]))),
        at_each(&|_| None),
        at_each(&best),
        at_each(&list),
        // No site is up: they stand in the order of the configuration.
        at_each(&|_| Some(Choice::Best(Vec::new()))),
        Vec::new(),
        Vec::new(),
    ];
    model
}

/// A zone whose names leave the least room: one label, one octet.
fn short_zone(apex: &str) -> Zone {
    let mut zone = zone(apex, &[]);
    (zone.soa.mname, zone.soa.rname) = (name(apex), name(apex));
    zone.ns = vec![name("ns1.g.foo.com")];
    zone
}

fn model(zones: Vec<Zone>, services: Vec<BService>) -> Model {
    let role = Role::DnsB(DnsB {
        map_listen: "127.0.0.1:5353".parse().expect("an address"),
        lease: Duration::from_secs(10),
        dns_lbs: (0..NODES.len()).map(node).collect(),
        default_dns_lb: 0,
        prefixes: prefixes([1, 3, 4, 5]),
        max_resolvers: dglb_user::capacity::DEFAULT_RESOLVERS,
        zones,
        services,
    });
    let addresses = [DNS_B.into(), DNS_B_V6.into()];
    let config: Config = config("b1.backbone.example", &addresses, role);
    let resolvers: [(IpAddr, usize); 10] = [
        (RESOLVER_1.into(), 0),
        (RESOLVER_2.into(), 1),
        (RESOLVER_3.into(), 2),
        (RESOLVER_4.into(), 3),
        (RESOLVER_5.into(), 4),
        (RESOLVER_6.into(), 5),
        (RESOLVER_2_V6.into(), 1),
        (RESOLVER_5_V6.into(), 4),
        // Announced within prefixes of others: stronger for the source, nothing to Client Subnet.
        ([172, 16, 128, 70].into(), 0),
        ([0x2001, 0xdb8, 0xc0de, 0xff01, 0, 0, 0, 1].into(), 0),
    ];
    Model {
        config,
        resolvers: BTreeMap::from(resolvers),
        silent: BTreeSet::from([2, 5]),
        rankings: Vec::new(),
    }
}
