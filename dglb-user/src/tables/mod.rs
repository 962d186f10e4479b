//! The tables: what the kernel program and the sockets answer from.
//!
//! [`Tables`] is the plain form in memory. At start it is built whole (from the configuration) and
//! copied into fresh kernel maps; after that each change goes to both through
//! [`Change`], in the order that the readers need. The answer function of user space reads
//! [`Tables`]; the kernel reads the maps.
//!
//! Who asks: [`Tables::vantage_of`] by source address, [`Tables::subnet`] by Client Subnet. Who answers:
//! [`Tables::serving`]. What: [`Tables::answer`] out of the rankings, or out of the row of buckets that
//! they name; [`Tables::answer_at`] for its smaller variants.

mod change;
pub mod index;
pub mod live;
mod prefixes;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use dglb_common::{
    client::{Client, answer_bucket},
    layout::{
        Answer, AnswerRef, BucketRow, DnsLbValue, LabelKey, NameKey, NameValue, PrefixValue,
        RANKING_PAGE, ResolverValue, Secret, Settings, VantageValue, ranking_place,
    },
    name,
};

pub use self::{change::Change, prefixes::Prefixes};
use crate::name::OwnerName;

/// Everything that an answer depends on, beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// What is fixed while the node serves.
    pub settings: Settings,
    /// Keys of the name hash and of the choice of buckets.
    pub secret: Secret,
    /// The names by their hash.
    pub names: HashMap<NameKey, NameValue>,
    /// DNS-LB labels, small letters, to vantages.
    pub labels: HashMap<LabelKey, u32>,
    /// Resolvers that a DNS-LB announced, by [`resolver_key`].
    pub resolvers: HashMap<IpAddr, ResolverValue>,
    /// Prefixes of clients; the default vantage's /0 of each family is among them.
    pub prefixes: Prefixes,
    /// One for each vantage.
    pub vantages: Vec<VantageValue>,
    /// Who the vantages are; as long as `vantages`.
    pub dns_lbs: Vec<DnsLbValue>,
    /// Pages of [`RANKING_PAGE`] words, see [`ranking_place`].
    pub rankings: Vec<AnswerRef>,
    /// The rows, of [`AnswerRef`]s.
    pub buckets: Vec<BucketRow>,
    /// The slots.
    pub answers: Vec<Answer>,
    /// How large the kernel's maps are made where they may grow while the node serves.
    pub room: Room,
    /// When the publisher last beat, nanoseconds of CLOCK_MONOTONIC: what deadlines are compared with.
    pub heartbeat: u64,
}

impl Tables {
    /// Pages of the rankings.
    pub fn pages(&self) -> usize {
        self.rankings.len() / RANKING_PAGE
    }

    /// The word for a group at a vantage, as it stands.
    pub fn word(&self, vantage: u32, group: u32, kind: u32) -> AnswerRef {
        let (page, index) = ranking_place(self.settings.groups, vantage, group, kind);
        self.rankings
            .get(page as usize * RANKING_PAGE + index as usize)
            .copied()
            .unwrap_or(AnswerRef::NONE)
    }

    /// The answer for a group at a vantage, and whether the client chose it out of a row of buckets; the
    /// vantage is the one that serves, the client's word as it came (source, or Client Subnet).
    pub fn answer(
        &self,
        vantage: u32,
        group: u32,
        kind: u32,
        client: Client,
    ) -> Option<(&Answer, bool)> {
        let word = self.word(vantage, group, kind);
        if !word.is_ready() || !word.is_buckets() {
            return Some((self.answer_at(word)?, false));
        }
        let row = self.buckets.get(word.slot() as usize)?;
        let hash = client.hash(client.network_mask(), &self.secret);
        let answer = self.answer_at(AnswerRef(row[answer_bucket(hash)]))?;
        Some((answer, true))
    }

    /// The answer that a word of the rankings, of a row of buckets, or of [`Answer::smaller`] refers to.
    pub fn answer_at(&self, word: AnswerRef) -> Option<&Answer> {
        if !word.is_ready() || word.is_buckets() {
            return None;
        }
        self.answers
            .get(word.slot() as usize)
            .filter(|answer| answer.generation == word.generation())
    }

    /// The name's entry, exactly this name.
    pub fn name(&self, name: &OwnerName) -> Option<&NameValue> {
        let hash = name::hash(&self.secret, name.wire())?;
        self.names.get(&hash.key())
    }

    /// The vantage of a source address: of the exact entry, else of the longest prefix, else the default.
    /// At a node that maps no sources of the family: the default.
    pub fn vantage_of(&self, source: IpAddr) -> u32 {
        let maps = match source {
            IpAddr::V4(_) => self.settings.maps_v4,
            IpAddr::V6(_) => self.settings.maps_v6,
        };
        if maps == 0 {
            return self.settings.default_vantage;
        }
        if let Some(value) = self.resolvers.get(&resolver_key(source)) {
            return value.vantage;
        }
        u32::from(self.subnet(client(source), u8::MAX).vantage)
    }

    /// The longest entry among the prefixes (not the resolvers) that holds the first `source_len` bits of
    /// the client's word; of IPv6 at most 64 bits count.
    pub fn subnet(&self, client: Client, source_len: u8) -> PrefixValue {
        self.prefixes
            .longest(client, source_len)
            .unwrap_or(PrefixValue {
                vantage: self.settings.default_vantage as u16,
                scope: 0,
                reserved: 0,
            })
    }

    /// The vantage whose answers are given for `vantage` now: its own, or the backup's once the deadline
    /// lies before the heartbeat.
    pub fn serving(&self, vantage: u32) -> Option<u32> {
        self.vantages
            .get(vantage as usize)
            .map(|value| value.serving(self.heartbeat))
    }
}

/// Elements of the kernel's maps that have room to grow; those that have not are as long as the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Slots of `answers`.
    pub answers: u32,
    /// Rows of `buckets`.
    pub buckets: u32,
    /// Entries of `resolvers_v4`, and of `resolvers_v6`; both together have no more.
    pub resolvers: u32,
}

/// The client that an address is.
pub fn client(address: IpAddr) -> Client {
    match address {
        IpAddr::V4(address) => Client::v4(address.octets()),
        IpAddr::V6(address) => Client::v6(address.octets()),
    }
}

/// The key of an address in the table of resolvers: a resolver by IPv6 has the whole of its /64.
pub fn resolver_key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}
