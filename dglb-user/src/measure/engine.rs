//! The task that measures and chooses.
//!
//! One loop: results and orders come in, probes whose time has come go out, and what changes an answer is told to
//! the publisher. Nothing in here waits for anybody: what a full channel does not take is offered
//! again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    knowledge::Knowledge,
    overrides::{Key, Overrides},
    plan::Plan,
    schedule::{Lane, Schedule},
    services::{Carried, Services, View},
    store::{Batch, Store, StoreError, TargetKey, key_of},
    timings::Timings,
};
use crate::{
    config::{DnsLb, LbService, Location},
    control::protocol::{Reply, Request},
    event::{Asked, Event, Serving},
    policy::Override,
    probe::{
        failure::Failure,
        message::{FromProber, Success, ToProber},
    },
};

/// How long a start waits for the first results.
const FIRST_ROUND: Duration = Duration::from_secs(10);
/// How often orders' ends are looked for and the store is written.
const TICK: Duration = Duration::from_secs(1);
/// Each target's measurements are written at least so often.
const STORED: Duration = Duration::from_secs(300);
/// Results that are taken before what they change is decided.
const AT_ONCE: usize = 256;
/// After so many failures in a row the pause of a target that is down is doubled, again and again.
const PATIENCE_WITH_THE_DEAD: u32 = 10;
/// The most that it is multiplied by.
const LONGEST_BACK_OFF: u32 = 8;
/// The shortest pause between two probes of a target, whatever is configured.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// A question or an order for the engine: the requests about sites.
#[derive(Debug)]
pub struct Command {
    /// What is wanted.
    pub request: Request,
    /// Who waits for it.
    pub reply: oneshot::Sender<Reply>,
}

