//! Restarts, changes and failing starts under load: of the rows that XDP answers no query is lost or
//! answered wrongly, counters go on, and what the node knew it knows again.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        INTERFACE,
        node::{SHOP, Stats, WWW},
        wait,
    },
    rig::{
        DEFAULT, DNS_B, NEAR, RESOLVER, Rig, STRANGER, UNLIMITED,
        announcer::Announcer,
        attempt, kernel,
        load::{Load, Question},
    },
};
use hickory_proto::rr::RecordType;

const DNS_B_ROWS: [&str; 3] = ["b-r", "b-c-name", "b-c-label"];
const DNS_LB_ROWS: [&str; 3] = ["lb-address", "lb-nodata", "lb-nxdomain"];
/// Queries a second.
const RATE: u32 = 2000;
/// Replies between two events: half a second's.
const SOME: u64 = 1000;

#[test]
fn a_dns_b_loses_no_query_over_restarts() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_b("lab-re-b")?;
    // Nobody renews from here on: what is known of resolvers comes from the tables alone.
    drop(Announcer::start(&rig, 0, &[RESOLVER])?);
    restarts(&mut rig, DNS_B, &DNS_B_ROWS)?;
    let stats = rig.node.stats()?;
    let mapped: Vec<_> = stats
        .resolvers
        .iter()
        .map(|m| (m.resolver, m.dns_lb))
        .collect();
    assert_eq!(mapped, [(RESOLVER, NEAR)]);
    Ok(())
}

#[test]
fn a_dns_lb_loses_no_query_over_restarts() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_lb("lab-re-lb")?;
    restarts(&mut rig, NEAR, &DNS_LB_ROWS)
}

#[test]
fn a_dns_b_changes_its_answers_without_a_gap() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_b("lab-ch-b")?;
    drop(Announcer::start(&rig, 0, &[RESOLVER])?);
    let changed = rig.toml.replace("referral_ttl = 5", "referral_ttl = 7");
    change(&mut rig, DNS_B, &changed)
}

#[test]
fn a_dns_lb_changes_its_answers_without_a_gap() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_lb("lab-ch-lb")?;
    let soa_and_address = rig
        .toml
        .replace("answer_ttl = 2", "answer_ttl = 3")
        .replace("serial = 1", "serial = 2");
    change(&mut rig, NEAR, &soa_and_address)
}

#[test]
fn a_failing_start_leaves_in_service_what_was() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_b("lab-fail-b")?;
    drop(Announcer::start(&rig, 0, &[RESOLVER])?);
    let before = Kept::of(&rig)?;
    let load = start_load(&rig, DNS_B)?;
    load.wait_for(SOME)?;

    // Beside the daemon: it has the ports.
    refused(&rig, &rig.toml, "taken by another process")?;
    let broken = rig.toml.replace("dns-b\"\n", "dns-x\"\n");
    refused(&rig, &broken, "there is no role \"dns-x\"")?;
    let missing = rig.toml.replace("\"eth0\"", "\"eth0\", \"eth9\"");
    refused(&rig, &missing, "eth9")?;
    assert!(rig.node.stats()?.daemon, "the daemon was disturbed");

    // Without it: all but the last step of a start succeeds.
    rig.daemon()?.stop()?;
    let second = second_interface_with_a_program_of_its_own(&rig)?;
    let foreign = rig.toml.replace("\"eth0\"", "\"eth0\", \"other0\"");
    refused(&rig, &foreign, "another XDP program is attached")?;
    let foreign_first = rig.toml.replace("\"eth0\"", "\"other0\", \"eth0\"");
    refused(&rig, &foreign_first, "another XDP program is attached")?;
    load.wait_for(SOME)?;

    assert_eq!(Kept::of(&rig)?, before);
    drop(second);
    rig.start()?;
    load.wait_for(SOME)?;
    let report = load.stop(&[rig.model()?])?;
    check_all_in_xdp(&rig, report.sent, &DNS_B_ROWS)
}

