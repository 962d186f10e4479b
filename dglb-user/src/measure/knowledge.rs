//! What is known of one target: kept in memory, stored, and handed to the engine of the next configuration.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{
    figures::Figures,
    history::{Change, History},
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
/// Characters of a reason: some of them come from strangers.
const MAX_REASON: usize = 200;
/// Why a site is drained that asked for it.
pub const REPORTED: &str = "reported by the site";

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
    /// Since when the site asks to be left alone.
    pub drained: Option<SystemTime>,
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

    /// Whether some judge is not yet sure of what the last results mean.
    pub fn is_wavering(&self) -> bool {
        self.judges.iter().any(|(_, judge)| judge.is_wavering())
    }

    /// Failures in a row.
    pub fn failures_in_a_row(&self) -> u32 {
        let failures = self.judges.iter().map(|(_, judge)| judge.failures());
        failures.min().unwrap_or(0)
    }

    /// Takes a probe's result; whether its state changed.
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
        self.figures.record(outcome);
        let result = outcome.as_ref().map(|_| ());
        let mut changed = false;
        for (patience, judge) in &mut self.judges {
            if judge.record(*patience, result, self.figures.loss, now) {
                changed = true;
                self.history.change(Change {
                    at: now,
                    state: judge.state,
                    reason: judge.reason.clone().unwrap_or_default(),
                    patience: Some(*patience),
                });
            }
        }
        let all_down = self
            .judges
            .iter()
            .all(|(_, judge)| judge.state == State::Down);
        if all_down {
            self.figures.forget_times();
        }
        changed |= self.look_at_drain(now);
        let time = outcome.as_ref().ok();
        let time = time.map(|success| f64::from(success.times.total_us) / 1000.0);
        self.history.record(now, time, self.state());
        changed
    }

    /// The state, for the first judge.
    fn state(&self) -> State {
        match self.judges.first() {
            Some((_, judge)) if judge.is_up() && self.drained.is_some() => State::Drained,
            Some((_, judge)) => judge.state,
            None => State::Unknown,
        }
    }

    /// Whether the site asks to be left alone, or does so no longer; then a ramp begins.
    fn look_at_drain(&mut self, now: SystemTime) -> bool {
        let wants_drain = self.figures.load.is_some_and(|load: SiteLoad| load.drain);
        let (drained, reason) = match (self.drained, wants_drain) {
            (None, true) => (Some(now), REPORTED),
            (Some(_), false) => (None, "no longer drained by the site"),
            (None, false) | (Some(_), true) => return false,
        };
        self.drained = drained;
        if !self.is_up() {
            return false;
        }
        if drained.is_none() {
            for (_, judge) in &mut self.judges {
                judge.back_since = Some(now);
            }
        }
        self.history.change(Change {
            at: now,
            state: self.state(),
            reason: reason.into(),
            patience: None,
        });
        true
    }

    fn count(&mut self, failure: &Failure) {
        let name = failure.name();
        match self.failures.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((name, 1)),
        }
    }
}

/// What the probing process says, as far as it is believed: it deals with what strangers send. Long texts are
/// cut, and a load that is none is left out.
pub fn believed(outcome: Result<Success, Failure>) -> Result<Success, Failure> {
    let short = |text: String| match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    match outcome {
        Ok(mut success) => {
            if let Some(site) = &mut success.load {
                site.load = site.load.filter(|load| load.is_finite() && *load >= 0.0);
            }
            Ok(success)
        }
        Err(Failure::Tls(text)) => Err(Failure::Tls(short(text))),
        Err(Failure::Command(text)) => Err(Failure::Command(short(text))),
        Err(Failure::Io(text)) => Err(Failure::Io(short(text))),
        Err(Failure::Local(text)) => Err(Failure::Local(short(text))),
        Err(
            failure @ (Failure::Refused
            | Failure::Reset
            | Failure::TimedOut
            | Failure::Status(_)
            | Failure::Body
            | Failure::TooLarge
            | Failure::Aborted
            | Failure::Malformed
            | Failure::NotSendable),
        ) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const PATIENCE: Patience = Patience { fall: 2, rise: 2 };

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn drains(drain: bool) -> Result<Success, Failure> {
        let load = SiteLoad {
            drain,
            ..SiteLoad::default()
        };
        Ok(Success {
            load: Some(load),
            ..Success::default()
        })
    }

    fn changes(known: &Knowledge) -> Vec<(SystemTime, State)> {
        let changes = known.history.changes();
        changes.map(|change| (change.at, change.state)).collect()
    }

    #[test]
    fn a_site_s_own_drain_is_a_change_with_its_time() {
        let mut known = Knowledge::default().with_judges(&[PATIENCE]);
        assert!(known.record(&drains(false), at(1)));
        assert!(known.record(&drains(true), at(2)));
        assert!(!known.record(&drains(true), at(3)));
        assert_eq!(known.drained, Some(at(2)));
        assert!(known.record(&drains(false), at(4)));
        assert_eq!(
            (known.drained, known.judges[0].1.back_since),
            (None, Some(at(4)))
        );
        let expected = [
            (at(1), State::Up),
            (at(2), State::Drained),
            (at(4), State::Up),
        ];
        assert_eq!(changes(&known), expected);
    }

    #[test]
    fn a_drained_site_that_goes_down_is_down_and_comes_back_as_up() {
        let mut known = Knowledge::default().with_judges(&[PATIENCE]);
        for (second, outcome) in [
            drains(true),
            Err(Failure::Refused),
            Err(Failure::Refused),
            Ok(Success::default()),
            Ok(Success::default()),
        ]
        .into_iter()
        .enumerate()
        {
            known.record(&outcome, at(second as u64));
        }
        let expected = [
            (at(0), State::Up),
            (at(0), State::Drained),
            (at(2), State::Down),
            (at(4), State::Up),
        ];
        assert_eq!(changes(&known), expected);
        assert_eq!(known.drained, None);
    }

    #[test]
    fn of_what_the_process_says_texts_are_cut_and_loads_checked() {
        let long = Err(Failure::Tls("ß".repeat(70_000)));
        let Err(Failure::Tls(text)) = believed(long) else {
            panic!("another failure");
        };
        assert_eq!(text.chars().count(), MAX_REASON + 1);
        for (said, load) in [(f64::NAN, None), (-1.0, None), (0.5, Some(0.5))] {
            let success = Success {
                load: Some(SiteLoad {
                    load: Some(said),
                    ..SiteLoad::default()
                }),
                ..Success::default()
            };
            let site = believed(Ok(success)).expect("a success").load;
            assert_eq!(site.expect("a load").load, load);
        }
    }

    /// 200 MiB for 40,000 targets, of which each has one judge, all spans and a change an hour.
    #[test]
    fn what_is_known_of_a_target_fits_into_five_kilobytes() {
        let mut known = Knowledge::default().with_judges(&[PATIENCE]);
        for minute in 0..400 {
            let outcome = match minute / 60 % 2 {
                0 => Ok(Success::default()),
                _ => Err(Failure::TimedOut),
            };
            known.record(&outcome, at(minute * 60));
        }
        let heap = known.history.octets() + known.judges.capacity() * size_of_val(&known.judges[0]);
        let all = heap + size_of::<Knowledge>();
        assert!(all <= 5 * 1024, "{all} octets");
    }
}
