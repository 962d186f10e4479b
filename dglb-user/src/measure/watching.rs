//! Who is asked for: services that nobody asks for are probed slowly, and a query may have an old measurement
//! made anew.
//!
//! The data path tells of a query only if it is watched for, once; so a service is watched from when the next
//! query matters.

use std::time::Duration;

use super::{clock::Moment, engine::Engine};

impl Engine {
    /// A watched service was asked for.
    pub fn was_asked(&mut self, service: usize) {
        let moment = self.moment();
        if service >= self.services.all.len() {
            return;
        }
        let was_idle = self.is_idle(service, moment.now);
        let state = &mut self.services.all[service];
        state.is_watched = false;
        state.asked = moment.now;
        let config = &self.services_config[service];
        // What was idle gets its usual pace at once, not after the long pause that it is in.
        let idle = was_idle.then(|| config.effective_interval());
        let Some(age) = [idle, config.probe.max_age].into_iter().flatten().min() else {
            return;
        };
        for judged in self.plan.sites[service].iter().flatten().flatten() {
            let probed = self.knowledge[judged.target].probed;
            let due = probed.map_or(moment.now, |probed| moment.time_of(probed) + age);
            if due > moment.now && !was_idle {
                continue;
            }
            self.schedule.hasten(judged.target, due.max(moment.now));
        }
    }

    /// Whether nobody asked for the service for long.
    pub fn is_idle(&self, service: usize, now: Duration) -> bool {
        let idle_after = self.services_config[service].probe.idle_after;
        let unasked = now.saturating_sub(self.services.all[service].asked);
        idle_after.is_some_and(|idle_after| unasked >= idle_after)
    }

    fn is_old(&self, target: usize, age: Duration, moment: Moment) -> bool {
        let probed = self.knowledge[target].probed;
        probed.is_none_or(|probed| moment.since(probed) > age)
    }

    /// Has the next query told for services of which it matters.
    pub fn watch(&mut self) {
        let moment = self.moment();
        for &service in &self.watchers {
            let state = &self.services.all[service];
            if state.is_watched {
                continue;
            }
            let probe = &self.services_config[service].probe;
            let unasked = moment.now.saturating_sub(state.asked);
            let may_be_idle = probe.idle_after.is_some_and(|idle| unasked >= idle / 2);
            let mut judged = self.plan.sites[service].iter().flatten().flatten();
            let is_old = probe
                .max_age
                .is_some_and(|age| judged.any(|judged| self.is_old(judged.target, age, moment)));
            if may_be_idle || is_old {
                self.services.all[service].is_watched = true;
                self.to_watch.push_back(service);
            }
        }
    }
}