#[test]
fn leases_go_on_after_a_restart() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let short = |toml: &str| toml.replace("lease = \"5s\"", "lease = \"1s\"");
    let long = |toml: &str| toml.replace("lease = \"5s\"", "lease = \"1h\"");
    let mut rig = Rig::dns_b("lab-lease", UNLIMITED)?;
    let toml = rig.toml.clone();
    rig.configure(&long(&toml))?;
    rig.start()?;
    let default = Announcer::start(&rig, 1, &[])?;
    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    expect_state(&rig, "up", NEAR)?;

    // Up before, so it gets a lease to come back in; it does not.
    drop(near);
    rig.daemon()?.stop()?;
    rig.configure(&short(&toml))?;
    rig.start()?;
    expect_state(&rig, "down", DEFAULT)?;

    // Down before, so it is not taken for up only because the daemon is new.
    rig.daemon()?.kill()?;
    rig.configure(&long(&toml))?;
    rig.start()?;
    let stats = rig.node.stats()?;
    assert_eq!(state(&rig, &stats)?, ("down", DEFAULT));
    expect_referral(&rig, DEFAULT)?;

    // It comes back, and so does its resolver.
    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    expect_state(&rig, "up", NEAR)?;
    expect_referral(&rig, NEAR)?;
    drop((near, default));
    Ok(())
}

#[test]
fn a_resolver_of_a_node_that_is_configured_no_more_is_a_stranger() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = dns_b("lab-gone")?;
    drop(Announcer::start(&rig, 0, &[RESOLVER])?);
    expect_referral(&rig, NEAR)?;
    rig.daemon()?.stop()?;
    let (name, _) = &rig.plan.dns_lbs[0];
    let entry = format!("[[dns_lb]]\nname = \"{name}\"\naddress = \"{NEAR}\"\n");
    ensure!(rig.toml.contains(&entry), "no entry to take out");
    let without = rig.toml.replace(&entry, "");
    rig.configure(&without)?;
    rig.start()?;
    assert!(rig.node.stats()?.resolvers.is_empty());
    expect_referral(&rig, DEFAULT)
}

fn dns_b(prefix: &str) -> Result<Rig> {
    let mut rig = Rig::dns_b(prefix, UNLIMITED)?;
    // No lease ends in a test that does not wait for it.
    rig.toml = rig.toml.replace("lease = \"5s\"", "lease = \"1h\"");
    let toml = rig.toml.clone();
    rig.configure(&toml)?;
    rig.start()?;
    Ok(rig)
}

fn dns_lb(prefix: &str) -> Result<Rig> {
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb(prefix, demo, UNLIMITED)?;
    rig.start()?;
    Ok(rig)
}

/// Stops, kills and starts the node under load.
fn restarts(rig: &mut Rig, server: Ipv4Addr, rows: &[&str]) -> Result<()> {
    let before = Kept::of(rig)?;
    let load = start_load(rig, server)?;
    load.wait_for(SOME)?;

    let status = rig.daemon()?.stop()?;
    ensure!(status.success(), "SIGTERM: it ended with {status}");
    load.wait_for(SOME)?;
    ensure!(!rig.node.stats()?.daemon, "the daemon has ended");
    rig.start()?;
    load.wait_for(SOME)?;

    rig.daemon()?.kill()?;
    load.wait_for(SOME)?;
    let counted = answered_in_xdp(&rig.node.stats()?, rows)?;
    rig.start()?;
    let after = answered_in_xdp(&rig.node.stats()?, rows)?;
    ensure!(after >= counted, "counted {counted}, then {after}");
    load.wait_for(SOME)?;

    let report = load.stop(&[rig.model()?])?;
    for replies in &report.replies {
        assert_eq!(replies.len(), 1, "nothing changed, but the answers did");
    }
    assert_eq!(Kept::of(rig)?.secret, before.secret);
    check_all_in_xdp(rig, report.sent, rows)
}

/// Starts the node with another configuration under load: each answer is the old or the new one, and
/// once it is new it stays new.
fn change(rig: &mut Rig, server: Ipv4Addr, toml: &str) -> Result<()> {
    let (old_secret, old_model) = (Kept::of(rig)?.secret, rig.model()?);
    ensure!(toml != rig.toml, "nothing is changed");
    let load = start_load(rig, server)?;
    load.wait_for(SOME)?;
    rig.daemon()?.stop()?;
    rig.configure(toml)?;
    rig.start()?;
    load.wait_for(SOME)?;
    let new_model = rig.model()?;
    let report = load.stop(&[old_model, new_model.clone()])?;
    for (order, replies) in report.order.iter().zip(&report.replies) {
        assert_eq!(replies.len(), 2, "the old answer and the new one");
        assert!(order.is_sorted(), "an old answer after a new one");
    }
    assert_eq!(Kept::of(rig)?.secret, old_secret);
    // From here on all is new.
    let load = start_load(rig, server)?;
    load.wait_for(SOME)?;
    load.stop(&[new_model]).map(drop)
}

