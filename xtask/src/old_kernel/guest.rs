//! Within the virtual machine: xtask itself is the first process. It mounts what tests need, runs
//! the test programs, reports, and switches the machine off.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    mount::{MountFlags, mount},
    system::{RebootCommand, finit_module, reboot, uname},
    termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr},
};
use serde::{Deserialize, Serialize};

use super::report::{Line, Ran, passed_in};

/// Where the guest finds its [`Job`].
pub const JOB: &str = "/job.json";
/// The serial port of the report; the console is the first.
const REPORT: &str = "/dev/ttyS1";

/// File systems of the kernel: type and place.
const FILE_SYSTEMS: [(&str, &str); 4] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("bpf", "/sys/fs/bpf"),
];

/// What the guest is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Kernel modules to load first.
    pub modules: Vec<PathBuf>,
    /// The test programs: name and file.
    pub programs: Vec<(String, PathBuf)>,
    /// Their arguments.
    pub arguments: Vec<String>,
    /// Their environment, and nothing else is in it.
    pub environment: Vec<(String, String)>,
    /// Where they run.
    pub directory: PathBuf,
}

/// Does the job and switches the machine off.
///
/// # Errors
/// This is no guest; or it cannot be switched off, and then the kernel panics as its first process
/// ends, which ends the machine as well.
pub fn run() -> Result<()> {
    if process::id() != 1 {
        bail!("this is for the first process of a virtual machine: cargo xtask test --kernel");
    }
    let mounted = mount_all();
    let mut report = File::options()
        .write(true)
        .open(REPORT)
        .with_context(|| format!("cannot report to {REPORT}"))?;
    let done = mounted.and_then(|()| do_job(&mut report));
    let last = match done {
        Ok(()) => Line::Ended,
        Err(error) => Line::Failed(format!("{error:#}")),
    };
    tell(&mut report, &last)?;
    drop(report);
    reboot(RebootCommand::PowerOff).context("cannot switch the machine off")
}

fn mount_all() -> Result<()> {
    for (kind, place) in FILE_SYSTEMS {
        fs::create_dir_all(place)
            .and_then(|()| Ok(mount(kind, place, kind, MountFlags::empty(), None)?))
            .with_context(|| format!("cannot mount {kind} at {place}"))?;
    }
    Ok(())
}

fn do_job(report: &mut File) -> Result<()> {
    raw(&*report)?;
    raw(io::stdout())?;
    let kernel = uname().release().to_string_lossy().into_owned();
    tell(report, &Line::Kernel(kernel))?;
    let job = fs::read(JOB).with_context(|| format!("cannot read {JOB}"))?;
    let job: Job = serde_json::from_slice(&job).context("the job cannot be read")?;
    for module in &job.modules {
        let file = File::open(module).with_context(|| format!("cannot open {}", module.display()));
        finit_module(file?, c"", 0)
            .with_context(|| format!("cannot load the module {}", module.display()))?;
    }
    for (name, path) in &job.programs {
        let ran = run_program(&job, name, path)?;
        tell(report, &Line::Ran(ran))?;
    }
    Ok(())
}

/// Runs one test program, shows its output and counts the tests that passed.
fn run_program(job: &Job, name: &str, path: &Path) -> Result<Ran> {
    println!("\n     Running {name}");
    let mut child = Command::new(path)
        .args(&job.arguments)
        .env_clear()
        .envs(job.environment.iter().cloned())
        .current_dir(&job.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    let mut passed = 0;
    let output = child.stdout.take().context("a program without an output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what a test program says")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        passed += passed_in(&line).unwrap_or_default();
    }
    let status = child.wait().context("a test program got lost")?;
    Ok(Ran {
        program: name.to_owned(),
        failure: (!status.success()).then(|| status.to_string()),
        passed,
    })
}

fn tell(report: &mut File, line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    report.write_all(&text).context("cannot report")?;
    // The machine is switched off without waiting for what is still on its way.
    rustix::termios::tcdrain(&*report).context("cannot report")
}

/// Lets a serial port send what is written, and no more (a terminal makes CR LF of a line's end).
fn raw(port: impl rustix::fd::AsFd) -> Result<()> {
    let mut attributes = tcgetattr(&port).context("not a serial port")?;
    attributes.output_modes.remove(OutputModes::OPOST);
    tcsetattr(&port, OptionalActions::Now, &attributes).context("cannot set a serial port")
}
