//! The client index of IPv4: which vantage each of the 2^32 addresses has, in chunks of 2^14.
//!
//! It says the same as [`Tables::vantage_of`]: the exact entry, else the longest prefix, else the
//! default. What of it lies in one chunk is a *run* of entries, each with the first address from which
//! on its vantage holds; neighbours with the same vantage are one entry. A run of one entry is a uniform
//! chunk. Pure: where runs lie in the kernel's maps is `kernel::index`'s to know.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use dglb_common::layout::{
    CHUNK_BITS, CHUNKS, ChunkWord, MAX_RUN, RUN_ENTRIES_PER_ELEMENT, RunEntry,
};
use ipnet::IpNet;

use super::Tables;

mod words;

pub use self::words::{BrokenRun, ClientWords, Difference, elements};

/// Who has which vantage, in the order of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIndex {
    /// By chunk: the vantage of the longest prefix that holds all of it.
    whole: Vec<u16>,
    /// First address and length of longer prefixes; who holds others stands before them.
    inner: BTreeMap<(u32, u8), u16>,
    /// Resolvers.
    exact: BTreeMap<u32, u16>,
}

impl ClientIndex {
    /// Of the IPv4 entries of `tables`.
    pub fn new(tables: &Tables) -> Self {
        let default = tables.settings.default_vantage as u16;
        let mut whole = vec![default; CHUNKS];
        let mut inner = BTreeMap::new();
        // Who holds others comes before them, so that the longest is written last.
        for (net, value) in tables.prefixes.iter() {
            let IpNet::V4(net) = net else { continue };
            let first = net.network().to_bits();
            if u32::from(net.prefix_len()) > CHUNK_BITS {
                inner.insert((first, net.prefix_len()), value.vantage);
            } else {
                let last = net.broadcast().to_bits();
                let chunks = ChunkWord::of(first) as usize..=ChunkWord::of(last) as usize;
                whole[chunks].fill(value.vantage);
            }
        }
        let exact = tables.resolvers.iter();
        let exact = exact.filter_map(|(resolver, value)| match resolver {
            IpAddr::V4(address) => Some((address.to_bits(), value.vantage as u16)),
            IpAddr::V6(_) => None,
        });
        Self {
            whole,
            inner,
            exact: exact.collect(),
        }
    }

    /// A resolver is mapped: gives the chunk that has another run now, if one has.
    pub fn set(&mut self, resolver: Ipv4Addr, vantage: u32) -> Option<u32> {
        let (address, vantage) = (resolver.to_bits(), vantage as u16);
        let before = self.exact.insert(address, vantage);
        (before != Some(vantage)).then_some(ChunkWord::of(address))
    }

    /// A resolver is mapped no longer: gives the chunk that may have another run now.
    pub fn remove(&mut self, resolver: Ipv4Addr) -> Option<u32> {
        let address = resolver.to_bits();
        self.exact.remove(&address)?;
        Some(ChunkWord::of(address))
    }

    /// Prefixes that lie within a chunk.
    pub fn inner_prefixes(&self) -> usize {
        self.inner.len()
    }

    /// The chunks that hold a resolver or a prefix of their own; all others are uniform.
    pub fn divided(&self) -> BTreeSet<u32> {
        let inner = self.inner.keys().map(|(first, _)| *first);
        let exact = self.exact.keys().copied();
        inner.chain(exact).map(ChunkWord::of).collect()
    }

    /// By chunk: the vantage that it has where nothing of its own is in it.
    pub fn whole(&self) -> &[u16] {
        &self.whole
    }

    /// The words that a fresh fill writes, run behind run.
    pub fn words(&self) -> ClientWords {
        let whole = self.whole.iter();
        let mut words = ClientWords {
            chunks: whole.map(|vantage| ChunkWord::uniform(*vantage)).collect(),
            runs: Vec::new(),
        };
        for chunk in self.divided() {
            let run = self.chunk(chunk);
            if run.len() > 1 {
                let start = RUN_ENTRIES_PER_ELEMENT * words.runs.len() as u32;
                words.chunks[chunk as usize] = ChunkWord::run(start, run.len() as u32);
                words.runs.extend(elements(&run));
            }
        }
        words
    }

    /// The run of a chunk: at least one entry; one means uniform.
    pub fn chunk(&self, chunk: u32) -> Vec<RunEntry> {
        let first = chunk << (32 - CHUNK_BITS);
        let last = first | (MAX_RUN - 1);
        let mut run = Run::new(first, self.whole[chunk as usize]);
        let mut inner = self.inner.range((first, 0)..=(last, u8::MAX)).peekable();
        let mut exact = self.exact.range(first..=last).peekable();
        loop {
            // Of a prefix and a resolver that begin at the same address the resolver comes last.
            let prefix = match (inner.peek(), exact.peek()) {
                (Some(((prefix, _), _)), Some((address, _))) => prefix <= address,
                (prefix, _) => prefix.is_some(),
            };
            if prefix {
                let Some(((prefix, len), vantage)) = inner.next() else {
                    break;
                };
                run.put(
                    *prefix,
                    prefix | u32::MAX.unbounded_shr(u32::from(*len)),
                    *vantage,
                );
            } else {
                let Some((address, vantage)) = exact.next() else {
                    break;
                };
                run.put(*address, *address, *vantage);
            }
        }
        run.finish(last)
    }
}

/// A run that is being made from ranges: each lies in the one before, or behind it.
struct Run {
    entries: Vec<RunEntry>,
    /// Last addresses and vantages of the ranges that hold the one at hand, the widest first.
    open: Vec<(u32, u16)>,
    /// What lies outside of all.
    outer: u16,
}

impl Run {
    fn new(first: u32, vantage: u16) -> Self {
        Self {
            entries: vec![RunEntry::new(first, vantage)],
            open: Vec::new(),
            outer: vantage,
        }
    }

    fn put(&mut self, first: u32, last: u32, vantage: u16) {
        self.close_before(first);
        self.from(first, vantage);
        self.open.push((last, vantage));
    }

    /// Ends the ranges that end before `address`.
    fn close_before(&mut self, address: u32) {
        while let Some(&(last, _)) = self.open.last().filter(|(last, _)| *last < address) {
            self.open.pop();
            let vantage = self.open.last().map_or(self.outer, |(_, vantage)| *vantage);
            // Behind one that ends with the next wider one nothing is left of that.
            self.from(last + 1, vantage);
        }
    }

    /// From `address` on the vantage is this one.
    fn from(&mut self, address: u32, vantage: u16) {
        let entry = RunEntry::new(address, vantage);
        if self
            .entries
            .last()
            .is_some_and(|last| last.first() == entry.first())
        {
            self.entries.pop();
        }
        if self
            .entries
            .last()
            .is_none_or(|last| last.vantage() != entry.vantage())
        {
            self.entries.push(entry);
        }
    }

    /// Up to the last address of the chunk.
    fn finish(mut self, last: u32) -> Vec<RunEntry> {
        self.close_before(last);
        self.entries
    }
}

#[cfg(test)]
mod tests;
