//! The client index in the kernel: `client_chunks` and `client_runs`.
//!
//! A chunk is changed by writing its new run to a free place and then its word, which readers take
//! whole: they have the old run or the new one. The old place rests until a grace period is over.
//!
//! All of it is replaced in the same way, chunk by chunk ([`Kernel::refill_clients`]), not by swapping
//! inner maps: every reader would pay for another look-up, and a chunk is as much as a client can see
//! of the index at once. Where old and new runs do not fit beside each other, grace periods between
//! make room.

use std::{collections::BTreeSet, time::Instant};

use aya::Ebpf;
use dglb_common::layout::{CHUNKS, ChunkWord, RUN_ENTRIES_PER_ELEMENT, RunEntry};

use super::{
    Kernel, KernelError,
    maps::{array, set, set_all},
    places::Places,
};
use crate::tables::{
    Tables,
    index::{ClientIndex, elements},
};

const CHUNK_TABLE: &str = "client_chunks";
const RUN_TABLE: &str = "client_runs";

/// What stands in the two maps, and where.
pub(super) struct ClientMaps {
    index: ClientIndex,
    /// As they stand in the map.
    words: Vec<ChunkWord>,
    places: Places,
    /// Chunks whose change did not reach the map.
    late: BTreeSet<u32>,
    /// Elements of `client_runs`.
    size: u32,
}

/// Elements that `client_runs` needs: the worst case of all resolvers that there may be, and a third
/// more, so that new runs find a place beside old ones.
pub(super) fn size_of_runs(tables: &Tables) -> u32 {
    if tables.settings.maps_v4 == 0 {
        return 1;
    }
    let (prefixes, _) = tables.prefixes.count();
    let ranges = (tables.room.resolvers as usize).max(tables.resolvers.len()) + prefixes;
    // A range begins and ends; a chunk begins with an entry, and its last element may be half full.
    let entries = 2 * ranges + 2 * ranges.min(CHUNKS);
    let elements = entries / RUN_ENTRIES_PER_ELEMENT as usize;
    u32::try_from(elements + elements / 3).unwrap_or(u32::MAX)
}

impl ClientMaps {
    /// Fills the fresh maps; `None`: the node looks no IPv4 source up.
    pub(super) fn fill(ebpf: &mut Ebpf, tables: &Tables) -> Result<Option<Self>, KernelError> {
        if tables.settings.maps_v4 == 0 {
            return Ok(None);
        }
        let began = Instant::now();
        let index = ClientIndex::new(tables);
        let whole = index.whole().iter();
        let mut words: Vec<ChunkWord> = whole.map(|vantage| ChunkWord::uniform(*vantage)).collect();
        let mut all = Vec::new();
        for chunk in index.divided() {
            let run = index.chunk(chunk);
            words[chunk as usize] = word(&run, all.len() as u32);
            if run.len() > 1 {
                all.extend(elements(&run));
            }
        }
        let (used, size) = (all.len() as u32, size_of_runs(tables));
        if used > size {
            return Err(full(size));
        }
        let made = began.elapsed();
        set_all(ebpf, RUN_TABLE, 0, &all)?;
        let plain: Vec<u64> = words.iter().map(|word| word.0).collect();
        set_all(ebpf, CHUNK_TABLE, 0, &plain)?;
        tracing::debug!(elements = used, ?made, filled = ?began.elapsed(), "client index");
        Ok(Some(Self {
            index,
            words,
            places: Places::new(used, size),
            late: BTreeSet::new(),
            size,
        }))
    }
}

/// The word of a chunk whose run, if it is one, stands at `element`.
fn word(run: &[RunEntry], element: u32) -> ChunkWord {
    match run {
        [only] => ChunkWord::uniform(only.vantage() as u16),
        run => ChunkWord::run(element * RUN_ENTRIES_PER_ELEMENT, run.len() as u32),
    }
}

fn full(size: u32) -> KernelError {
    KernelError::Full {
        table: RUN_TABLE,
        size,
    }
}

