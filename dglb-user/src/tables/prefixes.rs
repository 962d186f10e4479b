//! Prefixes of clients, each with its vantage and the scope of answers that are chosen by it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::{
    client::{Client, mask},
    layout::PrefixValue,
};
use ipnet::IpNet;

/// Bits of an address that count: of IPv6 those of the /64.
const BITS_V4: u8 = 32;
const BITS_V6: u8 = 64;

/// All prefixes of both families; immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    v4: Family,
    v6: Family,
}

/// The prefixes of one family. An address stands in the upper bits of a word in the order of its octets,
/// so that the order of words is that of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Family {
    /// Network and length: who holds others stands before them.
    entries: BTreeMap<(u64, u8), PrefixValue>,
    /// Lengths that occur: bit 0 is /0.
    lengths: u128,
}

impl Prefixes {
    /// The prefixes with their vantages; /0 of each family is `default`'s if none of them says
    /// otherwise. IPv6 prefixes are no longer than /64: what is behind it is cut off.
    pub fn new(default: u32, entries: impl IntoIterator<Item = (IpNet, u32)>) -> Self {
        let mut v4 = BTreeMap::from([((0, 0), default)]);
        let mut v6 = v4.clone();
        for (net, vantage) in entries {
            match net.trunc() {
                IpNet::V4(net) => {
                    let network = u64::from(net.network().to_bits()) << 32;
                    v4.insert((network, net.prefix_len()), vantage);
                }
                IpNet::V6(net) => {
                    let network = (net.network().to_bits() >> 64) as u64;
                    v6.insert((network, net.prefix_len().min(BITS_V6)), vantage);
                }
            }
        }
        Self {
            v4: Family::new(v4),
            v6: Family::new(v6),
        }
    }

    /// The longest prefix that holds the first `source_len` bits of the client's word.
    pub fn longest(&self, client: Client, source_len: u8) -> Option<PrefixValue> {
        self.find(client, source_len).map(|(_, value)| value)
    }

    /// The same with its length.
    pub fn find(&self, client: Client, source_len: u8) -> Option<(u8, PrefixValue)> {
        let word = u64::from_be(client.word);
        match client.is_v6 {
            0 => self.v4.longest(word, source_len.min(BITS_V4)),
            _ => self.v6.longest(word, source_len.min(BITS_V6)),
        }
    }

    /// The prefixes in the order of their networks, who holds others before them: IPv4, then IPv6.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, PrefixValue)> {
        let v4 = self.v4.entries.iter().map(|(&(network, len), &value)| {
            let network = IpAddr::V4(Ipv4Addr::from_bits((network >> 32) as u32));
            (IpNet::new_assert(network, len), value)
        });
        let v6 = self.v6.entries.iter().map(|(&(network, len), &value)| {
            let network = IpAddr::V6(Ipv6Addr::from_bits(u128::from(network) << 64));
            (IpNet::new_assert(network, len), value)
        });
        v4.chain(v6)
    }

    /// How many prefixes of IPv4 and of IPv6 there are.
    pub fn count(&self) -> (usize, usize) {
        (self.v4.entries.len(), self.v6.entries.len())
    }
}

impl Family {
    fn new(vantages: BTreeMap<(u64, u8), u32>) -> Self {
        let mut family = Self::default();
        for (&(network, len), &vantage) in &vantages {
            family.lengths |= 1 << len;
            family.entries.insert(
                (network, len),
                PrefixValue {
                    vantage: vantage as u16,
                    scope: len,
                    reserved: 0,
                },
            );
        }
        family.widen_scopes();
        family
    }

    /// The scope of each entry becomes the length of the longest one in it: an answer of that scope is
    /// valid for a network which no more specific entry lies in, or the entry is the whole of it.
    fn widen_scopes(&mut self) {
        // The entries that hold the one at hand, the shortest first.
        let mut above: Vec<(u64, u8, u8)> = Vec::new();
        let mut scopes = Vec::new();
        let end = |above: &mut Vec<(u64, u8, u8)>, scopes: &mut Vec<((u64, u8), u8)>| {
            if let Some((network, len, scope)) = above.pop() {
                scopes.push(((network, len), scope));
                if let Some((_, _, outer)) = above.last_mut() {
                    *outer = scope.max(*outer);
                }
            }
        };
        for &(network, len) in self.entries.keys() {
            while above
                .last()
                .is_some_and(|&(outer, outer_len, _)| bits(network, outer_len) != outer)
            {
                end(&mut above, &mut scopes);
            }
            above.push((network, len, len));
        }
        while !above.is_empty() {
            end(&mut above, &mut scopes);
        }
        for (key, scope) in scopes {
            if let Some(value) = self.entries.get_mut(&key) {
                value.scope = scope;
            }
        }
    }

    fn longest(&self, address: u64, max_len: u8) -> Option<(u8, PrefixValue)> {
        let mut lengths = self.lengths & (u128::MAX >> (127 - max_len));
        while lengths != 0 {
            let len = 127 - lengths.leading_zeros() as u8;
            if let Some(value) = self.entries.get(&(bits(address, len), len)) {
                return Some((len, *value));
            }
            lengths &= !(1 << len);
        }
        None
    }
}

/// The first `len` bits of an address in the order of its octets.
fn bits(address: u64, len: u8) -> u64 {
    address & u64::from_be(mask(u32::from(len)))
}

#[cfg(test)]
mod tests;
