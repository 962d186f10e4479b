//! Operators' interfaces: several of them, of both kinds; renamed, deleted and made again; and what keeps
//! XDP from them.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        Namespace, dns, find_program,
        node::{Node, WWW},
        wait,
    },
    rig::{DEFAULT, DNS_B, Rig, STRANGER, UNLIMITED, attempt, kernel},
};
use dglb_user::interfaces::Offloads;
use hickory_proto::rr::{RData, RecordType};
use serde_json::Value;

/// An address at the second interface, and one on `lo` that is reached through it.
const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 54);
const ON_LO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 55);
/// A source within the node's own host.
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);

/// How long a change of the interfaces may take to be seen; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn two_native_interfaces_and_a_generic_one_share_one_set_of_tables() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-three", UNLIMITED)?;
    let host = rig.node.host().clone();
    second_wire(&mut rig)?;
    host.namespace().ip(&format!(
        "address add {ON_LO}/32 dev lo\naddress add {LOCAL}/32 dev lo\n"
    ))?;
    let toml = rig.toml.replace("\"eth0\"", "\"eth0\", \"eth1\", \"lo\"");
    let toml = toml.replace(
        "addresses = [\"192.0.2.53\"",
        &format!("addresses = [\"192.0.2.53\", \"{SECOND}\", \"{ON_LO}\""),
    );
    rig.configure(&toml)?;

    // Before it serves: what the drivers have.
    let check = check(&rig.node)?;
    assert_eq!(check["ok"], true, "{check}");
    let interface = |index: usize| check["interfaces"][index].clone();
    for (index, name, native) in [(0, "eth0", true), (1, "eth1", true), (2, "lo", false)] {
        let interface = interface(index);
        assert_eq!(
            (&interface["name"], &interface["attached"]),
            (&name.into(), &Value::Null)
        );
        // Kernels before 6.3 do not say it.
        let said = &interface["native"];
        ensure!(said.is_null() || *said == native, "{name}: {said}");
    }

    rig.start()?;
    let all = ["eth0 native", "eth1 native", "lo generic"];
    assert_eq!(interfaces(&rig.node)?, all);
    let log = rig.node.log();
    for (interface, mode) in [("eth0", "native"), ("eth1", "native"), ("lo", "generic")] {
        let line = format!("XDP program in service interface=\"{interface}\" mode=\"{mode}\"");
        assert!(log.contains(&line), "{line} is not in {log}");
    }
    let check = self::check(&rig.node)?;
    let attached = check["interfaces"].as_array().context("a list")?;
    let attached: Vec<_> = attached.iter().map(|at| at["attached"].as_str()).collect();
    assert_eq!(attached, [Some("native"), Some("native"), Some("generic")]);

    // 2 through the first wire, 3 and 4 through the second, 1 within the host: one sum.
    for (address, times) in [(DNS_B, 2), (SECOND, 3), (ON_LO, 4)] {
        for _ in 0..times {
            assert_eq!(referred_by(&rig, address)?, DEFAULT, "{address}");
        }
    }
    let answer = dns::ask_from(&host, LOCAL, ON_LO, WWW, RecordType::A)?;
    assert_eq!(answer.additionals.len(), 1);
    assert_eq!(xdp_and_user(&rig.node)?, (10, 0));

    // An address of the machine that the node was not given is nobody's business.
    host.namespace()
        .ip("address add 192.0.2.56/32 dev eth1\n")?;
    rig.lab
        .router()
        .ip("route add 192.0.2.56/32 dev to-second\n")?;
    let stranger = dns::ask_from(
        &rig.asker,
        STRANGER,
        Ipv4Addr::new(192, 0, 2, 56),
        WWW,
        RecordType::A,
    );
    assert!(stranger.is_err(), "{stranger:?}");
    assert_eq!(xdp_and_user(&rig.node)?, (10, 0));

    let said = String::from_utf8(rig.node.run("unload", &[])?)?;
    for interface in ["eth0", "eth1", "lo"] {
        assert!(said.contains(&format!("{interface}: detached")), "{said}");
    }
    kernel::expect_xdp_at(host.namespace(), &[])
}

