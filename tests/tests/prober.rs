//! The probing process beside a running DNS-LB: what it may do, and that its death is seen and survived.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{dns, node::WWW, wait},
    rig::{NEAR, RESOLVER, Rig, UNLIMITED},
};
use hickory_proto::rr::RecordType;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

fn prober(rig: &Rig) -> Result<Value> {
    let said: Value = serde_json::from_slice(&rig.node.run("sites", &["--json"])?)?;
    Ok(said["prober"].clone())
}

/// The process id of the daemon's only child.
fn child_of(daemon: u32) -> Result<u32> {
    for task in fs::read_dir(format!("/proc/{daemon}/task"))? {
        let children = fs::read_to_string(task?.path().join("children"))?;
        if let Some(child) = children.split_whitespace().next() {
            return Ok(child.parse()?);
        }
    }
    anyhow::bail!("the daemon has no child")
}

fn status(id: u32) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{id}/status"))?;
    let fields = text.lines().filter_map(|line| line.split_once(":\t"));
    Ok(fields
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect())
}

/// "without rights" (docs/commands.md, `dglb probe`).
#[test]
fn the_probing_process_has_no_rights_and_its_death_is_survived() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let demo = Path::new(env!("CARGO_BIN_EXE_dglb-demo"));
    let mut rig = Rig::dns_lb("lab-prober", demo, UNLIMITED)?;
    rig.start()?;
    let id = child_of(rig.daemon()?.id())?;
    let status = wait::until("it has given up its rights", PATIENCE, || {
        let status = status(id)?;
        ensure!(status["NoNewPrivs"] == "1", "not yet");
        Ok(status)
    })?;
    let user = status["Uid"].split_whitespace().all(|id| id != "0");
    ensure!(user, "it runs as root: {}", status["Uid"]);
    ensure!(
        status["Gid"].split_whitespace().all(|id| id != "0"),
        "{}",
        status["Gid"]
    );
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let bits = u64::from_str_radix(&status[set], 16)?;
        ensure!(bits == 0, "{set} is {}", status[set]);
    }
    // Its socket, standard output and error, ICMP, and what the runtime and probes under way need.
    for entry in fs::read_dir(format!("/proc/{id}/fd"))? {
        let Ok(target) = fs::read_link(entry?.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let is_known = ["socket:", "anon_inode:[event", "/dev/null", "pipe:"]
            .iter()
            .any(|known| target.starts_with(known))
            || target.ends_with("/dglb.log");
        ensure!(is_known, "it has {target} open");
    }

    let before = prober(&rig)?;
    ensure!(
        before["running"] == true && before["restarts"] == 0,
        "{before}"
    );
    let raw = Pid::from_raw(id.cast_signed()).context("a process id")?;
    kill_process(raw, Signal::KILL)?;
    let after = wait::until("another one probes", PATIENCE, || {
        let prober = prober(&rig)?;
        ensure!(
            prober["running"] == true && prober["restarts"] == 1,
            "{prober}"
        );
        Ok(prober)
    })?;
    let reason = after["reason"].as_str().context("a reason")?;
    ensure!(reason.contains("signal: 9"), "{reason}");
    ensure!(child_of(rig.daemon()?.id())? != id, "it is the same");
    let answer = dns::ask(&rig.asker, NEAR, WWW, RecordType::A)?;
    ensure!(dns::addresses(&answer)? == [RESOLVER], "{answer:?}");
    Ok(())
}
