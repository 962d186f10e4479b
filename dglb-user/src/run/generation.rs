//! One configuration in service, from its start to its end or to the next one.
//!
//! A reload is an upgrade in place: what measures starts with what is known, the tables are built anew, and
//! the program takes its place under the links in one step. Whatever fails before that step leaves the
//! present configuration in service, which goes on as if nobody had asked.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use dglb_common::counters::Counters;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    control::Now,
    measuring::{self, Measuring},
    node::{self, Served},
    tasks::{Tasks, map_listener},
};
use crate::{
    config::Config,
    event::{Asked, Event, Serving},
    listen::{Sockets, UserCounters},
    measure::Carried,
    publish::Publisher,
    tables::Tables,
    timings::Timings,
};

/// Events under way from the map protocol and the engine to the publisher.
const EVENTS: usize = 1024;
/// Where DNS is answered (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// What is open to the outside. The running tasks have other descriptors of the same, so that the next
/// configuration can have them too.
#[derive(Debug)]
pub struct Outside {
    sockets: Sockets,
    map: Option<TcpListener>,
}

impl Outside {
    /// Opens what `config` wants.
    ///
    /// # Errors
    /// What can't be opened, and what to do.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            sockets: Sockets::bind(&config.node.addresses, DNS_PORT)?,
            map: map_listener(config, None).await?,
        })
    }

    /// The same for `config`, as far as it is open already.
    async fn share(&self, config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            sockets: self
                .sockets
                .for_addresses(&config.node.addresses, DNS_PORT)?,
            map: map_listener(config, self.map.as_ref()).await?,
        })
    }
}

/// One configuration in service.
pub struct Generation {
    config: Arc<Config>,
    outside: Outside,
    measuring: Option<Measuring>,
    /// What feeds the publisher: the map protocol.
    feeding: Tasks,
    publishing: Publishing,
    /// What answers, by sockets and for the kernel program.
    answering: Tasks,
    counted: Counted,
    timings: Timings,
}

/// What the sockets answered, by this and earlier configurations and runs.
#[derive(Clone)]
struct Counted {
    counters: Arc<UserCounters>,
    before: Counters,
}

impl Counted {
    fn sum(&self) -> Counters {
        self.counters.snapshot().plus(&self.before)
    }
}

/// The publisher's task.
struct Publishing {
    task: JoinHandle<Publisher>,
    stop: CancellationToken,
}

