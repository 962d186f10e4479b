//! What of a configuration depends on the machine: interfaces, addresses, rights, kernel.
//!
//! `dglb check` and `dglb run` both ask [`check_machine`] after [`Config::load`]. What is asked of
//! the kernel stands in `facts`, what is wrong for a node in `judge` and, of interfaces, in `interfaces`; so every judgement is
//! tested without a machine of that kind.

mod error;
mod facts;
mod interfaces;
pub(crate) mod needs;
mod probes;
mod warning;

use std::{collections::BTreeMap, net::SocketAddr};

use self::facts::{Bpffs, Facts};
pub use self::{
    error::{MachineError, Transport},
    warning::MachineWarning,
};
use super::{Config, Datapath, Role};

/// The oldest kernel that the XDP program is made for.
const MIN_KERNEL: (u32, u32) = (6, 1);
/// Where DNS is answered.
const DNS_PORT: u16 = 53;
/// Below it, binding needs rights.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Whether ports are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCheck {
    /// Bind each port for a moment, to see whether another process has it: before `dglb run` binds.
    Bind,
    /// Leave ports alone: `dglb check` beside a node that runs.
    Skip,
}

/// What was found on the machine.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What keeps the node from running.
    pub errors: Vec<MachineError>,
    /// What makes it slow or deaf.
    pub warnings: Vec<MachineWarning>,
    /// By configured interface: whether its driver has XDP of its own. Absent where the kernel does not
    /// say (before 6.3).
    pub native: BTreeMap<String, bool>,
}

/// Everything on this machine that `config` does not fit to. Binds nothing for longer than the call,
/// and changes nothing.
pub fn check_machine(config: &Config, ports: PortCheck) -> Findings {
    let facts = match Facts::gather(config) {
        Ok(facts) => facts,
        Err(error) => {
            return Findings {
                errors: vec![error],
                ..Findings::default()
            };
        }
    };
    let mut errors = judge(config, &facts);
    if ports == PortCheck::Bind {
        let sockets = sockets(config).into_iter();
        // An address that is not here was reported already, and so was a lack of rights.
        let may_bind = |port| facts.may_bind || port >= FIRST_UNPRIVILEGED_PORT;
        let to_try = sockets.filter(|(_, address, _)| {
            let is_here = address.ip().is_unspecified() || facts.has_address(address.ip());
            is_here && may_bind(address.port())
        });
        errors.extend(to_try.filter_map(|(key, address, transport)| {
            facts::try_port(address, transport)
                .err()
                .map(|source| MachineError::of_bind(key, address, transport, &source))
        }));
    }
    let mut warnings = match config.node.datapath {
        Datapath::Xdp => interfaces::judge(config, &facts),
        Datapath::Userspace => Vec::new(),
    };
    warnings.extend(probes::warn(config, &facts));
    Findings {
        errors,
        warnings,
        native: facts.native,
    }
}

/// What is wrong on a machine with these `facts`.
fn judge(config: &Config, facts: &Facts) -> Vec<MachineError> {
    let mut errors = Vec::new();
    check_addresses(config, facts, &mut errors);
    probes::judge(config, facts, &mut errors);
    let mut missing_rights = Vec::new();
    if config.node.datapath == Datapath::Xdp {
        check_interfaces(config, facts, &mut errors);
        check_kernel(facts, &mut errors);
        check_bpffs(config, facts, &mut errors);
        missing_rights.extend((!facts.may_bpf).then_some("CAP_BPF"));
        missing_rights.extend((!facts.may_perfmon).then_some("CAP_PERFMON"));
        missing_rights.extend((!facts.may_net_admin).then_some("CAP_NET_ADMIN"));
    }
    missing_rights.extend((!facts.may_bind).then_some("CAP_NET_BIND_SERVICE"));
    if !missing_rights.is_empty() {
        errors.push(MachineError::Rights {
            missing: missing_rights.join(", "),
        });
    }
    errors
}

fn check_interfaces(config: &Config, facts: &Facts, errors: &mut Vec<MachineError>) {
    for (index, name) in config.node.interfaces.iter().enumerate() {
        if facts.interface(name).is_none() {
            errors.push(MachineError::NoInterface {
                key: format!("node.interfaces[{index}]"),
                name: name.clone(),
                existing: facts.names().join(", "),
            });
        }
    }
}

fn check_addresses(config: &Config, facts: &Facts, errors: &mut Vec<MachineError>) {
    let on = config.node.interfaces.first();
    let on = on.map_or_else(|| "lo".to_owned(), String::clone);
    let own = config.node.addresses.iter().enumerate();
    let own = own.map(|(index, address)| (format!("node.addresses[{index}]"), *address));
    let listen = match &config.role {
        Role::DnsB(dns_b) => Some(("map.listen".to_owned(), dns_b.map_listen.ip())),
        Role::DnsLb(_) => None,
    };
    let metrics = config
        .metrics
        .map(|metrics| ("metrics.listen".to_owned(), metrics.listen.ip()))
        .filter(|(_, address)| !address.is_unspecified());
    for (key, address) in own.chain(listen).chain(metrics) {
        if !facts.has_address(address) {
            errors.push(MachineError::NoAddress {
                key,
                address,
                length: if address.is_ipv4() { 32 } else { 128 },
                interface: on.clone(),
            });
        }
    }
}

fn check_kernel(facts: &Facts, errors: &mut Vec<MachineError>) {
    let Some(version) = facts::version_of(&facts.release).filter(|version| *version < MIN_KERNEL)
    else {
        return;
    };
    let (release, (major, minor)) = (facts.release.clone(), MIN_KERNEL);
    let missing = needs::told(needs::newer_than(version));
    errors.push(if missing.is_empty() {
        MachineError::Kernel {
            release,
            major,
            minor,
        }
    } else {
        MachineError::KernelLacks {
            release,
            major,
            minor,
            missing,
        }
    });
}

fn check_bpffs(config: &Config, facts: &Facts, errors: &mut Vec<MachineError>) {
    let path = config.node.bpffs.clone();
    match facts.bpffs {
        Bpffs::Mounted => {}
        Bpffs::Other => errors.push(MachineError::NotBpffs { path }),
        Bpffs::Absent => errors.push(MachineError::NoBpffsPath { path }),
        Bpffs::Forbidden => errors.push(MachineError::BpffsForbidden { path }),
    }
}

/// The sockets that the node will bind.
fn sockets(config: &Config) -> Vec<(String, SocketAddr, Transport)> {
    let mut sockets = Vec::new();
    for (index, address) in config.node.addresses.iter().enumerate() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let address = SocketAddr::from((*address, DNS_PORT));
            sockets.push((format!("node.addresses[{index}]"), address, transport));
        }
    }
    if let Role::DnsB(dns_b) = &config.role {
        sockets.push(("map.listen".to_owned(), dns_b.map_listen, Transport::Tcp));
    }
    if let Some(metrics) = config.metrics {
        let key = "metrics.listen".to_owned();
        sockets.push((key, metrics.listen, Transport::Tcp));
    }
    sockets
}

#[cfg(test)]
mod tests;
