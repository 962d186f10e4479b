//! What a DNS-LB is told of a service: its sites, how they are measured, and the owner's policy. Plain
//! data, checked by the readers beside this file and trusted after that.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Form, Soa};
use crate::{name::OwnerName, probe::spec::Http};

/// A balanced name at a DNS-LB.
#[derive(Clone, Debug, PartialEq)]
pub struct LbService {
    /// N.
    pub name: OwnerName,
    /// Form of referral by which queries come.
    pub form: Form,
    /// TTL of address answers, seconds.
    pub answer_ttl: u32,
    /// The least that a TTL is shortened to when a change is near, seconds; at most `answer_ttl`.
    pub min_ttl: u32,
    /// TTL of the referral, the most that this node's own NS answer may have, seconds.
    pub referral_ttl: u32,
    /// Values of the SOA in negative answers.
    pub soa: Soa,
    /// The mirrors; at least one, names unique.
    pub sites: Vec<Site>,
    /// How they are probed.
    pub probe: Probe,
    /// Which of them are answered.
    pub policy: Policy,
    /// From how many places the sites are measured in all; at least 1.
    pub vantages: u32,
    /// Probes a second that each site is to bear from all vantages together; greater than 0.
    pub budget: f64,
}

impl LbService {
    /// A service of which the file says no more.
    pub fn new(name: OwnerName, form: Form, soa: Soa, sites: Vec<Site>, probe: Probe) -> Self {
        Self {
            name,
            form,
            answer_ttl: 60,
            min_ttl: DEFAULT_MIN_TTL,
            referral_ttl: 3600,
            soa,
            sites,
            probe,
            policy: Policy::default(),
            vantages: 1,
            budget: DEFAULT_BUDGET,
        }
    }

    /// The interval that is kept: the configured one, or what the sites' budget allows each vantage.
    pub fn effective_interval(&self) -> Duration {
        let least = Duration::from_secs_f64(f64::from(self.vantages) / self.budget);
        self.probe.interval.max(least)
    }
}

/// One mirror.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Its name, for people.
    pub name: String,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address; it has one of the two at least.
    pub ipv6: Option<Ipv6Addr>,
    /// Where it lies, in the owner's words.
    pub region: Option<String>,
    /// The owner's words for it.
    pub tags: Vec<String>,
    /// Index in [`Policy::tiers`]; 0 where there are none.
    pub tier: usize,
    /// What an answer costs, in the owner's unit; at least 0.
    pub cost: f64,
    /// Load that it bears, in the unit in which it reports its load; greater than 0.
    pub capacity: f64,
    /// Its share beside the others, for the scorers that divide.
    pub weight: u32,
    /// Where it stands.
    pub location: Option<Location>,
}

impl Site {
    /// A site of which only name and addresses are known: all else is as if the file said nothing.
    pub fn new(name: impl Into<String>, ipv4: Option<Ipv4Addr>, ipv6: Option<Ipv6Addr>) -> Self {
        Self {
            name: name.into(),
            ipv4,
            ipv6,
            region: None,
            tags: Vec::new(),
            tier: 0,
            cost: 0.0,
            capacity: DEFAULT_CAPACITY,
            weight: 1,
            location: None,
        }
    }

    /// Whether it has an address of the family.
    pub fn has(&self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4.is_some(),
            Family::Ipv6 => self.ipv6.is_some(),
        }
    }
}

/// The least that a TTL is shortened to, seconds, unless `answer_ttl` is less.
pub const DEFAULT_MIN_TTL: u32 = 5;

/// Probes a second that a site is to bear.
pub const DEFAULT_BUDGET: f64 = 20.0;

/// Capacity of a site that names none: it reports its load in percent.
pub const DEFAULT_CAPACITY: f64 = 100.0;

/// A place on the Earth, as in a LOC record (RFC 1876), without height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Location {
    /// Degrees, north positive, −90 to 90.
    pub latitude: f64,
    /// Degrees, east positive, −180 to 180.
    pub longitude: f64,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];
}

