//! What is known of one site in one address family, from one vantage.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// Whether clients may be sent there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not measured yet.
    #[default]
    Unknown,
    /// Answers.
    Up,
    /// Answers, but probes fail now and then.
    Degraded,
    /// Does not answer; or answers again, but not yet often enough.
    Down,
    /// Taken out, by the operator or by itself.
    Drained,
}

impl State {
    /// As it stands in output and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Drained => "drained",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What the policy is told of a site in one family. A site without an address of the family has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its state, overrides and its own wish to be drained counted in.
    pub state: State,
    /// Smoothed time of its probes.
    pub mean_ms: Option<f64>,
    /// Mean deviation of single probes from that.
    pub spread_ms: f64,
    /// Probes that failed lately, percent.
    pub loss_percent: f64,
    /// What it reports as its load, in the unit of its capacity.
    pub load: Option<f64>,
    /// What it reports as its weight; takes the place of the configured one.
    pub weight: Option<u32>,
    /// Failures in a row while it is up, of how many make it down.
    pub failing: Option<(u32, u32)>,
    /// When it came back from being down or drained, on the caller's clock; `None`: it never was.
    pub back_since: Option<Duration>,
}

/// What an operator ordered for a site, whatever the probes say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// What.
    pub kind: OverrideKind,
    /// Why, in the operator's words.
    pub reason: String,
    /// Since when.
    #[serde(with = "crate::timestamp")]
    pub since: SystemTime,
    /// Until when; `None`: until it is taken back.
    #[serde(with = "crate::timestamp::optional")]
    pub until: Option<SystemTime>,
}

/// Kinds of override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideKind {
    /// Not answered.
    Drained,
    /// Taken for up.
    Up,
    /// Taken for down.
    Down,
}

impl Override {
    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl OverrideKind {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Up => "forced up",
            Self::Down => "forced down",
        }
    }
}
