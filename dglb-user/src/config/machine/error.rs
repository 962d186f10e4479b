//! What a machine lacks to run a node, and the command that mends it.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Something on this machine that keeps a node from running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// A configured interface does not exist.
    #[error("this machine has no interface \"{name}\"; it has {existing}: name one of these")]
    NoInterface {
        /// Key path.
        key: String,
        /// What was configured.
        name: String,
        /// What there is.
        existing: String,
    },
    /// A configured interface has somebody else's XDP program.
    #[error("interface \"{name}\": {reason}")]
    Taken {
        /// Key path.
        key: String,
        /// What was configured.
        name: String,
        /// What is there, and how to remove it.
        reason: String,
    },
    /// The tables have no room for what is configured.
    #[error("{reason}")]
    Tables {
        /// Table, size, and what to do.
        reason: String,
    },
    /// A configured address is on no interface.
    #[error(
        "the address {address} is on no interface of this machine; to add it: \
         ip address add {address}/{length} dev {interface}"
    )]
    NoAddress {
        /// Key path.
        key: String,
        /// What was configured.
        address: IpAddr,
        /// Prefix length of a single address.
        length: u8,
        /// Where it could be added.
        interface: String,
    },
    /// Another process has the port.
    #[error(
        "{address} is taken by another process ({transport}); to see which: \
         ss -lnp{option} 'sport = :{port}'",
        port = .address.port(), option = .transport.ss_option()
    )]
    PortTaken {
        /// Key path.
        key: String,
        /// Address and port.
        address: SocketAddr,
        /// UDP or TCP.
        transport: Transport,
    },
    /// The port cannot be bound for another reason.
    #[error(
        "{address} cannot be bound ({transport}): {reason}; check address and rights on this machine"
    )]
    PortRefused {
        /// Key path.
        key: String,
        /// Address and port.
        address: SocketAddr,
        /// UDP or TCP.
        transport: Transport,
        /// What the kernel said.
        reason: String,
    },
    /// The group is none of this machine.
    #[error("there is no group \"{name}\" on this machine; to make it: groupadd --system {name}")]
    NoGroup {
        /// What was configured.
        name: String,
    },
    /// The account is none of this machine.
    #[error(
        "there is no user \"{name}\" on this machine, whom the probing process could become; to make it: \
         useradd --system {name}"
    )]
    NoUser {
        /// What was configured.
        name: String,
    },
    /// The trusted certificates can't be read.
    #[error("{path} can't be read: {reason}; write the path of a file in PEM form", path = .path.display())]
    CaFile {
        /// What was configured.
        path: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// A site has an address in no family that the machine has.
    #[error(
        "{address} is all that the site has, and no interface of this machine has an {family} address but \
         those that lead nowhere (loopback, link-local): it could never be probed; give the machine one, or the \
         site another"
    )]
    NoFamily {
        /// Key path.
        key: String,
        /// The site's address.
        address: IpAddr,
        /// Its family.
        family: &'static str,
    },
    /// The process lacks capabilities.
    #[error(
        "this process lacks the rights that the node needs: {missing}; run it as root (sudo), or \
         give the service these capabilities"
    )]
    Rights {
        /// Names of the capabilities.
        missing: String,
    },
    /// The directory exists, but is not on a BPF file system.
    #[error(
        "no BPF file system is mounted at {path}; to mount it: mount -t bpf bpf {path} (`ip netns \
         exec` hides one that is mounted outside: use `nsenter --net=…`)",
        path = .path.display()
    )]
    NotBpffs {
        /// The configured mount point.
        path: PathBuf,
    },
    /// The directory does not exist.
    #[error(
        "{path} does not exist; to make it and mount a BPF file system there: mkdir -p {path} && \
         mount -t bpf bpf {path}",
        path = .path.display()
    )]
    NoBpffsPath {
        /// The configured mount point.
        path: PathBuf,
    },
    /// The directory cannot be looked at.
    #[error(
        "{path} cannot be looked at without more rights; run as root (sudo)",
        path = .path.display()
    )]
    BpffsForbidden {
        /// The configured mount point.
        path: PathBuf,
    },
    /// The kernel is too old, though it may have all that is needed.
    #[error(
        "the kernel is Linux {release}, but the XDP program needs {major}.{minor} or newer: it is \
         tried on no older one, whose verifier may refuse it; boot a newer kernel, or write \
         datapath = \"userspace\""
    )]
    Kernel {
        /// What `uname -r` prints.
        release: String,
        /// Needed, before the dot.
        major: u32,
        /// Needed, after the dot.
        minor: u32,
    },
    /// The kernel is too old.
    #[error(
        "the kernel is Linux {release}, but the XDP program needs {major}.{minor} or newer; this one \
         lacks {missing}; boot a newer kernel, or write datapath = \"userspace\""
    )]
    KernelLacks {
        /// What `uname -r` prints.
        release: String,
        /// Needed, before the dot.
        major: u32,
        /// Needed, after the dot.
        minor: u32,
        /// What is newer than this kernel, and the versions that have it.
        missing: String,
    },
    /// The kernel did not answer a question.
    #[error("{what} could not be read: {reason}; run `dglb check --offline` to leave it out")]
    Unknown {
        /// What was asked.
        what: &'static str,
        /// What the kernel said.
        reason: String,
    },
}

impl MachineError {
    /// The key whose value does not fit to the machine, like `node.interfaces[0]`.
    pub fn key(&self) -> &str {
        match self {
            Self::NoInterface { key, .. }
            | Self::Taken { key, .. }
            | Self::NoAddress { key, .. }
            | Self::PortTaken { key, .. }
            | Self::PortRefused { key, .. }
            | Self::NoFamily { key, .. } => key,
            Self::NoGroup { .. } => "node.control_group",
            Self::NoUser { .. } => "probe.user",
            Self::CaFile { .. } => "probe.ca_file",
            Self::NotBpffs { .. } | Self::NoBpffsPath { .. } | Self::BpffsForbidden { .. } => {
                "node.bpffs"
            }
            Self::Kernel { .. } | Self::KernelLacks { .. } | Self::Rights { .. } => "node.datapath",
            Self::Tables { .. } => "tables",
            Self::Unknown { .. } => "node",
        }
    }

    /// A failed attempt to bind.
    pub(super) fn of_bind(
        key: String,
        address: SocketAddr,
        transport: Transport,
        source: &io::Error,
    ) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken {
                key,
                address,
                transport,
            },
            _ => Self::PortRefused {
                key,
                address,
                transport,
                reason: source.to_string(),
            },
        }
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    fn ss_option(self) -> &'static str {
        match self {
            Self::Udp => "u",
            Self::Tcp => "t",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}
