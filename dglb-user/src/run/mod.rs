//! `dglb run`: brings a node into service and keeps it there until it is told to stop.
//!
//! The order matters. What can fail for reasons outside (file, machine, sockets) comes first; then
//! the tables are built, for a DNS-LB once its sites are measured; then the program takes its
//! place under the links in one step. A failure anywhere before that leaves in service what was: also when
//! a running node reads its file anew (`generation`).

mod control;
mod generation;
mod measuring;
mod metrics;
mod node;
mod tasks;
mod watched;

use std::path::Path;

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use self::{
    control::Answers,
    generation::{Generation, Outside},
};
use crate::{
    config::{
        Config,
        machine::{MachineError, PortCheck, check_machine},
        restart_needed,
    },
    control::{protocol::Reply, server},
    publish::build,
};

/// Runs the node that `path` describes, until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps the node from running: nothing is left attached then that was not attached before.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let problems = problems(path, &config, PortCheck::Bind);
    if !problems.is_empty() {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        bail!("this machine can't run {}: see above", path.display());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?
        .block_on(serve(path, config))
}

/// What of `config` keeps it from running on this machine; what makes it slow or deaf is logged.
fn problems(path: &Path, config: &Config, ports: PortCheck) -> Vec<String> {
    let found = check_machine(config, ports);
    for warning in &found.warnings {
        tracing::warn!("{}: {}: {warning}", path.display(), warning.key());
    }
    let in_words =
        |problem: &MachineError| format!("{}: {}: {problem}", path.display(), problem.key());
    found.errors.iter().map(in_words).collect()
}

async fn serve(path: &Path, config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let mut hangups = signal(SignalKind::hangup()).context("no signal handler")?;
    let outside = Outside::open(&config).await?;
    let socket = server::bind(&config.node)?;
    let metrics = metrics::bind(&config).await?;
    let Some(mut node) = Generation::start(config, outside, &stop).await? else {
        return Ok(());
    };
    let (reload_sender, mut reloads) = mpsc::channel(1);
    let answers = Answers::new(node.now(), reload_sender);
    let control = tokio::spawn(socket.serve(
        {
            let answers = answers.clone();
            move |request, _peer| {
                let answers = answers.clone();
                async move { answers.to(request).await }
            }
        },
        stop.clone(),
    ));
    let reloads_told = metrics::Told::new();
    let scrapes = metrics.map(|endpoint| {
        tokio::spawn(endpoint.serve(answers.clone(), reloads_told.clone(), stop.clone()))
    });
    tracing::info!(node = node.config().node.name, "in service");
    // A node of which a part is gone would look alive: it ends, and whoever started it starts it again.
    let failure = loop {
        let asked = tokio::select! {
            () = stop.cancelled() => break None,
            failure = node.failure() => break Some(failure),
            asked = reload_asked(&mut hangups, &mut reloads) => asked,
        };
        let (next, said) = reload(path, node, &stop).await;
        node = next?;
        answers.replace(node.now());
        reloads_told.note(said.is_ok());
        match &said {
            Ok(()) => tracing::info!("the configuration was read anew and is in service"),
            Err(error) => tracing::error!("the present configuration stays in service: {error:#}"),
        }
        if let Some(asked) = asked {
            let reply = match said {
                Ok(()) => Reply::Done(format!("{} is in service", path.display())),
                Err(error) => Reply::Error(format!(
                    "the present configuration stays in service:\n{error:#}"
                )),
            };
            // Whoever asked may have gone.
            let _ = asked.send(reply);
        }
    };
    tracing::info!("stopping; links and tables stay, the kernel answers on");
    stop.cancel();
    node.end().await;
    if let Ok(Err(error)) = control.await {
        tracing::warn!(%error, "control socket");
    }
    if let Some(scrapes) = scrapes {
        // A panic there has been reported by its own thread.
        let _ = scrapes.await;
    }
    match failure {
        None => Ok(()),
        Some(error) => bail!("a part of the node ended: {error}"),
    }
}

/// Waits until somebody wants the file read anew: by SIGHUP, or by `dglb reload`, who gets an answer.
async fn reload_asked(
    hangups: &mut Signal,
    reloads: &mut mpsc::Receiver<oneshot::Sender<Reply>>,
) -> Option<oneshot::Sender<Reply>> {
    tokio::select! {
        Some(()) = hangups.recv() => None,
        Some(asked) = reloads.recv() => Some(asked),
        else => std::future::pending().await,
    }
}

/// Reads the file anew and puts it in service. The first value is what is in service then, the second whether
/// it is what the file says.
async fn reload(
    path: &Path,
    node: Generation,
    stop: &CancellationToken,
) -> (anyhow::Result<Generation>, anyhow::Result<()>) {
    let config = match acceptable(path, node.config()) {
        Ok(config) => config,
        Err(error) => return (Ok(node), Err(error)),
    };
    let (next, refused) = node.replace(config, stop).await;
    (next, refused.map_or(Ok(()), Err))
}

/// The configuration in the file, if a node that runs with `present` can take it.
fn acceptable(path: &Path, present: &Config) -> anyhow::Result<Config> {
    let config = Config::load(path)?;
    let fixed = restart_needed(present, &config);
    if !fixed.is_empty() {
        bail!(
            "{}: {} can't be changed while the node runs: restart it",
            path.display(),
            fixed.join(", ")
        );
    }
    let problems = problems(path, &config, PortCheck::Skip);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    // What a table can't hold is found before anything is touched.
    build::incomplete_zones(&config)?;
    Ok(config)
}

/// SIGTERM and SIGINT end the node; what the kernel answers goes on.
fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = signal(kind).context("no signal handler")?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signal.recv().await;
            stop.cancel();
            signal.recv().await;
            // Asked again: something hangs, and whoever asks knows better.
            std::process::exit(1);
        });
    }
    Ok(())
}
