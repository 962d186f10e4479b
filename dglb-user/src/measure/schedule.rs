//! When to probe which target, and how many at once. Pure: it is told the time.
//!
//! A target waits for its time, or is being probed, so there are never two probes of one target at once.
//! Probes run in two lanes with places of their own, so that many dead targets, each of which takes a
//! whole timeout, cannot delay the probes of the living. A probe whose time has come waits when its lane is
//! full; then a failure is noticed later by as much, which is why it is told.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

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

/// Where a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Until then.
    Waiting(Lane, Duration),
    /// Since then.
    Running(Lane, Duration),
    Nowhere,
}

/// The times and places. Times are those of the caller's clock.
#[derive(Debug)]
pub struct Schedule {
    living: Queue,
    down: Queue,
    places: Vec<Place>,
    random: Random,
}

impl Schedule {
    /// For so many targets, none of which is to be probed yet, and `concurrency` probes at once: a quarter of
    /// them of targets that are down.
    pub fn new(targets: usize, concurrency: usize) -> Self {
        let down = (concurrency / 4).max(1);
        Self {
            living: Queue::new(concurrency.saturating_sub(down).max(1)),
            down: Queue::new(down),
            places: vec![Place::Nowhere; targets],
            random: Random(RandomState::new().build_hasher().finish()),
        }
    }

    /// Has `target` probed at `due`. If it is being probed, or was to be at another time, that is over.
    pub fn at(&mut self, target: usize, lane: Lane, due: Duration) {
        self.leave(target);
        self.places[target] = Place::Waiting(lane, due);
        self.queue(lane).waiting.push(Reverse((due, target)));
    }

    /// Has `target` probed when `pause`, or up to a tenth less, has passed since `ended`.
    pub fn after(&mut self, target: usize, lane: Lane, ended: Duration, pause: Duration) {
        let due = ended + pause.mul_f64(1.0 - JITTER * self.random.next());
        self.at(target, lane, due);
    }

    /// Has `target` probed within `pause`: who came together goes apart.
    pub fn within(&mut self, target: usize, lane: Lane, now: Duration, pause: Duration) {
        let due = now + pause.mul_f64(self.random.next());
        self.at(target, lane, due);
    }

    /// Has `target` probed at `due`, if it waits for a later time.
    pub fn hasten(&mut self, target: usize, due: Duration) {
        if let Place::Waiting(lane, later) = self.places[target]
            && later > due
        {
            self.at(target, lane, due);
        }
    }

    /// Whether it is being probed.
    pub fn is_running(&self, target: usize) -> bool {
        matches!(self.places[target], Place::Running(..))
    }

    /// The next probe whose time has come and that has a place, which it takes; and how late it is.
    pub fn start(&mut self, now: Duration) -> Option<(usize, Duration)> {
        for lane in [Lane::Living, Lane::Down] {
            while let Some((due, target)) = self.queue(lane).next() {
                if self.places[target] != Place::Waiting(lane, due) {
                    // It was given another time since.
                    self.queue(lane).waiting.pop();
                    continue;
                }
                if due > now || self.queue(lane).is_full() {
                    break;
                }
                let queue = self.queue(lane);
                queue.waiting.pop();
                queue.running += 1;
                self.places[target] = Place::Running(lane, now);
                return Some((target, now - due));
            }
        }
        None
    }

    /// When [`Self::start`] may have something to give again, if no place is given back before.
    pub fn next_start(&self) -> Option<Duration> {
        [&self.living, &self.down]
            .into_iter()
            .filter(|queue| !queue.is_full())
            .filter_map(|queue| queue.next().map(|(due, _)| due))
            .min()
    }

    /// Gives up all that run: they are due again at once.
    pub fn abandon(&mut self, now: Duration) {
        for target in 0..self.places.len() {
            if let Place::Running(lane, _) = self.places[target] {
                self.at(target, lane, now);
            }
        }
    }

    /// Those that have been probed for longer than `limit` says of each. Looks at all: not for every result.
    pub fn overdue(&self, now: Duration, limit: impl Fn(usize) -> Duration) -> Vec<usize> {
        let since = |target: usize| match self.places[target] {
            Place::Running(_, since) => Some(now.saturating_sub(since)),
            Place::Waiting(..) | Place::Nowhere => None,
        };
        (0..self.places.len())
            .filter(|&target| since(target).is_some_and(|time| time > limit(target)))
            .collect()
    }

