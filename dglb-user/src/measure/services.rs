//! The services' side: what the policies are told, what they decided, and what is still to be told.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    clock::{Clock, Moment},
    knowledge::Knowledge,
    overrides::Overrides,
    plan::{Judged, Plan},
    store::{Store, TargetKey},
};
use crate::{
    config::{Family, LbService, Location},
    event::{Served, Serving},
    name::OwnerName,
    policy::{Chooser, Decision, OverrideKind, Standing, State},
    probe::spec::Spec,
};

/// What one engine leaves to the next, so that a new configuration begins with what is known.
#[derive(Debug, Default)]
pub struct Carried {
    /// By what is asked.
    pub(super) targets: HashMap<Arc<Spec>, Knowledge>,
    pub(super) choosers: HashMap<(OwnerName, Family), Chooser>,
    pub(super) overrides: Overrides,
    pub(super) store: Option<Store>,
    /// Goes on: choosers remember times.
    pub(super) clock: Clock,
}

impl Carried {
    /// What a store holds, or nothing without one.
    pub fn of(store: Option<Store>) -> Self {
        Self {
            overrides: store.as_ref().map(Store::overrides).unwrap_or_default(),
            store,
            ..Self::default()
        }
    }

    /// What is known of a target.
    pub(super) fn take(&mut self, spec: &Arc<Spec>, key: &TargetKey, now: SystemTime) -> Knowledge {
        self.targets.remove(spec).unwrap_or_else(|| {
            let stored = self.store.as_ref().and_then(|store| store.target(key));
            stored.map(|known| known.aged(now)).unwrap_or_default()
        })
    }
}

/// One service in one family.
#[derive(Debug)]
pub struct Side {
    pub chooser: Chooser,
    pub decision: Option<Decision>,
}

/// One service.
#[derive(Debug)]
pub struct ServiceState {
    /// Its name, without the dot at the end.
    pub name: String,
    /// As in [`Family::ALL`].
    pub sides: [Side; 2],
    /// What the publisher was told last.
    told: Option<Serving>,
    /// Whether it waits to be told.
    is_waiting: bool,
    /// When the first probe ended of those that were not decided on, or are not told, yet.
    probed_ns: Option<u64>,
    /// When to decide again although nothing changed.
    again: Option<Duration>,
    /// When it was asked for last, on the engine's clock.
    pub asked: Duration,
    /// Whether the next query is to be told.
    pub is_watched: bool,
}

/// All services.
#[derive(Debug)]
pub struct Services {
    pub all: Vec<ServiceState>,
    /// To be decided anew: each once.
    affected: VecDeque<usize>,
    is_affected: Vec<bool>,
    /// To be told.
    outbox: VecDeque<usize>,
    /// When to decide again although nothing changed; entries may be old.
    again: BinaryHeap<Reverse<(Duration, usize)>>,
    /// A buffer.
    standings: Vec<Option<Standing>>,
}

/// What is looked at to decide.
#[derive(Clone, Copy)]
pub struct View<'v> {
    pub services: &'v [LbService],
    pub plan: &'v Plan,
    pub knowledge: &'v [Knowledge],
    pub overrides: &'v Overrides,
    pub moment: Moment,
}

impl Services {
    pub fn new(
        services: &[LbService],
        node: Option<Location>,
        carried: &mut Carried,
        now: Duration,
    ) -> Self {
        let all = services.iter().map(|service| {
            let sides = Family::ALL.map(|family| {
                let mut chooser = Chooser::new(service, family, node);
                if let Some(before) = carried.choosers.remove(&(service.name.clone(), family)) {
                    chooser.adopt(before);
                }
                Side {
                    chooser,
                    decision: None,
                }
            });
            ServiceState {
                name: service.name.without_dot(),
                sides,
                told: None,
                is_waiting: false,
                probed_ns: None,
                again: None,
                asked: now,
                is_watched: false,
            }
        });
        Self {
            all: all.collect(),
            affected: (0..services.len()).collect(),
            is_affected: vec![true; services.len()],
            outbox: VecDeque::new(),
            again: BinaryHeap::new(),
            standings: Vec::new(),
        }
    }

    /// What the next engine takes over.
    pub fn into_choosers(self, services: &[LbService]) -> HashMap<(OwnerName, Family), Chooser> {
        let mut choosers = HashMap::new();
        for (service, state) in services.iter().zip(self.all) {
            for (family, side) in Family::ALL.into_iter().zip(state.sides) {
                choosers.insert((service.name.clone(), family), side.chooser);
            }
        }
        choosers
    }

