//! The network interfaces of this machine: what they are, what lies above them, which XDP programs
//! they have.
//!
//! Asked of the kernel by netlink, which speaks for the network namespace that the process is in. The
//! files under /sys/class/net do not: they belong to the namespace in which /sys was mounted.
//! `dglb check` and `dglb run` judge what is found here (`config::machine`); `kernel::attach` finds
//! out with it where a pinned link is. Nothing here changes an interface.

mod driver;
mod netlink;
mod offloads;

use std::io;

use netlink_packet_route::link::{
    BondMode, BondXmitHashPolicy, InfoBond, InfoData, InfoKind, LinkAttribute, LinkInfo,
    LinkMessage, LinkXdp,
};

pub use self::{driver::has_native_xdp, netlink::why_refused, offloads::Offloads};

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its number, for as long as it lives in this namespace.
    pub index: u32,
    /// Its name; may change while it lives.
    pub name: String,
    /// What made it.
    pub kind: Kind,
    /// The interface that it lies on, for a VLAN; in this namespace.
    pub lower: Option<u32>,
    /// The bond, team or bridge that it is a port of.
    pub master: Option<u32>,
    /// Octets of the largest packet that it sends.
    pub mtu: u32,
    /// Its XDP programs: one, or one in each mode.
    pub programs: Vec<Program>,
}

/// What an interface is, as far as it matters to XDP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A device with a driver of its own, or something that does not matter here.
    #[default]
    Other,
    /// 802.1Q or 802.1ad, on another interface.
    Vlan,
    /// One end of a pair.
    Veth,
    /// Several interfaces as one, by the bonding driver.
    Bond {
        /// Its mode, as `ip` calls it.
        mode: BondMode,
        /// How it chooses a port for a packet.
        hash: Option<BondXmitHashPolicy>,
    },
    /// Several interfaces as one, by the team driver.
    Team,
}

/// An XDP program at an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// `native`, `generic` or `hardware`.
    pub mode: &'static str,
    /// The program's id, as `bpftool prog` shows it.
    pub id: u32,
}

impl Interface {
    /// Whether the program `id` is attached here.
    pub fn has_program(&self, id: u32) -> bool {
        self.programs.iter().any(|program| program.id == id)
    }
}

/// All interfaces of this network namespace, by name.
///
/// # Errors
/// What the kernel said.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<_> = netlink::links()?.iter().map(of_message).collect();
    interfaces.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(interfaces)
}

/// The number that an interface has now; `None`: there is none of this name.
pub fn index_of(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// The name that an interface has now; `None`: there is none of this number.
pub fn name_of(index: u32) -> Option<String> {
    let name = nix::net::if_::if_indextoname(index).ok()?;
    // nix 0.32 takes the null pointer of a failure for success.
    name.into_string().ok().filter(|name| !name.is_empty())
}

fn of_message(message: &LinkMessage) -> Interface {
    let mut interface = Interface {
        index: message.header.index,
        ..Interface::default()
    };
    let mut is_lower_elsewhere = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            LinkAttribute::Controller(index) => interface.master = Some(*index),
            LinkAttribute::Link(index) => interface.lower = Some(*index),
            LinkAttribute::LinkNetNsId(_) => is_lower_elsewhere = true,
            LinkAttribute::LinkInfo(info) => interface.kind = kind_of(info),
            LinkAttribute::Xdp(xdp) => {
                interface.programs = xdp.iter().filter_map(program).collect()
            }
            _ => {}
        }
    }
    if is_lower_elsewhere {
        // The number counts in the other namespace.
        interface.lower = None;
    }
    interface
}

fn kind_of(info: &[LinkInfo]) -> Kind {
    let is = |kind: InfoKind| info.contains(&LinkInfo::Kind(kind));
    if is(InfoKind::Vlan) {
        Kind::Vlan
    } else if is(InfoKind::Veth) {
        Kind::Veth
    } else if is(InfoKind::Team) {
        Kind::Team
    } else if is(InfoKind::Bond) {
        bond(info)
    } else {
        Kind::Other
    }
}