/// What must outlive a restart, or a start that fails.
#[derive(Debug, PartialEq)]
struct Kept {
    secret: Vec<serde_json::Value>,
    attached: Option<kernel::Attached>,
    pins: Vec<String>,
}

impl Kept {
    fn of(rig: &Rig) -> Result<Self> {
        let namespace = rig.node.host().namespace();
        Ok(Self {
            secret: kernel::dump(namespace, &rig.pins().join("secret"))?,
            attached: kernel::attached(namespace, INTERFACE)?,
            pins: kernel::pins(&rig.pins()),
        })
    }
}

/// Questions of each row that the node answers in XDP, as resolvers ask them.
fn start_load(rig: &Rig, server: Ipv4Addr) -> Result<Load> {
    let label = rig.label(0);
    let names = [
        WWW.to_owned(),
        "wWw.G.fOO.com".to_owned(),
        format!("a.b.{WWW}"),
        SHOP.to_owned(),
        format!("{label}.{SHOP}"),
        format!("nope.{label}.{SHOP}"),
    ];
    let mut questions = Vec::new();
    for name in &names {
        // The name of form C is not a DNS-LB's, its apex is user space's.
        if name == SHOP && server != DNS_B {
            continue;
        }
        for (record_type, with_opt) in [
            (RecordType::A, true),
            (RecordType::AAAA, false),
            (RecordType::HTTPS, true),
        ] {
            questions.push(Question::new(name, record_type, with_opt)?);
        }
    }
    Load::start(&rig.asker, RESOLVER, server, questions, RATE)
}

fn answered_in_xdp(stats: &Stats, rows: &[&str]) -> Result<u64> {
    let row = |id| stats.row(id).map(|row| row.xdp).context("no such row");
    rows.iter().map(|id| row(id)).sum()
}

/// Every query was answered in XDP, by counters that were never set back.
fn check_all_in_xdp(rig: &Rig, sent: u64, rows: &[&str]) -> Result<()> {
    let stats = rig.node.stats()?;
    assert_eq!(answered_in_xdp(&stats, rows)?, sent);
    for row in &stats.rows {
        assert_eq!(row.user, 0, "{} in user space", row.row);
    }
    for row in rows {
        assert!(stats.row(row).is_some_and(|row| row.xdp > 0), "{row}");
    }
    Ok(())
}

/// The node does not start, and says why.
fn refused(rig: &Rig, toml: &str, why: &str) -> Result<()> {
    let attempt = attempt::run(rig.node.host(), toml)?;
    ensure!(!attempt.success, "it succeeded:\n{}", attempt.said);
    ensure!(
        attempt.said.contains(why),
        "no \"{why}\" in:\n{}",
        attempt.said
    );
    Ok(())
}

/// An interface of the node's host that runs somebody else's XDP program, until it is dropped.
fn second_interface_with_a_program_of_its_own(rig: &Rig) -> Result<kernel::Foreign> {
    kernel::Foreign::attach(rig.node.host().namespace(), "other0")
}

/// State of the first DNS-LB, and which address serves for it.
fn state<'a>(rig: &Rig, stats: &'a Stats) -> Result<(&'a str, Ipv4Addr)> {
    let near = &rig.plan.dns_lbs[0].0;
    let seen = stats.dns_lbs.iter().find(|node| node.name == *near);
    let seen = seen.context("the DNS-LB is unknown")?;
    let serving = rig
        .plan
        .dns_lbs
        .iter()
        .find(|(name, _)| *name == seen.serves);
    let (_, address) = serving.with_context(|| format!("{} serves", seen.serves))?;
    Ok((&seen.state, *address))
}

fn expect_state(rig: &Rig, word: &str, serving: Ipv4Addr) -> Result<()> {
    wait::until("the lease", Duration::from_secs(20), || {
        let stats = rig.node.stats()?;
        let seen = state(rig, &stats)?;
        ensure!(seen == (word, serving), "{seen:?}");
        Ok(())
    })
}

/// The resolver is referred to the DNS-LB at `address` now; a stranger always to the default.
fn expect_referral(rig: &Rig, address: Ipv4Addr) -> Result<()> {
    for (source, expected) in [(RESOLVER, address), (STRANGER, DEFAULT)] {
        assert_eq!(rig.referred_to(source)?, expected, "for {source}");
    }
    Ok(())
}
