//! Which slots of `answers` and which rows of `buckets` are in use.
//!
//! Equal answers share a slot. A slot or row is written while nothing refers to it, and referred to after
//! that; what is in use is never written. Once nothing refers to it any more it rests, because a reader
//! may have met the reference just before; after a grace period ([`super::DataPath::grace`]) it is free,
//! and a slot's next answer has the next generation, so that a reference that somebody kept all the same
//! is seen to be old.
//!
//! Who refers to what is not counted but looked up ([`Slots::sweep`]): a count that drifts would free
//! what is in use.

use std::{collections::HashMap, net::IpAddr};

use dglb_common::layout::{Answer, AnswerRef, BucketRow};

use super::buckets::{self, Division};
use crate::tables::{Change, Tables};

/// Generations are below this.
const GENERATIONS: u32 = 1 << 30;

/// A place of the rankings: vantage, group, kind.
pub type Place = (u32, u32, u32);

/// The slots and rows of one node.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    interned: HashMap<Box<[u8]>, AnswerRef>,
    answers: Pool,
    rows: Pool,
    /// The last row of each place: who comes back to a weighted choice has the same clients again.
    last_rows: HashMap<Place, BucketRow>,
    /// Whether references may have gone since the last sweep.
    is_dirty: bool,
}

/// The elements of one table.
#[derive(Clone, Debug, Default)]
struct Pool {
    /// Elements that were given out, free ones among them.
    len: u32,
    free: Vec<u32>,
    resting: Vec<u32>,
}

/// There is no room for a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// No slot for another answer.
    #[error("table \"answers\" is full: all {0} slots are in use")]
    Slots(u32),
    /// No row for another weighted choice.
    #[error("table \"buckets\" is full: all {0} rows are in use")]
    Rows(u32),
}

impl Pool {
    fn take(&mut self, room: u32) -> Option<u32> {
        if let Some(free) = self.free.pop() {
            return Some(free);
        }
        let next = self.len;
        (next < room).then(|| {
            self.len += 1;
            next
        })
    }

    /// Puts to rest what is neither in use nor free; what rests already stays so.
    fn rest(&mut self, in_use: &[bool]) {
        let mut others = in_use.to_vec();
        for index in self.free.iter().chain(&self.resting) {
            others[*index as usize] = true;
        }
        self.resting
            .extend((0..self.len).filter(|index| !others[*index as usize]));
    }
}

impl Slots {
    /// The reference to `answer` while the tables are built: its slot is new, or that of an equal one.
    pub fn intern(&mut self, answers: &mut Vec<Answer>, mut answer: Answer) -> AnswerRef {
        let content = content(&answer);
        if let Some(reference) = self.interned.get(&content) {
            return *reference;
        }
        answer.generation = 1;
        let reference = AnswerRef::new(answers.len() as u32, answer.generation);
        answers.push(answer);
        self.answers.len = answers.len() as u32;
        self.interned.insert(content, reference);
        reference
    }

    /// The reference to `answer` while the node serves; where no equal one is there, the change that
    /// writes it is added to `changes`.
    ///
    /// # Errors
    /// [`NoRoom`]: sweep and wait first, or go without.
    pub fn place(
        &mut self,
        tables: &Tables,
        mut answer: Answer,
        changes: &mut Vec<Change>,
    ) -> Result<AnswerRef, NoRoom> {
        self.is_dirty = true;
        let content = content(&answer);
        if let Some(reference) = self.interned.get(&content) {
            return Ok(*reference);
        }
        let room = tables.room.answers;
        let slot = self.answers.take(room).ok_or(NoRoom::Slots(room))?;
        let before = tables.answers.get(slot as usize);
        let before = before.map_or(0, |answer| answer.generation);
        // The first generation is 1, also after the last one.
        answer.generation = before % (GENERATIONS - 1) + 1;
        let reference = AnswerRef::new(slot, answer.generation);
        self.interned.insert(content, reference);
        changes.push(Change::SetAnswer {
            slot,
            answer: Box::new(answer),
        });
        Ok(reference)
    }

    /// The word for a weighted choice at `place` among answers that were placed before; the change that
    /// writes its row is added to `changes`. [`AnswerRef::NONE`]: all weights are zero.
    ///
    /// # Errors
    /// [`NoRoom`]: sweep and wait first, or go without.
    pub fn row(
        &mut self,
        tables: &Tables,
        place: Place,
        shares: &[(AnswerRef, u32, IpAddr)],
        how: Division,
        changes: &mut Vec<Change>,
    ) -> Result<AnswerRef, NoRoom> {
        let (vantage, group, kind) = place;
        let words = match how {
            Division::Sticky => buckets::assign_sticky(shares),
            Division::AsBefore => {
                let before = self.last_rows.get(&place).unwrap_or(&buckets::EMPTY);
                let shares: Vec<_> = shares
                    .iter()
                    .map(|(word, weight, _)| (*word, *weight))
                    .collect();
                buckets::assign(&shares, before)
            }
        };
        let Some(words) = words else {
            return Ok(AnswerRef::NONE);
        };
        let now = tables.word(vantage, group, kind);
        if now.is_buckets() && tables.buckets.get(now.slot() as usize) == Some(&words) {
            return Ok(now.watched(false));
        }
        self.is_dirty = true;
        let room = tables.room.buckets;
        let row = self.rows.take(room).ok_or(NoRoom::Rows(room))?;
        self.last_rows.insert(place, words);
        changes.push(Change::SetBuckets {
            row,
            words: Box::new(words),
        });
        Ok(AnswerRef::buckets(row))
    }

