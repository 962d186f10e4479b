//! The DNS-LB's side: one task for each DNS-B keeps it told of our resolvers.
//!
//! [`run_client`] connects again and again; `session` is one connection's life; `ledger` is what
//! outlives it.

mod backoff;
mod ledger;
mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{backoff::Backoff, ledger::Ledger, session::Lost};
use super::{
    NodeName, Transport,
    transport::prepare,
    wire::{WireError, is_unicast},
};

/// For a TCP connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Who the DNS-LB is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    node: NodeName,
    address: Ipv4Addr,
}

impl Identity {
    /// A node and the address that it answers DNS on.
    ///
    /// # Errors
    /// The address is not unicast.
    pub fn new(node: NodeName, address: Ipv4Addr) -> Result<Self, WireError> {
        if is_unicast(address.into()) {
            Ok(Self { node, address })
        } else {
            Err(WireError::NotUnicast(address.into()))
        }
    }
}

/// How it stands with one DNS-B.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// No session.
    #[default]
    Disconnected,
    /// A session; something is not acknowledged yet.
    Connected {
        /// The DNS-B's node name.
        dns_b: NodeName,
    },
    /// All that was announced is effective there.
    Effective {
        /// The DNS-B's node name.
        dns_b: NodeName,
        /// How many resolvers.
        resolvers: usize,
    },
    /// The DNS-B refuses; it is asked again from time to time.
    Refused {
        /// The DNS-B's node name.
        dns_b: NodeName,
        /// What it said.
        reason: String,
    },
}

/// Keeps the DNS-B at `dns_b` told of `resolvers`, until `stop`.
///
/// Announces all after each connect, then the differences; renews every `renew`, or oftener where the
/// DNS-B's lease is short for that. Addresses that are not unicast are left out.
pub async fn run_client(
    dns_b: SocketAddr,
    identity: Identity,
    renew: Duration,
    resolvers: watch::Receiver<Vec<IpAddr>>,
    status: watch::Sender<Status>,
    stop: CancellationToken,
) {
    let mut client = Client {
        dns_b,
        identity,
        renew,
        resolvers,
        status,
        ledger: Ledger::new(),
        last_trouble: None,
    };
    let mut backoff = Backoff::new();
    loop {
        let began = Instant::now();
        let lost = client.connect_and_run(&stop).await;
        client.status.send_replace(Status::Disconnected);
        if stop.is_cancelled() {
            return;
        }
        client.log_lost(&lost);
        let pause = backoff.next(began.elapsed(), lost.is_replaced());
        if stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// One DNS-B's task.
struct Client {
    dns_b: SocketAddr,
    identity: Identity,
    renew: Duration,
    resolvers: watch::Receiver<Vec<IpAddr>>,
    status: watch::Sender<Status>,
    ledger: Ledger,
    /// As it was logged; the same again is not.
    last_trouble: Option<String>,
}

impl Client {
    async fn connect_and_run(&mut self, stop: &CancellationToken) -> Lost {
        match stop.run_until_cancelled(self.connect()).await {
            None => Lost::Stopping,
            Some(Err(lost)) => lost,
            Some(Ok(stream)) => session::run(self, stream, stop).await,
        }
    }

    /// TLS will be negotiated here, before the session.
    async fn connect(&self) -> Result<impl Transport + use<>, Lost> {
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.dns_b)).await;
        let stream = connected
            .map_err(|_| Lost::ConnectTimeout)?
            .map_err(Lost::Connect)?;
        // The lease is told only later; it is three times `renew` or more where both are set well.
        prepare(&stream, self.renew.saturating_mul(3)).map_err(Lost::Connect)?;
        Ok(stream)
    }

    /// What the DNS-B should hold now.
    fn wanted(&mut self) -> BTreeSet<IpAddr> {
        let resolvers = self.resolvers.borrow_and_update();
        resolvers
            .iter()
            .copied()
            .filter(|address| is_unicast(*address))
            .collect()
    }

    /// Once for each kind of trouble in a row.
    fn log_lost(&mut self, lost: &Lost) {
        let trouble = lost.to_string();
        if self.last_trouble.as_ref() == Some(&trouble) {
            return;
        }
        warn!(dns_b = %self.dns_b, "map protocol: no session with the dns-b: {trouble}; trying again");
        self.last_trouble = Some(trouble);
    }

    fn log_connected(&mut self, dns_b: &NodeName, lease: Duration) {
        self.last_trouble = None;
        info!(address = %self.dns_b, %dns_b, ?lease, "map protocol: connected to dns-b");
    }
}
