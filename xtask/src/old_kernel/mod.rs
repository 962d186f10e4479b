//! `cargo xtask test --kernel 6.1`: tests of the kernel program on an older kernel, in a virtual
//! machine.
//!
//! The kernel is Debian's (`debian`), the machine is emulated (`machine`). Its root is an archive in
//! memory (`archive`) that holds the test programs as they were built for this machine, with what
//! they need (`programs`), at the same paths as here. Xtask itself is its first process (`guest`) and
//! tells by a serial port of its own what happened (`report`).

mod archive;
mod debian;
pub mod guest;
mod machine;
mod programs;
mod report;

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

pub use self::debian::Version;
use self::{archive::Archive, guest::Job};
use crate::{
    build::{self, Profile},
    launch, process,
    setup::{self, Scope},
    workspace::Workspace,
};

/// The test programs that run there: the answers by themselves (`BPF_PROG_TEST_RUN`), what is passed and
/// what is limited, tables that change under two CPUs, and maps, links and pins in service. The rest of
/// the lab would prove nothing more of the kernel, and takes long.
const TESTS: [&str; 7] = [
    "answers",
    "passed",
    "over_the_limit",
    "two_cpus",
    "torn",
    "differential",
    "pins",
];

/// How many frames `differential` has there: enough for each row of each node, in some minutes.
const FRAMES: (&str, &str) = ("DGLB_DIFFERENTIAL_FRAMES", "50000");

/// Programs of the system that these tests use.
const PROGRAMS: [&str; 11] = [
    "sh", "ip", "bpftool", "nsenter", "mount", "umount", "cat", "grep", "ls", "rm", "cp",
];

/// Modules of the kernel that these tests use.
const MODULES: [&str; 1] = ["drivers/net/veth.ko"];

/// Name of a run's directory; its process id follows.
const RUN: &str = "run-";

/// Builds, boots, and fails unless tests ran and all of them passed.
///
/// # Errors
/// Something could not be had or built, a test failed, or none ran.
pub fn verb(workspace: &Workspace, version: Version, arguments: &[OsString]) -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "--kernel works on x86-64 only: the tests are built for this machine, and so must the \
         kernel be"
    );
    let toolchain = setup::ensure(Scope::Emulator)?;
    let kernel = debian::fetch(workspace, version)?;
    build::kernel_programs(workspace, &toolchain)?;
    let dglb = build::dglb(workspace, Profile::Debug)?;
    let files = programs::build(workspace, &dglb, &TESTS)?;

    let job = job(workspace, &dglb, &files, arguments)?;
    let runs = workspace.target.join("kernels");
    remove_abandoned(&runs)?;
    // Of this process alone: another run may stand beside it.
    let working = runs.join(format!("{RUN}{}", std::process::id()));
    fs::create_dir_all(&working).with_context(|| format!("cannot create {}", working.display()))?;
    let report = boot(workspace, &kernel, &job, &dglb, &working);
    fs::remove_dir_all(&working).with_context(|| format!("cannot remove {}", working.display()))?;
    let text = report?;
    let summary = report::judge(&text, &TESTS.map(str::to_owned))?;
    eprintln!(
        "kernel {}: {} tests passed, of {}",
        summary.kernel,
        summary.passed,
        TESTS.join(", ")
    );
    Ok(())
}

/// Removes what runs have left that were killed, by Ctrl-C for example.
fn remove_abandoned(runs: &Path) -> Result<()> {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(RUN));
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let path = entry.path();
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Boots a machine that does the job; gives its report.
fn boot(
    workspace: &Workspace,
    kernel: &debian::Kernel,
    job: &Job,
    dglb: &Path,
    working: &Path,
) -> Result<String> {
    let (root, report) = (working.join("root.cpio"), working.join("report"));
    let archive = pack(workspace, kernel, job, dglb, working)?;
    fs::write(&root, archive).with_context(|| format!("cannot write {}", root.display()))?;
    eprintln!(
        "==> booting {} in emulation, which is slow",
        kernel.image.display()
    );
    machine::boot(&kernel.image, &root, &report)?;
    fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))
}

