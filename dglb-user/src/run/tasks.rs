//! The tasks of one configuration: each takes the token, stops when asked, and is joined.

use std::{
    net::SocketAddr,
    os::fd::AsFd as _,
    sync::{Arc, RwLock},
};

use anyhow::Context as _;
use aya_log::EbpfLogger;
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpListener,
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::Answerer,
    config::{Config, DnsB, DnsLb, Role},
    event::Event,
    kernel::WatchedEvents,
    listen::{self, Sockets, UserCounters},
    map_protocol::{self, Identity, NodeName},
    resolvers,
    tables::Tables,
};

/// Some tasks that end together.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<()>,
    stop: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self {
            running: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts to answer by sockets; gives the counters of that.
    pub fn answer(
        &mut self,
        config: &Arc<Config>,
        tables: &Arc<RwLock<Tables>>,
        sockets: Sockets,
        events: mpsc::Sender<Event>,
    ) -> Arc<UserCounters> {
        let counters = Arc::new(UserCounters::default());
        let answerer = Answerer::new(Arc::clone(config), Arc::clone(tables)).telling(events);
        self.running.spawn(listen::serve(
            Arc::new(answerer),
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

    /// Starts to tell the publisher which watched answers the kernel program gave.
    ///
    /// # Errors
    /// The runtime can't watch the ring buffer.
    pub fn read_watched(
        &mut self,
        watched: Option<WatchedEvents>,
        events: mpsc::Sender<Event>,
    ) -> anyhow::Result<()> {
        let Some(watched) = watched else {
            return Ok(());
        };
        // SAFETY: the events own the ring buffer's descriptor, always the same, for as long as they live.
        let mut watched = unsafe { AsyncFd::register_with_interest(watched, Interest::READABLE) }?;
        let stop = self.stop.clone();
        self.running.spawn(async move {
            loop {
                let mut guard = tokio::select! {
                    () = stop.cancelled() => return,
                    Ok(guard) = watched.readable_mut() => guard,
                    else => return,
                };
                while let Some(group) = guard.get_inner_mut().next_group() {
                    // The next query tells it where there is no room now.
                    let _ = events.try_send(Event::Asked { group });
                }
                guard.clear_ready();
            }
        });
        Ok(())
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

    /// Ends all tasks and waits for them.
    pub async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task ended badly");
            }
        }
    }
}

/// A DNS-B's socket of the map protocol: another descriptor of `open`, if that listens there already.
///
/// # Errors
/// The address can't be bound.
pub async fn map_listener(
    config: &Config,
    open: Option<&TcpListener>,
) -> anyhow::Result<Option<TcpListener>> {
    let Role::DnsB(dns_b) = &config.role else {
        return Ok(None);
    };
    let address: SocketAddr = dns_b.map_listen;
    if let Some(open) = open.filter(|open| open.local_addr().is_ok_and(|at| at == address)) {
        let duplicate = open.as_fd().try_clone_to_owned()?;
        return Ok(Some(TcpListener::from_std(duplicate.into())?));
    }
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("map.listen {address}: can't listen there (`ss -ltnp` shows who does)")
    })?;
    Ok(Some(listener))
}
