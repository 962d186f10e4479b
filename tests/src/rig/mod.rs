//! The smallest lab: one node, and one host that asks it.
//!
//! The node is a DNS-B or a DNS-LB on a host of the [`Lab`]; the asker has an address in each of
//! several networks, so that it can be several resolvers. Node names hold the lab's name, as pins and
//! sockets of a node are called after it, so that rigs stand beside each other.
//!
//! - [`load`]: a steady stream of queries, each reply accounted for.
//! - [`announcer`]: a DNS-LB as far as a DNS-B sees one: a client of the map protocol.
//! - [`attempt`]: a command that ought to end by itself.
//! - [`ends`]: the two ends of a wire without any of that, for whole frames; [`packets`]: their sockets.
//! - [`kernel`]: what `bpftool` and `ip` say is attached and pinned.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use dglb_user::{
    config::{Config, Role},
    label::Label,
};
use hickory_proto::rr::{RData, RecordType};

use crate::{
    lab::{
        Host, Lab, Program, dns,
        node::{Node, Plan, WWW, dns_b_toml, dns_lb_toml},
        site::{self, Site},
    },
    model::{Choice, Model},
};

pub mod announcer;
pub mod attempt;
pub mod ends;
pub mod kernel;
pub mod load;
pub mod packets;

/// The DNS-B's address for DNS.
pub const DNS_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// Its address for the map protocol.
pub const MAP: Ipv4Addr = Ipv4Addr::new(10, 53, 0, 1);
/// The first DNS-LB's address.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// The default DNS-LB's address.
pub const DEFAULT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
/// The asker's first address: the resolver beside [`NEAR`].
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 53);
/// An address of the asker that nobody announces.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(100, 64, 9, 9);
/// An address of the asker in another network.
pub const OTHER: Ipv4Addr = Ipv4Addr::new(100, 64, 10, 9);

/// A limit that no test reaches.
pub const UNLIMITED: &str = "\n[limit]\nper_second = 1000000\nburst = 1000000\n";

/// One node and one asker. Dropped, all is removed.
#[derive(Debug)]
pub struct Rig {
    /// The node's process, if one runs here; ended before the lab goes.
    pub daemon: Option<Program>,
    _site: Option<Program>,
    /// The node; not started yet.
    pub node: Node,
    /// Who asks.
    pub asker: Host,
    /// Who is who.
    pub plan: Plan,
    /// The node's configuration as it was first written.
    pub toml: String,
    /// The lab.
    pub lab: Lab,
}

impl Rig {
    /// A DNS-B that knows the DNS-LBs [`NEAR`] and [`DEFAULT`]; `more` is added to its configuration.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn dns_b(prefix: &str, more: &str) -> Result<Self> {
        let (mut lab, plan) = begin(prefix)?;
        let host = lab.host("dns-b", &[DNS_B, MAP])?;
        lab.deliver_xdp_answers(&host)?;
        let name = format!("b1.{}.example", lab.name());
        let toml = dns_b_toml(&plan, &name) + more;
        Self::with(lab, plan, &host, &name, toml, None)
    }

    /// The DNS-LB [`NEAR`]; the only site is at the asker's first address, and `demo` (the binary
    /// `dglb-demo`) serves it.
    ///
    /// # Errors
    /// As [`Lab::new`].
    pub fn dns_lb(prefix: &str, demo: &Path, more: &str) -> Result<Self> {
        let (mut lab, plan) = begin(prefix)?;
        let host = lab.host("dns-lb", &[NEAR])?;
        lab.deliver_xdp_answers(&host)?;
        let name = plan.dns_lbs[0].0.clone();
        let toml = dns_lb_toml(&plan, 0, RESOLVER) + more;
        Self::with(lab, plan, &host, &name, toml, Some(demo))
    }

    fn with(
        lab: Lab,
        plan: Plan,
        host: &Host,
        name: &str,
        toml: String,
        demo: Option<&Path>,
    ) -> Result<Self> {
        let asker = lab.host("asker", &[RESOLVER, STRANGER, OTHER])?;
        let mirror = Site {
            name: "mirror",
            address: RESOLVER,
            delays: Vec::new(),
        };
        let site = demo.map(|demo| site::start(&asker, demo, &mirror));
        Ok(Self {
            daemon: None,
            _site: site.transpose()?,
            node: Node::new(host, name, &toml)?,
            asker,
            plan,
            toml,
            lab,
        })
    }

    /// Starts the node and waits until it serves.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start(&mut self) -> Result<()> {
        self.daemon = Some(self.node.start()?);
        Ok(())
    }

    /// Writes another configuration for the next start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&mut self, toml: &str) -> Result<()> {
        self.node = Node::new(self.node.host(), self.node.name(), toml)?;
        Ok(())
    }

    /// The node's process.
    ///
    /// # Errors
    /// When none was started.
    pub fn daemon(&mut self) -> Result<&mut Program> {
        self.daemon.as_mut().context("the node was not started")
    }

    /// Where the node's tables are pinned.
    pub fn pins(&self) -> PathBuf {
        let directory = self.node.name().replace('.', "_");
        self.plan
            .bpffs
            .join("dglb")
            .join(directory)
            .join(format!("v{}", dglb_common::layout::LAYOUT))
    }

    /// The node as the oracle sees it: [`RESOLVER`] is mapped to [`NEAR`], the mirror is up.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn model(&self) -> Result<Model> {
        let config = Config::load(self.node.config())?;
        let services = match &config.role {
            Role::DnsB(_) => 0,
            Role::DnsLb(dns_lb) => dns_lb.services.len(),
        };
        Ok(Model {
            config,
            resolvers: BTreeMap::from([(RESOLVER.into(), 0)]),
            silent: BTreeSet::new(),
            rankings: vec![vec![Some(Choice::Best(vec![0]))]; services],
        })
    }

    /// The address that the DNS-B refers `source` to, for the name of form R.
    ///
    /// # Errors
    /// As [`Rig::referred_for`].
    pub fn referred_to(&self, source: Ipv4Addr) -> Result<Ipv4Addr> {
        self.referred_for(source, WWW)
    }

    /// The address that the DNS-B refers `source` to for `name`: the glue.
    ///
    /// # Errors
    /// When it does not answer, or with something else than a referral.
    pub fn referred_for(&self, source: Ipv4Addr, name: &str) -> Result<Ipv4Addr> {
        let answer = dns::ask_from(&self.asker, source, DNS_B, name, RecordType::A)?;
        let glue = answer
            .additionals
            .iter()
            .find_map(|record| match &record.data {
                RData::A(address) => Some(address.0),
                _ => None,
            });
        glue.filter(|_| answer.answers.is_empty() && !answer.metadata.authoritative)
            .with_context(|| format!("no referral: {answer:?}"))
    }

    /// Label of the DNS-LB [`NEAR`] (0) or [`DEFAULT`] (1).
    pub fn label(&self, dns_lb: usize) -> String {
        Label::of_node(&self.plan.dns_lbs[dns_lb].0).to_string()
    }
}

fn begin(prefix: &str) -> Result<(Lab, Plan)> {
    let lab = Lab::new(prefix)?;
    let name = |host: &str| format!("{host}.{}.example", lab.name());
    let plan = Plan {
        bpffs: lab.bpffs()?,
        dns_b: DNS_B,
        map: MAP,
        dns_lbs: vec![(name("near"), NEAR), (name("default"), DEFAULT)],
        sites: vec![("mirror".to_owned(), RESOLVER)],
    };
    Ok((lab, plan))
}
