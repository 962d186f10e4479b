//! What is known of one target: kept in memory, stored, and handed to the engine of the next configuration.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    figures::Figures,
    history::History,
    judge::{Judge, Patience},
};
use crate::{
    policy::State,
    probe::{
        failure::Failure,
        message::{SiteLoad, Success},
    },
};

/// Older measurements say nothing about now.
const TOO_OLD: Duration = Duration::from_secs(86_400);

/// All that is known of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Smoothed.
    pub figures: Figures,
    /// By the patience of those who asked.
    pub judges: Vec<(Patience, Judge)>,
    /// The last hours.
    pub history: History,
    /// When it was last probed with a result.
    pub probed: Option<SystemTime>,
    /// Since the daemon's start.
    #[serde(skip)]
    pub successes: u64,
    /// Since the daemon's start, by kind.
    #[serde(skip)]
    pub failures: Vec<(&'static str, u64)>,
    /// Why the last probe failed, if it did.
    pub last_failure: Option<String>,
}

impl Knowledge {
    /// For judges of these patiences: those that are known stay, others begin with nothing known.
    pub fn with_judges(mut self, patiences: &[Patience]) -> Self {
        self.judges = patiences
            .iter()
            .map(|patience| {
                let known = self.judges.iter().find(|(other, _)| other == patience);
                (
                    *patience,
                    known.map(|(_, judge)| judge.clone()).unwrap_or_default(),
                )
            })
            .collect();
        self
    }

    /// What is left of it at `now`, read from a store: of what is too old only the history.
    pub fn aged(self, now: SystemTime) -> Self {
        let age = self
            .probed
            .map(|probed| now.duration_since(probed).unwrap_or_default());
        match age {
            Some(age) if age < TOO_OLD => self,
            Some(_) | None => Self {
                history: self.history,
                ..Self::default()
            },
        }
    }

    /// Whether some judge has seen no result yet.
    pub fn is_unknown(&self) -> bool {
        self.judges
            .iter()
            .any(|(_, judge)| judge.state == State::Unknown)
    }

    /// Whether some judge holds it for up.
    pub fn is_up(&self) -> bool {
        self.judges.iter().any(|(_, judge)| judge.is_up())
    }

    /// Whether some judge is not yet sure of a failure.
    pub fn is_failing(&self) -> bool {
        self.judges.iter().any(|(_, judge)| judge.failing() > 0)
    }

    /// Failures in a row.
    pub fn failures_in_a_row(&self) -> u32 {
        let failures = self.judges.iter().map(|(_, judge)| judge.failures());
        failures.min().unwrap_or(0)
    }

    /// Takes a probe's result; whether a judge's state changed.
    pub fn record(&mut self, outcome: &Result<Success, Failure>, now: SystemTime) -> bool {
        match outcome {
            Ok(_) => self.successes += 1,
            Err(failure) => self.count(failure),
        }
        if let Err(Failure::Local(_)) = outcome {
            return false;
        }
        self.probed = Some(now);
        self.last_failure = outcome.as_ref().err().map(ToString::to_string);
        let wanted_drain = self.wants_drain();
        self.figures.record(outcome);
        let result = outcome.as_ref().map(|_| ());
        let mut changed = false;
        for (patience, judge) in &mut self.judges {
            if judge.record(*patience, result, self.figures.loss, now) {
                changed = true;
                let reason = judge.reason.clone().unwrap_or_default();
                self.history.change(now, judge.state, reason);
            }
        }
        if wanted_drain && !self.wants_drain() {
            self.come_back(now);
        }
        let all_down = self
            .judges
            .iter()
            .all(|(_, judge)| judge.state == State::Down);
        if all_down {
            self.figures.forget_times();
        }
        let time = outcome.as_ref().ok();
        let time = time.map(|success| f64::from(success.times.total_us) / 1000.0);
        let state = self
            .judges
            .first()
            .map_or(State::Unknown, |(_, judge)| judge.state);
        self.history.record(now, time, state);
        changed
    }

    /// It is let in again after it was drained: a ramp begins.
    pub fn come_back(&mut self, now: SystemTime) {
        for (_, judge) in &mut self.judges {
            judge.back_since = Some(now);
        }
    }

    /// Whether the site asks to be left alone.
    pub fn wants_drain(&self) -> bool {
        self.figures.load.is_some_and(|load: SiteLoad| load.drain)
    }

    fn count(&mut self, failure: &Failure) {
        let name = failure.name();
        match self.failures.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((name, 1)),
        }
    }
}
