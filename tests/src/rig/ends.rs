//! The two ends of a veth pair, each in a network namespace without a name: only this thread and two open
//! files hold them, so that the kernel takes all away when the process ends, however it ends.
//!
//! One end asks by whole frames; at the other the kernel program is attached, and nobody else listens.

use std::{
    fs::File,
    os::fd::{AsFd as _, AsRawFd as _},
    process::{self, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::packets::PacketSocket;
use crate::{
    fuzz::path::{InKernel, Verdict},
    lab::find_program,
    lab_object,
    model::Model,
};

/// The interface that asks.
const ASKING: &str = "asking";
/// The interface whose program answers.
const ANSWERING: &str = "answering";
/// How long a frame may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The ends. The thread that made them stands in the namespace of the asking one.
pub struct Ends {
    asking: PacketSocket,
    answering: PacketSocket,
    kernel: InKernel,
    _delivering: Ebpf,
}

impl Ends {
    /// Moves the calling thread into a new network namespace, for good, connects it with another, and
    /// attaches the program of `kernel` there.
    ///
    /// # Errors
    /// No rights, no `ip`, a kernel without veth, or one that does not take the program in this mode.
    pub fn connect(mut kernel: InKernel, mode: XdpMode) -> Result<Self> {
        let far = new_namespace()?;
        let near = new_namespace()?;
        let path = format!("/proc/{}/fd/{}", process::id(), far.as_raw_fd());
        ip(&format!(
            "link add {ASKING} type veth peer name {ANSWERING} netns {path}"
        ))?;
        // Without IPv6 of their own the ends are silent.
        ip(&format!("link set {ASKING} addrgenmode none up"))?;
        // What XDP_TX sends reaches a veth only if that has a program too (`veth_xdp_xmit`: it has a ring
        // then).
        let mut delivering = Ebpf::load(&lab_object::object()?)?;
        let pass: &mut Xdp = delivering
            .program_mut("pass")
            .context("the lab's object has no program \"pass\"")?
            .try_into()?;
        pass.load()?;
        pass.attach(ASKING, XdpMode::Driver)?;
        enter(&far)?;
        ip(&format!("link set {ANSWERING} addrgenmode none up"))?;
        kernel.kernel().program()?.attach(ANSWERING, mode)?;
        let answering = PacketSocket::open(ANSWERING)?;
        enter(&near)?;
        let ends = Self {
            asking: PacketSocket::open(ASKING)?,
            answering,
            kernel,
            _delivering: delivering,
        };
        ends.settle()?;
        Ok(ends)
    }

    /// Waits until a frame arrives: for some time after it is up, a device throws away what it is to send
    /// (`noop_qdisc`, until `linkwatch` has run).
    fn settle(&self) -> Result<()> {
        const SHORTLY: Duration = Duration::from_millis(200);
        let mut probe = [0; 60];
        // Local experimental EtherType 1 (IEEE 802-2014 §9.2.4): passed up.
        probe[..14].copy_from_slice(&[2, 0, 0, 0, 0, 0x53, 2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
        let start = Instant::now();
        loop {
            self.send(&probe)?;
            let arrived = self.answering.receive(SHORTLY, |frame| *frame == probe);
            if arrived.is_ok() {
                break;
            }
            ensure!(start.elapsed() < PATIENCE, "no frame arrives");
        }
        // One that was late is none of the tests'.
        while self.answering.receive(SHORTLY, |_| true).is_ok() {}
        Ok(())
    }

    /// The program.
    pub fn kernel(&mut self) -> &mut InKernel {
        &mut self.kernel
    }

    /// The program of `model` in both modes, each at a wire of its own, with the mode's name.
    ///
    /// # Errors
    /// As [`Ends::connect`].
    pub fn in_both_modes(model: &Model) -> Result<[(&'static str, Self); 2]> {
        let connect = |mode| Self::connect(InKernel::load(model)?, mode);
        Ok([
            ("native", connect(XdpMode::Driver)?),
            ("generic", connect(XdpMode::Skb)?),
        ])
    }

    /// Sends a frame and gives what becomes of it, which is of the kind of `expected`.
    ///
    /// # Errors
    /// Nothing like it happens.
    pub fn run(&self, frame: &[u8], expected: &Verdict) -> Result<Verdict> {
        self.send(frame)?;
        match expected {
            Verdict::Reply(_) => self.reply().map(Verdict::Reply),
            Verdict::Pass(_) => self.passed().map(Verdict::Pass),
            Verdict::Drop => bail!("nothing can be seen of a frame that is dropped"),
        }
    }

    /// Sends a frame to the program.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        self.asking.send(frame)
    }

    /// The next frame that the program sent back.
    ///
    /// # Errors
    /// None comes.
    pub fn reply(&self) -> Result<Vec<u8>> {
        self.asking.receive(PATIENCE, |_| true)
    }

    /// The next frame that the program passed up.
    ///
    /// # Errors
    /// None comes.
    pub fn passed(&self) -> Result<Vec<u8>> {
        self.answering.receive(PATIENCE, |_| true)
    }
}

fn new_namespace() -> Result<File> {
    // SAFETY: a new network namespace for this thread alone; no file descriptors are shared anew.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.context("cannot make a network namespace")?;
    File::open("/proc/thread-self/ns/net").context("cannot open the thread's network namespace")
}

fn enter(namespace: &File) -> Result<()> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter the network namespace")
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new(find_program("ip")?)
        .args(arguments.split(' '))
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {said}");
    Ok(())
}
