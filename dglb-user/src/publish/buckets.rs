//! Weighted choice: which answer each of a row's buckets has.
//!
//! A client's bucket follows from its address, so that it meets the same answer again. Shares are as
//! exact as [`BUCKETS`] buckets allow, by largest remainder; and a change of weights moves no more
//! buckets than the shares do: who loses some keeps the others, who wins some keeps all.

use dglb_common::layout::{AnswerRef, BUCKETS, BucketRow};

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
                let exact = f64::from(*weight) * 64.0 / f64::from(total);
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

    #[test]
    fn large_weights_do_not_overflow() {
        let row = assign(&shares(&[u32::MAX, u32::MAX]), &EMPTY).expect("weights");
        assert_eq!((count(&row, 0), count(&row, 1)), (32, 32));
    }

    #[test]
    fn weights_of_one_word_are_added() {
        let twice = [(word(0), 1), (word(1), 2), (word(0), 1)];
        let row = assign(&twice, &EMPTY).expect("weights");
        assert_eq!((count(&row, 0), count(&row, 1)), (32, 32));
        assert_eq!(assign(&[(word(0), 0)], &row), None);
        assert_eq!(assign(&[], &row), None);
    }
}
