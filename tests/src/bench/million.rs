//! The million entries of who asks: 900,000 exact addresses, 100,000 prefixes, a default; and the
//! 5,000 DNS-LBs that they are mapped to. The same in every run.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::Ipv4Addr,
};

use dglb_user::{
    config::{DnsLbNode, Role},
    label::Label,
};
use ipnet::Ipv4Net;

use super::random::{Random, Zipf};
use crate::{model::Model, world};

/// Exact addresses.
pub const EXACT: usize = 900_000;
/// Prefixes.
pub const PREFIXES: usize = 100_000;
/// DNS-LBs.
pub const DNS_LBS: usize = 5_000;
/// How many of the exact addresses ask, where those that ask are not all alike.
pub const ASKERS: usize = 50_000;
/// The DNS-LB of those that no entry has.
pub const DEFAULT: u32 = 0;

/// Any number: all is drawn from it.
const SEED: u64 = 2026;

/// Prefixes of each length, as the Internet's routing table has them (more than half are /24, a
/// hundredth are shorter than /17), but at least one of each; /24 is what is left to 100,000.
const SHORTER: [(u8, usize); 16] = [
    (8, 2),
    (9, 2),
    (10, 5),
    (11, 12),
    (12, 32),
    (13, 60),
    (14, 120),
    (15, 200),
    (16, 1350),
    (17, 800),
    (18, 1350),
    (19, 2500),
    (20, 4400),
    (21, 5100),
    (22, 11_200),
    (23, 10_000),
];

/// The entries. Values are indices of DNS-LBs.
#[derive(Clone, Debug)]
pub struct Million {
    /// Exact addresses, in no order; no two are the same.
    pub exact: Vec<(Ipv4Addr, u32)>,
    /// Prefixes, the shortest first; no two are the same, and their host bits are zero.
    pub prefixes: Vec<(Ipv4Net, u32)>,
    by_address: HashMap<Ipv4Addr, u32>,
    by_prefix: HashMap<Ipv4Net, u32>,
}

impl Million {
    /// So many, [`EXACT`] and [`PREFIXES`] to measure; fewer are the first ones of the same sequence of
    /// addresses, and of prefixes the shortest.
    pub fn of_size(exact: usize, prefixes: usize) -> Self {
        let mut random = Random::new(SEED);
        let mut taken = HashSet::new();
        let lengths = SHORTER
            .iter()
            .flat_map(|(len, count)| std::iter::repeat_n(*len, *count))
            .chain(std::iter::repeat(24));
        let prefixes: Vec<_> = lengths
            .take(prefixes)
            .map(|len| {
                let network = distinct(&mut taken, || network(random.unicast(), len));
                (network, random.below(DNS_LBS as u64) as u32)
            })
            .collect();
        let mut random = Random::new(SEED + 1);
        let mut taken = HashSet::new();
        let exact: Vec<_> = (0..exact)
            .map(|_| {
                let address = distinct(&mut taken, || random.unicast());
                (address, random.below(DNS_LBS as u64) as u32)
            })
            .collect();
        Self {
            by_address: exact.iter().copied().collect(),
            by_prefix: prefixes.iter().copied().collect(),
            exact,
            prefixes,
        }
    }

    /// The DNS-LB of who asks: its own entry's, else that of the longest prefix, else the default.
    pub fn dns_lb_of(&self, source: Ipv4Addr) -> u32 {
        let exact = self.by_address.get(&source);
        let in_prefix = || {
            let lengths = (8..=24).rev();
            lengths
                .map(|len| network(source, len))
                .find_map(|network| self.by_prefix.get(&network))
        };
        exact.or_else(in_prefix).copied().unwrap_or(DEFAULT)
    }

    /// Sources, all unicast addresses alike.
    pub fn uniform(&self) -> impl Iterator<Item = Ipv4Addr> {
        let mut random = Random::new(SEED + 2);
        std::iter::repeat_with(move || random.unicast())
    }

    /// Sources, [`ASKERS`] of the exact addresses, by Zipf's law with s = 1.
    pub fn zipf(&self) -> impl Iterator<Item = Ipv4Addr> {
        let mut random = Random::new(SEED + 3);
        let zipf = Zipf::new(ASKERS.min(self.exact.len()));
        std::iter::repeat_with(move || self.exact[zipf.draw(&mut random)].0)
    }