#[test]
fn a_renamed_interface_takes_its_link_along() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-rename", UNLIMITED)?;
    let host = rig.node.host().clone();
    let namespace = host.namespace();
    pair(namespace, "first0")?;
    pair(namespace, "second0")?;
    let with = |rig: &Rig, names: &str| rig.toml.replace("\"eth0\"", &format!("\"eth0\", {names}"));
    let toml = with(&rig, "\"first0\", \"second0\"");
    rig.configure(&toml)?;
    rig.start()?;
    let (first, second) = (
        program(namespace, "first0")?,
        program(namespace, "second0")?,
    );
    assert!(first.is_some() && first == second, "one program");
    rig.daemon()?.stop()?;

    // They change names: each keeps its own link, and both get the next program.
    rename(namespace, "first0", "other0")?;
    rename(namespace, "second0", "first0")?;
    rename(namespace, "other0", "second0")?;
    rig.start()?;
    let both = program(namespace, "first0")?;
    assert!(both != first && both == program(namespace, "second0")?);
    assert_eq!(
        interfaces(&rig.node)?,
        ["eth0 native", "first0 native", "second0 native"]
    );
    let log = rig.node.log();
    assert!(log.contains("the interface was renamed"), "{log}");
    rig.daemon()?.stop()?;

    // One is renamed, in the configuration too: the pins say its new name, and the old one is free.
    rename(namespace, "first0", "wan0.1")?;
    let toml = with(&rig, "\"wan0.1\", \"second0\"");
    rig.configure(&toml)?;
    rig.start()?;
    assert_eq!(
        interfaces(&rig.node)?,
        ["eth0 native", "second0 native", "wan0.1 native"]
    );
    let pins = kernel::pins(&rig.pins());
    let links: Vec<_> = pins.iter().filter(|pin| pin.starts_with("link_")).collect();
    assert_eq!(
        links,
        [
            "link_native_eth0",
            "link_native_second0",
            "link_native_wan0:1"
        ]
    );
    rig.daemon()?.stop()?;

    // Renamed, but not in the configuration, which now means another interface.
    rename(namespace, "wan0.1", "old0")?;
    pair(namespace, "wan0.1")?;
    rig.start()?;
    kernel::expect_xdp_at(namespace, &["eth0", "second0", "wan0.1"])?;
    assert!(
        rig.node
            .log()
            .contains("no longer configured: detached interface=\"old0\"")
    );
    assert_eq!(rig.referred_to(STRANGER)?, DEFAULT);
    assert_eq!(xdp_and_user(&rig.node)?, (1, 0));
    Ok(())
}

#[test]
fn an_interface_deleted_and_made_again_is_not_taken_for_the_old_one() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-remade", UNLIMITED)?;
    let host = rig.node.host().clone();
    let namespace = host.namespace();
    pair(namespace, "wan0")?;
    let toml = rig.toml.replace("\"eth0\"", "\"eth0\", \"wan0\"");
    rig.configure(&toml)?;
    rig.start()?;
    rig.daemon()?.stop()?;
    namespace.ip("link delete wan0\n")?;
    // Without the daemon the pin is there, and says nothing that is not so.
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 none"]);
    pair(namespace, "wan0")?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 none"]);
    rig.start()?;
    assert!(
        rig.node.log().contains("its link is removed"),
        "{}",
        rig.node.log()
    );
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 native"]);
    rig.daemon()?.stop()?;

    // Gone for good: the node does not start with it, and serves on; without it the old pin goes.
    namespace.ip("link delete wan0\n")?;
    let refused = attempt::run(&host, &toml)?;
    attempt_said(&refused, &["no interface \"wan0\"", "eth0"])?;
    assert_eq!(rig.referred_to(STRANGER)?, DEFAULT);
    let toml = rig.toml.clone();
    rig.configure(&toml)?;
    rig.start()?;
    let pins = kernel::pins(&rig.pins());
    assert!(!pins.iter().any(|pin| pin.contains("wan0")), "{pins:?}");
    kernel::expect_xdp_at(namespace, &["eth0"])
}

