//! Which slots of `answers` are in use.
//!
//! Equal answers share a slot. A slot is written while nothing refers to it, and referred to after that.
//! Once nothing refers to it any more it rests, because a reader may have met the reference just before;
//! after a grace period ([`super::DataPath::grace`]) it is free, and its next answer has the next
//! generation, so that a reference that somebody kept all the same is seen to be old.
//!
//! Who refers to what is not counted but looked up ([`Slots::sweep`]): a count that drifts would free
//! what is in use.

use std::collections::HashMap;

use dglb_common::layout::{Answer, AnswerRef};

use crate::tables::{Change, Tables};

/// Generations are below this.
const GENERATIONS: u32 = 1 << 30;

/// The slots of one node.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    interned: HashMap<Box<[u8]>, AnswerRef>,
    /// Slots that were given out, free ones among them.
    len: u32,
    free: Vec<u32>,
    resting: Vec<u32>,
    /// Whether references may have gone since the last sweep.
    is_dirty: bool,
}

/// All slots are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table \"answers\" is full: all {0} slots are in use")]
pub struct NoSlot(pub u32);

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
        self.len = answers.len() as u32;
        self.interned.insert(content, reference);
        reference
    }

    /// The reference to `answer` while the node serves; where no equal one is there, the change that
    /// writes it is added to `changes`.
    ///
    /// # Errors
    /// [`NoSlot`]: sweep and wait first, or go without.
    pub fn place(
        &mut self,
        tables: &Tables,
        mut answer: Answer,
        changes: &mut Vec<Change>,
    ) -> Result<AnswerRef, NoSlot> {
        let content = content(&answer);
        if let Some(reference) = self.interned.get(&content) {
            return Ok(*reference);
        }
        let room = tables.room.answers;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.len < room => {
                self.len += 1;
                self.len - 1
            }
            None => return Err(NoSlot(room)),
        };
        let before = tables.answers.get(slot as usize);
        let before = before.map_or(0, |answer| answer.generation);
        // The first generation is 1, also after the last one.
        answer.generation = before % (GENERATIONS - 1) + 1;
        let reference = AnswerRef::new(slot, answer.generation);
        self.interned.insert(content, reference);
        self.is_dirty = true;
        changes.push(Change::SetAnswer {
            slot,
            answer: Box::new(answer),
        });
        Ok(reference)
    }

    /// Puts to rest what neither the tables nor `held` refer to; whether there is anything that a
    /// grace period would free.
    pub fn sweep(&mut self, tables: &Tables, held: impl IntoIterator<Item = AnswerRef>) -> bool {
        if !self.is_dirty {
            return !self.resting.is_empty();
        }
        self.is_dirty = false;
        let mut in_use = vec![false; self.len as usize];
        let rows = tables.buckets.iter().flatten().map(|word| AnswerRef(*word));
        let words = tables.rankings.iter().copied().chain(rows).chain(held);
        for word in words {
            mark(tables, &mut in_use, word);
        }
        for slot in self.free.iter().chain(&self.resting) {
            in_use[*slot as usize] = true;
        }
        self.interned
            .retain(|_, reference| in_use[reference.slot() as usize]);
        self.resting
            .extend((0..self.len).filter(|slot| !in_use[*slot as usize]));
        !self.resting.is_empty()
    }

    /// A grace period is over since the last sweep.
    pub fn rested(&mut self) {
        self.free.append(&mut self.resting);
    }
}

/// Marks what `word` refers to, and its smaller variants.
fn mark(tables: &Tables, in_use: &mut [bool], mut word: AnswerRef) {
    while word.is_ready() && !word.is_buckets() {
        let Some(mark) = in_use.get_mut(word.slot() as usize) else {
            return;
        };
        // Marked: so are those that follow.
        if std::mem::replace(mark, true) {
            return;
        }
        let Some(answer) = tables.answer_at(word) else {
            return;
        };
        word = AnswerRef(answer.smaller);
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
    fn place(slots: &mut Slots, tables: &mut Tables, answer: Answer) -> Result<AnswerRef, NoSlot> {
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
        assert_eq!(full, Err(NoSlot(1)));
        tables.rankings[3] = AnswerRef::NONE;
        slots.is_dirty = true;
        assert!(slots.sweep(&tables, []), "at rest");
        let resting = place(&mut slots, &mut tables, answer(2, AnswerRef::NONE));
        assert_eq!(resting, Err(NoSlot(1)), "a reader may be under way");
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
        tables.buckets.push([large.0; dglb_common::layout::BUCKETS]);
        assert!(slots.sweep(&tables, [held]));
        assert_eq!(slots.resting, [gone.slot()]);
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
}
