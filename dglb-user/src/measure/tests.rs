//! The engine on a paused clock, beside sites that live in memory.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    config::{AllDown, DnsLb, LbService, Policy, ProbeLimits, ResolverSource},
    control::protocol::{Reply, Request, SiteView},
    event::{Asked, Event, Selection, Serving},
    label::Label,
    measure::testing::service,
    policy::{OverrideKind, State},
    probe::{
        failure::Failure,
        message::{FromProber, SiteLoad, Success, Times, ToProber},
    },
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a site does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Answers after so long.
    Answers(Duration),
    Refuses,
    /// Accepts, and never answers.
    Hangs,
    /// The host of the probes has no ports.
    CannotBeAsked,
    /// Answers at once and asks to be left alone.
    Drains,
    /// Answers at once and says how loaded it is.
    Loaded(f64),
    /// Answers after a time that is never the same: a mean, and the shape of what is around it.
    Noisy(Duration, Noise),
    /// Fails every other time.
    Alternates,
    /// Nothing is ever heard of the probe again.
    IsLost,
}

/// A jitter of 30 %.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    /// Anything within 30 %.
    Uniform,
    /// A standard deviation of 30 %.
    Normal,
}

impl Noise {
    /// A factor, of two random numbers from 0 to 1.
    fn factor(self, one: f64, other: f64) -> f64 {
        let deviation = match self {
            Self::Uniform => 2.0 * one - 1.0,
            // Box and Muller's way.
            Self::Normal => {
                (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
            }
        };
        (1.0 + 0.3 * deviation).max(0.01)
    }
}

mod detection;
mod noise;
mod orders;
mod pace;
mod people;
mod restart;
mod trouble;

/// The sites, and who was probed when.
#[derive(Debug, Default)]
struct Sites {
    manners: HashMap<IpAddr, Manner>,
    probes: HashMap<IpAddr, Vec<Instant>>,
    running: BTreeSet<IpAddr>,
    overlaps: usize,
    random: u64,
}

impl Sites {
    /// From 0 to 1 (SplitMix64).
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// What comes next of a site that does not always do the same.
    fn next(&mut self, address: IpAddr) -> Manner {
        let manner = self.manners.get(&address).copied();
        match manner.unwrap_or(Manner::Refuses) {
            Manner::Noisy(mean, noise) => {
                let factor = noise.factor(self.random(), self.random());
                Manner::Answers(mean.mul_f64(factor))
            }
            Manner::Alternates => match self.probes[&address].len() % 2 {
                0 => Manner::Refuses,
                _ => Manner::Answers(5 * MS),
            },
            other => other,
        }
    }
}

type Shared = Arc<Mutex<Sites>>;

/// An engine under test.
struct World {
    sites: Shared,
    events: mpsc::Receiver<Event>,
    commands: mpsc::Sender<Command>,
    asked: mpsc::Sender<Asked>,
    results: mpsc::Sender<FromProber>,
    first: Option<oneshot::Receiver<HashMap<usize, Serving>>>,
    serving: HashMap<usize, Serving>,
    stop: CancellationToken,
    engine: JoinHandle<Carried>,
}

fn dns_lb(services: Vec<LbService>, concurrency: usize) -> DnsLb {
    DnsLb {
        address: [198, 51, 100, 7].into(),
        address_v6: None,
        beside_resolver: false,
        label: Label::of_node("lb1.example"),
        dns_bs: Vec::new(),
        renew: 3 * SECOND,
        resolvers: ResolverSource::Listed(Vec::new()),
        stands_in_for: Vec::new(),
        prefixes: Vec::new(),
        probe_limits: ProbeLimits {
            concurrency,
            ..ProbeLimits::default()
        },
        services: Arc::new(services),
    }
}

fn start(services: Vec<LbService>, manners: &[(&str, Manner)]) -> World {
    start_with(dns_lb(services, 1024), manners, Carried::default())
}

fn start_with(dns_lb: DnsLb, manners: &[(&str, Manner)], carried: Carried) -> World {
    let sites = Shared::default();
    for (address, manner) in manners {
        sites
            .lock()
            .unwrap()
            .manners
            .insert(address.parse().unwrap(), *manner);
    }
    let (event_sender, events) = mpsc::channel(64);
    let (orders, orders_receiver) = mpsc::channel(256);
    let (results, results_receiver) = mpsc::channel(256);
    let (commands, commands_receiver) = mpsc::channel(8);
    let (asked, asked_receiver) = mpsc::channel(8);
    let (first_sender, first) = oneshot::channel();
    let stop = CancellationToken::new();
    results.try_send(FromProber::Up).expect("room");
    tokio::spawn(probe_all(
        Arc::clone(&sites),
        orders_receiver,
        results.clone(),
    ));
    let engine = tokio::spawn(run(Inputs {
        dns_lb,
        location: None,
        events: event_sender,
        orders,
        results: results_receiver,
        commands: commands_receiver,
        asked: asked_receiver,
        first: first_sender,
        carried,
        timings: crate::timings::Timings::default(),
        stop: stop.clone(),
    }));
    World {
        sites,
        events,
        commands,
        asked,
        results,
        first: Some(first),
        serving: HashMap::new(),
        stop,
        engine,
    }
}

/// In place of the probing process.
async fn probe_all(
    sites: Shared,
    mut orders: mpsc::Receiver<ToProber>,
    results: mpsc::Sender<FromProber>,
) {
    let mut targets = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            ToProber::Define { target, spec } => {
                targets.insert(target, spec);
            }
            ToProber::Forget { target } => {
                targets.remove(&target);
            }
            ToProber::Probe { target } => {
                let spec = targets
                    .get(&target)
                    .expect("defined before it is probed")
                    .clone();
                let (sites, results) = (Arc::clone(&sites), results.clone());
                tokio::spawn(async move {
                    let manner = {
                        let mut sites = sites.lock().unwrap();
                        sites.overlaps += usize::from(!sites.running.insert(spec.address));
                        sites
                            .probes
                            .entry(spec.address)
                            .or_default()
                            .push(Instant::now());
                        sites.next(spec.address)
                    };
                    let limit = Duration::from_millis(spec.timeout_ms.into());
                    let outcome = outcome(manner, limit).await;
                    sites.lock().unwrap().running.remove(&spec.address);
                    let done = FromProber::Done {
                        target,
                        started_ns: 1,
                        ended_ns: 2,
                        outcome,
                    };
                    let _ = results.send(done).await;
                });
            }
        }
    }
}

