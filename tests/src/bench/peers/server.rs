//! The other servers: how each is configured for one zone, and started.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::wire::ANSWERING;
use crate::{lab::find_program, world};

/// A server.
pub struct Peer {
    /// For people.
    pub name: &'static str,
    /// Whose program it is.
    pub package: &'static str,
    /// Whether it has an XDP program of its own.
    pub has_xdp: bool,
    program: &'static str,
    configure: fn(&Path) -> Configured,
}

/// Its configuration: file, content, and arguments of the program.
struct Configured {
    file: PathBuf,
    content: String,
    arguments: Vec<String>,
}

impl Peer {
    /// All that are known.
    pub const ALL: [Self; 4] = [
        Self {
            name: "Knot DNS, AF_XDP",
            package: "knot",
            has_xdp: true,
            program: "knotd",
            configure: |directory| knot(directory, &format!("xdp:\n  listen: {ANSWERING}@53\n")),
        },
        Self {
            name: "Knot DNS, sockets",
            package: "knot",
            has_xdp: false,
            program: "knotd",
            configure: |directory| knot(directory, ""),
        },
        Self {
            name: "NSD, sockets",
            package: "nsd",
            has_xdp: false,
            program: "nsd",
            configure: nsd,
        },
        Self {
            name: "gdnsd, sockets",
            package: "gdnsd",
            has_xdp: false,
            program: "gdnsd",
            configure: gdnsd,
        },
    ];

    /// Whether its program is there.
    pub fn is_installed(&self) -> bool {
        find_program(self.program).is_ok()
    }

    /// Starts it in the thread's namespace, on the thread's CPU.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(&self, directory: &Path) -> Result<Process> {
        let directory = directory.join(self.name.replace([' ', ','], "-"));
        for inner in ["zones", "run", "state"] {
            fs::create_dir_all(directory.join(inner))?;
        }
        fs::write(directory.join("zones/foo.com"), zone())?;
        let configured = (self.configure)(&directory);
        fs::write(&configured.file, &configured.content)?;
        let log = directory.join("log");
        let out = File::create(&log)?;
        let mut command = Command::new(find_program(self.program)?);
        command
            .args(&configured.arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        Process::spawn(command, &log)
    }
}

fn zone() -> String {
    format!(
        "$ORIGIN foo.com.\n$TTL 120\n@ SOA ns1 hostmaster 1 3600 600 1209600 300\n@ NS ns1\n\
         ns1 A {}\nwww.g A 192.0.2.80\n",
        world::DNS_LB
    )
}

fn knot(directory: &Path, xdp: &str) -> Configured {
    let file = directory.join("knot.conf");
    let content = format!(
        "server:\n  rundir: \"{0}/run\"\n  listen: {1}@53\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\n{xdp}database:\n  storage: \"{0}/state\"\nlog:\n  - target: stderr\n    \
         any: warning\nzone:\n  - domain: foo.com\n    storage: \"{0}/zones\"\n    file: foo.com\n    \
         zonefile-sync: -1\n",
        directory.display(),
        world::DNS_LB
    );
    let arguments = vec!["-c".to_owned(), file.display().to_string()];
    Configured {
        file,
        content,
        arguments,
    }
}

fn nsd(directory: &Path) -> Configured {
    let file = directory.join("nsd.conf");
    let content = format!(
        "server:\n  ip-address: {1}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  \
         zonesdir: \"{0}/zones\"\n  database: \"\"\n  pidfile: \"{0}/run/pid\"\n  \
         xfrdfile: \"{0}/state/xfrd\"\n  xfrdir: \"{0}/state\"\n  zonelistfile: \"{0}/state/zones\"\n  \
         rrl-ratelimit: 0\nremote-control:\n  control-enable: no\nzone:\n  name: foo.com\n  \
         zonefile: foo.com\n",
        directory.display(),
        world::DNS_LB
    );
    let arguments = ["-d", "-c"].map(str::to_owned).into_iter();
    let arguments = arguments.chain([file.display().to_string()]).collect();
    Configured {
        file,
        content,
        arguments,
    }
}

fn gdnsd(directory: &Path) -> Configured {
    let content = format!(
        "options => {{ listen => {1}, run_dir => {0}/run, state_dir => {0}/state, udp_threads => 1, \
         tcp_threads => 1 }}\n",
        directory.display(),
        world::DNS_LB
    );
    let arguments = ["-c", &directory.display().to_string(), "start"].map(str::to_owned);
    Configured {
        file: directory.join("config"),
        content,
        arguments: arguments.into(),
    }
}

/// A process; ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it writes goes to `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let child = command.spawn();
        Ok(Self {
            child: child.with_context(|| format!("cannot start {command:?}"))?,
            log: log.to_owned(),
        })
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// # Errors
    /// It has ended.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it has ended ({status}):\n{}", self.log());
        }
        Ok(())
    }

    /// Waits for its end, for so long at most.
    ///
    /// # Errors
    /// It takes longer, or fails.
    pub fn wait(&mut self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "it ended ({status}):\n{}", self.log());
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "it did not end within {} s",
                limit.as_secs()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first: NSD's parent ends its children only then.
        let id = i32::try_from(self.child.id()).ok();
        if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
        }
        if self.wait(Duration::from_secs(5)).is_err() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}
