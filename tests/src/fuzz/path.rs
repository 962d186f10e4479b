//! What answers frames: user space, or the kernel program.

use std::sync::{Arc, RwLock};

use anyhow::{Context as _, Result, bail};
use aya::{TestRun as _, TestRunOptions, programs::ProgramError};
use dglb_common::counters::Counters;
use dglb_user::{
    answer::{Answered, Answerer},
    kernel::Kernel,
};

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
    out: Vec<u8>,
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

    fn of(kernel: Kernel) -> Result<Self> {
        Ok(Self {
            kernel,
            out: vec![0; 4096],
        })
    }

    /// The program with its maps.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// Runs one frame of at least [`SHORTEST`] octets through.
    ///
    /// # Errors
    /// The kernel could not run it, or the verdict is none of ours (ABORTED is 0).
    pub fn run(&mut self, frame: &[u8]) -> Result<Verdict> {
        let (verdict, len) = self.run_once(frame).context("BPF_PROG_TEST_RUN")?;
        let octets = || self.out[..len].to_vec();
        Ok(match verdict {
            XDP_PASS => Verdict::Pass(octets()),
            XDP_DROP => Verdict::Drop,
            XDP_TX => Verdict::Reply(octets()),
            other => bail!("verdict {other}"),
        })
    }

    fn run_once(&mut self, frame: &[u8]) -> Result<(u32, usize), ProgramError> {
        let program = self.kernel.program().map_err(|_| ProgramError::NotLoaded)?;
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut self.out),
            ..TestRunOptions::new()
        })?;
        Ok((result.return_value, result.data_size_out as usize))
    }

    /// What the program has counted, over all CPUs.
    ///
    /// # Errors
    /// What aya said.
    pub fn counters(&self) -> Result<Counters> {
        Ok(self.kernel.counters()?)
    }
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
