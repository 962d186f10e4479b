//! One service in one address family: who is answered.

use std::time::Duration;

use super::{
    all_down::{LastGood, Nobody},
    answer,
    filters::Judged,
    order,
    overflow::Given,
    place::Place,
    pool,
    score::Scores,
    shares,
    standing::Standing,
    trace::{Sink, Trace},
};
use crate::{
    config::{AllDown, Family, LbService, Location, Policy, Scorer},
    event::{Selection, Served},
};

/// What is answered from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// For the publisher.
    pub served: Served,
    /// By site, percent.
    pub shares: Vec<f64>,
    /// The sites that may be answered, best first; those without a share stand by.
    pub order: Vec<usize>,
    /// When to decide again although nothing changed, on the caller's clock.
    pub again: Option<Duration>,
}

/// Chooses for one service in one family, and remembers what it must.
#[derive(Clone, Debug)]
pub struct Chooser {
    family: Family,
    policy: Policy,
    /// TTL of the answers, and the least that it is shortened to; seconds.
    answer_ttl: u32,
    min_ttl: u32,
    places: Vec<Place>,
    judged: Judged,
    given: Vec<Given>,
    /// The order that was decided last: who is there stays, unless another is better by the margin.
    held: Vec<usize>,
    /// What was last decided while a site was left; kept only where the owner wants it back.
    last_good: Option<LastGood>,
    /// Buffers, by site.
    scores: Scores,
    keeps: Vec<f64>,
}

impl Chooser {
    /// For `family` of `service`, seen from `node`.
    pub fn new(service: &LbService, family: Family, node: Option<Location>) -> Self {
        let policy = service.policy.clone();
        let sites = service.sites.len();
        let place = |site| Place::new(site, family, node);
        Self {
            family,
            answer_ttl: service.answer_ttl,
            min_ttl: service.min_ttl,
            places: service.sites.iter().map(place).collect(),
            judged: Judged::new(policy.filters.len(), sites),
            given: vec![Given::default(); sites],
            held: Vec::new(),
            last_good: None,
            scores: Scores::new(&policy.scorer, policy.margin, sites),
            keeps: vec![1.0; sites],
            policy,
        }
    }

    /// Takes over what `before` remembers, site by site by their names: a reload is no reason to move
    /// clients. What a filter or an overflow made of a site counts only while its settings are the same.
    pub fn adopt(&mut self, before: Self) {
        let site_here: Vec<Option<usize>> = before
            .places
            .iter()
            .map(|there| self.places.iter().position(|here| here.name == there.name))
            .collect();
        let known = before.held.iter().filter_map(|&site| site_here[site]);
        self.held = known.collect();
        for (there, here) in site_here.iter().enumerate() {
            let Some(here) = *here else { continue };
            if self.policy.filters == before.policy.filters {
                self.judged.adopt(here, &before.judged, there);
            }
            if self.policy.overflow == before.policy.overflow {
                self.given[here] = before.given[there];
            }
        }
        // An answer is taken over whole or not at all.
        let is_same = |(there, here): (usize, &Option<usize>)| *here == Some(there);
        if before.places.len() == self.places.len() && site_here.iter().enumerate().all(is_same) {
            self.last_good = before.last_good;
        }
    }

    /// Decides. `standings` has an entry for each site, `None` where the site has no address of the family;
    /// `now` is any clock that never goes back.
    pub fn choose(&mut self, standings: &[Option<Standing>], now: Duration) -> Decision {
        self.decide(standings, now, &mut Sink(None))
    }

    /// Why the decision is as it is. Changes nothing.
    pub fn explain(&self, standings: &[Option<Standing>], now: Duration) -> (Decision, Trace) {
        let mut trace = Trace::new(self.places.len());
        let decision = self
            .clone()
            .decide(standings, now, &mut Sink(Some(&mut trace)));
        for (candidate, share) in trace.candidates.iter_mut().zip(&decision.shares) {
            candidate.share_percent = *share;
        }
        (decision, trace)
    }

