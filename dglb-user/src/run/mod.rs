//! `dglb run`: brings a node into service and keeps it there until it is told to stop.
//!
//! The order matters. What can fail for reasons outside (file, machine, sockets) comes first; then
//! the tables are built, for a DNS-LB after the first round of probes; then the program takes its
//! place under the links in one step. A failure anywhere before that leaves in service what was.

mod control;
mod node;
mod tasks;
mod watched;

use std::{
    path::Path,
    sync::{Arc, RwLock},
};

use anyhow::{Context as _, bail};
use tokio::{signal::unix::SignalKind, sync::mpsc};
use tokio_util::sync::CancellationToken;

use self::node::Served;
use crate::{
    config::{
        Config,
        machine::{PortCheck, check_machine},
    },
    control::server,
    event::Event,
    listen::Sockets,
};

/// Events under way from the map protocol and the probes to the publisher.
const EVENTS: usize = 1024;

/// Where DNS is answered (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// Runs the node that `path` describes, until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps the node from running: nothing is left attached then that was not attached before.
pub fn run(path: &Path) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let found = check_machine(&config, PortCheck::Bind);
    for warning in &found.warnings {
        tracing::warn!("{}: {}: {warning}", path.display(), warning.key());
    }
    if !found.errors.is_empty() {
        for problem in &found.errors {
            tracing::error!("{}: {}: {problem}", path.display(), problem.key());
        }
        bail!("this machine can't run {}: see above", path.display());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?
        .block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let sockets = Sockets::bind(&config.node.addresses, DNS_PORT)?;
    let control_socket = server::bind(&config.node)?;
    let listener = tasks::map_listener(&config).await?;
    let (event_sender, mut events) = mpsc::channel::<Event>(EVENTS);
    let mut tasks = tasks::Tasks::new(stop.clone());
    let mut probes = tasks.probe(&config, event_sender.clone());
    let Some(rankings) = probes.first_rankings(&mut events, &stop).await else {
        tasks.join().await;
        return Ok(());
    };
    let Served {
        tables,
        held,
        data_path,
        counted_before,
        kernel_log,
    } = node::put_in_service(&config, &rankings)?;
    let tables = Arc::new(RwLock::new(tables));
    tasks.read_kernel_log(kernel_log)?;
    let counters = tasks.answer(&config, &tables, sockets);
    tasks.publish(&config, &tables, held, data_path, events, {
        let counters = Arc::clone(&counters);
        move || counters.snapshot().plus(&counted_before)
    });
    tasks.control(&config, control_socket, probes.report(), move || {
        counters.snapshot().plus(&counted_before)
    });
    tasks.map_protocol(&config, listener, event_sender).await?;
    tracing::info!(node = config.node.name, "in service");
    // A node of which a part is gone would look alive: it ends, and whoever started it starts it again.
    let failure = tokio::select! {
        () = stop.cancelled() => None,
        failure = tasks.failure() => Some(failure),
    };
    tracing::info!("stopping; links and tables stay, the kernel answers on");
    tasks.join().await;
    match failure {
        None => Ok(()),
        Some(error) => bail!("a task of the node ended: {error}"),
    }
}

/// SIGTERM and SIGINT end the node; what the kernel answers goes on.
fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal = tokio::signal::unix::signal(kind).context("no signal handler")?;
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
