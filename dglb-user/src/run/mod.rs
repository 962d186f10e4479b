//! `dglb run`: brings a node into service and keeps it there until it is told to stop.
//!
//! The order matters. What can fail for reasons outside (file, machine, sockets) comes first; then
//! the tables are built, for a DNS-LB once its sites are measured; then the program takes its
//! place under the links in one step. A failure anywhere before that leaves in service what was: also when
//! a running node reads its file anew ([`generation`]).

mod control;
mod generation;
mod measuring;
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
        machine::{PortCheck, check_machine},
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
    check(path, &config, PortCheck::Bind)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?
        .block_on(serve(path, config))
}

/// Logs what of `config` does not fit this machine.
fn check(path: &Path, config: &Config, ports: PortCheck) -> anyhow::Result<()> {
    let found = check_machine(config, ports);
    for warning in &found.warnings {
        tracing::warn!("{}: {}: {warning}", path.display(), warning.key());
    }
    let problems: Vec<String> = found
        .errors
        .iter()
        .map(|problem| format!("{}: {}: {problem}", path.display(), problem.key()))
        .collect();
    if !problems.is_empty() {
        bail!("this machine can't run that:\n{}", problems.join("\n"));
    }
    Ok(())
}

async fn serve(path: &Path, config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let mut hangups = signal(SignalKind::hangup()).context("no signal handler")?;
    let outside = Outside::open(&config).await?;
    let socket = server::bind(&config.node)?;
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
    let fixed = fixed_while_it_runs(present, &config);
    if !fixed.is_empty() {
        bail!(
            "{}: {} can't be changed while the node runs: restart it",
            path.display(),
            fixed.join(", ")
        );
    }
    check(path, &config, PortCheck::Skip)?;
    // What a table can't hold is found before anything is touched.
    build::incomplete_zones(&config)?;
    Ok(config)
}

/// The keys of what is different but belongs to the process.
fn fixed_while_it_runs(present: &Config, next: &Config) -> Vec<&'static str> {
    let (old, new) = (&present.node, &next.node);
    let is_other_role = std::mem::discriminant(&present.role) != std::mem::discriminant(&next.role);
    let all = [
        ("role", is_other_role),
        ("node.name", old.name != new.name),
        ("node.datapath", old.datapath != new.datapath),
        ("node.bpffs", old.bpffs != new.bpffs),
        ("node.run_dir", old.run_dir != new.run_dir),
        ("node.control_group", old.control_group != new.control_group),
        ("node.state_dir", old.state_dir != new.state_dir),
        ("metrics", present.metrics != next.metrics),
    ];
    all.into_iter()
        .filter_map(|(key, is_other)| is_other.then_some(key))
        .collect()
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
