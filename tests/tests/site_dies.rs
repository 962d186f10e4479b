//! A site dies while its DNS-LB is asked all the time: it leaves the answers, and is in none after that.
//!
//! How soon is a matter of the simulated clock (`dglb-user/src/measure/tests/detection.rs`).

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        dns,
        node::WWW,
        site::{self, Site},
        wait,
    },
    model::Choice,
    rig::{
        NEAR, OTHER, RESOLVER, Rig, STRANGER, UNLIMITED,
        load::{Load, Question},
    },
};
use hickory_proto::rr::RecordType;

/// Queries a second.
const RATE: u32 = 2000;
const PATIENCE: Duration = Duration::from_secs(40);

/// The configuration with another site, at [`STRANGER`], in front of the mirror.
fn with_a_first_site(toml: &str) -> String {
    let mirror = "[[service.site]]\nname = \"mirror\"";
    let first = format!(
        "[service.policy]\nscorer = \"failover\"\n[[service.site]]\nname = \"first\"\n\
         ipv4 = \"{STRANGER}\"\n{mirror}"
    );
    toml.replace(mirror, &first)
        .replace("allow = [", &format!("allow = [\"{STRANGER}/32\", "))
}

#[test]
fn a_site_that_dies_under_load_is_named_in_none_after_the_first_without_it() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb("lab-dies", demo, UNLIMITED)?;
    rig.configure(&with_a_first_site(&rig.toml.clone()))?;
    let first = Site {
        name: "first",
        address: STRANGER,
        delays: Vec::new(),
    };
    let mut server = site::start(&rig.asker, demo, &first)?;
    rig.start()?;
    let answered = |rig: &Rig| -> Result<_> {
        dns::addresses(&dns::ask(&rig.asker, NEAR, WWW, RecordType::A)?)
    };
    ensure!(answered(&rig)? == [STRANGER], "it is not the first site");

    let question = Question::new(WWW, RecordType::A, true)?;
    let load = Load::start(&rig.asker, OTHER, NEAR, vec![question], RATE)?;
    load.wait_for(1000)?;
    server.kill()?;
    wait::until("the other site is answered", PATIENCE, || {
        ensure!(answered(&rig)? == [RESOLVER], "it is still the dead one");
        Ok(())
    })?;
    load.wait_for(4000)?;

    let with_first = rig.model()?;
    let mut without = with_first.clone();
    for ranking in &mut without.rankings {
        ranking.fill(Some(Choice::Best(vec![1])));
    }
    let report = load.stop(&[with_first, without])?;
    ensure!(report.replies[0].len() == 2, "{:?}", report.replies);
    let order = &report.order[0];
    let change = order
        .iter()
        .position(|&reply| reply == 1)
        .context("no change")?;
    ensure!(change >= 1000, "it was answered before the first died");
    let late = order[change..].iter().filter(|&&reply| reply == 0).count();
    ensure!(late == 0, "{late} answers after that named the dead one");
    Ok(())
}
