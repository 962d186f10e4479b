//! The configuration of a node, checked once and trusted after that.
//!
//! [`Config::load`] reads one TOML file; whatever is wrong in it becomes a [`ConfigError`] that says
//! file, line, key and what would be right. What depends on the machine (interfaces, addresses) is
//! checked by [`crate::config::machine`], not here. Every key is explained in docs/configuration.md.

mod balanced;
mod body_regex;
mod dns_b;
mod dns_lb;
mod dns_lb_nodes;
mod error;
mod load;
mod location;
pub mod machine;
mod map_address;
mod metrics;
mod names;
mod node;
mod policy;
mod probe;
mod probe_limits;
mod reader;
mod report;
mod restart;
mod service;
mod site;
mod soa;
mod special_ranges;
mod syntax;
mod table_sizes;
#[cfg(test)]
mod tests;
mod value;
mod words;
mod zone;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

pub use self::{
    body_regex::compile_body_regex,
    error::{ConfigError, ConfigErrors, ErrorKind},
    restart::restart_needed,
    service::{
        AllDown, DEFAULT_CAPACITY, Family, Filter, LbService, Location, Margin, Overflow, Policy,
        Probe, ProbeKind, ProbeLimits, Profile, Scorer, Site, Tier, UnknownSites, Weights,
    },
};
use crate::{label::Label, name::OwnerName};

/// One node's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every role has.
    pub node: Node,
    /// The rate limit of answers.
    pub limit: Limit,
    /// From where Client Subnet is believed (RFC 7871 §7.2): at most
    /// [`dglb_common::layout::MAX_SUBNET_SENDERS`] prefixes of each family, IPv6 no longer than /64.
    pub client_subnet: Vec<IpNet>,
    /// How metrics are told over HTTP; `None`: not.
    pub metrics: Option<Metrics>,
    /// What this role needs.
    pub role: Role,
}

/// Metrics over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where.
    pub listen: SocketAddr,
    /// Whether each site is told, or only how many there are in each state.
    pub sites: bool,
}

/// Who and where the node is.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, lower case; the label of a DNS-LB follows from it.
    pub name: String,
    /// Interfaces that the XDP program is attached to.
    pub interfaces: Vec<String>,
    /// Addresses that DNS is answered on, port 53. At least one, at most [`MAX_ADDRESSES`] of each family.
    pub addresses: Vec<IpAddr>,
    /// Whether the kernel answers.
    pub datapath: Datapath,
    /// Where the BPF file system is mounted.
    pub bpffs: PathBuf,
    /// Where the socket stands by which `dglb stats` asks the daemon; at most [`MAX_RUN_DIR`] octets.
    pub run_dir: PathBuf,
    /// How long the kernel answers on after the daemon's last heartbeat; default 1 h.
    pub max_stale: Duration,
    /// Where the node keeps what is to survive a restart.
    pub state_dir: PathBuf,
    /// Group whose members may use the control socket, beside root.
    pub control_group: Option<String>,
    /// Where the node stands.
    pub location: Option<Location>,
}

impl Node {
    /// The node's name as a directory of the BPF file system, where the kernel refuses dots
    /// (`bpf_lookup` in kernel/bpf/inode.c: EPERM). No host name has an underscore, so names stay
    /// different.
    pub fn pin_name(&self) -> String {
        self.name.replace('.', "_")
    }
}

/// Addresses of each family that one node may answer on.
pub const MAX_ADDRESSES: usize = 8;
/// Octets of `run_dir`: with a label and `.sock` behind it, what a socket's path may have (108 with the
/// zero at its end, unix(7)).
pub const MAX_RUN_DIR: usize = 80;
/// Prefixes of each family with a limit of their own.
pub const MAX_LIMIT_PREFIXES: usize = 32;
/// Octets that a balanced name may have on the wire: room for a label and `ns.`.
pub const MAX_BALANCED_NAME: usize = 236;

/// Where answers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datapath {
    /// In the kernel, by XDP; user space answers what is passed up.
    Xdp,
    /// In user space alone.
    Userspace,
}

/// The rate limit: a token bucket for each source /24 or /56 and CPU.
#[derive(Clone, Debug)]
pub struct Limit {
    /// What a network without an entry in `prefixes` gets.
    pub default: Rate,
    /// Named prefixes, longest first; `None`: exempt. IPv6 no longer than /64.
    pub prefixes: Vec<(IpNet, Option<Rate>)>,
    /// Who is over the limit is counted, and answered all the same.
    pub dry_run: bool,
}

/// A token bucket's size and speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Answers a second; at least 1.
    pub per_second: u32,
    /// Answers at once after a pause; at least 1.
    pub burst: u32,
}

/// What the node is.
#[derive(Clone, Debug)]
pub enum Role {
    /// Refers each resolver to its DNS-LB.
    DnsB(DnsB),
    /// Probes the sites and answers with the best.
    DnsLb(DnsLb),
}

