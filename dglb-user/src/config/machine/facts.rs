//! What the kernel says about this machine. Only asks; changes nothing.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use ipnet::IpNet;
use nix::{
    ifaddrs,
    net::if_::InterfaceFlags,
    sys::socket::SockaddrStorage,
    unistd::{Group, User},
};
use rustix::{io::Errno, system, thread, thread::CapabilitySet};

use super::{DNS_PORT, MachineError, Transport};
use crate::{
    config::{Config, Family, Role},
    interfaces::{self, Interface, Offloads},
};

/// `BPF_FS_MAGIC` of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;

/// The machine, as far as a node needs it.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The interfaces, by name.
    pub interfaces: Vec<Interface>,
    /// Offloads of the configured interfaces.
    pub offloads: BTreeMap<String, Offloads>,
    /// Whether the drivers of the configured interfaces and of their ports have XDP; where the kernel
    /// says it.
    pub native: BTreeMap<String, bool>,
    /// The networks whose every address is this machine's own: one address, or on a loopback
    /// interface the whole prefix.
    pub own: Vec<IpNet>,
    /// What `uname -r` prints.
    pub release: String,
    /// Whether BPF programs and maps may be made.
    pub may_bpf: bool,
    /// Whether a program may compare packet pointers held in variables, as ours does.
    pub may_perfmon: bool,
    /// Whether XDP programs may be attached.
    pub may_net_admin: bool,
    /// Whether port 53 may be bound.
    pub may_bind: bool,
    /// What is at the configured mount point.
    pub bpffs: Bpffs,
    /// Whether there is the configured group; true where none is configured.
    pub has_control_group: bool,
    /// Whether there is the account of the probing process; true where there is no such process.
    pub has_probe_user: bool,
    /// Why the configured certificates can't be read, if it is so.
    pub ca_file_fault: Option<String>,
}

/// What is at the place where the BPF file system should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bpffs {
    /// A BPF file system.
    Mounted,
    /// Another file system.
    Other,
    /// Nothing.
    Absent,
    /// Not to be seen with these rights.
    Forbidden,
}

impl Facts {
    /// Asks the kernel.
    pub fn gather(config: &Config) -> Result<Self, MachineError> {
        let node = &config.node;
        let limits = match &config.role {
            Role::DnsB(_) => None,
            Role::DnsLb(dns_lb) => Some(&dns_lb.probe_limits),
        };
        let interfaces = interfaces::list().map_err(unknown("the list of interfaces"))?;
        let own = own_networks().map_err(unknown("the list of addresses"))?;
        let held = thread::capabilities(None)
            .map_err(unknown("the rights of this process"))?
            .effective;
        // CAP_SYS_ADMIN stands for both, as it did before Linux 5.8 split it.
        let may_bpf = held.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN);
        let may_perfmon = held.intersects(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN);
        let mut facts = Self {
            interfaces,
            offloads: BTreeMap::new(),
            native: BTreeMap::new(),
            own,
            release: system::uname().release().to_string_lossy().into_owned(),
            may_bpf,
            may_perfmon,
            may_net_admin: held.contains(CapabilitySet::NET_ADMIN),
            may_bind: held.contains(CapabilitySet::NET_BIND_SERVICE) || port_is_free_for_all(),
            bpffs: look_at_bpffs(&node.bpffs).map_err(unknown("the file system at node.bpffs"))?,
            has_control_group: match &node.control_group {
                Some(name) => Group::from_name(name)
                    .map_err(unknown("the list of groups"))?
                    .is_some(),
                None => true,
            },
            has_probe_user: match limits {
                Some(limits) => User::from_name(&limits.user)
                    .map_err(unknown("the list of users"))?
                    .is_some(),
                None => true,
            },
            ca_file_fault: limits
                .and_then(|limits| fs::File::open(limits.ca_file.as_ref()?).err())
                .map(|error| error.to_string()),
        };
        facts.ask_drivers(&node.interfaces);
        Ok(facts)
    }

    /// What a driver does not tell stays unknown: that keeps no node from running.
    fn ask_drivers(&mut self, configured: &[String]) {
        let named = |name: &str| configured.iter().any(|configured| configured == name);
        let masters: Vec<_> = self
            .interfaces
            .iter()
            .filter(|interface| named(&interface.name))
            .map(|interface| interface.index)
            .collect();
        for interface in &self.interfaces {
            let name = &interface.name;
            let is_port = interface
                .master
                .is_some_and(|index| masters.contains(&index));
            if named(name) {
                let offloads = Offloads::of(name).ok();
                self.offloads
                    .extend(offloads.map(|offloads| (name.clone(), offloads)));
            }
            if named(name) || is_port {
                let native = interfaces::has_native_xdp(interface.index);
                self.native
                    .extend(native.map(|native| (name.clone(), native)));
            }
        }
    }

    /// The interface of this name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces
            .iter()
            .find(|interface| interface.name == name)
    }

    /// Names of all interfaces.
    pub fn names(&self) -> Vec<&str> {
        self.interfaces
            .iter()
            .map(|interface| interface.name.as_str())
            .collect()
    }

    /// Names of the ports of a bond, team or bridge.
    pub fn ports_of(&self, master: &Interface) -> impl Iterator<Item = &str> {
        let index = Some(master.index);
        let ports = self
            .interfaces
            .iter()
            .filter(move |port| port.master == index);
        ports.map(|port| port.name.as_str())
    }

    /// Whether the machine has an address of the family from which others are reached.
    pub fn has_family(&self, family: Family) -> bool {
        self.own.iter().any(|own| match (family, own) {
            (Family::Ipv4, IpNet::V4(own)) => {
                let address = own.addr();
                !address.is_loopback() && !address.is_link_local()
            }
            (Family::Ipv6, IpNet::V6(own)) => {
                let address = own.addr();
                !address.is_loopback() && !address.is_unicast_link_local()
            }
            (Family::Ipv4, IpNet::V6(_)) | (Family::Ipv6, IpNet::V4(_)) => false,
        })
    }

    /// Whether the machine answers for `address`.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.own.iter().any(|network| network.contains(&address))
    }
}

