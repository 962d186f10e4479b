//! What is pinned and attached, as `bpftool` and `ip` show it to an operator; and how it goes away.

use std::{net::Ipv4Addr, path::Path};

use anyhow::{Context, Result, ensure};
use dglb_common::counters::{Counter, Kind};
use dglb_tests::{
    is_root,
    lab::{
        INTERFACE, Program, dns,
        node::{Node, WWW, dns_b_toml, dns_lb_toml},
    },
    rig::{
        DEFAULT, DNS_B, NEAR, OTHER, RESOLVER, Rig, STRANGER, UNLIMITED, announcer::Announcer,
        kernel,
    },
};
use hickory_proto::rr::RecordType;
use serde_json::Value;

#[test]
fn tables_read_like_what_they_say() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-dump", UNLIMITED)?;
    rig.start()?;
    let _near = Announcer::start(&rig, 0, &[RESOLVER, OTHER])?;
    let _default = Announcer::start(&rig, 1, &[STRANGER])?;
    let namespace = rig.node.host().namespace();

    let table = kernel::dump(namespace, &rig.pins().join("resolvers_v4"))?;
    let mut mappings = table.iter().map(mapping).collect::<Result<Vec<_>>>()?;
    mappings.sort();
    let mut expected = vec![(RESOLVER, NEAR), (OTHER, NEAR), (STRANGER, DEFAULT)];
    expected.sort();
    assert_eq!(mappings, expected);

    rig.referred_to(RESOLVER)?;
    let counters = kernel::dump(namespace, &rig.pins().join("counters"))?;
    for counter in Counter::ALL {
        // One number a CPU.
        let field = field_of(*counter);
        let cpus = counters[0].pointer("/formatted/values");
        let cpus = cpus.and_then(Value::as_array).context("no CPUs")?;
        let sum: Option<u64> = cpus
            .iter()
            .map(|cpu| cpu.pointer(&format!("/value/{field}"))?.as_u64())
            .sum();
        let sum = sum.with_context(|| format!("no field {field} in {cpus:?}"))?;
        if *counter == Counter::BR {
            assert_eq!(sum, 1, "one referral was given");
        }
    }
    let secret = kernel::dump(namespace, &rig.pins().join("secret"))?;
    let odd = |field: &str| {
        let number = secret[0].pointer(&format!("/formatted/value/{field}"));
        number
            .and_then(Value::as_u64)
            .is_some_and(|word| word % 2 == 1)
    };
    assert!(odd("multiplier_a") && odd("multiplier_b"), "{secret:?}");
    Ok(())
}

/// `{"formatted": {"key": [198,51,100,53], "value": {"dns_lb": [198,51,100,7], …}}}`.
fn mapping(element: &Value) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let address = |pointer: &str| -> Option<Ipv4Addr> {
        let octets = element.pointer(pointer)?.as_array()?;
        let octets: Vec<u8> = octets
            .iter()
            .map(|octet| octet.as_u64()?.try_into().ok())
            .collect::<Option<_>>()?;
        Some(<[u8; 4]>::try_from(octets).ok()?.into())
    };
    let resolver = address("/formatted/key");
    let dns_lb = address("/formatted/value/dns_lb");
    let both = resolver.zip(dns_lb);
    let both = both.with_context(|| format!("no two addresses in {element}"))?;
    let seen = element
        .pointer("/formatted/value/seen")
        .and_then(Value::as_u64);
    // After this was written, so that it is a time of day and not one since the boot.
    ensure!(seen > Some(1_700_000_000), "not seen lately: {element}");
    Ok(both)
}

/// The field of [`dglb_common::counters::Counters`].
fn field_of(counter: Counter) -> String {
    let prefix = match counter.kind() {
        Kind::Answered => "",
        Kind::Passed => "passed_",
        Kind::Dropped => "dropped_",
        Kind::Noted => "noted_",
    };
    // What is noted on trial says so to people; the field has its kind before it.
    let name = counter.name().trim_end_matches("-dry-run");
    format!("{prefix}{}", name.replace('-', "_"))
}

