//! Nodes that have each case of the answer table.

mod dns_b;
mod dns_lb;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use dglb_user::{
    config::{
        BService, Config, Datapath, DnsLbNode, Form, Limit, MAX_BALANCED_NAME, Node, Rate, Role,
        Site, Soa, Zone,
    },
    label::Label,
    name::OwnerName,
};
use ipnet::IpNet;

pub use self::{
    dns_b::{dns_b, dns_b_direct},
    dns_lb::{dns_isp_lb, dns_lb, dns_lb_vantages},
};
use crate::model::{Choice, Model};

/// The DNS-B's address.
pub const DNS_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// The DNS-B's IPv6 address.
pub const DNS_B_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0x53);
/// The DNS-LB's address.
pub const DNS_LB: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// The DNS-LB's IPv6 address.
pub const DNS_LB_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1b, 0, 0, 0, 0, 7);
/// A resolver beside the first DNS-LB, which is the default.
pub const RESOLVER_1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
/// A resolver beside the second DNS-LB.
pub const RESOLVER_2: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// A resolver beside the third DNS-LB, which is silent and has no backup of its own.
pub const RESOLVER_3: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 153);
/// A resolver beside the fourth DNS-LB, which has IPv6 and a backup without.
pub const RESOLVER_4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 154);
/// A resolver beside the fifth DNS-LB, which has IPv6 and a backup with it.
pub const RESOLVER_5: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 155);
/// A resolver beside the sixth DNS-LB, which is silent; the fourth is its backup.
pub const RESOLVER_6: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 156);
/// A resolver by IPv6 beside the second DNS-LB.
pub const RESOLVER_2_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa2, 0, 0, 0, 0, 0x53);
/// A resolver by IPv6 beside the fifth DNS-LB.
pub const RESOLVER_5_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xa5, 1, 0, 0, 0, 0x53);
/// A resolver that nobody announced.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(100, 64, 9, 9);
/// A resolver by IPv6 that nobody announced.
pub const STRANGER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 9, 0, 0, 0, 9);
/// A resolver whose Client Subnet is believed.
pub const SENDER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);
/// A resolver by IPv6 whose Client Subnet is believed.
pub const SENDER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x5e, 0, 0, 0, 0, 0x53);

