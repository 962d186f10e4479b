//! The daemon's side of the probing process: starts it, hands it what it may not open itself, and starts
//! another one when it ends. What it says is checked: it deals with what strangers send.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    process::{ExitStatus, Stdio},
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
    time::{Instant, sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
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
/// For so long it may say nothing: it gives a sign of life every [`message::SIGN_OF_LIFE`](super::message::SIGN_OF_LIFE).
const PATIENCE: Duration = Duration::from_secs(10);

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
            // Not what a terminal tells the daemon's group: the daemon ends it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Starts the process, and keeps one running until `stop`.
///
/// Orders that were given before [`FromProber::Up`] are forgotten, so give none between
/// [`FromProber::Down`] and that.
pub fn start(program: Program, stop: CancellationToken) -> Handle {
    start_with(program, PATIENCE, stop)
}

fn start_with(program: Program, patience: Duration, stop: CancellationToken) -> Handle {
    let (orders, to_process) = mpsc::channel(UNDER_WAY);
    let (from_process, results) = mpsc::channel(UNDER_WAY);
    let mut keeper = Keeper {
        program,
        patience,
        sockets: descriptors::open(),
        orders: to_process,
        results: from_process,
        child: None,
    };
    let task = tokio::spawn(async move {
        stop.run_until_cancelled(keeper.keep()).await;
        keeper.end_child().await;
    });
    Handle {
        orders,
        results,
        task,
    }
}

struct Keeper {
    program: Program,
    patience: Duration,
    sockets: [Option<OwnedFd>; 2],
    orders: mpsc::Receiver<ToProber>,
    results: mpsc::Sender<FromProber>,
    child: Option<Child>,
}

impl Keeper {
    /// Ends when nobody gives orders or takes results any more.
    async fn keep(&mut self) {
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
        let ours = match self.start() {
            Ok(started) => started,
            Err(error) => {
                let path = self.program.path.display();
                return Some(format!("{path} can't be started: {error}"));
            }
        };
        let ended = self.converse(ours).await?;
        // It ends by itself when its socket is closed; what does not is stuck.
        let status = self.end_child().await;
        Some(match (ended, status) {
            (Ended::Rubbish(what), _) => format!("it said what it can't: {what}"),
            (Ended::Silent, _) => format!("it has said nothing for {:?}", self.patience),
            (Ended::Closed, Some(Ok(status))) => status.to_string(),
            (Ended::Closed, Some(Err(error))) => error.to_string(),
            (Ended::Closed, None) => "it was not there".into(),
        })
    }

    fn start(&mut self) -> io::Result<UnixStream> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        descriptors::send(&ours, &self.sockets)?;
        let child = self.program.start(theirs.into())?;
        tracing::debug!(pid = child.id(), "the probing process is started");
        self.child = Some(child);
        UnixStream::from_std(ours)
    }

    /// Kills the process if it lives, and reaps it.
    async fn end_child(&mut self) -> Option<io::Result<ExitStatus>> {
        let mut child = self.child.take()?;
        // An error says that it has ended.
        let _ = child.start_kill();
        Some(child.wait().await)
    }

    /// Until either side has had enough; `None`: nobody gives orders or takes results any more.
    async fn converse(&mut self, socket: UnixStream) -> Option<Ended> {
        let (read, write) = socket.into_split();
        let mut said = Said {
            lines: FramedRead::new(read, LinesCodec::new_with_max_length(MAX_LINE)),
            patience: self.patience,
        };
        // Its rights are given up and its runtime runs.
        match said.next().await {
            Ok(None) => {}
            Ok(Some(_)) => return Some(Ended::Rubbish("a result of nothing".into())),
            Err(ended) => return Some(ended),
        }
        self.forget_orders().await?;
        self.results.send(FromProber::Up).await.ok()?;
        tokio::select! {
            told = tell(&self.results, said) => told,
            ordered = order(&mut self.orders, write) => ordered,
        }
    }

    /// Forgets what was ordered of an earlier one: all that was ordered before its end was known. Whoever
    /// gives orders knows of it as soon as all results are taken.
    async fn forget_orders(&mut self) -> Option<()> {
        loop {
            tokio::select! {
                order = self.orders.recv() => order.map(drop)?,
                all = self.results.reserve_many(UNDER_WAY) => {
                    drop(all.ok()?);
                    break;
                }
            }
        }
        while self.orders.try_recv().is_ok() {}
        Some(())
    }
}

/// How a conversation ended.
enum Ended {
    Closed,
    Silent,
    Rubbish(String),
}

/// What the process says.
struct Said {
    lines: FramedRead<OwnedReadHalf, LinesCodec>,
    patience: Duration,
}

impl Said {
    /// A result; `None`: a sign of life.
    async fn next(&mut self) -> Result<Option<FromProber>, Ended> {
        let Ok(line) = timeout(self.patience, self.lines.next()).await else {
            return Err(Ended::Silent);
        };
        match line {
            None | Some(Err(LinesCodecError::Io(_))) => Err(Ended::Closed),
            Some(Err(error @ LinesCodecError::MaxLineLengthExceeded)) => {
                Err(Ended::Rubbish(error.to_string()))
            }
            Some(Ok(line)) if line.is_empty() => Ok(None),
            Some(Ok(line)) => understood(&line).map(Some).map_err(Ended::Rubbish),
        }
    }
}

/// A result that can be what it says it is.
fn understood(line: &str) -> Result<FromProber, String> {
    let said: FromProber = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match &said {
        // Only this side says these.
        FromProber::Up | FromProber::Down { .. } => Err("that it is up or down".into()),
        FromProber::Done {
            started_ns,
            ended_ns,
            outcome,
            ..
        } => {
            if started_ns > ended_ns {
                return Err("a probe that ended before it began".into());
            }
            let is_sensible = match outcome {
                Ok(success) => success.load.is_none_or(|load| load.is_sensible()),
                Err(failure) => failure.is_bounded(),
            };
            match is_sensible {
                true => Ok(said),
                false => Err("a load or a reason that can't be".into()),
            }
        }
    }
}

/// Passes results on; `None`: nobody takes them.
async fn tell(results: &mpsc::Sender<FromProber>, mut said: Said) -> Option<Ended> {
    loop {
        match said.next().await {
            Ok(None) => {}
            Ok(Some(result)) => results.send(result).await.ok()?,
            Err(ended) => return Some(ended),
        }
    }
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
            let before = text.len();
            let written = serde_json::to_writer(&mut text, &order);
            if written.is_err() || text.len() - before > MAX_LINE {
                // The configuration bounds what a probe may be. It would end the process, again and again.
                tracing::error!(
                    "an order is too long for the probing process, which will not know it"
                );
                text.truncate(before);
                continue;
            }
            text.push(b'\n');
        }
        if write.write_all(&text).await.is_err() {
            return Some(Ended::Closed);
        }
    }
}

#[cfg(test)]
mod tests;