    fn decide(
        &mut self,
        standings: &[Option<Standing>],
        now: Duration,
        sink: &mut Sink<'_>,
    ) -> Decision {
        let pool = pool::pool(
            &self.policy,
            &self.places,
            standings,
            &mut self.judged,
            sink,
        );
        if self.places.iter().all(|place| !place.has_address) {
            sink.note(|| "no site has an address of this family".into());
            return self.no_data();
        }
        if pool.is_empty() {
            return self.nobody(standings, sink);
        }
        self.scores
            .update(&self.policy.scorer, &pool, &self.places, standings);
        let order = match self.policy.scorer {
            Scorer::Weighed(_) => {
                for &site in &pool {
                    sink.score(site, || self.scores.value(site));
                }
                order::arrange(&pool, &self.held, &self.scores, &self.places, sink)
            }
            Scorer::Failover | Scorer::Random | Scorer::Sticky => in_file_order(pool),
        };
        let again = self.look_at_keeps(&order, standings, now, sink);
        let (selection, parts) =
            answer::select(&self.policy, &order, &self.keeps, &self.places, standings);
        let ttl = answer::ttl(self.answer_ttl, self.min_ttl, &parts, standings);
        if ttl < self.answer_ttl {
            sink.note(|| format!("a site that is answered may soon be down: TTL {ttl}"));
        }
        let shares = percent(parts);
        self.remember(&order, &selection, &shares);
        Decision {
            order,
            served: Served { selection, ttl },
            shares,
            again,
        }
    }

    /// The part of its share that each site keeps, into `keeps`; and when that may change.
    fn look_at_keeps(
        &mut self,
        order: &[usize],
        standings: &[Option<Standing>],
        now: Duration,
        sink: &mut Sink<'_>,
    ) -> Option<Duration> {
        let mut again: Option<Duration> = None;
        for &site in order {
            let Some(standing) = &standings[site] else {
                continue;
            };
            let place = &self.places[site];
            let (mut keep, mut next) = shares::ramp(self.policy.ramp, standing.back_since, now);
            if keep < 1.0 {
                let percent = keep * 100.0;
                sink.note(|| {
                    format!(
                        "ramp: {} came back, it gets {percent:.0} % of its share",
                        place.name
                    )
                });
            }
            if let Some(overflow) = &self.policy.overflow {
                let used = place.utilisation(standing).unwrap_or(0.0);
                let (kept, due) = self.given[site].look(overflow, used, now);
                if kept < 1.0 {
                    let percent = (1.0 - kept) * 100.0;
                    sink.note(|| {
                        format!(
                            "overflow: {} gives away {percent:.0} % of its share, {used:.0} % of its \
                             capacity are used",
                            place.name
                        )
                    });
                }
                keep *= kept;
                next = earlier(next, due);
            }
            self.keeps[site] = keep;
            again = earlier(again, next);
        }
        again
    }

    fn remember(&mut self, order: &[usize], selection: &Selection, shares: &[f64]) {
        self.held.clear();
        self.held.extend_from_slice(order);
        match self.policy.all_down {
            AllDown::LastGood => {
                let good = self.last_good.as_ref();
                if good.is_none_or(|good| good.selection != *selection || good.shares != shares) {
                    self.last_good = Some(LastGood {
                        selection: selection.clone(),
                        shares: shares.to_vec(),
                    });
                }
            }
            AllDown::AllSites | AllDown::Fallback { .. } | AllDown::Servfail => {}
        }
    }

    /// What the owner chose for the case that no site is left.
    fn nobody(&self, standings: &[Option<Standing>], sink: &mut Sink<'_>) -> Decision {
        let nobody = Nobody {
            family: self.family,
            places: &self.places,
            standings,
            held: &self.held,
            last_good: self.last_good.as_ref(),
            ttl: self.answer_ttl,
        };
        nobody.decide(&self.policy.all_down, sink)
    }

    fn no_data(&self) -> Decision {
        Decision {
            served: Served {
                selection: Selection::List(Vec::new()),
                ttl: self.answer_ttl,
            },
            shares: vec![0.0; self.places.len()],
            order: Vec::new(),
            again: None,
        }
    }
}

fn in_file_order(mut pool: Vec<usize>) -> Vec<usize> {
    pool.sort_unstable();
    pool
}

/// From parts, 0 to 1.
fn percent(mut parts: Vec<f64>) -> Vec<f64> {
    parts.iter_mut().for_each(|part| *part *= 100.0);
    parts
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
