//! A command that ought to end by itself: what it said, and how it ended.

use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::lab::{Host, node::dglb_binary};

/// Long enough on any machine; a node that runs on is not refused.
const LIMIT: Duration = Duration::from_secs(30);

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whether it succeeded.
    pub success: bool,
    /// What it wrote, to both of its outputs.
    pub said: String,
}

/// Runs `dglb run` on `host` with the configuration `toml`.
///
/// # Errors
/// When it does not end by itself.
pub fn run(host: &Host, toml: &str) -> Result<Attempt> {
    let config = host.write("attempt.toml", toml)?;
    let mut command = host.command(dglb_binary()?);
    command.arg("run").arg("--config").arg(config);
    to_end(command, host)
}

/// Runs `command` to its end, killing it when that does not come.
///
/// # Errors
/// When it does not end by itself.
pub fn to_end(mut command: Command, host: &Host) -> Result<Attempt> {
    // A file, not a pipe: nobody has to read while it runs.
    let path = host.directory().join("attempt.log");
    let log = File::create(&path)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    File::open(path)?.read_to_string(&mut said)?;
    let Some(status) = status else {
        bail!("it ran on for {LIMIT:?}; it said:\n{said}");
    };
    Ok(Attempt {
        success: status.success(),
        said,
    })
}