/// How the sites of a service are measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What is done.
    pub kind: ProbeKind,
    /// From the end of a probe to the next, as configured; see [`LbService::effective_interval`].
    pub interval: Duration,
    /// For the whole probe.
    pub timeout: Duration,
    /// The same as `interval` while the last results speak against the state, but are not yet enough.
    pub retry: Duration,
    /// Failures in a row that make a site down.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
    /// When a query meets a measurement older than this, the site is probed at once; `None`: not.
    pub max_age: Option<Duration>,
    /// After so long without a query the interval is `idle_interval`; `None`: never.
    pub idle_after: Option<Duration>,
    /// At least `interval`.
    pub idle_interval: Duration,
}

impl Probe {
    /// The default pace.
    pub fn new(kind: ProbeKind) -> Self {
        let seconds = Duration::from_secs;
        Self {
            kind,
            interval: seconds(10),
            timeout: seconds(2),
            retry: seconds(1),
            fall: 3,
            rise: 2,
            max_age: None,
            idle_after: None,
            idle_interval: seconds(60),
        }
    }
}

/// The built-in probes, and the node's own profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// HTTP or HTTPS, as the probing process is told of it.
    Http(Http),
    /// A TCP connection, closed at once.
    Tcp {
        /// Port.
        port: u16,
    },
    /// An ICMP echo (RFC 792, RFC 4443 §4.1).
    Icmp,
    /// A command of the node's own file: index in [`ProbeLimits::profiles`].
    Command {
        /// Which.
        profile: usize,
    },
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => {
                let scheme = if http.tls.is_some() { "https" } else { "http" };
                let more = http.pages.len() - 1;
                write!(
                    formatter,
                    "{scheme}://{}:{}{}",
                    http.host, http.port, http.pages[0]
                )?;
                if more > 0 {
                    write!(formatter, " and {more} more")?;
                }
                Ok(())
            }
            Self::Tcp { port } => write!(formatter, "TCP port {port}"),
            Self::Icmp => formatter.write_str("ICMP echo"),
            Self::Command { profile } => write!(formatter, "probe profile {profile}"),
        }
    }
}

/// What the node allows of probes, whatever a service wants: `[probe]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeLimits {
    /// The account under which the probing process runs.
    pub user: String,
    /// Prefixes in private, loopback, link-local, multicast and documentation ranges that may be probed.
    pub allow: Vec<ipnet::IpNet>,
    /// The least `interval`.
    pub min_interval: Duration,
    /// The least `retry`.
    pub min_retry: Duration,
    /// The most `max_body`.
    pub max_body: u32,
    /// The most `pages`.
    pub max_pages: usize,
    /// Probes at once.
    pub concurrency: usize,
    /// Certificates that are trusted, PEM; `None`: those of the system.
    pub ca_file: Option<std::path::PathBuf>,
    /// External commands.
    pub profiles: Vec<Profile>,
}

impl Default for ProbeLimits {
    fn default() -> Self {
        Self {
            user: "nobody".into(),
            allow: Vec::new(),
            min_interval: Duration::from_secs(5),
            min_retry: Duration::from_secs(1),
            max_body: 1 << 20,
            max_pages: 8,
            concurrency: 1024,
            ca_file: None,
            profiles: Vec::new(),
        }
    }
}

/// An external command that services may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// An absolute path and its arguments, in which `{address}` and `{service}` are replaced.
    pub command: Vec<String>,
}

/// Which sites are answered: filters, then one scorer. Evaluated by [`crate::policy`].
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// In their order; the first with enough sites left is used. Never empty.
    pub tiers: Vec<Tier>,
    /// In their order, within a tier.
    pub filters: Vec<Filter>,
    /// What is better.
    pub scorer: Scorer,
    /// How many sites an answer has; more than 1 only where the scorer does not divide.
    pub answers: usize,
    /// A site must be better by this to take the place of the present one.
    pub margin: Margin,
    /// What a site near its capacity gives away.
    pub overflow: Option<Overflow>,
    /// How long a site that comes back takes to its full share; zero: none.
    pub ramp: Duration,
    /// What a site is worth of which nothing is known.
    pub unknown: UnknownSites,
    /// What is answered when no site is left.
    pub all_down: AllDown,
}

