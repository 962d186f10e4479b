//! The whole chain: root, `com`, DNS-A, one DNS-B, two ISPs with a DNS-LB, a resolver and a client
//! each, and three mirrors at different distances.

use std::{
    fs::File,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ipnet::Ipv4Net;

use super::{
    Host, Lab, Program,
    internet::{self, Internet},
    node::{Node, Plan, dns_b_toml, dns_lb_toml},
    resolver::{self, Make, Minimisation},
    site::{self, Delay, Site},
    wait,
};

const DNS_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const MAP: Ipv4Addr = Ipv4Addr::new(10, 53, 0, 1);

/// The plan of an ISP.
#[derive(Debug)]
struct IspPlan {
    name: &'static str,
    make: Make,
    /// The node name of the DNS-LB beside its resolver.
    dns_lb: &'static str,
    network: [u8; 3],
    /// Milliseconds to the sites of [`SITES`].
    distances: [u64; 3],
}

/// The second one's DNS-LB is the default, and stands in for the first.
const ISPS: [IspPlan; 2] = [
    IspPlan {
        name: "isp1",
        make: Make::Unbound,
        dns_lb: "lb1.isp1.example",
        network: [198, 51, 100],
        distances: [15, 60, 120],
    },
    IspPlan {
        name: "isp2",
        make: Make::Bind,
        dns_lb: "lb2.isp2.example",
        network: [203, 0, 113],
        distances: [120, 60, 15],
    },
];

const SITES: [(&str, Ipv4Addr); 3] = [
    ("frankfurt", Ipv4Addr::new(198, 18, 1, 80)),
    ("newyork", Ipv4Addr::new(198, 18, 2, 80)),
    ("tokyo", Ipv4Addr::new(198, 18, 3, 80)),
];

/// How many steps [`Chain::start`] reports.
pub const STEPS: usize = 5 + ISPS.len();

/// How long the sites may take until all are measured.
const MEASURED: Duration = Duration::from_secs(20);
/// How long another chain may take: as long as the tests that use one.
const TURN: Duration = Duration::from_secs(900);

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// First part of the lab's name.
    pub prefix: &'a str,
    /// The `dglb-demo` binary, which serves the sites.
    pub demo_binary: &'a Path,
    /// What the resolvers are told about QNAME minimisation.
    pub minimisation: Minimisation,
}

/// How the start of a chain comes along.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Nothing is done before this is over.
    Waiting(&'a str),
    /// What is done next.
    Step(&'a str),
}

/// The running chain. Fields end in this order.
#[derive(Debug)]
pub struct Chain {
    /// The DNS-B.
    pub dns_b: Node,
    /// Its process.
    pub dns_b_daemon: Program,
    /// The ISPs.
    pub isps: Vec<Isp>,
    /// The mirrors.
    pub mirrors: Vec<Mirror>,
    _internet: Internet,
    /// What all of it stands in.
    pub lab: Lab,
    _turn: File,
}

/// An ISP: one resolver, a DNS-LB and a client beside it.
#[derive(Debug)]
pub struct Isp {
    /// Its name.
    pub name: &'static str,
    /// The resolver's make.
    pub make: Make,
    /// Where the resolver runs.
    pub resolver: Host,
    /// The client.
    pub client: Host,
    /// The DNS-LB.
    pub dns_lb: Node,
    /// Its process.
    pub dns_lb_daemon: Program,
    /// The site that is best from here, by plan.
    pub best_site: &'static str,
    /// The resolver's process.
    pub resolver_daemon: Program,
}

/// A mirror.
#[derive(Debug)]
pub struct Mirror {
    /// Name, address, distances.
    pub site: Site,
    /// Where it runs.
    pub host: Host,
    /// Its server.
    pub server: Program,
}

impl Chain {
    /// Builds and starts everything, and waits until the mapping table is filled and every DNS-LB
    /// has measured every site. `report` is told each step before it begins.
    ///
    /// # Errors
    /// When a part does not start; what there is of the chain is removed.
    pub fn start(options: Options<'_>, mut report: impl FnMut(Progress<'_>)) -> Result<Self> {
        let turn = wait_for_turn(&mut report)?;
        let mut progress = |step: &str| report(Progress::Step(step));
        progress("a router between network namespaces");
        let mut lab = Lab::new(options.prefix)?;
        progress("root server, com server, and the DNS-A of foo.com (NSD)");
        let internet = internet::start(&lab, DNS_B)?;
        progress("three mirrors of the site, at different distances");
        let mirrors = start_mirrors(&lab, options.demo_binary)?;
        progress("a DNS-B on the backbone");
        let plan = plan(lab.bpffs()?);
        let (dns_b, dns_b_daemon) = start_dns_b(&mut lab, &plan)?;
        let mut isps = Vec::new();
        for (index, isp) in ISPS.iter().enumerate() {
            progress(&format!(
                "{}: a resolver ({}, unchanged), a DNS-LB and a client beside it",
                isp.name,
                isp.make.name()
            ));
            isps.push(start_isp(&mut lab, &plan, index, options.minimisation)?);
        }
        let chain = Self {
            dns_b,
            dns_b_daemon,
            isps,
            mirrors,
            _internet: internet,
            lab,
            _turn: turn,
        };
        progress("every DNS-LB announces its resolver and measures every mirror");
        wait::until("the chain is ready", MEASURED, || chain.check_ready())?;
        Ok(chain)
    }

    /// The mirror with this address.
    pub fn mirror_at(&self, address: Ipv4Addr) -> Option<&Mirror> {
        self.mirrors
            .iter()
            .find(|mirror| mirror.site.address == address)
    }

    /// The mirror called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn mirror_mut(&mut self, name: &str) -> Result<&mut Mirror> {
        self.mirrors
            .iter_mut()
            .find(|mirror| mirror.site.name == name)
            .with_context(|| format!("no mirror is called {name}"))
    }

    /// The DNS-LB with this label.
    pub fn dns_lb_labelled(&self, label: &str) -> Option<&Node> {
        self.isps
            .iter()
            .map(|isp| &isp.dns_lb)
            .find(|node| node.label() == label)
    }

    /// Whether every resolver is in the mapping table and every site measured and up.
    ///
    /// # Errors
    /// When not; says which.
    pub fn check_ready(&self) -> Result<()> {
        let mappings = self.dns_b.stats()?.resolvers;
        for isp in &self.isps {
            let resolver = isp.resolver.address();
            ensure!(
                mappings.iter().any(|entry| entry.resolver == resolver),
                "the DNS-B has no entry for {resolver}; {} logged:\n{}",
                isp.dns_lb.name(),
                isp.dns_lb.log()
            );
            let sites = isp.dns_lb.stats()?.sites;
            ensure!(!sites.is_empty(), "{} has no sites", isp.dns_lb.name());
            for site in sites {
                ensure!(
                    site.state == "up" && site.rank.is_some(),
                    "{} sees {} as {} ({})",
                    isp.dns_lb.name(),
                    site.site,
                    site.state,
                    site.reason.unwrap_or_default()
                );
            }
        }
        Ok(())
    }
}

