//! The lab: hosts in network namespaces around one router, with real servers and resolvers in them.
//!
//! Needs root. Integration tests and the demo make a [`Lab`], add [`Host`]s, start [`Program`]s in
//! them, and ask from them with [`dns`] and [`http`]. All is removed when the lab is dropped, and
//! also when its owner panics, is stopped by Ctrl-C, or is killed. Names of a lab hold its prefix
//! and the owner's process id, so that labs stand beside each other.
//!
//! - [`internet`]: the root and `com` servers and the DNS-A of foo.com.
//! - [`resolver`]: Unbound and BIND as an ISP runs them.
//! - [`site`]: the mirrors' HTTP server.
//! - [`node`]: `dglb` as a DNS-B or a DNS-LB.
//! - [`chain`]: all of these put together, and [`client`]: what is seen in it from a client's side.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use ipnet::Ipv4Net;

pub mod chain;
pub mod client;
pub mod dns;
mod guard;
mod host;
pub mod http;
pub mod internet;
mod namespace;
pub mod node;
mod program;
pub mod resolver;
pub mod site;
pub mod wait;

pub use host::{Host, INTERFACE};
pub use namespace::Namespace;
pub use program::{Program, find_program};

use guard::Guard;
use host::ROUTER_ADDRESS;
use program::run;

/// Distinguishes the labs of one process.
static LABS: AtomicUsize = AtomicUsize::new(0);

/// Longest host name: `to-` and the name make an interface name of at most 15 characters.
const MAX_HOST_NAME: usize = 12;

/// One lab. Dropping it removes everything in it.
#[derive(Debug)]
pub struct Lab {
    name: String,
    directory: PathBuf,
    router: Namespace,
    /// Keeps the program on the router's interfaces: dropped, they are detached.
    pass: Option<pass::Pass>,
    // The last field: what is above it is gone before the guard removes the rest.
    _guard: Guard,
}

mod pass;

impl Lab {
    /// A lab with a router and no hosts. What dead owners left of earlier labs is removed.
    ///
    /// # Errors
    /// Without root, or without `ip` of iproute2.
    pub fn new(prefix: &str) -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab makes network namespaces, which needs root"
        );
        guard::remove_abandoned()?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", process::id());
        let (guard, directory) = Guard::start(&name)?;
        let router = Namespace::add(&format!("{name}-router"))?;
        router.enter(|| -> Result<()> {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot switch forwarding on")
        })??;
        Ok(Self {
            name,
            directory,
            router,
            pass: None,
            _guard: guard,
        })
    }

    /// A new host with these addresses on its only interface, reached through the router.
    ///
    /// # Errors
    /// When the name is too long or taken, or the kernel refuses.
    pub fn host(&self, name: &str, addresses: &[Ipv4Addr]) -> Result<Host> {
        ensure!(
            name.len() <= MAX_HOST_NAME && !addresses.is_empty(),
            "a host has a name of at most {MAX_HOST_NAME} characters and an address"
        );
        let namespace = Namespace::add(&format!("{}-{name}", self.name))?;
        let router = self.router.name();
        run(Command::new(find_program("ip")?)
            .args(["link", "add", INTERFACE, "netns", namespace.name()])
            .args(["type", "veth", "peer", "name", &router_end(name)])
            .args(["netns", router]))?;
        namespace.ip(&host_commands(addresses))?;
        self.router.ip(&router_commands(name, addresses))?;
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory)?;
        Ok(Host::new(name, namespace, directory, addresses[0]))
    }

    /// Attaches a program that passes everything to the router's end of `host`'s wire.
    ///
    /// A veth interface delivers what an XDP program sends back only if its peer has an XDP program
    /// too. Every host that answers in XDP needs this.
    ///
    /// # Errors
    /// When the program cannot be loaded or attached.
    pub fn deliver_xdp_answers(&mut self, host: &Host) -> Result<()> {
        let pass = match &mut self.pass {
            Some(pass) => pass,
            none => none.insert(pass::Pass::load()?),
        };
        let interface = router_end(host.name());
        self.router.enter(|| pass.attach(&interface))?
    }

    /// Leads a whole network to `host`, beside its own addresses.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn route_to(&self, host: &Host, network: Ipv4Net) -> Result<()> {
        let (interface, address) = (router_end(host.name()), host.address());
        let command = format!("route add {network} via {address} dev {interface} onlink\n");
        self.router.ip(&command)
    }

    /// A BPF file system of this lab's own.
    ///
    /// # Errors
    /// When it cannot be mounted.
    pub fn bpffs(&self) -> Result<PathBuf> {
        let path = self.directory.join("bpf");
        if !path.exists() {
            fs::create_dir(&path)?;
            run(Command::new(find_program("mount")?)
                .args(["-t", "bpf", "bpf"])
                .arg(&path))?;
        }
        Ok(path)
    }

    /// The namespace between the hosts.
    pub fn router(&self) -> &Namespace {
        &self.router
    }

    /// Where the lab keeps its files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Prefix of the names of its network namespaces.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Name of the router's interface towards a host.
fn router_end(host: &str) -> String {
    format!("to-{host}")
}

fn host_commands(addresses: &[Ipv4Addr]) -> String {
    let mut commands = format!("link set lo up\nlink set {INTERFACE} up\n");
    for address in addresses {
        commands += &format!("address add {address}/32 dev {INTERFACE}\n");
    }
    commands += &format!(
        "route add default via {ROUTER_ADDRESS} dev {INTERFACE} onlink src {}\n",
        addresses[0]
    );
    commands
}

fn router_commands(host: &str, addresses: &[Ipv4Addr]) -> String {
    let interface = router_end(host);
    let mut commands =
        format!("link set {interface} up\naddress add {ROUTER_ADDRESS}/32 dev {interface}\n");
    for address in addresses {
        commands += &format!("route add {address}/32 dev {interface}\n");
    }
    commands
}