    /// Puts to rest what neither the tables nor `held` refer to; whether there is anything that a
    /// grace period would free.
    pub fn sweep(&mut self, tables: &Tables, held: impl IntoIterator<Item = AnswerRef>) -> bool {
        if self.is_dirty {
            self.is_dirty = false;
            let mut marks = Marks {
                answers: vec![false; self.answers.len as usize],
                rows: vec![false; self.rows.len as usize],
            };
            for word in tables.rankings.iter().copied().chain(held) {
                marks.mark(tables, word);
            }
            self.answers.rest(&marks.answers);
            self.rows.rest(&marks.rows);
            self.interned
                .retain(|_, reference| marks.answers[reference.slot() as usize]);
        }
        !self.answers.resting.is_empty() || !self.rows.resting.is_empty()
    }

    /// A grace period is over since the last sweep.
    pub fn rested(&mut self) {
        for pool in [&mut self.answers, &mut self.rows] {
            pool.free.append(&mut pool.resting);
        }
    }
}

/// What is in use.
struct Marks {
    answers: Vec<bool>,
    rows: Vec<bool>,
}

impl Marks {
    /// What `word` refers to: an answer, or a row and its answers.
    fn mark(&mut self, tables: &Tables, word: AnswerRef) {
        if !word.is_ready() || !word.is_buckets() {
            return self.mark_answer(tables, word);
        }
        let row = word.slot() as usize;
        if let (Some(mark), Some(words)) = (self.rows.get_mut(row), tables.buckets.get(row))
            && !std::mem::replace(mark, true)
        {
            for word in words {
                self.mark_answer(tables, AnswerRef(*word));
            }
        }
    }

    /// An answer and its smaller variants.
    fn mark_answer(&mut self, tables: &Tables, mut word: AnswerRef) {
        while let Some(answer) = tables.answer_at(word) {
            let mark = self.answers.get_mut(word.slot() as usize);
            // Marked before: so are those that follow.
            if mark.is_none_or(|mark| std::mem::replace(mark, true)) {
                return;
            }
            word = AnswerRef(answer.smaller);
        }
    }
}