    fn leave(&mut self, target: usize) {
        if let Place::Running(lane, _) = self.places[target] {
            self.queue(lane).running -= 1;
        }
        self.places[target] = Place::Nowhere;
    }

    fn queue(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Living => &mut self.living,
            Lane::Down => &mut self.down,
        }
    }
}

/// One lane: who waits, by time and then by index (entries may be old), and how many run.
#[derive(Debug)]
struct Queue {
    waiting: BinaryHeap<Reverse<(Duration, usize)>>,
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

    fn is_full(&self) -> bool {
        self.running >= self.places
    }

    fn next(&self) -> Option<(Duration, usize)> {
        self.waiting.peek().map(|Reverse(entry)| *entry)
    }
}

/// Pseudo-random numbers from 0 to 1 (SplitMix64): good enough to spread probes, needs no source that can
/// fail.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start_all(schedule: &mut Schedule, now: Duration) -> Vec<usize> {
        std::iter::from_fn(|| schedule.start(now))
            .map(|(target, _)| target)
            .collect()
    }

    fn of(targets: usize, concurrency: usize) -> Schedule {
        let mut schedule = Schedule::new(targets, concurrency);
        for target in 0..targets {
            schedule.at(target, Lane::Living, SECOND);
        }
        schedule
    }

    #[test]
    fn nothing_starts_before_its_time_or_twice_or_without_a_place() {
        let mut schedule = of(10, 8);
        assert_eq!(schedule.start(SECOND / 2), None);
        assert_eq!(schedule.next_start(), Some(SECOND));
        assert_eq!(start_all(&mut schedule, SECOND), [0, 1, 2, 3, 4, 5]);
        assert_eq!(schedule.next_start(), None, "no place");
        schedule.at(3, Lane::Living, 5 * SECOND);
        assert_eq!(
            schedule.start(3 * SECOND),
            Some((6, 2 * SECOND)),
            "late by as much"
        );
    }

    #[test]
    fn the_dead_do_not_delay_the_living() {
        let mut schedule = Schedule::new(200, 8);
        for target in 0..100 {
            schedule.at(target, Lane::Down, SECOND);
        }
        for target in 100..104 {
            schedule.at(target, Lane::Living, SECOND);
        }
        assert_eq!(start_all(&mut schedule, SECOND), [100, 101, 102, 103, 0, 1]);
    }

    #[test]
    fn a_pause_is_shortened_by_a_tenth_at_most_and_never_lengthened() {
        let mut schedule = Schedule::new(1000, 2000);
        for target in 0..1000 {
            schedule.after(target, Lane::Living, SECOND, 100 * SECOND);
        }
        assert_eq!(schedule.start(91 * SECOND), None);
        let half = start_all(&mut schedule, 96 * SECOND).len();
        assert!((300..700).contains(&half), "{half}");
        assert_eq!(half + start_all(&mut schedule, 101 * SECOND).len(), 1000);
    }

    #[test]
    fn what_is_hastened_starts_once() {
        let mut schedule = Schedule::new(1, 4);
        schedule.at(0, Lane::Living, 100 * SECOND);
        schedule.hasten(0, 2 * SECOND);
        assert_eq!(start_all(&mut schedule, 2 * SECOND), [0]);
        schedule.hasten(0, 3 * SECOND);
        assert!(schedule.is_running(0));
        assert_eq!(start_all(&mut schedule, 200 * SECOND), [0_usize; 0]);
    }

    #[test]
    fn what_runs_too_long_is_found() {
        let mut schedule = of(3, 8);
        schedule.at(2, Lane::Living, 9 * SECOND);
        assert_eq!(start_all(&mut schedule, SECOND), [0, 1]);
        let limit = |target| match target {
            0 => 4 * SECOND,
            _ => 5 * SECOND,
        };
        assert_eq!(schedule.overdue(5 * SECOND, limit), [0_usize; 0]);
        assert_eq!(schedule.overdue(6 * SECOND, limit), [0]);
        assert_eq!(schedule.overdue(60 * SECOND, limit), [0, 1]);
    }

    #[test]
    fn what_was_under_way_is_due_again_when_it_is_given_up() {
        let mut schedule = of(6, 8);
        assert_eq!(start_all(&mut schedule, SECOND).len(), 6);
        schedule.abandon(2 * SECOND);
        assert_eq!(start_all(&mut schedule, 2 * SECOND).len(), 6);
    }
}
