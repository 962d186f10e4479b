//! What the tasks of a node tell the one task that writes the tables.
//!
//! The map protocol and the probes send [`Event`]s into one bounded channel; the publisher answers an
//! announcement once its mappings are effective in the data path.

use std::net::{IpAddr, Ipv4Addr};

use tokio::sync::oneshot;

use crate::capacity::TableFull;

/// Something that may change the tables.
#[derive(Debug)]
pub enum Event {
    /// A DNS-LB said that resolvers are its own.
    Announce {
        /// Node name as it said hello with, lower case.
        node: String,
        /// The IPv4 address it announced for itself.
        dns_lb: Ipv4Addr,
        /// The resolvers.
        resolvers: Vec<IpAddr>,
        /// Answered when effective, or with the reason why not.
        done: oneshot::Sender<Result<(), Rejection>>,
    },
    /// A DNS-LB gave resolvers up.
    Withdraw {
        /// Node name, lower case.
        node: String,
        /// The resolvers.
        resolvers: Vec<IpAddr>,
        /// Answered when effective.
        done: oneshot::Sender<Result<(), Rejection>>,
    },
    /// A DNS-LB is alive: its lease starts anew.
    Renew {
        /// Node name, lower case.
        node: String,
    },
    /// A service's sites changed their order or state.
    Ranking {
        /// Index in the DNS-LB's services.
        service: usize,
        /// Site indices, best first; sites that are down are absent. Empty: all are down.
        ranking: Vec<usize>,
    },
}

/// Why a DNS-B does not take an announcement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The node is not in the DNS-B's configuration.
    #[error("no dns-lb named \"{0}\" is configured here")]
    UnknownNode(String),
    /// The node is configured with another address.
    #[error("dns-lb \"{node}\" is configured with address {configured}, it announced {announced}")]
    OtherAddress {
        /// Node name.
        node: String,
        /// What the DNS-B's configuration has.
        configured: Ipv4Addr,
        /// What was announced.
        announced: Ipv4Addr,
    },
    /// A table is full.
    #[error(transparent)]
    Full(#[from] TableFull),
    /// The tables could not be written.
    #[error("the tables could not be written: {0}")]
    Tables(String),
}