#[test]
fn an_interface_that_vanishes_under_a_running_node_is_attached_again() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-vanish", UNLIMITED)?;
    let host = rig.node.host().clone();
    let namespace = host.namespace().clone();
    pair(&namespace, "wan0")?;
    let toml = rig.toml.replace("\"eth0\"", "\"eth0\", \"wan0\"");
    rig.configure(&toml)?;
    rig.start()?;
    let serving = program(&namespace, "wan0")?;

    namespace.ip("link delete wan0\n")?;
    wait_for_log(&rig, "the interface is gone or renamed")?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 none"]);
    pair(&namespace, "wan0")?;
    wait_for_log(&rig, "the interface is back: XDP program in service")?;
    assert_eq!(
        program(&namespace, "wan0")?,
        serving,
        "the same program, on the same tables"
    );
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 native"]);

    // Back, but somebody was faster: told, and left alone.
    namespace.ip("link delete wan0\n")?;
    wait::until("that is seen", PATIENCE, || {
        ensure!(
            rig.node.log().matches("is gone or renamed").count() == 2,
            "not yet"
        );
        Ok(())
    })?;
    let foreign = kernel::Foreign::attach(&namespace, "other0")?;
    rename(&namespace, "other0", "wan0")?;
    wait_for_log(&rig, "the interface is back, but can't be served")?;
    let taken = program(&namespace, "wan0")?;
    assert!(taken.is_some() && taken != serving);
    drop(foreign);
    namespace.ip("link delete wan0\n")?;

    // Renamed: its link goes with it until the next start, and a new one of the old name gets another.
    pair(&namespace, "wan0")?;
    let is_served = |name: &str| {
        wait::until("it is attached", PATIENCE, || {
            ensure!(program(&namespace, name)? == serving, "not yet");
            Ok(())
        })
    };
    is_served("wan0")?;
    rename(&namespace, "wan0", "moved0")?;
    rename(&namespace, "wan0p", "moved0p")?;
    pair(&namespace, "wan0")?;
    is_served("wan0")?;
    assert_eq!(
        interfaces(&rig.node)?,
        ["eth0 native", "moved0 native", "wan0 native"]
    );
    assert_eq!(program(&namespace, "moved0")?, serving);
    rig.daemon()?.stop()?;
    rig.start()?;
    kernel::expect_xdp_at(&namespace, &["eth0", "wan0"])?;
    namespace.ip("link delete wan0\n")?;

    // After `dglb unload` nothing is attached any more, daemon or not.
    rig.node.run("unload", &[])?;
    pair(&namespace, "wan0")?;
    // The daemon looks at all its interfaces in turn; an answer by its sockets is no sign, its last beat is.
    rig.daemon()?.stop()?;
    kernel::expect_xdp_at(&namespace, &[])?;
    Ok(())
}