    /// Something of this service changed, by a probe that ended at `probed_ns` if it was one.
    pub fn affect(&mut self, service: usize, probed_ns: Option<u64>) {
        let state = &mut self.all[service];
        // The first one waits longest for what it changes.
        state.probed_ns = state.probed_ns.or(probed_ns);
        if !std::mem::replace(&mut self.is_affected[service], true) {
            self.affected.push_back(service);
        }
    }

    /// All services whose time has come to be looked at again.
    pub fn affect_due(&mut self, now: Duration) {
        while let Some(Reverse((due, service))) = self.again.peek().copied() {
            if due > now {
                return;
            }
            self.again.pop();
            if self.all[service].again == Some(due) {
                self.all[service].again = None;
                self.affect(service, None);
            }
        }
    }

    /// When [`Self::affect_due`] has something to do.
    pub fn next_again(&self) -> Option<Duration> {
        self.again.peek().map(|Reverse((due, _))| *due)
    }

    /// Decides for all that are affected; what is to be answered otherwise than before goes to the outbox.
    pub fn decide(&mut self, view: View<'_>) {
        while let Some(service) = self.affected.pop_front() {
            self.is_affected[service] = false;
            self.decide_service(view, service);
            let state = &mut self.all[service];
            if state.serving() == state.told {
                // Nothing to tell, or no longer.
                state.probed_ns = None;
            } else if !std::mem::replace(&mut state.is_waiting, true) {
                self.outbox.push_back(service);
            }
        }
    }

    fn decide_service(&mut self, view: View<'_>, service: usize) {
        let now = view.moment.now;
        let mut again: Option<Duration> = None;
        for (index, family) in Family::ALL.into_iter().enumerate() {
            view.standings_into(service, family, &mut self.standings);
            let side = &mut self.all[service].sides[index];
            let decision = side.chooser.choose(&self.standings, now);
            again = [again, decision.again].into_iter().flatten().min();
            log_change(view, service, family, side.decision.as_ref(), &decision);
            side.decision = Some(decision);
        }
        let again = again.map(|again| again.max(now));
        if again != self.all[service].again {
            self.all[service].again = again;
            self.again
                .extend(again.map(|again| Reverse((again, service))));
        }
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next service that is to be answered otherwise; and when the probe ended that made it so.
    pub fn news(&mut self) -> Option<(usize, Serving, Option<u64>)> {
        while let Some(service) = self.outbox.pop_front() {
            let state = &mut self.all[service];
            state.is_waiting = false;
            let probed_ns = state.probed_ns.take();
            let serving = state.serving();
            // It may have changed back meanwhile.
            if serving != state.told
                && let Some(serving) = serving
            {
                state.told = Some(serving.clone());
                return Some((service, serving, probed_ns));
            }
        }
        None
    }

    /// What is answered for all services, told to whoever waits for the first round.
    pub fn all_servings(&mut self) -> HashMap<usize, Serving> {
        let mut all = HashMap::new();
        while let Some((service, serving, _)) = self.news() {
            all.insert(service, serving);
        }
        all
    }
}

impl ServiceState {
    fn serving(&self) -> Option<Serving> {
        let served = |side: &Side| -> Option<Served> {
            side.decision
                .as_ref()
                .map(|decision| decision.served.clone())
        };
        let [v4, v6] = &self.sides;
        Some(Serving {
            v4: served(v4)?,
            v6: served(v6)?,
        })
    }
}

impl View<'_> {
    /// What the policy is told of a service's sites.
    pub fn standings_into(
        &self,
        service: usize,
        family: Family,
        standings: &mut Vec<Option<Standing>>,
    ) {
        let judged = &self.plan.sites[service][family as usize];
        let config = &self.services[service];
        standings.clear();
        standings.extend(
            judged.iter().zip(&config.sites).map(|(judged, site)| {
                judged.map(|judged| self.standing(config, &site.name, judged))
            }),
        );
    }

    fn standing(&self, service: &LbService, site: &str, judged: Judged) -> Standing {
        let known = &self.knowledge[judged.target];
        let (patience, judge) = &known.judges[judged.judge];
        let (order, let_in) = match self.overrides.name(site) {
            // Mostly, and then no name is to be made.
            false => (None, None),
            true => {
                let name = service.name.without_dot();
                let order = self.overrides.of(&name, site, self.moment.wall);
                let let_in = self.overrides.let_in(&name, site);
                (order.map(|order| order.kind), let_in)
            }
        };
        let figures = &known.figures;
        Standing {
            state: match order {
                Some(OverrideKind::Drained) => State::Drained,
                Some(OverrideKind::Down) => State::Down,
                Some(OverrideKind::Up) => State::Up,
                None if judge.is_up() && known.drained.is_some() => State::Drained,
                None => judge.state,
            },
            mean_ms: figures.mean_ms,
            spread_ms: figures.spread_ms,
            loss_percent: figures.loss * 100.0,
            load: figures.load.and_then(|load| load.load),
            weight: figures.load.and_then(|load| load.weight),
            failing: (judge.failing() > 0).then_some((judge.failing(), patience.fall)),
            back_since: judge
                .back_since
                .max(let_in)
                .map(|since| self.moment.time_of(since)),
        }
    }
}

