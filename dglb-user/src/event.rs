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
    /// From now on a vantage's clients are answered so for a service.
    Serve {
        /// Index in the DNS-LB's services.
        service: usize,
        /// The vantage that it was measured from; 0: this node.
        vantage: u32,
        /// What is answered.
        serving: Serving,
        /// CLOCK_MONOTONIC, nanoseconds: when the probe ended that made it so. `None`: it was not a probe.
        probed_ns: Option<u64>,
    },
    /// The next query for a service is to be told, once (to the receiver of [`Asked`]).
    Watch {
        /// Index in the DNS-LB's services.
        service: usize,
    },
    /// The data path met a query for what is watched.
    Asked {
        /// Group in the rankings.
        group: u32,
    },
}

/// A service that was watched has been asked for: its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(pub usize);

/// What is answered for a service to one vantage's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// To A.
    pub v4: Served,
    /// To AAAA.
    pub v6: Served,
}

impl Serving {
    /// The same in both families, as far as sites have addresses of them.
    pub fn both(selection: Selection, ttl: u32) -> Self {
        let served = Served { selection, ttl };
        Self {
            v4: served.clone(),
            v6: served,
        }
    }
}

/// What is answered in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Which sites.
    pub selection: Selection,
    /// TTL, seconds.
    pub ttl: u32,
}

/// Which sites of a service are answered, by their indices; those without an address of the family are
/// passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// These, best first; at most [`MAX_LISTED`]. Mostly one. Empty: there is no such data.
    List(Vec<usize>),
    /// One of them for each client, by weight; weight 0: not. As few clients as possible change their site
    /// when weights change.
    Weighted(Vec<(usize, u32)>),
    /// One of them for each client, by weight; which one follows from client and weights alone.
    Sticky(Vec<(usize, u32)>),
    /// An address that is no site's.
    Fallback(IpAddr),
    /// SERVFAIL (RFC 1035 §4.1.1).
    Servfail,
}

/// Addresses that one answer lists.
pub const MAX_LISTED: usize = 8;

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
