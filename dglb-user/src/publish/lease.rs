//! The liveness of a DNS-B's DNS-LBs: who serves for whom (DESIGN §5, "Liveness").
//!
//! A DNS-LB that has not renewed for its lease is down. Its resolvers are then referred to the
//! default DNS-LB; when that is down too, the last mapping stays, which is better than none.

use std::{sync::Arc, time::Duration};

use dglb_common::layout::{VantageState, VantageValue};
use tokio::time::Instant;

use crate::config::DnsB;

/// The leases of all DNS-LBs.
pub struct Leases {
    lease: Duration,
    default: usize,
    names: Vec<Arc<str>>,
    vantages: Vec<VantageValue>,
    /// When each lease ends; `None`: it has ended.
    ends: Vec<Option<Instant>>,
}

/// A vantage whose word changed.
type Changed = (u32, VantageValue);

impl Leases {
    /// Nodes that were up in an earlier run get a lease to come back; all others are down.
    pub fn new(dns_b: &DnsB, vantages: &[VantageValue], now: Instant) -> Self {
        let ends = vantages
            .iter()
            .map(|value| (value.state == VantageState::Up as u32).then(|| now + dns_b.lease));
        Self {
            lease: dns_b.lease,
            default: dns_b.default_dns_lb,
            names: dns_b
                .dns_lbs
                .iter()
                .map(|node| Arc::from(node.name.as_str()))
                .collect(),
            ends: ends.collect(),
            vantages: vantages.to_vec(),
        }
    }

    /// For a node that has no DNS-LBs.
    pub fn none() -> Self {
        Self {
            lease: Duration::ZERO,
            default: 0,
            names: Vec::new(),
            vantages: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The DNS-LB is alive.
    pub fn renew(&mut self, vantage: u32, now: Instant) -> Vec<Changed> {
        let index = vantage as usize;
        self.ends[index] = Some(now + self.lease);
        if self.is_up(index) {
            return Vec::new();
        }
        tracing::info!(node = &*self.names[index], "dns-lb is up");
        self.vantages[index] = VantageValue {
            serves: vantage,
            state: VantageState::Up as u32,
        };
        let mut changed = vec![(vantage, self.vantages[index])];
        if index == self.default {
            changed.extend(self.stand_in());
        }
        changed
    }

    /// Ends the leases that have run out.
    pub fn expire(&mut self, now: Instant) -> Vec<Changed> {
        let mut changed = Vec::new();
        for index in 0..self.ends.len() {
            if self.ends[index].is_none_or(|end| end > now) {
                continue;
            }
            self.ends[index] = None;
            self.vantages[index].state = VantageState::Down as u32;
            tracing::warn!(
                node = &*self.names[index],
                lease = ?self.lease,
                "dns-lb is silent for longer than its lease: down"
            );
            changed.push((index as u32, self.vantages[index]));
        }
        if !changed.is_empty() {
            changed.extend(self.stand_in());
        }
        changed
    }

    /// The default DNS-LB serves for all that are down, if it is up.
    pub fn stand_in(&mut self) -> Vec<Changed> {
        let mut changed = Vec::new();
        if !self.is_up(self.default) {
            return changed;
        }
        for index in 0..self.vantages.len() {
            let serves = self.default as u32;
            if !self.is_up(index) && self.vantages[index].serves != serves {
                self.vantages[index].serves = serves;
                changed.push((index as u32, self.vantages[index]));
            }
        }
        changed
    }

    fn is_up(&self, index: usize) -> bool {
        self.vantages
            .get(index)
            .is_some_and(|value| value.state == VantageState::Up as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::DnsLbNode, label::Label};

    fn leases(now: Instant) -> Leases {
        let node = |name: &str| DnsLbNode {
            name: name.to_owned(),
            address: [198, 51, 100, 7].into(),
            label: Label::of_node(name),
        };
        let dns_b = DnsB {
            map_listen: ([127, 0, 0, 1], 5353).into(),
            lease: Duration::from_secs(10),
            dns_lbs: vec![node("default"), node("one"), node("two")],
            default_dns_lb: 0,
            zones: Vec::new(),
            services: Vec::new(),
            max_resolvers: 1,
        };
        let vantages: Vec<VantageValue> = (0..3)
            .map(|serves| VantageValue {
                serves,
                state: VantageState::Down as u32,
            })
            .collect();
        Leases::new(&dns_b, &vantages, now)
    }

    fn serves(leases: &Leases) -> Vec<u32> {
        leases.vantages.iter().map(|value| value.serves).collect()
    }

    #[test]
    fn a_silent_dns_lb_is_stood_in_for_and_comes_back() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut leases = leases(start);
        leases.renew(0, after(0));
        leases.renew(1, after(0));
        assert_eq!(serves(&leases), [0, 1, 0]);
        leases.renew(0, after(9));
        assert!(leases.expire(after(9)).is_empty());
        let changed = leases.expire(after(10));
        assert_eq!(serves(&leases), [0, 0, 0]);
        assert_eq!(changed.last().map(|(vantage, _)| *vantage), Some(1));
        leases.renew(1, after(11));
        assert_eq!(serves(&leases), [0, 1, 0]);
    }

    #[test]
    fn after_a_restart_with_another_default_that_one_stands_in() {
        let start = Instant::now();
        let mut leases = leases(start);
        // "two" was served by "one", which was the default in the run before.
        leases.vantages[2].serves = 1;
        leases.renew(0, start);
        leases.vantages[2].serves = 1;
        assert_eq!(serves(&leases), [0, 0, 1]);
        leases.stand_in();
        assert_eq!(serves(&leases), [0, 0, 0]);
    }

    #[test]
    fn with_the_default_silent_too_the_last_mapping_stays() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut leases = leases(start);
        leases.renew(0, after(0));
        leases.renew(1, after(5));
        leases.expire(after(10));
        assert_eq!(serves(&leases), [0, 1, 0]);
        leases.expire(after(15));
        assert_eq!(serves(&leases), [0, 1, 0], "nobody is up");
        leases.renew(0, after(16));
        assert_eq!(serves(&leases), [0, 0, 0], "the default is back");
    }
}
