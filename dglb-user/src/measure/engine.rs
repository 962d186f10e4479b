//! The task that measures and chooses.
//!
//! One loop: results and orders come in, probes whose time has come go out, and what changes an answer is told to
//! the publisher. Nothing in here waits for anybody: what a full channel does not take is offered
//! again.

use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    clock::{Clock, Moment},
    keeping::Keeping,
    knowledge::Knowledge,
    overrides::{Key, Overrides},
    pace::{lane_of, pause_of},
    plan::Plan,
    probing::Prober,
    replies::Listing,
    schedule::Schedule,
    services::{Carried, Services, View},
    store::key_of,
};
use crate::{
    config::{DnsLb, Family, LbService, Location},
    control::protocol::{Reply, Request},
    event::{Asked, Event, Serving},
    name::OwnerName,
    policy::{Chooser, Override},
    probe::{
        message::{FromProber, ToProber},
        spec::Spec,
    },
    timings::Timings,
};

/// How long a start waits for the first results.
const FIRST_ROUND: Duration = Duration::from_secs(10);
/// How often overrides' ends and lost probes are looked for, and the store is written.
const TICK: Duration = Duration::from_secs(1);
/// Results that are taken before what they change is decided.
const AT_ONCE: usize = 256;
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
    engine.decide();
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
            // As many as `Engine::order` wants.
            Ok(places) = orders.reserve_many(2), if engine.prober.is_blocked => {
                drop(places);
                engine.prober.is_blocked = false;
            }
            is_stored = engine.keeping.written() => if is_stored {
                engine.keeping.write(&engine.knowledge);
            },
            // All else comes in between.
            () = yield_now(), if engine.has_listings() => engine.list(),
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
    pub schedule: Schedule,
    /// Targets of which nothing is known.
    pub unknown: usize,
    pub keeping: Keeping,
    /// Answers that are long, in the making.
    pub listings: VecDeque<Listing>,
    /// What only an earlier configuration asked for: this one may be taken back soon.
    left: Left,
    /// Services of which it matters whether they are asked for.
    pub watchers: Vec<usize>,
    /// Those whose next query is to be told.
    pub to_watch: VecDeque<usize>,
    pub clock: Clock,
}

/// See [`Engine::left`].
#[derive(Debug, Default)]
struct Left {
    targets: HashMap<Arc<Spec>, Knowledge>,
    choosers: HashMap<(OwnerName, Family), Chooser>,
}

impl Engine {
    fn new(
        dns_lb: DnsLb,
        location: Option<Location>,
        mut carried: Carried,
        timings: Timings,
    ) -> Self {
        let plan = Plan::new(&dns_lb.services, &dns_lb.probe_limits);
        let clock = carried.clock;
        let Moment { now, wall } = clock.moment();
        let keys: Vec<_> = plan
            .targets
            .iter()
            .map(|target| key_of(&target.spec))
            .collect();
        let mut knowledge = Vec::with_capacity(plan.targets.len());
        let mut schedule = Schedule::new(plan.targets.len(), dns_lb.probe_limits.concurrency);
        for (index, target) in plan.targets.iter().enumerate() {
            let known = carried.take(&target.spec, &keys[index], wall);
            let known = known.with_judges(&target.judges);
            let lane = lane_of(&known);
            match known.is_unknown() {
                true => schedule.at(index, lane, now),
                false => {
                    let pause = pause_of(&plan, &dns_lb.services, index, &known, |_| false);
                    schedule.within(index, lane, now, pause);
                }
            }
            knowledge.push(known);
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
            services: Services::new(&dns_lb.services, location, &mut carried, now),
            services_config: dns_lb.services,
            overrides: carried.overrides,
            timings,
            prober: Prober::new(knowledge.len()),
            schedule,
            unknown,
            keeping: Keeping::new(carried.store, keys, TICK),
            listings: VecDeque::new(),
            left: Left {
                targets: carried.targets,
                choosers: carried.choosers,
            },
            watchers: (0..watched.len())
                .filter(|&service| watched[service])
                .collect(),
            to_watch: VecDeque::new(),
            clock,
            plan,
            knowledge,
        }
    }

    pub fn moment(&self) -> Moment {
        self.clock.moment()
    }

    pub fn view(&self) -> View<'_> {
        View {
            services: &self.services_config,
            plan: &self.plan,
            knowledge: &self.knowledge,
            overrides: &self.overrides,
            moment: self.moment(),
        }
    }

    pub fn decide(&mut self) {
        // As `view`, which would borrow the services too.
        let view = View {
            services: &self.services_config,
            plan: &self.plan,
            knowledge: &self.knowledge,
            overrides: &self.overrides,
            moment: self.clock.moment(),
        };
        self.services.decide(view);
    }

    /// When something is to be done that nobody tells.
    fn next_wake(&self) -> Option<Instant> {
        let probe = self
            .schedule
            .next_start()
            .filter(|_| self.prober.is_up && !self.prober.is_blocked);
        let again = self.services.next_again();
        let next = match (probe, again) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        next.map(|next| self.clock.instant(next))
    }

    fn wake(&mut self) {
        self.services.affect_due(self.clock.moment().now);
        self.decide();
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
        self.clock.look();
        let over = self.overrides.expire(self.moment().wall);
        for (key, order) in over {
            tracing::info!(
                site = key.site,
                reason = order.reason,
                "an operator's order is over"
            );
            self.has_changed(&key);
            self.keeping.order(key, None);
        }
        self.give_up();
        self.watch();
        if self.keeping.tick(&self.knowledge) {
            // The store has all of it by now.
            self.left = Left::default();
        }
        self.decide();
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
                self.services.affect(service, None);
            }
        }
    }

    /// An operator's order, or that it is taken back; `reply` is told `said` when it is on the disk.
    pub fn set_override(
        &mut self,
        key: Key,
        order: Option<Override>,
        reply: oneshot::Sender<Reply>,
        said: String,
    ) {
        let wall = self.moment().wall;
        self.overrides.set(&key, order.clone(), wall);
        self.has_changed(&key);
        self.decide();
        self.keeping.order(key, order);
        self.keeping.tell(reply, said);
        self.keeping.write(&self.knowledge);
    }

    /// Writes all, and gives what the next engine takes over.
    async fn end(self) -> Carried {
        let store = self.keeping.end(&self.knowledge).await;
        let specs = self.plan.targets.into_iter().map(|target| target.spec);
        let Left {
            mut targets,
            mut choosers,
        } = self.left;
        targets.extend(specs.zip(self.knowledge));
        choosers.extend(self.services.into_choosers(&self.services_config));
        Carried {
            targets,
            choosers,
            overrides: self.overrides,
            store,
            clock: self.clock,
        }
    }
}
