//! `cargo xtask bench`: the product's program against a bare XDP reflector.
//!
//! Two interfaces of a veth pair stand in two network namespaces ([`wire`]). On one CPU, a generator
//! sends queries from the asking side ([`traffic`]), the program of the answering side
//! ([`answering`]) sends each back, and a checker at the asking side compares and counts it. What is
//! asked and expected stands in [`measure`]. All measures take turns, round by round, so that a busy
//! host meets all of them; a share compares two runs of the same round ([`report`]).

pub mod answering;
pub mod cli;
pub mod measure;
pub mod report;
pub mod traffic;
pub mod wire;

use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use dglb_user::config::Rate;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use self::{
    answering::{Answering, all_in_row},
    measure::Measure,
    report::Report,
    traffic::{MIN_FRAMES, Traffic},
    wire::Wire,
};
use crate::{lab_object, model::Model};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds; each runs every measure once.
    pub rounds: usize,
    /// Frames of a run.
    pub frames: u32,
    /// Limit of the prefix that asks: [`measure::RAISED`], but where a test wants the limit to be met.
    pub rate: Rate,
}

/// Measures, on a thread of its own, which moves into namespaces that end with it. `progress` is
/// told before each round.
///
/// # Errors
/// No rights, a kernel without a needed feature, or one frame that was lost, limited, passed up or
/// answered wrongly: the message names measure and round.
pub fn run(
    reflector: &Measure,
    measures: &[Measure],
    options: Options,
    progress: impl Fn(usize) + Send,
) -> Result<Report> {
    ensure!(options.rounds > 0, "no rounds: at least 1 is needed");
    ensure!(
        u64::from(options.frames) >= MIN_FRAMES,
        "{} frames a run are too few: at least {MIN_FRAMES} are needed",
        options.frames
    );
    thread::scope(|scope| {
        scope
            .spawn(|| measure_here(reflector, measures, options, progress))
            .join()
            .map_err(|_| anyhow!("the benchmark's thread panicked"))?
    })
}

fn measure_here(
    reflector: &Measure,
    measures: &[Measure],
    options: Options,
    progress: impl Fn(usize),
) -> Result<Report> {
    let object = lab_object::object()?;
    stay_on_one_cpu()?;
    // Whoever else wants this CPU waits. Without the right to this the figures are only less steady.
    let _ = rustix::process::setpriority_process(None, -20);
    let wire = Wire::connect()?;
    let mut bench = Bench {
        answering: Answering::load(&object, &wire, options.rate)?,
        traffic: Traffic::load(&object)?,
        options,
    };
    let mut bare = Vec::new();
    let mut times: Vec<_> = measures.iter().map(|own| (own.name, Vec::new())).collect();
    for round in 0..options.rounds {
        progress(round);
        let mut time = |measure: &Measure| {
            bench
                .time(measure)
                .with_context(|| format!("{}, round {}", measure.name, round + 1))
        };
        bare.push(time(reflector)?);
        for (measure, (_, times)) in measures.iter().zip(&mut times) {
            times.push(time(measure)?);
        }
    }
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    Ok(Report::new(kernel, &bare, &times))
}

struct Bench {
    answering: Answering,
    traffic: Traffic,
    options: Options,
}

impl Bench {
    /// Runs a measure once, with all checks; gives the nanoseconds of a frame.
    fn time(&mut self, measure: &Measure) -> Result<f64> {
        self.answering.switch_to(measure.server)?;
        let before = self.answering.counters(measure.server)?;
        let run = self.traffic.run(measure, self.options.frames);
        let after = self.answering.counters(measure.server)?;
        // First, as it says more than that a reply is missing.
        all_in_row(measure, self.options.frames, &before, &after)?;
        let run = run?;
        if let (Some(model), Some(row)) = (self.model(measure), measure.row) {
            let query = measure.query_of(&run.sample);
            measure::judge(&model, row, &query, &run.sample)
                .context("the sample is wrong, though all replies are as expected")?;
        }
        Ok(run.ns)
    }

    fn model(&self, measure: &Measure) -> Option<Model> {
        measure::model(measure.server, self.options.rate)
    }
}

/// Binds the thread to the last CPU that it may use: interrupts prefer the first.
fn stay_on_one_cpu() -> Result<()> {
    let allowed = sched_getaffinity(None).context("cannot read the CPU affinity")?;
    let last = (0..CpuSet::MAX_CPU)
        .rev()
        .find(|&cpu| allowed.is_set(cpu))
        .context("no CPU is allowed")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).context("cannot set the CPU affinity")
}
