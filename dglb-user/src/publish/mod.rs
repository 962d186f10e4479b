//! The one task that writes the tables: in memory, and through [`DataPath`] in the kernel.
//!
//! It takes [`Event`]s from the map protocol and from the probes, keeps the leases of the DNS-LBs,
//! and lets the heartbeat beat.

mod buckets;
pub mod build;
mod lease;
mod rank;
mod slots;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, SystemTime},
};

use dglb_common::{
    counters::Counters,
    layout::{KIND_A, KIND_AAAA, ranking_place},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    build::{Built, RankedService},
    lease::Leases,
};
pub use self::{
    rank::{first_servings, select},
    slots::{NoRoom, Slots},
};
use crate::{
    capacity::TableFull,
    clock::monotonic_ns,
    config::{Config, DnsB, Role},
    event::{Asked, Event, Rejection, Serving},
    tables::{Change, Tables, resolver_key},
    timings::Timings,
};

/// How often leases are looked at and counters are written.
const TICK: Duration = Duration::from_millis(250);
/// In how many ticks once what is no longer referred to is given up, which takes a grace period of some
/// milliseconds: so rarely that hardly a change has to wait for it.
const TICKS_BETWEEN_SWEEPS: u32 = 40;
/// Events that are taken at once.
const AT_ONCE: usize = 256;

/// The vantage that services are watched at: a DNS-LB's own.
const OWN_VANTAGE: u32 = 0;

/// What makes a change effective where answers are given, beside the tables in memory.
pub trait DataPath: Send {
    /// Makes changes, in their order.
    ///
    /// # Errors
    /// What the kernel said, and how many changes are made.
    fn apply(&mut self, changes: &[Change]) -> Result<(), DataPathError>;

    /// Says that the daemon lives, at `now_ns` of CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// What the kernel said.
    fn beat(&mut self, now_ns: u64) -> Result<(), DataPathError>;

    /// Keeps what the daemon answered by its sockets, for those who look from outside.
    ///
    /// # Errors
    /// What the kernel said.
    fn count(&mut self, counters: &Counters) -> Result<(), DataPathError>;

    /// Whether a call of [`DataPath::grace`] would free anything here.
    fn needs_grace(&self) -> bool;

    /// Waits until nobody reads any more what was no longer referred to when this was called.
    ///
    /// # Errors
    /// What the kernel said: then somebody may.
    fn grace(&mut self) -> Result<(), DataPathError>;
}

/// The kernel refused something.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct DataPathError {
    /// What it said of which table.
    pub reason: String,
    /// How many of the changes were made before.
    pub made: usize,
}

/// The data path of `datapath = "userspace"`: nothing beside the tables in memory.
#[derive(Debug)]
pub struct InMemory;

impl DataPath for InMemory {
    fn apply(&mut self, _changes: &[Change]) -> Result<(), DataPathError> {
        Ok(())
    }

    fn beat(&mut self, _now_ns: u64) -> Result<(), DataPathError> {
        Ok(())
    }

    fn count(&mut self, _counters: &Counters) -> Result<(), DataPathError> {
        Ok(())
    }

    fn needs_grace(&self) -> bool {
        false
    }

    /// Who reads the tables in memory has locked them.
    fn grace(&mut self) -> Result<(), DataPathError> {
        Ok(())
    }
}

/// What the publisher knows of the tables beside them.
#[derive(Debug, Default)]
pub struct Held {
    /// See [`Built::services`].
    pub services: Vec<Option<RankedService>>,
    /// See [`Built::slots`].
    pub slots: Slots,
}

impl Built {
    /// The tables, and what only the publisher needs.
    pub fn divide(self) -> (Tables, Held) {
        let Self {
            tables,
            services,
            slots,
        } = self;
        (tables, Held { services, slots })
    }
}

