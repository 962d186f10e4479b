//! The task that probes: starts what is due, judges what comes back, tells the publisher.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    board::Board,
    health::{Change, Health, State},
    http,
    outcome::{Failure, FailureCounts, Outcome},
    ranking::Standing,
    report::Report,
    schedule::{Lane, Schedule, Start},
    target::{HttpGet, Plan, SiteId},
};
use crate::{config::LbService, event::Event};

/// A probe that waited longer than this for a place is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// Probes all sites until `stop`, or until nobody receives `events` any more.
///
/// Each service's ranking is sent once when all its sites have a result, and then when it changes;
/// when the channel is full, only the newest is kept for it. `first_round` is completed when every
/// target has a result and all first rankings are in the channel: whoever waits for it must receive
/// `events` meanwhile. With up to [`super::schedule::LIVING_PLACES`] targets that takes one timeout at
/// most. If the task ends before, `first_round` is dropped.
///
/// # Panics
/// If a probe does, which is a mistake in this program and must not stay hidden.
pub async fn run(
    services: Vec<LbService>,
    events: mpsc::Sender<Event>,
    first_round: oneshot::Sender<()>,
    report: watch::Sender<Report>,
    stop: CancellationToken,
) {
    let probe = |get: Arc<HttpGet>| async move { http::get(&get).await };
    run_with(probe, services, events, first_round, report, stop).await;
}

/// [`run`] with another way to probe: tests have sites that live in memory.
async fn run_with<P, F>(
    probe: P,
    services: Vec<LbService>,
    events: mpsc::Sender<Event>,
    first_round: oneshot::Sender<()>,
    report: watch::Sender<Report>,
    stop: CancellationToken,
) where
    P: Fn(Arc<HttpGet>) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut first_round = Some(first_round);
    let mut prober = Prober::new(services, report);
    let mut running = JoinSet::new();
    loop {
        while let Some(start) = prober.start() {
            let outcome = probe(Arc::clone(&prober.plan.targets[start.target].get));
            running.spawn(async move {
                Done {
                    start,
                    outcome: outcome.await,
                    at: Instant::now(),
                }
            });
        }
        if prober.board.all_told()
            && let Some(signal) = first_round.take()
        {
            // Whoever waited may have gone; that is no reason to stop probing.
            let _ = signal.send(());
        }
        let next_start = prober.next_start();
        tokio::select! {
            () = stop.cancelled() => return,
            () = events.closed() => {
                debug!("nobody receives rankings any more; probing ends");
                return;
            }
            Ok(place) = events.reserve(), if prober.board.has_unsent() => {
                if let Some(event) = prober.board.next_event() {
                    place.send(event);
                }
            }
            Some(done) = running.join_next() => match done {
                Ok(done) => prober.record(done),
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Nobody cancels a probe but the runtime when it shuts down.
                    Err(_cancelled) => return,
                },
            },
            () = sleep_until(next_start.unwrap_or_else(Instant::now)), if next_start.is_some() => {}
        }
    }
}

/// A probe that has ended.
struct Done {
    start: Start,
    outcome: Outcome,
    at: Instant,
}

/// What is known of a target.
#[derive(Default)]
struct Knowledge {
    health: Health,
    since: Option<SystemTime>,
    successes: u64,
    failures: FailureCounts,
    last_failure: Option<Failure>,
}

struct Prober {
    services: Vec<LbService>,
    plan: Plan,
    schedule: Schedule,
    targets: Vec<Knowledge>,
    board: Board,
    report: watch::Sender<Report>,
    /// The longest wait that was warned about.
    warned: Duration,
    /// Whether this host could not do the last probe.
    in_trouble: bool,
}

impl Prober {
    fn new(services: Vec<LbService>, report: watch::Sender<Report>) -> Self {
        let plan = Plan::new(&services);
        report.send_replace(Report::new(&services));
        let mut prober = Self {
            schedule: Schedule::new(plan.targets.len(), Instant::now().into_std()),
            targets: plan.targets.iter().map(|_| Knowledge::default()).collect(),
            board: Board::new(
                plan.sites
                    .iter()
                    .map(|sites| sites.iter().flatten().count()),
            ),
            warned: LONG_WAIT / 2,
            in_trouble: false,
            services,
            plan,
            report,
        };
        info!(
            services = prober.services.len(),
            targets = prober.targets.len(),
            "probing starts; equal probes are one target"
        );
        // Services without a site that can be probed have all their results already.
        for service in 0..prober.services.len() {
            prober.rank(service);
        }
        prober
    }

    fn next_start(&self) -> Option<Instant> {
        self.schedule.next_start().map(Instant::from_std)
    }

    /// The next probe that is due and has a place.
    fn start(&mut self) -> Option<Start> {
        let start = self.schedule.start(Instant::now().into_std())?;
        // The first round waits by intention.
        if self.targets[start.target].health.state() != State::Unknown {
            self.note_wait(start.waited);
        }
        Some(start)
    }

