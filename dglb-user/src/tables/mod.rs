//! The tables: what the kernel program and the sockets answer from.
//!
//! [`Tables`] is the plain form in memory. At start it is built whole (from the configuration) and
//! copied into fresh kernel maps; after that each change goes to both through
//! [`Change`], in the order that the readers need. The answer function of user space reads
//! [`Tables`]; the kernel reads the maps.

use std::{collections::HashMap, net::Ipv4Addr};

use dglb_common::{
    layout::{
        Answer, AnswerRef, DnsLbValue, LabelKey, NameKey, NameValue, RANKING_PAGE, ResolverValue,
        Secret, Settings, VantageValue, ranking_place,
    },
    name,
};

use crate::name::OwnerName;

/// Everything that an answer depends on, beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// What is fixed while the node serves.
    pub settings: Settings,
    /// Keys of the name hash.
    pub secret: Secret,
    /// Balanced names by their hash.
    pub names: HashMap<NameKey, NameValue>,
    /// DNS-LB labels, small letters, to vantages.
    pub labels: HashMap<LabelKey, u32>,
    /// Resolvers that a DNS-LB announced.
    pub resolvers: HashMap<Ipv4Addr, ResolverValue>,
    /// One for each vantage.
    pub vantages: Vec<VantageValue>,
    /// Who the vantages are; as long as `vantages`.
    pub dns_lbs: Vec<DnsLbValue>,
    /// `vantages` × pages × [`RANKING_PAGE`] words.
    pub rankings: Vec<AnswerRef>,
    /// The slots.
    pub answers: Vec<Answer>,
}

/// One change of a table while the node serves: the means of publishing of DESIGN §5.
#[derive(Clone, Debug)]
pub enum Change {
    /// A hash map's element is replaced: its value's first word carries the check of the key.
    SetResolver(Ipv4Addr, ResolverValue),
    /// A hash map's element is removed.
    RemoveResolver(Ipv4Addr),
    /// A word is written in place.
    SetVantage(u32, VantageValue),
    /// A word is written in place: it refers to an answer that was written before.
    SetRanking {
        /// Page, see [`ranking_place`].
        page: u32,
        /// Word in the page.
        index: u32,
        /// The reference.
        word: AnswerRef,
    },
}

impl Tables {
    /// Pages of the rankings.
    pub fn pages(&self) -> usize {
        self.rankings.len() / RANKING_PAGE
    }

    /// The answer for a group at a vantage; the vantage is the one that serves.
    pub fn answer(&self, vantage: u32, group: u32, kind: u32) -> Option<&Answer> {
        let (page, index) = ranking_place(self.settings.pages_per_vantage, vantage, group, kind);
        let word = self
            .rankings
            .get(page as usize * RANKING_PAGE + index as usize)
            .filter(|word| word.is_ready())?;
        self.answers
            .get(word.slot() as usize)
            .filter(|answer| answer.generation == word.generation())
    }

    /// The balanced name's entry, exactly this name.
    pub fn name(&self, name: &OwnerName) -> Option<&NameValue> {
        let hash = name::hash(&self.secret, name.wire())?;
        self.names.get(&hash.key())
    }

    /// The vantage of who asks: mapped, or the default.
    pub fn vantage_of(&self, source: Ipv4Addr) -> u32 {
        self.resolvers
            .get(&source)
            .map_or(self.settings.default_vantage, |value| value.vantage)
    }

    /// The vantage whose answers are given for `vantage` now.
    pub fn serving(&self, vantage: u32) -> Option<u32> {
        self.vantages
            .get(vantage as usize)
            .map(|value| value.serves)
    }

    /// Makes a change in memory.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::SetResolver(resolver, value) => {
                self.resolvers.insert(*resolver, *value);
            }
            Change::RemoveResolver(resolver) => {
                self.resolvers.remove(resolver);
            }
            Change::SetVantage(vantage, value) => self.vantages[*vantage as usize] = *value,
            Change::SetRanking { page, index, word } => {
                self.rankings[*page as usize * RANKING_PAGE + *index as usize] = *word;
            }
        }
    }
}
