//! Free places in `client_runs`, in elements.
//!
//! A place that was given up rests until a grace period is over, because a reader may have met its
//! chunk's word just before. Neighbours that are free are one place; what is taken is the smallest place
//! that is large enough.

use std::collections::{BTreeMap, BTreeSet};

/// Which elements of the map are free.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// Length by start.
    free: BTreeMap<u32, u32>,
    /// The same by length.
    by_length: BTreeSet<(u32, u32)>,
    /// Start and length of what rests.
    resting: Vec<(u32, u32)>,
}

impl Places {
    /// The elements from `start` up to `end`, all free.
    pub(super) fn new(start: u32, end: u32) -> Self {
        let mut places = Self::default();
        places.put(start, end.saturating_sub(start));
        places
    }

    /// The first of `length` elements that are no longer free, if there are so many in a row.
    pub(super) fn take(&mut self, length: u32) -> Option<u32> {
        let &(found, start) = self.by_length.range((length, 0)..).next()?;
        self.remove(start, found);
        self.put(start + length, found - length);
        Some(start)
    }

    /// A place that nothing leads to any more rests.
    pub(super) fn give_up(&mut self, start: u32, length: u32) {
        self.resting.push((start, length));
    }

    /// A grace period is over: what rested is free.
    pub(super) fn rested(&mut self) {
        for (start, length) in std::mem::take(&mut self.resting) {
            self.free(start, length);
        }
    }

    /// Whether anything rests.
    pub(super) fn has_resting(&self) -> bool {
        !self.resting.is_empty()
    }

    fn free(&mut self, mut start: u32, mut length: u32) {
        if let Some((&before, &before_length)) = self.free.range(..start).next_back()
            && before + before_length == start
        {
            self.remove(before, before_length);
            start = before;
            length += before_length;
        }
        if let Some(&behind_length) = self.free.get(&(start + length)) {
            self.remove(start + length, behind_length);
            length += behind_length;
        }
        self.put(start, length);
    }

    fn put(&mut self, start: u32, length: u32) {
        if length > 0 {
            self.free.insert(start, length);
            self.by_length.insert((length, start));
        }
    }

    fn remove(&mut self, start: u32, length: u32) {
        self.free.remove(&start);
        self.by_length.remove(&(length, start));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_element_is_in_two_places_and_none_is_lost(
            steps in prop::collection::vec((0_u8..3, 1_u32..40, any::<prop::sample::Index>()), 1..200),
        ) {
            const ELEMENTS: u32 = 200;
            let mut places = Places::new(0, ELEMENTS);
            let mut taken: Vec<(u32, u32)> = Vec::new();
            let mut resting: Vec<(u32, u32)> = Vec::new();
            for (step, length, which) in steps {
                match step {
                    0 => {
                        if let Some(start) = places.take(length) {
                            prop_assert!(start + length <= ELEMENTS);
                            for (other, other_length) in taken.iter().chain(&resting) {
                                let apart = start + length <= *other || other + other_length <= start;
                                prop_assert!(apart, "{start}+{length} and {other}+{other_length}");
                            }
                            taken.push((start, length));
                        }
                    }
                    1 if !taken.is_empty() => {
                        let (start, length) = taken.swap_remove(which.index(taken.len()));
                        places.give_up(start, length);
                        resting.push((start, length));
                    }
                    _ => {
                        places.rested();
                        resting.clear();
                    }
                }
                let free: u32 = places.free.values().sum();
                let held: u32 = taken.iter().chain(&resting).map(|(_, length)| length).sum();
                prop_assert_eq!(free + held, ELEMENTS);
                prop_assert_eq!(places.free.len(), places.by_length.len());
            }
            for (start, length) in taken {
                places.give_up(start, length);
            }
            places.rested();
            prop_assert_eq!(places.take(ELEMENTS), Some(0), "all in one");
        }
    }

    #[test]
    fn what_rests_is_not_given_out() {
        let mut places = Places::new(2, 4);
        let start = places.take(2).expect("free");
        places.give_up(start, 2);
        assert_eq!(places.take(1), None);
        places.rested();
        assert_eq!(places.take(2), Some(2));
        assert_eq!(Places::new(3, 3).take(1), None);
    }
}
