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

mod noise;
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
        timings: Timings::default(),
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

#[tokio::test(start_paused = true)]
async fn the_first_answers_are_told_when_all_is_measured() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    let begin = Instant::now();
    world.first().await;
    assert_eq!(world.answered(0), [0]);
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_ten_seconds_for_what_can_t_be_measured_and_no_more() {
    let manners = [
        (TWO[0], Manner::CannotBeAsked),
        (TWO[1], Manner::CannotBeAsked),
    ];
    let mut world = start(vec![service("www.example.com", &TWO)], &manners);
    let begin = Instant::now();
    world.first().await;
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(world.sites().await[0].state, State::Unknown);
    assert_eq!(
        world.answered(0),
        [0],
        "what the policy says of unknown sites"
    );
}

#[tokio::test(start_paused = true)]
async fn a_site_that_dies_is_in_no_answer_after_the_formula() {
    for (interval, timeout, retry, fall, manner) in [
        (10, 2, 1, 3, Manner::Hangs),
        (10, 2, 1, 3, Manner::Refuses),
        (30, 5, 2, 1, Manner::Hangs),
        (5, 1, 1, 5, Manner::Hangs),
    ] {
        for after_ms in [0, 777, 3_100, 9_900] {
            let mut config = service("www.example.com", &TWO);
            config.probe.interval = interval * SECOND;
            config.probe.timeout = timeout * SECOND;
            config.probe.retry = retry * SECOND;
            config.probe.fall = fall;
            let limit = formula(&config);
            let mut world = start(vec![config], &near_and_far());
            world.first().await;
            world.watch(100 * SECOND + after_ms * MS).await;
            assert_eq!(world.answered(0), [0]);
            world.set(TWO[0], manner);
            // Timers end up to a millisecond late, two of them a probe.
            world.watch(limit + 2 * (fall + 1) * MS).await;
            assert_eq!(
                world.answered(0),
                [1],
                "{interval} {timeout} {retry} {fall} {after_ms}"
            );
            for _ in 0..50 {
                world.watch(SECOND).await;
                assert_eq!(world.answered(0), [1], "it is named again");
            }
            assert_eq!(world.sites.lock().unwrap().overlaps, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_s_budget_slows_its_probes_and_the_formula_holds_for_that() {
    let mut config = service("www.example.com", &TWO);
    // 600 vantages, 20 probes a second for all of them: one each 30 seconds.
    config.vantages = 600;
    assert_eq!(config.effective_interval(), 30 * SECOND);
    let limit = formula(&config);
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    world.watch(600 * SECOND).await;
    let probes = world.probes(TWO[0]).len();
    assert!(
        (20..=24).contains(&probes),
        "{probes} probes in ten minutes"
    );
    world.set(TWO[0], Manner::Hangs);
    world.watch(limit + 8 * MS).await;
    assert_eq!(world.answered(0), [1]);
    assert!((world.sites().await[0].interval_s - 30.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_lost_probe_and_a_slow_one_move_nobody_but_shorten_the_ttl() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(200 * SECOND).await;
    world.set(TWO[0], Manner::Refuses);
    let before = world.probes(TWO[0]).len();
    while world.probes(TWO[0]).len() == before {
        world.watch(50 * MS).await;
    }
    assert_eq!((world.answered(0), world.serving[&0].v4.ttl), (vec![0], 40));
    world.set(TWO[0], Manner::Answers(1500 * MS));
    world.watch(3 * SECOND).await;
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(100 * SECOND).await;
    assert_eq!((world.answered(0), world.serving[&0].v4.ttl), (vec![0], 60));
    let sites = world.sites().await;
    assert_eq!(sites[0].failures["refused"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_never_answer_do_not_delay_the_others() {
    let hanging: Vec<String> = (0..1000)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let addresses: Vec<&str> = hanging.iter().map(String::as_str).collect();
    let mut silent = service("silent.example.com", &addresses);
    silent.probe.interval = 10 * SECOND;
    let living = service("www.example.com", &TWO);
    let mut manners = near_and_far().to_vec();
    manners.extend(addresses.iter().map(|address| (*address, Manner::Hangs)));
    let mut world = start_with(
        dns_lb(vec![silent, living], 256),
        &manners,
        Carried::default(),
    );
    world.first().await;
    world.watch(60 * SECOND).await;
    let from = world.probes(TWO[0]).len();
    world.watch(600 * SECOND).await;
    let probes = world.probes(TWO[0]);
    for pair in probes[from..].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause <= 10 * SECOND + 20 * MS, "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_long_dead_are_probed_less_often_and_found_when_they_are_back() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(3600 * SECOND).await;
    let probes = world.probes(TWO[0]);
    let last = probes[probes.len() - 1] - probes[probes.len() - 2];
    assert!((71 * SECOND..=81 * SECOND).contains(&last), "{last:?}");
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(100 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_probed_slowly_until_somebody_does() {
    let mut config = service("www.example.com", &TWO);
    config.probe.idle_after = Some(60 * SECOND);
    config.probe.idle_interval = 300 * SECOND;
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    let mut is_watched = false;
    let end = Instant::now() + 1200 * SECOND;
    while let Ok(Some(event)) = timeout(
        end.saturating_duration_since(Instant::now()),
        world.events.recv(),
    )
    .await
    {
        is_watched |= matches!(event, Event::Watch { service: 0 });
    }
    assert!(is_watched, "the next query is to be told");
    let idle = world.probes(TWO[0]).len();
    assert!(idle <= 14, "{idle} probes in 20 minutes");
    let last = world.probes(TWO[0])[idle - 1].elapsed();
    world.asked.send(Asked(0)).await.expect("it runs");
    // Ten seconds after the last one, or at once.
    world
        .watch((10 * SECOND).saturating_sub(last) + SECOND)
        .await;
    assert_eq!(world.probes(TWO[0]).len(), idle + 1, "{last:?}");
    world.watch(50 * SECOND).await;
    assert!(world.probes(TWO[0]).len() >= idle + 5, "and often again");
}

#[tokio::test(start_paused = true)]
async fn a_query_has_an_old_measurement_made_anew() {
    let mut config = service("www.example.com", &TWO);
    config.probe.interval = 600 * SECOND;
    config.probe.max_age = Some(30 * SECOND);
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    // The second probe comes at any time within the interval.
    world.watch(600 * SECOND).await;
    loop {
        let probes = world.probes(TWO[0]);
        if probes[probes.len() - 1].elapsed() > 60 * SECOND {
            break;
        }
        world.watch(10 * SECOND).await;
    }
    let before = world.probes(TWO[0]).len();
    world.asked.send(Asked(0)).await.expect("it runs");
    world.watch(SECOND).await;
    assert_eq!(world.probes(TWO[0]).len(), before + 1);
    world.asked.send(Asked(0)).await.expect("it runs");
    world.watch(SECOND).await;
    assert_eq!(world.probes(TWO[0]).len(), before + 1, "it is fresh now");
}

#[tokio::test(start_paused = true)]
async fn trouble_of_this_host_takes_no_site_away() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::CannotBeAsked);
    world.set(TWO[1], Manner::CannotBeAsked);
    assert_eq!(world.watch(600 * SECOND).await, 0);
    assert_eq!(world.answered(0), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_probing_process_is_survived_and_told() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let reason = "signal: 9 (SIGKILL)".to_owned();
    world
        .results
        .send(FromProber::Down {
            reason: reason.clone(),
        })
        .await
        .expect("it runs");
    world.set(TWO[0], Manner::Refuses);
    assert_eq!(world.watch(300 * SECOND).await, 0, "states stay");
    let before = world.probes(TWO[0]).len();
    let Reply::Sites(sites) = world.ask(Request::Sites { service: None }).await else {
        panic!("no sites");
    };
    assert!(!sites.prober.running && sites.prober.reason == Some(reason));
    world.results.send(FromProber::Up).await.expect("it runs");
    world.watch(30 * SECOND).await;
    assert!(world.probes(TWO[0]).len() > before);
    assert_eq!(world.answered(0), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_ordered_is_not_believed() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(SECOND).await;
    for target in [0, 0, 0, 0, 7, u32::MAX] {
        let done = FromProber::Done {
            target,
            started_ns: 0,
            ended_ns: 0,
            outcome: Err(Failure::Refused),
        };
        world.results.send(done).await.expect("it runs");
    }
    world.watch(100 * MS).await;
    assert_eq!(world.answered(0), [0]);
    assert!(world.sites().await[0].failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drained_site_leaves_at_once_and_comes_back_when_its_time_is_over() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let said = world
        .order(Some(OverrideKind::Drained), Some(60 * SECOND))
        .await;
    assert!(
        matches!(&said, Reply::Done(text) if text.contains("new discs")),
        "{said:?}"
    );
    world.watch(10 * MS).await;
    assert_eq!(world.answered(0), [1]);
    let view = &world.sites().await[0];
    assert_eq!(view.state, State::Drained);
    assert_eq!(
        view.overridden.as_ref().map(|order| order.reason.as_str()),
        Some("new discs")
    );
    world.watch(62 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
    assert!(
        matches!(world.order(None, None).await, Reply::Error(_)),
        "nothing is left to take back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_forced_site_is_what_the_operator_says() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.order(Some(OverrideKind::Down), None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [1]);
    world.set(TWO[0], Manner::Refuses);
    world.set(TWO[1], Manner::Refuses);
    world.watch(60 * SECOND).await;
    world.order(Some(OverrideKind::Up), None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [0]);
    world.order(None, None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [0, 1], "all down: all sites");
}

#[tokio::test(start_paused = true)]
async fn a_site_may_ask_to_be_drained() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Drains);
    world.watch(20 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
    assert_eq!(
        world.sites().await[0].reason.as_deref(),
        Some("reported by the site")
    );
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(20 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
}

#[tokio::test(start_paused = true)]
async fn state_and_orders_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Carried::of(Some(Store::open(directory.path(), "lb1").expect("opened")));
    let config = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let mut world = start_with(config(), &near_and_far(), open());
    world.first().await;
    world.set(TWO[1], Manner::Refuses);
    world.watch(60 * SECOND).await;
    world.order(Some(OverrideKind::Drained), None).await;
    world.watch(SECOND).await;
    let before = world.sites().await;
    drop(world.end().await);

    // Nobody can be probed at the next start: all that is known is from before.
    let mut world = start_with(config(), &[], open());
    let begin = Instant::now();
    world
        .results
        .send(FromProber::Down {
            reason: "test".into(),
        })
        .await
        .expect("it runs");
    world.first().await;
    assert!(begin.elapsed() < SECOND, "what is known is served at once");
    let after = world.sites().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.latency_ms, after.latency_ms);
        assert_eq!((before.state, &before.reason), (after.state, &after.reason));
        assert_eq!(before.overridden, after.overridden);
    }
    assert_eq!(after[0].state, State::Drained);
    assert_eq!(after[1].state, State::Down);
}

#[tokio::test(start_paused = true)]
async fn a_state_survives_an_end_that_nobody_announced() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Carried::of(Some(Store::open(directory.path(), "lb1").expect("opened")));
    let config = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let mut world = start_with(config(), &near_and_far(), open());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(60 * SECOND).await;
    // What is written is written by threads that the paused clock does not know.
    for _ in 0..50 {
        world.watch(SECOND).await;
        tokio::task::spawn_blocking(|| std::thread::sleep(MS))
            .await
            .expect("a thread");
    }
    world.engine.abort();
    let _ = world.engine.await;
    let mut world = loop {
        // The thread that writes may hold the file for a moment.
        match Store::open(directory.path(), "lb1") {
            Ok(store) => break start_with(config(), &[], Carried::of(Some(store))),
            Err(StoreError::InUse(_)) => std::thread::sleep(MS),
            Err(error) => panic!("{error}"),
        }
    };
    world
        .results
        .send(FromProber::Down {
            reason: "test".into(),
        })
        .await
        .expect("it runs");
    world.first().await;
    assert_eq!(world.answered(0), [1]);
    assert_eq!(world.sites().await[0].state, State::Down);
}

#[tokio::test(start_paused = true)]
async fn the_next_configuration_begins_with_what_is_known() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(100 * SECOND).await;
    let before = world.sites().await;
    let carried = world.end().await;
    let mut other = service("www.example.com", &["192.0.2.1", "192.0.2.3"]);
    other.policy = Policy {
        all_down: AllDown::Servfail,
        ..Policy::default()
    };
    let manners = [
        (TWO[0], Manner::Refuses),
        ("192.0.2.3", Manner::Answers(MS)),
    ];
    let mut world = start_with(dns_lb(vec![other], 64), &manners, carried);
    world.first().await;
    let after = world.sites().await;
    assert_eq!(after[0].latency_ms, before[0].latency_ms);
    assert_eq!(after[0].successes, before[0].successes);
    assert_eq!(world.answered(0), [1]);
}

#[tokio::test(start_paused = true)]
async fn one_target_serves_all_who_ask_for_the_same_with_patience_of_their_own() {
    let mut hasty = service("a.example.com", &TWO);
    hasty.probe.fall = 1;
    let mut patient = service("b.example.com", &TWO);
    patient.probe.fall = 5;
    for service in [&mut hasty, &mut patient] {
        let kind = crate::config::HttpProbe::new("www.example.com", "/");
        service.probe.kind = crate::config::ProbeKind::Http(kind);
    }
    let mut world = start(vec![hasty, patient], &near_and_far());
    world.first().await;
    world.watch(100 * SECOND).await;
    let count = world.probes(TWO[0]).len();
    assert!((10..=13).contains(&count), "{count} probes in 100 s");
    world.set(TWO[0], Manner::Refuses);
    while world.answered(0) == [0] {
        world.watch(100 * MS).await;
    }
    assert_eq!(world.answered(1), [0]);
    world.watch(5 * SECOND).await;
    assert_eq!(world.answered(1), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told_with_what_is() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let site = || "berlin".to_owned();
    for request in [
        Request::Sites {
            service: Some("nope.example.com".into()),
        },
        Request::History {
            site: site(),
            service: None,
        },
        Request::Override {
            site: site(),
            service: None,
            kind: Some(OverrideKind::Drained),
            reason: "x".into(),
            for_: None,
        },
    ] {
        match world.ask(request).await {
            Reply::Error(text) => assert!(
                text.contains("www.example.com") || text.contains("site-192.0.2.1"),
                "{text}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let request = Request::History {
        site: "site-192.0.2.1".into(),
        service: None,
    };
    let Reply::History(history) = world.ask(request).await else {
        panic!("no history");
    };
    assert_eq!(history[0].changes[0].state, State::Up);
    assert!(
        history[0].spans[0].probes > 0 && SystemTime::now() > history[0].changes[0].at - SECOND
    );
}