fn job(
    workspace: &Workspace,
    dglb: &Path,
    files: &[PathBuf],
    arguments: &[OsString],
) -> Result<Job> {
    let mut environment = vec![
        (
            "PATH".to_owned(),
            "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        // Nothing that is skipped there would be missed.
        ("DGLB_SKIP_IS_FAILURE".to_owned(), "1".to_owned()),
        (FRAMES.0.to_owned(), FRAMES.1.to_owned()),
    ];
    for (variable, path) in launch::built_things(workspace, dglb) {
        environment.push((variable.to_owned(), path.to_string_lossy().into_owned()));
    }
    // What tests print is worth reading: instructions that were verified, answers by row.
    let mut words = vec!["--show-output".to_owned()];
    for argument in arguments {
        let argument = argument.to_str().context("an argument is not text")?;
        words.push(argument.to_owned());
    }
    Ok(Job {
        modules: MODULES.map(in_guest).to_vec(),
        programs: TESTS
            .iter()
            .map(|test| (*test).to_owned())
            .zip(files.iter().cloned())
            .collect(),
        arguments: words,
        environment,
        // As cargo would run them.
        directory: workspace.root.join("tests"),
    })
}

/// The root of the guest.
fn pack(
    workspace: &Workspace,
    kernel: &debian::Kernel,
    job: &Job,
    dglb: &Path,
    working: &Path,
) -> Result<Vec<u8>> {
    let own = env::current_exe().context("cannot find this program's own path")?;
    let mut archive = Archive::default();
    archive.device(Path::new("/dev/console"), 5, 1);
    archive.directory(Path::new("/tmp"));
    archive.directory(&job.directory);
    programs::add(&mut archive, &own, working)?;
    archive.link(Path::new("/init"), &own);
    let shell = process::find("sh").context("there is no shell")?;
    archive.link(Path::new("/bin/sh"), &shell);
    programs::add(&mut archive, dglb, working)?;
    // Cargo builds it with the tests, and they start it.
    let demo = build::path_of(workspace, Profile::Debug, "dglb-demo");
    programs::add(&mut archive, &demo, working)?;
    for (_, program) in &job.programs {
        programs::add(&mut archive, program, working)?;
    }
    for name in PROGRAMS {
        let program =
            process::find(name).with_context(|| format!("the program {name} is missing"))?;
        programs::add(&mut archive, &program, working)?;
    }
    for module in MODULES {
        archive.file(&in_guest(module), &kernel.module(module)?);
    }
    for read in [
        workspace.kernel_objects(),
        workspace.root.join("docs/examples"),
        workspace.root.join("tests/corpus"),
    ] {
        let entries =
            fs::read_dir(&read).with_context(|| format!("cannot read {}", read.display()))?;
        for entry in entries.flatten() {
            archive.same_file(&entry.path())?;
        }
    }
    archive.file(Path::new(guest::JOB), &serde_json::to_vec(job)?);
    Ok(archive.finish())
}

/// Where a module is in the guest.
fn in_guest(module: &str) -> PathBuf {
    Path::new("/modules").join(module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dead_runs_left_is_removed() {
        let runs = env::temp_dir().join(format!("xtask-runs-{}", std::process::id()));
        let own = format!("{RUN}{}", std::process::id());
        // Process ids are below 2^22 (proc(5), pid_max).
        for name in ["6.1", own.as_str(), "run-99999999"] {
            fs::create_dir_all(runs.join(name).join("inside")).unwrap();
        }
        remove_abandoned(&runs).unwrap();
        assert!(runs.join("6.1").exists() && runs.join(own).exists());
        assert!(!runs.join("run-99999999").exists());
        fs::remove_dir_all(&runs).unwrap();
        remove_abandoned(&runs).unwrap();
    }
}
