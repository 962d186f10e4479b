//! What the prober knows, for people: `dglb stats` and the demo read it.

use std::{net::Ipv4Addr, time::SystemTime};

use serde::{Serialize, Serializer};

use super::{
    health::State,
    outcome::{Failure, FailureCounts},
};
use crate::config::LbService;

/// A snapshot of all services. It is changed in place in its watch channel: look at it by `borrow`,
/// clone only what is to be kept.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In configuration order.
    pub services: Vec<ServiceReport>,
    /// The longest time, in milliseconds, that a probe waited for a free place after the first round;
    /// by this much the detection of a dead site may be late.
    pub longest_wait_ms: u64,
}

/// One service.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceReport {
    /// The balanced name.
    pub name: String,
    /// Site indices, best first; empty before the first round, and when all are down.
    pub ranking: Vec<usize>,
    /// In configuration order.
    pub sites: Vec<SiteReport>,
}

/// One site of a service.
#[derive(Clone, Debug, Serialize)]
pub struct SiteReport {
    /// Its name.
    pub name: String,
    /// The address that is probed; a site without one stays unknown.
    pub address: Option<Ipv4Addr>,
    /// Whether it is up.
    pub state: State,
    /// Smoothed time of its probes in milliseconds, if it is up.
    pub smoothed_ms: Option<f64>,
    /// When it came into this state; RFC 3339 when serialized.
    #[serde(serialize_with = "rfc3339")]
    pub since: Option<SystemTime>,
    /// Probes that succeeded, since the start.
    pub successes: u64,
    /// Probes that failed, by kind, since the start.
    pub failures: FailureCounts,
    /// Why the latest of them failed; not cleared by a success.
    pub last_failure: Option<Failure>,
}

impl Report {
    /// Of services of which nothing is known yet.
    pub fn new(services: &[LbService]) -> Self {
        let service = |service: &LbService| ServiceReport {
            name: service.name.to_string(),
            ranking: Vec::new(),
            sites: service
                .sites
                .iter()
                .map(|site| SiteReport::new(&site.name, site.ipv4))
                .collect(),
        };
        Self {
            services: services.iter().map(service).collect(),
            longest_wait_ms: 0,
        }
    }
}

impl SiteReport {
    fn new(name: &str, address: Option<Ipv4Addr>) -> Self {
        Self {
            name: name.to_owned(),
            address,
            state: State::Unknown,
            smoothed_ms: None,
            since: None,
            successes: 0,
            failures: FailureCounts::default(),
            last_failure: None,
        }
    }
}

fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_millis(*time)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_site_is_json_that_people_can_read() {
        let mut site = SiteReport::new("tokyo", Some(Ipv4Addr::new(192, 0, 2, 1)));
        site.since = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_500));
        site.last_failure = Some(Failure::Status(500));
        let json = serde_json::to_value(&site).unwrap();
        assert_eq!(json["address"], "192.0.2.1");
        assert_eq!(json["state"], "unknown");
        assert_eq!(json["since"], "1970-01-01T00:00:01.500Z");
        assert_eq!(json["last_failure"]["status"], 500);
        assert!(json["smoothed_ms"].is_null());
    }
}
