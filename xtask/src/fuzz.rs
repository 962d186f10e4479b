//! `cargo xtask fuzz`: the differential test for as long as one likes, and a trial of the test itself:
//! with `--planted`, each fault of `tests/planted/` is built into a copy of the sources, and the test has
//! to find it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    build::{self, Profile},
    process,
    rights::{self, Rights},
    setup::{self, Scope, Toolchain},
    workspace::Workspace,
};

/// What is copied for a build of the kernel program: cargo wants to see all members of the workspace.
const SOURCES: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "dglb-common",
    "dglb-ebpf",
    "dglb-user",
    "tests",
    "xtask",
];
/// The exit status of `dglb-fuzz` when a frame is not answered as it must be; any other failure has
/// another one (`dglb_tests::fuzz::cli`).
const FOUND: i32 = 3;
/// Frames for each fault, over all cases.
const FRAMES_A_FAULT: &str = "200000";
/// Where they begin, so that each run is the same.
const SEED: &str = "20261125";

/// Runs `dglb-fuzz` with `arguments`; or finds the planted faults.
///
/// # Errors
/// Something could not be built or started; with `planted`: a fault was missed, or could not be planted.
pub fn verb(workspace: &Workspace, planted: bool, arguments: &[OsString]) -> Result<()> {
    let toolchain = setup::ensure(Scope::Build)?;
    build::kernel_programs(workspace, &toolchain)?;
    let fuzz = build::program(workspace, Profile::Release, "dglb-tests", "dglb-fuzz")?;
    let rights = Rights::find();
    rights::ask_early(&rights, "running the kernel program")?;
    if !planted {
        let mut command = rights.command(&fuzz, "dglb-fuzz")?;
        return Err(rights::become_command(command.args(arguments)));
    }
    ensure!(
        arguments.is_empty(),
        "--planted takes nothing else: its frames are fixed"
    );
    let trial = Trial {
        workspace,
        toolchain: &toolchain,
        rights: &rights,
        fuzz: &fuzz,
    };
    trial.run()
}

/// One fault.
struct Fault {
    /// The file's name, without its ending.
    name: String,
    /// What is wrong, in a sentence: the patch's first line.
    sentence: String,
    patch: PathBuf,
}

/// What became of a fault.
#[derive(Clone, PartialEq, Eq)]
enum Outcome {
    /// By this case and frame, in words.
    Caught(String),
    Missed,
}

struct Trial<'a> {
    workspace: &'a Workspace,
    toolchain: &'a Toolchain,
    rights: &'a Rights,
    fuzz: &'a Path,
}

