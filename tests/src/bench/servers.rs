//! Who answers: the nodes that are asked, as the oracle and user space see them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, RwLock},
};

use anyhow::{Context as _, Result};
use dglb_user::{answer::Answerer, config::Rate};

use super::{million::Million, names};
use crate::{model::Model, world};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Server {
    /// The bare XDP reflector.
    Reflector,
    /// The product's program, with a DNS-B's tables.
    DnsB,
    /// The same, with a million entries of who asks.
    DnsBMillion,
    /// The product's program, with a DNS-LB's tables.
    DnsLb,
    /// The same, with 10,000 services more, and names of odd shapes.
    DnsLbNames,
}

/// A rate of those who ask that is above what any core sends: each query is charged, none is refused.
/// The burst covers the age of the heartbeat, which is that of the run: far below a second.
pub const RAISED: Rate = Rate {
    per_second: 100_000_000,
    burst: 100_000_000,
};

/// A node.
#[derive(Debug)]
pub struct Node {
    /// As the oracle sees it.
    pub model: Model,
    /// As user space answers for it.
    pub answerer: Arc<Answerer>,
}

/// The nodes that are asked.
#[derive(Debug, Default)]
pub struct Servers(HashMap<Server, Node>);

impl Servers {
    /// The nodes, with `rate` as limit of those who ask.
    pub fn new(rate: Rate, million: Option<&Million>) -> Self {
        let mut servers = Self::default();
        servers.add(Server::DnsB, world::dns_b(), rate);
        servers.add(Server::DnsLb, world::dns_lb(), rate);
        servers.add(Server::DnsLbNames, names::dns_lb(), rate);
        if let Some(million) = million {
            servers.add(Server::DnsBMillion, million.model(), rate);
        }
        servers
    }

    fn add(&mut self, server: Server, mut model: Model, rate: Rate) {
        model.config.limit.default = rate;
        let tables = Arc::new(RwLock::new(model.tables()));
        let answerer = Arc::new(Answerer::new(Arc::new(model.config.clone()), tables));
        self.0.insert(server, Node { model, answerer });
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none: the reflector has no tables.
    pub fn node(&self, server: Server) -> Result<&Node> {
        self.0
            .get(&server)
            .with_context(|| format!("{server:?} has no tables"))
    }
}

impl Node {
    /// The first address that it answers on.
    ///
    /// # Panics
    /// When it is none of IPv4.
    pub fn address(&self) -> Ipv4Addr {
        match self.model.config.node.addresses[0] {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => panic!("the worlds' first addresses are IPv4"),
        }
    }
}