async fn outcome(manner: Manner, limit: Duration) -> Result<Success, Failure> {
    let success = |time: Duration, load| {
        Ok(Success {
            times: Times {
                total_us: time.as_micros() as u32,
                ..Times::default()
            },
            load,
        })
    };
    match manner {
        Manner::Answers(time) => {
            sleep(time).await;
            success(time, None)
        }
        Manner::Drains => success(
            MS,
            Some(SiteLoad {
                drain: true,
                ..SiteLoad::default()
            }),
        ),
        Manner::Loaded(load) => success(
            MS,
            Some(SiteLoad {
                load: Some(load),
                ..SiteLoad::default()
            }),
        ),
        Manner::IsLost => std::future::pending().await,
        Manner::Refuses | Manner::Noisy(..) | Manner::Alternates => Err(Failure::Refused),
        Manner::CannotBeAsked => Err(Failure::Local("no ports".into())),
        Manner::Hangs => {
            sleep(limit).await;
            Err(Failure::TimedOut)
        }
    }
}

impl World {
    fn set(&self, address: &str, manner: Manner) {
        self.sites
            .lock()
            .unwrap()
            .manners
            .insert(address.parse().unwrap(), manner);
    }

    fn probes(&self, address: &str) -> Vec<Instant> {
        let address: IpAddr = address.parse().unwrap();
        self.sites
            .lock()
            .unwrap()
            .probes
            .get(&address)
            .cloned()
            .unwrap_or_default()
    }

    /// The first answers.
    async fn first(&mut self) -> HashMap<usize, Serving> {
        let first = self.first.take().expect("asked once").await.expect("told");
        self.serving.extend(first.clone());
        first
    }

    /// Takes what is told within `time`; how often something changed.
    async fn watch(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut changes = 0;
        while let Ok(Some(event)) = timeout(
            end.saturating_duration_since(Instant::now()),
            self.events.recv(),
        )
        .await
        {
            if let Event::Serve {
                service, serving, ..
            } = event
            {
                changes += 1;
                self.serving.insert(service, serving);
            }
        }
        changes
    }

    /// The indices of the sites that are answered to A.
    fn answered(&self, service: usize) -> Vec<usize> {
        match &self.serving[&service].v4.selection {
            Selection::List(sites) => sites.clone(),
            Selection::Weighted(sites) | Selection::Sticky(sites) => {
                sites.iter().map(|(site, _)| *site).collect()
            }
            Selection::Fallback(_) | Selection::Servfail => Vec::new(),
        }
    }

    async fn ask(&self, request: Request) -> Reply {
        let (reply, said) = oneshot::channel();
        self.commands
            .send(Command { request, reply })
            .await
            .expect("it runs");
        said.await.expect("it answers")
    }

    async fn sites(&self) -> Vec<SiteView> {
        match self.ask(Request::Sites { service: None }).await {
            Reply::Sites(sites) => sites.sites,
            other => panic!("{other:?}"),
        }
    }

    async fn order(&self, kind: Option<OverrideKind>, for_: Option<Duration>) -> Reply {
        self.ask(Request::Override {
            site: "site-192.0.2.1".into(),
            service: None,
            kind,
            reason: "new discs".into(),
            for_,
        })
        .await
    }

    async fn end(self) -> Carried {
        self.stop.cancel();
        self.engine.await.expect("it ends")
    }
}

const TWO: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

fn near_and_far() -> [(&'static str, Manner); 2] {
    [
        (TWO[0], Manner::Answers(10 * MS)),
        (TWO[1], Manner::Answers(80 * MS)),
    ]
}

/// DESIGN §8's formula.
fn formula(service: &LbService) -> Duration {
    let probe = &service.probe;
    service.effective_interval() + probe.timeout + (probe.fall - 1) * (probe.retry + probe.timeout)
}

/// Two that ask the same, one of which gives up after a failure, the other after five.
fn hasty_and_patient() -> Vec<LbService> {
    let with = |name, fall| {
        let mut service = alike(name);
        service.probe.fall = fall;
        service
    };
    vec![with("a.example.com", 1), with("b.example.com", 5)]
}

/// A service that asks the same of its sites as every other one of these.
fn alike(name: &str) -> LbService {
    LbService {
        probe: service("www.example.com", &TWO).probe,
        ..service(name, &TWO)
    }
}
