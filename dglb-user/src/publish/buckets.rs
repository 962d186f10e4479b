//! Weighted choice: which answer each of a row's buckets has.
//!
//! A client's bucket follows from its address, so that it meets the same answer again. Shares are as
//! exact as [`BUCKETS`] buckets allow, by largest remainder; and a change of weights moves no more
//! buckets than the shares do: who loses some keeps the others, who wins some keeps all. Or, where the owner wants
//! it, which answer a bucket has follows from the sites and their weights alone, so that it is the same at every
//! node and after every restart.

use std::net::IpAddr;

use dglb_common::layout::{AnswerRef, BUCKETS, BucketRow};
use sha2::{Digest as _, Sha256};

/// How a row follows from shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// As like to the row before as the shares allow.
    AsBefore,
    /// From the shares alone.
    Sticky,
}

/// A row without answers.
pub const EMPTY: BucketRow = [AnswerRef::NONE.0; BUCKETS];

/// The row for `shares`, words with their weights, as like to `before` as the shares allow; `None` when
/// all weights are zero. Of several shares with the same word the weights are added.
pub fn assign(shares: &[(AnswerRef, u32)], before: &BucketRow) -> Option<BucketRow> {
    let mut wanted = quotas(shares)?;
    let take = |word: u64| {
        let quota = wanted.iter_mut().find(|(other, _)| *other == word);
        match quota {
            Some((_, left)) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    };
    let kept = before.map(take);
    let mut others = wanted
        .iter()
        .flat_map(|&(word, left)| std::iter::repeat_n(word, left));
    let mut row = *before;
    for (word, is_kept) in row.iter_mut().zip(kept) {
        if !is_kept {
            *word = others.next()?;
        }
    }
    Some(row)
}

/// The row for `shares`, words with their weights and what they are known by everywhere; it follows from those
/// alone, whatever their order. `None` when all weights are zero.
///
/// Each site likes the buckets in an order of its own, by a hash. Its n-th wish comes at (2n + 1) ∕ weight, and
/// earlier wishes are granted first, as long as the bucket is free and the site has not all of its share: so shares
/// are exact to one bucket, when a site leaves hardly another's bucket moves, and when it comes back so do its
/// clients. Whole numbers alone: every processor gives the same row.
pub fn assign_sticky(shares: &[(AnswerRef, u32, IpAddr)]) -> Option<BucketRow> {
    let mut shares = shares.to_vec();
    // Remainders that are equal must fall to the same everywhere.
    shares.sort_by_key(|(_, _, key)| *key);
    let weighted: Vec<(AnswerRef, u32)> = shares
        .iter()
        .map(|(word, weight, _)| (*word, *weight))
        .collect();
    let mut left = quotas(&weighted)?;
    let mut wishes: Vec<Wish> = shares
        .iter()
        .enumerate()
        .filter(|(_, (_, weight, _))| *weight > 0)
        .flat_map(|(site, (word, weight, key))| {
            let buckets = liked(key).into_iter().enumerate();
            buckets.map(move |(number, bucket)| Wish {
                odd: 2 * number as u64 + 1,
                weight: u64::from(*weight),
                site,
                bucket,
                word: word.0,
            })
        })
        .collect();
    wishes.sort_by(Wish::before);
    let mut row = EMPTY;
    for wish in wishes {
        let quota = left.iter_mut().find(|(word, _)| *word == wish.word);
        if let Some((_, quota)) = quota
            && *quota > 0
            && row[wish.bucket] == AnswerRef::NONE.0
        {
            *quota -= 1;
            row[wish.bucket] = wish.word;
        }
    }
    Some(row)
}

/// A bucket that a site would like to have.
struct Wish {
    /// 2n + 1, of the n-th wish.
    odd: u64,
    weight: u64,
    /// By its key, in order.
    site: usize,
    bucket: usize,
    word: u64,
}

impl Wish {
    /// By odd ∕ weight; of equal ones that of the first site.
    fn before(&self, other: &Self) -> std::cmp::Ordering {
        let by_time = (self.odd * other.weight).cmp(&(other.odd * self.weight));
        by_time.then(self.site.cmp(&other.site))
    }
}

/// The buckets in the order in which a site likes them.
fn liked(key: &IpAddr) -> Vec<usize> {
    let octets = match key {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mut buckets: Vec<usize> = (0..BUCKETS).collect();
    buckets.sort_by_cached_key(|bucket| {
        let number = (*bucket as u32).to_be_bytes();
        Sha256::new()
            .chain_update(octets)
            .chain_update(number)
            .finalize()
    });
    buckets
}

/// How many buckets each word gets: all of them together, none with weight zero.
fn quotas(shares: &[(AnswerRef, u32)]) -> Option<Vec<(u64, usize)>> {
    let mut weights: Vec<(u64, u64)> = Vec::with_capacity(shares.len());
    for (word, weight) in shares {
        match weights.iter_mut().find(|(other, _)| *other == word.0) {
            Some((_, sum)) => *sum += u64::from(*weight),
            None => weights.push((word.0, u64::from(*weight))),
        }
    }
    let total: u64 = weights.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return None;
    }
    let buckets = BUCKETS as u64;
    let mut quotas: Vec<(u64, usize)> = weights
        .iter()
        .map(|(word, weight)| (*word, (weight * buckets / total) as usize))
        .collect();
    let mut remainders: Vec<(u64, usize)> = weights
        .iter()
        .enumerate()
        .map(|(index, (_, weight))| (weight * buckets % total, index))
        .collect();
    // The largest first; of equal ones the first, as the sort is stable.
    remainders.sort_by_key(|(remainder, _)| std::cmp::Reverse(*remainder));
    let given: usize = quotas.iter().map(|(_, quota)| quota).sum();
    for (_, index) in remainders.iter().take(BUCKETS - given) {
        quotas[*index].1 += 1;
    }
    Some(quotas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(slot: usize) -> AnswerRef {
        AnswerRef::new(slot as u32, 1)
    }

    fn shares(weights: &[u32]) -> Vec<(AnswerRef, u32)> {
        weights
            .iter()
            .enumerate()
            .map(|(slot, weight)| (word(slot), *weight))
            .collect()
    }

    fn count(row: &BucketRow, slot: usize) -> usize {
        row.iter().filter(|other| **other == word(slot).0).count()
    }

    proptest! {
        #[test]
        fn shares_are_exact_to_one_bucket(weights in prop::collection::vec(0_u32..1000, 1..10)) {
            let total: u32 = weights.iter().sum();
            let row = assign(&shares(&weights), &EMPTY);
            prop_assert_eq!(row.is_none(), total == 0);
            let Some(row) = row else { return Ok(()) };
            for (slot, weight) in weights.iter().enumerate() {
                let exact = f64::from(*weight) * BUCKETS as f64 / f64::from(total);
                let got = count(&row, slot) as f64;
                prop_assert!((got - exact).abs() < 1.0, "{} of {}: {} for {}", weight, total, got, exact);
                prop_assert!(*weight > 0 || got == 0.0);
            }
        }

        #[test]
        fn no_more_buckets_move_than_shares_do(
            before in prop::collection::vec(0_u32..100, 6),
            after in prop::collection::vec(0_u32..100, 6),
        ) {
            let Some(old) = assign(&shares(&before), &EMPTY) else { return Ok(()) };
            let Some(new) = assign(&shares(&after), &old) else { return Ok(()) };
            let moved = old.iter().zip(&new).filter(|(old, new)| old != new).count();
            let lost: usize = (0..6)
                .map(|slot| count(&old, slot).saturating_sub(count(&new, slot)))
                .sum();
            prop_assert_eq!(moved, lost);
        }

        #[test]
        fn the_same_weights_move_nothing(weights in prop::collection::vec(1_u32..100, 1..8)) {
            let row = assign(&shares(&weights), &EMPTY).expect("weights");
            prop_assert_eq!(assign(&shares(&weights), &row), Some(row));
        }
    }

    fn keyed(weights: &[u32]) -> Vec<(AnswerRef, u32, IpAddr)> {
        let keyed = |(slot, weight): (usize, &u32)| {
            (word(slot), *weight, IpAddr::from([192, 0, 2, slot as u8]))
        };
        weights.iter().enumerate().map(keyed).collect()
    }

    proptest! {
        #[test]
        fn a_sticky_row_follows_from_the_shares_alone(
            weights in prop::collection::vec(0_u32..100, 1..8),
            turn in 0_usize..8,
        ) {
            let shares = keyed(&weights);
            let row = assign_sticky(&shares);
            prop_assert_eq!(row.is_none(), weights.iter().all(|weight| *weight == 0));
            let Some(row) = row else { return Ok(()) };
            let mut turned = shares.clone();
            turned.rotate_left(turn % shares.len());
            prop_assert_eq!(assign_sticky(&turned), Some(row));
            let total: u32 = weights.iter().sum();
            for (slot, weight) in weights.iter().enumerate() {
                let exact = f64::from(*weight) * BUCKETS as f64 / f64::from(total);
                prop_assert!((count(&row, slot) as f64 - exact).abs() < 1.0);
            }
        }
    }

    #[test]
    fn who_leaves_takes_only_its_own_clients_and_gets_them_back() {
        for sites in 2..9 {
            for seed in 0..10 {
                let weight = |site: u32| 1 + (site * 7 + seed * 13) % 9;
                let all = keyed(&(0..sites).map(weight).collect::<Vec<_>>());
                let row = assign_sticky(&all).expect("weights");
                let gone = (seed as usize) % all.len();
                let mut others = all.clone();
                others.remove(gone);
                let without = assign_sticky(&others).expect("weights");
                let moved = row.iter().zip(&without);
                let moved = moved.filter(|(old, new)| **old != all[gone].0.0 && old != new);
                let moved = moved.count();
                assert!(moved <= BUCKETS / 12, "{sites} sites, seed {seed}: {moved}");
                assert_eq!(assign_sticky(&all), Some(row));
            }
        }
    }

    /// What other nodes, versions and processors must give.
    #[test]
    fn a_sticky_row_is_the_same_everywhere() {
        let row = assign_sticky(&keyed(&[1, 2, 3])).expect("weights");
        let slots = row.map(|word| AnswerRef(word).slot());
        let digest = Sha256::digest(slots.map(|slot| slot as u8));
        assert_eq!(
            data_encoding::HEXLOWER.encode(&digest[..8]),
            "89a1543bd5edfc90"
        );
    }

    #[test]
    fn large_weights_do_not_overflow() {
        let row = assign(&shares(&[u32::MAX, u32::MAX]), &EMPTY).expect("weights");
        assert_eq!((count(&row, 0), count(&row, 1)), (BUCKETS / 2, BUCKETS / 2));
    }

    #[test]
    fn weights_of_one_word_are_added() {
        let twice = [(word(0), 1), (word(1), 2), (word(0), 1)];
        let row = assign(&twice, &EMPTY).expect("weights");
        assert_eq!((count(&row, 0), count(&row, 1)), (BUCKETS / 2, BUCKETS / 2));
        assert_eq!(assign(&[(word(0), 0)], &row), None);
        assert_eq!(assign(&[], &row), None);
    }
}
