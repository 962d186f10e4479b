//! From services to what is probed: sites that are probed alike are one target.
//!
//! A node with 10,000 services on the same three mirrors sends three probes an interval, not 30,000.

use std::{collections::HashMap, net::SocketAddrV4, sync::Arc, time::Duration};

use super::health::Rules;
use crate::config::{LbService, Probe};

/// One GET, ready to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpGet {
    /// Where to connect to.
    pub address: SocketAddrV4,
    /// Path and query.
    pub path: String,
    /// Host header.
    pub host: String,
    /// Statuses that are a success, sorted.
    pub status: Vec<u16>,
    /// For all of it.
    pub timeout: Duration,
}

/// What to ask, and how the outcomes are judged. Equal ones are probed once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The request.
    pub get: Arc<HttpGet>,
    /// Pace, fall and rise.
    pub rules: Rules,
}

/// A site of a service, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteId {
    /// Index in the services.
    pub service: usize,
    /// Index in the service's sites.
    pub site: usize,
}

/// All targets, and which sites each stands for.
#[derive(Debug, Default)]
pub struct Plan {
    /// The targets, without repetition, in configuration order.
    pub targets: Vec<Target>,
    /// For each target its sites.
    pub users: Vec<Vec<SiteId>>,
    /// For each service and site its target; none for a site without an IPv4 address.
    pub sites: Vec<Vec<Option<usize>>>,
}

impl Plan {
    /// Finds the targets of `services`.
    pub fn new(services: &[LbService]) -> Self {
        let mut plan = Self::default();
        let mut known = HashMap::new();
        for (service, config) in services.iter().enumerate() {
            let mut sites = Vec::with_capacity(config.sites.len());
            for (site, ipv4) in config.sites.iter().map(|site| site.ipv4).enumerate() {
                sites.push(ipv4.map(|ipv4| {
                    let target =
                        Target::new(SocketAddrV4::new(ipv4, config.probe.port), &config.probe);
                    let index = *known.entry(target).or_insert_with_key(|target| {
                        plan.targets.push(target.clone());
                        plan.users.push(Vec::new());
                        plan.targets.len() - 1
                    });
                    plan.users[index].push(SiteId { service, site });
                    index
                }));
            }
            plan.sites.push(sites);
        }
        plan
    }
}

impl Target {
    fn new(address: SocketAddrV4, probe: &Probe) -> Self {
        let mut status = probe.status.clone();
        status.sort_unstable();
        status.dedup();
        Self {
            get: Arc::new(HttpGet {
                address,
                path: probe.path.clone(),
                host: probe.host.to_ascii_lowercase(),
                status,
                timeout: probe.timeout,
            }),
            rules: Rules {
                interval: probe.interval,
                retry: probe.retry,
                fall: probe.fall,
                rise: probe.rise,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::prober::simulated::service;

    #[test]
    fn equal_probes_are_one_target() {
        let mut other_case = service("www.example.org", &["192.0.2.1", "192.0.2.2"]);
        other_case.probe.host = "WWW.Example.COM".into();
        other_case.probe.status = vec![204, 200, 200];
        let mut first = service("www.example.com", &["192.0.2.2", "192.0.2.3"]);
        first.probe.host = "www.example.com".into();
        first.probe.status = vec![200, 204];

        let plan = Plan::new(&[first, other_case]);
        assert_eq!(plan.targets.len(), 3);
        assert_eq!(plan.sites, [[Some(0), Some(1)], [Some(2), Some(0)]]);
        let shared = [
            SiteId {
                service: 0,
                site: 0,
            },
            SiteId {
                service: 1,
                site: 1,
            },
        ];
        assert_eq!(plan.users[0], shared);
    }

    #[test]
    fn probes_that_differ_anywhere_are_not_shared() {
        let changes: [fn(&mut Probe); 9] = [
            |probe| probe.port += 1,
            |probe| probe.path.push('x'),
            |probe| probe.host.push('x'),
            |probe| probe.status.push(404),
            |probe| probe.interval *= 2,
            |probe| probe.timeout *= 2,
            |probe| probe.retry *= 2,
            |probe| probe.fall += 1,
            |probe| probe.rise += 1,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let first = service("www.example.com", &["192.0.2.1"]);
            let mut second = first.clone();
            change(&mut second.probe);
            assert_eq!(
                Plan::new(&[first, second]).targets.len(),
                2,
                "change {number}"
            );
        }
    }

    #[test]
    fn a_site_without_an_ipv4_address_has_no_target() {
        let mut config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
        config.sites[0].ipv4 = None;
        let plan = Plan::new(&[config]);
        assert_eq!(plan.sites, [[None, Some(0)]]);
        assert_eq!(plan.targets.len(), 1);
    }
}
