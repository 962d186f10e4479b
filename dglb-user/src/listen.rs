//! DNS by sockets: UDP, and TCP as RFC 7766 has it.
//!
//! Takes messages from the sockets to the [`Answerer`] and its responses back, within bounds: nothing
//! is queued, every wait for a peer has an end, and what one message or connection does to its task
//! stays there.

mod connection;
mod counters;
mod places;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::{
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    counters::UserCounters,
    sockets::{BindError, Protocol, Sockets},
};
use crate::answer::{Answerer, Transport};

/// Answers what comes to `sockets` until `stop`, then waits for its tasks.
pub async fn serve(
    answerer: Arc<Answerer>,
    sockets: Sockets,
    counters: Arc<UserCounters>,
    stop: CancellationToken,
) {
    let service = Arc::new(Service { answerer, counters });
    let tasks = TaskTracker::new();
    for socket in sockets.udp {
        tasks.spawn(udp::run(Arc::clone(&service), socket, stop.clone()));
    }
    let limits = Arc::new(tcp::Limits::default());
    let places = Arc::new(places::Places::new(limits.connections, limits.per_source));
    for listener in sockets.tcp {
        let acceptor = tcp::Acceptor {
            service: Arc::clone(&service),
            limits: Arc::clone(&limits),
            places: Arc::clone(&places),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(acceptor.run(listener));
    }
    tasks.close();
    tasks.wait().await;
}

/// The answer function with its counters.
struct Service {
    answerer: Arc<Answerer>,
    counters: Arc<UserCounters>,
}

impl Service {
    /// The response to a message, counted; `None`: there is none.
    ///
    /// A panic, which would be a fault of ours, costs this message its response and nothing else.
    fn respond(&self, query: &[u8], source: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        self.counters.receive();
        let answer = || self.answerer.answer_message(query, source, transport);
        match catch_unwind(AssertUnwindSafe(answer)) {
            Ok(answered) => {
                let answered = answered?;
                self.counters.count(answered.counter);
                Some(answered.octets)
            }
            Err(_) => {
                tracing::error!(%source, ?transport, "a query made the answer function panic: this is a fault in dglb, please report it");
                None
            }
        }
    }
}
