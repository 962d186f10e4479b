//! The binary `dglb`: reads the command line and calls the library.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use dglb_user::{check, probe, run, stats, unload, verify};
use tracing_subscriber::EnvFilter;

/// Global load balancing by DNS, measured from beside the clients and answered in the kernel.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load and attach the kernel program and serve, in the foreground, until SIGTERM or SIGINT.
    ///
    /// What the kernel answers goes on after that; `dglb unload` ends it.
    Run {
        #[command(flatten)]
        node: NodeFile,
    },
    /// Say what is wrong with a configuration file, or what the node would do.
    Check {
        #[command(flatten)]
        node: NodeFile,
        /// Check the file alone, not whether this machine can run it.
        #[arg(long)]
        offline: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what was answered, in the kernel and in user space, and what is known.
    Stats {
        #[command(flatten)]
        node: NodeFile,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Hold what the kernel program looks up against the tables that people read.
    ///
    /// The exit code is 1 when they differ.
    Verify {
        #[command(flatten)]
        node: NodeFile,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Probe sites on behalf of `dglb run`, which starts this by itself.
    #[command(hide = true)]
    Probe {
        /// The account to become.
        #[arg(long)]
        user: String,
        /// Probes at once.
        #[arg(long)]
        concurrency: usize,
        /// Certificates that are trusted, PEM; without it those of the system.
        #[arg(long)]
        ca_file: Option<PathBuf>,
    },
    /// Detach the kernel program and remove the node's tables, whether the daemon runs or not.
    Unload {
        #[command(flatten)]
        node: NodeFile,
    },
}

#[derive(Debug, clap::Args)]
struct NodeFile {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("DGLB_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .init();
    match execute(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error may be closed: there is nobody to tell then.
            let _ = writeln!(io::stderr(), "dglb: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn execute(command: Command) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match command {
        Command::Run { node } => {
            drop(out);
            run::run(&node.config)?;
        }
        Command::Check {
            node,
            offline,
            json,
        } => return check::run(&node.config, offline, json, &mut out),
        Command::Stats { node, json } => stats::run(&node.config, json, &mut out)?,
        Command::Probe {
            user,
            concurrency,
            ca_file,
        } => {
            drop(out);
            let options = probe::process::Options {
                user,
                concurrency,
                ca_file,
            };
            probe::process::run(&options)?;
        }
        Command::Verify { node, json } => return verify::run(&node.config, json, &mut out),
        Command::Unload { node } => unload::run(&node.config, &mut out)?,
    }
    Ok(true)
}
