//! Building: the kernel programs with the chosen compiler, then the host's programs with the
//! user's cargo.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{process, setup::Toolchain, workspace::Workspace};

/// The kernel's view of this machine: BPF, little-endian.
const KERNEL_TARGET: &str = "bpfel-unknown-none";

/// Flags for the kernel programs:
/// - line information, so that the verifier's log names source lines;
/// - BTF, the type information that typed maps are made of;
/// - an unaligned word is read in one load, not eight: the kernel allows it on packets where the
///   processor does. Given to the linker, which generates the code; rustc would warn of it.
const KERNEL_FLAGS: [&str; 3] = [
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
];

/// How the host's programs are built.
#[derive(Clone, Copy)]
pub enum Profile {
    /// Quick to build.
    Debug,
    /// Quick to run.
    Release,
}

impl Profile {
    /// From the flag `--release`.
    pub fn from_flag(release: bool) -> Self {
        if release { Self::Release } else { Self::Debug }
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Debug => &[],
            Self::Release => &["--release"],
        }
    }
}

/// Builds all programs of `dglb-ebpf` and lays them down in [`Workspace::kernel_objects`].
///
/// # Errors
/// The build fails, or its result cannot be copied.
pub fn kernel_programs(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    let compiler = &toolchain.compiler;
    let mut cargo = compiler
        .cargo
        .as_ref()
        .map_or_else(process::cargo, Command::new);
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--release", "--package", "dglb-ebpf", "--bins"])
        .args([
            "--target",
            KERNEL_TARGET,
            "-Z",
            "build-std=core",
            "--target-dir",
        ])
        .arg(workspace.kernel_target())
        .env("RUSTC", &compiler.rustc)
        // build-std is an unstable flag; this lets a stable toolchain take it.
        .env("RUSTC_BOOTSTRAP", "1")
        // These stand above whatever the user has set for the host.
        .env("CARGO_ENCODED_RUSTFLAGS", KERNEL_FLAGS.join("\u{1f}"))
        .env(
            "CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER",
            &toolchain.linker.path,
        );
    process::run_aside(&mut cargo)
        .with_context(|| format!("the kernel program was not built (with {compiler})"))?;
    publish(
        &workspace
            .kernel_target()
            .join(KERNEL_TARGET)
            .join("release"),
        &workspace.kernel_objects(),
    )
}

/// Builds `dglb`, with the kernel program inside; returns its path.
///
/// # Errors
/// The build fails.
pub fn dglb(workspace: &Workspace, profile: Profile) -> Result<PathBuf> {
    program(workspace, profile, "dglb-user", "dglb")
}

/// Builds one program of the host; returns its path.
///
/// # Errors
/// The build fails.
pub fn program(
    workspace: &Workspace,
    profile: Profile,
    package: &str,
    name: &str,
) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--package", package, "--bin", name, "--target-dir"])
        .arg(&workspace.target)
        .args(profile.flags());
    process::run_aside(&mut cargo).with_context(|| format!("{name} was not built"))?;
    Ok(path_of(workspace, profile, name))
}

/// Where a program of the host is, once it is built.
pub fn path_of(workspace: &Workspace, profile: Profile, name: &str) -> PathBuf {
    workspace.target.join(profile.directory()).join(name)
}

/// Copies the built programs (files without extension) to where user space takes them from. One
/// that is the same as before is left alone, so that `dglb` is not linked again for nothing.
fn publish(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().filter(|_| is_program(&path)) else {
            continue;
        };
        let object = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let target = to.join(name);
        if fs::read(&target).is_ok_and(|present| present == object) {
            continue;
        }
        // Written beside and renamed: nobody ever sees half of it.
        let beside = to.join(format!(".{}.new", name.display()));
        fs::write(&beside, &object)
            .and_then(|()| fs::rename(&beside, &target))
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

fn is_program(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_none() && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changed_programs_are_laid_down_anew() {
        let directory = std::env::temp_dir().join(format!("xtask-publish-{}", std::process::id()));
        let (from, to) = (directory.join("from"), directory.join("to"));
        fs::create_dir_all(from.join("deps")).unwrap();
        for (name, content) in [
            ("one", "1"),
            ("two", "2"),
            ("one.d", "x"),
            (".cargo-lock", "x"),
        ] {
            fs::write(from.join(name), content).unwrap();
        }
        publish(&from, &to).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for name in ["one", "two"] {
            let file = fs::File::options().write(true).open(to.join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        fs::write(from.join("two"), "changed").unwrap();
        publish(&from, &to).unwrap();
        let modified = |name| fs::metadata(to.join(name)).unwrap().modified().unwrap();
        assert_eq!(modified("one"), long_ago);
        assert!(modified("two") > long_ago);
        assert_eq!(fs::read_to_string(to.join("two")).unwrap(), "changed");
        assert_eq!(
            fs::read_dir(&to).unwrap().count(),
            2,
            "no directories, no by-products"
        );
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_build_that_left_nothing_is_an_error() {
        let nowhere = std::env::temp_dir().join(format!("xtask-nowhere-{}", std::process::id()));
        let error = publish(&nowhere.join("from"), &nowhere.join("to")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        fs::remove_dir_all(&nowhere).unwrap();
    }
}
