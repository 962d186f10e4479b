//! What `bpftool` and `ip` say is attached and pinned: judges from outside.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};
use serde_json::Value;

use crate::{
    lab::{Namespace, find_program, wait},
    lab_object,
};

/// What `ip` says of the XDP program at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The program's id.
    pub program: u64,
    /// Whether it runs in the driver.
    pub native: bool,
}

/// The XDP program at `interface`.
///
/// # Errors
/// When there is no such interface.
pub fn attached(namespace: &Namespace, interface: &str) -> Result<Option<Attached>> {
    let links = json(namespace, "ip", &["-j", "link", "show", "dev", interface])?;
    let link = links.get(0).context("no such interface")?;
    let Some(xdp) = link.get("xdp") else {
        return Ok(None);
    };
    let program = xdp.pointer("/prog/id").and_then(Value::as_u64);
    Ok(Some(Attached {
        program: program.with_context(|| format!("no program's id in {xdp}"))?,
        // 1 in the driver, 2 generic (XDP_ATTACHED_DRV, XDP_ATTACHED_SKB of linux/if_link.h).
        native: match xdp.get("mode").and_then(Value::as_u64) {
            Some(1) => true,
            Some(2) => false,
            mode => bail!("mode {mode:?} in {xdp}"),
        },
    }))
}

/// Interfaces of the namespace that have an XDP program, as `bpftool net` lists them.
///
/// # Errors
/// When `bpftool` fails.
pub fn interfaces_with_xdp(namespace: &Namespace) -> Result<Vec<String>> {
    let all = json(namespace, "bpftool", &["-j", "net", "show"])?;
    let xdp = all.pointer("/0/xdp").and_then(Value::as_array);
    let names = xdp.with_context(|| format!("no list of XDP in {all}"))?;
    let name = |entry: &Value| Some(entry.get("devname")?.as_str()?.to_owned());
    names
        .iter()
        .map(|entry| name(entry).with_context(|| format!("no name in {entry}")))
        .collect()
}

/// Waits until just `expected` have an XDP program: the kernel detaches some time after the last
/// reference to a link is gone.
///
/// # Errors
/// When others have one for long.
pub fn expect_xdp_at(namespace: &Namespace, expected: &[&str]) -> Result<()> {
    wait::until("all else is detached", Duration::from_secs(20), || {
        let names = interfaces_with_xdp(namespace)?;
        ensure!(names == expected, "XDP programs at {names:?}");
        Ok(())
    })
}

/// The elements of a pinned map, as `bpftool -j map dump pinned` prints them.
///
/// # Errors
/// When `bpftool` fails, or prints something else than a list.
pub fn dump(namespace: &Namespace, path: &Path) -> Result<Vec<Value>> {
    let path = path.to_str().context("a path that is no text")?;
    match json(namespace, "bpftool", &["-j", "map", "dump", "pinned", path])? {
        Value::Array(elements) => Ok(elements),
        other => bail!("no list: {other}"),
    }
}

/// Names in a directory of pins, sorted; empty where there is none.
pub fn pins(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Somebody else's XDP program at an interface; detached when dropped.
#[derive(Debug)]
pub struct Foreign(#[expect(dead_code, reason = "kept for its link")] Ebpf);

impl Foreign {
    /// Makes a veth interface in `namespace` and attaches a program to it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(namespace: &Namespace, interface: &str) -> Result<Self> {
        namespace.ip(&format!(
            "link add {interface} type veth peer name {interface}p\nlink set {interface} up\n"
        ))?;
        namespace.enter(|| {
            let mut object = Ebpf::load(&lab_object::object()?)?;
            let program: &mut Xdp = object
                .program_mut("pass")
                .context("the lab's object has no program \"pass\"")?
                .try_into()?;
            program.load()?;
            program.attach(interface, XdpMode::Driver)?;
            Ok(Self(object))
        })?
    }
}

fn json(namespace: &Namespace, program: &str, arguments: &[&str]) -> Result<Value> {
    let output = namespace
        .command(find_program(program)?)
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).with_context(|| format!("{program} {arguments:?} said {said}"))
}
