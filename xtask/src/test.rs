//! `cargo xtask test`: all tests, those that need root too.
//!
//! The contract with the tests: one that cannot run calls `dglb_tests::skip(reason)`, which prints
//! `SKIPPED: reason`, and panics where `DGLB_SKIP_IS_FAILURE=1` is set. We set it in CI.

use std::{
    env,
    ffi::{OsStr, OsString},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    build::{self, Profile},
    launch, process,
    rights::{self, Rights},
    setup::{self, Scope},
    workspace::Workspace,
};

/// The crates whose tests touch the kernel. The others run as the user who runs us.
const CRATES_THAT_NEED_ROOT: [&str; 2] = ["dglb-user", "dglb-tests"];

/// Builds, then becomes `cargo test`, so that its summary is the last that is seen.
///
/// # Errors
/// Something could not be built or started.
pub fn verb(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let toolchain = setup::ensure(Scope::Lab)?;
    build::kernel_programs(workspace, &toolchain)?;
    let dglb = build::dglb(workspace, Profile::Debug)?;

    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["test", "--workspace", "--no-fail-fast", "--target-dir"])
        .arg(&workspace.target)
        .envs(launch::built_things(workspace, &dglb));
    if in_ci(env::var_os("CI").as_deref()) {
        cargo.env("DGLB_SKIP_IS_FAILURE", "1");
    }
    match Rights::find() {
        Rights::Root => {}
        rights @ Rights::Sudo(_) => {
            rights::ask_early(&rights, "testing the kernel program")?;
            cargo.arg("--config").arg(runner_setting()?);
        }
        Rights::None => eprintln!(
            "warning: not root, and sudo is not installed: tests that need root will be skipped"
        ),
    }
    if !arguments.is_empty() {
        cargo.arg("--").args(arguments);
    }
    Err(rights::become_command(&mut cargo))
}

/// What cargo runs each test program through when we are not root.
///
/// # Errors
/// The program could not be started; otherwise it has taken our place.
pub fn runner(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command
        .split_first()
        .context("no program to run was given")?;
    let needs_root = env::var("CARGO_PKG_NAME")
        .is_ok_and(|package| CRATES_THAT_NEED_ROOT.contains(&package.as_str()));
    let mut command = if needs_root {
        Rights::find().command(program, "this test program")?
    } else {
        Command::new(program)
    };
    Err(rights::become_command(command.args(arguments)))
}

/// Cargo's setting that names us as runner; a list, as our path may hold spaces.
fn runner_setting() -> Result<String> {
    let xtask = env::current_exe().context("cannot find this program's own path")?;
    Ok(format!(
        "target.'cfg(all())'.runner=[{:?}, 'test-runner']",
        xtask.to_string_lossy()
    ))
}

/// CI services set `CI=true`; some people set `CI=false` or leave it empty to turn that off.
fn in_ci(ci: Option<&OsStr>) -> bool {
    ci.is_some_and(|value| !["", "0", "false"].map(OsStr::new).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_is_on_where_it_is_set_and_not_denied() {
        for value in ["true", "1", "yes"] {
            assert!(in_ci(Some(OsStr::new(value))), "{value}");
        }
        for value in ["", "0", "false"] {
            assert!(!in_ci(Some(OsStr::new(value))), "{value}");
        }
        assert!(!in_ci(None));
    }

    #[test]
    fn a_runner_without_a_program_is_refused() {
        assert!(runner(&[]).is_err());
    }
}
