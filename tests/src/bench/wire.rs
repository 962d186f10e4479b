//! A veth pair between two network namespaces that have no name: only this thread and two open
//! files hold them, so the kernel takes all of it away when the process ends, however it ends.

use std::{
    fs::{self, File},
    os::fd::{AsFd as _, AsRawFd as _},
    process::{self, Command},
};

use anyhow::{Context as _, Result, ensure};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// The interface that asks.
pub const ASKING: &str = "asking";
/// The interface whose program answers.
pub const ANSWERING: &str = "answering";

/// The pair. The thread that made it stands in the asking side's namespace.
#[derive(Debug)]
pub struct Wire {
    asking: File,
    answering: File,
}

impl Wire {
    /// Moves the calling thread into a new namespace, for good, and connects it with another, by
    /// interfaces with so many queues.
    ///
    /// # Errors
    /// No rights, no `ip`, or a kernel without veth.
    pub fn connect(queues: u32) -> Result<Self> {
        let wire = Self {
            answering: new_namespace()?,
            asking: new_namespace()?,
        };
        // A frame takes the queue of the CPU that sent it, and meets generator, answerer and checker there.
        let queues = queues.to_string();
        let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
        let answering = format!("/proc/{}/fd/{}", process::id(), wire.answering.as_raw_fd());
        ip(["link", "add", ASKING]
            .iter()
            .chain(&queues)
            .chain(&["type", "veth", "peer", "name", ANSWERING])
            .chain(&queues))?;
        ip(&["link", "set", ANSWERING, "netns", &answering])?;
        ip(&["link", "set", ASKING, "up"])?;
        wire.beside_the_answerer(|| ip(&["link", "set", ANSWERING, "up"]))?;
        Ok(wire)
    }

    /// Does something in the answering side's namespace.
    ///
    /// # Errors
    /// The thread can't be moved; else what `action` says.
    pub fn beside_the_answerer<T>(&self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        enter(&self.answering)?;
        let result = action();
        enter(&self.asking)?;
        result
    }
}

/// Moves the calling thread into a new namespace, in which nothing is sent by itself.
fn new_namespace() -> Result<File> {
    // SAFETY: of the thread's resources only its network namespace is unshared, not its files.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
        .context("cannot make a network namespace: run as root")?;
    // Router solicitations would be counted among the queries. A kernel without IPv6 has no such
    // file, and sends none.
    for group in ["all", "default"] {
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{group}/disable_ipv6"), "1");
    }
    File::open("/proc/thread-self/ns/net").context("cannot open the network namespace")
}

fn enter(namespace: &File) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot change the network namespace")
}

/// Runs `ip` in the thread's namespace.
fn ip<'a>(arguments: impl IntoIterator<Item = &'a &'a str>) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments.into_iter().copied());
    let output = command
        .output()
        .context("cannot start \"ip\" (package iproute2)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}