fn bond(info: &[LinkInfo]) -> Kind {
    let mut mode = BondMode::BalanceRr;
    let mut hash = None;
    let data = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Bond(data)) => Some(data),
        _ => None,
    });
    for setting in data.into_iter().flatten() {
        match setting {
            InfoBond::Mode(value) => mode = *value,
            InfoBond::XmitHashPolicy(value) => hash = Some(*value),
            _ => {}
        }
    }
    Kind::Bond { mode, hash }
}

fn program(attribute: &LinkXdp) -> Option<Program> {
    let (mode, id) = match attribute {
        LinkXdp::DrvProgId(id) => ("native", *id),
        LinkXdp::SkbProgId(id) => ("generic", *id),
        LinkXdp::HwProgId(id) => ("hardware", *id),
        _ => return None,
    };
    Some(Program { mode, id })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkHeader;

    use super::*;

    fn message(index: u32, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header = LinkHeader {
            index,
            ..LinkHeader::default()
        };
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_vlan_is_known_by_its_kind_and_what_it_lies_on() {
        let attributes = vec![
            LinkAttribute::IfName("eth0.5".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Link(2),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]),
        ];
        let interface = of_message(&message(7, attributes.clone()));
        assert_eq!((interface.index, interface.lower), (7, Some(2)));
        assert_eq!(interface.kind, Kind::Vlan);
        // The same number means another interface in another namespace.
        let elsewhere = [attributes, vec![LinkAttribute::LinkNetNsId(0)]].concat();
        assert_eq!(of_message(&message(7, elsewhere)).lower, None);
    }

    #[test]
    fn a_bond_is_known_by_mode_and_hash() {
        let data = vec![
            InfoBond::Mode(BondMode::Ieee8023Ad),
            InfoBond::XmitHashPolicy(BondXmitHashPolicy::VlanSrcMac),
        ];
        let info = vec![
            LinkInfo::Kind(InfoKind::Bond),
            LinkInfo::Data(InfoData::Bond(data)),
        ];
        let interface = of_message(&message(3, vec![LinkAttribute::LinkInfo(info)]));
        let expected = Kind::Bond {
            mode: BondMode::Ieee8023Ad,
            hash: Some(BondXmitHashPolicy::VlanSrcMac),
        };
        assert_eq!(interface.kind, expected);
    }

    #[test]
    fn programs_are_known_by_mode() {
        let xdp = vec![
            LinkXdp::Attached(netlink_packet_route::link::XdpAttached::Multiple),
            LinkXdp::DrvProgId(41),
            LinkXdp::SkbProgId(42),
        ];
        let interface = of_message(&message(3, vec![LinkAttribute::Xdp(xdp)]));
        let seen: Vec<_> = interface
            .programs
            .iter()
            .map(|at| (at.mode, at.id))
            .collect();
        assert_eq!(seen, [("native", 41), ("generic", 42)]);
        assert!(interface.has_program(42) && !interface.has_program(43));
    }

    #[test]
    fn the_real_machine_has_a_loopback_without_program_or_native_xdp() {
        let interfaces = list().expect("the kernel answers");
        let loopback = interfaces.iter().find(|interface| interface.name == "lo");
        let loopback = loopback.expect("a loopback interface");
        assert_eq!(index_of("lo"), Some(loopback.index));
        assert_eq!((&loopback.kind, loopback.master), (&Kind::Other, None));
        assert!(loopback.mtu > 0 && loopback.programs.is_empty());
        assert_eq!(index_of("no-such-name"), None);
        assert_eq!(name_of(loopback.index).as_deref(), Some("lo"));
        assert_eq!((name_of(0), name_of(u32::MAX)), (None, None));
        // Kernels before 6.3 do not say it.
        assert_ne!(has_native_xdp(loopback.index), Some(true));
    }
}
