//! The command line of `dglb-bench`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use super::{Options, measure};

/// Measures answers in XDP against a bare XDP reflector, over a veth pair, on one core
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", version)]
struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Rounds; each runs every measure once, and medians are taken over them
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// A fifth of the frames
    #[arg(long)]
    quick: bool,
}

/// Frames of a run: half a second or less.
const FRAMES: u32 = 1_500_000;

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
    let rounds = usize::from(arguments.rounds);
    let options = Options {
        rounds,
        frames: if arguments.quick { FRAMES / 5 } else { FRAMES },
    };
    let (reflector, measures) = measure::all()?;
    let report = super::run(&reflector, &measures, options, |round| {
        eprintln!("round {} of {rounds}", round + 1);
    })?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
