//! A token bucket over tokio's clock: for messages of a peer, and for lines of the log.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many at once, so many a second.
#[derive(Debug)]
pub(super) struct Budget {
    per_second: u32,
    burst: u32,
    left: f64,
    counted_at: Instant,
}

impl Budget {
    /// A full bucket.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second,
            burst,
            left: burst.into(),
            counted_at: Instant::now(),
        }
    }

    /// Takes one token if there is one.
    pub(super) fn take(&mut self) -> bool {
        let now = Instant::now();
        let passed: Duration = now - self.counted_at;
        self.counted_at = now;
        let refill = passed.as_secs_f64() * f64::from(self.per_second);
        self.left = (self.left + refill).min(self.burst.into());
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

/// Keeps peers from filling the log.
#[derive(Debug)]
pub(super) struct LogLimit(Mutex<(Budget, u64)>);

impl LogLimit {
    /// Five lines a second, twenty at once.
    pub(super) fn new() -> Self {
        Self(Mutex::new((Budget::new(5, 20), 0)))
    }

    /// Whether a line may be written, and how many were left out before it.
    pub(super) fn admit(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (budget, left_out) = &mut *state;
        if budget.take() {
            return Some(std::mem::take(left_out));
        }
        *left_out += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_emptied_and_refilled_up_to_its_burst() {
        let mut budget = Budget::new(10, 3);
        assert_eq!([(); 4].map(|()| budget.take()), [true, true, true, false]);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!([(); 2].map(|()| budget.take()), [true, false]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!([(); 4].map(|()| budget.take()), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_left_out_are_counted() {
        let log = LogLimit::new();
        assert_eq!((0..100).filter(|_| log.admit().is_some()).count(), 20);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(log.admit(), Some(80));
    }
}
