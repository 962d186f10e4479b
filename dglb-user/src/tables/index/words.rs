//! The index as it stands in the kernel's maps, and whether it says what the tables say.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use dglb_common::layout::{CHUNK_BITS, ChunkWord, MAX_RUN, RUN_ENTRIES_PER_ELEMENT, RunEntry};
use ipnet::IpNet;
use serde::Serialize;

use super::Tables;

/// The elements of `client_chunks` and `client_runs`.
#[derive(Clone, Debug, Default)]
pub struct ClientWords {
    /// By chunk.
    pub chunks: Vec<ChunkWord>,
    /// Two entries each.
    pub runs: Vec<u64>,
}

/// A run that no reader could make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BrokenRun {
    /// The table has no such chunk.
    NoChunk,
    /// Not 2 to 16,384 entries, from an even one on.
    Word,
    /// It goes beyond the table of runs.
    Beyond,
    /// Its first entry does not begin at the chunk's first address.
    First,
    /// Its entries do not ascend.
    Order,
}

/// Where the index says something else than the tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The address.
    pub address: Ipv4Addr,
    /// The vantage that the index gives.
    pub index: Result<u32, BrokenRun>,
    /// The vantage that the tables give.
    pub tables: u32,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address, tables, ..
        } = self;
        match self.index {
            Ok(index) => write!(
                formatter,
                "{address}: the index has vantage {index}, the tables have {tables}"
            ),
            Err(broken) => write!(
                formatter,
                "{address}: the index has a broken run ({broken}), the tables have vantage {tables}"
            ),
        }
    }
}

impl fmt::Display for BrokenRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoChunk => "no such chunk",
            Self::Word => "not 2 to 16,384 entries from an even one on",
            Self::Beyond => "it goes beyond the table of runs",
            Self::First => "it does not begin at the chunk's first address",
            Self::Order => "its entries do not ascend",
        })
    }
}

impl ClientWords {
    /// The vantage of an address, as the kernel program finds it.
    ///
    /// # Errors
    /// The chunk's run is broken, at whatever place.
    pub fn vantage_of(&self, address: Ipv4Addr) -> Result<u32, BrokenRun> {
        let address = address.to_bits();
        let word = self.chunks.get(ChunkWord::of(address) as usize);
        let word = *word.ok_or(BrokenRun::NoChunk)?;
        if word.count() == 0 {
            return Ok(word.vantage());
        }
        let run = self.run(word)?;
        let low = address & (MAX_RUN - 1);
        let behind = run.partition_point(|entry| entry.first() <= low);
        Ok(run[behind - 1].vantage())
    }

    /// The entries of a run, which are in order.
    fn run(&self, word: ChunkWord) -> Result<Vec<RunEntry>, BrokenRun> {
        let (start, count) = (word.start(), word.count());
        if !(2..=MAX_RUN).contains(&count) || !start.is_multiple_of(RUN_ENTRIES_PER_ELEMENT) {
            return Err(BrokenRun::Word);
        }
        let first = (start / RUN_ENTRIES_PER_ELEMENT) as usize;
        let elements = count.div_ceil(RUN_ENTRIES_PER_ELEMENT) as usize;
        let elements = self.runs.get(first..).and_then(|runs| runs.get(..elements));
        let elements = elements.ok_or(BrokenRun::Beyond)?;
        let run: Vec<RunEntry> = (0..count)
            .map(|index| {
                let element = elements[(index / RUN_ENTRIES_PER_ELEMENT) as usize];
                RunEntry::in_element(element, index)
            })
            .collect();
        if run[0].first() != 0 {
            return Err(BrokenRun::First);
        }
        if !run.is_sorted_by(|one, other| one.first() < other.first()) {
            return Err(BrokenRun::Order);
        }
        Ok(run)
    }

    /// Where this says something else than `tables`, at most `most` places; and how many addresses were
    /// compared.
    ///
    /// That is the first address of each chunk and both edges of each entry with their neighbours: what
    /// lies between two edges has one vantage in the tables; in the index it has one too, if every entry
    /// of every run lies at an edge, so those are compared as well.
    pub fn compare(&self, tables: &Tables, most: usize) -> (Vec<Difference>, usize) {
        let mut differences = Vec::new();
        let mut compared = 0;
        let mut compare = |address: u32| {
            compared += 1;
            let address = Ipv4Addr::from_bits(address);
            let (index, tables) = (self.vantage_of(address), tables.vantage_of(address.into()));
            if index != Ok(tables) && differences.len() < most {
                differences.push(Difference {
                    address,
                    index,
                    tables,
                });
            }
        };
        for (chunk, word) in (0_u32..).zip(&self.chunks) {
            let first = chunk << (32 - CHUNK_BITS);
            compare(first);
            if word.count() == 0 {
                continue;
            }
            for entry in self.run(*word).unwrap_or_default() {
                compare(first | entry.first());
            }
        }
        let exact = tables
            .resolvers
            .keys()
            .filter_map(|resolver| match resolver {
                IpAddr::V4(address) => Some((address.to_bits(), address.to_bits())),
                IpAddr::V6(_) => None,
            });
        let prefixes = tables.prefixes.iter().filter_map(|(net, _)| match net {
            IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits())),
            IpNet::V6(_) => None,
        });
        for (first, last) in exact.chain(prefixes) {
            compare(first);
            if last != first {
                compare(last);
            }
            for outside in [first.checked_sub(1), last.checked_add(1)] {
                outside.into_iter().for_each(&mut compare);
            }
        }
        (differences, compared)
    }
}

/// The elements that hold a run.
pub fn elements(run: &[RunEntry]) -> impl Iterator<Item = u64> {
    run.chunks(RUN_ENTRIES_PER_ELEMENT as usize).map(|entries| {
        entries
            .iter()
            .rev()
            .fold(0, |element, entry| element << 32 | u64::from(entry.0))
    })
}
