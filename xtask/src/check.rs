//! `cargo xtask ci`: formatting, clippy and rustdoc with warnings as errors, then `test`.

use anyhow::{Context as _, Result, bail};

use crate::{
    build, process,
    setup::{self, Scope},
    test,
    workspace::Workspace,
};

/// The cheapest first; it ends as `cargo xtask test` does.
///
/// # Errors
/// A check failed.
pub fn ci(workspace: &Workspace) -> Result<()> {
    must_have("fmt", "rustfmt")?;
    must_have("clippy", "clippy")?;
    cargo(
        workspace,
        &["fmt", "--all", "--check"],
        "the code is not formatted: run cargo fmt",
    )?;
    // The kernel program first, so that user space is checked with it inside.
    let toolchain = setup::ensure(Scope::Lab)?;
    build::kernel_programs(workspace, &toolchain)?;
    cargo(
        workspace,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
        "clippy has something to say",
    )?;
    cargo(
        workspace,
        &["doc", "--workspace", "--no-deps"],
        "rustdoc has something to say",
    )?;
    test::verb(workspace, &[])
}

fn cargo(workspace: &Workspace, arguments: &[&str], failure: &'static str) -> Result<()> {
    eprintln!("==> cargo {}", arguments.join(" "));
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(arguments)
        .env("RUSTDOCFLAGS", "--deny warnings");
    process::run_aside(&mut cargo).context(failure)
}

fn must_have(subcommand: &str, component: &str) -> Result<()> {
    if process::output(process::cargo().get_program(), &[subcommand, "--version"]).is_none() {
        bail!(
            "cargo {subcommand} is not installed for this toolchain: \
             rustup component add {component}"
        );
    }
    Ok(())
}
