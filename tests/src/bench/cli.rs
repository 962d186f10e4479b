//! The command line of `dglb-bench`.

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use super::{
    Options, Plan, measuring,
    million::{self, Million},
    peers, publish, repeated, servers, svg,
};

/// Measures answers in XDP against a bare XDP reflector, over a veth pair, on one core
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask bench",
    version,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Rounds; each runs every measure once, and medians are taken over them [default: 25, with
    /// --quick 7]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Fewer and shorter rounds
    #[arg(long)]
    quick: bool,
    /// Only this measure of those that are a share of the reflector, and nothing else; may be given again
    #[arg(long, value_name = "MEASURE", conflicts_with = "stages")]
    only: Vec<String>,
    /// Also draw the figures into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure instead what each stage of the program costs: nanoseconds of frames that leave it there
    #[arg(long = "where", conflicts_with = "peers")]
    stages: bool,
    /// Measure instead what it takes to fill and change the tables of a million resolvers
    #[arg(long, conflicts_with_all = ["peers", "stages", "only"])]
    publish: bool,
    /// Then compare with other DNS servers that are installed, all asked by kxdpgun; not in the JSON
    #[arg(long)]
    peers: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Measure instead what probing 40,000 targets costs, how late probes and changes are, and how long
    /// the ranking of 10,000 services takes
    Measure {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// Seconds after the warm-up
        #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..))]
        seconds: u64,
    },
    /// The servers of the sites that are probed; started by `measure` itself
    #[command(hide = true)]
    Sites,
}

impl Arguments {
    /// Whether a measure whose name begins so is to be taken.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.starts_with(name))
    }
}

/// Frames of a run, about a tenth of a second: short, so that the runs that are compared meet the
/// same state of the host.
const FRAMES: u32 = 500_000;

/// Runs the program.
pub fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    match arguments.what {
        Some(What::Measure { json, seconds }) => {
            return measure(json, Duration::from_secs(seconds));
        }
        Some(What::Sites) => return measuring::sites::serve(),
        None => {}
    }
    let (rounds, frames) = if arguments.quick {
        (7, FRAMES / 5)
    } else {
        (25, FRAMES)
    };
    if arguments.publish {
        let million = Million::of_size(million::EXACT, million::PREFIXES);
        print!("{}", publish::measure(&million)?);
        return Ok(());
    }
    let rounds = arguments.rounds.map_or(rounds, usize::from);
    let mut plan = Plan::all(Options {
        rounds,
        frames,
        rate: servers::RAISED,
        million: million::FULL.filter(|_| !arguments.stages && arguments.wants("b-referral-1m")),
    })?;
    if !arguments.only.is_empty() {
        plan.shares.retain(|share| arguments.wants(share.name));
        ensure!(!plan.shares.is_empty(), "there is no such measure");
        plan.shapes.clear();
        plan.two_queues = false;
        plan.repeated.clear();
    }
    if arguments.stages {
        plan.shares.truncate(1);
        plan.shapes.clear();
        plan.two_queues = false;
        plan.repeated = repeated::stages(&plan.servers)?;
    }
    let report = super::run(&plan, |round| {
        eprintln!("round {} of {rounds}", round + 1);
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    if let Some(file) = &arguments.svg {
        fs::write(file, svg::draw(&report))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.peers {
        peers::compare()?;
    }
    Ok(())
}

fn measure(json: bool, window: Duration) -> Result<()> {
    let report = measuring::run(window, |step| eprintln!("{step}"))?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
