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
    policy::State,
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
    /// `up`, `degraded`, `down`, `drained`, `unknown`.
    pub state: String,
    /// Smoothed time of its probes.
    pub time_ms: Option<f64>,
    /// Its place in the ranking, from 1.
    pub rank: Option<usize>,
    /// Why it is not up, if it is not.
    pub reason: Option<String>,
}

impl Status {
    /// What is so now.
    pub fn new(sites: &[SiteView], counted: &Counters) -> Self {
        Self {
            user: Counter::ALL
                .iter()
                .filter(|counter| counter.kind() == Kind::Answered)
                .map(|counter| (counter.name().to_owned(), counter.of(counted)))
                .collect(),
            sites: sites.iter().map(SiteStatus::from).collect(),
        }
    }
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
            reason: match site.state {
                State::Up | State::Unknown => None,
                State::Degraded | State::Down | State::Drained => site.reason.clone(),
            },
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
