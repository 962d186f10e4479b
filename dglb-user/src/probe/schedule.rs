//! When to probe which target, and how many at once. Pure: it is told the time.
//!
//! Every target is in one place: it waits for its time, or it is being probed; so there are never two
//! probes of one target at once. Probes run in two lanes with places of their own, so that many dead
//! targets, each of which takes a whole timeout, cannot delay the probes of the living.
//!
//! A probe whose time has come waits when its lane is full. Then the time to detect a failure grows by
//! the wait, which is why it is reported. The living lane fills only when more than [`LIVING_PLACES`]
//! probes are under way: at start, where the first round of n targets takes at most
//! n / places × timeout; when the sites are that slow, times that many; or when that many fail at once.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use super::health::State;

/// Probes at once of targets that are up or unknown. With the other lane 256: a quarter of the file
/// descriptors that a process has by default.
pub const LIVING_PLACES: usize = 192;
/// Probes at once of targets that are down.
pub const DOWN_PLACES: usize = 64;

/// Pauses are shortened by up to a tenth, so that targets that began together drift apart.
const JITTER: f64 = 0.1;

/// The two kinds of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Of targets that are up or unknown.
    Living,
    /// Of targets that are down.
    Down,
}

impl From<State> for Lane {
    fn from(state: State) -> Self {
        match state {
            State::Unknown | State::Up => Self::Living,
            State::Down => Self::Down,
        }
    }
}

/// A probe to be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Index of the target.
    pub target: usize,
    /// Lane that it holds a place in; to be given back by [`Schedule::free`].
    pub lane: Lane,
    /// How long it waited for the place.
    pub waited: Duration,
}

/// The times and places.
#[derive(Debug)]
pub struct Schedule {
    living: Queue,
    down: Queue,
    jitter: Jitter,
}

impl Schedule {
    /// Targets 0 to `count` − 1, all to be probed at once, in order, as places allow.
    pub fn new(count: usize, now: Instant) -> Self {
        let mut schedule = Self {
            living: Queue::new(LIVING_PLACES),
            down: Queue::new(DOWN_PLACES),
            jitter: Jitter(RandomState::new().build_hasher().finish()),
        };
        for target in 0..count {
            schedule.living.waiting.push(Reverse((now, target)));
        }
        schedule
    }

    /// Has `target` probed when `pause` (or a little less) has passed since `ended`.
    pub fn after(&mut self, target: usize, lane: Lane, ended: Instant, pause: Duration) {
        let due = ended + self.jitter.shorten(pause);
        self.queue(lane).waiting.push(Reverse((due, target)));
    }

    /// The next probe whose time has come and that has a place, which it takes.
    pub fn start(&mut self, now: Instant) -> Option<Start> {
        for lane in [Lane::Living, Lane::Down] {
            if let Some((due, target)) = self.queue(lane).take(now) {
                let waited = now.duration_since(due);
                return Some(Start {
                    target,
                    lane,
                    waited,
                });
            }
        }
        None
    }

    /// Gives a place back.
    pub fn free(&mut self, lane: Lane) {
        self.queue(lane).running -= 1;
    }

    /// When [`Self::start`] has something to give again, if no place is given back before.
    pub fn next_start(&self) -> Option<Instant> {
        [&self.living, &self.down]
            .into_iter()
            .filter_map(Queue::next)
            .min()
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Living => &mut self.living,
            Lane::Down => &mut self.down,
        }
    }
}

/// One lane: who waits, by time and then by index, and how many run.
#[derive(Debug)]
struct Queue {
    waiting: BinaryHeap<Reverse<(Instant, usize)>>,
    running: usize,
    places: usize,
}

impl Queue {
    fn new(places: usize) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            running: 0,
            places,
        }
    }

    fn next(&self) -> Option<Instant> {
        let Reverse((due, _)) = self.waiting.peek()?;
        (self.running < self.places).then_some(*due)
    }

    fn take(&mut self, now: Instant) -> Option<(Instant, usize)> {
        if self.next()? > now {
            return None;
        }
        self.running += 1;
        self.waiting.pop().map(|Reverse(entry)| entry)
    }
}

