//! Requests and replies: one JSON object a line, one request a connection, then the reply, then the end.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::config::Family;
use crate::policy::{Override, OverrideKind, State};

/// What a command wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// What only the daemon knows, for `dglb stats`.
    Status,
    /// The sites of all services, or of one.
    Sites {
        /// Its balanced name.
        service: Option<String>,
    },
    /// How a service's sites are chosen now.
    Explain {
        /// The balanced name, or a name below it.
        name: String,
        /// A or AAAA.
        family: Family,
        /// Of which vantage.
        vantage: u32,
    },
    /// What was measured of a site in the last hours.
    History {
        /// The site's name.
        site: String,
        /// In this service alone.
        service: Option<String>,
    },
    /// An override, until it is taken back or over.
    Override {
        /// The site's name.
        site: String,
        /// In this service alone; `None`: in all that have it.
        service: Option<String>,
        /// What; `None`: the present one is taken back.
        kind: Option<OverrideKind>,
        /// Why.
        reason: String,
        /// For how long.
        for_: Option<Duration>,
    },
    /// The configuration file is to be read anew.
    Reload,
}

/// Characters that a reason may have.
const MAX_REASON: usize = 200;
/// Octets that a name may have: no site and no service has more.
const MAX_NAME: usize = 255;
/// For how long an override may hold that is to end by itself.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Request {
    /// Whether it is to change something.
    pub fn changes(&self) -> bool {
        match self {
            Self::Override { .. } | Self::Reload => true,
            Self::Status | Self::Sites { .. } | Self::Explain { .. } | Self::History { .. } => {
                false
            }
        }
    }

    /// The same, if nothing in it is out of bounds; whoever handles it may trust that.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn checked(self) -> Result<Self, String> {
        let (site, service) = match &self {
            Self::Status | Self::Reload => (None, None),
            Self::Sites { service } => (None, service.as_ref()),
            Self::Explain { name, .. } => (None, Some(name)),
            Self::History { site, service } | Self::Override { site, service, .. } => {
                (Some(site), service.as_ref())
            }
        };
        for name in site.into_iter().chain(service) {
            if name.len() > MAX_NAME {
                return Err(format!(
                    "a name has {} octets; none has more than {MAX_NAME}",
                    name.len()
                ));
            }
        }
        if let Self::Override {
            kind, reason, for_, ..
        } = &self
        {
            let length = reason.chars().count();
            if kind.is_some() && reason.trim().is_empty() {
                return Err("an override needs a reason: who meets it wants to know why".to_owned());
            }
            if length > MAX_REASON {
                return Err(format!(
                    "the reason has {length} characters; {MAX_REASON} are allowed"
                ));
            }
            if reason.chars().any(char::is_control) {
                return Err("the reason has control characters: write it in one line".to_owned());
            }
            if for_.is_some_and(|length| !(Duration::from_secs(1)..=LONGEST).contains(&length)) {
                return Err(
                    "an override holds from 1s to 366days; without `--for` it holds until it is \
                            taken back"
                        .to_owned(),
                );
            }
        }
        Ok(self)
    }
}

