//! What answers frames: user space, or the kernel program.

use std::sync::{Arc, RwLock};

use anyhow::{Context as _, Result, bail};
use aya::{TestRun as _, TestRunOptions, programs::Xdp};
use aya_obj::programs::XdpAttachType;
use dglb_common::counters::Counters;
use dglb_user::{
    answer::{Answered, Answerer},
    kernel::{Kernel, PROGRAM},
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::model::Model;

/// `enum xdp_action` (linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// `BPF_PROG_TEST_RUN` refuses less than an Ethernet header (EINVAL).
pub const SHORTEST: usize = 14;

/// What happened to a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed to the stack, as it left the program.
    Pass(Vec<u8>),
    /// Dropped.
    Drop,
    /// Answered with this frame.
    Reply(Vec<u8>),
}

/// The answer function of user space over the tables of `model`.
pub fn answerer(model: &Model) -> Answerer {
    let tables = Arc::new(RwLock::new(model.tables()));
    Answerer::new(Arc::new(model.config.clone()), tables)
}

/// The kernel program with the tables of a model, run frame by frame.
pub struct InKernel {
    kernel: Kernel,
    handle: Handle,
}

impl InKernel {
    /// The program that this binary carries.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn load(model: &Model) -> Result<Self> {
        Self::of(Kernel::load(&model.tables(), None)?)
    }

    /// Another build of the program, in an ELF object.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn load_object(object: &[u8], model: &Model) -> Result<Self> {
        Self::of(Kernel::load_object(object, &model.tables(), None)?)
    }

    /// A program that is loaded.
    ///
    /// # Errors
    /// The kernel says nothing of it.
    pub fn of(mut kernel: Kernel) -> Result<Self> {
        let handle = Handle::to(&mut kernel)?;
        Ok(Self { kernel, handle })
    }

    /// The program with its maps.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Another handle to the program, for another thread.
    ///
    /// # Errors
    /// The kernel says nothing of it.
    pub fn handle(&mut self) -> Result<Handle> {
        Handle::to(&mut self.kernel)
    }

    /// Runs one frame of at least [`SHORTEST`] octets through.
    ///
    /// # Errors
    /// As [`Handle::run`].
    pub fn run(&mut self, frame: &[u8]) -> Result<Verdict> {
        self.handle.run(frame)
    }

    /// What the program has counted, over all CPUs.
    ///
    /// # Errors
    /// What aya said.
    pub fn counters(&self) -> Result<Counters> {
        Ok(self.kernel.counters()?)
    }
}

/// A loaded program, to be run.
pub struct Handle {
    program: Xdp,
    out: Vec<u8>,
}

impl Handle {
    fn to(kernel: &mut Kernel) -> Result<Self> {
        let info = kernel.program()?.info()?;
        let kind = XdpAttachType::Interface;
        Ok(Self {
            program: Xdp::from_program_info(info, PROGRAM.into(), kind)?,
            out: vec![0; 4096],
        })
    }

    /// Runs one frame of at least [`SHORTEST`] octets through, on the CPU that this thread is on.
    ///
    /// # Errors
    /// The kernel could not run it, or the verdict is none of ours (ABORTED is 0).
    pub fn run(&mut self, frame: &[u8]) -> Result<Verdict> {
        let result = self.program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut self.out),
            ..TestRunOptions::new()
        });
        let result = result.context("BPF_PROG_TEST_RUN")?;
        let octets = || self.out[..result.data_size_out as usize].to_vec();
        Ok(match result.return_value {
            XDP_PASS => Verdict::Pass(octets()),
            XDP_DROP => Verdict::Drop,
            XDP_TX => Verdict::Reply(octets()),
            other => bail!("verdict {other}"),
        })
    }
}

/// Keeps this thread on one CPU.
///
/// # Errors
/// The kernel refuses: there is no such CPU.
pub fn pin_to_cpu(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("this thread on CPU {cpu}"))
}

/// What is shown of an answer of user space.
pub fn shown(answered: Option<&Answered>) -> String {
    match answered {
        Some(answered) => format!(
            "{} {}",
            answered.counter.name(),
            super::hex(&answered.octets)
        ),
        None => "nothing".to_owned(),
    }
}