/// Pseudo-random numbers (SplitMix64): good enough to spread probes, needs no source that can fail.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn shorten(&mut self, pause: Duration) -> Duration {
        let share = self.next() as f64 / u64::MAX as f64;
        pause.mul_f64(1.0 - JITTER * share)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start_all(schedule: &mut Schedule, now: Instant) -> Vec<Start> {
        std::iter::from_fn(|| schedule.start(now)).collect()
    }

    #[test]
    fn the_first_round_starts_at_once_but_within_the_places() {
        let now = Instant::now();
        let mut schedule = Schedule::new(LIVING_PLACES + 10, now);
        let first = start_all(&mut schedule, now);
        assert_eq!(first.len(), LIVING_PLACES);
        assert!(
            first
                .iter()
                .enumerate()
                .all(|(index, start)| start.target == index)
        );
        assert_eq!(schedule.next_start(), None);

        schedule.free(Lane::Living);
        assert_eq!(schedule.next_start(), Some(now));
        let later = schedule.start(now + SECOND).unwrap();
        assert_eq!((later.target, later.waited), (LIVING_PLACES, SECOND));
        assert_eq!(schedule.start(now + SECOND), None);
    }

    #[test]
    fn a_target_that_is_being_probed_is_not_started_again() {
        let now = Instant::now();
        let mut schedule = Schedule::new(1, now);
        assert!(schedule.start(now).is_some());
        assert_eq!(schedule.start(now + 1000 * SECOND), None);
        schedule.free(Lane::Living);
        assert_eq!(schedule.start(now + 1000 * SECOND), None);
    }

    #[test]
    fn dead_targets_do_not_take_the_places_of_the_living() {
        let now = Instant::now();
        let mut schedule = Schedule::new(0, now);
        for target in 0..1000 {
            schedule.after(target, Lane::Down, now, SECOND);
        }
        schedule.after(1000, Lane::Living, now, 2 * SECOND);
        let now = now + 2 * SECOND;
        let started = start_all(&mut schedule, now);
        assert_eq!(started.len(), DOWN_PLACES + 1);
        let living = Start {
            target: 1000,
            lane: Lane::Living,
            waited: started[0].waited,
        };
        assert_eq!(started[0], living);
        schedule.free(Lane::Down);
        assert_eq!(start_all(&mut schedule, now).len(), 1);
    }

    #[test]
    fn jitter_only_shortens_and_by_a_tenth_at_most() {
        let now = Instant::now();
        let mut schedule = Schedule::new(0, now);
        for target in 0..2000 {
            schedule.after(target, Lane::Living, now, 100 * SECOND);
        }
        let dues: Vec<_> = schedule
            .living
            .waiting
            .iter()
            .map(|Reverse((due, _))| *due - now)
            .collect();
        assert!(
            dues.iter()
                .all(|due| (90 * SECOND..=100 * SECOND).contains(due))
        );
        // And spreads: each of ten equal parts gets some of 2000.
        for part in 90..100 {
            assert!(
                dues.iter().any(|due| due.as_secs() == part),
                "none in second {part}"
            );
        }
    }

    #[test]
    fn nothing_is_started_before_its_time() {
        let now = Instant::now();
        let mut schedule = Schedule::new(0, now);
        schedule.after(7, Lane::Living, now, 10 * SECOND);
        let due = schedule.next_start().unwrap();
        assert_eq!(schedule.start(due - Duration::from_nanos(1)), None);
        assert_eq!(schedule.start(due).unwrap().target, 7);
    }

    #[test]
    fn an_empty_schedule_starts_nothing() {
        let now = Instant::now();
        let mut schedule = Schedule::new(0, now);
        assert_eq!(schedule.next_start(), None);
        assert_eq!(schedule.start(now), None);
    }
}
