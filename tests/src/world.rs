//! One DNS-B and one DNS-LB that have each case of the answer table.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    time::Duration,
};

use dglb_user::{
    config::{
        BService, Config, Datapath, DnsB, DnsLb, DnsLbNode, Form, LbService, Limit,
        MAX_BALANCED_NAME, Node, Probe, Rate, ResolverSource, Role, Site, Soa, Zone,
    },
    label::Label,
    name::OwnerName,
};

use crate::model::Model;

/// The DNS-B's address.
pub const DNS_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// The DNS-LB's address.
pub const DNS_LB: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// A resolver beside the first DNS-LB, which is the default.
pub const RESOLVER_1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
/// A resolver beside the second DNS-LB.
pub const RESOLVER_2: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
/// A resolver beside the third DNS-LB, which is silent.
pub const RESOLVER_3: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 153);
/// A resolver that nobody announced.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(100, 64, 9, 9);

/// Names of the DNS-LBs' nodes, in the DNS-B's order.
pub const NODES: [(&str, Ipv4Addr); 3] = [
    ("lb1.isp1.example", DNS_LB),
    ("lb2.isp2.example", Ipv4Addr::new(203, 0, 113, 7)),
    ("lb3.isp3.example", Ipv4Addr::new(192, 0, 2, 107)),
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

/// A DNS-B with form R at `www.g.foo.com`, `api.v1.g.foo.com`, a name of 29 labels and one of as many
/// octets as are allowed; form C at `shop.foo.com`.
pub fn dns_b() -> Model {
    let role = Role::DnsB(DnsB {
        map_listen: "127.0.0.1:5353".parse().expect("an address"),
        lease: Duration::from_secs(10),
        dns_lbs: (0..NODES.len()).map(node).collect(),
        default_dns_lb: 0,
        zones: vec![
            zone(
                "g.foo.com",
                &[("ns1.g.foo.com", DNS_B), ("a.ent.g.foo.com", DNS_B)],
            ),
            zone("shop.foo.com", &[("old.shop.foo.com", DNS_B)]),
            zone("own.foo.com", &[("own.foo.com", DNS_B)]),
        ],
        services: vec![
            b_service("www.g.foo.com", 0, Form::Referral),
            b_service("shop.foo.com", 1, Form::Cname),
            b_service("api.v1.g.foo.com", 0, Form::Referral),
            b_service(&format!("{}g.foo.com", "d.".repeat(26)), 0, Form::Referral),
            b_service(&longest("g.foo.com"), 0, Form::Referral),
        ],
        max_resolvers: dglb_user::capacity::DEFAULT_RESOLVERS,
    });
    Model {
        config: config("b1.backbone.example", DNS_B, role),
        resolvers: BTreeMap::from([(RESOLVER_1, 0), (RESOLVER_2, 1), (RESOLVER_3, 2)]),
        silent: BTreeSet::from([2]),
        rankings: Vec::new(),
    }
}

/// A DNS-LB with form R at `www.g.foo.com` (two families), form C at `shop.foo.com` (IPv4 only), a
/// service that was not measured yet, one whose SOA is too large to be kept ready, one whose SOA is so
/// large that a long question with it is more than 512 octets, and form C at the longest name.
pub fn dns_lb() -> Model {
    let both = [("frankfurt", true), ("tokyo", true), ("boston", false)];
    let long = [63, 63, 63, 55].map(|len| "x".repeat(len)).join(".");
    let mut large = lb_service("large.g.foo.com", Form::Referral, &[("frankfurt", false)]);
    (large.soa.mname, large.soa.rname) = (name(&long), name(&long.replace('x', "y")));
    let mut sizable = lb_service("sizable.g.foo.com", Form::Referral, &[("tokyo", true)]);
    sizable.soa.mname = name(&[60, 60, 60, 50].map(|len| "x".repeat(len)).join("."));
    let role = Role::DnsLb(DnsLb {
        address: DNS_LB,
        label: label(0),
        dns_bs: vec!["127.0.0.1:5353".parse().expect("an address")],
        renew: Duration::from_secs(3),
        resolvers: ResolverSource::Listed(vec![RESOLVER_1]),
        stands_in_for: vec![node(1)],
        services: vec![
            lb_service("www.g.foo.com", Form::Referral, &both),
            lb_service("shop.foo.com", Form::Cname, &[("boston", false)]),
            lb_service("new.g.foo.com", Form::Referral, &both),
            large,
            sizable,
            lb_service(&longest("foo.com"), Form::Cname, &[("tokyo", true)]),
        ],
    });
    Model {
        config: config(NODES[0].0, DNS_LB, role),
        resolvers: BTreeMap::new(),
        silent: BTreeSet::new(),
        rankings: vec![
            Some(vec![1, 2, 0]),
            Some(vec![0]),
            None,
            Some(vec![0]),
            Some(vec![0]),
            Some(vec![0]),
        ],
    }
}

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
                let mut service = lb_service(&service, Form::Referral, &[("tokyo", true)]);
                service.answer_ttl = 1000 + index;
                node.services.push(service);
                model.rankings.push(Some(vec![0]));
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

fn config(node_name: &str, address: Ipv4Addr, role: Role) -> Config {
    Config {
        node: Node {
            name: node_name.to_owned(),
            interfaces: vec!["lo".to_owned()],
            addresses: vec![address],
            datapath: Datapath::Userspace,
            bpffs: PathBuf::from("/sys/fs/bpf"),
            run_dir: PathBuf::from("/run/dglb"),
            max_stale: Duration::from_secs(3600),
        },
        limit: Limit {
            default: Rate {
                per_second: 1000,
                burst: 2000,
            },
            prefixes: Vec::new(),
        },
        role,
    }
}

fn node(index: usize) -> DnsLbNode {
    let (name, address) = NODES[index];
    DnsLbNode {
        name: name.to_owned(),
        address,
        label: Label::of_node(name),
    }
}

fn zone(apex: &str, hosts: &[(&str, Ipv4Addr)]) -> Zone {
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
    }
}

fn lb_service(service: &str, form: Form, sites: &[(&str, bool)]) -> LbService {
    let site = |(index, (site, has_v6)): (usize, &(&str, bool))| Site {
        name: (*site).to_owned(),
        ipv4: Some(Ipv4Addr::new(192, 0, 2, 80 + index as u8)),
        ipv6: has_v6.then(|| Ipv6Addr::new(0x2001, 0xdb8, index as u16, 0, 0, 0, 0, 0x80)),
    };
    LbService {
        name: name(service),
        form,
        answer_ttl: 120,
        referral_ttl: 3600,
        soa: soa(),
        sites: sites.iter().enumerate().map(site).collect(),
        probe: Probe {
            port: 80,
            path: "/health".to_owned(),
            host: service.to_owned(),
            status: vec![200],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            fall: 3,
            rise: 2,
        },
    }
}
