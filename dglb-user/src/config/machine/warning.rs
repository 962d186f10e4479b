//! What makes a node slow or deaf on this machine without keeping it from running, and the command
//! that mends it.

use super::interfaces::MAX_NATIVE_MTU;

/// Something about the machine that its operator should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineWarning {
    /// Tags are gone before XDP sees the frame.
    #[error(
        "receive VLAN offload is on at \"{name}\", on which {vlans} lies: the tag is taken from a frame \
         before XDP sees it, and an answer from XDP would leave without it; to switch it off: ethtool \
         -K {name} rxvlan off{also}",
        also = if *.is_veth {
            " (it is an end of a veth pair: also ethtool -K PEER txvlan off at the other end)"
        } else {
            ""
        }
    )]
    VlanOffload {
        /// Key path.
        key: String,
        /// The interface.
        name: String,
        /// Names of the VLAN interfaces above it.
        vlans: String,
        /// On such a pair the sender decides.
        is_veth: bool,
    },
    /// Segments are joined before XDP could see them.
    #[error(
        "large receive offload (LRO) is on at \"{name}\": drivers can't join TCP segments and run XDP, \
         they refuse the program or switch LRO off; to switch it off: ethtool -K {name} lro off"
    )]
    Lro {
        /// Key path.
        key: String,
        /// The interface.
        name: String,
    },
    /// A frame may not fit into what a driver gives to XDP.
    #[error(
        "\"{name}\" has an MTU of {mtu}: a frame must fit into one page of memory for XDP, so drivers \
         refuse it above about {MAX_NATIVE_MTU} octets, and the program then runs in generic mode, \
         which is slower; to lower it: ip link set dev {name} mtu {MAX_NATIVE_MTU}"
    )]
    Mtu {
        /// Key path.
        key: String,
        /// The interface.
        name: String,
        /// Its MTU.
        mtu: u32,
    },
    /// The bonding driver runs no XDP in this mode.
    #[error(
        "the bond \"{name}\" is in mode {mode}, in which it has no XDP of its own: the program runs in \
         generic mode, which is slower; use balance-rr, active-backup, or balance-xor or 802.3ad with \
         another xmit_hash_policy than vlan+srcmac, or name its ports in node.interfaces instead: {ports}"
    )]
    BondMode {
        /// Key path.
        key: String,
        /// The bond.
        name: String,
        /// Its mode, and the policy that matters.
        mode: String,
        /// Names of its ports.
        ports: String,
    },
    /// Ports of a bond have no XDP.
    #[error(
        "the bond \"{name}\" has no XDP of its own, as its port {ports} has none: the program runs in \
         generic mode, which is slower; use ports whose drivers have native XDP"
    )]
    BondPorts {
        /// Key path.
        key: String,
        /// The bond.
        name: String,
        /// Names of those ports.
        ports: String,
    },
    /// Sites have addresses of a family that the machine has not.
    #[error(
        "no interface of this machine has an {family} address but those that lead nowhere (loopback, link-local): \
         the site will be down in that family{also}; give the machine one, or remove the site's",
        also = match *.more {
            0 => String::new(),
            more => format!(", and {more} more with two addresses"),
        }
    )]
    NoFamily {
        /// Key path of the first such address.
        key: String,
        /// The family.
        family: &'static str,
        /// Further ones.
        more: usize,
    },
    /// The team driver has no XDP.
    #[error(
        "\"{name}\" is a team, which has no XDP of its own: the program runs in generic mode, which is \
         slower; name its ports in node.interfaces instead: {ports}"
    )]
    Team {
        /// Key path.
        key: String,
        /// The team.
        name: String,
        /// Names of its ports.
        ports: String,
    },
}

impl MachineWarning {
    /// The key that names it, like `node.interfaces[0]`.
    pub fn key(&self) -> &str {
        match self {
            Self::VlanOffload { key, .. }
            | Self::Lro { key, .. }
            | Self::Mtu { key, .. }
            | Self::BondMode { key, .. }
            | Self::BondPorts { key, .. }
            | Self::Team { key, .. }
            | Self::NoFamily { key, .. } => key,
        }
    }
}