/// A DNS-B.
#[derive(Clone, Debug)]
pub struct DnsB {
    /// Where DNS-LBs connect to: loopback or a private address until the protocol has TLS.
    pub map_listen: SocketAddr,
    /// How long a DNS-LB may stay silent before it counts as down.
    pub lease: Duration,
    /// The DNS-LBs it may refer to; at least one.
    pub dns_lbs: Vec<DnsLbNode>,
    /// Index in `dns_lbs` of the one that serves resolvers nobody announced.
    pub default_dns_lb: usize,
    /// The operator's own mapping: a prefix, and the index in `dns_lbs` of who serves it. What is
    /// announced of a single resolver is stronger. IPv6 no longer than /64.
    pub prefixes: Vec<(IpNet, usize)>,
    /// The zones delegated to this node.
    pub zones: Vec<Zone>,
    /// The balanced names in them.
    pub services: Vec<BService>,
    /// Resolvers that the table of them has room for.
    pub max_resolvers: u32,
}

/// A DNS-LB as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsLbNode {
    /// Node name, lower case.
    pub name: String,
    /// Address that it answers DNS on.
    pub address: Ipv4Addr,
    /// IPv6 address that it answers DNS on.
    pub address_v6: Option<Ipv6Addr>,
    /// Follows from the name.
    pub label: Label,
    /// At a DNS-B: index in its list of the one that stands beside it in referrals, and in for it when it
    /// is silent.
    pub backup: Option<usize>,
}

/// A zone that a DNS-B is authoritative for.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its apex.
    pub apex: OwnerName,
    /// Its SOA.
    pub soa: Soa,
    /// Its NS host names; the same as in the delegation.
    pub ns: Vec<OwnerName>,
    /// TTL of the NS set and of `hosts`.
    pub ttl: u32,
    /// Address records in the zone (mostly of NS hosts within it).
    pub hosts: Vec<(OwnerName, IpAddr)>,
}

/// The values of an SOA record (RFC 1035 §3.3.13); its owner follows from the place it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Primary name server.
    pub mname: OwnerName,
    /// Mailbox of the person responsible.
    pub rname: OwnerName,
    /// Version of the zone.
    pub serial: u32,
    /// Seconds.
    pub refresh: u32,
    /// Seconds.
    pub retry: u32,
    /// Seconds.
    pub expire: u32,
    /// Seconds; the TTL of a negative answer is min(`ttl`, `minimum`) (RFC 2308 §3).
    pub minimum: u32,
    /// TTL of the SOA record itself, seconds.
    pub ttl: u32,
}

/// The form of referral (docs/answer-table.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Form R: a plain downward referral at the balanced name.
    Referral,
    /// Form C: a CNAME to `L.N`, and a referral for that.
    Cname,
    /// No referral: the DNS-B answers with the addresses of the service's best sites. Has no daemon yet.
    Direct,
    /// No referral: the DNS-B answers with the address of the DNS-LB, a cache. Has no daemon yet.
    Cache,
}

/// A balanced name at a DNS-B.
#[derive(Clone, Debug)]
pub struct BService {
    /// N.
    pub name: OwnerName,
    /// Index in `zones` of the zone that it lies in; form C: its apex, else a name below that.
    pub zone: usize,
    /// Form of referral.
    pub form: Form,
    /// TTL of the referral, its glue, and form C's CNAME, seconds.
    pub referral_ttl: u32,
    /// TTL of addresses, direct and cache mode, seconds.
    pub answer_ttl: u32,
    /// The mirrors, direct mode; else empty.
    pub sites: Vec<Site>,
}

/// A DNS-LB.
#[derive(Clone, Debug)]
pub struct DnsLb {
    /// The address that it announces: the first of the node's IPv4 addresses.
    pub address: Ipv4Addr,
    /// The first of the node's IPv6 addresses.
    pub address_v6: Option<Ipv6Addr>,
    /// Stands on the host of an ISP's resolver (DNS-ISP-LB): answers N itself in form C too, sets RA, and
    /// leaves what is not its own to the resolver. Has no daemon yet.
    pub beside_resolver: bool,
    /// Its own label.
    pub label: Label,
    /// The DNS-Bs' map protocol addresses.
    pub dns_bs: Vec<SocketAddr>,
    /// How often it renews.
    pub renew: Duration,
    /// Where the resolvers that it is beside come from.
    pub resolvers: ResolverSource,
    /// Other DNS-LBs that this one stands in for: it answers for their labels (form C) and knows
    /// the addresses of their NS host names. May be empty. They are the vantages 1 and up, the node itself
    /// is 0.
    pub stands_in_for: Vec<DnsLbNode>,
    /// Prefixes whose clients have another vantage than the node's own.
    pub prefixes: Vec<(IpNet, usize)>,
    /// What the node allows of probes.
    pub probe_limits: ProbeLimits,
    /// What it answers for; shared, because there may be many, and what measures has them too.
    pub services: Arc<Vec<LbService>>,
}

/// Where a DNS-LB learns its resolvers' addresses.
#[derive(Clone, Debug)]
pub enum ResolverSource {
    /// Listed in the configuration.
    Listed(Vec<IpAddr>),
    /// The `nameserver` lines of this file, followed when it changes.
    ResolvConf(PathBuf),
}