/// Only one chain runs on a machine: its nodes' control sockets have names, not namespaces.
fn wait_for_turn(report: &mut impl FnMut(Progress<'_>)) -> Result<File> {
    let turn = super::turn_file()?;
    if turn.try_lock().is_err() {
        report(Progress::Waiting(
            "another lab runs on this machine: waiting for its end",
        ));
        wait::until("the other chain ends", TURN, || Ok(turn.try_lock()?))?;
    }
    Ok(turn)
}

fn plan(bpffs: PathBuf) -> Plan {
    Plan {
        bpffs,
        dns_b: DNS_B,
        map: MAP,
        dns_lbs: ISPS
            .iter()
            .map(|isp| (isp.dns_lb.to_owned(), isp.address(7)))
            .collect(),
        sites: SITES
            .map(|(name, address)| (name.to_owned(), address))
            .into(),
    }
}

fn start_mirrors(lab: &Lab, program: &Path) -> Result<Vec<Mirror>> {
    let mirrors = SITES.iter().enumerate().map(|(index, (name, address))| {
        let site = Site {
            name,
            address: *address,
            delays: ISPS.iter().map(|isp| isp.delay(index)).collect(),
        };
        let host = lab.host(name, &[*address])?;
        let server = site::start(&host, program, &site)?;
        Ok(Mirror { site, host, server })
    });
    mirrors.collect()
}

fn start_dns_b(lab: &mut Lab, plan: &Plan) -> Result<(Node, Program)> {
    let host = lab.host("dns-b", &[DNS_B, MAP])?;
    lab.deliver_xdp_answers(&host)?;
    let name = "b1.backbone.example";
    let node = Node::new(&host, name, &dns_b_toml(plan, name))?;
    let daemon = node.start()?;
    Ok((node, daemon))
}

fn start_isp(lab: &mut Lab, plan: &Plan, index: usize, minimisation: Minimisation) -> Result<Isp> {
    let isp = &ISPS[index];
    let host = |role: &str, last| lab.host(&format!("{}-{role}", isp.name), &[isp.address(last)]);
    let resolver_host = host("dns", 53)?;
    let client = host("client", 10)?;
    let node_host = host("lb", 7)?;
    lab.deliver_xdp_answers(&node_host)?;
    let resolver_daemon = resolver::start(&resolver_host, isp.make, internet::ROOT, minimisation)?;
    let config = dns_lb_toml(plan, index, resolver_host.address());
    let dns_lb = Node::new(&node_host, isp.dns_lb, &config)?;
    let dns_lb_daemon = dns_lb.start()?;
    Ok(Isp {
        name: isp.name,
        make: isp.make,
        resolver: resolver_host,
        client,
        dns_lb,
        dns_lb_daemon,
        best_site: isp.best_site(),
        resolver_daemon,
    })
}

impl IspPlan {
    fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, last)
    }

    fn delay(&self, site: usize) -> Delay {
        Delay {
            from: Ipv4Net::new_assert(self.address(0), 24),
            milliseconds: self.distances[site],
        }
    }

    fn best_site(&self) -> &'static str {
        let nearest = SITES
            .iter()
            .zip(self.distances)
            .min_by_key(|(_, distance)| *distance);
        nearest.map_or("", |((name, _), _)| name)
    }
}
