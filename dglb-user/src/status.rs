//! What only the daemon knows, for `dglb stats`, which asks for it over the control socket.

use std::{collections::BTreeMap, net::IpAddr};

use dglb_common::counters::{Counter, Counters, Kind};
use serde::{Deserialize, Serialize};

use crate::{
    config::Node,
    control::{
        client::{self, AskError},
        protocol::{Reply, Request, SiteView},
    },
    probe::Report,
};

/// The daemon's part of `dglb stats`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Answers by the sockets, by row.
    pub user: BTreeMap<String, u64>,
    /// Sites as the probes see them.
    pub sites: Vec<SiteStatus>,
}

/// One site of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The balanced name.
    pub service: String,
    /// The site's name.
    pub site: String,
    /// Its address that is probed.
    pub address: Option<IpAddr>,
    /// `up`, `down`, `unknown`.
    pub state: String,
    /// Smoothed time of its probes.
    pub time_ms: Option<f64>,
    /// Its place in the ranking, from 1.
    pub rank: Option<usize>,
    /// Why its last probe failed, if it is down.
    pub reason: Option<String>,
}

impl Status {
    /// What is so now.
    pub fn new(report: &Report, counted: &Counters) -> Self {
        Self {
            user: Counter::ALL
                .iter()
                .filter(|counter| counter.kind() == Kind::Answered)
                .map(|counter| (counter.name().to_owned(), counter.of(counted)))
                .collect(),
            sites: sites(report),
        }
    }
}

fn sites(report: &Report) -> Vec<SiteStatus> {
    let mut sites = Vec::new();
    for service in &report.services {
        for (index, site) in service.sites.iter().enumerate() {
            let place = service.ranking.iter().position(|&ranked| ranked == index);
            let down = site.state == crate::probe::State::Down;
            sites.push(SiteStatus {
                service: service.name.clone(),
                site: site.name.clone(),
                address: site.address.map(IpAddr::V4),
                state: site.state.to_string(),
                time_ms: site.smoothed_ms,
                rank: place.map(|place| place + 1),
                reason: site
                    .last_failure
                    .filter(|_| down)
                    .map(|failure| failure.to_string()),
            });
        }
    }
    sites
}

impl From<&SiteView> for SiteStatus {
    fn from(site: &SiteView) -> Self {
        Self {
            service: site.service.clone(),
            site: site.site.clone(),
            address: Some(site.address),
            state: site.state.to_string(),
            time_ms: site.latency_ms,
            rank: site.rank,
            reason: site.reason.clone(),
        }
    }
}

/// Asks the daemon; `None` when none runs.
///
/// # Errors
/// It runs and can't be asked.
pub fn ask(node: &Node) -> Result<Option<Status>, AskError> {
    match client::ask(node, &Request::Status) {
        Ok(Reply::Status(status)) => {
            let status = serde_json::from_value(status);
            let status = status.map_err(|error| client::not_understood(node, &error));
            Ok(Some(status?))
        }
        Ok(other) => Err(client::unexpected(node, &other)),
        Err(AskError::NoDaemon { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
