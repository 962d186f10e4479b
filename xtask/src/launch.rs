//! The verbs that build and then become another program, with the rights that it needs.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::{
    build::{self, Profile},
    process,
    rights::{self, Rights},
    setup::{self, Scope},
    workspace::Workspace,
};

/// `cargo xtask load`: `dglb run` in the foreground.
///
/// # Errors
/// Something could not be built or started; otherwise `dglb` has taken our place.
pub fn load(workspace: &Workspace, config: &Path, profile: Profile) -> Result<()> {
    must_exist(config)?;
    let toolchain = setup::ensure(Scope::Build)?;
    build::kernel_programs(workspace, &toolchain)?;
    let dglb = build::dglb(workspace, profile)?;
    become_dglb(&dglb, "run", config)
}

/// `cargo xtask unload`: with a `dglb` that is there, so that it works where nothing can be built.
///
/// # Errors
/// `dglb` could not be built or started; otherwise it has taken our place.
pub fn unload(workspace: &Workspace, config: &Path) -> Result<()> {
    must_exist(config)?;
    let built = [Profile::Debug, Profile::Release]
        .map(|profile| build::path_of(workspace, profile, "dglb"))
        .into_iter()
        .filter(|path| process::is_executable(path))
        .max_by_key(|path| {
            path.metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        });
    let dglb = match built {
        Some(dglb) => dglb,
        None => build::dglb(workspace, Profile::Debug)?,
    };
    become_dglb(&dglb, "unload", config)
}

/// `cargo xtask demo`: the program `dglb-demo` of the crate of tests.
///
/// # Errors
/// Something could not be built or started; otherwise the demo has taken our place.
pub fn demo(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    become_lab_program(workspace, Profile::Debug, "dglb-demo", arguments)
}

/// `cargo xtask bench`: the program `dglb-bench` of the crate of tests.
///
/// # Errors
/// Something could not be built or started; otherwise the benchmark has taken our place.
pub fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    become_lab_program(workspace, Profile::Release, "dglb-bench", arguments)
}

/// Tells a program of the lab where the built things are: `DGLB_BIN` is `dglb`,
/// `DGLB_EBPF_OBJECTS` the directory of kernel programs, one file a program.
pub fn built_things(workspace: &Workspace, dglb: &Path) -> [(&'static str, PathBuf); 2] {
    [
        ("DGLB_BIN", dglb.to_path_buf()),
        ("DGLB_EBPF_OBJECTS", workspace.kernel_objects()),
    ]
}

fn become_dglb(dglb: &Path, subcommand: &str, config: &Path) -> Result<()> {
    let mut command = Rights::find().command(dglb, &format!("dglb {subcommand}"))?;
    command.arg(subcommand).arg("--config").arg(config);
    Err(rights::become_command(&mut command))
}

fn become_lab_program(
    workspace: &Workspace,
    profile: Profile,
    name: &str,
    arguments: &[OsString],
) -> Result<()> {
    let toolchain = setup::ensure(Scope::Lab)?;
    build::kernel_programs(workspace, &toolchain)?;
    let dglb = build::dglb(workspace, profile)?;
    let program = build::program(workspace, profile, "dglb-tests", name)?;
    let mut command: Command = match Rights::find() {
        Rights::Root => {
            let mut command = Command::new(&program);
            command.envs(built_things(workspace, &dglb));
            command
        }
        rights => {
            let mut command = rights.command("env", name)?;
            for (variable, path) in built_things(workspace, &dglb) {
                let mut assignment = OsString::from(format!("{variable}="));
                assignment.push(path);
                command.arg(assignment);
            }
            command.arg(&program);
            command
        }
    };
    Err(rights::become_command(command.args(arguments)))
}

fn must_exist(config: &Path) -> Result<()> {
    if !config.is_file() {
        bail!("{}: there is no such configuration file", config.display());
    }
    Ok(())
}
