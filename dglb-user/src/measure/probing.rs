//! The engine and the process that probes for it: what is ordered, what comes back.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{
    clock::Moment,
    engine::Engine,
    knowledge::{Knowledge, believed},
    pace::{lane_of, pause_of},
    plan::Plan,
};
use crate::probe::{
    failure::Failure,
    message::{FromProber, Success, ToProber},
    spec::Spec,
};

/// How much longer than its timeout a probe may take until it is given up: then the process that does it is
/// in trouble, not the site.
const GRACE: Duration = Duration::from_secs(10);

/// What is known of the probing process.
#[derive(Debug)]
pub struct Prober {
    /// Whether it is there.
    pub is_up: bool,
    /// How often it ended.
    pub restarts: u64,
    /// Why it ended last.
    pub reason: Option<String>,
    /// Whether it took no order last time.
    pub is_blocked: bool,
    /// Whether it knows the target.
    is_defined: Vec<bool>,
    /// Whether the target was probed by this engine: until then it is not late.
    was_probed: Vec<bool>,
    /// Whether this host could not do the last probe.
    in_trouble: bool,
}

impl Prober {
    /// It is not there yet, and these targets are to be probed.
    pub fn new(targets: usize) -> Self {
        Self {
            is_up: false,
            restarts: 0,
            reason: None,
            is_blocked: false,
            is_defined: vec![false; targets],
            was_probed: vec![false; targets],
            in_trouble: false,
        }
    }
}

impl Engine {
    /// Orders all probes whose time has come, as far as there is room.
    pub fn order(&mut self, orders: &mpsc::Sender<ToProber>) {
        if !self.prober.is_up {
            return;
        }
        let now = self.moment().now;
        while !self.prober.is_blocked {
            // A target is defined right before its first probe.
            let Ok(mut places) = orders.try_reserve_many(2) else {
                // Closed: the node ends, and so will this.
                self.prober.is_blocked = !orders.is_closed();
                return;
            };
            let Some((target, late)) = self.schedule.start(now) else {
                return;
            };
            let number = target as u32;
            if !std::mem::replace(&mut self.prober.is_defined[target], true)
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
            if std::mem::replace(&mut self.prober.was_probed[target], true) {
                let ns = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
                self.timings.record_lateness(ns);
            }
        }
    }

    pub fn take(&mut self, results: &mut Vec<FromProber>) {
        for result in results.drain(..) {
            match result {
                FromProber::Up => {
                    self.prober.is_up = true;
                    self.prober.is_defined.fill(false);
                    tracing::info!("the probing process is there");
                }
                FromProber::Down { reason } => {
                    self.prober.is_up = false;
                    self.prober.restarts += 1;
                    self.prober.reason = Some(reason);
                    self.schedule.abandon(self.clock.moment().now);
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
                        self.record(target, &believed(outcome), Some(ended_ns));
                    }
                }
            }
        }
        self.decide();
    }

    fn record(&mut self, target: usize, outcome: &Result<Success, Failure>, ended_ns: Option<u64>) {
        self.note_trouble(outcome);
        let Moment { now, wall } = self.moment();
        let known = &mut self.knowledge[target];
        let was_unknown = known.is_unknown();
        if known.record(outcome, wall) {
            self.keeping.target(target);
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
        for &service in &self.plan.targets[target].services {
            self.services.affect(service, ended_ns);
        }
    }

    fn pause(&self, target: usize, now: Duration) -> Duration {
        let is_idle = |service: usize| self.is_idle(service, now);
        let known = &self.knowledge[target];
        pause_of(&self.plan, &self.services_config, target, known, is_idle)
    }

    /// Gives up probes of which the process should have told long ago: else their sites would keep their states for
    /// ever.
    pub fn give_up(&mut self) {
        let limit = |target: usize| {
            let spec: &Spec = &self.plan.targets[target].spec;
            Duration::from_millis(spec.timeout_ms.into()) + GRACE
        };
        let overdue = self.schedule.overdue(self.moment().now, limit);
        if !overdue.is_empty() {
            tracing::error!(
                probes = overdue.len(),
                "the probing process does not say what came of them; they are given up"
            );
        }
        let failure = Err(Failure::Local("the probing process says nothing".into()));
        for target in overdue {
            self.record(target, &failure, None);
        }
    }

    /// Says once when this host becomes unable to probe, and once when it is able again.
    fn note_trouble(&mut self, outcome: &Result<Success, Failure>) {
        match outcome {
            Err(Failure::Local(reason)) if !self.prober.in_trouble => {
                self.prober.in_trouble = true;
                tracing::warn!(
                    reason,
                    "this host cannot probe; sites keep their states: see to its limits of open files, \
                     ports and memory"
                );
            }
            Ok(_) if self.prober.in_trouble => {
                self.prober.in_trouble = false;
                tracing::info!("this host can probe again");
            }
            Ok(_) | Err(_) => {}
        }
    }
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
