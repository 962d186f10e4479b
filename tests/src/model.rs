//! A node's state as one would tell it: who is beside whom, who is silent, which site is best.
//!
//! The oracle judges from it; [`Model::tables`] makes of it what the data paths read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use dglb_common::layout::Secret;
use dglb_user::{
    config::{Config, DnsB, Role},
    publish::{
        build::{Restored, build},
        first_ranking,
    },
    tables::Tables,
};

/// Keys of the name hash in tests: any, the multipliers odd.
pub const SECRET: Secret = Secret {
    seed_a: 0x6a09_e667_f3bc_c908,
    seed_b: 0xbb67_ae85_84ca_a73b,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// A node and what it knows now.
#[derive(Clone, Debug)]
pub struct Model {
    /// The node.
    pub config: Config,
    /// DNS-B: resolvers that were announced, with the index of their DNS-LB.
    pub resolvers: BTreeMap<Ipv4Addr, usize>,
    /// DNS-B: DNS-LBs that are silent.
    pub silent: BTreeSet<usize>,
    /// DNS-LB: for each service its sites that are up, best first; `None`: not measured yet.
    pub rankings: Vec<Option<Vec<usize>>>,
}

impl Model {
    /// The tables that follow from it, as the publisher builds them.
    pub fn tables(&self) -> Tables {
        let restored = match &self.config.role {
            Role::DnsB(dns_b) => self.restored(dns_b),
            Role::DnsLb(_) => Restored::default(),
        };
        let mut built = build(&self.config, SECRET, &restored);
        for (service, ranking) in self.rankings.iter().enumerate() {
            if let Some(ranking) = ranking {
                first_ranking(&mut built, service, ranking);
            }
        }
        built.tables
    }

    /// The DNS-LB that serves for the one with this index: the default stands in for a silent one; if
    /// that is silent too, the mapping stays as it is.
    pub fn serving(&self, dns_b: &DnsB, dns_lb: usize) -> usize {
        let default = dns_b.default_dns_lb;
        if self.silent.contains(&dns_lb) && !self.silent.contains(&default) {
            default
        } else {
            dns_lb
        }
    }

    fn restored(&self, dns_b: &DnsB) -> Restored {
        let label = |index: usize| dns_b.dns_lbs[index].label;
        let resolvers = self.resolvers.iter();
        let dns_lbs = 0..dns_b.dns_lbs.len();
        let state = |index| {
            let is_up = !self.silent.contains(&index);
            (label(index), (is_up, label(self.serving(dns_b, index))))
        };
        Restored {
            resolvers: resolvers
                .map(|(resolver, index)| (*resolver, label(*index), 0))
                .collect(),
            dns_lbs: dns_lbs.map(state).collect(),
        }
    }
}
