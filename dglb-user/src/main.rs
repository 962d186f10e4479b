//! The binary `dglb`: reads the command line and calls the library.

use std::{
    io::{self, Write as _},
    net::IpAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand, ValueEnum};
use dglb_user::{
    check, config::Family, explain, history, name::OwnerName, overrides, policy::OverrideKind,
    probe, reload, run, sites, stats, unload, verify,
};
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

/// Global load balancing by DNS, measured from beside the clients and answered in the kernel.
///
/// The exit code is 0 when all is well, 1 when it is not (what, is said on standard error), 2 when the
/// command line is wrong.
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
    /// Show the sites as the running daemon sees them: state, figures, orders, share of answers.
    Sites {
        #[command(flatten)]
        node: NodeFile,
        /// Only those of this balanced name.
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say why a client gets the answer that it gets.
    ///
    /// The answer is followed through the live kernel tables; why the sites were chosen so, the running
    /// daemon says. Without a daemon the kernel's part is shown.
    Explain {
        #[command(flatten)]
        node: NodeFile,
        /// The name that is asked for.
        name: OwnerName,
        /// The address that the query comes from: a resolver's.
        #[arg(long, value_name = "ADDRESS")]
        from: IpAddr,
        /// What the query says by Client Subnet.
        #[arg(long, value_name = "PREFIX")]
        subnet: Option<IpNet>,
        /// The type that is asked for.
        #[arg(
            long = "type",
            value_name = "TYPE",
            value_enum,
            ignore_case = true,
            default_value = "A"
        )]
        qtype: QueryType,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what was measured of a site in the last hours, and when it changed its state and why.
    History {
        #[command(flatten)]
        node: NodeFile,
        #[command(flatten)]
        which: Which,
        /// Print a JSON list, one entry a service and address.
        #[arg(long)]
        json: bool,
    },
    /// Send no client to a site any more, whatever the probes say.
    ///
    /// The daemon keeps the order over a restart.
    Drain {
        #[command(flatten)]
        node: NodeFile,
        #[command(flatten)]
        which: Which,
        /// Why, in one line; shown wherever the site is shown.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For how long: "2h", "30m"; until it is taken back if not said.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        length: Option<Duration>,
    },
    /// Take back what was ordered for a site: the probes count again.
    Undrain {
        #[command(flatten)]
        node: NodeFile,
        #[command(flatten)]
        which: Which,
    },
    /// Take a site for up or down, whatever the probes say; "auto" takes that back.
    Force {
        #[command(flatten)]
        node: NodeFile,
        #[command(flatten)]
        which: Which,
        /// What it is to be taken for.
        state: Forced,
        /// Why, in one line; shown wherever the site is shown.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For how long: "2h", "30m"; until it is taken back if not said.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        length: Option<Duration>,
    },
    /// Have the running daemon read its configuration file anew.
    ///
    /// What is wrong with the file is said, and the daemon keeps what it has; the exit code is 1 then.
    Reload {
        #[command(flatten)]
        node: NodeFile,
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

/// Types of addresses.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum QueryType {
    /// IPv4.
    #[value(name = "A")]
    A,
    /// IPv6.
    #[value(name = "AAAA")]
    Aaaa,
}

impl QueryType {
    fn family(self) -> Family {
        match self {
            Self::A => Family::Ipv4,
            Self::Aaaa => Family::Ipv6,
        }
    }
}

/// Which site.
#[derive(Debug, clap::Args)]
struct Which {
    /// The site's name, as the configuration has it.
    site: String,
    /// Only in this balanced name; in all that have the site if not said.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

impl Which {
    fn as_asked(&self) -> overrides::Which<'_> {
        overrides::Which {
            site: &self.site,
            service: self.service.as_deref(),
        }
    }
}

/// What a site is taken for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Forced {
    /// Up.
    Up,
    /// Down.
    Down,
    /// What the probes say.
    Auto,
}

impl Forced {
    fn kind(self) -> Option<OverrideKind> {
        match self {
            Self::Up => Some(OverrideKind::Up),
            Self::Down => Some(OverrideKind::Down),
            Self::Auto => None,
        }
    }
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
        Command::Sites {
            node,
            service,
            json,
        } => sites::run(&node.config, service.as_deref(), json, &mut out)?,
        Command::Explain {
            node,
            name,
            from,
            subnet,
            qtype,
            json,
        } => {
            let question = explain::Question {
                name,
                from,
                subnet,
                family: qtype.family(),
            };
            explain::run(&node.config, &question, json, &mut out)?;
        }
        Command::History { node, which, json } => history::run(
            &node.config,
            &which.site,
            which.service.as_deref(),
            json,
            &mut out,
        )?,
        Command::Drain {
            node,
            which,
            reason,
            length,
        } => {
            let order = overrides::Order {
                kind: Some(OverrideKind::Drained),
                reason: &reason,
                for_: length,
            };
            overrides::run(&node.config, which.as_asked(), order, &mut out)?;
        }
        Command::Undrain { node, which } => {
            let order = overrides::Order {
                kind: None,
                reason: "",
                for_: None,
            };
            overrides::run(&node.config, which.as_asked(), order, &mut out)?;
        }
        Command::Force {
            node,
            which,
            state,
            reason,
            length,
        } => {
            let order = overrides::Order {
                kind: state.kind(),
                reason: &reason,
                for_: length,
            };
            overrides::run(&node.config, which.as_asked(), order, &mut out)?;
        }
        Command::Reload { node } => return reload::run(&node.config, &mut out),
        Command::Verify { node, json } => return verify::run(&node.config, json, &mut out),
        Command::Unload { node } => unload::run(&node.config, &mut out)?,
    }
    Ok(true)
}
