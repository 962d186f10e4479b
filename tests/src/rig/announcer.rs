//! A DNS-LB as far as a DNS-B sees one: `dglb`'s own client of the map protocol, in a thread within
//! the asker's network namespace.

use std::{
    net::Ipv4Addr,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use dglb_user::map_protocol::{Identity, Status, run_client};
use tokio::{runtime, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{MAP, Rig};
use crate::lab::wait;

/// Port of the map protocol in the lab.
const PORT: u16 = 5353;
/// Often, so that the shortest lease of a test is held on a busy machine.
const RENEW: Duration = Duration::from_millis(200);

/// Announces and renews until it is dropped.
#[derive(Debug)]
pub struct Announcer {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    status: watch::Receiver<Status>,
}

impl Announcer {
    /// Speaks for the `dns_lb`-th DNS-LB of `rig`, beside `resolvers`; waits until the announcement is
    /// effective at the DNS-B.
    ///
    /// # Errors
    /// When the DNS-B refuses, or cannot be reached.
    pub fn start(rig: &Rig, dns_lb: usize, resolvers: &[Ipv4Addr]) -> Result<Self> {
        let announcer = Self::begin(rig, dns_lb, resolvers)?;
        announcer.wait_for("the mapping is effective", |status| {
            matches!(status, Status::Effective { .. }).then_some(())
        })?;
        Ok(announcer)
    }

    /// As [`Announcer::start`], without waiting.
    ///
    /// # Errors
    /// When the node's name or address is none.
    pub fn begin(rig: &Rig, dns_lb: usize, resolvers: &[Ipv4Addr]) -> Result<Self> {
        let (name, address) = &rig.plan.dns_lbs[dns_lb];
        let identity = Identity::new(name.parse()?, *address)?;
        let (status_sender, status) = watch::channel(Status::default());
        let (_, resolvers) = watch::channel(resolvers.iter().copied().map(Into::into).collect());
        let stop = CancellationToken::new();
        let (token, namespace) = (stop.clone(), rig.asker.namespace().clone());
        let thread = thread::spawn(move || {
            let client = || -> Result<()> {
                let runtime = runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                let to = (MAP, PORT).into();
                let client = run_client(to, identity, RENEW, resolvers, status_sender, token);
                runtime.block_on(client);
                Ok(())
            };
            if let Err(error) = namespace.enter(client).flatten() {
                eprintln!("the map protocol's client: {error:#}");
            }
        });
        Ok(Self {
            stop,
            thread: Some(thread),
            status,
        })
    }

    /// Waits until the DNS-B refuses; gives what it says.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_refusal(&self) -> Result<String> {
        self.wait_for("the DNS-B refuses", |status| match status {
            Status::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    fn wait_for<T>(&self, what: &str, look: impl Fn(&Status) -> Option<T>) -> Result<T> {
        wait::until(what, Duration::from_secs(20), || {
            let status = self.status.borrow().clone();
            look(&status).with_context(|| format!("{status:?}"))
        })
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