/// A DNS-LB's node name, address, and the last octets of its IPv6 address if it has one; its backup.
type NodeLine = (&'static str, Ipv4Addr, Option<u16>, Option<usize>);

/// The DNS-LBs, in the DNS-B's order.
pub const NODES: [NodeLine; 6] = [
    ("lb1.isp1.example", DNS_LB, None, None),
    (
        "lb2.isp2.example",
        Ipv4Addr::new(203, 0, 113, 7),
        None,
        None,
    ),
    (
        "lb3.isp3.example",
        Ipv4Addr::new(192, 0, 2, 107),
        None,
        None,
    ),
    (
        "lb4.isp4.example",
        Ipv4Addr::new(192, 0, 2, 108),
        Some(4),
        Some(1),
    ),
    (
        "lb5.isp5.example",
        Ipv4Addr::new(192, 0, 2, 109),
        Some(5),
        Some(3),
    ),
    (
        "lb6.isp6.example",
        Ipv4Addr::new(192, 0, 2, 110),
        Some(6),
        Some(3),
    ),
];

/// A name in text.
///
/// # Panics
/// When it is none.
pub fn name(text: &str) -> OwnerName {
    text.parse().expect("a domain name")
}

/// The label of a node of [`NODES`].
pub fn label(index: usize) -> Label {
    Label::of_node(NODES[index].0)
}

/// A well-formed label that no node has.
pub const UNKNOWN_LABEL: &str = "lb0000000000000";

/// The same node with a hundred services more, all of form R: more groups than one page of rankings
/// holds.
pub fn with_many_services(mut model: Model) -> Model {
    for index in 0..100 {
        let service = format!("s{index}.g.foo.com");
        match &mut model.config.role {
            Role::DnsB(node) => node.services.push(BService {
                referral_ttl: 1000 + index,
                ..b_service(&service, 0, Form::Referral)
            }),
            Role::DnsLb(node) => {
                let sites = sites(&[("tokyo", true)]);
                let mut service = dns_lb::service(&service, Form::Referral, sites);
                service.answer_ttl = 1000 + index;
                std::sync::Arc::make_mut(&mut node.services).push(service);
                let everywhere = vec![Some(Choice::Best(vec![0])); 1 + node.stands_in_for.len()];
                model.rankings.push(everywhere);
            }
        }
    }
    model
}

/// The longest balanced name below `zone`.
fn longest(zone: &str) -> String {
    let mut left = MAX_BALANCED_NAME - name(zone).wire().len();
    let mut labels = Vec::new();
    while left > 1 {
        let len = (left - 1).min(62);
        labels.push("z".repeat(len));
        left -= 1 + len;
    }
    labels.push(zone.to_owned());
    labels.join(".")
}

fn config(node_name: &str, addresses: &[IpAddr], role: Role) -> Config {
    Config {
        node: Node {
            name: node_name.to_owned(),
            interfaces: vec!["lo".to_owned()],
            addresses: addresses.to_vec(),
            datapath: Datapath::Userspace,
            bpffs: PathBuf::from("/sys/fs/bpf"),
            run_dir: PathBuf::from("/run/dglb"),
            max_stale: Duration::from_secs(3600),
            state_dir: "/var/lib/dglb".into(),
            control_group: None,
            location: None,
        },
        // More than any test sends: the limit is no part of the answer function.
        limit: Limit {
            default: Rate {
                per_second: 100_000_000,
                burst: 1_000_000_000,
            },
            prefixes: Vec::new(),
            dry_run: false,
        },
        client_subnet: vec![net("203.0.113.128/25"), net("2001:db8:5e::/48")],
        metrics: None,
        role,
    }
}

fn node(index: usize) -> DnsLbNode {
    let (name, address, v6, backup) = NODES[index];
    DnsLbNode {
        name: name.to_owned(),
        address,
        address_v6: v6.map(|last| Ipv6Addr::new(0x2001, 0xdb8, last, 0, 0, 0, 0, 7)),
        label: Label::of_node(name),
        backup,
    }
}

fn zone(apex: &str, hosts: &[(&str, IpAddr)]) -> Zone {
    Zone {
        apex: name(apex),
        soa: soa(),
        ns: vec![name("ns1.g.foo.com")],
        ttl: 86_400,
        hosts: hosts
            .iter()
            .map(|(host, address)| (name(host), *address))
            .collect(),
    }
}

fn soa() -> Soa {
    Soa {
        mname: name("ns1.g.foo.com"),
        rname: name("hostmaster.foo.com"),
        serial: 2_026_112_401,
        refresh: 3600,
        retry: 600,
        expire: 1_209_600,
        minimum: 300,
        ttl: 3600,
    }
}

fn b_service(service: &str, zone: usize, form: Form) -> BService {
    BService {
        name: name(service),
        zone,
        form,
        referral_ttl: 3600,
        answer_ttl: 120,
        sites: Vec::new(),
    }
}

/// Sites with IPv4 addresses; those with `true` have IPv6 too.
fn sites(sites: &[(&str, bool)]) -> Vec<Site> {
    let site = |(index, (site, has_v6)): (usize, &(&str, bool))| {
        let ipv6 = Ipv6Addr::new(0x2001, 0xdb8, index as u16, 0, 0, 0, 0, 0x80);
        let ipv4 = Ipv4Addr::new(192, 0, 2, 80 + index as u8);
        Site::new(*site, Some(ipv4), has_v6.then_some(ipv6))
    };
    sites.iter().enumerate().map(site).collect()
}

/// Eight sites with both addresses, as many as a list has.
fn eight_sites() -> Vec<Site> {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    sites(&names.map(|name| (name, true)))
}

/// Prefixes in prefixes in prefixes of both families, with the vantage of each.
fn prefixes(vantages: [usize; 4]) -> Vec<(IpNet, usize)> {
    let [a, b, c, d] = vantages;
    vec![
        (net("172.16.0.0/12"), a),
        (net("172.16.128.0/17"), b),
        (net("172.16.128.64/26"), c),
        (net("172.16.128.65/32"), a),
        (net("10.0.0.0/8"), d),
        (net("10.1.2.0/24"), c),
        (net("192.168.0.0/16"), b),
        (net("2001:db8:c000::/36"), a),
        (net("2001:db8:c0de::/48"), b),
        (net("2001:db8:c0de:ff00::/56"), c),
        (net("2001:db8:c0de:ff77::/64"), a),
        (net("2001:db8:d000::/36"), d),
    ]
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}
