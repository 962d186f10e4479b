//! One target's health: up or down, its smoothed time, and when to probe next. Pure: it is told
//! outcomes and keeps no clock.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::outcome::{Failure, Outcome};

/// Pace and patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// From the end of a probe to the next.
    pub interval: Duration,
    /// The same after a failure, while the target is not yet down.
    pub retry: Duration,
    /// Failures in a row that make it down.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
}

/// Whether clients may be sent there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No result yet. The first one decides: nothing better is known at start.
    #[default]
    Unknown,
    /// Answers; or failed lately, but not yet often enough.
    Up,
    /// Does not answer; or answers again, but not yet often enough.
    Down,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What a new result did to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// As before.
    None,
    /// Is up now.
    WentUp,
    /// Is down now, after this failure.
    WentDown(Failure),
}

/// Weight of a new time in the smoothed one. 0.3: half of a step is seen after two probes, nine tenths
/// after seven, and a single outlier of ten times the usual moves the mean less than fourfold.
const WEIGHT: f64 = 0.3;

/// The shortest pause between two probes of a target, whatever is configured: a probe must never
/// become a flood.
pub const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The health of one target.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: State,
    smoothed: Option<Duration>,
    /// Results in a row that speak against the state: failures when up, successes when down.
    against: u32,
}

impl Health {
    /// Up, down or unknown.
    pub fn state(&self) -> State {
        self.state
    }

    /// The smoothed time; there is one when up.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Takes the next result. One that only says that this host could not probe changes nothing, else
    /// a lack of file descriptors here would take every site away at once; but as the first it decides
    /// like any other, as the first round must end.
    pub fn record(&mut self, rules: &Rules, outcome: Outcome) -> Change {
        match (self.state, outcome) {
            (State::Unknown, Ok(time)) => {
                self.smooth(time);
                self.enter(State::Up);
                Change::WentUp
            }
            (State::Up, Ok(time)) => {
                self.smooth(time);
                self.against = 0;
                Change::None
            }
            (State::Down, Ok(time)) => {
                self.smooth(time);
                self.against += 1;
                if self.against < rules.rise {
                    return Change::None;
                }
                self.enter(State::Up);
                Change::WentUp
            }
            (State::Up | State::Down, Err(Failure::Local(_))) => Change::None,
            (State::Up, Err(failure)) => {
                self.against += 1;
                if self.against < rules.fall {
                    return Change::None;
                }
                self.forget_time();
                self.enter(State::Down);
                Change::WentDown(failure)
            }
            (State::Unknown, Err(failure)) => {
                self.enter(State::Down);
                Change::WentDown(failure)
            }
            (State::Down, Err(_)) => {
                self.forget_time();
                self.against = 0;
                Change::None
            }
        }
    }

    /// How long to wait from the end of the last probe to the next. Quick while a failure is not yet
    /// confirmed; a target that is down is probed no faster than one that is up.
    pub fn pause(&self, rules: &Rules) -> Duration {
        let failing = self.state == State::Up && self.against > 0;
        let pause = if failing { rules.retry } else { rules.interval };
        pause.max(SHORTEST_PAUSE)
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.against = 0;
    }

