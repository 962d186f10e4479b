//! Up or down: what a target's results in a row mean to those who asked for so many of them. Pure.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{policy::State, probe::failure::Failure};

/// Loss from which on a site that is up is degraded, 0 to 1.
const DEGRADED: f64 = 0.20;
/// Loss below which it no longer is.
const HEALTHY: f64 = 0.05;

/// How many results in a row it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Patience {
    /// Failures that make a target down.
    pub fall: u32,
    /// Successes that bring it back.
    pub rise: u32,
}

/// The state of one target for those with the same patience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// Unknown, up, degraded or down.
    pub state: State,
    /// When it came into that state; `None`: it is unknown since the start.
    pub since: Option<SystemTime>,
    /// Why.
    pub reason: Option<String>,
    /// When it came back from being down; `None`: it was not down since the state is known.
    pub back_since: Option<SystemTime>,
    /// Results in a row that speak against the state: failures when up, successes when down.
    against: u32,
    /// Failures in a row.
    failures: u32,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            state: State::Unknown,
            since: None,
            reason: None,
            back_since: None,
            against: 0,
            failures: 0,
        }
    }
}

impl Judge {
    /// Takes the next result at `now`, after which `loss` (0 to 1) of the probes fail; whether the state
    /// changed. A failure of this host's own changes nothing: else a lack of file descriptors here would
    /// take every site away at once. The first result decides: nothing better is known.
    pub fn record(
        &mut self,
        patience: Patience,
        result: Result<(), &Failure>,
        loss: f64,
        now: SystemTime,
    ) -> bool {
        if let Err(Failure::Local(_)) = result {
            return false;
        }
        self.failures = match result {
            Ok(()) => 0,
            Err(_) => self.failures.saturating_add(1),
        };
        match (self.state, result) {
            (State::Unknown, Ok(())) => {
                self.enter(State::Up, "the first probe succeeded".into(), now)
            }
            (State::Unknown, Err(failure)) => self.enter(
                State::Down,
                format!("the first probe failed: {failure}"),
                now,
            ),
            (State::Up | State::Degraded, Ok(())) => {
                self.against = 0;
                self.weigh(loss, now)
            }
            (State::Up | State::Degraded, Err(failure)) => {
                self.against += 1;
                if self.against >= patience.fall {
                    let reason = format!("{} probes in a row failed: {failure}", self.against);
                    return self.enter(State::Down, reason, now);
                }
                self.weigh(loss, now)
            }
            (State::Down | State::Drained, Ok(())) => {
                self.against += 1;
                if self.against < patience.rise {
                    return false;
                }
                self.back_since = Some(now);
                let reason = format!("{} probes in a row succeeded", self.against);
                self.enter(State::Up, reason, now)
            }
            (State::Down | State::Drained, Err(_)) => {
                self.against = 0;
                false
            }
        }
    }

    /// Failures in a row while up; 0 otherwise.
    pub fn failing(&self) -> u32 {
        match self.state {
            State::Up | State::Degraded => self.against,
            State::Unknown | State::Down | State::Drained => 0,
        }
    }

    /// Whether the last results speak against the state, but are not yet enough.
    pub fn is_wavering(&self) -> bool {
        self.against > 0
    }

    /// Failures in a row, whatever the state.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it is up, degraded or not.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up | State::Degraded)
    }

    fn weigh(&mut self, loss: f64, now: SystemTime) -> bool {
        let percent = loss * 100.0;
        match self.state {
            State::Up if loss >= DEGRADED => {
                let reason = format!("{percent:.0} % of the probes fail");
                self.change(State::Degraded, reason, now)
            }
            State::Degraded if loss < HEALTHY => {
                let reason = format!("only {percent:.0} % of the probes fail");
                self.change(State::Up, reason, now)
            }
            State::Up | State::Degraded | State::Unknown | State::Down | State::Drained => false,
        }
    }

    fn enter(&mut self, state: State, reason: String, now: SystemTime) -> bool {
        self.against = 0;
        self.change(state, reason, now)
    }

    fn change(&mut self, state: State, reason: String, now: SystemTime) -> bool {
        self.state = state;
        self.since = Some(now);
        self.reason = Some(reason);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { fall: 3, rise: 2 };

    fn record(judge: &mut Judge, results: &str) -> String {
        let states = results.chars().map(|result| {
            let refused = Failure::Refused;
            let local = Failure::Local("no ports".into());
            let result = match result {
                '+' => Ok(()),
                '-' => Err(&refused),
                _ => Err(&local),
            };
            judge.record(PATIENCE, result, 0.0, SystemTime::UNIX_EPOCH);
            match judge.state {
                State::Up => 'u',
                State::Down => 'd',
                State::Unknown => '?',
                State::Degraded | State::Drained => '!',
            }
        });
        states.collect()
    }

    #[test]
    fn the_first_result_decides() {
        assert_eq!(record(&mut Judge::default(), "+"), "u");
        assert_eq!(record(&mut Judge::default(), "-"), "d");
        assert_eq!(record(&mut Judge::default(), "oo+"), "??u");
    }

    #[test]
    fn it_takes_so_many_in_a_row_and_those_of_this_host_do_not_count() {
        let mut judge = Judge::default();
        assert_eq!(record(&mut judge, "+--+--o-"), "uuuuuuud");
        assert_eq!(record(&mut judge, "+-+o+"), "ddddu");
        assert!(judge.back_since.is_some());
        assert_eq!(judge.reason.as_deref(), Some("2 probes in a row succeeded"));
    }

    #[test]
    fn loss_degrades_and_only_little_loss_heals() {
        let mut judge = Judge::default();
        let mut look = |loss| {
            judge.record(PATIENCE, Ok(()), loss, SystemTime::UNIX_EPOCH);
            judge.state
        };
        assert_eq!(look(0.0), State::Up);
        assert_eq!(look(0.19), State::Up);
        assert_eq!(look(0.2), State::Degraded);
        assert_eq!(look(0.05), State::Degraded);
        assert_eq!(look(0.04), State::Up);
    }
}