impl Default for Policy {
    /// The fastest site that is up.
    fn default() -> Self {
        Self {
            tiers: vec![Tier::default()],
            filters: Vec::new(),
            scorer: Scorer::Weighed(Weights::LATENCY),
            answers: 1,
            margin: Margin::default(),
            overflow: None,
            ramp: Duration::ZERO,
            unknown: UnknownSites::Serve,
            all_down: AllDown::AllSites,
        }
    }
}

/// A set of sites, like "primary" and "backup".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name; empty where the owner names none.
    pub name: String,
    /// Sites that must be left after the filters, else the next tier is used too; at least 1.
    pub min_sites: usize,
}

impl Default for Tier {
    fn default() -> Self {
        Self {
            name: String::new(),
            min_sites: 1,
        }
    }
}

/// What keeps a site. Sites that are down or drained are never kept, whatever the filters.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Up, not degraded.
    Healthy,
    /// Within so much of the fastest that is left: the more of the two.
    Within {
        /// Absolute.
        time: Duration,
        /// Percent of the fastest.
        percent: f64,
    },
    /// In one of these regions.
    Region(Vec<String>),
    /// With one of these tags.
    Tag(Vec<String>),
    /// With an address of this family too.
    Family(Family),
    /// Below so many percent of its capacity; a site that reports no load is.
    BelowCapacity {
        /// Percent.
        percent: f64,
    },
}

/// What makes a site better than another.
#[derive(Clone, Debug, PartialEq)]
pub enum Scorer {
    /// A weighted sum.
    Weighed(Weights),
    /// The clients are divided by the sites' weights; a client keeps its site as well as it can.
    Random,
    /// As they stand in the file.
    Failover,
    /// The clients are divided by the sites' weights; which site a client prefix has follows from both
    /// alone, so that it comes back to it, at every node and after every restart.
    Sticky,
}

/// The weights of what is summed; at least 0 each, one of them greater.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Smoothed time of a probe: milliseconds.
    pub latency: f64,
    /// Probes that failed lately: percent.
    pub availability: f64,
    /// Load of the capacity: percent.
    pub load: f64,
    /// Cost: the owner's unit.
    pub cost: f64,
    /// Distance from this node, 100 km: about what light in a fibre makes of it in ms, there and back.
    pub distance: f64,
}

impl Weights {
    /// The latency alone.
    pub const LATENCY: Self = Self {
        latency: 1.0,
        ..Self::NONE
    };
    /// Nothing: to be completed.
    pub const NONE: Self = Self {
        latency: 0.0,
        availability: 0.0,
        load: 0.0,
        cost: 0.0,
        distance: 0.0,
    };
}

/// By how much a score must be better: the more of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// Absolute, in the unit of scores (with the latency alone: milliseconds).
    pub absolute: f64,
    /// Percent of the present site's score.
    pub percent: f64,
}

impl Default for Margin {
    fn default() -> Self {
        Self {
            absolute: 1.0,
            percent: 10.0,
        }
    }
}

/// What a site near its capacity gives away to the next best, in steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overflow {
    /// Percent of the capacity at which it begins.
    pub from: f64,
    /// Percent at which all is given away; greater than `from`.
    pub full: f64,
    /// Percent of the answers that one step is, 1 to 100.
    pub step: f64,
}

/// What a site is worth of which nothing is known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownSites {
    /// It is answered where no better one is known.
    Serve,
    /// It is not answered.
    Exclude,
}

/// What is answered when no site is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllDown {
    /// All sites that are not drained, as a list; all of them if all are. Where the filters took what is up,
    /// only that.
    AllSites,
    /// The last answer stays.
    LastGood,
    /// Other addresses; a family without one has no data.
    Fallback {
        /// For A.
        ipv4: Option<Ipv4Addr>,
        /// For AAAA.
        ipv6: Option<Ipv6Addr>,
    },
    /// SERVFAIL (RFC 1035 §4.1.1).
    Servfail,
}