fn unknown<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> MachineError {
    move |error| MachineError::Unknown {
        what,
        reason: error.to_string(),
    }
}

/// The addresses on all interfaces, as [`Facts::own`] has them.
fn own_networks() -> nix::Result<Vec<IpNet>> {
    let mut own = Vec::new();
    for entry in ifaddrs::getifaddrs()? {
        let address = entry.address.as_ref().and_then(ip_of);
        let mask = entry.netmask.as_ref().and_then(ip_of);
        let Some(address) = address else { continue };
        // An IPv4 prefix on a loopback interface makes all of it local, as 127.0.0.0/8 is.
        let whole = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) && address.is_ipv4();
        let network = mask
            .filter(|_| whole)
            .and_then(|mask| IpNet::with_netmask(address, mask).ok());
        own.push(network.unwrap_or_else(|| IpNet::from(address)));
    }
    Ok(own)
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::V4(address.as_sockaddr_in()?.ip()));
    let v6 = || Some(IpAddr::V6(address.as_sockaddr_in6()?.ip()));
    v4().or_else(v6)
}

/// Whether this system lets everybody bind port 53.
fn port_is_free_for_all() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse::<u16>().ok())
        .is_some_and(|first| first <= DNS_PORT)
}

fn look_at_bpffs(path: &Path) -> rustix::io::Result<Bpffs> {
    match rustix::fs::statfs(path) {
        // The field's type differs from architecture to architecture, the magic has 32 bits.
        Ok(found) if found.f_type as u32 == BPF_FS_MAGIC => Ok(Bpffs::Mounted),
        Ok(_) => Ok(Bpffs::Other),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(Bpffs::Absent),
        Err(Errno::ACCESS) => Ok(Bpffs::Forbidden),
        Err(other) => Err(other),
    }
}

/// Binds a port and gives it back at once.
pub(super) fn try_port(address: SocketAddr, transport: Transport) -> io::Result<()> {
    match transport {
        Transport::Udp => UdpSocket::bind(address).map(drop),
        Transport::Tcp => TcpListener::bind(address).map(drop),
    }
}

/// Major and minor version of a release like "6.18.44-generic".
pub(super) fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
