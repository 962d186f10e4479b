//! The tasks of a running node: each takes the token, stops when asked, and is joined.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use anyhow::Context as _;
use aya_log::EbpfLogger;
use dglb_common::counters::Counters;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{control::Answers, node::Rankings};
use crate::{
    answer::Answerer,
    config::{Config, DnsB, DnsLb, Role},
    control::server,
    event::Event,
    listen::{self, Sockets, UserCounters},
    map_protocol::{self, Identity, NodeName},
    probe::{self, Report},
    publish::{DataPath, Held, Publisher},
    resolvers,
    tables::Tables,
};

/// All tasks of the node.
pub struct Tasks {
    running: JoinSet<()>,
    stop: CancellationToken,
}

/// The probes' side: their report, and the end of their first round.
pub struct Probes {
    report: watch::Receiver<Report>,
    /// `None`: a node without probes.
    first_round: Option<oneshot::Receiver<()>>,
}

impl Probes {
    /// What the probes know.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.clone()
    }

    /// Waits for the first round and takes its rankings; `None`: the node is to stop.
    pub async fn first_rankings(
        &mut self,
        events: &mut mpsc::Receiver<Event>,
        stop: &CancellationToken,
    ) -> Option<Rankings> {
        let mut rankings = HashMap::new();
        let Some(mut first_round) = self.first_round.take() else {
            return Some(rankings);
        };
        let mut complete = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                event = events.recv() => {
                    if let Some(Event::Ranking { service, ranking }) = event {
                        rankings.insert(service, ranking);
                    }
                }
                // All first rankings are in the channel before this; `biased` takes them first.
                _ = &mut first_round, if !complete => complete = true,
                () = std::future::ready(()), if complete => return Some(rankings),
            }
        }
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new(stop: CancellationToken) -> Self {
        Self {
            running: JoinSet::new(),
            stop,
        }
    }

    /// Starts the probes of a DNS-LB.
    pub fn probe(&mut self, config: &Config, events: mpsc::Sender<Event>) -> Probes {
        let (report_sender, report) = watch::channel(Report::default());
        let first_round = match &config.role {
            Role::DnsB(_) => None,
            Role::DnsLb(dns_lb) => {
                let (done, first_round) = oneshot::channel();
                self.running.spawn(probe::run(
                    dns_lb.services.clone(),
                    events,
                    done,
                    report_sender,
                    self.stop.clone(),
                ));
                Some(first_round)
            }
        };
        Probes {
            report,
            first_round,
        }
    }

    /// Starts to answer by sockets; gives the counters of that.
    pub fn answer(
        &mut self,
        config: &Arc<Config>,
        tables: &Arc<RwLock<Tables>>,
        sockets: Sockets,
    ) -> Arc<UserCounters> {
        let counters = Arc::new(UserCounters::default());
        let answerer = Arc::new(Answerer::new(Arc::clone(config), Arc::clone(tables)));
        self.running.spawn(listen::serve(
            answerer,
            sockets,
            Arc::clone(&counters),
            self.stop.clone(),
        ));
        counters
    }

    /// Starts to pass on what the kernel program logs.
    ///
    /// # Errors
    /// The runtime can't watch the ring buffer.
    pub fn read_kernel_log(
        &mut self,
        log: Option<EbpfLogger<&'static dyn log::Log>>,
    ) -> anyhow::Result<()> {
        let Some(log) = log else {
            return Ok(());
        };
        // SAFETY: the log owns the ring buffer's descriptor, always the same, for as long as it lives.
        let mut log = unsafe { AsyncFd::register_with_interest(log, Interest::READABLE) }?;
        let stop = self.stop.clone();
        self.running.spawn(async move {
            loop {
                let mut guard = tokio::select! {
                    () = stop.cancelled() => return,
                    Ok(guard) = log.readable_mut() => guard,
                    else => return,
                };
                guard.get_inner_mut().flush();
                guard.clear_ready();
            }
        });
        Ok(())
    }

    /// Starts the publisher.
    pub fn publish(
        &mut self,
        config: &Arc<Config>,
        tables: &Arc<RwLock<Tables>>,
        held: Held,
        data_path: Box<dyn DataPath>,
        events: mpsc::Receiver<Event>,
        counted: impl Fn() -> Counters + Send + Sync + 'static,
    ) {
        let publisher = Publisher::new(Arc::clone(config), Arc::clone(tables), held, data_path);
        self.running
            .spawn(publisher.run(events, counted, self.stop.clone()));
    }

    /// Starts to answer commands at the control socket.
    pub fn control(
        &mut self,
        config: &Config,
        bound: server::Bound,
        report: watch::Receiver<Report>,
        counted: impl Fn() -> Counters + Send + Sync + 'static,
    ) {
        let answers = Arc::new(Answers::new(&config.role, report, counted));
        let stop = self.stop.clone();
        self.running.spawn(async move {
            let handle = move |request, _peer| {
                let answers = Arc::clone(&answers);
                async move { answers.to(request).await }
            };
            if let Err(error) = bound.serve(handle, stop).await {
                tracing::error!(%error, "control socket: no command can ask this daemon");
            }
        });
    }

    /// Starts the map protocol: a DNS-B's server, or a DNS-LB's clients.
    ///
    /// # Errors
    /// A name or address that the protocol can't carry.
    pub async fn map_protocol(
        &mut self,
        config: &Config,
        listener: Option<TcpListener>,
        events: mpsc::Sender<Event>,
    ) -> anyhow::Result<()> {
        let name: NodeName = config.node.name.parse()?;
        match (&config.role, listener) {
            (Role::DnsB(DnsB { lease, .. }), Some(listener)) => {
                let server = map_protocol::serve(listener, name, *lease, events, self.stop.clone());
                self.running.spawn(server);
            }
            (Role::DnsB(_), None) => {}
            (Role::DnsLb(dns_lb), _) => self.announce(dns_lb, name).await?,
        }
        Ok(())
    }

    async fn announce(&mut self, dns_lb: &DnsLb, name: NodeName) -> anyhow::Result<()> {
        let identity = Identity::new(name, dns_lb.address)?;
        let (resolvers, follower) = resolvers::follow(&dns_lb.resolvers, self.stop.clone()).await;
        self.running.spawn(async move {
            // A panic there has been reported by its own thread.
            let _ = follower.await;
        });
        for &dns_b in &dns_lb.dns_bs {
            let (status, _) = watch::channel(map_protocol::Status::default());
            self.running.spawn(map_protocol::run_client(
                dns_b,
                identity.clone(),
                dns_lb.renew,
                resolvers.clone(),
                status,
                self.stop.clone(),
            ));
        }
        Ok(())
    }

    /// Waits for a task that ends badly, and gives what it said; for ever, if none does.
    pub async fn failure(&mut self) -> JoinError {
        loop {
            match self.running.join_next().await {
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Waits for all tasks to end, after the token was cancelled.
    pub async fn join(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task ended badly");
            }
        }
    }
}

/// A DNS-B's socket of the map protocol.
///
/// # Errors
/// The address can't be bound.
pub async fn map_listener(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Role::DnsB(dns_b) = &config.role else {
        return Ok(None);
    };
    let address: SocketAddr = dns_b.map_listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("map.listen {address}: can't listen there (`ss -ltnp` shows who does)")
    })?;
    Ok(Some(listener))
}
