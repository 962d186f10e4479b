//! What operators ordered for sites, until when, and why. Stronger than anything that is measured.

use std::{collections::BTreeMap, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::policy::Override;

/// For which sites: all of a name, or that of one service, which is stronger.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The site's name.
    pub site: String,
    /// The balanced name, without the dot at the end; `None`: all services that have the site.
    pub service: Option<String>,
}

/// All that are in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(BTreeMap<Key, Override>);

impl Overrides {
    /// These.
    pub fn new(all: impl IntoIterator<Item = (Key, Override)>) -> Self {
        Self(all.into_iter().collect())
    }

    /// What is in force for a site of a service at `now`.
    pub fn of(&self, service: &str, site: &str, now: SystemTime) -> Option<&Override> {
        let key = |service: Option<&str>| Key {
            site: site.to_owned(),
            service: service.map(str::to_owned),
        };
        if self.0.is_empty() {
            return None;
        }
        let in_force = |key: &Key| self.0.get(key).filter(|order| !order.is_over(now));
        in_force(&key(Some(service))).or_else(|| in_force(&key(None)))
    }

    /// Sets one, or takes it back with `None`; what was there.
    pub fn set(&mut self, key: Key, order: Option<Override>) -> Option<Override> {
        match order {
            Some(order) => self.0.insert(key, order),
            None => self.0.remove(&key),
        }
    }

    /// Removes those whose time is over, and gives them.
    pub fn expire(&mut self, now: SystemTime) -> Vec<(Key, Override)> {
        self.0
            .extract_if(.., |_, order| order.is_over(now))
            .collect()
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Override)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::policy::OverrideKind;

    #[test]
    fn that_of_a_service_is_stronger_and_each_ends() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let order = |kind, until| Override {
            kind,
            reason: "work".into(),
            since: UNIX_EPOCH,
            until,
        };
        let key = |service: Option<&str>| Key {
            site: "frankfurt".into(),
            service: service.map(str::to_owned),
        };
        let mut all = Overrides::default();
        all.set(key(None), Some(order(OverrideKind::Drained, None)));
        all.set(key(Some("a")), Some(order(OverrideKind::Up, Some(at(10)))));
        let kind = |service, now| {
            all.of(service, "frankfurt", at(now))
                .map(|order| order.kind)
        };
        assert_eq!(kind("a", 5), Some(OverrideKind::Up));
        assert_eq!(kind("b", 5), Some(OverrideKind::Drained));
        assert_eq!(kind("a", 10), Some(OverrideKind::Drained));
        assert!(all.of("a", "tokyo", at(5)).is_none());
        assert_eq!(all.expire(at(9)), []);
        assert_eq!(all.expire(at(10)).len(), 1);
        assert_eq!(all.iter().count(), 1);
    }
}
