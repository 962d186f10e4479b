//! The process `dglb probe`: does the probes that the daemon orders, without rights and without memory of
//! what came before.
//!
//! It speaks [`super::message`] over its standard input, which is a socket. One thread does all of it.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::PathBuf,
    rc::Rc,
};

use anyhow::{Context as _, bail};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixStream, unix::OwnedWriteHalf},
    sync::mpsc,
    task::LocalSet,
    time::timeout,
};
use tokio_stream::StreamExt as _;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::{
    descriptors,
    execute::{Executor, Prepared, Preparer, icmp::Pinger},
    failure::Failure,
    message::{FromProber, MAX_LINE, SIGN_OF_LIFE, Success, ToProber},
    rights,
};
use crate::clock::monotonic_ns;

/// How the process is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Account to become.
    pub user: String,
    /// Probes at once.
    pub concurrency: usize,
    /// Certificates that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Runs until the daemon closes the socket.
///
/// # Errors
/// It was started by hand, or its rights can't be given up.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        bail!("`dglb probe` is started by `dglb run`, and of no use by itself");
    }
    descriptors::close_others();
    let socket: OwnedFd = stdin.as_fd().try_clone_to_owned()?;
    let [v4, v6] = descriptors::receive(&socket)
        .context("`dglb probe` is started by `dglb run`: its standard input must be that socket")?;
    end_when_it_panics();
    rights::give_up(&options.user)?;
    let places = rights::raise_open_files(options.concurrency);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = LocalSet::new().block_on(&runtime, async {
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let socket = UnixStream::from_std(socket)?;
        let executor = Executor::new(options.ca_file.as_deref(), Pinger::new(v4, v6)?);
        serve(socket, executor, places).await
    });
    // A search that is under way may take long, and nobody waits for what it finds.
    runtime.shutdown_background();
    served
}

/// A fault must be seen: the daemon counts it and starts another process; one that went on would owe it a
/// result for ever.
fn end_when_it_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

async fn serve(socket: UnixStream, executor: Executor, places: usize) -> anyhow::Result<()> {
    let (read, write) = socket.into_split();
    // A probe takes its place in here before it begins, so whoever has done one can always say so, and the
    // places bound how many run.
    let (results, to_write) = mpsc::channel(places);
    let writer = tokio::task::spawn_local(write_all(write, to_write));
    let executor = Rc::new(executor);
    let mut preparer = Preparer::default();
    let mut targets: HashMap<u32, Rc<Prepared>> = HashMap::new();
    let mut lines = FramedRead::new(read, LinesCodec::new_with_max_length(MAX_LINE));
    while let Some(line) = lines.next().await {
        let line = line.context("the daemon's orders can't be read")?;
        let order: ToProber = serde_json::from_str(&line)
            .context("the daemon's orders can't be understood: two versions of dglb")?;
        match order {
            ToProber::Define { target, spec } => {
                targets.insert(target, Rc::new(preparer.prepare(*spec)));
            }
            ToProber::Forget { target } => {
                targets.remove(&target);
            }
            ToProber::Probe { target } => {
                let started_ns = monotonic_ns();
                let refused = |why: &str| done(target, started_ns, Err(Failure::Local(why.into())));
                let Some(prepared) = targets.get(&target).cloned() else {
                    results.send(refused("the target is not known")).await?;
                    continue;
                };
                let Ok(place) = results.clone().try_reserve_owned() else {
                    results.send(refused("too many probes at once")).await?;
                    continue;
                };
                let executor = Rc::clone(&executor);
                tokio::task::spawn_local(async move {
                    let outcome = executor.execute(&prepared).await;
                    place.send(done(target, started_ns, outcome));
                });
            }
        }
    }
    writer.abort();
    Ok(())
}

fn done(target: u32, started_ns: u64, outcome: Result<Success, Failure>) -> FromProber {
    FromProber::Done {
        target,
        started_ns,
        ended_ns: monotonic_ns(),
        outcome,
    }
}

/// Writes results, several at once where several wait, and signs of life.
async fn write_all(mut socket: OwnedWriteHalf, mut results: mpsc::Receiver<FromProber>) {
    const AT_ONCE: usize = 64;
    let mut waiting = Vec::with_capacity(AT_ONCE);
    let mut text = b"\n".to_vec();
    loop {
        // The daemon is gone: so will be this process, when it reads that.
        if socket.write_all(&text).await.is_err() {
            return;
        }
        text.clear();
        match timeout(SIGN_OF_LIFE, results.recv_many(&mut waiting, AT_ONCE)).await {
            Err(_) => text.push(b'\n'),
            Ok(0) => return,
            Ok(1..) => {
                for result in waiting.drain(..) {
                    let Ok(()) = serde_json::to_writer(&mut text, &result) else {
                        return;
                    };
                    text.push(b'\n');
                }
            }
        }
    }
}
