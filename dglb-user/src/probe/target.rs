//! From services to what is probed: sites that are probed alike are one target.
//!
//! A node with 10,000 services on the same three mirrors sends three probes an interval, not 30,000.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use super::health::Rules;
use crate::config::{LbService, Probe, ProbeKind};

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
                    let target = Target::new(ipv4, &config.probe);
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
    fn new(address: Ipv4Addr, probe: &Probe) -> Self {
        let ProbeKind::Http(http) = &probe.kind else {
            unimplemented!("only HTTP is probed yet")
        };
        Self {
            get: Arc::new(HttpGet {
                address: SocketAddrV4::new(address, http.port),
                path: http.pages[0].clone(),
                host: http.host.to_ascii_lowercase(),
                status: http.status.clone(),
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