#[test]
fn unload_takes_all_away_with_the_daemon_running_or_dead() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-unload", UNLIMITED)?;
    // Never loaded: nothing to do is no error.
    assert!(unload(&rig.node)?.contains("nothing was loaded"));
    for dies in [false, true] {
        rig.start()?;
        ensure!(kernel::pins(&rig.pins()).contains(&"link_native_eth0".to_owned()));
        if dies {
            rig.daemon()?.kill()?;
            // It answers on.
            assert_eq!(rig.referred_to(STRANGER)?, DEFAULT);
        }
        let said = unload(&rig.node)?;
        assert!(said.contains("eth0: detached"), "{said}");
        assert!(said.contains("pins removed"), "{said}");
        expect_nothing_left(&rig)?;
        // What a killed daemon leaves of its socket goes too; that of a living one is its own.
        assert_eq!(rig.node.socket().exists(), !dies);
        let said = unload(&rig.node)?;
        assert!(said.contains("nothing was loaded"), "{said}");
        // The daemon, if there is one, may well run on without the kernel; it is to end in peace.
        let status = rig.daemon()?.stop()?;
        ensure!(dies || status.success(), "the daemon ended with {status}");
        expect_nothing_left(&rig)?;
    }
    // A daemon that is not running does not tell why there are no statistics; the message does.
    let error = rig.node.stats().expect_err("not in service").to_string();
    assert!(error.contains("not in service"), "{error}");
    Ok(())
}

#[test]
fn unload_takes_away_what_a_version_with_another_layout_left() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-layout", UNLIMITED)?;
    rig.start()?;
    rig.daemon()?.kill()?;
    std::fs::rename(rig.pins(), rig.pins().with_file_name("v1"))?;
    assert_eq!(rig.referred_to(STRANGER)?, DEFAULT, "it answers on");
    let said = unload(&rig.node)?;
    assert!(said.contains("eth0: detached"), "{said}");
    assert!(said.contains("pins removed"), "{said}");
    expect_nothing_left(&rig)
}

#[test]
fn a_second_node_on_the_machine_disturbs_nobody() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-second", UNLIMITED)?;
    rig.start()?;
    let host = rig.node.host().clone();
    host.namespace().ip("address add 192.0.2.54/32 dev lo\n\
                         link add other0 type veth peer name other1\nlink set other0 up\n")?;
    let before = kernel::attached(host.namespace(), INTERFACE)?;
    let secret = kernel::dump(host.namespace(), &rig.pins().join("secret"))?;

    // A name that begins like the first one's, and the other role.
    let name = format!("{}.two", rig.node.name());
    let mut plan = rig.plan.clone();
    plan.dns_lbs = vec![(name.clone(), Ipv4Addr::new(192, 0, 2, 54))];
    let toml = dns_lb_toml(&plan, 0, RESOLVER).replace("\"eth0\"", "\"other0\"");
    let second = Node::new_in(&host, "second.toml", &name, &toml)?;
    let mut daemon = second.start()?;
    assert!(kernel::attached(host.namespace(), "other0")?.is_some());
    assert_eq!(second.stats()?.role, "dns-lb");
    assert!(unload(&second)?.contains("other0: detached"));
    daemon.stop()?;
    kernel::expect_xdp_at(host.namespace(), &[INTERFACE])?;

    assert_eq!(kernel::attached(host.namespace(), INTERFACE)?, before);
    assert_eq!(
        kernel::dump(host.namespace(), &rig.pins().join("secret"))?,
        secret
    );
    let stats = rig.node.stats()?;
    assert!(stats.daemon && stats.role == "dns-b");
    assert_eq!(rig.referred_to(STRANGER)?, DEFAULT);
    assert_eq!(xdp_and_user(&rig.node, "b-r")?, (1, 0));
    Ok(())
}