/// Everything of an answer but its generation.
fn content(answer: &Answer) -> Box<[u8]> {
    let pointers = usize::from(answer.base_pointers) + usize::from(answer.record_pointers);
    let mut content = Vec::with_capacity(32 + 2 * pointers + usize::from(answer.len));
    content.extend_from_slice(&answer.row.to_ne_bytes());
    content.extend_from_slice(&answer.smaller.to_ne_bytes());
    content.extend_from_slice(&[
        answer.authoritative,
        answer.rcode,
        answer.answers,
        answer.authorities,
        answer.additionals,
        answer.base_pointers,
        answer.record_pointers,
        answer.scoped,
    ]);
    for pointer in answer.pointers.iter().take(pointers) {
        content.extend_from_slice(&pointer.to_ne_bytes());
    }
    content.extend_from_slice(&answer.octets[..usize::from(answer.len)]);
    content.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Room;

    fn answer(octet: u8, smaller: AnswerRef) -> Answer {
        let mut answer = Answer {
            len: 8,
            smaller: smaller.0,
            ..Answer::EMPTY
        };
        answer.octets[..8].fill(octet);
        answer
    }

    /// Places an answer and makes the change.
    fn place(slots: &mut Slots, tables: &mut Tables, answer: Answer) -> Result<AnswerRef, NoRoom> {
        let mut changes = Vec::new();
        let reference = slots.place(tables, answer, &mut changes);
        for change in &changes {
            tables.apply(change);
        }
        reference
    }

    fn tables(answers: u32) -> Tables {
        Tables {
            room: Room {
                answers,
                buckets: 2,
                ..Room::default()
            },
            rankings: vec![AnswerRef::NONE; 256],
            ..Tables::default()
        }
    }

    #[test]
    fn equal_answers_share_a_slot_and_other_variants_do_not() {
        let (mut slots, mut tables) = (Slots::default(), tables(10));
        let first = slots.intern(&mut tables.answers, answer(1, AnswerRef::NONE));
        assert_eq!(
            slots.intern(&mut tables.answers, answer(1, AnswerRef::NONE)),
            first
        );
        assert_eq!(
            place(&mut slots, &mut tables, answer(1, AnswerRef::NONE)),
            Ok(first)
        );
        let other = place(&mut slots, &mut tables, answer(1, first)).expect("room");
        assert_ne!(other, first);
        assert_eq!(tables.answers.len(), 2);
    }

    #[test]
    fn a_slot_is_used_again_only_after_a_grace_period_and_with_the_next_generation() {
        let (mut slots, mut tables) = (Slots::default(), tables(1));
        let first = place(&mut slots, &mut tables, answer(1, AnswerRef::NONE)).expect("room");
        tables.rankings[3] = first;
        assert!(!slots.sweep(&tables, []), "in use");
        let full = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE));
        assert_eq!(full, Err(NoRoom::Slots(1)));
        tables.rankings[3] = AnswerRef::NONE;
        slots.is_dirty = true;
        assert!(slots.sweep(&tables, []), "at rest");
        let resting = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE));
        assert_eq!(resting, Err(NoRoom::Slots(1)), "a reader may be under way");
        slots.rested();
        let second = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE)).expect("free");
        assert_eq!((second.slot(), second.generation()), (first.slot(), 2));
        assert!(tables.answer_at(first).is_none(), "the old reference");
    }

    #[test]
    fn what_is_held_or_is_a_smaller_variant_stays() {
        let (mut slots, mut tables) = (Slots::default(), tables(9));
        let small = place(&mut slots, &mut tables, answer(1, AnswerRef::NONE)).expect("room");
        let large = place(&mut slots, &mut tables, answer(2, small)).expect("room");
        let held = place(&mut slots, &mut tables, answer(3, AnswerRef::NONE)).expect("room");
        let gone = place(&mut slots, &mut tables, answer(4, AnswerRef::NONE)).expect("room");
        let mut changes = Vec::new();
        let row = slots.row(
            &tables,
            (0, 0, 3),
            &[(large, 1, IpAddr::from([192, 0, 2, 1]))],
            Division::AsBefore,
            &mut changes,
        );
        tables.apply(&changes[0]);
        tables.rankings[3] = row.expect("room");
        assert!(slots.sweep(&tables, [held]));
        assert_eq!(slots.answers.resting, [gone.slot()]);
    }

    #[test]
    fn the_generation_after_the_last_one_is_the_first() {
        let (mut slots, mut tables) = (Slots::default(), tables(1));
        let first = place(&mut slots, &mut tables, answer(1, AnswerRef::NONE)).expect("room");
        tables.answers[0].generation = GENERATIONS - 1;
        assert!(slots.sweep(&tables, []));
        slots.rested();
        let next = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE)).expect("free");
        assert_eq!((next.slot(), next.generation()), (first.slot(), 1));
    }

    #[test]
    fn a_row_in_use_is_never_written_and_comes_back_after_a_grace_period() {
        let (mut slots, mut tables) = (Slots::default(), tables(9));
        let place_of = (0, 0, 3);
        let one = place(&mut slots, &mut tables, answer(1, AnswerRef::NONE)).expect("room");
        let two = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE)).expect("room");
        let publish = |slots: &mut Slots, tables: &mut Tables, shares: &[(AnswerRef, u32)]| {
            let mut changes = Vec::new();
            let shares: Vec<_> = shares
                .iter()
                .map(|(word, weight)| (*word, *weight, IpAddr::from([192, 0, 2, 1])))
                .collect();
            let how = Division::AsBefore;
            let row = slots.row(tables, place_of, &shares, how, &mut changes)?;
            for change in &changes {
                tables.apply(change);
            }
            tables.rankings[3] = row;
            Ok::<_, NoRoom>(row)
        };
        let first = publish(&mut slots, &mut tables, &[(one, 1), (two, 1)]);
        assert_eq!(first, Ok(AnswerRef::buckets(0)));
        let same = publish(&mut slots, &mut tables, &[(one, 2), (two, 2)]);
        assert_eq!(same, first, "the same shares");
        let second = publish(&mut slots, &mut tables, &[(one, 3), (two, 1)]);
        assert_eq!(second, Ok(AnswerRef::buckets(1)));
        let kept = |row: usize| {
            let both = tables.buckets[0].iter().zip(&tables.buckets[row]);
            both.filter(|(one, other)| one == other).count()
        };
        assert_eq!(kept(1), buckets::EMPTY.len() * 3 / 4, "a quarter moved");
        let full = publish(&mut slots, &mut tables, &[(one, 1), (two, 3)]);
        assert_eq!(full, Err(NoRoom::Rows(2)));
        assert!(slots.sweep(&tables, [one, two]));
        slots.rested();
        let third = publish(&mut slots, &mut tables, &[(one, 1), (two, 3)]);
        assert_eq!(third, Ok(AnswerRef::buckets(0)));
        let none = publish(&mut slots, &mut tables, &[(one, 0)]);
        assert_eq!(none, Ok(AnswerRef::NONE));
    }
}
