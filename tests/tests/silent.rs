//! A DNS-LB that falls silent: who its resolvers are referred to by the DNS-B, asked over the wire from
//! the resolvers' own addresses.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        dns,
        node::{SHOP, WWW},
        wait,
    },
    rig::{DEFAULT, DNS_B, NEAR, OTHER, RESOLVER, Rig, STRANGER, UNLIMITED, announcer::Announcer},
};
use hickory_proto::rr::{RData, RecordType};

/// Longer than any lease here, on any machine.
const LEASE_OVER: Duration = Duration::from_secs(20);

#[test]
fn resolvers_of_a_silent_dns_lb_go_to_the_default_and_come_back() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = start("lab-silent")?;
    let _default = Announcer::start(&rig, 1, &[OTHER])?;
    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    expect_led(
        &rig,
        [(RESOLVER, NEAR), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
    )?;

    drop(near);
    led_in_time(&rig, RESOLVER, DEFAULT)?;
    // The others stay where they were; the mapping itself is kept.
    expect_led(
        &rig,
        [(RESOLVER, DEFAULT), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
    )?;
    expect_mapped(&rig, [(RESOLVER, NEAR), (OTHER, DEFAULT)])?;
    expect_states(&rig, ["down", "up"])?;

    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    expect_led(
        &rig,
        [(RESOLVER, NEAR), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
    )?;
    expect_states(&rig, ["up", "up"])?;

    // It stays there for as long as it renews.
    drop(near);
    let _near = Announcer::start(&rig, 0, &[RESOLVER])?;
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        expect_led(
            &rig,
            [(RESOLVER, NEAR), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
        )?;
    }
    // Every one of these answers came from XDP.
    for row in ["b-r", "b-c-name", "b-c-label"] {
        let stats = rig.node.stats()?;
        let counted = stats.row(row).map(|row| (row.xdp > 0, row.user));
        assert_eq!(counted, Some((true, 0)), "{row}");
    }
    Ok(())
}

#[test]
fn with_the_default_silent_too_the_last_mapping_stays() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = start("lab-silent2")?;
    let default = Announcer::start(&rig, 1, &[OTHER])?;
    let near = Announcer::start(&rig, 0, &[RESOLVER])?;
    // The default falls silent first: nobody is there to stand in.
    drop(default);
    states_in_time(&rig, ["up", "down"])?;
    expect_led(
        &rig,
        [(RESOLVER, NEAR), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
    )?;
    drop(near);
    states_in_time(&rig, ["down", "down"])?;
    expect_led(
        &rig,
        [(RESOLVER, NEAR), (OTHER, DEFAULT), (STRANGER, DEFAULT)],
    )?;

    // The default is back: it stands in for the other one, whose resolver it never announced.
    let _default = Announcer::start(&rig, 1, &[])?;
    led_in_time(&rig, RESOLVER, DEFAULT)?;
    expect_states(&rig, ["down", "up"])?;
    expect_mapped(&rig, [(RESOLVER, NEAR), (OTHER, DEFAULT)])
}

#[test]
fn a_dns_lb_that_was_stood_in_for_stays_there_when_the_default_falls_silent() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let rig = start("lab-silent3")?;
    let default = Announcer::start(&rig, 1, &[])?;
    drop(Announcer::start(&rig, 0, &[RESOLVER])?);
    led_in_time(&rig, RESOLVER, DEFAULT)?;
    drop(default);
    states_in_time(&rig, ["down", "down"])?;
    expect_led(&rig, [(RESOLVER, DEFAULT), (STRANGER, DEFAULT)])?;
    // Alone it comes back to its own resolver, without the default.
    let _near = Announcer::start(&rig, 0, &[RESOLVER])?;
    expect_led(&rig, [(RESOLVER, NEAR), (STRANGER, DEFAULT)])
}

#[test]
fn a_dns_lb_that_nobody_configured_is_refused_and_changes_nothing() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = start("lab-unknown")?;
    let _near = Announcer::start(&rig, 0, &[RESOLVER])?;
    let known = rig.plan.dns_lbs.clone();
    rig.plan.dns_lbs = vec![
        ("stranger.example".to_owned(), Ipv4Addr::new(100, 64, 0, 7)),
        // The right name with another's address.
        (known[1].0.clone(), Ipv4Addr::new(100, 64, 0, 8)),
    ];
    for (index, reason) in [(0, "stranger.example"), (1, "100.64.0.8")] {
        let refused = Announcer::begin(&rig, index, &[RESOLVER])?;
        let said = refused.wait_for_refusal()?;
        ensure!(said.contains(reason), "{said}");
        expect_led(&rig, [(RESOLVER, NEAR), (STRANGER, DEFAULT)])?;
        expect_mapped(&rig, [(RESOLVER, NEAR)])?;
    }
    Ok(())
}

fn start(prefix: &str) -> Result<Rig> {
    let mut rig = Rig::dns_b(prefix, UNLIMITED)?;
    // A lease is three times what it takes to renew, and a busy machine may be slow in it.
    let toml = rig.toml.replace("lease = \"5s\"", "lease = \"2s\"");
    rig.configure(&toml)?;
    rig.start()?;
    Ok(rig)
}

/// Both forms of referral lead each resolver to the DNS-LB with this address.
fn expect_led<const N: usize>(rig: &Rig, expected: [(Ipv4Addr, Ipv4Addr); N]) -> Result<()> {
    for (source, address) in expected {
        let led = led(rig, source)?;
        assert_eq!(led, (address, address), "{source}");
    }
    Ok(())
}

fn led_in_time(rig: &Rig, source: Ipv4Addr, address: Ipv4Addr) -> Result<()> {
    wait::until("the lease is over", LEASE_OVER, || {
        let led = led(rig, source)?;
        ensure!(led == (address, address), "{source} is led to {led:?}");
        Ok(())
    })
}

/// Where `source` is led: by the referral for the name of form R, and for the other one by the CNAME and
/// the referral for its target.
fn led(rig: &Rig, source: Ipv4Addr) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let ask = |name: &str| dns::ask_from(&rig.asker, source, DNS_B, name, RecordType::A);
    let alias = ask(SHOP)?;
    let target = alias.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) => Some(target.to_ascii()),
        _ => None,
    });
    let target = target.unwrap_or_default();
    ensure!(
        target.ends_with(&format!(".{SHOP}.")),
        "no CNAME: {alias:?}"
    );
    Ok((
        rig.referred_for(source, WWW)?,
        rig.referred_for(source, &target)?,
    ))
}

fn states(rig: &Rig) -> Result<Vec<String>> {
    let stats = rig.node.stats()?;
    Ok(stats.dns_lbs.into_iter().map(|node| node.state).collect())
}

fn expect_states(rig: &Rig, expected: [&str; 2]) -> Result<()> {
    assert_eq!(states(rig)?, expected);
    Ok(())
}

fn states_in_time(rig: &Rig, expected: [&str; 2]) -> Result<()> {
    wait::until("the lease is over", LEASE_OVER, || {
        let states = states(rig)?;
        ensure!(states == expected, "{states:?}");
        Ok(())
    })
}

/// The mapping table, as `dglb stats` shows it.
fn expect_mapped<const N: usize>(rig: &Rig, expected: [(Ipv4Addr, Ipv4Addr); N]) -> Result<()> {
    let stats = rig.node.stats()?;
    let mapped = stats.resolvers.iter();
    let mut mapped: Vec<_> = mapped.map(|entry| (entry.resolver, entry.dns_lb)).collect();
    let mut expected = expected.to_vec();
    mapped.sort();
    expected.sort();
    assert_eq!(mapped, expected);
    Ok(())
}
