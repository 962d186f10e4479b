//! The guard: a process that outlives the lab's owner and removes what the owner made.
//!
//! A shell waits at the end of a pipe that the owner holds. When the owner drops the lab, or dies in
//! whatever way, the pipe ends and the shell removes everything. Thus there is one way of removal.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;

/// Directories of all labs of this machine, each with a file `lock` that its owner holds.
const LABS: &str = "/run/dglb-lab";
const SCRIPT: &str = include_str!("guard.sh");

/// Removes the lab when dropped, or when this process dies.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Child,
    _lock: File,
}

impl Guard {
    /// Makes the lab's directory and starts the process that will remove the lab.
    pub(super) fn start(lab: &str) -> Result<(Self, PathBuf)> {
        let directory = Path::new(LABS).join(lab);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        // The lock comes first: whoever sees the directory without it takes the lab for abandoned.
        let lock = File::create(directory.join("lock"))?;
        lock.try_lock()
            .with_context(|| format!("the lab \"{lab}\" is in use"))?;
        let shell = removal(lab, &directory)?;
        Ok((Self { shell, _lock: lock }, directory))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        if let Err(error) = self.shell.wait() {
            eprintln!("the lab may not be removed wholly: {error}");
        }
    }
}

/// Removes the labs whose owners are dead and whose guards did not end their work.
pub(super) fn remove_abandoned() -> Result<()> {
    let Ok(labs) = fs::read_dir(LABS) else {
        return Ok(());
    };
    for directory in labs.flatten().map(|entry| entry.path()) {
        let Some(lab) = directory.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let owned = match File::open(directory.join("lock")) {
            Ok(lock) => lock.try_lock().is_err(),
            // Being made at this moment, or being removed.
            Err(_) => true,
        };
        if !owned {
            let mut shell = removal(lab, &directory)?;
            drop(shell.stdin.take());
            shell.wait()?;
        }
    }
    Ok(())
}

fn removal(lab: &str, directory: &Path) -> Result<Child> {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "dglb-lab-guard", lab])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own: Ctrl-C in the terminal is not for the guard.
        .process_group(0)
        .spawn()
        .context("cannot start /bin/sh, which removes the lab in the end")?;
    if let Some(stdin) = shell.stdin.as_mut() {
        stdin.flush()?;
    }
    Ok(shell)
}
