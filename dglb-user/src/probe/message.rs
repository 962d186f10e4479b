//! What daemon and probing process tell each other: JSON, a line a message, over a Unix socket that
//! the daemon made. The process keeps no state but the targets: what is lost with it is told again. An empty
//! line from it is a sign of life.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{failure::Failure, spec::Spec};

/// Octets that one line may have.
pub const MAX_LINE: usize = 1 << 16;

/// The probing process says something, if only that it lives, once as it begins and then at least so often.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// To the probing process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToProber {
    /// A target, before it is probed.
    Define {
        /// Its number; one that is known is replaced.
        target: u32,
        /// What is done.
        spec: Box<Spec>,
    },
    /// The target is no longer probed.
    Forget {
        /// Its number.
        target: u32,
    },
    /// Probe it now.
    Probe {
        /// Its number.
        target: u32,
    },
}

/// From the probing process; [`Self::Up`] and [`Self::Down`] are added by the daemon's side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromProber {
    /// It is there, and knows no target.
    Up,
    /// It has ended, and with it all probes under way; another one is started.
    Down {
        /// Why.
        reason: String,
    },
    /// A probe has ended.
    Done {
        /// Of this target.
        target: u32,
        /// CLOCK_MONOTONIC, nanoseconds.
        started_ns: u64,
        /// CLOCK_MONOTONIC, nanoseconds.
        ended_ns: u64,
        /// What it came to.
        outcome: Result<Success, Failure>,
    },
}

/// A probe that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// How long it took.
    pub times: Times,
    /// What the site says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<SiteLoad>,
}

/// Times from the start of the probe, but each phase for itself; microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// TCP's handshake; the echo's round trip.
    pub connect_us: Option<u32>,
    /// TLS's handshake.
    pub tls_us: Option<u32>,
    /// From the first request to its response's first octet.
    pub first_byte_us: Option<u32>,
    /// The whole probe.
    pub total_us: u32,
}

/// What a site says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SiteLoad {
    /// In the unit of its capacity; at least 0, finite.
    #[serde(default)]
    pub load: Option<f64>,
    /// Its share beside the others.
    #[serde(default)]
    pub weight: Option<u32>,
    /// It wants no new clients.
    #[serde(default)]
    pub drain: bool,
}

impl SiteLoad {
    /// Whether it can be reckoned with.
    pub fn is_sensible(&self) -> bool {
        self.load.is_none_or(|load| load.is_finite() && load >= 0.0)
    }
}
