//! What the engine says to people: sites, how they are chosen, their last hours; and what people order.

use std::{net::IpAddr, time::Duration};

use tokio::sync::oneshot;

use super::{
    engine::{Command, Engine},
    history::{Change, SPAN},
    knowledge::REPORTED,
    overrides::Key,
    plan::{Judged, address_of},
};
use crate::{
    config::Family,
    control::protocol::{
        CandidateView, Explanation, History, HistorySpan, ProberStatus, Reply, Request, SiteView,
        Sites, StateChange,
    },
    event::Selection,
    policy::{Override, OverrideKind, State},
};

/// Services of which the sites are told in one go: 40,000 sites take a while, and probes shall not wait.
const LISTED_AT_ONCE: usize = 100;
/// Sites whose history is told at once: two hours of one are ten kilobytes.
const HISTORIES: usize = 64;

/// A list of sites in the making.
#[derive(Debug)]
pub struct Listing {
    /// Whose are still to come, last first.
    services: Vec<usize>,
    sites: Vec<SiteView>,
    reply: oneshot::Sender<Reply>,
}

impl Engine {
    /// Does what is wanted.
    pub fn execute(&mut self, command: Command) {
        let Command { request, reply } = command;
        let said = match request {
            Request::Sites { service } => match self.services_named(service.as_deref()) {
                Ok(mut services) => {
                    services.reverse();
                    self.listings.push_back(Listing {
                        services,
                        sites: Vec::new(),
                        reply,
                    });
                    return;
                }
                Err(error) => Err(error),
            },
            Request::Override {
                site,
                service,
                kind,
                reason,
                for_,
            } => match self.order_site(Key { site, service }, kind, reason, for_) {
                Ok((key, order, said)) => {
                    self.set_override(key, order, reply, said);
                    return;
                }
                Err(error) => Err(error),
            },
            Request::Explain { name, family, .. } => self.explain(&name, family),
            Request::History { site, service } => self.history(&site, service.as_deref()),
            Request::Status | Request::Reload => {
                Err("this is no question about sites: a fault of dglb".into())
            }
        };
        // Whoever asked may have gone.
        let _ = reply.send(said.unwrap_or_else(Reply::Error));
    }

    /// Whether [`Self::list`] has something to do.
    pub fn has_listings(&self) -> bool {
        !self.listings.is_empty()
    }

    /// Goes on with the first list of sites.
    pub fn list(&mut self) {
        let Some(mut listing) = self.listings.pop_front() else {
            return;
        };
        for _ in 0..LISTED_AT_ONCE {
            match listing.services.pop() {
                Some(service) => self.views(service, &mut listing.sites),
                None => break,
            }
        }
        if !listing.services.is_empty() && !listing.reply.is_closed() {
            self.listings.push_front(listing);
            return;
        }
        let _ = listing.reply.send(Reply::Sites(Sites {
            prober: self.prober_status(),
            sites: listing.sites,
        }));
    }

    fn prober_status(&self) -> ProberStatus {
        ProberStatus {
            running: self.prober.is_up,
            restarts: self.prober.restarts,
            reason: self.prober.reason.clone(),
            targets: self.knowledge.len(),
            lateness_ms: self.timings.lateness(),
            probe_to_tables_ms: self.timings.to_tables(),
        }
    }

    /// The services that are meant: one, or all.
    fn services_named(&self, service: Option<&str>) -> Result<Vec<usize>, String> {
        let Some(wanted) = service else {
            return Ok((0..self.services_config.len()).collect());
        };
        let wanted = wanted.strip_suffix('.').unwrap_or(wanted);
        let is_wanted = |service: &usize| {
            self.services.all[*service]
                .name
                .eq_ignore_ascii_case(wanted)
        };
        let found = (0..self.services_config.len()).find(is_wanted);
        found.map(|service| vec![service]).ok_or_else(|| {
            let names = self
                .services
                .all
                .iter()
                .map(|service| service.name.as_str());
            format!(
                "there is no service \"{wanted}\" here; there are: {}",
                some_of(names)
            )
        })
    }

