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
/// Each bucket has its own order of liking among the keys (rendezvous hashing, weighted). The buckets are
/// filled in the order of their strongest liking, and who has all the buckets of its share takes no more: so
/// shares are exact to one bucket, and when a site comes back so do its clients.
pub fn assign_sticky(shares: &[(AnswerRef, u32, IpAddr)]) -> Option<BucketRow> {
    let weighted: Vec<(AnswerRef, u32)> = sorted(shares)
        .into_iter()
        .map(|(word, weight, _)| (word, weight))
        .collect();
    let mut left = quotas(&weighted)?;
    let mut likings = Vec::with_capacity(BUCKETS * shares.len());
    for (word, weight, key) in shares.iter().filter(|(_, weight, _)| *weight > 0) {
        for bucket in 0..BUCKETS {
            likings.push((liking(bucket, key, *weight), bucket, *key, word.0));
        }
    }
    likings.sort_by(|one, other| {
        let by_liking = other.0.total_cmp(&one.0);
        by_liking
            .then(one.1.cmp(&other.1))
            .then(one.2.cmp(&other.2))
    });
    let mut row = EMPTY;
    for (_, bucket, _, word) in likings {
        let quota = left.iter_mut().find(|(other, _)| *other == word);
        if let Some((_, quota)) = quota
            && *quota > 0
            && row[bucket] == AnswerRef::NONE.0
        {
            *quota -= 1;
            row[bucket] = word;
        }
    }
    Some(row)
}

/// By their keys: remainders that are equal must fall to the same everywhere.
fn sorted(shares: &[(AnswerRef, u32, IpAddr)]) -> Vec<(AnswerRef, u32, IpAddr)> {
    let mut sorted = shares.to_vec();
    sorted.sort_by_key(|(_, _, key)| *key);
    sorted
}

/// How much a bucket likes a key, more for a greater weight: −weight ∕ ln(h), h from 0 to 1 (Schindelhauer and
/// Schomaker, "Weighted Distributed Hash Tables", 2005).
fn liking(bucket: usize, key: &IpAddr, weight: u32) -> f64 {
    let octets = match key {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let mut hasher = Sha256::new();
    hasher.update((bucket as u32).to_be_bytes());
    hasher.update(octets);
    let digest = hasher.finalize();
    let mut word = [0; 8];
    word.copy_from_slice(&digest[..8]);
    // Neither 0 nor 1.
    let part = (u64::from_be_bytes(word) >> 11) as f64 + 0.5;
    f64::from(weight) / -(part / (1_u64 << 53) as f64).ln()
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
        let all = keyed(&[1, 1, 1, 1]);
        let row = assign_sticky(&all).expect("weights");
        let without = assign_sticky(&all[..3]).expect("weights");
        let others_moved = row
            .iter()
            .zip(&without)
            .filter(|(before, after)| **before != word(3).0 && before != after)
            .count();
        assert!(others_moved <= BUCKETS / 16, "{others_moved}");
        assert_eq!(assign_sticky(&all), Some(row));
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
