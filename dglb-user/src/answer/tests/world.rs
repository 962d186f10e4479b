//! Nodes for tests: configurations by hand, so that roles without a daemon are among them, tables as they
//! are built, addresses put in by hand. And queries, and responses as a resolver reads them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use dglb_common::layout::{
    AnswerRef, BUCKETS, NameWord, RANKING_PAGE, VantageValue, ranking_place,
};
use hickory_proto::op::Message;

use super::*;
use crate::{
    config::*,
    label::Label,
    name::OwnerName,
    publish::build::build,
    ready::{self, AddressRow},
};

/// A resolver of no prefix and no list.
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
/// A resolver whose Client Subnet is believed.
pub const LISTED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 53));
/// The same by IPv6.
pub const LISTED_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x53, 0, 0, 0, 0, 1));
/// The node's addresses.
pub const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);

/// Vantages: the default, and that of clients in 203.0.113.0/24 and 2001:db8:113::/48.
pub const DEFAULT: u32 = 0;
pub const NEAR: u32 = 1;

pub fn name(text: &str) -> OwnerName {
    text.parse().expect(text)
}

/// The label of the DNS-LB at a vantage.
pub fn label(vantage: u32) -> Label {
    Label::of_node(&format!("lb{vantage}"))
}

/// A label that nobody has.
pub fn unknown_label() -> Label {
    Label::of_node("nobody")
}

pub fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

pub fn v6(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

/// `lb0` has addresses of both families, `lb1` has none of IPv6; each is the other's backup.
fn dns_lb_nodes() -> Vec<DnsLbNode> {
    let node = |vantage: u32, address_v6| DnsLbNode {
        name: format!("lb{vantage}"),
        address: Ipv4Addr::new(198, 51, 100, vantage as u8),
        address_v6,
        label: label(vantage),
        backup: Some(1 - vantage as usize),
    };
    let both = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0);
    vec![node(0, Some(both)), node(1, None)]
}

fn near_prefixes() -> Vec<(ipnet::IpNet, usize)> {
    ["203.0.113.0/24", "2001:db8:113::/48"]
        .map(|net| (net.parse().expect(net), NEAR as usize))
        .to_vec()
}

fn soa() -> Soa {
    Soa {
        mname: name("ns1.g.foo.com"),
        rname: name("hostmaster.foo.com"),
        serial: 1,
        refresh: 2,
        retry: 3,
        expire: 4,
        minimum: 900,
        ttl: 900,
    }
}

fn config(role: Role) -> Config {
    Config {
        node: Node {
            name: "node.example".to_owned(),
            interfaces: vec!["eth0".to_owned()],
            addresses: vec![NODE.into(), NODE_V6.into()],
            datapath: Datapath::Userspace,
            bpffs: "/sys/fs/bpf".into(),
            run_dir: "/run/dglb".into(),
            max_stale: Duration::from_secs(3600),
            state_dir: "/var/lib/dglb".into(),
            control_group: None,
            location: None,
        },
        limit: Limit {
            default: Rate {
                per_second: 1000,
                burst: 1000,
            },
            prefixes: Vec::new(),
            dry_run: false,
        },
        client_subnet: ["198.18.0.0/24", "2001:db8:53::/48"]
            .map(|net| net.parse().expect(net))
            .to_vec(),
        metrics: None,
        role,
    }
}

/// A DNS-B with a service of each form: `r.g`, `d.g` and `k.g.foo.com` (direct and cache), and
/// `shop.foo.com`.
pub fn dns_b() -> Config {
    dns_b_below(".foo.com")
}