    /// The DNS-B of the lab's world, with these entries and their DNS-LBs.
    pub fn model(&self) -> Model {
        let mut model = world::dns_b();
        model.silent.clear();
        model.resolvers = BTreeMap::new();
        for (address, dns_lb) in &self.exact {
            model.resolvers.insert((*address).into(), *dns_lb as usize);
        }
        if let Role::DnsB(node) = &mut model.config.role {
            node.dns_lbs = (0..DNS_LBS).map(dns_lb).collect();
            node.default_dns_lb = DEFAULT as usize;
            let prefixes = self.prefixes.iter();
            node.prefixes = prefixes
                .map(|(prefix, dns_lb)| ((*prefix).into(), *dns_lb as usize))
                .collect();
        }
        model
    }
}

/// The sizes that are measured.
pub const FULL: Option<(usize, usize)> = Some((EXACT, PREFIXES));

/// The address of the DNS-LB with this index.
pub fn address_of(dns_lb: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + dns_lb)
}

fn dns_lb(index: usize) -> DnsLbNode {
    let name = format!("lb{index}.isp.example");
    DnsLbNode {
        label: Label::of_node(&name),
        name,
        address: address_of(index as u32),
        address_v6: None,
        backup: None,
    }
}

fn network(address: Ipv4Addr, len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(address, len).trunc()
}

/// The first of what `draw` gives that was not taken before.
fn distinct<T: Copy + Eq + std::hash::Hash>(
    taken: &mut HashSet<T>,
    mut draw: impl FnMut() -> T,
) -> T {
    loop {
        let drawn = draw();
        if taken.insert(drawn) {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_million_is_a_million_without_the_default() {
        let million = Million::of_size(EXACT, PREFIXES);
        let addresses: HashSet<_> = million.exact.iter().map(|(address, _)| *address).collect();
        let networks: HashSet<_> = million.prefixes.iter().map(|(prefix, _)| *prefix).collect();
        assert_eq!((addresses.len(), networks.len()), (EXACT, PREFIXES));
        for (prefix, dns_lb) in &million.prefixes {
            assert_eq!(prefix.network(), prefix.addr(), "host bits");
            assert!((8..=24).contains(&prefix.prefix_len()));
            assert!((*dns_lb as usize) < DNS_LBS);
        }
        for len in 8..=24 {
            let count = networks
                .iter()
                .filter(|net| net.prefix_len() == len)
                .count();
            assert!(count > 0, "/{len}");
            assert_eq!(count > PREFIXES / 2, len == 24, "/{len}: {count}");
        }
        let used: HashSet<_> = million.exact.iter().map(|(_, dns_lb)| *dns_lb).collect();
        assert_eq!(used.len(), DNS_LBS);
    }

    #[test]
    fn every_run_has_the_same() {
        let (one, other) = (Million::of_size(1000, 500), Million::of_size(2000, 1000));
        assert_eq!(one.exact[..], other.exact[..1000]);
        assert_eq!(one.prefixes[..], other.prefixes[..500]);
        let (own, others) = (one.uniform().take(9), other.uniform().take(9));
        assert!(own.eq(others));
        assert!(!one.uniform().take(9).eq(one.zipf().take(9)));
    }

    #[test]
    fn the_longest_entry_decides() {
        let mut million = Million::of_size(0, 0);
        let address = Ipv4Addr::new(203, 0, 113, 9);
        assert_eq!(million.dns_lb_of(address), DEFAULT);
        for (len, dns_lb) in [(8, 1), (24, 3), (16, 2)] {
            million.by_prefix.insert(network(address, len), dns_lb);
        }
        assert_eq!(million.dns_lb_of(address), 3);
        assert_eq!(million.dns_lb_of(Ipv4Addr::new(203, 0, 114, 9)), 2);
        assert_eq!(million.dns_lb_of(Ipv4Addr::new(203, 1, 113, 9)), 1);
        assert_eq!(million.dns_lb_of(Ipv4Addr::new(204, 0, 113, 9)), DEFAULT);
        million.by_address.insert(address, 4);
        assert_eq!(million.dns_lb_of(address), 4);
    }
}
