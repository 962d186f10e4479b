//! Queries by UDP: one datagram in, one out.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, time};
use tokio_util::sync::CancellationToken;

use super::Service;
use crate::answer::Transport;

/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// How long a response waits for room in the device's queue.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Pause after an error of the socket itself, so that one that stays does not take the CPU.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers queries of one socket until `stop`.
pub(super) async fn run(service: Arc<Service>, socket: UdpSocket, stop: CancellationToken) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut datagram) => received,
        };
        match received {
            Ok((len, peer)) => answer(&service, &socket, &datagram[..len], peer).await,
            Err(error) => {
                tracing::warn!(%error, "a DNS query could not be read from a UDP socket");
                time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(service: &Service, socket: &UdpSocket, query: &[u8], peer: SocketAddr) {
    let Some(response) = service.respond(query, peer.ip(), Transport::Udp) else {
        return;
    };
    // What cannot be sent is lost, as anything by UDP may be: the client asks again.
    match time::timeout(SEND_TIMEOUT, socket.send_to(&response, peer)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "a response could not be sent"),
        Err(_) => tracing::debug!(%peer, "a response found no room to be sent"),
    }
}
