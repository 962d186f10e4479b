//! The daemon's side of the probing process: starts it, hands it what it may not open itself, and starts
//! another one when it ends. What it says is checked: it deals with what strangers send.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_stream::StreamExt as _;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    sync::CancellationToken,
};

use super::{
    descriptors,
    message::{FromProber, MAX_LINE, ToProber},
};
use crate::config::ProbeLimits;

/// Orders and results under way.
const UNDER_WAY: usize = 1024;
/// Pauses before it is started again: doubled from the first to the last, and the first again once it
/// has lived for longer than the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The probing process, whichever lives at the time.
#[derive(Debug)]
pub struct Handle {
    /// What it is to do.
    pub orders: mpsc::Sender<ToProber>,
    /// What came of it.
    pub results: mpsc::Receiver<FromProber>,
    /// Ends, with the process, when `stop` is cancelled.
    pub task: JoinHandle<()>,
}

/// Which program to start, and how.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary `dglb`.
    pub path: PathBuf,
    /// Account that it becomes.
    pub user: String,
    /// Probes at once.
    pub concurrency: usize,
    /// Certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl Program {
    /// This binary, within the node's limits.
    pub fn this(limits: &ProbeLimits) -> Self {
        Self {
            // Also after the file was replaced by a newer one.
            path: "/proc/self/exe".into(),
            user: limits.user.clone(),
            concurrency: limits.concurrency,
            ca_file: limits.ca_file.clone(),
        }
    }

    fn start(&self, socket: OwnedFd) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command
            .arg("probe")
            .args(["--user", &self.user])
            .args(["--concurrency", &self.concurrency.to_string()]);
        if let Some(file) = &self.ca_file {
            command.arg("--ca-file").arg(file);
        }
        command.env_clear();
        if let Some(level) = std::env::var_os("DGLB_LOG") {
            command.env("DGLB_LOG", level);
        }
        command
            .current_dir("/")
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
    }
}

/// Starts the process, and keeps one running until `stop`.
pub fn start(program: Program, stop: CancellationToken) -> Handle {
    let (orders, to_process) = mpsc::channel(UNDER_WAY);
    let (from_process, results) = mpsc::channel(UNDER_WAY);
    let keeper = Keeper {
        program,
        sockets: descriptors::open(),
        orders: to_process,
        results: from_process,
    };
    let task = tokio::spawn(async move {
        stop.run_until_cancelled(keeper.keep()).await;
    });
    Handle {
        orders,
        results,
        task,
    }
}

struct Keeper {
    program: Program,
    sockets: [Option<OwnedFd>; 2],
    orders: mpsc::Receiver<ToProber>,
    results: mpsc::Sender<FromProber>,
}

impl Keeper {
    /// Ends when nobody gives orders or takes results any more.
    async fn keep(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let start = Instant::now();
            let Some(reason) = self.live().await else {
                return;
            };
            tracing::error!(
                reason,
                "the probing process has ended; sites keep their states, and another one is started"
            );
            if self
                .results
                .send(FromProber::Down { reason })
                .await
                .is_err()
            {
                return;
            }
            if start.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One life; why it ended, or `None` when it is of no use any more.
    async fn live(&mut self) -> Option<String> {
        let (mut child, ours) = match self.start() {
            Ok(started) => started,
            Err(error) => {
                let path = self.program.path.display();
                return Some(format!("{path} can't be started: {error}"));
            }
        };
        // What was ordered of an earlier one is told anew.
        while self.orders.try_recv().is_ok() {}
        if self.results.send(FromProber::Up).await.is_err() {
            return None;
        }
        let (read, write) = ours.into_split();
        let ended = tokio::select! {
            told = tell(&self.results, read) => told,
            ordered = order(&mut self.orders, write) => ordered,
        };
        let ended = ended?;
        // It ends by itself when its socket is closed; what does not is stuck.
        let _ = child.start_kill();
        let status = child.wait().await;
        Some(match (ended, status) {
            (Ended::Rubbish(what), _) => format!("it said what it can't: {what}"),
            (Ended::Closed, Ok(status)) => status.to_string(),
            (Ended::Closed, Err(error)) => error.to_string(),
        })
    }

    fn start(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        descriptors::send(&ours, &self.sockets)?;
        let child = self.program.start(theirs.into())?;
        tracing::debug!(pid = child.id(), "the probing process is started");
        Ok((child, UnixStream::from_std(ours)?))
    }
}

/// How a conversation ended.
enum Ended {
    Closed,
    Rubbish(String),
}

/// Passes results on; `None`: nobody takes them.
async fn tell(results: &mpsc::Sender<FromProber>, read: OwnedReadHalf) -> Option<Ended> {
    let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(MAX_LINE));
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => line,
            Err(tokio_util::codec::LinesCodecError::Io(_)) => return Some(Ended::Closed),
            Err(error) => return Some(Ended::Rubbish(error.to_string())),
        };
        match serde_json::from_str::<FromProber>(&line) {
            Ok(result @ FromProber::Done { .. }) => results.send(result).await.ok()?,
            // Only this side says these.
            Ok(FromProber::Up | FromProber::Down { .. }) => {
                return Some(Ended::Rubbish("that it is up or down".into()));
            }
            Err(error) => return Some(Ended::Rubbish(error.to_string())),
        }
    }
    Some(Ended::Closed)
}

/// Passes orders on; `None`: nobody gives them.
async fn order(orders: &mut mpsc::Receiver<ToProber>, mut write: OwnedWriteHalf) -> Option<Ended> {
    const AT_ONCE: usize = 256;
    let mut waiting = Vec::with_capacity(AT_ONCE);
    let mut text = Vec::new();
    loop {
        if orders.recv_many(&mut waiting, AT_ONCE).await == 0 {
            return None;
        }
        text.clear();
        for order in waiting.drain(..) {
            if let Err(error) = serde_json::to_writer(&mut text, &order) {
                tracing::error!(%error, "an order can't be written");
                continue;
            }
            text.push(b'\n');
        }
        if write.write_all(&text).await.is_err() {
            return Some(Ended::Closed);
        }
    }
}
