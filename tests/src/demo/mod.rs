//! `dglb-demo`: the main job, seen. Real resolvers are led to their DNS-LBs and to the best site;
//! then the best site dies, then a DNS-LB falls silent, and the clients move.
//!
//! `cargo xtask demo` builds everything and runs this as root.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

mod events;
mod keep;
mod policy;
mod report;
mod run;
mod screen;
mod tables;
mod watch;

use crate::lab::site::{self, Delay};
use screen::Screen;
use watch::Watch;

/// When the demo is ended, whatever it waits for.
const LIMIT: Duration = Duration::from_secs(115);

/// Shows the whole chain in network namespaces of this machine. Needs root.
#[derive(Debug, Parser)]
#[command(name = "dglb-demo")]
struct Cli {
    /// Print the outcome as JSON on standard output; the screen goes to standard error.
    #[arg(long)]
    json: bool,
    /// Leave everything running afterwards, print what to try, and end at Ctrl-C.
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A mirror's HTTP server; the demo starts these itself.
    #[command(hide = true)]
    Site {
        #[arg(long)]
        name: String,
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long, value_name = "NETWORK=MILLISECONDS")]
        delay: Vec<Delay>,
    },
}

/// The whole program. Its exit code is 0 only if all was seen.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Site {
            name,
            listen,
            delay,
        }) => site::serve(&name, listen, &delay).map(|()| true),
        None => demo(cli.json, cli.keep),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("dglb-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(json: bool, keep: bool) -> Result<bool> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the demo makes network namespaces, which needs root: run it as `cargo xtask demo`, which \
         asks for it"
    );
    let watch = Watch::new(Screen::new(json));
    let mut ended = run::run_within(&watch, LIMIT)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&ended.report)?);
    }
    for complaint in ended.report.complaints() {
        eprintln!("not as it should be: {complaint}");
    }
    if keep {
        keep::keep(&mut ended.chain)?;
    }
    Ok(ended.report.ok)
}