/// What is asked for, for the log.
impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => formatter.write_str("status"),
            Self::Sites { .. } => formatter.write_str("sites"),
            Self::Explain { name, .. } => write!(formatter, "explain {name}"),
            Self::History { site, .. } => write!(formatter, "history {site}"),
            Self::Override {
                site,
                service,
                kind,
                reason,
                for_,
            } => {
                let what = match kind {
                    Some(OverrideKind::Drained) => "drain",
                    Some(OverrideKind::Up) => "force up",
                    Some(OverrideKind::Down) => "force down",
                    None => "take back",
                };
                write!(formatter, "{what} {site}")?;
                if let Some(service) = service {
                    write!(formatter, " of {service}")?;
                }
                if let Some(length) = for_ {
                    write!(formatter, " for {}", humantime::format_duration(*length))?;
                }
                if reason.is_empty() {
                    return Ok(());
                }
                write!(formatter, ": {reason}")
            }
            Self::Reload => formatter.write_str("reload"),
        }
    }
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Status`]; a [`crate::status::Status`].
    Status(serde_json::Value),
    /// To [`Request::Sites`].
    Sites(Sites),
    /// To [`Request::Explain`].
    Explain(Explanation),
    /// To [`Request::History`]: one for each service and family.
    History(Vec<History>),
    /// It is done: a line for people.
    Done(String),
    /// It is not done: why, and what to do.
    Error(String),
}

/// All sites.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sites {
    /// The probing process.
    pub prober: ProberStatus,
    /// The sites, service by service, as they stand in the file.
    pub sites: Vec<SiteView>,
}

/// The probing process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProberStatus {
    /// Whether it is there.
    pub running: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Why it ended last.
    pub reason: Option<String>,
    /// Targets in all: equal probes are one.
    pub targets: usize,
    /// Probes' starts behind their time.
    pub lateness_ms: Quantiles,
    /// From a probe's end to the tables, for those that changed them.
    pub probe_to_tables_ms: Quantiles,
}

/// A distribution since the daemon's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 99 of 100 are not above.
    pub p99: f64,
    /// The most.
    pub max: f64,
}

/// One site of one service in one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiteView {
    /// The balanced name, without the dot at the end.
    pub service: String,
    /// The site's name.
    pub site: String,
    /// The address that is probed and answered.
    pub address: IpAddr,
    /// Its state.
    pub state: State,
    /// Since when; `None`: since the start.
    #[serde(with = "crate::timestamp::optional")]
    pub since: Option<SystemTime>,
    /// Why it came into that state.
    pub reason: Option<String>,
    /// The operator's order, if there is one.
    pub overridden: Option<Override>,
    /// Smoothed time of a whole probe.
    pub latency_ms: Option<f64>,
    /// Mean deviation of single probes from it.
    pub spread_ms: Option<f64>,
    /// Smoothed times of its phases, of those that there are.
    pub connect_ms: Option<f64>,
    /// See `connect_ms`.
    pub tls_ms: Option<f64>,
    /// See `connect_ms`.
    pub first_byte_ms: Option<f64>,
    /// Probes that failed lately, percent.
    pub loss_percent: f64,
    /// What it reports as its load, in the unit of its capacity.
    pub load: Option<f64>,
    /// Its share of the answers of its family, percent.
    pub share_percent: f64,
    /// Place in the order of the policy, from 1, also of those that stand by; `None`: a filter or its state
    /// keeps it out.
    pub rank: Option<usize>,
    /// The interval that is kept, seconds; see `budget`.
    pub interval_s: f64,
    /// Probes that succeeded since the daemon's start.
    pub successes: u64,
    /// Probes that failed since then, by kind.
    pub failures: BTreeMap<String, u64>,
    /// Why the last probe failed, if it did.
    pub last_failure: Option<String>,
}

/// How one service's sites are chosen in one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The balanced name, without the dot at the end.
    pub service: String,
    /// All sites, the answered ones first, in the order of their scores.
    pub candidates: Vec<CandidateView>,
    /// In words: which tier was used, what stays because of the margin, why all-down.
    pub notes: Vec<String>,
    /// What the tables should answer: addresses with their shares, percent.
    pub answer: Vec<(IpAddr, f64)>,
    /// Its TTL.
    pub ttl_s: u32,
}

/// One site in an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CandidateView {
    /// The site's name.
    pub site: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its state.
    pub state: State,
    /// The filter that removed it, and why; `None`: it is still there.
    pub removed_by: Option<String>,
    /// Less is better; `None` where the scorer has none.
    pub score: Option<f64>,
    /// Its share of the answers, percent.
    pub share_percent: f64,
}

/// What was measured of one site of one service in one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The balanced name, without the dot at the end.
    pub service: String,
    /// The site's name.
    pub site: String,
    /// The address.
    pub address: IpAddr,
    /// Length of one span, seconds.
    pub span_s: u32,
    /// Spans in which something was measured, oldest first.
    pub spans: Vec<HistorySpan>,
    /// Changes of state, oldest first.
    pub changes: Vec<StateChange>,
}

/// One span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistorySpan {
    /// When it began.
    #[serde(with = "crate::timestamp")]
    pub start: SystemTime,
    /// Mean time of the probes that succeeded.
    pub latency_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// Probes.
    pub probes: u32,
    /// Those that failed.
    pub failed: u32,
    /// The state at its end.
    pub state: State,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// When.
    #[serde(with = "crate::timestamp")]
    pub at: SystemTime,
    /// To which state.
    pub state: State,
    /// Why.
    pub reason: String,
}
