//! Programs of the system: found, run to their end, or kept in the background.

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::wait;

/// How long a program may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A program in the background; ended when dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    pub(super) fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Self> {
        let out = File::options().create(true).append(true).open(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.into(),
            child,
            log,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// # Errors
    /// When it has ended, with the end of what it wrote.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended ({status}): {}",
                self.name,
                last_lines(&self.log())
            );
        }
        Ok(())
    }

    /// Calls `look` until it succeeds, as long as the program runs.
    ///
    /// # Errors
    /// When the program ends, or the last error of `look` when `limit` is over.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            self.check_running()?;
            match look() {
                Ok(seen) => return Ok(seen),
                Err(error) if Instant::now() >= end => {
                    return Err(error).with_context(|| {
                        format!(
                            "waited {} s in vain: {what}; {} wrote:\n{}\nand",
                            limit.as_secs(),
                            self.name,
                            last_lines(&self.log())
                        )
                    });
                }
                Err(_) => thread::sleep(wait::STEP),
            }
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let id = id.context("no process id")?;
        kill_process(id, signal).with_context(|| format!("{} has ended", self.name))
    }

    /// Asks it to end by SIGTERM and waits; kills it if it does not.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        let end = Instant::now() + GRACE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// Kills it by SIGKILL and waits.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing in the lab needs its end in peace, and many programs end sooner this way.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where `name` is installed, also if only root's PATH leads there.
///
/// # Errors
/// When it is not installed.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("\"{name}\" is not installed; run `cargo xtask setup`"))
}

/// Runs `command` to its end.
pub(super) fn run(command: &mut Command) -> Result<()> {
    run_with_input(command, "")
}

/// Runs `command` to its end with `input` on its standard input.
pub(super) fn run_with_input(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{} failed: {}{}",
        Path::new(command.get_program()).display(),
        String::from_utf8_lossy(&output.stderr).trim(),
        if input.is_empty() {
            format!(" ({command:?})")
        } else {
            format!(", for the commands:\n{input}")
        }
    );
    Ok(())
}

fn last_lines(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