impl Publishing {
    fn start(publisher: Publisher, events: mpsc::Receiver<Event>, counted: Counted) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(publisher.run(events, move || counted.sum(), stop.clone()));
        Self { task, stop }
    }

    async fn end(self) -> anyhow::Result<Publisher> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl Generation {
    /// Puts `config` in service; `None`: `stop` was cancelled before.
    ///
    /// # Errors
    /// What keeps it from service: what was in service before is so still.
    pub async fn start(
        config: Config,
        outside: Outside,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Self>> {
        let config = Arc::new(config);
        let timings = Timings::default();
        let (sender, events) = mpsc::channel(EVENTS);
        let carried = measuring::carried(&config);
        let mut measuring = Measuring::start(&config, sender.clone(), carried, timings.clone());
        let Some(servings) = first(&mut measuring, stop).await else {
            end_measuring(measuring).await;
            return Ok(None);
        };
        let served = match put_in_service(&config, &servings) {
            Ok(served) => served,
            Err(error) => {
                end_measuring(measuring).await;
                return Err(error);
            }
        };
        let started = Self::serve(
            config,
            outside,
            measuring,
            served,
            (sender, events),
            timings,
            None,
        );
        started.await.map(Some)
    }

    /// Starts all tasks of a configuration whose tables are in service.
    async fn serve(
        config: Arc<Config>,
        outside: Outside,
        measuring: Option<Measuring>,
        served: Served,
        (sender, events): (mpsc::Sender<Event>, mpsc::Receiver<Event>),
        timings: Timings,
        counted_before: Option<Counters>,
    ) -> anyhow::Result<Self> {
        let tables: Arc<RwLock<Tables>> = Arc::new(RwLock::new(served.tables));
        let own = outside.share(&config).await?;
        let mut answering = Tasks::new();
        answering.read_kernel_log(served.kernel_log)?;
        answering.read_watched(served.kernel_events, sender.clone())?;
        let counted = Counted {
            counters: answering.answer(&config, &tables, own.sockets, sender.clone()),
            before: counted_before.unwrap_or(served.counted_before),
        };
        let publisher = Publisher::new(
            Arc::clone(&config),
            tables,
            served.held,
            served.data_path,
            asked_of(measuring.as_ref()),
            timings.clone(),
        );
        let publishing = Publishing::start(publisher, events, counted.clone());
        let mut feeding = Tasks::new();
        feeding.map_protocol(&config, own.map, sender).await?;
        Ok(Self {
            config,
            outside,
            measuring,
            feeding,
            publishing,
            answering,
            counted,
            timings,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the control socket answers by.
    pub fn now(&self) -> Now {
        let counted = self.counted.clone();
        Now {
            engine: self
                .measuring
                .as_ref()
                .map(|measuring| measuring.commands.clone()),
            counted: Arc::new(move || counted.sum()),
        }
    }

    /// Waits for a part that ends though nobody asked it to; says which, and why.
    pub async fn failure(&mut self) -> String {
        let measuring = async {
            match &mut self.measuring {
                Some(measuring) => measuring.failure().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.answering.failure() => error.to_string(),
            error = self.feeding.failure() => error.to_string(),
            why = measuring => format!("what measures: {why}"),
            ended = &mut self.publishing.task => match ended {
                Ok(_) => "the publisher ended".into(),
                Err(error) => error.to_string(),
            },
        }
    }

    /// Puts `config` in the place of this one. The second value says why it is not: then this one goes on.
    pub async fn replace(
        mut self,
        config: Config,
        stop: &CancellationToken,
    ) -> (anyhow::Result<Self>, Option<anyhow::Error>) {
        let outside = match self.outside.share(&config).await {
            Ok(outside) => outside,
            Err(error) => return (Ok(self), Some(error)),
        };
        let config = Arc::new(config);
        let (sender, events) = mpsc::channel(EVENTS);
        let carried = match self.measuring.take() {
            Some(measuring) => measuring.end().await,
            None => Carried::default(),
        };
        let timings = self.timings.clone();
        let mut measuring = Measuring::start(&config, sender.clone(), carried, timings.clone());
        let Some(servings) = first(&mut measuring, stop).await else {
            self.measuring = measuring;
            return (Ok(self), Some(anyhow::anyhow!("the daemon is ending")));
        };
        // From here on nothing is taken from DNS-LBs: what they say would be lost with the old tables. Their
        // leases are longer than this takes.
        self.feeding.end().await;
        let publisher = match self.publishing.end().await {
            Ok(publisher) => publisher,
            Err(error) => return (Err(error), None),
        };
        let counted = self.counted.sum();
        match put_in_service(&config, &servings) {
            Ok(served) => {
                let next = Self::serve(
                    config,
                    outside,
                    measuring,
                    served,
                    (sender, events),
                    timings,
                    Some(counted),
                );
                let next = next.await;
                self.answering.end().await;
                (next, None)
            }
            Err(refused) => {
                let carried = match measuring {
                    Some(measuring) => measuring.end().await,
                    None => Carried::default(),
                };
                let again = Paused {
                    config: self.config,
                    outside: self.outside,
                    answering: self.answering,
                    counted: self.counted,
                    timings: self.timings,
                    publisher,
                };
                (again.go_on(carried).await, Some(refused))
            }
        }
    }

    /// Ends all tasks; what the kernel answers goes on.
    pub async fn end(self) {
        end_measuring(self.measuring).await;
        self.feeding.end().await;
        if let Err(error) = self.publishing.end().await {
            tracing::error!(%error, "the publisher ended badly");
        }
        self.answering.end().await;
    }
}

/// A configuration that answers on, but takes nothing in.
struct Paused {
    config: Arc<Config>,
    outside: Outside,
    answering: Tasks,
    counted: Counted,
    timings: Timings,
    publisher: Publisher,
}

impl Paused {
    async fn go_on(mut self, carried: Carried) -> anyhow::Result<Generation> {
        let (sender, events) = mpsc::channel(EVENTS);
        let measuring =
            Measuring::start(&self.config, sender.clone(), carried, self.timings.clone());
        self.publisher.tell(asked_of(measuring.as_ref()));
        let publishing = Publishing::start(self.publisher, events, self.counted.clone());
        let mut feeding = Tasks::new();
        let map = map_listener(&self.config, self.outside.map.as_ref()).await?;
        feeding.map_protocol(&self.config, map, sender).await?;
        Ok(Generation {
            config: self.config,
            outside: self.outside,
            measuring,
            feeding,
            publishing,
            answering: self.answering,
            counted: self.counted,
            timings: self.timings,
        })
    }
}

/// What is to be answered first; `None`: `stop` was cancelled before that was known.
async fn first(
    measuring: &mut Option<Measuring>,
    stop: &CancellationToken,
) -> Option<HashMap<usize, Serving>> {
    match measuring {
        None => Some(HashMap::new()),
        Some(measuring) => stop.run_until_cancelled(measuring.first()).await,
    }
}

async fn end_measuring(measuring: Option<Measuring>) {
    if let Some(measuring) = measuring {
        measuring.end().await;
    }
}

/// Where the publisher tells that a watched service was asked for: a role without sites watches none.
fn asked_of(measuring: Option<&Measuring>) -> mpsc::Sender<Asked> {
    match measuring {
        Some(measuring) => measuring.asked.clone(),
        None => mpsc::channel(1).0,
    }
}

/// As [`node::put_in_service`]; other tasks go on meanwhile.
fn put_in_service(config: &Config, servings: &HashMap<usize, Serving>) -> anyhow::Result<Served> {
    tokio::task::block_in_place(|| node::put_in_service(config, servings))
}
