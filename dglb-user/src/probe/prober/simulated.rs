//! Sites that live in memory and a prober beside them, for tests on a simulated clock.

use std::{collections::HashMap, net::Ipv4Addr, sync::Mutex};

use tokio::{task::JoinHandle, time::sleep};

use super::*;
use crate::config::{Form, HttpProbe, Probe, ProbeKind, Site, Soa};

pub(super) const MS: Duration = Duration::from_millis(1);

/// A service with a site for each address, and the default pace.
pub(crate) fn service(name: &str, addresses: &[&str]) -> LbService {
    let site = |address: &&str| {
        Site::new(
            format!("site-{address}"),
            Some(address.parse().unwrap()),
            None,
        )
    };
    let soa = Soa {
        mname: "ns1.example.com".parse().unwrap(),
        rname: "hostmaster.example.com".parse().unwrap(),
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86400,
        minimum: 60,
        ttl: 60,
    };
    let probe = Probe::new(ProbeKind::Http(HttpProbe::new(name, "/")));
    let sites = addresses.iter().map(site).collect();
    LbService::new(name.parse().unwrap(), Form::Referral, soa, sites, probe)
}

/// How long a site that dies may stay in a ranking.
pub(super) fn formula(probe: &Probe) -> Duration {
    probe.interval + probe.timeout + (probe.fall - 1) * (probe.retry + probe.timeout)
}

/// tokio's timers end up to a millisecond late; a detection waits for two a failure.
pub(super) fn timer_slack(probe: &Probe) -> Duration {
    2 * (probe.fall + 1) * MS
}

/// What a simulated site does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Manner {
    AnswersAfter(Duration),
    Refuses,
    Hangs,
    /// It would answer, but this host has no file descriptor left.
    CannotBeAsked,
}

/// Simulated sites, and what was seen of the prober.
#[derive(Default)]
pub(super) struct World {
    manners: HashMap<Ipv4Addr, Manner>,
    seen: HashMap<Ipv4Addr, usize>,
    running: HashMap<Ipv4Addr, usize>,
    pub(super) most_running: usize,
}

/// A prober in its world.
pub(super) struct Rig {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) first_round: oneshot::Receiver<()>,
    pub(super) report: watch::Receiver<Report>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

pub(super) fn rig(services: Vec<LbService>, manners: &[(&str, Manner)], capacity: usize) -> Rig {
    let world = Arc::new(Mutex::new(World::default()));
    for (address, manner) in manners {
        world
            .lock()
            .unwrap()
            .manners
            .insert(address.parse().unwrap(), *manner);
    }
    let (sender, events) = mpsc::channel(capacity);
    let (signal, first_round) = oneshot::channel();
    let (reporter, report) = watch::channel(Report::default());
    let stop = CancellationToken::new();
    let sites = Arc::clone(&world);
    let probe = move |get: Arc<HttpGet>| simulated(Arc::clone(&sites), get);
    let task = tokio::spawn(run_with(
        probe,
        services,
        sender,
        signal,
        reporter,
        stop.clone(),
    ));
    Rig {
        world,
        events,
        first_round,
        report,
        stop,
        task,
    }
}

/// A probe of a simulated site: what the site does counts at the moment when it would answer.
async fn simulated(world: Arc<Mutex<World>>, get: Arc<HttpGet>) -> Outcome {
    let (start, address) = (Instant::now(), *get.address.ip());
    {
        let mut world = world.lock().unwrap();
        *world.seen.entry(address).or_default() += 1;
        let running = world.running.entry(address).or_default();
        *running += 1;
        assert_eq!(*running, 1, "two probes of {address} at once");
        world.most_running = world.most_running.max(world.running.values().sum());
    }
    let manner = || world.lock().unwrap().manners[&address];
    if let Manner::AnswersAfter(time) = manner() {
        sleep(time).await;
    }
    let outcome = match manner() {
        Manner::AnswersAfter(time) => Ok(time),
        Manner::Refuses => Err(Failure::Refused),
        Manner::CannotBeAsked => Err(Failure::Local(rustix::io::Errno::MFILE)),
        Manner::Hangs => {
            sleep_until(start + get.timeout).await;
            Err(Failure::TimedOut)
        }
    };
    *world.lock().unwrap().running.get_mut(&address).unwrap() -= 1;
    outcome
}

/// Nothing in these tests takes a day of the simulated clock; what does, hangs.
pub(super) async fn within_a_day<F: Future>(wait: F) -> F::Output {
    let day = Duration::from_secs(86_400);
    tokio::time::timeout(day, wait)
        .await
        .expect("done within a day")
}

impl Rig {
    pub(super) async fn ranking(&mut self) -> (usize, Vec<usize>) {
        match within_a_day(self.events.recv()).await {
            Some(Event::Ranking { service, ranking }) => (service, ranking),
            other => panic!("not a ranking: {other:?}"),
        }
    }

    pub(super) fn no_ranking_waits(&mut self) -> bool {
        self.events.try_recv().is_err()
    }

    pub(super) fn set(&self, address: &str, manner: Manner) {
        self.world
            .lock()
            .unwrap()
            .manners
            .insert(address.parse().unwrap(), manner);
    }

    pub(super) fn seen(&self, address: &str) -> usize {
        self.world.lock().unwrap().seen[&address.parse::<Ipv4Addr>().unwrap()]
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        within_a_day(self.task).await.unwrap();
    }
}