    fn views(&self, service: usize, views: &mut Vec<SiteView>) {
        let standings = Family::ALL.map(|family| {
            let mut standings = Vec::new();
            self.view().standings_into(service, family, &mut standings);
            standings
        });
        for (site, config) in self.services_config[service].sites.iter().enumerate() {
            for family in Family::ALL {
                let judged = self.plan.sites[service][family as usize][site];
                if let Some((judged, address)) = judged.zip(address_of(config, family)) {
                    let standing = standings[family as usize][site].as_ref();
                    let state = standing.map(|standing| standing.state).unwrap_or_default();
                    views.push(self.site_view((service, site, family), judged, address, state));
                }
            }
        }
    }

    fn site_view(
        &self,
        (service, site, family): (usize, usize, Family),
        judged: Judged,
        address: IpAddr,
        state: State,
    ) -> SiteView {
        let config = &self.services_config[service];
        let service = &self.services.all[service];
        let known = &self.knowledge[judged.target];
        let (_, judge) = &known.judges[judged.judge];
        let decision = service.sides[family as usize].decision.as_ref();
        let name = &config.sites[site].name;
        let overridden = self.overrides.of(&service.name, name, self.moment().wall);
        let (since, reason) = match (overridden, known.drained) {
            (Some(order), _) => (
                Some(order.since),
                Some(format!(
                    "{} by an operator: {}",
                    order.kind.name(),
                    order.reason
                )),
            ),
            (None, Some(since)) if judge.is_up() => (Some(since), Some(REPORTED.into())),
            (None, Some(_) | None) => (judge.since, judge.reason.clone()),
        };
        let figures = &known.figures;
        SiteView {
            service: service.name.clone(),
            site: name.clone(),
            address,
            state,
            since,
            reason,
            overridden: overridden.cloned(),
            latency_ms: figures.mean_ms,
            spread_ms: figures.mean_ms.map(|_| figures.spread_ms),
            connect_ms: figures.connect_ms,
            tls_ms: figures.tls_ms,
            first_byte_ms: figures.first_byte_ms,
            loss_percent: figures.loss * 100.0,
            load: figures.load.and_then(|load| load.load),
            share_percent: decision.map_or(0.0, |decision| decision.shares[site]),
            rank: decision.and_then(|decision| {
                let place = decision.order.iter().position(|&other| other == site);
                place.map(|place| place + 1)
            }),
            interval_s: config.effective_interval().as_secs_f64(),
            successes: known.successes,
            failures: known
                .failures
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            last_failure: known.last_failure.clone(),
        }
    }

    fn explain(&self, name: &str, family: Family) -> Result<Reply, String> {
        let service = self.services_named(Some(name))?[0];
        let config = &self.services_config[service];
        let mut standings = Vec::new();
        self.view().standings_into(service, family, &mut standings);
        let side = &self.services.all[service].sides[family as usize];
        let (decision, trace) = side.chooser.explain(&standings, self.moment().now);
        let address = |site: usize| address_of(&config.sites[site], family);
        let mut candidates: Vec<CandidateView> = trace
            .candidates
            .into_iter()
            .map(|candidate| CandidateView {
                site: config.sites[candidate.site].name.clone(),
                address: address(candidate.site),
                state: standings[candidate.site]
                    .as_ref()
                    .map_or_else(Default::default, |standing| standing.state),
                removed_by: candidate.removed_by,
                score: candidate.score,
                share_percent: candidate.share_percent,
            })
            .collect();
        // Those that are answered first, then by score, those without one last.
        candidates.sort_by(|one, other| {
            let key = |candidate: &CandidateView| candidate.score.unwrap_or(f64::INFINITY);
            other
                .share_percent
                .total_cmp(&one.share_percent)
                .then(key(one).total_cmp(&key(other)))
        });
        let answer = match decision.served.selection {
            Selection::Fallback(address) => vec![(address, 100.0)],
            Selection::Servfail => Vec::new(),
            Selection::List(_) | Selection::Weighted(_) | Selection::Sticky(_) => decision
                .order
                .iter()
                .filter(|&&site| decision.shares[site] > 0.0)
                .filter_map(|&site| Some((address(site)?, decision.shares[site])))
                .collect(),
        };
        Ok(Reply::Explain(Explanation {
            service: self.services.all[service].name.clone(),
            candidates,
            notes: trace.notes,
            answer,
            ttl_s: decision.served.ttl,
        }))
    }