/// The publisher's state.
pub struct Publisher {
    config: Arc<Config>,
    tables: Arc<RwLock<Tables>>,
    data_path: Box<dyn DataPath>,
    services: Vec<Option<RankedService>>,
    slots: Slots,
    leases: Leases,
    /// DNS-LBs that last announced an address other than the configured one: that they live says nothing
    /// of who answers there, so their renewals do not count.
    elsewhere: BTreeSet<u32>,
    ticks: u32,
    /// Where it is told that a watched service was asked for.
    asked: mpsc::Sender<Asked>,
    timings: Timings,
}

impl Publisher {
    /// A publisher of tables that are in service already.
    pub fn new(
        config: Arc<Config>,
        tables: Arc<RwLock<Tables>>,
        held: Held,
        data_path: Box<dyn DataPath>,
        asked: mpsc::Sender<Asked>,
        timings: Timings,
    ) -> Self {
        let leases = match &config.role {
            Role::DnsB(dns_b) => {
                let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
                Leases::of_values(dns_b, &tables.vantages, monotonic_ns())
            }
            Role::DnsLb(_) => Leases::none(),
        };
        Self {
            config,
            tables,
            data_path,
            services: held.services,
            slots: held.slots,
            leases,
            elsewhere: BTreeSet::new(),
            ticks: 0,
            asked,
            timings,
        }
    }

    /// From now on it is told here that a watched service was asked for.
    pub fn tell(&mut self, asked: mpsc::Sender<Asked>) {
        self.asked = asked;
    }