#[test]
fn a_driver_that_refuses_says_why_and_check_says_it_before() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-mtu", UNLIMITED)?;
    let host = rig.node.host().clone();
    let namespace = host.namespace();
    pair(namespace, "wan0")?;
    // Of a pair, the MTU of the other end counts.
    namespace.ip("link set wan0 mtu 9000\nlink set wan0p mtu 9000\n")?;
    let toml = rig.toml.replace("\"eth0\"", "\"eth0\", \"wan0\"");
    rig.configure(&toml)?;
    let warned = check(&rig.node)?;
    assert_eq!(warned["ok"], true, "a warning is no problem: {warned}");
    let warning = &warned["warnings"][0];
    assert_eq!(warning["key"], "node.interfaces[1]");
    let message = warning["message"].as_str().context("a text")?;
    assert!(message.contains("ip link set dev wan0 mtu"), "{message}");
    assert_eq!(
        warned["warnings"].as_array().map(Vec::len),
        Some(1),
        "{warned}"
    );

    rig.start()?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 generic"]);
    let log = rig.node.log();
    // The words of drivers/net/veth.c.
    assert!(log.contains("MTU is too large to set XDP"), "{log}");
    assert!(log.contains("ip link set dev wan0 mtu"), "{log}");
    rig.daemon()?.stop()?;

    // The reason is gone; a start keeps the mode and says how to leave it.
    namespace.ip("link set wan0 mtu 1500\nlink set wan0p mtu 1500\n")?;
    rig.start()?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 generic"]);
    // Kernels before 6.3 do not say it.
    if check(&rig.node)?["interfaces"][1]["native"] == true {
        let log = rig.node.log();
        assert!(log.contains("still in generic mode"), "{log}");
    }
    rig.daemon()?.stop()?;
    rig.node.run("unload", &[])?;
    rig.start()?;
    assert_eq!(interfaces(&rig.node)?, ["eth0 native", "wan0 native"]);
    assert_eq!(check(&rig.node)?["warnings"], Value::Array(Vec::new()));
    Ok(())
}

#[test]
fn a_taken_interface_is_told_by_check_until_it_is_free() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-taken", UNLIMITED)?;
    let host = rig.node.host().clone();
    let namespace = host.namespace();
    let foreign = kernel::Foreign::attach(namespace, "other0")?;
    pair(namespace, "wan0")?;
    let id = program(namespace, "other0")?.context("a program")?;
    let toml = rig
        .toml
        .replace("\"eth0\"", "\"eth0\", \"other0\", \"wan0\"");
    rig.configure(&toml)?;
    let said = check_refused(&rig.node)?;
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].0, "node.interfaces[1]");
    for piece in [
        "\"other0\"",
        "\"pass\"",
        &format!("id {id}"),
        "bpftool link detach id",
    ] {
        assert!(said[0].1.contains(piece), "{piece} is not in {said:?}");
    }

    // The command of the message frees it.
    let command = said[0].1.rsplit("or: ").next().context("a command")?;
    let (command, _) = command.split_once(" (").context("another command")?;
    run_in(namespace, command)?;
    assert_eq!(program(namespace, "other0")?, None);
    assert_eq!(check(&rig.node)?["ok"], true);

    // Attached without a link, as `ip` and `bpftool net` do.
    let mut attach = namespace.command(find_program("bpftool")?);
    attach.args([
        "net",
        "attach",
        "xdpdrv",
        "id",
        &id.to_string(),
        "dev",
        "wan0",
    ]);
    ensure!(attach.status()?.success(), "bpftool net attach");
    let said = check_refused(&rig.node)?;
    assert_eq!(said[0].0, "node.interfaces[2]");
    let command = said[0].1.rsplit("then: ").next().context("a command")?;
    run_in(namespace, command.trim_end_matches(')'))?;
    assert_eq!(program(namespace, "wan0")?, None);
    drop(foreign);

    // The node's own program is not in its way.
    rig.start()?;
    assert_eq!(check(&rig.node)?["ok"], true);
    assert_eq!(interfaces(&rig.node)?.len(), 3);
    Ok(())
}

#[test]
fn a_drivers_offloads_are_read() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = Rig::dns_b("lab-offloads", UNLIMITED)?;
    let of = |name: &'static str| rig.node.host().namespace().enter(|| Offloads::of(name));
    // veth takes tags on request, and that is its default (drivers/net/veth.c, VETH_FEATURES).
    let expected = Offloads {
        rx_vlan: true,
        lro: false,
    };
    assert_eq!(of("eth0")??, expected);
    assert_eq!(of("lo")??, Offloads::default());
    // Another namespace's.
    assert!(of("to-dns-b")?.is_err());
    Ok(())
}

