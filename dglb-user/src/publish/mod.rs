//! The one task that writes the tables: in memory, and through [`DataPath`] in the kernel.
//!
//! It takes [`Event`]s from the map protocol and from the probes, keeps the leases of the DNS-LBs,
//! and lets the heartbeat beat.

pub mod build;
mod lease;
mod rank;

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use dglb_common::{
    counters::Counters,
    layout::{KIND_A, KIND_AAAA, ranking_place},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

pub use self::rank::first_ranking;
use self::{build::SiteAnswers, lease::Leases};
use crate::{
    capacity::TableFull,
    config::{Config, DnsB, Role},
    control::{Event, Rejection},
    tables::{Change, Tables},
};

/// How often leases are looked at and counters are written.
const TICK: Duration = Duration::from_millis(250);

/// What makes a change effective where answers are given, beside the tables in memory.
pub trait DataPath: Send {
    /// Makes one change.
    ///
    /// # Errors
    /// What the kernel said.
    fn apply(&mut self, change: &Change) -> Result<(), DataPathError>;

    /// Says that the daemon lives.
    ///
    /// # Errors
    /// What the kernel said.
    fn beat(&mut self) -> Result<(), DataPathError>;

    /// Keeps what the daemon answered by its sockets, for those who look from outside.
    ///
    /// # Errors
    /// What the kernel said.
    fn count(&mut self, counters: &Counters) -> Result<(), DataPathError>;
}

/// The kernel refused a change; what it said of which table.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DataPathError(pub String);

/// The data path of `datapath = "userspace"`: nothing beside the tables in memory.
#[derive(Debug)]
pub struct InMemory;

impl DataPath for InMemory {
    fn apply(&mut self, _change: &Change) -> Result<(), DataPathError> {
        Ok(())
    }

    fn beat(&mut self) -> Result<(), DataPathError> {
        Ok(())
    }

    fn count(&mut self, _counters: &Counters) -> Result<(), DataPathError> {
        Ok(())
    }
}

/// The publisher's state.
pub struct Publisher {
    config: Arc<Config>,
    tables: Arc<RwLock<Tables>>,
    data_path: Box<dyn DataPath>,
    sites: Vec<Vec<SiteAnswers>>,
    leases: Leases,
    /// DNS-LBs that last announced an address other than the configured one: that they live says nothing
    /// of who answers there, so their renewals do not count.
    elsewhere: BTreeSet<u32>,
}

impl Publisher {
    /// A publisher of tables that are in service already.
    pub fn new(
        config: Arc<Config>,
        tables: Arc<RwLock<Tables>>,
        sites: Vec<Vec<SiteAnswers>>,
        data_path: Box<dyn DataPath>,
    ) -> Self {
        let leases = {
            let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
            match &config.role {
                Role::DnsB(dns_b) => Leases::new(dns_b, &tables.vantages, Instant::now()),
                Role::DnsLb(_) => Leases::none(),
            }
        };
        Self {
            config,
            tables,
            data_path,
            sites,
            leases,
            elsewhere: BTreeSet::new(),
        }
    }

    /// Works until `stop`. `counted` gives what the daemon answered by its sockets.
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        counted: impl Fn() -> Counters,
        stop: CancellationToken,
    ) {
        // The default DNS-LB, or who is configured, may be another than in the run before.
        for (vantage, value) in self.leases.stand_in() {
            self.publish_or_log(&Change::SetVantage(vantage, value));
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.tick(&counted());
                    return;
                }
                _ = ticks.tick() => self.tick(&counted()),
                Some(event) = events.recv() => self.take(event),
            }
        }
    }

    fn tick(&mut self, counted: &Counters) {
        let written = self
            .data_path
            .beat()
            .and_then(|()| self.data_path.count(counted));
        if let Err(error) = written {
            tracing::error!(%error, "heartbeat and counters could not be written");
        }
        for (vantage, value) in self.leases.expire(Instant::now()) {
            self.publish_or_log(&Change::SetVantage(vantage, value));
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
            Event::Ranking { service, ranking } => self.rank(service, &ranking),
        }
    }

    fn announce(
        &mut self,
        node: &str,
        dns_lb: Ipv4Addr,
        resolvers: &[Ipv4Addr],
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
        for &resolver in resolvers {
            self.room_for(resolver)?;
            let value = build::mapping(resolver, vantage, known, seen);
            self.publish(&Change::SetResolver(resolver, value))?;
        }
        tracing::info!(node, %dns_lb, resolvers = resolvers.len(), "resolvers announced");
        self.alive(vantage)
    }

    /// Whether the table of resolvers takes `resolver`.
    fn room_for(&self, resolver: Ipv4Addr) -> Result<(), TableFull> {
        let size = match &self.config.role {
            Role::DnsB(dns_b) => dns_b.max_resolvers as usize,
            Role::DnsLb(_) => 0,
        };
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if tables.resolvers.len() < size || tables.resolvers.contains_key(&resolver) {
            return Ok(());
        }
        Err(TableFull::Resolvers { size, needed: None })
    }

    fn withdraw(&mut self, node: &str, resolvers: &[Ipv4Addr]) -> Result<(), Rejection> {
        let config = Arc::clone(&self.config);
        let (vantage, _) = known_node(&config, node)?;
        for &resolver in BTreeSet::from_iter(resolvers) {
            let own = {
                let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
                let value = tables.resolvers.get(&resolver);
                value.is_some_and(|value| value.vantage == vantage)
            };
            // Another DNS-LB may have announced it since: then it is no longer this one's to give up.
            if own {
                self.publish(&Change::RemoveResolver(resolver))?;
            }
        }
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
        for (vantage, value) in self.leases.renew(vantage, Instant::now()) {
            self.publish(&Change::SetVantage(vantage, value))?;
        }
        Ok(())
    }

    /// The addresses of a service follow its ranking.
    fn rank(&mut self, service: usize, ranking: &[usize]) {
        let Some(sites) = self.sites.get(service) else {
            return;
        };
        if ranking.is_empty() {
            tracing::warn!(service, "all sites are down: the last answer stays");
            return;
        }
        let (pages, nodata) = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            let pages = tables.settings.pages_per_vantage;
            (pages, rank::nodata(&tables, service))
        };
        let words = rank::words(sites, ranking, nodata);
        for (kind, word) in [(KIND_A, words.v4), (KIND_AAAA, words.v6)] {
            let (page, index) = ranking_place(pages, 0, service as u32, kind);
            self.publish_or_log(&Change::SetRanking { page, index, word });
        }
    }

    /// Makes a change effective: in the kernel first, so that an acknowledgement is never early.
    fn publish(&mut self, change: &Change) -> Result<(), Rejection> {
        self.data_path
            .apply(change)
            .map_err(|error| Rejection::Tables(error.to_string()))?;
        self.tables
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(change);
        Ok(())
    }

    fn publish_or_log(&mut self, change: &Change) {
        if let Err(error) = self.publish(change) {
            tracing::error!(%error, "a change did not reach the kernel; the last state stays");
        }
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
mod tests {
    use super::*;
    use crate::config::Config;

    const DNS_B: &str = include_str!("../../../docs/examples/dns-b.toml");
    const DNS_LB: &str = include_str!("../../../docs/examples/dns-lb.toml");
    /// Addresses of the two DNS-LBs in the example.
    const LB1: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    const LB2: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);
    const RESOLVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);

    fn publisher(toml: &str) -> Publisher {
        let config = Config::from_text("node.toml", toml).expect("an example");
        let built = build::build(&config, Default::default(), &build::Restored::default());
        Publisher::new(
            Arc::new(config),
            Arc::new(RwLock::new(built.tables)),
            built.sites,
            Box::new(InMemory),
        )
    }

    /// The index of the DNS-LB that serves for `source`.
    fn served_by(publisher: &Publisher, source: Ipv4Addr) -> Option<u32> {
        let tables = publisher.tables.read().expect("not poisoned");
        tables.serving(tables.vantage_of(source))
    }

    #[test]
    fn an_announced_resolver_is_mapped_until_it_is_withdrawn_by_its_own() {
        let mut publisher = publisher(DNS_B);
        assert_eq!(served_by(&publisher, RESOLVER), Some(0), "the default");
        assert_eq!(
            publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
            Ok(())
        );
        assert_eq!(served_by(&publisher, RESOLVER), Some(1));
        assert_eq!(publisher.withdraw("lb1.isp1.example", &[RESOLVER]), Ok(()));
        assert_eq!(
            served_by(&publisher, RESOLVER),
            Some(1),
            "not lb1's to give up"
        );
        assert_eq!(publisher.withdraw("lb2.isp2.example", &[RESOLVER]), Ok(()));
        assert_eq!(served_by(&publisher, RESOLVER), Some(0));
    }

    #[test]
    fn a_full_table_refuses_the_next_resolver_and_serves_the_others() {
        let mut publisher = publisher(&DNS_B.replace("# resolvers = 1000000", "resolvers = 2"));
        let resolver = |last| Ipv4Addr::new(198, 51, 100, last);
        let announced = publisher.announce("lb2.isp2.example", LB2, &[1, 2, 3].map(resolver));
        let full = TableFull::Resolvers {
            size: 2,
            needed: None,
        };
        assert_eq!(announced, Err(Rejection::Full(full)));
        let served = [1, 2, 3].map(|last| served_by(&publisher, resolver(last)));
        assert_eq!(served, [Some(1), Some(1), Some(0)]);
        // One that is in the table may be announced again, and a withdrawal makes room.
        assert_eq!(
            publisher.announce("lb1.isp1.example", LB1, &[resolver(1)]),
            Ok(())
        );
        assert_eq!(served_by(&publisher, resolver(1)), Some(0));
        assert_eq!(
            publisher.withdraw("lb2.isp2.example", &[resolver(2)]),
            Ok(())
        );
        assert_eq!(
            publisher.announce("lb2.isp2.example", LB2, &[resolver(3)]),
            Ok(())
        );
        assert_eq!(served_by(&publisher, resolver(3)), Some(1));
    }

    #[test]
    fn a_stranger_is_refused_and_changes_nothing() {
        let mut publisher = publisher(DNS_B);
        let refused = publisher.announce("lb9.isp9.example", LB2, &[RESOLVER]);
        assert_eq!(
            refused,
            Err(Rejection::UnknownNode("lb9.isp9.example".to_owned()))
        );
        publisher.renew("lb9.isp9.example");
        assert_eq!(served_by(&publisher, RESOLVER), Some(0));
    }

    #[test]
    fn a_node_at_another_address_is_not_up() {
        let mut publisher = publisher(DNS_B);
        publisher.renew("lb1.isp1.example");
        assert_eq!(
            publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
            Ok(())
        );
        let refused = publisher.announce("lb2.isp2.example", LB1, &[RESOLVER]);
        assert!(
            matches!(refused, Err(Rejection::OtherAddress { .. })),
            "{refused:?}"
        );
        publisher.renew("lb2.isp2.example");
        let changed = publisher
            .leases
            .expire(Instant::now() + Duration::from_secs(3600));
        assert!(changed.iter().any(|(vantage, _)| *vantage == 1));
        publisher.renew("lb2.isp2.example");
        assert!(
            publisher
                .leases
                .expire(Instant::now() + Duration::from_secs(3600))
                .is_empty(),
            "its renewal did not count"
        );
        assert_eq!(
            publisher.announce("lb2.isp2.example", LB2, &[RESOLVER]),
            Ok(())
        );
        assert_eq!(served_by(&publisher, RESOLVER), Some(1), "it is back");
    }

    #[test]
    fn the_address_follows_the_ranking_and_stays_when_all_are_down() {
        let mut publisher = publisher(DNS_LB);
        let address = |publisher: &Publisher, kind| {
            let tables = publisher.tables.read().expect("not poisoned");
            let answer = tables.answer(0, 0, kind).expect("an answer");
            let end = usize::from(answer.len);
            answer.octets[end - 4..end].to_vec()
        };
        publisher.rank(0, &[1, 0]);
        assert_eq!(address(&publisher, KIND_A), [203, 0, 113, 80], "tokyo");
        publisher.rank(0, &[0]);
        assert_eq!(address(&publisher, KIND_A), [192, 0, 2, 80], "frankfurt");
        publisher.rank(0, &[]);
        assert_eq!(
            address(&publisher, KIND_A),
            [192, 0, 2, 80],
            "the last answer"
        );
    }

    #[tokio::test]
    async fn a_dns_lbs_publisher_runs_and_takes_rankings() {
        let publisher = publisher(DNS_LB);
        let tables = Arc::clone(&publisher.tables);
        let reference = |place: u32| {
            let tables = tables.read().expect("not poisoned");
            let (_, index) = ranking_place(tables.settings.pages_per_vantage, 0, 0, place);
            tables.rankings[index as usize]
        };
        assert!(!reference(KIND_A).is_ready());
        let (sender, events) = mpsc::channel(4);
        let stop = CancellationToken::new();
        let running = tokio::spawn(publisher.run(events, Counters::default, stop.clone()));
        let ranking = vec![0];
        let event = Event::Ranking {
            service: 0,
            ranking,
        };
        sender.send(event).await.expect("the publisher runs");
        while !reference(KIND_A).is_ready() {
            assert!(!running.is_finished(), "the publisher ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        running.await.expect("no panic");
    }
}
