//! What may happen to the tables while the node serves: the means of publishing (ARCHITECTURE.md, "The tables").

use std::net::IpAddr;

use dglb_common::layout::{
    Answer, AnswerRef, BucketRow, RANKING_PAGE, ResolverValue, VantageValue,
};

use super::Tables;

/// One change of a table.
#[derive(Clone, Debug)]
pub enum Change {
    /// A resolver is mapped, by its [`resolver_key`](super::resolver_key). A hash map's element is
    /// replaced: its value's first word carries the check of the key. At IPv4 the client index follows.
    SetResolver(IpAddr, ResolverValue),
    /// A resolver is mapped no longer.
    RemoveResolver(IpAddr),
    /// A word is written in place.
    SetVantage(u32, VantageValue),
    /// A word is written in place: it refers to an answer or a row that was written before.
    SetRanking {
        /// Page, see [`dglb_common::layout::ranking_place`].
        page: u32,
        /// Word in the page.
        index: u32,
        /// The reference.
        word: AnswerRef,
    },
    /// A free slot is written, which nothing refers to yet; one behind the last is a new one.
    SetAnswer {
        /// The slot.
        slot: u32,
        /// The answer, of a generation that the slot never had.
        answer: Box<Answer>,
    },
    /// A free row is written, which nothing refers to yet; one behind the last is a new one.
    SetBuckets {
        /// The row.
        row: u32,
        /// Its words, [`AnswerRef`]s to answers that were written before.
        words: Box<BucketRow>,
    },
}

impl Tables {
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
            Change::SetAnswer { slot, answer } => {
                let slot = *slot as usize;
                if slot >= self.answers.len() {
                    self.answers.resize(slot + 1, Answer::EMPTY);
                }
                self.answers[slot] = **answer;
            }
            Change::SetBuckets { row, words } => {
                let row = *row as usize;
                if row >= self.buckets.len() {
                    let none = [AnswerRef::NONE.0; dglb_common::layout::BUCKETS];
                    self.buckets.resize(row + 1, none);
                }
                self.buckets[row] = **words;
            }
        }
    }
}