    /// Works until `stop`; then it can go on with other events. `counted` gives what the daemon answered by its
    /// sockets.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        counted: impl Fn() -> Counters,
        stop: CancellationToken,
    ) -> Self {
        let mut taken = Vec::with_capacity(AT_ONCE);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.tick(&counted());
                    return self;
                }
                _ = ticks.tick() => self.tick(&counted()),
                count = events.recv_many(&mut taken, AT_ONCE), if !events.is_closed() || !events.is_empty() => {
                    debug_assert!(count <= AT_ONCE);
                    for event in taken.drain(..) {
                        self.take(event);
                    }
                }
            }
        }
    }

    fn tick(&mut self, counted: &Counters) {
        let now_ns = monotonic_ns();
        let written = self
            .data_path
            .beat(now_ns)
            .and_then(|()| self.data_path.count(counted));
        match written {
            Ok(()) => {
                let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
                tables.heartbeat = now_ns;
            }
            Err(error) => {
                tracing::error!(%error, "heartbeat and counters could not be written");
            }
        }
        let changed = self.leases.expire(now_ns);
        self.publish_vantages(changed);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_BETWEEN_SWEEPS) {
            self.sweep();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Announce {
                node,
                dns_lb,
                resolvers,
                done,
            } => {
                let result = self.announce(&node, dns_lb, &resolvers);
                // A peer that is gone needs no answer.
                let _ = done.send(result);
            }
            Event::Withdraw {
                node,
                resolvers,
                done,
            } => {
                let result = self.withdraw(&node, &resolvers);
                let _ = done.send(result);
            }
            Event::Renew { node } => self.renew(&node),
            Event::Serve {
                service,
                vantage,
                serving,
                probed_ns,
            } => {
                let is_served = self.serve(service, vantage, &serving);
                if let Some(probed_ns) = probed_ns.filter(|_| is_served) {
                    let taken = monotonic_ns().saturating_sub(probed_ns);
                    self.timings.record_to_tables(taken);
                }
            }
            Event::Watch { service } => self.watch(service),
            Event::Asked { group } => self.was_asked(group),
        }
    }

    fn announce(
        &mut self,
        node: &str,
        dns_lb: Ipv4Addr,
        resolvers: &[IpAddr],
    ) -> Result<(), Rejection> {
        let config = Arc::clone(&self.config);
        let (vantage, known) = known_node(&config, node)?;
        if known.address != dns_lb {
            self.elsewhere.insert(vantage);
            return Err(Rejection::OtherAddress {
                node: node.to_owned(),
                configured: known.address,
                announced: dns_lb,
            });
        }
        self.elsewhere.remove(&vantage);
        let seen = unix_seconds();
        let entries: BTreeMap<IpAddr, _> = resolvers
            .iter()
            .map(|resolver| resolver_key(*resolver))
            .map(|key| (key, build::mapping(key, vantage, known, seen)))
            .collect();
        let room = {
            let tables = self.tables();
            let new = entries
                .keys()
                .filter(|key| !tables.resolvers.contains_key(key));
            let room = tables.room.resolvers as usize;
            (tables.resolvers.len() + new.count() > room).then_some(room)
        };
        if let Some(room) = room {
            let full = TableFull::Resolvers {
                size: room,
                needed: None,
            };
            return Err(full.into());
        }
        let changes: Vec<Change> = entries
            .into_iter()
            .map(|(key, value)| Change::SetResolver(key, value))
            .collect();
        self.publish(&changes)?;
        tracing::info!(node, %dns_lb, resolvers = resolvers.len(), "resolvers announced");
        self.alive(vantage)
    }

    fn withdraw(&mut self, node: &str, resolvers: &[IpAddr]) -> Result<(), Rejection> {
        let config = Arc::clone(&self.config);
        let (vantage, _) = known_node(&config, node)?;
        let keys: BTreeSet<IpAddr> = resolvers.iter().map(|ip| resolver_key(*ip)).collect();
        // Another DNS-LB may have announced it since: then it is no longer this one's to give up.
        let own: Vec<Change> = {
            let tables = self.tables();
            let is_own = |key: &IpAddr| {
                let value = tables.resolvers.get(key);
                value.is_some_and(|value| value.vantage == vantage)
            };
            keys.into_iter()
                .filter(is_own)
                .map(Change::RemoveResolver)
                .collect()
        };
        self.publish(&own)?;
        tracing::info!(node, resolvers = resolvers.len(), "resolvers withdrawn");
        self.alive(vantage)
    }

    fn renew(&mut self, node: &str) {
        let config = Arc::clone(&self.config);
        let renewed = known_node(&config, node).and_then(|(vantage, _)| self.alive(vantage));
        if let Err(error) = renewed {
            tracing::warn!(node, %error, "a lease was not renewed");
        }
    }

    /// The DNS-LB's lease starts anew; it serves for itself.
    fn alive(&mut self, vantage: u32) -> Result<(), Rejection> {
        if self.elsewhere.contains(&vantage) {
            return Ok(());
        }
        let changed = self.leases.renew(vantage, monotonic_ns());
        let changes: Vec<Change> = changed
            .into_iter()
            .map(|(vantage, value)| Change::SetVantage(vantage, value))
            .collect();
        self.publish(&changes)
    }

    /// From now on `vantage` answers for a service with `serving`; where the tables have no room, the last
    /// answer stays. Whether it does.
    pub fn serve(&mut self, service: usize, vantage: u32, serving: &Serving) -> bool {
        let Some(Some(ranked)) = self.services.get(service) else {
            return false;
        };
        let ranked = ranked.clone();
        let mut changes = self.changes(&ranked, vantage, serving);
        if changes.is_err() {
            // What is at rest is free after a wait, which is rare: it is out of the hot path.
            self.sweep();
            changes = self.changes(&ranked, vantage, serving);
        }
        let published = match changes {
            Ok(changes) => self.publish_or_log(&changes),
            Err(error) => {
                tracing::error!(service, %error, "a ranking has no room; the last answer stays");
                false
            }
        };
        if !published {
            // Slots that were given out for it may not be written: nobody is to share them.
            self.sweep();
        }
        published
    }

    fn changes(
        &mut self,
        service: &RankedService,
        vantage: u32,
        serving: &Serving,
    ) -> Result<Vec<Change>, NoRoom> {
        let tables = Arc::clone(&self.tables);
        let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
        select(&tables, &mut self.slots, service, vantage, serving)
    }

    /// The next query for a service is to be told.
    fn watch(&mut self, service: usize) {
        let Some(Some(ranked)) = self.services.get(service) else {
            return;
        };
        let changes = self.mark(ranked.group, true);
        self.publish_or_log(&changes);
    }

    /// A query has met an answer that is watched: that is told, and it is watched no more. Where there is no room
    /// to tell it, it stays watched: who wants to know counts on that.
    fn was_asked(&mut self, group: u32) {
        let Ok(permit) = self.asked.clone().try_reserve_owned() else {
            tracing::debug!(
                group,
                "that it was asked for is told by a later query: too much is"
            );
            return;
        };
        let changes = self.mark(group, false);
        // Told before, by another CPU or the sockets.
        if changes.is_empty() {
            return;
        }
        self.publish_or_log(&changes);
        let is_meant = |service: &Option<RankedService>| {
            service
                .as_ref()
                .is_some_and(|service| service.group == group)
        };
        if let Some(service) = self.services.iter().position(is_meant) {
            permit.send(Asked(service));
        }
    }

    /// The changes after which a group's addresses are watched, or not.
    fn mark(&self, group: u32, watched: bool) -> Vec<Change> {
        let tables = self.tables();
        let changes = [KIND_A, KIND_AAAA].into_iter().filter_map(|kind| {
            let word = tables.word(OWN_VANTAGE, group, kind);
            let marked = word.watched(watched);
            let (page, index) = ranking_place(tables.settings.groups, OWN_VANTAGE, group, kind);
            (word.is_ready() && word != marked).then_some(Change::SetRanking {
                page,
                index,
                word: marked,
            })
        });
        changes.collect()
    }

    /// Frees the slots of answers that nothing refers to any more.
    fn sweep(&mut self) {
        let anything = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            let always = self.services.iter().flatten().map(|service| service.nodata);
            self.slots.sweep(&tables, always)
        };
        if !anything && !self.data_path.needs_grace() {
            return;
        }
        match self.data_path.grace() {
            Ok(()) => self.slots.rested(),
            Err(error) => tracing::error!(%error, "unused answers could not be given up"),
        }
    }

    /// Makes changes effective: in the kernel first, so that an acknowledgement is never early.
    fn publish(&mut self, changes: &[Change]) -> Result<(), Rejection> {
        if changes.is_empty() {
            return Ok(());
        }
        let applied = self.data_path.apply(changes);
        let made = applied
            .as_ref()
            .err()
            .map_or(changes.len(), |error| error.made);
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for change in &changes[..made] {
            tables.apply(change);
        }
        applied.map_err(|error| Rejection::Tables(error.to_string()))
    }

    /// Whether all changes were made.
    fn publish_or_log(&mut self, changes: &[Change]) -> bool {
        let published = self.publish(changes);
        if let Err(error) = &published {
            tracing::error!(%error, "a change did not reach the kernel; the last state stays");
        }
        published.is_ok()
    }

    fn publish_vantages(&mut self, changed: Vec<(u32, dglb_common::layout::VantageValue)>) {
        let changes: Vec<Change> = changed
            .into_iter()
            .map(|(vantage, value)| Change::SetVantage(vantage, value))
            .collect();
        self.publish_or_log(&changes);
    }

    fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The node's vantage and its entry in the configuration.
fn known_node<'a>(
    config: &'a Config,
    name: &str,
) -> Result<(u32, &'a crate::config::DnsLbNode), Rejection> {
    let nodes = match &config.role {
        Role::DnsB(DnsB { dns_lbs, .. }) => dns_lbs.as_slice(),
        Role::DnsLb(_) => &[],
    };
    nodes
        .iter()
        .enumerate()
        .find(|(_, node)| node.name == name)
        .map(|(vantage, node)| (vantage as u32, node))
        .ok_or_else(|| Rejection::UnknownNode(name.to_owned()))
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
