//! The DNS-B's side: accepts DNS-LBs and passes what they say on to the publisher.
//!
//! One task a connection (`session`); `connections` bounds how many, `registry` sees to it that a
//! node has one session.

mod connections;
mod registry;
mod session;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{
    connections::{Connections, Slot},
    registry::Registry,
};
use super::{
    Code, NodeName, Transport, budget::LogLimit, message::Frame, message::Message, message::Reason,
    transport::prepare,
};
use crate::event::Event;

/// What peers may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address: several nodes may stand behind one.
    pub connections_per_source: usize,
    /// Messages a second on one connection, sustained.
    pub messages_per_second: u32,
    /// Messages at once after a pause.
    pub message_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_source: 64,
            messages_per_second: 200,
            message_burst: 400,
        }
    }
}

/// Serves DNS-LBs on `listener` until `stop`, with the default [`Limits`].
///
/// `events` goes to the publisher. Returns once all sessions have ended, a few seconds after `stop`.
pub async fn serve(
    listener: TcpListener,
    our_name: NodeName,
    lease: Duration,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    serve_within(Limits::default(), listener, our_name, lease, events, stop).await;
}

/// As [`serve`], with limits of the caller's choice.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    our_name: NodeName,
    lease: Duration,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    let server = Arc::new(Server::new(limits, our_name, lease, events, stop));
    if let Ok(address) = listener.local_addr() {
        let ours = &server.our_name;
        info!(%address, "map protocol: dns-b {ours} takes dns-lbs, without TLS: keep this address private");
    }
    let sessions = TaskTracker::new();
    while let Some(accepted) = server.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => server.admit(stream, peer, &sessions),
            Err(error) => server.accept_failed(&error).await,
        }
    }
    drop(listener);
    sessions.close();
    sessions.wait().await;
}

/// What all sessions share.
struct Server {
    our_name: NodeName,
    lease: Duration,
    limits: Limits,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    connections: Arc<Connections>,
    registry: Registry,
    session_log: LogLimit,
    trouble_log: LogLimit,
}

impl Server {
    fn new(
        limits: Limits,
        our_name: NodeName,
        lease: Duration,
        events: mpsc::Sender<Event>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            our_name,
            lease,
            limits,
            events,
            stop,
            connections: Arc::new(Connections::new(limits)),
            registry: Registry::default(),
            session_log: LogLimit::new(),
            trouble_log: LogLimit::new(),
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, sessions: &TaskTracker) {
        match self.connections.admit(peer.ip()) {
            Ok(slot) => {
                if let Err(error) = prepare(&stream, self.lease) {
                    self.warn(peer, &format!("setting up the connection failed: {error}"));
                    return;
                }
                let server = Arc::clone(self);
                sessions.spawn(async move { server.run(stream, peer, slot).await });
            }
            Err(refusal) => {
                self.warn(peer, &format!("refused: {refusal}"));
                say_at_once(&stream, Code::TooManyConnections, &refusal.to_string());
            }
        }
    }

    /// One connection from hello to its end; TLS will be negotiated here, before the session.
    async fn run<S: Transport>(&self, stream: S, peer: SocketAddr, slot: Slot) {
        session::run(self, stream, peer).await;
        drop(slot);
    }

    /// Out of file descriptors, mostly: waits, so as not to spin.
    async fn accept_failed(&self, error: &io::Error) {
        if let Some(left_out) = self.trouble_log.admit() {
            warn!(
                left_out,
                "map protocol: no connection can be accepted: {error}"
            );
        }
        let pause = tokio::time::sleep(Duration::from_millis(100));
        self.stop.run_until_cancelled(pause).await;
    }

    fn warn(&self, peer: SocketAddr, what: &str) {
        if let Some(left_out) = self.trouble_log.admit() {
            warn!(%peer, left_out, "map protocol: {what}");
        }
    }
}

/// One error message into a fresh connection's empty send buffer; no task, no waiting.
fn say_at_once(stream: &TcpStream, code: Code, why: &str) {
    let error = Message::Error {
        code,
        reason: Reason::new(why),
    };
    let frame = Frame {
        sequence: 1,
        epoch: 0,
        message: error,
    };
    // The peer is cut either way.
    let _: io::Result<usize> = stream.try_write(&frame.encode());
}