    fn note_wait(&mut self, waited: Duration) {
        let ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        self.report.send_if_modified(|report| {
            let longer = ms > report.longest_wait_ms;
            report.longest_wait_ms = report.longest_wait_ms.max(ms);
            longer
        });
        // Doubling keeps the log short.
        if waited >= 2 * self.warned {
            self.warned = waited;
            warn!(
                waited_ms = ms,
                "a probe had to wait, so dead sites are noticed later: too many probes at once; \
                 raise `interval` or lower `timeout`"
            );
        }
    }

    /// Says once when this host becomes unable to probe, and once when it is able again.
    fn note_trouble(&mut self, outcome: Outcome) {
        match outcome {
            Err(Failure::Local(errno)) if !self.in_trouble => {
                self.in_trouble = true;
                warn!(
                    reason = %errno,
                    "this host cannot probe; sites keep their states: \
                     see to its limits of open files, ports and memory"
                );
            }
            Ok(_) if self.in_trouble => {
                self.in_trouble = false;
                info!("this host can probe again");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Takes a result: state, rankings, report, and the time of the target's next probe.
    fn record(&mut self, done: Done) {
        let Start { target, lane, .. } = done.start;
        self.note_trouble(done.outcome);
        let rules = self.plan.targets[target].rules;
        let knowledge = &mut self.targets[target];
        let first = knowledge.health.state() == State::Unknown;
        let change = knowledge.record(&rules, done.outcome);
        let health = &knowledge.health;
        self.schedule.free(lane);
        self.schedule.after(
            target,
            Lane::from(health.state()),
            done.at.into_std(),
            health.pause(&rules),
        );
        // A failure that changes no state changes no ranking either.
        let matters = done.outcome.is_ok() || change != Change::None;
        for index in 0..self.plan.users[target].len() {
            let user = self.plan.users[target][index];
            self.log(user, change);
            if first {
                self.board.first_result(user.service);
            }
            if matters {
                self.rank(user.service);
            }
        }
        self.update_report(target);
    }

    /// Ranks a service anew.
    fn rank(&mut self, service: usize) {
        let standing = |target: &Option<usize>| match target {
            Some(target) => self.targets[*target].standing(),
            None => Standing::Unmeasured,
        };
        let standings: Vec<_> = self.plan.sites[service].iter().map(standing).collect();
        let Some(ranking) = self.board.update(service, &standings) else {
            return;
        };
        log_ranking(&self.services[service], ranking, &standings);
        self.report
            .send_modify(|report| report.services[service].ranking = ranking.to_vec());
    }

    fn log(&self, user: SiteId, change: Change) {
        let service = &self.services[user.service];
        let (site, name) = (&service.sites[user.site], &service.name);
        let address = site.ipv4.map(tracing::field::display);
        match change {
            Change::None => {}
            Change::WentUp => info!(service = %name, site = site.name, address, "site is up"),
            Change::WentDown(reason) => {
                warn!(service = %name, site = site.name, address, %reason, "site is down");
            }
        }
    }

    fn update_report(&self, target: usize) {
        let knowledge = &self.targets[target];
        self.report.send_modify(|report| {
            for user in &self.plan.users[target] {
                let site = &mut report.services[user.service].sites[user.site];
                site.state = knowledge.health.state();
                site.smoothed_ms = match site.state {
                    State::Up => knowledge
                        .health
                        .smoothed()
                        .map(|time| time.as_secs_f64() * 1e3),
                    State::Unknown | State::Down => None,
                };
                site.since = knowledge.since;
                site.successes = knowledge.successes;
                site.failures = knowledge.failures;
                site.last_failure = knowledge.last_failure;
            }
        });
    }
}

impl Knowledge {
    fn record(&mut self, rules: &super::health::Rules, outcome: Outcome) -> Change {
        match outcome {
            Ok(_) => self.successes += 1,
            Err(failure) => {
                self.failures.add(failure);
                self.last_failure = Some(failure);
            }
        }
        let change = self.health.record(rules, outcome);
        if change != Change::None {
            self.since = Some(SystemTime::now());
        }
        change
    }

    fn standing(&self) -> Standing {
        match (self.health.state(), self.health.smoothed()) {
            (State::Up, Some(time)) => Standing::Up(time),
            (State::Up | State::Down | State::Unknown, _) => Standing::Down,
        }
    }
}

fn log_ranking(service: &LbService, ranking: &[usize], standings: &[Standing]) {
    if ranking.is_empty() {
        warn!(service = %service.name, "all sites are down");
        return;
    }
    let describe = |site: &usize| match standings[*site] {
        Standing::Up(time) => {
            format!(
                "{} {:.1} ms",
                service.sites[*site].name,
                time.as_secs_f64() * 1e3
            )
        }
        Standing::Down | Standing::Unmeasured => {
            format!("{} not measured", service.sites[*site].name)
        }
    };
    let ranking = ranking.iter().map(describe).collect::<Vec<_>>().join(", ");
    info!(service = %service.name, ranking, "ranking changed");
}

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
