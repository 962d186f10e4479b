//! Tables that are too small: what is said, and that what was published before stays served.

use anyhow::{Result, ensure};
use dglb_tests::{
    is_root,
    rig::{
        DEFAULT, NEAR, OTHER, RESOLVER, Rig, STRANGER, UNLIMITED, announcer::Announcer, attempt,
        kernel,
    },
};

#[test]
fn a_full_table_of_resolvers_serves_what_it_has() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let mut rig = Rig::dns_b("lab-full", UNLIMITED)?;
    let with_room_for =
        |rig: &Rig, count: u32| format!("{}\n[tables]\nresolvers = {count}\n", rig.toml);
    let toml = with_room_for(&rig, 2);
    rig.configure(&toml)?;
    rig.start()?;
    let near = Announcer::start(&rig, 0, &[RESOLVER, OTHER])?;
    let default = Announcer::begin(&rig, 1, &[STRANGER])?;
    let reason = default.wait_for_refusal()?;
    expect_said(&reason, &["resolvers_v4", "2 entries", "tables.resolvers"])?;
    expect_said(&rig.node.log(), &["is refused: the tables resolvers_v4"])?;
    let table = rig.pins().join("resolvers_v4");
    let namespace = rig.node.host().namespace().clone();
    assert_eq!(kernel::dump(&namespace, &table)?.len(), 2);
    for (source, served_by) in [(RESOLVER, NEAR), (OTHER, NEAR), (STRANGER, DEFAULT)] {
        assert_eq!(rig.referred_to(source)?, served_by, "{source}");
    }

    // A start with less room than the run before needed takes nothing out of service.
    drop((near, default));
    rig.daemon()?.stop()?;
    let before = kernel::attached(&namespace, "eth0")?;
    let attempt = attempt::run(rig.node.host(), &with_room_for(&rig, 1))?;
    ensure!(!attempt.success, "it started:\n{}", attempt.said);
    let words = [
        "resolvers_v4",
        "1 entries",
        "2 are needed",
        "tables.resolvers",
    ];
    expect_said(&attempt.said, &words)?;
    assert_eq!(kernel::attached(&namespace, "eth0")?, before);
    assert_eq!(kernel::dump(&namespace, &table)?.len(), 2);
    assert_eq!(rig.referred_to(OTHER)?, NEAR);

    // With more room, all have it.
    let toml = with_room_for(&rig, 3);
    rig.configure(&toml)?;
    rig.start()?;
    let _near = Announcer::start(&rig, 0, &[RESOLVER, OTHER, STRANGER])?;
    for source in [RESOLVER, OTHER, STRANGER] {
        assert_eq!(rig.referred_to(source)?, NEAR, "{source}");
    }
    assert_eq!(kernel::dump(&namespace, &table)?.len(), 3);
    Ok(())
}

fn expect_said(said: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(said.contains(word), "no {word} in:\n{said}");
    }
    Ok(())
}
