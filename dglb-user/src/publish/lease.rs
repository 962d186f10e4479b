//! The liveness of a DNS-B's DNS-LBs: who serves for whom (ARCHITECTURE.md, "Clocks").
//!
//! A DNS-LB that has not renewed for its lease is down. Its word in `vantages` holds the end of its lease
//! and who stands in for it after that: its configured backup if that is up, else the default DNS-LB if
//! that is up, else nobody: the last mapping stays, which is better than none, its own for one that goes
//! down with all others. So the kernel turns to the backup by itself, at the first heartbeat after the
//! lease's end; here that is only noticed.

use std::sync::Arc;

use dglb_common::layout::{VantageValue, ticks};

use crate::config::{DnsB, DnsLbNode};

/// The leases of all DNS-LBs. Times are nanoseconds of CLOCK_MONOTONIC.
pub struct Leases {
    lease_ns: u64,
    default: usize,
    names: Vec<Arc<str>>,
    backups: Vec<Option<usize>>,
    values: Vec<VantageValue>,
    up: Vec<bool>,
}

/// A vantage whose word changed.
type Changed = (u32, VantageValue);

impl Leases {
    /// Nodes for which `was_up` in an earlier run get a lease to come back; all others are down.
    pub fn new(dns_b: &DnsB, was_up: impl Fn(&DnsLbNode) -> bool, now_ns: u64) -> Self {
        let nodes = &dns_b.dns_lbs;
        let mut leases = Self::empty(dns_b);
        for (index, node) in nodes.iter().enumerate() {
            let is_up = was_up(node);
            leases.up.push(is_up);
            leases.values.push(VantageValue {
                serves: index as u16,
                backup: index as u16,
                deadline: if is_up { leases.end(now_ns) } else { 0 },
            });
        }
        let up = leases.up.clone();
        leases.stand_in(&up);
        leases
    }

    /// The leases that the words of the tables hold.
    pub fn of_values(dns_b: &DnsB, values: &[VantageValue], now_ns: u64) -> Self {
        let is_up = |value: &VantageValue| value.deadline != 0 && value.deadline >= ticks(now_ns);
        Self {
            up: values.iter().map(is_up).collect(),
            values: values.to_vec(),
            ..Self::empty(dns_b)
        }
    }

    fn empty(dns_b: &DnsB) -> Self {
        let nodes = &dns_b.dns_lbs;
        Self {
            lease_ns: u64::try_from(dns_b.lease.as_nanos()).unwrap_or(u64::MAX),
            default: dns_b.default_dns_lb,
            names: nodes.iter().map(|node| Arc::from(&*node.name)).collect(),
            backups: nodes.iter().map(|node| node.backup).collect(),
            values: Vec::new(),
            up: Vec::new(),
        }
    }

    /// For a node that has no DNS-LBs.
    pub fn none() -> Self {
        Self {
            lease_ns: 0,
            default: 0,
            names: Vec::new(),
            backups: Vec::new(),
            values: Vec::new(),
            up: Vec::new(),
        }
    }

    /// The words as they should stand in the tables.
    pub fn values(&self) -> &[VantageValue] {
        &self.values
    }

    /// The DNS-LB is alive.
    pub fn renew(&mut self, vantage: u32, now_ns: u64) -> Vec<Changed> {
        let index = vantage as usize;
        let before = self.values[index];
        self.values[index].deadline = self.end(now_ns);
        let mut changed = Vec::new();
        if self.values[index] != before {
            changed.push((vantage, self.values[index]));
        }
        if !self.up[index] {
            tracing::info!(node = &*self.names[index], "dns-lb is up");
            let before = self.up.clone();
            self.up[index] = true;
            changed.extend(self.stand_in(&before));
        }
        changed
    }

    /// Notes the leases that have run out by the heartbeat `now_ns`: the kernel has turned to their
    /// backups by itself, and who had them for a backup gets another.
    pub fn expire(&mut self, now_ns: u64) -> Vec<Changed> {
        let before = self.up.clone();
        for index in 0..self.values.len() {
            if !self.up[index] || ticks(now_ns) <= self.values[index].deadline {
                continue;
            }
            self.up[index] = false;
            let backup = usize::from(self.values[index].backup);
            tracing::warn!(
                node = &*self.names[index],
                lease = ?std::time::Duration::from_nanos(self.lease_ns),
                backup = &*self.names[backup],
                "dns-lb is silent for longer than its lease: down"
            );
        }
        if self.up == before {
            return Vec::new();
        }
        self.stand_in(&before)
    }

    /// Finds for each the one that stands in for it; `before` says who was up until now. With nobody up
    /// to do it, who has been down stays where it is, all others have themselves.
    fn stand_in(&mut self, before: &[bool]) -> Vec<Changed> {
        let mut changed = Vec::new();
        let is_up = |index: &usize| self.up.get(*index) == Some(&true);
        for (index, value) in self.values.iter_mut().enumerate() {
            let backup = self.backups[index].filter(is_up);
            let default = Some(self.default).filter(is_up);
            let stays = if before[index] || self.up[index] {
                index as u16
            } else {
                value.backup
            };
            let backup = backup.or(default).map_or(stays, |backup| backup as u16);
            if value.backup != backup {
                value.backup = backup;
                changed.push((index as u32, *value));
            }
        }
        changed
    }

