//! What the sockets received and answered.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use dglb_common::counters::{COUNTERS, Counter, Counters};

/// Counters that all sockets share.
#[derive(Debug)]
pub struct UserCounters {
    received: AtomicU64,
    words: [AtomicU64; COUNTERS],
}

impl Default for UserCounters {
    fn default() -> Self {
        Self {
            received: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; COUNTERS],
        }
    }
}

impl UserCounters {
    /// Messages received, those without a response among them.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Responses by row, as they stand now.
    pub fn snapshot(&self) -> Counters {
        Counters::from_words(self.words.each_ref().map(|word| word.load(Relaxed)))
    }

    pub(super) fn receive(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub(super) fn count(&self, counter: Counter) {
        self.words[counter as usize].fetch_add(1, Relaxed);
    }
}