impl Trial<'_> {
    fn run(&self) -> Result<()> {
        let faults = faults(&self.workspace.root.join("tests/planted"))?;
        // A test that fails without a fault finds nothing.
        let sound = self.workspace.kernel_objects().join("dglb-ebpf");
        ensure!(
            self.try_object(&sound)? == Outcome::Missed,
            "the program fails without a planted fault too: mend that first (`cargo xtask fuzz`)"
        );
        println!("without a fault: nothing is found");
        let mut missed = Vec::new();
        for fault in &faults {
            let object = self
                .plant(fault)
                .with_context(|| format!("\"{}\" could not be planted", fault.name))?;
            match self.try_object(&object)? {
                Outcome::Caught(by) => {
                    println!("caught: {}: {} ({by})", fault.name, fault.sentence);
                }
                Outcome::Missed => {
                    println!("MISSED: {}: {}", fault.name, fault.sentence);
                    missed.push(fault.name.as_str());
                }
            }
        }
        ensure!(
            missed.is_empty(),
            "{} of {} planted faults were missed: {}",
            missed.len(),
            faults.len(),
            missed.join(", ")
        );
        println!("all {} planted faults were caught", faults.len());
        Ok(())
    }

    /// Builds the kernel program with the fault; gives the object.
    fn plant(&self, fault: &Fault) -> Result<PathBuf> {
        let place = self.workspace.target.join("planted");
        let copy = place.join("sources");
        for source in SOURCES {
            update(&self.workspace.root.join(source), &copy.join(source))?;
        }
        let mut apply = Command::new("git");
        apply
            .current_dir(&copy)
            // The copy lies within a clone: git would take paths from that one's root.
            .env("GIT_CEILING_DIRECTORIES", &place)
            .args(["apply", "--whitespace=nowarn"])
            .arg(&fault.patch);
        process::run_aside(&mut apply).with_context(|| {
            format!(
                "{} does not fit the sources any more: make the same fault in them and write \
                 the patch anew (`git diff`)",
                fault.patch.display()
            )
        })?;
        let planted = Workspace {
            root: copy,
            target: place.join("target"),
        };
        build::kernel_programs(&planted, self.toolchain)?;
        Ok(planted.kernel_objects().join("dglb-ebpf"))
    }

    /// Runs the differential test with this build of the program.
    fn try_object(&self, object: &Path) -> Result<Outcome> {
        let mut command = self.rights.command(self.fuzz, "dglb-fuzz")?;
        command.args(["--frames", FRAMES_A_FAULT, "--seed", SEED]);
        command.args(["--judge-every", "50", "--keep-corpus", "--object"]);
        let output = command
            .arg(object)
            .output()
            .with_context(|| format!("cannot start {}", self.fuzz.display()))?;
        match output.status.code() {
            Some(0) => Ok(Outcome::Missed),
            Some(FOUND) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let first = said.lines().next().unwrap_or_default();
                Ok(Outcome::Caught(first.to_owned()))
            }
            _ => bail!(
                "{} ended with {}: {}",
                process::shown(&command),
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

/// The patches of a directory, by name.
fn faults(directory: &Path) -> Result<Vec<Fault>> {
    let read = || format!("cannot read {}", directory.display());
    let mut faults = Vec::new();
    for entry in fs::read_dir(directory).with_context(read)? {
        let patch = entry.with_context(read)?.path();
        if patch.extension().is_none_or(|ending| ending != "patch") {
            continue;
        }
        let text = fs::read_to_string(&patch)
            .with_context(|| format!("cannot read {}", patch.display()))?;
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        faults.push(Fault {
            name: name.into_owned(),
            sentence: text.lines().next().unwrap_or_default().to_owned(),
            patch,
        });
    }
    ensure!(!faults.is_empty(), "{} holds no patch", directory.display());
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(faults)
}

/// Makes `to` what `from` is, files or directories. What is the same is left alone, so that cargo builds
/// only what changed; what is in `to` alone goes.
fn update(from: &Path, to: &Path) -> Result<()> {
    let about = || format!("cannot copy {} to {}", from.display(), to.display());
    if from.is_file() {
        let content = fs::read(from).with_context(about)?;
        if fs::read(to).is_ok_and(|present| present == content) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(about)?;
        }
        return fs::write(to, content).with_context(about);
    }
    fs::create_dir_all(to).with_context(about)?;
    for entry in fs::read_dir(to).with_context(about)? {
        let path = entry.with_context(about)?.path();
        let kept = path
            .file_name()
            .is_some_and(|name| from.join(name).exists());
        if !kept && path.is_dir() {
            fs::remove_dir_all(&path).with_context(about)?;
        } else if !kept {
            fs::remove_file(&path).with_context(about)?;
        }
    }
    for entry in fs::read_dir(from).with_context(about)? {
        let path = entry.with_context(about)?.path();
        if let Some(name) = path.file_name() {
            update(&path, &to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("xtask-fuzz-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_copy_is_brought_up_to_date_and_no_further() {
        let directory = Directory::new("update");
        let (from, to) = (directory.0.join("from"), directory.0.join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(to.join("src/old")).unwrap();
        fs::write(from.join("src/a.rs"), "new").unwrap();
        fs::write(from.join("b.rs"), "same").unwrap();
        fs::write(to.join("src/a.rs"), "planted").unwrap();
        fs::write(to.join("src/gone.rs"), "x").unwrap();
        fs::write(to.join("b.rs"), "same").unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let same = fs::File::options()
            .write(true)
            .open(to.join("b.rs"))
            .unwrap();
        same.set_modified(long_ago).unwrap();
        update(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("src/a.rs")).unwrap(), "new");
        assert!(!to.join("src/gone.rs").exists() && !to.join("src/old").exists());
        let modified = fs::metadata(to.join("b.rs")).unwrap().modified().unwrap();
        assert_eq!(modified, long_ago);
    }

    /// So that a change of the kernel program is seen to need another patch before the next trial.
    #[test]
    fn the_planted_faults_fit_the_sources() {
        let root = Workspace::locate().unwrap().root;
        let faults = faults(&root.join("tests/planted")).unwrap();
        assert!(faults.len() >= 10, "{} faults", faults.len());
        for fault in faults {
            let mut check = Command::new("git");
            check.current_dir(&root).args(["apply", "--check"]);
            let fits = check.arg(&fault.patch).status().unwrap();
            assert!(fits.success(), "{}: write it anew", fault.patch.display());
        }
    }

    #[test]
    fn a_fault_is_named_by_its_file_and_told_by_its_first_line() {
        let directory = Directory::new("faults");
        assert!(faults(&directory.0).is_err());
        fs::write(directory.0.join("ttl.patch"), "A TTL is off.\n\ndiff").unwrap();
        fs::write(directory.0.join("README.md"), "x").unwrap();
        let faults = faults(&directory.0).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!(
            (&*faults[0].name, &*faults[0].sentence),
            ("ttl", "A TTL is off.")
        );
    }
}