impl Kernel {
    /// Makes changes of resolvers in the index, and rewrites each chunk that they touch once.
    pub(super) fn change_clients(
        &mut self,
        change: impl FnOnce(&mut ClientIndex, &mut BTreeSet<u32>),
    ) -> Result<(), KernelError> {
        let Some(clients) = &mut self.clients else {
            return Ok(());
        };
        change(&mut clients.index, &mut clients.late);
        self.write_late()
    }

    /// Replaces the whole index by that of `tables`, while the program serves.
    ///
    /// # Errors
    /// What the kernel said; chunks that were not reached come with the next change.
    pub fn refill_clients(&mut self, tables: &Tables) -> Result<(), KernelError> {
        let Some(clients) = &mut self.clients else {
            return Ok(());
        };
        let began = Instant::now();
        let before = std::mem::replace(&mut clients.index, ClientIndex::new(tables));
        let (old, new) = (&before, &clients.index);
        let mut chunks: BTreeSet<u32> = old.divided();
        chunks.extend(new.divided());
        let whole = old.whole().iter().zip(new.whole()).zip(0_u32..);
        chunks.extend(whole.filter_map(|((old, new), chunk)| (old != new).then_some(chunk)));
        chunks.retain(|chunk| old.chunk(*chunk) != new.chunk(*chunk));
        clients.late.extend(&chunks);
        let written = self.write_late();
        tracing::debug!(chunks = chunks.len(), took = ?began.elapsed(), "client index refilled");
        written
    }

    /// Writes the chunks that are not yet in the maps as they are in the index.
    fn write_late(&mut self) -> Result<(), KernelError> {
        while let Some(chunk) = self
            .clients
            .as_ref()
            .and_then(|clients| clients.late.first())
        {
            let chunk = *chunk;
            self.write_chunk(chunk)?;
            if let Some(clients) = &mut self.clients {
                clients.late.remove(&chunk);
            }
        }
        Ok(())
    }

    /// The run first, then the word.
    fn write_chunk(&mut self, chunk: u32) -> Result<(), KernelError> {
        let Some(clients) = &mut self.clients else {
            return Ok(());
        };
        let run = clients.index.chunk(chunk);
        let size = clients.size;
        let elements: Vec<u64> = if run.len() > 1 {
            elements(&run).collect()
        } else {
            Vec::new()
        };
        let mut start = 0;
        if !elements.is_empty() {
            start = self.take_place(elements.len() as u32).ok_or(full(size))?;
            if let Err(error) = set_all(&mut self.ebpf, RUN_TABLE, start as usize, &elements) {
                if let Some(clients) = &mut self.clients {
                    clients.places.give_up(start, elements.len() as u32);
                }
                return Err(error);
            }
        }
        let word = word(&run, start);
        let mut map = array::<u64>(&mut self.ebpf, CHUNK_TABLE)?;
        set(&mut map, CHUNK_TABLE, chunk as usize, &word.0)?;
        if let Some(clients) = &mut self.clients {
            let old = std::mem::replace(&mut clients.words[chunk as usize], word);
            if old.count() > 0 {
                let length = old.count().div_ceil(RUN_ENTRIES_PER_ELEMENT);
                let start = old.start() / RUN_ENTRIES_PER_ELEMENT;
                clients.places.give_up(start, length);
            }
        }
        Ok(())
    }

    /// A place; when there is none, after a grace period.
    fn take_place(&mut self, length: u32) -> Option<u32> {
        let place = self.clients.as_mut()?.places.take(length);
        if place.is_some() || !self.is_waiting() {
            return place;
        }
        if let Err(error) = self.wait_for_readers() {
            tracing::error!(%error, "places in the table \"client_runs\" could not be given up");
            return None;
        }
        self.clients.as_mut()?.places.take(length)
    }

    /// Whether a grace period would free anything.
    pub(super) fn is_waiting(&self) -> bool {
        let clients = self.clients.as_ref();
        clients.is_some_and(|clients| clients.places.has_resting())
    }

    /// A grace period is over.
    pub(super) fn free_places(&mut self) {
        if let Some(clients) = &mut self.clients {
            clients.places.rested();
        }
    }
}
