//! Connections (RFC 7766): who gets one, and for how long.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Service, connection, places::Places};

/// Bounds of connections.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Connections at once, all sources together.
    pub(super) connections: usize,
    /// Connections at once of one source.
    pub(super) per_source: usize,
    /// Queries on one connection.
    pub(super) queries: u32,
    /// How long a connection may take to bring the next whole query.
    pub(super) idle: Duration,
    /// How long the client may take to accept a response.
    pub(super) write: Duration,
}

impl Default for Limits {
    /// RFC 7766 §6.2.3 leaves the idle time to the server, "on the order of a few seconds".
    fn default() -> Self {
        Self {
            connections: 512,
            per_source: 16,
            queries: 1000,
            idle: Duration::from_secs(10),
            write: Duration::from_secs(5),
        }
    }
}

/// Pause after a failed accept: file descriptors have run out, most likely, and come back.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections of one listener.
pub(super) struct Acceptor {
    pub(super) service: Arc<Service>,
    pub(super) limits: Arc<Limits>,
    pub(super) places: Arc<Places>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Acceptor {
    /// Accepts until stopped. Each connection is a task of its own.
    pub(super) async fn run(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a TCP connection could not be accepted");
                    time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Over a limit the connection is closed at once: the client may come back (RFC 7766 §6.2.2).
    fn admit(&self, stream: TcpStream, source: IpAddr) {
        let Some(place) = self.places.take(source) else {
            tracing::debug!(%source, "too many TCP connections: closed");
            return;
        };
        // Without it small responses would wait for acknowledgements of those before.
        let _ = stream.set_nodelay(true);
        let (service, limits) = (Arc::clone(&self.service), Arc::clone(&self.limits));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                () = stop.cancelled() => {}
                ended = connection::run(&service, &limits, stream, source) => {
                    tracing::debug!(%source, ?ended, "TCP connection closed");
                }
            }
        });
    }
}
