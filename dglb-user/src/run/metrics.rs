//! Collects what is told at `/metrics`: from the kernel's tables, the sockets and the engine.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::control::Answers;
use crate::{
    config::{Config, Datapath, Metrics},
    control::protocol::{Reply, Request, Sites},
    kernel::{pins::Pins, read},
    metrics::{self, Collected, Reload},
};

/// What becomes of reloads. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Told(Arc<RwLock<Reload>>);

impl Told {
    /// The start succeeded just now.
    pub fn new() -> Self {
        Self(Arc::new(RwLock::new(Reload {
            succeeded: true,
            in_service_since: SystemTime::now(),
        })))
    }

    /// A reload has ended.
    pub fn note(&self, succeeded: bool) {
        let mut reload = self.0.write().unwrap_or_else(PoisonError::into_inner);
        reload.succeeded = succeeded;
        if succeeded {
            reload.in_service_since = SystemTime::now();
        }
    }

    fn reload(&self) -> Reload {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where scrapes come in.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    metrics: Metrics,
    /// Of the kernel program, if there is one.
    pins: Option<Pins>,
}

/// Opens what the configuration wants; `None`: it wants nothing.
///
/// # Errors
/// The address can't be listened on.
pub async fn bind(config: &Config) -> anyhow::Result<Option<Endpoint>> {
    let Some(metrics) = config.metrics else {
        return Ok(None);
    };
    let listener = TcpListener::bind(metrics.listen)
        .await
        .with_context(|| format!("metrics.listen: {} can't be listened on", metrics.listen))?;
    Ok(Some(Endpoint {
        listener,
        metrics,
        pins: match config.node.datapath {
            Datapath::Xdp => Some(Pins::of(&config.node)),
            Datapath::Userspace => None,
        },
    }))
}

impl Endpoint {
    /// Answers scrapes until `stop` is cancelled.
    pub async fn serve(self, answers: Answers, told: Told, stop: CancellationToken) {
        let pins = self.pins.map(Arc::new);
        let each_site = self.metrics.sites;
        let collect = move || {
            let (answers, told, pins) = (answers.clone(), told.clone(), pins.clone());
            async move {
                Collected {
                    kernel: pins.and_then(|pins| kernel_counters(&pins)),
                    user: answers.counted(),
                    sites: sites(&answers).await,
                    each_site,
                    reload: told.reload(),
                }
            }
        };
        metrics::serve(self.listener, collect, stop).await;
    }
}

fn kernel_counters(pins: &Pins) -> Option<dglb_common::counters::Counters> {
    match read::counters(pins) {
        Ok(counters) => counters,
        Err(error) => {
            tracing::warn!(%error, "a scrape goes without the kernel's counters");
            None
        }
    }
}

/// All sites; `None` at a DNS-B, and for the moment in which one configuration follows another.
async fn sites(answers: &Answers) -> Option<Sites> {
    match answers.to(Request::Sites { service: None }).await {
        Reply::Sites(sites) => Some(sites),
        Reply::Status(_)
        | Reply::Explain(_)
        | Reply::History(_)
        | Reply::Done(_)
        | Reply::Error(_) => None,
    }
}
