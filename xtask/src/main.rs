//! `cargo xtask VERB`: the one door for setting up, building, testing, showing and loading DGLB.
//!
//! Every verb first makes sure that what it needs is there (`setup`), so that a fresh clone on a
//! fresh machine needs no other step. What xtask itself says goes to standard error: standard
//! output belongs to the programs that it runs (`demo --json` must stay readable by machines).

mod build;
mod check;
mod fuzz;
mod launch;
mod old_kernel;
mod process;
mod rights;
mod setup;
mod test;
mod workspace;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{build::Profile, setup::Scope, workspace::Workspace};

/// Sets up, builds, tests, shows and loads DGLB.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what is missing: the compiler and linker for the kernel program, and the programs
    /// that demo and tests use. Every other verb does its part of this by itself
    Setup {
        /// Print the plan, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Build the kernel program, then `dglb` with the kernel program inside
    Build {
        /// Build `dglb` optimised (the kernel program always is)
        #[arg(long)]
        release: bool,
    },
    /// Build, then run all tests, those that need root too (through sudo)
    Test {
        /// Instead, run those that hold the kernel program to its answers on the newest of Debian's
        /// kernels of this version (6.1 is the oldest that DGLB is for), in an emulated machine.
        /// Takes some minutes, and needs no rights once the emulator is installed. x86-64 only
        #[arg(long, value_name = "VERSION")]
        kernel: Option<old_kernel::Version>,
        /// Handed to the test programs: a filter on test names, `--nocapture`, …
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Build, then `dglb run` in the foreground, with the rights it needs
    Load {
        /// The node's configuration file
        #[arg(long)]
        config: PathBuf,
        /// Build `dglb` optimised
        #[arg(long)]
        release: bool,
    },
    /// `dglb unload`: detach the kernel program and remove its pins, daemon running or not
    Unload {
        /// The node's configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Build, then show the whole chain in network namespaces of its own
    Demo {
        /// Handed to the demo: `--keep`, `--json`, …; `cargo xtask demo -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Build optimised, then measure against a bare XDP reflector
    Bench {
        /// Handed to the benchmark: `--json`, …; `cargo xtask bench -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Build optimised, then send the same frames through the kernel program and through user space
    Fuzz {
        /// Build each fault of tests/planted into the kernel program, and tell which are caught
        #[arg(long)]
        planted: bool,
        /// Handed to the program: `--frames N`, `--seed S`, …; `cargo xtask fuzz -- --help` lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// What CI runs: formatting, clippy and rustdoc with warnings as errors, then `test`
    Ci,
    /// Run a program with root's rights, if it is a test of a crate that needs them
    #[command(hide = true)]
    TestRunner {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Be the first process of the virtual machine of `test --kernel`
    #[command(hide = true)]
    TestGuest,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<()> {
    let workspace = Workspace::locate()?;
    match verb {
        Verb::Setup { dry_run } => setup::verb(dry_run),
        Verb::Build { release } => {
            let profile = Profile::from_flag(release);
            let toolchain = setup::ensure(Scope::Build)?;
            build::kernel_programs(&workspace, &toolchain)?;
            let dglb = build::dglb(&workspace, profile)?;
            eprintln!("built: {}", dglb.display());
            Ok(())
        }
        Verb::Test { kernel, arguments } => match kernel {
            None => test::verb(&workspace, &arguments),
            Some(version) => old_kernel::verb(&workspace, version, &arguments),
        },
        Verb::Load { config, release } => {
            launch::load(&workspace, &config, Profile::from_flag(release))
        }
        Verb::Unload { config } => launch::unload(&workspace, &config),
        Verb::Demo { arguments } => launch::demo(&workspace, &arguments),
        Verb::Bench { arguments } => launch::bench(&workspace, &arguments),
        Verb::Fuzz { planted, arguments } => fuzz::verb(&workspace, planted, &arguments),
        Verb::Ci => check::ci(&workspace),
        Verb::TestRunner { command } => test::runner(&command),
        Verb::TestGuest => old_kernel::guest::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn words_after_demo_reach_the_demo() {
        let parsed = Arguments::try_parse_from(["cargo xtask", "demo", "--json", "--keep"]);
        match parsed.map(|arguments| arguments.verb) {
            Ok(Verb::Demo { arguments }) => assert_eq!(arguments, ["--json", "--keep"]),
            _ => panic!("not read as the verb demo"),
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            &["cargo xtask"][..],
            &["cargo xtask", "frobnicate"],
            &["cargo xtask", "load"],
            &["cargo xtask", "unload", "--config"],
            &["cargo xtask", "setup", "now"],
            &["cargo xtask", "test", "filter-without-dashes"],
            &["cargo xtask", "test", "--kernel"],
            &["cargo xtask", "test", "--kernel", "old"],
        ] {
            assert!(Arguments::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