fn log_change(
    view: View<'_>,
    service: usize,
    family: Family,
    before: Option<&Decision>,
    now: &Decision,
) {
    let is_same = before.is_some_and(|before| before.served.selection == now.served.selection);
    let config = &view.services[service];
    if is_same || config.sites.iter().all(|site| !site.has(family)) {
        return;
    }
    let share = |site: &usize| format!("{} {:.0} %", config.sites[*site].name, now.shares[*site]);
    let answered = now.order.iter().filter(|&&site| now.shares[site] > 0.0);
    let sites: Vec<_> = answered.map(share).collect();
    let sites = sites.join(", ");
    match before {
        None => tracing::debug!(service = %config.name, ?family, sites, "what is answered first"),
        Some(_) => {
            tracing::info!(service = %config.name, ?family, sites, "what is answered changed")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{
        config::ProbeLimits,
        measure::testing::service,
        probe::{failure::Failure, message::Success},
    };

    /// A ramp in each family, which go their steps at times of their own.
    #[test]
    fn a_service_waits_for_one_time_however_often_it_is_looked_at() {
        let mut config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
        for (site, v6) in config.sites.iter_mut().zip(["2001:db8::1", "2001:db8::2"]) {
            site.ipv6 = v6.parse().ok();
        }
        config.policy.ramp = Duration::from_secs(1000);
        let services = [config];
        let plan = Plan::new(&services, &ProbeLimits::default());
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let known = plan.targets.iter().enumerate().map(|(index, target)| {
            let mut known = Knowledge::default().with_judges(&target.judges);
            known.record(&Ok(Success::default()), at(0));
            known.judges[0].1.back_since = Some(at(5000 + 7 * index as u64));
            known
        });
        let knowledge: Vec<_> = known.collect();
        let overrides = Overrides::default();
        let mut all = Services::new(&services, None, &mut Carried::default(), Duration::ZERO);
        let mut most = 0;
        for second in 5030..6100 {
            let moment = Moment {
                now: Duration::from_secs(second),
                wall: at(second),
            };
            // A probe's result each second.
            all.affect(0, Some(second));
            all.affect_due(moment.now);
            all.decide(View {
                services: &services,
                plan: &plan,
                knowledge: &knowledge,
                overrides: &overrides,
                moment,
            });
            most = most.max(all.again.len());
        }
        assert!((1..=2).contains(&most), "{most}");
        assert_eq!(all.next_again(), None, "the ramps are over");
    }

    #[test]
    fn the_first_probe_counts_until_what_it_changed_is_told() {
        let services = [service("www.example.com", &["192.0.2.1"])];
        let plan = Plan::new(&services, &ProbeLimits::default());
        let mut known = Knowledge::default().with_judges(&plan.targets[0].judges);
        known.record(&Ok(Success::default()), UNIX_EPOCH);
        let mut knowledge = vec![known];
        let overrides = Overrides::default();
        let mut all = Services::new(&services, None, &mut Carried::default(), Duration::ZERO);
        let decide = |all: &mut Services, knowledge: &[Knowledge]| {
            all.decide(View {
                services: &services,
                plan: &plan,
                knowledge,
                overrides: &overrides,
                moment: Moment {
                    now: Duration::ZERO,
                    wall: UNIX_EPOCH,
                },
            });
        };
        all.affect(0, Some(3));
        all.affect(0, Some(4));
        decide(&mut all, &knowledge);
        all.affect(0, Some(5));
        decide(&mut all, &knowledge);
        assert_eq!(all.news().map(|(_, _, probed)| probed), Some(Some(3)));
        // A probe that changes nothing is nobody's cause.
        all.affect(0, Some(6));
        decide(&mut all, &knowledge);
        assert!(!all.has_news());
        // One failure of three: the TTL is shorter.
        knowledge[0].record(&Err(Failure::Refused), UNIX_EPOCH);
        all.affect(0, Some(7));
        decide(&mut all, &knowledge);
        assert_eq!(all.news().map(|(_, _, probed)| probed), Some(Some(7)));
    }
}
