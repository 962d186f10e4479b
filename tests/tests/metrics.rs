//! A scrape of a running node, as Prometheus would make it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{dns, node::WWW, wait},
    rig::{NEAR, RESOLVER, Rig, UNLIMITED},
};
use hickory_proto::rr::RecordType;
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(20);
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9153);

/// What the node says of itself.
fn scrape(rig: &Rig) -> Result<String> {
    let mut stream = rig.node.host().tcp(LISTEN, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: dglb\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    ensure!(response.starts_with("HTTP/1.1 200 "), "{response}");
    Ok(response)
}

/// The value of a sample, written with its labels.
fn value(scraped: &str, sample: &str) -> Result<f64> {
    let line = scraped.lines().find_map(|line| line.strip_prefix(sample));
    let value = line.with_context(|| format!("no {sample} in {scraped}"))?;
    Ok(value.trim().parse()?)
}

#[test]
fn a_running_dns_lb_tells_answers_sites_and_reloads() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let more = format!("[metrics]\nlisten = \"{LISTEN}\"\n{UNLIMITED}");
    let mut rig = Rig::dns_lb("lab-metrics", demo, &more)?;
    rig.start()?;
    let site = format!("{{service=\"{WWW}\",site=\"mirror\",address=\"{RESOLVER}\"");
    let scraped = wait::until("the site is up", PATIENCE, || {
        let scraped = scrape(&rig)?;
        let up = value(&scraped, &format!("dglb_site_state{site},state=\"up\"}}"))?;
        ensure!(up == 1.0, "{scraped}");
        Ok(scraped)
    })?;
    assert_eq!(value(&scraped, "dglb_prober_up")?, 1.0);
    assert_eq!(
        value(&scraped, &format!("dglb_site_share_ratio{site}}}"))?,
        1.0
    );
    let latency = value(&scraped, &format!("dglb_site_latency_seconds{site}}}"))?;
    ensure!(latency > 0.0 && latency < 10.0, "{latency} s");

    // What the kernel program answers is counted there.
    let answers = "dglb_answers_total{row=\"lb-address\",by=\"xdp\"}";
    let before = value(&scraped, answers)?;
    dns::ask_from(&rig.asker, RESOLVER, NEAR, WWW, RecordType::A)?;
    assert_eq!(value(&scrape(&rig)?, answers)?, before + 1.0);

    // A file that is wrong is told, until a right one is read.
    let good = "dglb_config_last_reload_success";
    let since = format!("{good}_timestamp_seconds");
    assert_eq!(value(&scraped, &format!("{good} "))?, 1.0);
    let started = value(&scraped, &since)?;
    let toml = rig.toml.clone();
    for (toml, expected) in [("role = \"dns-z\"", 0.0), (toml.as_str(), 1.0)] {
        fs::write(rig.node.config(), toml)?;
        rig.daemon()?.signal(Signal::HUP)?;
        let scraped = wait::until("the reload is told", PATIENCE, || {
            let scraped = scrape(&rig)?;
            ensure!(
                value(&scraped, &format!("{good} "))? == expected,
                "{scraped}"
            );
            Ok(scraped)
        })?;
        let told = value(&scraped, &since)?;
        ensure!(
            (told > started) == (expected == 1.0),
            "{started}, then {told}"
        );
    }
    Ok(())
}
