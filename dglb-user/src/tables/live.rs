//! The tables as one who follows a single query reads them: element by element, never a whole table.
//!
//! [`LiveTables`] is implemented by the pinned tables (`kernel::live`) and by [`InMemory`], so that what
//! follows a query (`explain::walk`) is tested without a kernel. An element that is not there is `None`;
//! an error is that the tables can't be read at all.

use std::{convert::Infallible, net::IpAddr};

use dglb_common::{
    client::Client,
    layout::{
        Answer, AnswerRef, ChunkWord, DnsLbValue, LabelKey, LabelValue, NameValue, PrefixValue,
        RANKING_PAGE, ResolverValue, Secret, Settings, VantageValue, label_check,
    },
    name::NameHash,
};

use super::{
    Tables,
    index::{ClientIndex, ClientWords},
};

/// Look-ups of single elements.
pub trait LiveTables {
    /// Why the tables can't be read.
    type Error;

    /// What is fixed while a program serves.
    ///
    /// # Errors
    /// The tables can't be read; as for all of these.
    fn settings(&self) -> Result<Settings, Self::Error>;
    /// Keys of the name hash and of the choice of buckets.
    fn secret(&self) -> Result<Secret, Self::Error>;
    /// The daemon's last heartbeat, nanoseconds of CLOCK_MONOTONIC.
    fn heartbeat(&self) -> Result<u64, Self::Error>;
    /// The entry of a name, by its hash.
    fn name(&self, hash: NameHash) -> Result<Option<NameValue>, Self::Error>;
    /// The entry of a label.
    fn label(&self, label: &LabelKey) -> Result<Option<LabelValue>, Self::Error>;
    /// The entry of a resolver, by its [`resolver_key`](super::resolver_key).
    fn resolver(&self, key: IpAddr) -> Result<Option<ResolverValue>, Self::Error>;
    /// The longest prefix that holds the first `len` bits of the client, with its length.
    fn prefix(&self, client: Client, len: u8) -> Result<Option<(u8, PrefixValue)>, Self::Error>;
    /// A chunk of the client index.
    fn chunk(&self, chunk: u32) -> Result<Option<ChunkWord>, Self::Error>;
    /// An element of the client index's runs.
    fn run(&self, element: u32) -> Result<Option<u64>, Self::Error>;
    /// The state of a vantage.
    fn vantage(&self, vantage: u32) -> Result<Option<VantageValue>, Self::Error>;
    /// Who a vantage is.
    fn dns_lb(&self, vantage: u32) -> Result<Option<DnsLbValue>, Self::Error>;
    /// A word of the rankings; see [`dglb_common::layout::ranking_place`].
    fn word(&self, page: u32, index: u32) -> Result<Option<AnswerRef>, Self::Error>;
    /// A word of a row of buckets.
    fn bucket(&self, row: u32, place: usize) -> Result<Option<AnswerRef>, Self::Error>;
    /// A slot of the ready answers, whatever its generation.
    fn answer(&self, slot: u32) -> Result<Option<Answer>, Self::Error>;
}

/// Tables in memory, with the client index that follows from them.
#[derive(Debug)]
pub struct InMemory<'a> {
    tables: &'a Tables,
    words: ClientWords,
}

impl<'a> InMemory<'a> {
    /// Of these tables.
    pub fn new(tables: &'a Tables) -> Self {
        let mut words = ClientWords::default();
        if tables.settings.maps_v4 != 0 {
            words = ClientIndex::new(tables).words();
        }
        Self { tables, words }
    }
}

impl LiveTables for InMemory<'_> {
    type Error = Infallible;

    fn settings(&self) -> Result<Settings, Infallible> {
        Ok(self.tables.settings)
    }

    fn secret(&self) -> Result<Secret, Infallible> {
        Ok(self.tables.secret)
    }

    fn heartbeat(&self) -> Result<u64, Infallible> {
        Ok(self.tables.heartbeat)
    }

    fn name(&self, hash: NameHash) -> Result<Option<NameValue>, Infallible> {
        Ok(self.tables.names.get(&hash.key()).copied())
    }

    fn label(&self, label: &LabelKey) -> Result<Option<LabelValue>, Infallible> {
        let vantage = self.tables.labels.get(label).copied();
        let (words, _) = label.as_chunks::<8>();
        let [first, second] = [words[0], words[1]].map(u64::from_ne_bytes);
        Ok(vantage.map(|vantage| LabelValue {
            vantage,
            check: label_check(first, second),
        }))
    }

    fn resolver(&self, key: IpAddr) -> Result<Option<ResolverValue>, Infallible> {
        Ok(self.tables.resolvers.get(&key).copied())
    }

    fn prefix(&self, client: Client, len: u8) -> Result<Option<(u8, PrefixValue)>, Infallible> {
        Ok(self.tables.prefixes.find(client, len))
    }

    fn chunk(&self, chunk: u32) -> Result<Option<ChunkWord>, Infallible> {
        Ok(self.words.chunks.get(chunk as usize).copied())
    }

    fn run(&self, element: u32) -> Result<Option<u64>, Infallible> {
        Ok(self.words.runs.get(element as usize).copied())
    }

    fn vantage(&self, vantage: u32) -> Result<Option<VantageValue>, Infallible> {
        Ok(self.tables.vantages.get(vantage as usize).copied())
    }

    fn dns_lb(&self, vantage: u32) -> Result<Option<DnsLbValue>, Infallible> {
        Ok(self.tables.dns_lbs.get(vantage as usize).copied())
    }

    fn word(&self, page: u32, index: u32) -> Result<Option<AnswerRef>, Infallible> {
        let place = page as usize * RANKING_PAGE + index as usize;
        Ok(self.tables.rankings.get(place).copied())
    }

    fn bucket(&self, row: u32, place: usize) -> Result<Option<AnswerRef>, Infallible> {
        let row = self.tables.buckets.get(row as usize);
        Ok(row.and_then(|row| row.get(place).copied()).map(AnswerRef))
    }

    fn answer(&self, slot: u32) -> Result<Option<Answer>, Infallible> {
        Ok(self.tables.answers.get(slot as usize).copied())
    }
}