/// A second wire from the router to the node's host, `eth1` there, with [`SECOND`]; [`ON_LO`] is routed
/// through it.
fn second_wire(rig: &mut Rig) -> Result<()> {
    let second = rig.lab.host("second", &[SECOND])?;
    rig.lab.deliver_xdp_answers(&second)?;
    let namespace = rig.node.host().namespace();
    second.namespace().ip(&format!(
        "link set eth0 down\nlink set eth0 name eth1\nlink set eth1 netns {}\n",
        namespace.name()
    ))?;
    namespace.ip(&format!(
        "link set eth1 up\naddress add {SECOND}/32 dev eth1\n"
    ))?;
    rig.lab.router().ip(&format!(
        "route add {ON_LO}/32 via {SECOND} dev to-second onlink\n"
    ))
}

/// A veth pair, up, with both ends in the namespace: `NAME` and `NAMEp` (a dot in it left out).
fn pair(namespace: &Namespace, name: &str) -> Result<()> {
    let peer = name.replace('.', "") + "p";
    namespace.ip(&format!(
        "link add {name} type veth peer name {peer}\nlink set {name} up\nlink set {peer} up\n"
    ))
}

/// Down meanwhile: kernels before 6.2 rename no interface that is up.
fn rename(namespace: &Namespace, name: &str, new: &str) -> Result<()> {
    namespace.ip(&format!(
        "link set {name} down\nlink set {name} name {new}\nlink set {new} up\n"
    ))
}

/// The program's id at an interface.
fn program(namespace: &Namespace, interface: &str) -> Result<Option<u64>> {
    let attached = kernel::attached(namespace, interface)?;
    Ok(attached.map(|attached| attached.program))
}

/// The glue that the node gives at `address`.
fn referred_by(rig: &Rig, address: Ipv4Addr) -> Result<Ipv4Addr> {
    let answer = dns::ask_from(&rig.asker, STRANGER, address, WWW, RecordType::A)?;
    let mut glue = answer
        .additionals
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        });
    glue.next()
        .with_context(|| format!("no referral: {answer:?}"))
}

fn interfaces(node: &Node) -> Result<Vec<String>> {
    let stats = node.stats()?;
    let shown = stats.interfaces.iter();
    Ok(shown.map(|at| format!("{} {}", at.name, at.mode)).collect())
}

fn xdp_and_user(node: &Node) -> Result<(u64, u64)> {
    let stats = node.stats()?;
    let row = stats.row("b-r").context("no such row")?;
    Ok((row.xdp, row.user))
}

/// Runs a command of a message.
fn run_in(namespace: &Namespace, command: &str) -> Result<()> {
    let mut words = command.split(' ');
    let tool = find_program(words.next().context("a program")?)?;
    let output = namespace.command(tool).args(words).output()?;
    ensure!(output.status.success(), "{command}: {output:?}");
    Ok(())
}

/// Key and message of each problem of the machine that `dglb check` has.
fn check_refused(node: &Node) -> Result<Vec<(String, String)>> {
    let output = node.command("check")?.arg("--json").output()?;
    ensure!(!output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let text = |error: &Value, field: &str| error[field].as_str().unwrap_or("").to_owned();
    let errors = report["machine"].as_array().context("a list")?.iter();
    Ok(errors
        .map(|error| (text(error, "key"), text(error, "message")))
        .collect())
}

fn check(node: &Node) -> Result<Value> {
    Ok(serde_json::from_slice(&node.run("check", &["--json"])?)?)
}

fn wait_for_log(rig: &Rig, words: &str) -> Result<()> {
    wait::until(words, PATIENCE, || {
        let log = rig.node.log();
        ensure!(log.contains(words), "not in the log: {log}");
        Ok(())
    })
}

fn attempt_said(attempt: &attempt::Attempt, words: &[&str]) -> Result<()> {
    ensure!(!attempt.success, "it ran");
    for word in words {
        ensure!(
            attempt.said.contains(word),
            "{word} is not in {}",
            attempt.said
        );
    }
    Ok(())
}
