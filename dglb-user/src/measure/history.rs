//! What was measured of a target in the last hours, minute by minute, and its last changes of state.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::judge::Patience;
use crate::policy::State;

/// Length of one span.
pub const SPAN: Duration = Duration::from_secs(60);
/// Spans that are kept: two hours. 40,000 targets need 58 MB at 12 octets each, if no room is held that is not
/// used.
const SPANS: usize = 120;
/// Changes of state that are kept.
const CHANGES: usize = 32;

/// One span; 12 octets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Minutes since 1970.
    pub minute: u32,
    /// Probes that succeeded.
    pub succeeded: u8,
    /// Probes that failed.
    pub failed: u8,
    /// Mean time of those that succeeded, in steps of a 16-bit float: see [`Span::mean_ms`].
    mean: u16,
    /// The longest time, likewise.
    max: u16,
    /// The state at its end.
    pub state: State,
}

impl Span {
    /// Mean time, milliseconds; `None`: none succeeded.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.succeeded > 0).then(|| unpacked(self.mean))
    }

    /// The longest time, milliseconds.
    pub fn max_ms(&self) -> Option<f64> {
        (self.succeeded > 0).then(|| unpacked(self.max))
    }

    fn add(&mut self, time_ms: Option<f64>, state: State) {
        self.state = state;
        match time_ms {
            Some(time) => {
                let before = f64::from(self.succeeded);
                let mean = (unpacked(self.mean) * before + time) / (before + 1.0);
                self.succeeded = self.succeeded.saturating_add(1);
                self.mean = packed(mean);
                self.max = self.max.max(packed(time));
            }
            None => self.failed = self.failed.saturating_add(1),
        }
    }
}

/// Milliseconds in a logarithmic step: 0.1 ms to 10 h in steps of 0.03 %.
fn packed(ms: f64) -> u16 {
    ((ms / LEAST_MS).max(1.0).ln() * STEPS).round() as u16
}

fn unpacked(step: u16) -> f64 {
    (f64::from(step) / STEPS).exp() * LEAST_MS
}

const LEAST_MS: f64 = 0.01;
const STEPS: f64 = 3000.0;

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: SystemTime,
    /// To which state.
    pub state: State,
    /// Why.
    pub reason: String,
    /// For those of this patience; `None`: for all.
    pub patience: Option<Patience>,
}

/// The last hours of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    spans: VecDeque<Span>,
    changes: VecDeque<Change>,
}

impl History {
    /// Takes a probe's time, or that it failed, after which the target is in `state`.
    pub fn record(&mut self, now: SystemTime, time_ms: Option<f64>, state: State) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let minute = u32::try_from(seconds / SPAN.as_secs()).unwrap_or(u32::MAX);
        if self.spans.back().is_none_or(|last| last.minute != minute) {
            if self.spans.len() == SPANS {
                self.spans.pop_front();
            }
            if self.spans.len() == self.spans.capacity() {
                let more = self.spans.len().clamp(4, SPANS);
                self.spans.reserve_exact(more.min(SPANS - self.spans.len()));
            }
            self.spans.push_back(Span {
                minute,
                succeeded: 0,
                failed: 0,
                mean: 0,
                max: 0,
                state,
            });
        }
        if let Some(span) = self.spans.back_mut() {
            span.add(time_ms, state);
        }
    }

    /// The state changed.
    pub fn change(&mut self, change: Change) {
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    /// Octets on the heap.
    #[cfg(test)]
    pub fn octets(&self) -> usize {
        let reasons = self.changes.iter().map(|change| change.reason.capacity());
        self.spans.capacity() * size_of::<Span>()
            + self.changes.capacity() * size_of::<Change>()
            + reasons.sum::<usize>()
    }

    /// Oldest first.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    /// Oldest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }
}

impl Span {
    /// When it began.
    pub fn start(&self) -> SystemTime {
        UNIX_EPOCH + SPAN * self.minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_what_was_measured_and_only_the_last_are_kept() {
        let mut history = History::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        history.record(at(60), Some(10.0), State::Up);
        history.record(at(70), Some(30.0), State::Up);
        history.record(at(119), None, State::Degraded);
        for minute in 2..200 {
            history.record(at(minute * 60), None, State::Down);
        }
        assert_eq!(history.spans().count(), SPANS);
        let mut first = History::default();
        first.record(at(60), Some(10.0), State::Up);
        first.record(at(70), Some(30.0), State::Up);
        first.record(at(119), None, State::Degraded);
        let span = first.spans().next().expect("a span");
        let near =
            |value: Option<f64>, wanted: f64| (value.expect("a time") / wanted - 1.0).abs() < 1e-3;
        assert!(
            near(span.mean_ms(), 20.0) && near(span.max_ms(), 30.0),
            "{span:?}"
        );
        assert_eq!(
            (span.succeeded, span.failed, span.state),
            (2, 1, State::Degraded)
        );
        assert_eq!(span.start(), at(60));
    }

    #[test]
    fn a_span_is_small_and_long_times_fit() {
        assert!(size_of::<Span>() <= 12);
        for ms in [0.01, 0.5, 17.0, 2000.0, 86_400_000.0] {
            let stored = unpacked(packed(ms));
            assert!(
                (stored / ms - 1.0).abs() < 1e-3 || ms > 3e7,
                "{ms}: {stored}"
            );
        }
    }

    #[test]
    fn no_room_is_held_that_is_not_used() {
        let mut history = History::default();
        for minute in 0..400 {
            let now = UNIX_EPOCH + Duration::from_secs(minute * 60);
            history.record(now, Some(1.0), State::Up);
            let (length, capacity) = (history.spans.len(), history.spans.capacity());
            assert!(
                capacity <= SPANS && capacity <= (2 * length).max(4),
                "{capacity} for {length}"
            );
        }
        assert_eq!(history.spans.len(), SPANS);
    }

    #[test]
    fn only_the_last_changes_are_kept() {
        let mut history = History::default();
        for number in 0..40 {
            history.change(Change {
                at: UNIX_EPOCH,
                state: State::Up,
                reason: number.to_string(),
                patience: None,
            });
        }
        let reasons: Vec<_> = history
            .changes()
            .map(|change| change.reason.clone())
            .collect();
        assert_eq!((reasons.len(), reasons[0].as_str()), (CHANGES, "8"));
    }
}
