//! The command line of `dglb-bench`.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;

use super::{Options, Plan, million, peers, repeated, servers, svg};

/// Measures answers in XDP against a bare XDP reflector, over a veth pair, on one core
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", version)]
struct Arguments {
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
    /// Also draw the figures into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure instead what each stage of the program costs: nanoseconds of frames that leave it there
    #[arg(long = "where", conflicts_with = "peers")]
    stages: bool,
    /// Then compare with other DNS servers that are installed, all asked by kxdpgun; not in the JSON
    #[arg(long)]
    peers: bool,
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
    let (rounds, frames) = if arguments.quick {
        (7, FRAMES / 5)
    } else {
        (25, FRAMES)
    };
    let rounds = arguments.rounds.map_or(rounds, usize::from);
    let mut plan = Plan::all(Options {
        rounds,
        frames,
        rate: servers::RAISED,
        million: million::FULL.filter(|_| !arguments.stages),
    })?;
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
