//! Builds the perfect hash by which the program finds a name ([`dglb_common::name_index`]).

use std::collections::HashMap;

use dglb_common::{
    layout::{NameKey, NameSlot, NameValue},
    name::NameHash,
    name_index::{DISPLACEMENTS_PER_ELEMENT, bucket, slot},
};

/// The two arrays.
#[derive(Debug)]
pub struct NameIndex {
    /// Four displacements in each.
    pub displacements: Vec<u64>,
    /// Buckets less one.
    pub buckets_mask: u32,
    /// At most two thirds are in use.
    pub slots: Vec<NameSlot>,
    /// Slots less one.
    pub slots_mask: u32,
}

impl NameIndex {
    /// Finds a place for each of `names`.
    ///
    /// With slots to spare a displacement is found for each bucket; should one not be found, there are
    /// twice as many slots at the next attempt.
    pub fn build(names: &HashMap<NameKey, NameValue>) -> Self {
        let mut slots = (names.len() + names.len() / 2).next_power_of_two();
        loop {
            if let Some(index) = Self::attempt(names, slots) {
                return index;
            }
            slots *= 2;
        }
    }

    fn attempt(names: &HashMap<NameKey, NameValue>, slots: usize) -> Option<Self> {
        let buckets = (names.len() / 2)
            .next_power_of_two()
            .max(DISPLACEMENTS_PER_ELEMENT as usize);
        let mut index = Self {
            displacements: vec![0; buckets / DISPLACEMENTS_PER_ELEMENT as usize],
            buckets_mask: buckets as u32 - 1,
            slots: vec![NameSlot::default(); slots],
            slots_mask: slots as u32 - 1,
        };
        let mut filled: Vec<Vec<NameSlot>> = vec![Vec::new(); buckets];
        for (&key, &value) in names {
            let place = bucket(hash(key), index.buckets_mask);
            filled[place as usize].push(NameSlot { key, value });
        }
        // The fullest buckets first, while there is most room.
        let mut order: Vec<usize> = (0..buckets).collect();
        order.sort_by_key(|&bucket| std::cmp::Reverse(filled[bucket].len()));
        let mut taken = vec![false; slots];
        for bucket in order {
            let names = &filled[bucket];
            let (displacement, places) = (0..=u16::MAX).find_map(|displacement| {
                let places = index.places(names, displacement, &taken)?;
                Some((displacement, places))
            })?;
            index.displacements[bucket / 4] |= u64::from(displacement) << (bucket % 4 * 16);
            for (name, place) in names.iter().zip(places) {
                taken[place] = true;
                index.slots[place] = *name;
            }
        }
        Some(index)
    }

    /// The slots of a bucket's names under a displacement, if they are free and different.
    fn places(&self, names: &[NameSlot], displacement: u16, taken: &[bool]) -> Option<Vec<usize>> {
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let place = slot(hash(name.key), displacement, self.slots_mask) as usize;
            if taken[place] || places.contains(&place) {
                return None;
            }
            places.push(place);
        }
        Some(places)
    }
}

fn hash(key: NameKey) -> NameHash {
    NameHash { a: key.a, b: key.b }
}

#[cfg(test)]
mod tests {
    use dglb_common::name_index::displacement;

    use super::*;

    /// What the kernel program does.
    fn find(index: &NameIndex, key: NameKey) -> Option<NameValue> {
        let bucket = bucket(hash(key), index.buckets_mask);
        let element = index.displacements[(bucket / DISPLACEMENTS_PER_ELEMENT) as usize];
        let displacement = displacement(element, bucket);
        let found = index.slots[slot(hash(key), displacement, index.slots_mask) as usize];
        (found.key == key).then_some(found.value)
    }

    /// SplitMix64, for keys that look like hashes.
    fn keys(count: usize) -> HashMap<NameKey, NameValue> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        (0..count as u32)
            .map(|service| {
                let key = NameKey {
                    a: next(),
                    b: next(),
                };
                let word = 1 << 24 | service;
                (key, NameValue { word, service })
            })
            .collect()
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        for count in [0, 1, 2, 3, 5, 8, 100, 1_000, 20_000] {
            let names = keys(count);
            let index = NameIndex::build(&names);
            assert!(
                index.slots.len() <= 4 * count.max(1),
                "{count}: {}",
                index.slots.len()
            );
            for (key, value) in &names {
                assert_eq!(find(&index, *key), Some(*value), "{count}");
                let other = NameKey {
                    a: key.a,
                    b: !key.b,
                };
                assert_eq!(find(&index, other), None, "{count}");
            }
        }
    }

    #[test]
    fn names_in_one_bucket_get_slots_of_their_own() {
        let names: HashMap<_, _> = (0..12)
            .map(|b| {
                (
                    NameKey { a: 0, b },
                    NameValue {
                        word: 1,
                        service: 0,
                    },
                )
            })
            .collect();
        let index = NameIndex::build(&names);
        assert!(names.keys().all(|key| find(&index, *key).is_some()));
    }
}
