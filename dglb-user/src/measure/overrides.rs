//! What operators ordered for sites, until when, and why. Stronger than anything that is measured.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::policy::{Override, OverrideKind};

/// For which sites: all of a name, or that of one service, which is stronger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The site's name.
    pub site: String,
    /// The balanced name, without the dot at the end; `None`: all services that have the site.
    pub service: Option<String>,
}

/// All that are in force, and when those ended that kept a site out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(BTreeMap<String, Vec<Entry>>);

/// What was ordered for one site.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    service: Option<String>,
    order: Option<Override>,
    /// When the site was let in again.
    let_in: Option<SystemTime>,
}

/// So long it is known that a site was let in again; a ramp is shorter.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

impl Overrides {
    /// These.
    pub fn new(all: impl IntoIterator<Item = (Key, Override)>) -> Self {
        let mut overrides = Self::default();
        for (key, order) in all {
            overrides.entry(&key).order = Some(order);
        }
        overrides
    }

    /// Whether something was ordered for a site of this name: mostly it was not, and the rest need not be
    /// asked.
    pub fn name(&self, site: &str) -> bool {
        self.0.contains_key(site)
    }

    /// What is in force for a site of a service at `now`.
    pub fn of(&self, service: &str, site: &str, now: SystemTime) -> Option<&Override> {
        self.entries(service, site)
            .filter_map(|entry| entry.order.as_ref())
            .find(|order| !order.is_over(now))
    }

    /// When a site of a service was let in again last.
    pub fn let_in(&self, service: &str, site: &str) -> Option<SystemTime> {
        self.entries(service, site)
            .filter_map(|entry| entry.let_in)
            .max()
    }

    /// Those for a site of a service, the stronger first.
    fn entries(&self, service: &str, site: &str) -> impl Iterator<Item = &Entry> {
        let all = self.0.get(site).map(Vec::as_slice).unwrap_or_default();
        let of =
            move |wanted: Option<&str>| all.iter().find(|entry| entry.service.as_deref() == wanted);
        of(Some(service)).into_iter().chain(of(None))
    }

    /// Sets one at `now`, or takes it back with `None`; what was there.
    pub fn set(&mut self, key: &Key, order: Option<Override>, now: SystemTime) -> Option<Override> {
        let entry = self.entry(key);
        let before = std::mem::replace(&mut entry.order, order);
        if entry.order.is_none() && before.as_ref().is_some_and(keeps_out) {
            entry.let_in = Some(now);
        }
        self.forget(now);
        before
    }

    /// Removes those whose time is over, and gives them.
    pub fn expire(&mut self, now: SystemTime) -> Vec<(Key, Override)> {
        let mut over = Vec::new();
        for (site, entries) in &mut self.0 {
            for entry in entries {
                if let Some(order) = entry.order.take_if(|order| order.is_over(now)) {
                    if keeps_out(&order) {
                        entry.let_in = order.until;
                    }
                    let (site, service) = (site.clone(), entry.service.clone());
                    over.push((Key { site, service }, order));
                }
            }
        }
        over
    }

    /// What is ordered for exactly these.
    pub fn get(&self, key: &Key) -> Option<&Override> {
        let entries = self.0.get(&key.site)?;
        let entry = entries.iter().find(|entry| entry.service == key.service)?;
        entry.order.as_ref()
    }

    fn entry(&mut self, key: &Key) -> &mut Entry {
        let entries = self.0.entry(key.site.clone()).or_default();
        let known = entries
            .iter()
            .position(|entry| entry.service == key.service);
        let index = known.unwrap_or_else(|| {
            entries.push(Entry {
                service: key.service.clone(),
                order: None,
                let_in: None,
            });
            entries.len() - 1
        });
        &mut entries[index]
    }

    /// What is of no use any more.
    fn forget(&mut self, now: SystemTime) {
        let is_recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < REMEMBERED);
        self.0.retain(|_, entries| {
            entries.retain(|entry| entry.order.is_some() || entry.let_in.is_some_and(is_recent));
            !entries.is_empty()
        });
    }
}

fn keeps_out(order: &Override) -> bool {
    match order.kind {
        OverrideKind::Drained | OverrideKind::Down => true,
        OverrideKind::Up => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn order(kind: OverrideKind, until: Option<SystemTime>) -> Override {
        Override {
            kind,
            reason: "work".into(),
            since: UNIX_EPOCH,
            until,
        }
    }

    fn key(service: Option<&str>) -> Key {
        Key {
            site: "frankfurt".into(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn that_of_a_service_is_stronger_and_each_ends() {
        let mut all = Overrides::default();
        let mut set = |service, order| all.set(&key(service), Some(order), at(0));
        set(None, order(OverrideKind::Drained, None));
        set(Some("a"), order(OverrideKind::Up, Some(at(10))));
        let kind = |service, now| {
            all.of(service, "frankfurt", at(now))
                .map(|order| order.kind)
        };
        assert_eq!(kind("a", 5), Some(OverrideKind::Up));
        assert_eq!(kind("b", 5), Some(OverrideKind::Drained));
        assert_eq!(kind("a", 10), Some(OverrideKind::Drained));
        assert!(all.of("a", "tokyo", at(5)).is_none() && !all.name("tokyo"));
        assert_eq!(all.expire(at(9)), []);
        assert_eq!(all.expire(at(10)).len(), 1);
        assert!(all.get(&key(None)).is_some() && all.get(&key(Some("a"))).is_none());
    }

    #[test]
    fn when_a_site_is_let_in_again_is_known_for_those_who_were_kept_out() {
        let mut all = Overrides::default();
        all.set(
            &key(Some("a")),
            Some(order(OverrideKind::Drained, Some(at(10)))),
            at(0),
        );
        assert_eq!(all.let_in("a", "frankfurt"), None);
        all.expire(at(12));
        assert_eq!(all.let_in("a", "frankfurt"), Some(at(10)));
        assert_eq!(all.let_in("b", "frankfurt"), None);
        all.set(&key(None), Some(order(OverrideKind::Down, None)), at(20));
        all.set(&key(None), None, at(30));
        assert_eq!(all.let_in("a", "frankfurt"), Some(at(30)));
        assert_eq!(all.let_in("b", "frankfurt"), Some(at(30)));
        all.set(&key(None), Some(order(OverrideKind::Up, None)), at(40));
        all.set(&key(None), None, at(50));
        assert_eq!(all.let_in("b", "frankfurt"), Some(at(30)), "it was in");
        all.set(&key(Some("c")), None, at(8 * 86_400));
        assert_eq!(all, Overrides::default(), "that is long ago");
    }
}
