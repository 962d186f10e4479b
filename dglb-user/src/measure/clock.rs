//! The engine's clock: how long it runs, and what time that is for people.
//!
//! Ages and pauses go by the first, which never jumps, and goes on from one engine to the next of the same
//! process. The second follows the system's clock, which is set now and then: after a boot without a battery,
//! or when the machine was suspended.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A smaller difference is how long it takes to look.
const STEP: Duration = Duration::from_millis(500);
/// What the clock shows at the start, so that what was before has a time too.
const BEFORE: Duration = Duration::from_secs(30 * 86_400);

/// Both times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When it showed [`BEFORE`].
    start: Instant,
    /// The time of `start`, by the system's clock as it was set last.
    begin: SystemTime,
    /// The same of `seen_start`. Tests stop tokio's clock, not these two.
    seen_begin: SystemTime,
    seen_start: std::time::Instant,
}

/// A moment, on both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// On the clock that never jumps.
    pub now: Duration,
    /// For people.
    pub wall: SystemTime,
}

impl Moment {
    /// The time, on the clock that never jumps, of a point in time for people.
    pub fn time_of(&self, point: SystemTime) -> Duration {
        self.now.saturating_sub(self.since(point))
    }

    /// How long ago a point in time for people was.
    pub fn since(&self, point: SystemTime) -> Duration {
        self.wall.duration_since(point).unwrap_or_default()
    }
}

impl Default for Clock {
    /// Begins now.
    fn default() -> Self {
        let begin = SystemTime::now();
        Self {
            start: Instant::now(),
            begin,
            seen_begin: begin,
            seen_start: std::time::Instant::now(),
        }
    }
}

impl Clock {
    /// The present moment.
    pub fn moment(&self) -> Moment {
        let elapsed = self.start.elapsed();
        Moment {
            now: BEFORE + elapsed,
            wall: self.begin + elapsed,
        }
    }

    /// When that is for tokio.
    pub fn instant(&self, time: Duration) -> Instant {
        self.start + time.saturating_sub(BEFORE)
    }

    /// Follows the system's clock if it was set.
    pub fn look(&mut self) {
        let elapsed = self.seen_start.elapsed();
        if let Some(begin) = SystemTime::now().checked_sub(elapsed) {
            self.follow(begin);
        }
    }

    fn follow(&mut self, seen_begin: SystemTime) {
        let (earlier, later) = match seen_begin < self.seen_begin {
            true => (seen_begin, self.seen_begin),
            false => (self.seen_begin, seen_begin),
        };
        let step = later.duration_since(earlier).unwrap_or_default();
        if step < STEP {
            return;
        }
        let moved = match seen_begin == later {
            true => self.begin.checked_add(step),
            false => self.begin.checked_sub(step),
        };
        if let Some(begin) = moved {
            tracing::info!(?step, "the system's clock was set");
            (self.begin, self.seen_begin) = (begin, seen_begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_for_people_follows_the_system_s_clock_both_ways() {
        let mut clock = Clock::default();
        tokio::time::sleep(Duration::from_secs(100)).await;
        let before = clock.moment();
        assert_eq!(before.now, BEFORE + Duration::from_secs(100));
        clock.look();
        assert_eq!(clock.moment(), before, "nobody set it");
        let hour = Duration::from_secs(3600);
        clock.follow(clock.seen_begin + hour);
        assert_eq!(clock.moment().wall, before.wall + hour);
        clock.follow(clock.seen_begin - 2 * hour);
        assert_eq!(clock.moment().wall, before.wall - hour);
        assert_eq!(clock.moment().now, before.now);
    }
}