/// What the engine works with.
#[derive(Debug)]
pub struct Inputs {
    /// The node's configuration.
    pub dns_lb: DnsLb,
    /// Where the node stands.
    pub location: Option<Location>,
    /// To the publisher.
    pub events: mpsc::Sender<Event>,
    /// To the probing process.
    pub orders: mpsc::Sender<ToProber>,
    /// From the probing process.
    pub results: mpsc::Receiver<FromProber>,
    /// From people.
    pub commands: mpsc::Receiver<Command>,
    /// From the publisher: a watched service was asked for.
    pub asked: mpsc::Receiver<Asked>,
    /// What is answered first for each service: once all sites are measured, or after ten seconds.
    pub first: oneshot::Sender<HashMap<usize, Serving>>,
    /// What an earlier engine or the store knows.
    pub carried: Carried,
    /// Shared with the publisher.
    pub timings: Timings,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Measures and chooses until it is stopped; gives what the next engine takes over. The store is written then.
pub async fn run(inputs: Inputs) -> Carried {
    let Inputs {
        dns_lb,
        location,
        events,
        orders,
        mut results,
        mut commands,
        mut asked,
        first,
        carried,
        timings,
        stop,
    } = inputs;
    let mut engine = Engine::new(dns_lb, location, carried, timings);
    let mut first = Some(first);
    let first_round = Instant::now() + FIRST_ROUND;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = Vec::with_capacity(AT_ONCE);
    engine.decide(None);
    loop {
        engine.order(&orders);
        if first.is_some()
            && (engine.unknown == 0 || Instant::now() >= first_round)
            && let Some(first) = first.take()
        {
            // Whoever waited may have gone; that is no reason to stop.
            let _ = first.send(engine.services.all_servings());
        }
        let is_serving = first.is_none();
        let wake = engine.next_wake();
        tokio::select! {
            () = stop.cancelled() => break,
            () = events.closed() => break,
            count = results.recv_many(&mut taken, AT_ONCE) => {
                if count == 0 {
                    // The keeper of the process is gone, and so is the node.
                    break;
                }
                engine.take(&mut taken);
            }
            Some(command) = commands.recv() => engine.execute(command),
            Some(Asked(service)) = asked.recv() => engine.was_asked(service),
            Ok(place) = events.reserve(), if is_serving && engine.has_news() => {
                if let Some(event) = engine.news() {
                    place.send(event);
                }
            }
            Ok(place) = orders.reserve(), if engine.is_blocked => {
                drop(place);
                engine.is_blocked = false;
            }
            _ = ticks.tick() => engine.tick(),
            () = sleep_until(first_round), if !is_serving => {}
            () = until(wake) => engine.wake(),
        }
    }
    engine.end().await
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The state of the engine.
pub(super) struct Engine {
    pub services_config: Arc<Vec<LbService>>,
    pub plan: Plan,
    pub knowledge: Vec<Knowledge>,
    pub services: Services,
    pub overrides: Overrides,
    pub timings: Timings,
    pub prober: Prober,
    schedule: Schedule,
    /// Whether the probing process knows the target.
    is_defined: Vec<bool>,
    /// Whether the target was probed by this engine: until then it is not late.
    was_probed: Vec<bool>,
    /// Targets of which nothing is known.
    unknown: usize,
    is_blocked: bool,
    keys: Vec<TargetKey>,
    store: Option<Store>,
    /// Targets whose state changed since the store was written.
    to_store: HashSet<usize>,
    orders_to_store: HashMap<Key, Option<Override>>,
    /// The next target whose measurements are written in turn.
    turn: usize,
    writing: Option<JoinHandle<Result<(), StoreError>>>,
    /// Whether this host could not do the last probe.
    in_trouble: bool,
    /// Services of which it matters whether they are asked for.
    watchers: Vec<usize>,
    /// Those whose next query is to be told.
    to_watch: VecDeque<usize>,
    start: Instant,
    start_wall: SystemTime,
}

/// What is known of the probing process.
#[derive(Clone, Debug, Default)]
pub(super) struct Prober {
    pub is_up: bool,
    pub restarts: u64,
    pub reason: Option<String>,
}

impl Engine {
    fn new(
        dns_lb: DnsLb,
        location: Option<Location>,
        mut carried: Carried,
        timings: Timings,
    ) -> Self {
        let plan = Plan::new(&dns_lb.services, &dns_lb.probe_limits);
        let (start, start_wall) = (Instant::now(), SystemTime::now());
        let keys: Vec<_> = plan
            .targets
            .iter()
            .map(|target| key_of(&target.spec))
            .collect();
        let mut knowledge = Vec::with_capacity(plan.targets.len());
        let mut schedule = Schedule::new(plan.targets.len(), dns_lb.probe_limits.concurrency);
        for (index, target) in plan.targets.iter().enumerate() {
            let known = carried.take(&target.spec, &keys[index], start_wall);
            let known = known.with_judges(&target.judges);
            let lane = lane_of(&known);
            match known.is_unknown() {
                true => schedule.at(index, lane, Duration::ZERO),
                false => {
                    let pause = pause_of(&plan, &dns_lb.services, index, &known, |_| false);
                    schedule.within(index, lane, Duration::ZERO, pause);
                }
            }
            knowledge.push(known);
        }
        if let Some(store) = &carried.store
            && let Err(error) = store.retain(&keys.iter().copied().collect())
        {
            tracing::error!(%error, "what is no longer probed stays in the store");
        }
        let watched: Vec<bool> = dns_lb
            .services
            .iter()
            .map(|service| service.probe.max_age.is_some() || service.probe.idle_after.is_some())
            .collect();
        let unknown = knowledge.iter().filter(|known| known.is_unknown()).count();
        tracing::info!(
            services = dns_lb.services.len(),
            targets = plan.targets.len(),
            unknown,
            "measuring starts; equal probes are one target"
        );
        Self {
            services: Services::new(&dns_lb.services, location, &mut carried, Duration::ZERO),
            services_config: dns_lb.services,
            overrides: carried.overrides,
            timings,
            prober: Prober::default(),
            schedule,
            is_defined: vec![false; knowledge.len()],
            was_probed: vec![false; knowledge.len()],
            unknown,
            is_blocked: false,
            keys,
            store: carried.store,
            to_store: HashSet::new(),
            orders_to_store: HashMap::new(),
            turn: 0,
            writing: None,
            in_trouble: false,
            watchers: (0..watched.len())
                .filter(|&service| watched[service])
                .collect(),
            to_watch: VecDeque::new(),
            start,
            start_wall,
            plan,
            knowledge,
        }
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The time for people, on the clock of this engine.
    pub fn wall(&self) -> SystemTime {
        self.start_wall + self.now()
    }

    pub fn view(&self) -> View<'_> {
        View {
            services: &self.services_config,
            plan: &self.plan,
            knowledge: &self.knowledge,
            overrides: &self.overrides,
            now: self.now(),
            wall: self.wall(),
        }
    }

    fn decide(&mut self, probed_ns: Option<u64>) {
        let view = View {
            services: &self.services_config,
            plan: &self.plan,
            knowledge: &self.knowledge,
            overrides: &self.overrides,
            now: self.start.elapsed(),
            wall: self.start_wall + self.start.elapsed(),
        };
        self.services.decide(view, probed_ns);
    }

    /// Orders all probes whose time has come, as far as there is room.
    fn order(&mut self, orders: &mpsc::Sender<ToProber>) {
        if !self.prober.is_up {
            return;
        }
        let now = self.now();
        while !self.is_blocked {
            // A target is defined right before its first probe.
            let Ok(mut places) = orders.try_reserve_many(2) else {
                // Closed: the node ends, and so will this.
                self.is_blocked = !orders.is_closed();
                return;
            };
            let Some((target, late)) = self.schedule.start(now) else {
                return;
            };
            let number = target as u32;
            if !std::mem::replace(&mut self.is_defined[target], true)
                && let Some(place) = places.next()
            {
                let spec = Box::new(self.plan.targets[target].spec.as_ref().clone());
                place.send(ToProber::Define {
                    target: number,
                    spec,
                });
            }
            if let Some(place) = places.next() {
                place.send(ToProber::Probe { target: number });
            }
            if std::mem::replace(&mut self.was_probed[target], true) {
                let ns = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
                self.timings.record_lateness(ns);
            }
        }
    }

    /// When something is to be done that nobody tells.
    fn next_wake(&self) -> Option<Instant> {
        let probe = self
            .schedule
            .next_start()
            .filter(|_| self.prober.is_up && !self.is_blocked);
        let again = self.services.next_again();
        let next = match (probe, again) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        next.map(|next| self.start + next)
    }

    fn wake(&mut self) {
        let now = self.now();
        self.services.affect_due(now);
        self.decide(None);
    }

    fn take(&mut self, results: &mut Vec<FromProber>) {
        let mut last_ended = None;
        for result in results.drain(..) {
            match result {
                FromProber::Up => {
                    self.prober.is_up = true;
                    self.is_defined.fill(false);
                    tracing::info!("the probing process is there");
                }
                FromProber::Down { reason } => {
                    self.prober.is_up = false;
                    self.prober.restarts += 1;
                    self.prober.reason = Some(reason);
                    let now = self.now();
                    self.schedule.abandon(now);
                }
                FromProber::Done {
                    target,
                    ended_ns,
                    outcome,
                    ..
                } => {
                    // The process is not trusted: of what was not ordered nothing is taken.
                    let target = target as usize;
                    if target < self.knowledge.len() && self.schedule.is_running(target) {
                        last_ended = Some(ended_ns);
                        self.record(target, &outcome);
                    }
                }
            }
        }
        self.decide(last_ended);
    }

    fn record(&mut self, target: usize, outcome: &Result<Success, Failure>) {
        self.note_trouble(outcome);
        let (now, wall) = (self.now(), self.wall());
        let known = &mut self.knowledge[target];
        let was_unknown = known.is_unknown();
        if known.record(outcome, wall) {
            self.to_store.insert(target);
            log_states(&self.plan, target, known, was_unknown);
        }
        let known = &self.knowledge[target];
        self.unknown -= usize::from(was_unknown && !known.is_unknown());
        let pause = self.pause(target, now);
        match was_unknown && !known.is_unknown() {
            // Those who begin together go apart.
            true => self.schedule.within(target, lane_of(known), now, pause),
            false => self.schedule.after(target, lane_of(known), now, pause),
        }
        for index in 0..self.plan.targets[target].services.len() {
            let service = self.plan.targets[target].services[index];
            self.services.affect(service);
        }
    }

    fn pause(&self, target: usize, now: Duration) -> Duration {
        let is_idle = |service: usize| {
            let idle_after = self.services_config[service].probe.idle_after;
            let asked = self.services.all[service].asked;
            idle_after.is_some_and(|idle_after| now.saturating_sub(asked) >= idle_after)
        };
        let known = &self.knowledge[target];
        pause_of(&self.plan, &self.services_config, target, known, is_idle)
    }

    /// Says once when this host becomes unable to probe, and once when it is able again.
    fn note_trouble(&mut self, outcome: &Result<Success, Failure>) {
        match outcome {
            Err(Failure::Local(reason)) if !self.in_trouble => {
                self.in_trouble = true;
                tracing::warn!(
                    reason,
                    "this host cannot probe; sites keep their states: see to its limits of open files, \
                     ports and memory"
                );
            }
            Ok(_) if self.in_trouble => {
                self.in_trouble = false;
                tracing::info!("this host can probe again");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A watched service was asked for.
    fn was_asked(&mut self, service: usize) {
        let now = self.now();
        let Some(state) = self.services.all.get_mut(service) else {
            return;
        };
        state.is_watched = false;
        let probe = &self.services_config[service].probe;
        let was_idle = probe
            .idle_after
            .is_some_and(|idle_after| now.saturating_sub(state.asked) >= idle_after);
        state.asked = now;
        let wall = self.start_wall + now;
        let is_old = |known: &Knowledge, age: Duration| {
            let age_of = |probed| wall.duration_since(probed).unwrap_or_default();
            known.probed.is_none_or(|probed| age_of(probed) > age)
        };
        let age = match (probe.max_age, was_idle) {
            (Some(age), _) => age,
            (None, true) => probe.interval,
            (None, false) => return,
        };
        let targets: Vec<usize> = self.targets_of(service);
        for target in targets {
            if is_old(&self.knowledge[target], age) {
                self.schedule.hasten(target, now);
            }
        }
    }

    fn targets_of(&self, service: usize) -> Vec<usize> {
        let judged = self.plan.sites[service].iter().flatten().flatten();
        let mut targets: Vec<usize> = judged.map(|judged| judged.target).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn has_news(&self) -> bool {
        self.services.has_news() || !self.to_watch.is_empty()
    }

    fn news(&mut self) -> Option<Event> {
        if let Some((service, serving, probed_ns)) = self.services.news() {
            return Some(Event::Serve {
                service,
                vantage: 0,
                serving,
                probed_ns,
            });
        }
        let service = self.to_watch.pop_front()?;
        Some(Event::Watch { service })
    }

    fn tick(&mut self) {
        let over = self.overrides.expire(self.wall());
        for (key, order) in over {
            tracing::info!(
                site = key.site,
                reason = order.reason,
                "an operator's order is over"
            );
            self.has_changed(&key);
            self.orders_to_store.insert(key, None);
        }
        self.watch();
        self.write_turn();
        self.decide(None);
    }

    /// Has the next query told for services of which it matters.
    fn watch(&mut self) {
        let (now, wall) = (self.now(), self.wall());
        for index in 0..self.watchers.len() {
            let service = self.watchers[index];
            if self.services.all[service].is_watched {
                continue;
            }
            let probe = &self.services_config[service].probe;
            let unasked = now.saturating_sub(self.services.all[service].asked);
            let may_be_idle = probe.idle_after.is_some_and(|idle| unasked >= idle / 2);
            let is_old = probe.max_age.is_some_and(|age| {
                self.targets_of(service).into_iter().any(|target| {
                    self.knowledge[target]
                        .probed
                        .is_none_or(|probed| wall.duration_since(probed).unwrap_or_default() > age)
                })
            });
            if may_be_idle || is_old {
                self.services.all[service].is_watched = true;
                self.to_watch.push_back(service);
            }
        }
    }

    /// Sites that an order is for are looked at again.
    pub fn has_changed(&mut self, key: &Key) {
        for service in 0..self.services_config.len() {
            let is_meant = key
                .service
                .as_ref()
                .is_none_or(|name| *name == self.services.all[service].name);
            let has_site = || {
                self.services_config[service]
                    .sites
                    .iter()
                    .any(|site| site.name == key.site)
            };
            if is_meant && has_site() {
                self.services.affect(service);
            }
        }
    }

    /// An operator's order, or that it is taken back; a ramp begins then.
    pub fn set_override(&mut self, key: Key, order: Option<Override>) {
        let before = self.overrides.set(key.clone(), order.clone());
        if order.is_none() && before.is_some() {
            let wall = self.wall();
            for target in self.targets_of_site(&key) {
                self.knowledge[target].come_back(wall);
            }
        }
        self.has_changed(&key);
        self.orders_to_store.insert(key, order);
        self.decide(None);
        self.write_turn();
    }

    fn targets_of_site(&self, key: &Key) -> Vec<usize> {
        let mut targets = Vec::new();
        for (service, config) in self.services_config.iter().enumerate() {
            let name = &self.services.all[service].name;
            if key.service.as_ref().is_some_and(|wanted| wanted != name) {
                continue;
            }
            for (site, config) in config.sites.iter().enumerate() {
                if config.name == key.site {
                    let judged = self.plan.sites[service]
                        .iter()
                        .filter_map(|sites| sites[site]);
                    targets.extend(judged.map(|judged| judged.target));
                }
            }
        }
        targets
    }

    /// Writes what changed, and a few of all measurements in turn; in another thread, one batch at a time.
    fn write_turn(&mut self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
        {
            return;
        }
        self.writing = None;
        let count = self.knowledge.len();
        let ticks = (STORED.as_secs() / TICK.as_secs()).max(1) as usize;
        let turn = count.div_ceil(ticks).min(count);
        let in_turn = (self.turn..self.turn + turn).map(|target| target % count.max(1));
        self.to_store.extend(in_turn);
        self.turn = (self.turn + turn) % count.max(1);
        let batch = self.batch();
        if batch.is_empty() {
            return;
        }
        self.writing = Some(tokio::task::spawn_blocking(move || {
            store.write(&batch).inspect_err(|error| {
                tracing::error!(%error, "measurements would not survive a restart");
            })
        }));
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        for target in self.to_store.drain() {
            batch.target(self.keys[target], &self.knowledge[target]);
        }
        for (key, order) in self.orders_to_store.drain() {
            batch.order(&key, order.as_ref());
        }
        batch
    }

    /// Writes all, and gives what the next engine takes over.
    async fn end(mut self) -> Carried {
        if let Some(writing) = self.writing.take() {
            // What went wrong was told.
            let _ = writing.await;
        }
        self.to_store.extend(0..self.knowledge.len());
        let batch = self.batch();
        if let Some(store) = self.store.clone() {
            let written = tokio::task::spawn_blocking(move || store.write(&batch)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(%error, "measurements do not survive this end");
            }
        }
        let specs = self.plan.targets.into_iter().map(|target| target.spec);
        Carried {
            targets: specs.zip(self.knowledge).collect(),
            choosers: self.services.into_choosers(&self.services_config),
            overrides: self.overrides,
            store: self.store,
        }
    }
}

fn lane_of(known: &Knowledge) -> Lane {
    match known.is_unknown() || known.is_up() {
        true => Lane::Living,
        false => Lane::Down,
    }
}

/// From the end of a probe to the next: quick while a failure is not yet confirmed; slower for what nobody asks
/// for and for the long dead.
fn pause_of(
    plan: &Plan,
    services: &[LbService],
    target: usize,
    known: &Knowledge,
    is_idle: impl Fn(usize) -> bool,
) -> Duration {
    if known.is_failing() || known.is_unknown() {
        return plan.targets[target].retry.max(SHORTEST_PAUSE);
    }
    let of_service = |&service: &usize| {
        let effective = services[service].effective_interval();
        match is_idle(service) {
            true => effective.max(services[service].probe.idle_interval),
            false => effective,
        }
    };
    let pauses = plan.targets[target].services.iter().map(of_service);
    let pause = pauses.min().unwrap_or(FIRST_ROUND);
    let doublings = match known.is_up() {
        true => 0,
        false => known.failures_in_a_row() / PATIENCE_WITH_THE_DEAD,
    };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(LONGEST_BACK_OFF);
    (pause * factor.clamp(1, LONGEST_BACK_OFF)).max(SHORTEST_PAUSE)
}

/// Says what became of a target; of the many that are found well at a start only at level debug.
fn log_states(plan: &Plan, target: usize, known: &Knowledge, is_first: bool) {
    let address = plan.targets[target].spec.address;
    for (patience, judge) in &known.judges {
        let reason = judge.reason.as_deref().unwrap_or_default();
        let fall = patience.fall;
        match judge.is_up() {
            true if is_first => tracing::debug!(%address, state = %judge.state, reason, "target"),
            true => tracing::info!(%address, state = %judge.state, reason, "target"),
            false => tracing::warn!(%address, state = %judge.state, fall, reason, "target"),
        }
    }
}
