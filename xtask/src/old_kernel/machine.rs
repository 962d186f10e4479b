//! The virtual machine: QEMU in emulation, so that it runs wherever the tests do (KVM is often not
//! there within a virtual machine).

use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{process, setup};

/// How long the guest may take. What hangs is to be seen, and emulation on a loaded machine is slow:
/// about ten times what a run takes.
const LIMIT: Duration = Duration::from_secs(3600);

/// Memory of the guest in MiB: the tables of a DNS-B, and the files, which live in memory.
const MEMORY: &str = "3072";

/// Boots `image` with `archive` as its root, shows its console, waits for its end. What it writes to
/// its second serial port goes to the file `report`.
///
/// # Errors
/// It cannot be started, fails, or does not end.
pub fn boot(image: &Path, archive: &Path, report: &Path) -> Result<()> {
    let name = setup::EMULATOR.name;
    let emulator = process::find(name).with_context(|| format!("{name} is missing"))?;
    let mut command = Command::new(emulator);
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot"])
        .args(["-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2"])
        .args(["-m", MEMORY, "-display", "none"])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(archive)
        // A kernel that panics restarts, which ends QEMU; what stands behind `--` is for /init.
        .args(["-append", "console=ttyS0 quiet panic=-1 -- test-guest"])
        .args(["-serial", "stdio", "-chardev"])
        .arg(format!("file,id=report,path={}", escaped(report)))
        .args(["-serial", "chardev:report"])
        .stdin(Stdio::null());
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let status = wait(child, LIMIT)?;
    if !status.success() {
        bail!("{} ended with {status}", process::shown(&command));
    }
    Ok(())
}

/// QEMU's options have commas between them, and doubled ones within.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("the virtual machine got lost")? {
            return Ok(status);
        }
        if Instant::now() >= end {
            child.kill().context("cannot end the virtual machine")?;
            child.wait().context("the virtual machine got lost")?;
            bail!(
                "the virtual machine did not come to its end within {} minutes",
                limit.as_secs() / 60
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_does_not_end_is_ended() {
        let sleeper = Command::new("sleep").arg("100000").spawn().unwrap();
        let error = wait(sleeper, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("did not come to its end"));
        let quick = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        assert_eq!(wait(quick, LIMIT).unwrap().code(), Some(3));
    }

    #[test]
    fn commas_in_a_path_do_not_end_it() {
        assert_eq!(escaped(Path::new("/a,b/c")), "/a,,b/c");
    }
}
