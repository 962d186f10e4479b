//! `dglb-fuzz`, which `cargo xtask fuzz` runs: the differential test for as long as one likes.

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use clap::Parser;

use super::{
    case::{self, Case},
    corpus, from_hex,
    path::InKernel,
    run::{Failure, Run},
};
use crate::frames::Frame;

/// Sends the same frames through the kernel program and through user space and compares.
#[derive(Parser)]
#[command(name = "cargo xtask fuzz", bin_name = "cargo xtask fuzz")]
struct Arguments {
    /// How many frames, over all cases
    #[arg(long, default_value_t = 1_000_000)]
    frames: usize,
    /// Where they begin; a random one is taken and printed otherwise
    #[arg(long)]
    seed: Option<u64>,
    /// This case alone
    #[arg(long)]
    case: Option<String>,
    /// This one frame, in hexadecimal digits; needs --case
    #[arg(long, requires = "case")]
    replay: Option<String>,
    /// The oracle judges one answer of so many
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    judge_every: u64,
    /// Another build of the kernel program: an ELF object
    #[arg(long)]
    object: Option<PathBuf>,
    /// Leave the corpus as it is, also where a frame fails
    #[arg(long)]
    keep_corpus: bool,
}

/// The whole program.
pub fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Found>() {
                ExitCode::from(FOUND)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// The exit status when a frame is not answered as it must be; `cargo xtask fuzz --planted` reads it.
const FOUND: u8 = 3;

/// Frames of a case that each of its rows must be among.
const ENOUGH: u64 = 10_000;

/// Frames are not answered as they must be.
#[derive(Debug)]
struct Found {
    failed: usize,
    cases: usize,
}

impl std::fmt::Display for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of {} cases failed", self.failed, self.cases)
    }
}

impl std::error::Error for Found {}

impl Arguments {
    fn run(&self) -> Result<()> {
        let cases = match &self.case {
            None => case::all(),
            Some(name) => vec![case::by_name(name).with_context(|| {
                let names: Vec<_> = case::all().iter().map(|case| case.name).collect();
                format!("no case \"{name}\"; there are {}", names.join(", "))
            })?],
        };
        let object = match &self.object {
            Some(path) => {
                let read = fs::read(path);
                Some(read.with_context(|| format!("cannot read {}", path.display()))?)
            }
            None => None,
        };
        let seed = self.seed.unwrap_or_else(any_seed);
        println!("seed {seed}");
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(Vec::new());
        let work = || {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.run_case(case, cases.len() == 1, seed, object.as_deref()) {
                    println!("{}: FAILED", case.name);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.push(error);
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads.min(cases.len()) {
                scope.spawn(work);
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = failed.len();
        for error in failed {
            let failure = error.downcast::<Failure>()?;
            eprintln!("{failure}");
            let is_one = !failure.frame.octets.is_empty();
            if is_one && !self.keep_corpus && self.replay.is_none() {
                let file = corpus::add(&corpus::directory(), &failure)?;
                eprintln!("it is kept in {}", file.display());
            }
        }
        if count == 0 {
            return Ok(());
        }
        let cases = cases.len();
        Err(Found {
            failed: count,
            cases,
        }
        .into())
    }

    fn run_case(&self, case: &Case, alone: bool, seed: u64, object: Option<&[u8]>) -> Result<()> {
        let start = Instant::now();
        let kernel = match object {
            Some(object) => InKernel::load_object(object, &case.model)?,
            None => InKernel::load(&case.model)?,
        };
        let before = kernel.counters()?;
        let mut run = Run::new(case, Some(kernel), self.judge_every);
        if let Some(octets) = &self.replay {
            let octets = from_hex(octets).context("--replay takes pairs of hexadecimal digits")?;
            run.check(&Frame::new("replayed", octets))?;
            println!("{}: in order, {:?}", case.name, run.tally);
            return Ok(());
        }
        for frame in corpus::load(&corpus::directory(), case.name)? {
            run.check(&frame)?;
        }
        run.sweep(seed)?;
        let percent = if alone { 100 } else { case.percent };
        run.random(seed, self.frames * percent / 100)?;
        // Of no one frame, but of all of them.
        let of_all = |error: anyhow::Error| Failure {
            case: case.name,
            frame: Frame::new("all of them", Vec::new()),
            what: format!("{error:#}"),
        };
        run.check_counters(&before).map_err(of_all)?;
        if run.tally.frames > ENOUGH {
            run.check_quotas(1).map_err(of_all)?;
        }
        let tally = &run.tally;
        let answered: Vec<String> = tally
            .answered
            .iter()
            .map(|(row, count)| format!("{} {count}", row.name()))
            .collect();
        println!(
            "{}: {} frames in {:.1} s, {} answers judged; {}; {} left to user space",
            case.name,
            tally.frames,
            start.elapsed().as_secs_f32(),
            tally.judged,
            answered.join(", "),
            tally.left_to_user_space
        );
        Ok(())
    }
}

fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |since| since.as_nanos() as u64)
}