/// The same with names that end in `parent`.
pub fn dns_b_below(parent: &str) -> Config {
    let name = |text: &str| name(&format!("{text}{parent}"));
    let zone = |apex: &str, hosts: &[(&str, IpAddr)]| Zone {
        apex: name(apex),
        soa: soa(),
        ns: vec![name("ns1.g")],
        ttl: 3600,
        hosts: hosts
            .iter()
            .map(|(host, address)| (name(host), *address))
            .collect(),
    };
    let service = |text: &str, zone: usize, form: Form| BService {
        name: name(text),
        zone,
        form,
        referral_ttl: 3600,
        answer_ttl: 60,
        sites: match form {
            Form::Direct => vec![site(Some(1), None)],
            Form::Referral | Form::Cname | Form::Cache => Vec::new(),
        },
    };
    config(Role::DnsB(DnsB {
        map_listen: "127.0.0.1:5353".parse().expect("an address"),
        lease: Duration::from_secs(10),
        dns_lbs: dns_lb_nodes(),
        default_dns_lb: DEFAULT as usize,
        prefixes: near_prefixes(),
        zones: vec![
            zone(
                "g",
                &[
                    ("ns1.g", NODE.into()),
                    ("ns1.g", NODE_V6.into()),
                    ("a.empty.g", NODE.into()),
                ],
            ),
            zone("shop", &[]),
        ],
        services: vec![
            service("r.g", 0, Form::Referral),
            service("d.g", 0, Form::Direct),
            service("k.g", 0, Form::Cache),
            service("shop", 1, Form::Cname),
        ],
        max_resolvers: 1000,
    }))
}

fn site(v4: Option<u8>, v6: Option<u16>) -> Site {
    let ipv4 = v4.map(|last| Ipv4Addr::new(203, 0, 113, last));
    let ipv6 = v6.map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    Site::new("site", ipv4, ipv6)
}

/// A DNS-LB, `lb0`, which stands in for `lb1`; services `www.foo.com`, form R, and `shop.foo.com`, form C.
pub fn dns_lb() -> Config {
    let service = |text: &str, form| {
        let probe = Probe::new(ProbeKind::Http(crate::probe::spec::Http::new(text, "/")));
        let sites = vec![site(Some(1), Some(1)), site(Some(2), None)];
        LbService {
            answer_ttl: 600,
            ..LbService::new(name(text), form, soa(), sites, probe)
        }
    };
    let nodes = dns_lb_nodes();
    config(Role::DnsLb(DnsLb {
        address: nodes[0].address,
        address_v6: nodes[0].address_v6,
        beside_resolver: false,
        label: nodes[0].label,
        dns_bs: Vec::new(),
        renew: Duration::from_secs(3),
        resolvers: ResolverSource::Listed(Vec::new()),
        stands_in_for: vec![nodes[1].clone()],
        prefixes: near_prefixes(),
        probe_limits: ProbeLimits::default(),
        services: Arc::new(vec![
            service("www.foo.com", Form::Referral),
            service("shop.foo.com", Form::Cname),
        ]),
    }))
}

/// The same beside a resolver.
pub fn dns_isp_lb() -> Config {
    let mut config = dns_lb();
    if let Role::DnsLb(dns_lb) = &mut config.role {
        dns_lb.beside_resolver = true;
    }
    config
}

/// A node whose vantages all serve for themselves; its tables can still be changed.
pub struct World {
    config: Config,
    pub tables: Tables,
}

impl World {
    pub fn of(config: Config) -> Self {
        let mut tables = build(&config, SECRET, &Restored::default())
            .expect("fits")
            .tables;
        for (vantage, value) in tables.vantages.iter_mut().enumerate() {
            *value = VantageValue {
                serves: vantage as u16,
                backup: 0,
                deadline: VantageValue::NO_DEADLINE,
            };
        }
        Self { config, tables }
    }

    /// The name answers with this list at a vantage.
    pub fn addresses(mut self, of: &str, vantage: u32, kind: u32, list: &[IpAddr]) -> Self {
        let word = self.list(list);
        self.set(of, vantage, kind, word);
        self
    }

    /// The name answers with the one or the other address by the client's bucket, in turns.
    pub fn buckets(mut self, of: &str, vantage: u32, kind: u32, pair: [IpAddr; 2]) -> Self {
        let words = pair.map(|address| self.list(&[address]).0);
        let row = self.tables.buckets.len() as u32;
        let in_turns: Vec<u64> = (0..BUCKETS).map(|place| words[place % 2]).collect();
        let in_turns = in_turns.try_into().expect("a row");
        self.tables.buckets.push(in_turns);
        self.set(of, vantage, kind, AnswerRef::buckets(row));
        self
    }

