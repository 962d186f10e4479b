//! A node's state as one would tell it: who is beside whom, who is silent, which sites are best.
//!
//! The oracle judges from it; [`Model::tables`] makes of it what the data paths read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::layout::{Secret, VantageValue};
use dglb_user::{
    config::{Config, DnsB, Role},
    event::{Selection, Serving},
    label::Label,
    publish::{
        build::{Built, RankedService, Restored, build},
        select,
    },
    tables::Tables,
};
use ipnet::IpNet;
use rustix::time::{ClockId, clock_gettime};

use crate::world::{STRANGER, STRANGER_V6};

/// Keys of the name hash in tests: any, the multipliers odd.
pub const SECRET: Secret = Secret {
    seed_a: 0x6a09_e667_f3bc_c908,
    seed_b: 0xbb67_ae85_84ca_a73b,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// Which of a service's sites are answered, by their indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Those that are up, best first: the first one that has an address of the family. With none up, the
    /// sites stand in the order of the configuration.
    Best(Vec<usize>),
    /// All of them, best first.
    List(Vec<usize>),
    /// One of them for each client, by weight; weight 0: never.
    Weighted(Vec<(usize, u32)>),
    /// The same; which one follows from client and weights alone.
    Sticky(Vec<(usize, u32)>),
    /// None of them, but this address; in the other family there is none.
    Fallback(IpAddr),
    /// SERVFAIL.
    Servfail,
}

/// A node and what it knows now.
#[derive(Clone, Debug)]
pub struct Model {
    /// The node.
    pub config: Config,
    /// DNS-B: resolvers that were announced, with the index of their DNS-LB. One by IPv6 has its /64.
    pub resolvers: BTreeMap<IpAddr, usize>,
    /// Vantages that are silent: their deadline is earlier than the heartbeat.
    pub silent: BTreeSet<usize>,
    /// For each service, what each vantage answers with; `None`: not measured yet. Empty for services
    /// without sites.
    pub rankings: Vec<Vec<Option<Choice>>>,
}

impl Model {
    /// The tables that follow from it, as the publisher builds them.
    ///
    /// # Panics
    /// When they have no room: worlds are small.
    pub fn tables(&self) -> Tables {
        self.built().tables
    }

    /// The same with what the publisher needs to change them.
    ///
    /// # Panics
    /// As [`Model::tables`].
    pub fn built(&self) -> Built {
        let restored = match &self.config.role {
            Role::DnsB(dns_b) => self.restored(dns_b),
            Role::DnsLb(_) => Restored::default(),
        };
        let mut built = build(&self.config, SECRET, &restored).expect("it fits");
        for (vantage, value) in built.tables.vantages.iter_mut().enumerate() {
            *value = self.vantage(vantage);
        }
        built.tables.heartbeat = monotonic_ns();
        for (index, by_vantage) in self.rankings.iter().enumerate() {
            let Some(service) = built.services[index].clone() else {
                continue;
            };
            for (vantage, choice) in by_vantage.iter().enumerate() {
                let Some(choice) = choice else { continue };
                let (tables, slots) = (&built.tables, &mut built.slots);
                let serving = serving(choice, &service);
                let vantage = vantage as u32;
                let changes = select(tables, slots, &service, vantage, &serving);
                for change in changes.expect("it fits") {
                    built.tables.apply(&change);
                }
            }
        }
        built
    }

    /// How many vantages there are.
    pub fn vantages(&self) -> usize {
        match &self.config.role {
            Role::DnsB(dns_b) => dns_b.dns_lbs.len(),
            Role::DnsLb(dns_lb) => 1 + dns_lb.stands_in_for.len(),
        }
    }

    /// The vantage of who is in no table.
    pub fn default_vantage(&self) -> usize {
        match &self.config.role {
            Role::DnsB(dns_b) => dns_b.default_dns_lb,
            Role::DnsLb(_) => 0,
        }
    }

    /// The operator's prefixes.
    pub fn prefixes(&self) -> &[(IpNet, usize)] {
        match &self.config.role {
            Role::DnsB(dns_b) => &dns_b.prefixes,
            Role::DnsLb(dns_lb) => &dns_lb.prefixes,
        }
    }

