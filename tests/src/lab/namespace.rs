//! One network namespace.

use std::{ffi::OsStr, fs::File, path::PathBuf, process::Command, thread};

use anyhow::{Context, Result, anyhow};
use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::program::{find_program, run, run_with_input};

/// A named network namespace; the lab's guard removes it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn add(name: &str) -> Result<Self> {
        run(Command::new(find_program("ip")?).args(["netns", "add", name]))?;
        let namespace = Self { name: name.into() };
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run `program` in the namespace.
    ///
    /// By `nsenter`, not `ip netns exec`, which mounts a new /sys and so hides BPF file systems.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Calls `work` in a thread within the namespace. Sockets made there stay in the namespace.
    ///
    /// # Errors
    /// When the namespace is gone, or `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("cannot enter the namespace {}", self.name))?;
                Ok(work())
            });
            inside
                .join()
                .unwrap_or_else(|_| Err(anyhow!("a task in {} panicked", self.name)))
        })
    }

    /// Runs commands of `ip`, one a line, in the namespace.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn ip(&self, commands: &str) -> Result<()> {
        let mut command = Command::new(find_program("ip")?);
        command.args(["-n", &self.name, "-batch", "-"]);
        run_with_input(&mut command, commands)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}