    fn list(&mut self, list: &[IpAddr]) -> AnswerRef {
        let row = match self.config.role {
            Role::DnsB(_) => AddressRow::DnsB,
            Role::DnsLb(_) => AddressRow::DnsLb,
        };
        let answers = &mut self.tables.answers;
        let variants = ready::addresses(row, list, 600).expect("an address");
        variants.link(|mut answer| {
            answer.generation = 1;
            answers.push(answer);
            AnswerRef::new(answers.len() as u32 - 1, 1)
        })
    }

    /// Writes a word of the rankings.
    pub fn set(&mut self, of: &str, vantage: u32, kind: u32, word: AnswerRef) {
        let value = self.tables.name(&name(of)).expect(of);
        let group = NameWord(value.word).group();
        let groups = self.tables.settings.groups;
        let (page, index) = ranking_place(groups, vantage, group, kind);
        self.tables.rankings[page as usize * RANKING_PAGE + index as usize] = word;
    }

    pub fn answerer(self) -> Answerer {
        Answerer::new(Arc::new(self.config), Arc::new(RwLock::new(self.tables)))
    }
}

/// A query for `qtype` of `qname` without OPT.
pub fn ask(qname: &str, qtype: u16) -> Vec<u8> {
    let mut message = query(7, qname);
    let at = message.len() - 4;
    message[at..at + 2].copy_from_slice(&qtype.to_be_bytes());
    message
}

/// The same with OPT: payload size 1232, and these options.
pub fn ask_with(qname: &str, qtype: u16, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut rdata = Vec::new();
    for (code, data) in options {
        rdata.extend_from_slice(&code.to_be_bytes());
        rdata.extend_from_slice(&(data.len() as u16).to_be_bytes());
        rdata.extend_from_slice(data);
    }
    let mut message = ask(qname, qtype);
    message[11] = 1;
    message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0]);
    message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    message.extend_from_slice(&rdata);
    message
}

/// A response, and how a resolver reads it.
pub struct Seen {
    pub counter: Counter,
    pub octets: Vec<u8>,
    pub message: Message,
}

impl Seen {
    pub fn of(answered: Answered) -> Self {
        let message = Message::from_vec(&answered.octets).expect("readable");
        Self {
            counter: answered.counter,
            octets: answered.octets,
            message,
        }
    }

    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// Data of the answers as text.
    pub fn answers(&self) -> Vec<String> {
        let answers = self.message.answers.iter();
        answers.map(|record| record.data.to_string()).collect()
    }

    /// Records of answer, authority and additional sections, OPT not among them.
    pub fn counts(&self) -> [usize; 3] {
        let message = &self.message;
        [
            message.answers.len(),
            message.authorities.len(),
            message.additionals.len(),
        ]
    }

    /// The data of an option of the OPT, which stands at the end of the message.
    pub fn option(&self, code: u16) -> Option<Vec<u8>> {
        let octets = &self.octets;
        let start = (0..octets.len().checked_sub(10)?).find(|&at| {
            let rdata = usize::from(u16::from_be_bytes([octets[at + 9], octets[at + 10]]));
            octets[at..at + 3] == [0, 0, 41] && at + 11 + rdata == octets.len()
        })?;
        let mut rest = &octets[start + 11..];
        while let Some(([high, low, len_high, len_low], data)) = rest.split_first_chunk() {
            let len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
            if u16::from_be_bytes([*high, *low]) == code {
                return Some(data[..len].to_vec());
            }
            rest = &data[len..];
        }
        None
    }
}

/// The response by TCP, where nothing is left out.
pub fn whole(answerer: &Answerer, query: &[u8], source: IpAddr) -> Seen {
    let answered = answerer.answer_message(query, source, Transport::Tcp);
    Seen::of(answered.expect("a query is answered"))
}

/// The response by UDP.
pub fn by_udp(answerer: &Answerer, query: &[u8], source: IpAddr) -> Seen {
    let answered = answerer.answer_message(query, source, Transport::Udp);
    Seen::of(answered.expect("a query is answered"))
}
