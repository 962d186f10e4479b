//! Commands that ask a running DNS-LB over its control socket, as an operator would use them.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        node::{SHOP, WWW},
        wait,
    },
    rig::{RESOLVER, Rig, STRANGER, UNLIMITED},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn json(rig: &Rig, subcommand: &str, arguments: &[&str]) -> Result<Value> {
    let arguments = [arguments, &["--json"]].concat();
    Ok(serde_json::from_slice(
        &rig.node.run(subcommand, &arguments)?,
    )?)
}

fn text(rig: &Rig, subcommand: &str, arguments: &[&str]) -> Result<String> {
    Ok(String::from_utf8(rig.node.run(subcommand, arguments)?)?)
}

/// The line of the mirror in a service.
fn mirror(rig: &Rig, service: &str) -> Result<Value> {
    let sites = json(rig, "sites", &["--service", service])?;
    let site = sites["sites"]
        .get(0)
        .with_context(|| format!("no site in {sites}"))?;
    ensure!(
        site["service"] == service && site["site"] == "mirror",
        "{site}"
    );
    Ok(site.clone())
}

fn state(rig: &Rig, service: &str, expected: &str) -> Result<Value> {
    let site = mirror(rig, service)?;
    ensure!(site["state"] == expected, "{site}");
    Ok(site)
}

#[test]
fn sites_are_seen_ordered_about_and_explained() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb("lab-commands", demo, UNLIMITED)?;
    let error = rig
        .node
        .run("sites", &[])
        .expect_err("nobody runs")
        .to_string();
    ensure!(error.contains("`dglb run` starts it"), "{error}");
    rig.start()?;

    let sites = json(&rig, "sites", &[])?;
    assert_eq!(
        (&sites["node"], &sites["prober"]["running"]),
        (&rig.node.name().into(), &true.into())
    );
    let site = wait::until("measured", PATIENCE, || state(&rig, WWW, "up"))?;
    ensure!(
        site["latency_ms"].as_f64() > Some(0.0) && site["share_percent"] == 100.0,
        "{site}"
    );
    let page = text(&rig, "sites", &[])?;
    ensure!(page.starts_with("prober running, 2 targets"), "{page}");

    // The daemon's part of an explanation.
    let ask = |rig: &Rig| json(rig, "explain", &[WWW, "--from", &STRANGER.to_string()]);
    let said = ask(&rig)?;
    assert_eq!(said["agrees"], true, "{said}");
    assert_eq!(said["candidates"][0]["site"], "mirror", "{said}");
    assert_eq!(said["candidates"][0]["removed_by"], Value::Null, "{said}");
    let said = json(&rig, "explain", &[SHOP, "--from", &STRANGER.to_string()])?;
    assert_eq!(said["agrees"], true, "{said}");

    // A drain of one service, with its reason wherever the site is shown.
    let order = [
        "mirror",
        "--reason",
        "new disks",
        "--for",
        "2h",
        "--service",
        WWW,
    ];
    let done = text(&rig, "drain", &order)?;
    ensure!(
        done.contains("mirror") && done.contains("new disks"),
        "{done}"
    );
    let site = state(&rig, WWW, "drained")?;
    assert_eq!(site["overridden"]["reason"], "new disks", "{site}");
    ensure!(site["overridden"]["until"].is_string(), "{site}");
    state(&rig, SHOP, "up")?;
    let page = text(&rig, "sites", &[])?;
    ensure!(
        page.contains("DRAINED by the operator") && page.contains("for another 1h 59m"),
        "{page}"
    );
    let said = ask(&rig)?;
    assert_eq!(
        (&said["candidates"][0]["state"], &said["agrees"]),
        (&"drained".into(), &true.into()),
        "{said}"
    );
    let log = rig.node.log();
    ensure!(
        log.contains("uid=0") && log.contains("drain mirror"),
        "{log}"
    );

    // It outlives the daemon.
    rig.daemon()?.stop()?;
    rig.start()?;
    let site = state(&rig, WWW, "drained")?;
    assert_eq!(site["overridden"]["reason"], "new disks", "{site}");

    text(&rig, "undrain", &["mirror", "--service", WWW])?;
    wait::until("up again", PATIENCE, || state(&rig, WWW, "up"))?;
    let error = rig
        .node
        .run("undrain", &["mirror"])
        .expect_err("nothing there")
        .to_string();
    ensure!(error.contains("nothing was ordered"), "{error}");
    text(&rig, "force", &["mirror", "down", "--reason", "on trial"])?;
    state(&rig, WWW, "down")?;
    state(&rig, SHOP, "down")?;
    text(&rig, "force", &["mirror", "auto", "--reason", "over"])?;
    wait::until("up again", PATIENCE, || state(&rig, SHOP, "up"))?;

    let history = json(&rig, "history", &["mirror", "--service", WWW])?;
    let history = history.get(0).context("one address")?;
    assert_eq!(history["address"], RESOLVER.to_string(), "{history}");
    ensure!(
        history["spans"][0]["probes"].as_u64() > Some(0),
        "{history}"
    );
    let page = text(&rig, "history", &["mirror"])?;
    ensure!(
        page.contains(&format!("mirror of {WWW}")) && page.contains("  state  "),
        "{page}"
    );

    for (subcommand, arguments) in [
        ("drain", &["atlantis", "--reason", "x"][..]),
        ("history", &["atlantis"]),
        ("sites", &["--service", "nowhere.example"]),
    ] {
        let error = rig
            .node
            .run(subcommand, arguments)
            .expect_err("not known")
            .to_string();
        ensure!(
            error.contains("there is no") && error.contains("there are:"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn a_reload_takes_a_right_file_and_says_what_is_wrong_with_another() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb("lab-reload", demo, UNLIMITED)?;
    rig.start()?;
    let shown = |rig: &Rig| -> Result<Value> {
        json(rig, "explain", &[WWW, "--from", &STRANGER.to_string()])
    };
    assert_eq!(shown(&rig)?["ttl_s"], 2);

    fs::write(
        rig.node.config(),
        rig.toml.replace("answer_ttl = 2", "answer_ttl = 3"),
    )?;
    let done = text(&rig, "reload", &[])?;
    ensure!(!done.trim().is_empty(), "it says nothing");
    wait::until("the new TTL is served", PATIENCE, || {
        let said = shown(&rig)?;
        ensure!(said["ttl_s"] == 3 && said["agrees"] == true, "{said}");
        Ok(())
    })?;

    fs::write(
        rig.node.config(),
        rig.toml.replace("answer_ttl = 2", "answer_ttl = -2"),
    )?;
    let output = rig.node.command("reload")?.output()?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    ensure!(
        said.contains("answer_ttl") && said.contains("the daemon keeps what it has"),
        "{said}"
    );
    fs::write(rig.node.config(), &rig.toml)?;
    assert_eq!(shown(&rig)?["ttl_s"], 3);
    Ok(())
}
