//! Starts what measures and chooses at a DNS-LB: the probing process, the store, the engine.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Role},
    event::{Asked, Event, Serving},
    label::Label,
    measure::{self, Carried, Command, Inputs, Store},
    probe::handle::{self, Program},
    timings::Timings,
};

/// Commands of people, and watched services that were asked for, under way.
const UNDER_WAY: usize = 64;
const ASKED: usize = 1024;

/// The running engine and the process that probes for it.
#[derive(Debug)]
pub struct Measuring {
    /// To the engine.
    pub commands: mpsc::Sender<Command>,
    /// To the engine, from the publisher.
    pub asked: mpsc::Sender<Asked>,
    first: Option<oneshot::Receiver<HashMap<usize, Serving>>>,
    engine: JoinHandle<Carried>,
    prober: JoinHandle<()>,
    stop: CancellationToken,
}

impl Measuring {
    /// Starts it, with what is known already; a DNS-B has none of it.
    pub fn start(
        config: &Arc<Config>,
        events: mpsc::Sender<Event>,
        carried: Carried,
        timings: Timings,
    ) -> Option<Self> {
        let Role::DnsLb(dns_lb) = &config.role else {
            return None;
        };
        let stop = CancellationToken::new();
        let prober = handle::start(Program::this(&dns_lb.probe_limits), stop.clone());
        let (commands, commands_receiver) = mpsc::channel(UNDER_WAY);
        let (asked, asked_receiver) = mpsc::channel(ASKED);
        let (first_sender, first) = oneshot::channel();
        let engine = tokio::spawn(measure::run(Inputs {
            dns_lb: dns_lb.clone(),
            location: config.node.location,
            events,
            orders: prober.orders,
            results: prober.results,
            commands: commands_receiver,
            asked: asked_receiver,
            first: first_sender,
            carried,
            timings,
            stop: stop.clone(),
        }));
        Some(Self {
            commands,
            asked,
            first: Some(first),
            engine,
            prober: prober.task,
            stop,
        })
    }

    /// What is to be answered first, once it is known.
    pub async fn first(&mut self) -> HashMap<usize, Serving> {
        match self.first.take() {
            // An engine that is gone is noticed elsewhere.
            Some(first) => first.await.unwrap_or_default(),
            None => HashMap::new(),
        }
    }

    /// Ends it; gives what it knows.
    pub async fn end(self) -> Carried {
        self.stop.cancel();
        let carried = self.engine.await;
        let _ = self.prober.await;
        carried.unwrap_or_else(|error| {
            tracing::error!(%error, "what was measured is lost");
            Carried::default()
        })
    }

    /// Waits until the engine ends though nobody asked it to; says how.
    pub async fn failure(&mut self) -> String {
        match (&mut self.engine).await {
            Ok(_) => "it ended".into(),
            Err(error) => error.to_string(),
        }
    }
}

/// What the node's store knows from before. Without a store nothing is known, and the log says so.
pub fn carried(config: &Config) -> Carried {
    if matches!(config.role, Role::DnsB(_)) {
        return Carried::default();
    }
    // As the control socket's: a node's name may be longer than a file's.
    let name = Label::of_node(&config.node.name).to_string();
    match Store::open(&config.node.state_dir, &name) {
        Ok(store) => Carried::of(Some(store)),
        Err(error) => {
            tracing::error!(%error, "measurements and what operators order will not survive a restart");
            Carried::default()
        }
    }
}