    /// The first time is taken as it is.
    fn smooth(&mut self, time: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => time,
            Some(old) => old.mul_f64(1.0 - WEIGHT) + time.mul_f64(WEIGHT),
        });
    }

    /// What was measured before an outage says nothing about the site after it.
    fn forget_time(&mut self) {
        self.smoothed = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::io::Errno;

    use super::*;

    const RULES: Rules = Rules {
        interval: Duration::from_secs(10),
        retry: Duration::from_secs(1),
        fall: 3,
        rise: 2,
    };
    const FAIL: Outcome = Err(Failure::Refused);

    fn ok(ms: u64) -> Outcome {
        Ok(Duration::from_millis(ms))
    }

    fn after(outcomes: &[Outcome]) -> Health {
        let mut health = Health::default();
        for outcome in outcomes {
            health.record(&RULES, *outcome);
        }
        health
    }

    #[test]
    fn the_first_result_decides() {
        let mut health = Health::default();
        assert_eq!(health.state(), State::Unknown);
        assert_eq!(health.record(&RULES, ok(5)), Change::WentUp);
        assert_eq!(health.smoothed(), Some(Duration::from_millis(5)));

        let mut health = Health::default();
        assert_eq!(
            health.record(&RULES, FAIL),
            Change::WentDown(Failure::Refused)
        );
        assert_eq!(health.state(), State::Down);
        assert_eq!(health.smoothed(), None);
    }

    #[test]
    fn fewer_failures_than_fall_do_not_make_it_down() {
        assert_eq!(after(&[ok(5), FAIL, FAIL]).state(), State::Up);
        assert_eq!(
            after(&[ok(5), FAIL, FAIL, ok(5), FAIL, FAIL]).state(),
            State::Up
        );
        assert_eq!(after(&[ok(5), FAIL, FAIL, FAIL]).state(), State::Down);
    }

    #[test]
    fn fewer_successes_than_rise_do_not_bring_it_back() {
        assert_eq!(after(&[FAIL, ok(5)]).state(), State::Down);
        assert_eq!(after(&[FAIL, ok(5), FAIL, ok(5)]).state(), State::Down);
        assert_eq!(after(&[FAIL, ok(5), ok(5)]).state(), State::Up);
    }

    #[test]
    fn a_failure_does_not_touch_the_time_of_a_target_that_stays_up() {
        assert_eq!(
            after(&[ok(50), FAIL, FAIL]).smoothed(),
            Some(Duration::from_millis(50))
        );
    }

    #[test]
    fn times_are_smoothed_and_forgotten_over_an_outage() {
        assert_eq!(
            after(&[ok(100), ok(200)]).smoothed(),
            Some(Duration::from_millis(130))
        );
        assert_eq!(after(&[ok(100), FAIL, FAIL, FAIL]).smoothed(), None);
        let back = after(&[ok(100), FAIL, FAIL, FAIL, ok(900), FAIL, ok(20), ok(40)]);
        assert_eq!(back.smoothed(), Some(Duration::from_millis(26)));
    }

    #[test]
    fn trouble_of_this_host_says_nothing_about_the_target() {
        const OURS: Outcome = Err(Failure::Local(Errno::MFILE));
        assert_eq!(after(&[ok(5), OURS, OURS, OURS, OURS]).state(), State::Up);
        assert_eq!(after(&[ok(5), FAIL, FAIL, OURS, FAIL]).state(), State::Down);
        assert_eq!(after(&[ok(5), FAIL, OURS]).pause(&RULES), RULES.retry);
        assert_eq!(after(&[FAIL, ok(5), OURS, ok(5)]).state(), State::Up);
        assert_eq!(after(&[OURS]).state(), State::Down);
    }

    #[test]
    fn only_an_unconfirmed_failure_is_probed_again_quickly() {
        assert_eq!(after(&[ok(5)]).pause(&RULES), RULES.interval);
        assert_eq!(after(&[ok(5), FAIL]).pause(&RULES), RULES.retry);
        assert_eq!(after(&[ok(5), FAIL, ok(5)]).pause(&RULES), RULES.interval);
        assert_eq!(
            after(&[ok(5), FAIL, FAIL, FAIL]).pause(&RULES),
            RULES.interval
        );
        assert_eq!(after(&[FAIL]).pause(&RULES), RULES.interval);
        assert_eq!(after(&[FAIL, ok(5)]).pause(&RULES), RULES.interval);
    }

    #[test]
    fn a_pause_of_nothing_is_no_flood() {
        let rules = Rules {
            interval: Duration::ZERO,
            retry: Duration::ZERO,
            ..RULES
        };
        assert_eq!(after(&[ok(5)]).pause(&rules), SHORTEST_PAUSE);
        assert_eq!(after(&[ok(5), FAIL]).pause(&rules), SHORTEST_PAUSE);
    }

    fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
        let outcome = prop_oneof![(1u64..10_000).prop_map(ok), Just(FAIL)];
        prop::collection::vec(outcome, 1..60)
    }

    proptest! {
        /// Against a second statement of the rules, over the whole history instead of step by step.
        #[test]
        fn the_state_follows_from_the_latest_runs(outcomes in outcomes(), fall in 0u32..5, rise in 0u32..5) {
            let rules = Rules { fall, rise, ..RULES };
            let mut health = Health::default();
            let mut expected = outcomes[0].is_ok();
            for (index, outcome) in outcomes.iter().enumerate() {
                health.record(&rules, *outcome);
                let run = outcomes[..=index].iter().rev()
                    .take_while(|other| other.is_ok() == outcome.is_ok()).count();
                let needed = if outcome.is_ok() { rise } else { fall }.max(1) as usize;
                if run >= needed {
                    expected = outcome.is_ok();
                }
                let state = if expected { State::Up } else { State::Down };
                prop_assert_eq!(health.state(), state);
                prop_assert!(state == State::Down || health.smoothed().is_some());
            }
        }

        #[test]
        fn the_smoothed_time_lies_between_the_extremes(times in prop::collection::vec(1u64..10_000, 1..60)) {
            let health = after(&times.iter().map(|time| ok(*time)).collect::<Vec<_>>());
            let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
            let slack = Duration::from_nanos(100);
            let smoothed = health.smoothed().unwrap();
            prop_assert!(smoothed + slack >= Duration::from_millis(*least));
            prop_assert!(smoothed <= Duration::from_millis(*most) + slack);
        }
    }
}