    /// The end of a lease that begins now, in ticks; never that of one without end.
    fn end(&self, now_ns: u64) -> u32 {
        ticks(now_ns.saturating_add(self.lease_ns)).clamp(1, VantageValue::NO_DEADLINE - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::label::Label;

    const SECOND: u64 = 1_000_000_000;

    /// "default" 0, "one" 1 with backup 2, "two" 2.
    fn dns_b() -> DnsB {
        let node = |name: &str, backup| DnsLbNode {
            name: name.to_owned(),
            address: [198, 51, 100, 7].into(),
            address_v6: None,
            label: Label::of_node(name),
            backup,
        };
        DnsB {
            map_listen: ([127, 0, 0, 1], 5353).into(),
            lease: Duration::from_secs(10),
            dns_lbs: vec![
                node("default", None),
                node("one", Some(2)),
                node("two", None),
            ],
            default_dns_lb: 0,
            prefixes: Vec::new(),
            zones: Vec::new(),
            services: Vec::new(),
            max_resolvers: 1,
        }
    }

    fn down() -> Leases {
        Leases::new(&dns_b(), |_| false, SECOND)
    }

    /// Who serves for each as the kernel sees it at a heartbeat.
    fn serving(leases: &Leases, heartbeat: u64) -> Vec<u32> {
        let values = leases.values().iter();
        values.map(|value| value.serving(heartbeat)).collect()
    }

    #[test]
    fn the_kernel_turns_to_the_backup_by_itself_and_back_after_a_renewal() {
        let mut leases = down();
        for vantage in 0..3 {
            leases.renew(vantage, SECOND);
        }
        assert_eq!(serving(&leases, SECOND), [0, 1, 2]);
        leases.renew(0, 9 * SECOND);
        leases.renew(2, 9 * SECOND);
        assert_eq!(serving(&leases, 11 * SECOND), [0, 1, 2], "the lease lasts");
        assert_eq!(
            serving(&leases, 12 * SECOND),
            [0, 2, 2],
            "nothing was written"
        );
        assert_eq!(leases.expire(12 * SECOND), [], "nobody had it for a backup");
        leases.renew(1, 13 * SECOND);
        assert_eq!(serving(&leases, 13 * SECOND), [0, 1, 2]);
    }

    #[test]
    fn a_silent_backup_is_replaced_by_the_default() {
        let mut leases = down();
        leases.renew(0, SECOND);
        leases.renew(2, SECOND);
        assert_eq!(serving(&leases, SECOND), [0, 2, 2]);
        leases.renew(0, 9 * SECOND);
        let changed = leases.expire(12 * SECOND);
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!((changed[0].0, changed[0].1.backup), (1, 0));
        assert_eq!(serving(&leases, 12 * SECOND), [0, 0, 0]);
    }

    #[test]
    fn who_was_stood_in_for_stays_there_when_the_default_falls_silent_too() {
        let mut leases = down();
        for vantage in [0, 1] {
            leases.renew(vantage, SECOND);
        }
        leases.renew(0, 9 * SECOND);
        leases.expire(12 * SECOND);
        assert_eq!(serving(&leases, 12 * SECOND), [0, 0, 0]);
        assert_eq!(leases.expire(20 * SECOND), [], "nobody is up");
        assert_eq!(serving(&leases, 20 * SECOND), [0, 0, 0]);
    }

    #[test]
    fn with_all_silent_at_once_each_mapping_stays() {
        let mut leases = down();
        for vantage in 0..3 {
            leases.renew(vantage, SECOND);
        }
        leases.expire(12 * SECOND);
        assert_eq!(serving(&leases, 100 * SECOND), [0, 1, 2]);
        let changed = leases.renew(0, 101 * SECOND);
        assert_eq!(changed.len(), 3, "the default stands in: {changed:?}");
        assert_eq!(serving(&leases, 101 * SECOND), [0, 0, 0]);
    }

    #[test]
    fn a_renewal_within_one_tick_writes_nothing() {
        let mut leases = down();
        assert!(!leases.renew(1, SECOND).is_empty());
        assert_eq!(leases.renew(1, SECOND), []);
        assert_eq!(leases.expire(SECOND), []);
    }

    #[test]
    fn who_was_up_gets_a_lease_to_come_back_and_nobody_else() {
        let leases = Leases::new(&dns_b(), |node| node.name == "two", 50 * SECOND);
        assert_eq!(serving(&leases, 51 * SECOND), [0, 2, 2]);
        let values = leases.values().to_vec();
        let mut again = Leases::of_values(&dns_b(), &values, 51 * SECOND);
        assert_eq!(again.up, [false, false, true]);
        assert_eq!(again.expire(70 * SECOND), [], "nobody is up");
        assert_eq!(again.up, [false; 3]);
        let late = Leases::of_values(&dns_b(), &values, 70 * SECOND);
        assert_eq!(late.up, [false, false, false]);
    }

    #[test]
    fn a_lease_has_an_end_however_long_it_is() {
        let mut dns_b = dns_b();
        dns_b.lease = Duration::MAX;
        let mut leases = Leases::new(&dns_b, |_| false, SECOND);
        leases.renew(0, u64::MAX);
        assert_ne!(leases.values()[0].deadline, VantageValue::NO_DEADLINE);
    }
}
