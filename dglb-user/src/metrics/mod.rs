//! The node's figures for Prometheus, over HTTP at `/metrics`.
//!
//! `dglb run` calls [`serve`] with a function that collects what is so at the moment; nothing is kept
//! here. Each family is explained in docs/metrics.md. It must never hold up what it tells of: collecting takes
//! the way of any command, and a slow reader costs a bounded time and memory.

mod families;
mod server;
#[cfg(test)]
mod tests;

use std::time::SystemTime;

use dglb_common::counters::Counters;

pub use self::server::serve;
use crate::control::protocol::Sites;

/// What one scrape tells.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The kernel program's counters; `None`: there is no program.
    pub kernel: Option<Counters>,
    /// What the sockets answered.
    pub user: Counters,
    /// A DNS-LB's sites and what probes them.
    pub sites: Option<Sites>,
    /// Whether each site is told, or only how many there are in each state.
    pub each_site: bool,
    /// How the configuration came into service.
    pub reload: Reload,
}

/// How the configuration came into service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether the file was good when it was read last.
    pub succeeded: bool,
    /// Since when what is in service is so.
    pub in_service_since: SystemTime,
}