    fn history(&self, site: &str, service: Option<&str>) -> Result<Reply, String> {
        self.check_site(site, service)?;
        let mut places = Vec::new();
        for service in self.services_named(service)? {
            let sites = &self.services_config[service].sites;
            let found = sites.iter().position(|config| config.name == site);
            places.extend(found.map(|index| (service, index)));
        }
        if places.len() > HISTORIES {
            let count = places.len();
            let names = places
                .iter()
                .map(|(service, _)| self.services.all[*service].name.as_str());
            return Err(format!(
                "{count} services have a site \"{site}\": name one of them (--service): {}",
                some_of(names)
            ));
        }
        let histories = places.into_iter().flat_map(|(service, index)| {
            let of_family = move |family| self.history_of(service, index, family);
            Family::ALL.into_iter().filter_map(of_family)
        });
        Ok(Reply::History(histories.collect()))
    }

    fn history_of(&self, service: usize, site: usize, family: Family) -> Option<History> {
        let config = &self.services_config[service].sites[site];
        let judged = self.plan.sites[service][family as usize][site]?;
        let known = &self.knowledge[judged.target];
        let (patience, _) = &known.judges[judged.judge];
        let spans = known.history.spans().map(|span| HistorySpan {
            start: span.start(),
            latency_ms: span.mean_ms(),
            max_ms: span.max_ms(),
            probes: u32::from(span.succeeded) + u32::from(span.failed),
            failed: span.failed.into(),
            state: span.state,
        });
        // Others of the same target may be more or less patient.
        let is_own = |other: &Change| other.patience.is_none_or(|other| other == *patience);
        let changes = known.history.changes().filter(|change| is_own(change));
        let changes = changes.map(|change| StateChange {
            at: change.at,
            state: change.state,
            reason: change.reason.clone(),
        });
        Some(History {
            service: self.services.all[service].name.clone(),
            site: config.name.clone(),
            address: address_of(config, family)?,
            span_s: SPAN.as_secs() as u32,
            spans: spans.collect(),
            changes: changes.collect(),
        })
    }

    /// What is to be set, and what is said of it.
    fn order_site(
        &self,
        mut key: Key,
        kind: Option<OverrideKind>,
        reason: String,
        for_: Option<Duration>,
    ) -> Result<(Key, Option<Override>, String), String> {
        self.check_site(&key.site, key.service.as_deref())?;
        if let Some(service) = &key.service {
            let service = self.services_named(Some(service))?[0];
            key.service = Some(self.services.all[service].name.clone());
        }
        let now = self.moment().wall;
        let order = kind.map(|kind| Override {
            kind,
            reason: reason.clone(),
            since: now,
            until: for_.and_then(|length| now.checked_add(length)),
        });
        let had = self.overrides.get(&key).is_some();
        let site = &key.site;
        let place = match &key.service {
            Some(service) => format!("{site} in {service}"),
            None => format!("{site} in all services that have it"),
        };
        let said = match (&order, had) {
            (Some(order), _) => {
                let end = match order.until {
                    Some(until) => format!("until {}", humantime::format_rfc3339_seconds(until)),
                    None => "until that is taken back".into(),
                };
                format!("{place}: {}, {end}: {reason}", order.kind.name())
            }
            (None, true) => format!("{place}: as its probes say again"),
            (None, false) => {
                return Err(format!(
                    "{place}: nothing was ordered that could be taken back"
                ));
            }
        };
        tracing::info!("{said}");
        Ok((key, order, said))
    }

    /// Whether there is such a site.
    fn check_site(&self, site: &str, service: Option<&str>) -> Result<(), String> {
        let services = self.services_named(service)?;
        let names = || {
            services
                .iter()
                .flat_map(|&service| &self.services_config[service].sites)
                .map(|site| site.name.as_str())
        };
        if names().any(|name| name == site) {
            return Ok(());
        }
        let mut all: Vec<&str> = names().collect();
        all.sort_unstable();
        all.dedup();
        Err(format!(
            "there is no site \"{site}\" here; there are: {}",
            some_of(all.into_iter())
        ))
    }
}

/// The first few, so that a message stays a message.
fn some_of<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<_> = names.take(SHOWN + 1).collect();
    match names.get(SHOWN) {
        None => names.join(", "),
        Some(_) => format!("{}, …", names[..SHOWN].join(", ")),
    }
}