#[test]
fn interfaces_come_and_go_from_start_to_start() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-ifaces", UNLIMITED)?;
    let host = rig.node.host().clone();
    let make = "link add other0.1 type veth peer name other1\nlink set other0.1 up\n\
                link set other1 up\n";
    host.namespace().ip(make)?;
    let both = rig.toml.replace("\"eth0\"", "\"eth0\", \"other0.1\"");
    rig.configure(&both)?;
    rig.start()?;
    let attached = || kernel::attached(host.namespace(), "other0.1");
    assert!(attached()?.is_some_and(|attached| attached.native));
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "other0.1 native"]);

    // Deleted and made again between two runs of the daemon: attached again by the next start.
    rig.daemon()?.stop()?;
    host.namespace()
        .ip(&format!("link delete other0.1\n{make}"))?;
    assert_eq!(attached()?, None);
    rig.start()?;
    assert!(attached()?.is_some_and(|attached| attached.native));

    // No longer configured: detached by the next start; the other interface is served on.
    rig.daemon()?.stop()?;
    let toml = rig.toml.clone();
    rig.configure(&toml)?;
    rig.start()?;
    kernel::expect_xdp_at(host.namespace(), &[INTERFACE])?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native"]);
    assert_eq!(rig.referred_to(STRANGER)?, DEFAULT);
    assert_eq!(xdp_and_user(&rig.node, "b-r")?, (1, 0));
    Ok(())
}

/// `lo` has no XDP of its own. Frames there begin without room for a longer header, and the reply comes
/// in by the same interface.
#[test]
fn generic_mode_is_said_and_answers() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-generic", UNLIMITED)?;
    let host = rig.node.host();
    // An address from outside of 127.0.0.0/8, which is no source of a query.
    host.namespace().ip("address add 192.0.2.200/32 dev lo\n")?;
    let name = rig.node.name();
    let toml = dns_b_toml(&rig.plan, name).replace("\"eth0\"", "\"lo\"") + UNLIMITED;
    let node = Node::new(host, name, &toml)?;
    let mut daemon = node.start()?;
    let attached = kernel::attached(host.namespace(), "lo")?;
    assert!(attached.is_some_and(|attached| !attached.native));
    assert_eq!(interfaces(&node)?, ["lo generic"]);
    assert!(node.log().contains("generic mode"), "{}", node.log());

    let ask = |name: &str| {
        dns::ask_from(
            host,
            Ipv4Addr::new(192, 0, 2, 200),
            DNS_B,
            name,
            RecordType::A,
        )
    };
    for asked in [WWW, &format!("a.b.{WWW}")] {
        let answer = ask(asked)?;
        assert_eq!((answer.authorities.len(), answer.additionals.len()), (1, 1));
    }
    assert_eq!(xdp_and_user(&node, "b-r")?, (2, 0));
    // What XDP leaves to user space gets there and back.
    assert_eq!(ask("ns1.g.foo.com")?.answers.len(), 1);

    // A restart keeps the mode, unload ends it.
    restart(&node, &mut daemon)?;
    assert_eq!(interfaces(&node)?, ["lo generic"]);
    ask(WWW)?;
    assert_eq!(xdp_and_user(&node, "b-r")?, (3, 0));
    assert!(unload(&node)?.contains("lo: detached"));
    kernel::expect_xdp_at(host.namespace(), &[])
}

fn restart(node: &Node, daemon: &mut Program) -> Result<()> {
    daemon.stop()?;
    *daemon = node.start()?;
    Ok(())
}

fn unload(node: &Node) -> Result<String> {
    Ok(String::from_utf8(node.run("unload", &[])?)?)
}

fn interfaces(node: &Node) -> Result<Vec<String>> {
    let stats = node.stats()?;
    let shown = stats.interfaces.iter();
    Ok(shown.map(|at| format!("{} {}", at.name, at.mode)).collect())
}

fn xdp_and_user(node: &Node, row: &str) -> Result<(u64, u64)> {
    let stats = node.stats()?;
    let row = stats.row(row).context("no such row")?;
    Ok((row.xdp, row.user))
}

/// No program at any interface of the node's host, and no pin of the node.
fn expect_nothing_left(rig: &Rig) -> Result<()> {
    let namespace = rig.node.host().namespace();
    kernel::expect_xdp_at(namespace, &[])?;
    let node = rig.pins();
    let node = node.parent().unwrap_or(Path::new("/"));
    assert!(!node.exists(), "{} is there", node.display());
    Ok(())
}
