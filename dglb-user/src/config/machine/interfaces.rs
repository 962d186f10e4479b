//! Judges the configured interfaces: what XDP can't do there, or not at full speed.

use netlink_packet_route::link::{BondMode, BondXmitHashPolicy};

use super::{Config, Facts, MachineWarning};
use crate::interfaces::{Interface, Kind};

/// Above this MTU drivers refuse a program that wants each frame in one piece. They say 3,498 to 3,520,
/// by the room that they keep beside the frame in a page of 4,096 octets.
pub(super) const MAX_NATIVE_MTU: u32 = 3498;

/// What is to be said about the interfaces of `config`; those that do not exist are errors already.
pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<MachineWarning> {
    let mut warnings = Vec::new();
    for (index, name) in config.node.interfaces.iter().enumerate() {
        if let Some(interface) = facts.interface(name) {
            let key = format!("node.interfaces[{index}]");
            judge_offloads(&key, interface, facts, &mut warnings);
            warnings.extend(judge_mtu(&key, interface));
            warnings.extend(judge_kind(&key, interface, facts));
        }
    }
    warnings
}

fn judge_offloads(
    key: &str,
    interface: &Interface,
    facts: &Facts,
    warnings: &mut Vec<MachineWarning>,
) {
    let Some(offloads) = facts.offloads.get(&interface.name) else {
        return;
    };
    let vlans = vlans_above(interface, facts);
    if offloads.rx_vlan && !vlans.is_empty() {
        warnings.push(MachineWarning::VlanOffload {
            key: key.to_owned(),
            name: interface.name.clone(),
            vlans: vlans.join(", "),
            is_veth: interface.kind == Kind::Veth,
        });
    }
    if offloads.lro {
        warnings.push(MachineWarning::Lro {
            key: key.to_owned(),
            name: interface.name.clone(),
        });
    }
}

/// VLAN interfaces on this one, or on the bond, team or bridge that it is a port of.
fn vlans_above<'a>(interface: &Interface, facts: &'a Facts) -> Vec<&'a str> {
    let is_below = |index: u32| index == interface.index || Some(index) == interface.master;
    let vlans = facts.interfaces.iter().filter(|other| {
        other.kind == Kind::Vlan
            && other.index != interface.index
            && other.lower.is_some_and(is_below)
    });
    vlans.map(|vlan| vlan.name.as_str()).collect()
}

fn judge_mtu(key: &str, interface: &Interface) -> Option<MachineWarning> {
    // Where a program runs in the driver, the driver takes this MTU.
    let is_taken = interface.programs.iter().any(|at| at.mode == "native");
    (interface.mtu > MAX_NATIVE_MTU && !is_taken && !is_generic_by_nature(interface)).then(|| {
        MachineWarning::Mtu {
            key: key.to_owned(),
            name: interface.name.clone(),
            mtu: interface.mtu,
        }
    })
}

/// The loopback (always number 1, kernel 2.6.25) and VLANs: no MTU gives them native XDP.
fn is_generic_by_nature(interface: &Interface) -> bool {
    interface.index == 1 || interface.kind == Kind::Vlan
}

fn judge_kind(key: &str, interface: &Interface, facts: &Facts) -> Option<MachineWarning> {
    let ports: Vec<_> = facts.ports_of(interface).collect();
    let key = key.to_owned();
    let name = interface.name.clone();
    let is_native = facts.native.get(&interface.name).copied();
    match &interface.kind {
        Kind::Other | Kind::Vlan | Kind::Veth => None,
        Kind::Team => Some(MachineWarning::Team {
            key,
            name,
            ports: ports.join(", "),
        }),
        Kind::Bond { mode, hash } if !bond_mode_has_xdp(*mode, *hash) => {
            Some(MachineWarning::BondMode {
                key,
                name,
                mode: mode_text(*mode, *hash),
                ports: ports.join(", "),
            })
        }
        Kind::Bond { .. } => {
            let is_without = |port: &&str| facts.native.get(*port) == Some(&false);
            let without: Vec<_> = ports.into_iter().filter(is_without).collect();
            (is_native == Some(false) && !without.is_empty()).then(|| MachineWarning::BondPorts {
                key,
                name,
                ports: without.join(", "),
            })
        }
    }
}

/// `bond_xdp_check` of drivers/net/bonding/bond_main.c (kernel 5.15 and later).
fn bond_mode_has_xdp(mode: BondMode, hash: Option<BondXmitHashPolicy>) -> bool {
    match mode {
        BondMode::BalanceRr | BondMode::ActiveBackup => true,
        BondMode::BalanceXor | BondMode::Ieee8023Ad => hash != Some(BondXmitHashPolicy::VlanSrcMac),
        _ => false,
    }
}

fn mode_text(mode: BondMode, hash: Option<BondXmitHashPolicy>) -> String {
    match (mode, hash) {
        (BondMode::BalanceXor | BondMode::Ieee8023Ad, Some(hash)) => {
            format!("{mode} with xmit_hash_policy {hash}")
        }
        _ => mode.to_string(),
    }
}

#[cfg(test)]
mod tests;
