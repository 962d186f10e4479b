//! `cargo xtask bench`: the product's program against a bare XDP reflector.
//!
//! Two interfaces of a veth pair stand in two network namespaces ([`wire`]). A generator sends queries
//! from the asking side ([`traffic`]), the program of the answering side ([`answering`]) sends each back,
//! and a checker at the asking side compares and counts it, all on one CPU. Who answers stands in
//! [`servers`], what is asked and expected in [`measure`] and [`stream`]. What is passed up is measured
//! by repeating ([`repeated`]). All measures take turns, round by round ([`rounds`]), so that a busy host
//! meets all of them; a share compares two runs of the same round ([`report`]). [`peers`] compares with
//! other servers, by another generator. [`measuring`] stands apart: what probing and choosing cost.

pub mod answering;
pub mod bars;
pub mod cli;
pub mod frame;
pub mod measure;
pub mod measuring;
pub mod million;
pub mod names;
pub mod peers;
pub mod publish;
pub mod random;
pub mod repeated;
pub mod report;
pub mod rounds;
pub mod servers;
pub mod stream;
pub mod svg;
pub mod traffic;
pub mod wire;

use std::{sync::Arc, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use dglb_user::config::Rate;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use self::{
    measure::{Maker, Measure},
    million::Million,
    repeated::Repeated,
    report::Report,
    servers::Servers,
    traffic::MIN_FRAMES,
};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds; each runs every measure once.
    pub rounds: usize,
    /// Frames of a run.
    pub frames: u32,
    /// Limit of those who ask: [`servers::RAISED`], but where a test wants the limit to be met.
    pub rate: Rate,
    /// How many exact addresses and prefixes are tried against who asks, where that is measured:
    /// [`million::FULL`].
    pub million: Option<(usize, usize)>,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How much.
    pub options: Options,
    /// Who is asked.
    pub servers: Arc<Servers>,
    /// Measures that are a share of the reflector. Of the first one, what it costs above the reflector
    /// is a measure too, and how it fares on two queues.
    pub shares: Vec<Measure>,
    /// Names of many shapes, each list with a typical one first.
    pub shapes: Vec<Vec<Measure>>,
    /// What is passed up.
    pub repeated: Vec<Repeated>,
    /// Whether two queues are compared with one.
    pub two_queues: bool,
}

impl Plan {
    /// All measures.
    ///
    /// # Errors
    /// User space has no such answer, or the oracle says that it is wrong.
    pub fn all(options: Options) -> Result<Self> {
        let million = options.million;
        let million = million.map(|(exact, prefixes)| Million::of_size(exact, prefixes));
        let servers = Servers::new(options.rate, million.as_ref());
        let maker = Maker {
            servers: &servers,
            million: million.as_ref(),
            frames: options.frames,
        };
        Ok(Self {
            shares: maker.shares()?,
            shapes: maker.shapes()?.into(),
            repeated: repeated::passed(&servers)?,
            two_queues: true,
            options,
            servers: Arc::new(servers),
        })
    }
}

/// Measures, on a thread of its own, which moves into namespaces that end with it. `progress` is
/// told before each round.
///
/// # Errors
/// No rights, a kernel without a needed feature, or one frame that was lost, limited, passed up or
/// answered wrongly: the message names measure and round.
pub fn run(plan: &Plan, progress: impl Fn(usize) + Send) -> Result<Report> {
    let Options { rounds, frames, .. } = plan.options;
    ensure!(rounds > 0, "no rounds: at least 1 is needed");
    ensure!(
        u64::from(frames) >= MIN_FRAMES,
        "{frames} frames a run are too few: at least {MIN_FRAMES} are needed"
    );
    thread::scope(|scope| {
        scope
            .spawn(|| rounds::measure(plan, progress))
            .join()
            .map_err(|_| anyhow!("the benchmark's thread panicked"))?
    })
}

/// The CPUs of a run on two queues: the last one that is allowed, as interrupts prefer the first, and
/// the last of those that have another queue of two.
fn cpus() -> Result<(usize, Option<usize>)> {
    let allowed = sched_getaffinity(None).context("cannot read the CPU affinity")?;
    let mut from_last = (0..CpuSet::MAX_CPU)
        .rev()
        .filter(|&cpu| allowed.is_set(cpu));
    let last = from_last.next().context("no CPU is allowed")?;
    Ok((last, from_last.find(|cpu| cpu % 2 != last % 2)))
}

/// Binds the thread to a CPU.
fn stay_on(cpu: usize) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).context("cannot set the CPU affinity")
}
