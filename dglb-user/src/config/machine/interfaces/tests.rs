//! Judgements over invented interfaces; the kernel of a test machine may have neither VLANs nor bonds.

use super::*;
use crate::{
    config::machine::tests::{example, good, interface},
    interfaces::{Offloads, Program},
};

/// The warnings for the example, whose interface is eth0, on a machine that `change` altered.
fn warnings(change: impl FnOnce(&mut Facts)) -> Vec<MachineWarning> {
    let mut facts = good();
    change(&mut facts);
    judge(&example(), &facts)
}

/// The text of the only one.
fn only_warning(change: impl FnOnce(&mut Facts)) -> String {
    let warnings = warnings(change);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].key(), "node.interfaces[0]");
    warnings[0].to_string()
}

fn vlan(index: u32, name: &str, lower: Option<u32>) -> Interface {
    Interface {
        kind: Kind::Vlan,
        lower,
        ..interface(index, name)
    }
}

fn offloads(facts: &mut Facts, rx_vlan: bool, lro: bool) {
    let offloads = Offloads { rx_vlan, lro };
    facts.offloads.insert("eth0".into(), offloads);
}

/// eth0 becomes a bond or team with two ports.
fn with_ports(facts: &mut Facts, kind: Kind) {
    facts.interfaces[0].kind = kind;
    for (index, name) in [(5, "ens1"), (6, "ens2")] {
        facts.interfaces.push(Interface {
            master: Some(2),
            ..interface(index, name)
        });
    }
}

fn bond(mode: BondMode, hash: Option<BondXmitHashPolicy>) -> Kind {
    Kind::Bond { mode, hash }
}

#[test]
fn a_plain_machine_has_no_warnings() {
    assert_eq!(warnings(|_| ()), []);
    assert_eq!(warnings(|facts| facts.interfaces.clear()), []);
}

#[test]
fn vlan_offload_matters_only_below_vlans() {
    assert_eq!(warnings(|facts| offloads(facts, true, false)), []);
    let said = only_warning(|facts| {
        offloads(facts, true, false);
        facts.interfaces.push(vlan(7, "eth0.5", Some(2)));
        facts.interfaces.push(vlan(8, "eth0.6", Some(2)));
    });
    for piece in ["\"eth0\"", "eth0.5, eth0.6", "ethtool -K eth0 rxvlan off"] {
        assert!(said.contains(piece), "{said}");
    }
    assert!(!said.contains("txvlan"), "{said}");
    // Off, on another interface, or on one of another namespace.
    for (on, lower) in [(false, Some(2)), (true, Some(1)), (true, None)] {
        let warnings = warnings(|facts| {
            offloads(facts, on, false);
            facts.interfaces.push(vlan(7, "other.5", lower));
        });
        assert_eq!(warnings, [], "{on} {lower:?}");
    }
}

#[test]
fn vlans_on_the_bond_count_for_its_ports_and_a_pair_has_two_ends() {
    let said = only_warning(|facts| {
        offloads(facts, true, false);
        facts.interfaces[0].master = Some(9);
        facts.interfaces[0].kind = Kind::Veth;
        facts.interfaces.push(interface(9, "bond0"));
        facts.interfaces.push(vlan(10, "bond0.5", Some(9)));
    });
    assert!(
        said.contains("bond0.5") && said.contains("txvlan off"),
        "{said}"
    );
}

#[test]
fn lro_comes_with_the_command() {
    let said = only_warning(|facts| offloads(facts, false, true));
    assert!(said.contains("ethtool -K eth0 lro off"), "{said}");
}

#[test]
fn a_large_mtu_is_told_unless_the_driver_took_it() {
    for mtu in [68, 1500, MAX_NATIVE_MTU] {
        assert_eq!(warnings(|facts| facts.interfaces[0].mtu = mtu), []);
    }
    let said = only_warning(|facts| facts.interfaces[0].mtu = MAX_NATIVE_MTU + 1);
    assert!(said.contains("3499") && said.contains("mtu 3498"), "{said}");
    let at = |mode| {
        warnings(|facts| {
            facts.interfaces[0].mtu = 9000;
            facts.interfaces[0].programs = vec![Program { mode, id: 1 }];
        })
    };
    assert_eq!(at("native"), []);
    assert_eq!(at("generic").len(), 1);
    let mut on_loopback = example();
    on_loopback.node.interfaces = vec!["lo".into()];
    let mut facts = good();
    facts.interfaces[1].mtu = 65_536;
    assert_eq!(judge(&on_loopback, &facts), []);
}

#[test]
fn bond_modes_without_xdp_are_named_with_the_ports() {
    use BondXmitHashPolicy::{Layer34, VlanSrcMac};
    for (mode, hash) in [
        (BondMode::BalanceTlb, None),
        (BondMode::BalanceAlb, Some(Layer34)),
        (BondMode::Broadcast, None),
        (BondMode::Ieee8023Ad, Some(VlanSrcMac)),
        (BondMode::BalanceXor, Some(VlanSrcMac)),
    ] {
        let said = only_warning(|facts| with_ports(facts, bond(mode, hash)));
        let mode = format!("mode {mode}");
        assert!(
            said.contains(&mode) && said.contains("ens1, ens2"),
            "{said}"
        );
        assert_eq!(
            said.contains("policy vlan+srcmac"),
            hash == Some(VlanSrcMac),
            "{said}"
        );
    }
    for (mode, hash) in [
        (BondMode::BalanceRr, None),
        (BondMode::ActiveBackup, Some(VlanSrcMac)),
        (BondMode::Ieee8023Ad, Some(Layer34)),
        (BondMode::BalanceXor, None),
    ] {
        assert_eq!(warnings(|facts| with_ports(facts, bond(mode, hash))), []);
    }
}

#[test]
fn ports_that_keep_a_bond_from_xdp_are_named() {
    let said = only_warning(|facts| {
        with_ports(facts, bond(BondMode::ActiveBackup, None));
        for (name, native) in [("eth0", false), ("ens1", true), ("ens2", false)] {
            facts.native.insert(name.into(), native);
        }
    });
    assert!(said.contains("ens2") && !said.contains("ens1"), "{said}");
    // All have it, or the kernel does not say.
    for native in [Some(true), None] {
        let warnings = warnings(|facts| {
            with_ports(facts, bond(BondMode::ActiveBackup, None));
            let said = native.map(|native| ("ens1".to_owned(), native));
            facts.native.extend(said);
        });
        assert_eq!(warnings, []);
    }
}

#[test]
fn a_team_has_no_xdp_but_its_ports_may() {
    let said = only_warning(|facts| with_ports(facts, Kind::Team));
    assert!(
        said.contains("team") && said.contains("ens1, ens2"),
        "{said}"
    );
}