    /// The vantage that serves for the one with this index: for a silent one its backup, if that is up,
    /// else the default; if that is silent too, the mapping stays as it is.
    pub fn serving(&self, vantage: usize) -> usize {
        let vantage = self.measured(vantage);
        if self.silent.contains(&vantage) {
            self.stands_in(vantage)
        } else {
            vantage
        }
    }

    /// A DNS-LB that measures from one place alone serves all from there.
    fn measured(&self, vantage: usize) -> usize {
        let is_b = matches!(self.config.role, Role::DnsB(_));
        let has_own = |by_vantage: &Vec<_>| by_vantage.len() > vantage;
        if is_b || self.rankings.iter().any(has_own) {
            vantage
        } else {
            0
        }
    }

    /// Who serves for a vantage once it is silent.
    fn stands_in(&self, vantage: usize) -> usize {
        let configured = match &self.config.role {
            Role::DnsB(dns_b) => dns_b.dns_lbs[vantage].backup,
            Role::DnsLb(_) => None,
        };
        let candidates = [configured, Some(self.default_vantage())];
        let up = |candidate: &usize| !self.silent.contains(candidate);
        candidates.into_iter().flatten().find(up).unwrap_or(vantage)
    }

    fn vantage(&self, vantage: usize) -> VantageValue {
        /// 67 ms after the machine's start.
        const LONG_AGO: u32 = 1;
        VantageValue {
            serves: self.measured(vantage) as u16,
            backup: self.stands_in(vantage) as u16,
            deadline: if self.silent.contains(&vantage) {
                LONG_AGO
            } else {
                VantageValue::NO_DEADLINE - 1
            },
        }
    }

    /// Addresses that ask or are asked for: of each prefix the first, the last and one in it; strangers.
    pub fn clients(&self) -> Vec<IpAddr> {
        let mut all = vec![IpAddr::V4(STRANGER), IpAddr::V6(STRANGER_V6)];
        for (net, _) in self.prefixes() {
            all.extend([net.network(), net.broadcast(), in_the_midst(*net)]);
        }
        all.extend(self.resolvers.keys());
        all
    }

    /// Addresses whose Client Subnet is believed: of each prefix the first but one and one in it.
    pub fn subnet_senders(&self) -> Vec<IpAddr> {
        let nets = self.config.client_subnet.iter();
        nets.map(|net| in_the_midst(*net)).collect()
    }

    /// Whether Client Subnet from this source is believed.
    pub fn believes(&self, source: IpAddr) -> bool {
        let mut nets = self.config.client_subnet.iter();
        nets.any(|net| net.contains(&source))
    }

    fn restored(&self, dns_b: &DnsB) -> Restored {
        let label = |index: usize| -> Label { dns_b.dns_lbs[index].label };
        let resolvers = self.resolvers.iter();
        Restored {
            resolvers: resolvers
                .map(|(resolver, index)| (*resolver, label(*index), 0))
                .collect(),
            ..Restored::default()
        }
    }
}

/// As the publisher has it.
pub fn serving(choice: &Choice, service: &RankedService) -> Serving {
    let both = |selection| Serving::both(selection, service.ttl);
    match choice {
        Choice::Best(up) if up.is_empty() => {
            let all: Vec<usize> = (0..service.sites.len()).collect();
            service.best(&all)
        }
        Choice::Best(up) => service.best(up),
        Choice::List(up) => both(Selection::List(up.clone())),
        Choice::Weighted(shares) => both(Selection::Weighted(shares.clone())),
        Choice::Sticky(shares) => both(Selection::Sticky(shares.clone())),
        Choice::Fallback(address) => both(Selection::Fallback(*address)),
        Choice::Servfail => both(Selection::Servfail),
    }
}

/// An address in the prefix that is neither its first nor its last, if it has one.
fn in_the_midst(net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let bits = net.network().to_bits() | net.hostmask().to_bits() & 0x5555_5555;
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        IpNet::V6(net) => {
            let host = 0x0055_0055_0055_0055_0055_0055_0055_0055;
            let bits = net.network().to_bits() | net.hostmask().to_bits() & host;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }
}

/// What the daemon's heartbeat says.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
