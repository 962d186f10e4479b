//! One service in one address family: who is answered.

use std::time::Duration;

use super::{
    filters::{self, Inside},
    score, shares,
    standing::{Standing, State},
    trace::{Sink, Trace},
};
use crate::{
    config::{AllDown, Family, LbService, Location, Policy, Scorer, Site, UnknownSites},
    event::{MAX_LISTED, Selection, Served},
};

/// Weights of a divided answer: a share in thousandths of a percent.
const WEIGHT_UNIT: f64 = 100_000.0;

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

/// What of a site does not change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub name: String,
    pub has_address: bool,
    pub families: Vec<Family>,
    pub tier: usize,
    pub region: Option<String>,
    pub tags: Vec<String>,
    pub cost: f64,
    pub capacity: f64,
    pub weight: u32,
    /// From this node, 100 km.
    pub distance: Option<f64>,
}

impl Place {
    fn new(site: &Site, family: Family, node: Option<Location>) -> Self {
        let families = Family::ALL.into_iter().filter(|family| site.has(*family));
        Self {
            name: site.name.clone(),
            has_address: site.has(family),
            families: families.collect(),
            tier: site.tier,
            region: site.region.clone(),
            tags: site.tags.clone(),
            cost: site.cost,
            capacity: site.capacity,
            weight: site.weight,
            distance: node
                .zip(site.location)
                .map(|(node, site)| score::distance(node, site)),
        }
    }

    /// Percent of the capacity, if the site reports its load.
    pub fn utilisation(&self, standing: &Standing) -> Option<f64> {
        standing.load.map(|load| load / self.capacity * 100.0)
    }
}

/// Chooses for one service in one family, and remembers what it must.
#[derive(Clone, Debug)]
pub struct Chooser {
    family: Family,
    policy: Policy,
    answer_ttl: u32,
    min_ttl: u32,
    places: Vec<Place>,
    inside: Inside,
    given: Vec<shares::Given>,
    /// The order that was decided last: who is there stays, unless another is better by the margin.
    held: Vec<usize>,
    /// What was last decided while a site was left, and its shares.
    last_good: Option<(Selection, Vec<f64>)>,
    /// Buffers, by site.
    scores: Vec<f64>,
    keeps: Vec<f64>,
}

impl Chooser {
    /// For `family` of `service`, seen from `node`.
    pub fn new(service: &LbService, family: Family, node: Option<Location>) -> Self {
        let sites = service.sites.len();
        let place = |site| Place::new(site, family, node);
        Self {
            family,
            answer_ttl: service.answer_ttl,
            min_ttl: service.min_ttl,
            places: service.sites.iter().map(place).collect(),
            inside: Inside::new(service.policy.filters.len(), sites),
            given: vec![shares::Given::default(); sites],
            held: Vec::new(),
            last_good: None,
            scores: vec![f64::INFINITY; sites],
            keeps: vec![1.0; sites],
            policy: service.policy.clone(),
        }
    }

    /// Takes over what `before` remembers, if it stands for the same sites under the same policy.
    pub fn adopt(&mut self, before: Self) {
        if self.policy == before.policy && self.places == before.places {
            let (answer_ttl, min_ttl) = (self.answer_ttl, self.min_ttl);
            *self = Self {
                answer_ttl,
                min_ttl,
                ..before
            };
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
        if self.places.iter().all(|place| !place.has_address) {
            sink.note(|| "no site has an address of this family".into());
            return self.decision(Selection::List(Vec::new()), Vec::new(), None);
        }
        let pool = self.pool(standings, sink);
        if pool.is_empty() {
            return self.all_down(standings, sink);
        }
        score::scores(
            &self.policy.scorer,
            &pool,
            &self.places,
            standings,
            &mut self.scores,
        );
        for &site in &pool {
            sink.score(site, self.scores[site]);
        }
        let order = self.order(pool, standings, sink);
        let again = self.look_at_keeps(&order, standings, now, sink);
        let (selection, parts) = self.divide(&order, standings);
        let ttl = self.ttl(&parts, standings);
        self.held = order;
        let shares: Vec<f64> = parts.iter().map(|part| part * 100.0).collect();
        self.last_good = Some((selection.clone(), shares.clone()));
        Decision {
            order: self.held.clone(),
            served: Served { selection, ttl },
            shares,
            again,
        }
    }

    /// Who may be answered, after tiers and filters.
    fn pool(&mut self, standings: &[Option<Standing>], sink: &mut Sink<'_>) -> Vec<usize> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (number, tier) in self.policy.tiers.iter().enumerate() {
            let mut pool: Vec<usize> = (0..self.places.len())
                .filter(|&site| self.places[site].tier == number)
                .filter(|&site| {
                    may_be_answered(standings[site].as_ref(), self.policy.unknown, site, sink)
                })
                .collect();
            filters::apply(
                &self.policy.filters,
                &mut pool,
                &self.places,
                standings,
                &mut self.inside,
                sink,
            );
            let is_unknown = |site: &usize| {
                let standing = standings[*site].as_ref();
                standing.is_some_and(|standing| standing.state == State::Unknown)
            };
            let mut of_tier: Vec<usize> = pool.extract_if(.., |site| is_unknown(site)).collect();
            if unknown.is_empty() {
                unknown.append(&mut of_tier);
            }
            known.append(&mut pool);
            if known.len() >= tier.min_sites {
                if number > 0 {
                    sink.note(|| format!("tier \"{}\" is used too", tier.name));
                }
                for (site, place) in self.places.iter().enumerate() {
                    if place.tier > number && place.has_address {
                        sink.removed(site, || {
                            format!("tiers: \"{}\" has enough sites", tier.name)
                        });
                    }
                }
                break;
            }
        }
        if known.is_empty() {
            if !unknown.is_empty() {
                sink.note(|| {
                    "no site is measured yet: those of which nothing is known are answered".into()
                });
            }
            return unknown;
        }
        for site in unknown {
            sink.removed(site, || "unknown: measured sites are there".into());
        }
        known
    }

    /// Best first; whoever holds a place keeps it unless another is better by the margin.
    fn order(
        &self,
        mut pool: Vec<usize>,
        standings: &[Option<Standing>],
        sink: &mut Sink<'_>,
    ) -> Vec<usize> {
        let scores = &self.scores;
        pool.sort_by(|one, other| scores[*one].total_cmp(&scores[*other]).then(one.cmp(other)));
        let mut order = Vec::with_capacity(pool.len());
        while !pool.is_empty() {
            let place = order.len();
            let best = pool[0];
            let holder = self.held.get(place).copied();
            let kept = holder.and_then(|holder| {
                let index = pool.iter().position(|&site| site == holder)?;
                let ahead = scores[holder] - scores[best];
                let margin = score::margin(
                    &self.policy.margin,
                    &self.policy.scorer,
                    scores[holder],
                    standings[holder].as_ref(),
                    standings[best].as_ref(),
                );
                // Not a number: neither was measured.
                (ahead.is_nan() || ahead <= margin).then_some((index, ahead, margin))
            });
            let index = match kept {
                Some((index, ahead, margin)) => {
                    if place == 0 && index > 0 && ahead > 0.0 {
                        sink.note(|| {
                            format!(
                                "the present site stays: another is better by {ahead:.1}, less than \
                                 the margin of {margin:.1}"
                            )
                        });
                    }
                    index
                }
                None => 0,
            };
            order.push(pool.remove(index));
        }
        order
    }

    /// The part of its share that each site keeps, into `keeps`.
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
            let (mut keep, mut next) = shares::ramp(self.policy.ramp, standing.back_since, now);
            if let Some(part) = next.map(|_| keep) {
                let name = &self.places[site].name;
                sink.note(|| format!("ramp: {name} came back, it gets {:.0} %", part * 100.0));
            }
            if let Some(overflow) = &self.policy.overflow {
                let (kept, due) =
                    self.given[site].look(overflow, &self.places[site], standing, now);
                if kept < 1.0 {
                    let name = &self.places[site].name;
                    sink.note(|| format!("overflow: {name} keeps {:.0} %", kept * 100.0));
                }
                keep *= kept;
                next = earlier(next, due);
            }
            self.keeps[site] = keep;
            again = earlier(again, next);
        }
        again
    }

    /// The selection, and the part of each site, 0 to 1.
    fn divide(&mut self, order: &[usize], standings: &[Option<Standing>]) -> (Selection, Vec<f64>) {
        let mut parts = vec![0.0; self.places.len()];
        match self.policy.scorer {
            Scorer::Random | Scorer::Sticky => {
                let weights: Vec<f64> = (0..self.places.len())
                    .map(|site| {
                        let reported = standings[site]
                            .as_ref()
                            .and_then(|standing| standing.weight);
                        f64::from(reported.unwrap_or(self.places[site].weight))
                    })
                    .collect();
                shares::divide(order, &weights, &self.keeps, &mut parts);
                let mut sites = order.to_vec();
                sites.sort_unstable();
                let weights = sites.into_iter().map(|site| (site, weight_of(parts[site])));
                let weights = weights.filter(|(_, weight)| *weight > 0).collect();
                let selection = match self.policy.scorer {
                    Scorer::Sticky => Selection::Sticky(weights),
                    _ => Selection::Weighted(weights),
                };
                (selection, parts)
            }
            Scorer::Weighed(_) | Scorer::Failover if self.policy.answers > 1 => {
                let listed = &order[..order.len().min(self.policy.answers)];
                for &site in listed {
                    parts[site] = 1.0 / listed.len() as f64;
                }
                (Selection::List(listed.to_vec()), parts)
            }
            Scorer::Weighed(_) | Scorer::Failover => {
                shares::cascade(order, &self.keeps, &mut parts);
                let answered = order.iter().filter(|&&site| parts[site] > 0.0);
                let weights: Vec<(usize, u32)> = answered
                    .map(|&site| (site, weight_of(parts[site])))
                    .collect();
                match weights.as_slice() {
                    [(only, _)] => (Selection::List(vec![*only]), parts),
                    _ => (Selection::Weighted(weights), parts),
                }
            }
        }
    }

    /// Shortened when a site that is answered may soon be down: by the part of the way that it has gone.
    fn ttl(&self, parts: &[f64], standings: &[Option<Standing>]) -> u32 {
        let left = |(failures, fall): (u32, u32)| {
            let fall = fall.max(1);
            u64::from(self.answer_ttl) * u64::from(fall.saturating_sub(failures)) / u64::from(fall)
        };
        let shortened = parts
            .iter()
            .zip(standings)
            .filter(|(part, _)| **part > 0.0)
            .filter_map(|(_, standing)| standing.as_ref()?.failing)
            .map(|failing| left(failing) as u32)
            .min()
            .unwrap_or(self.answer_ttl);
        shortened.clamp(self.min_ttl.min(self.answer_ttl), self.answer_ttl)
    }

    /// What the owner chose for the case that no site is left.
    fn all_down(&self, standings: &[Option<Standing>], sink: &mut Sink<'_>) -> Decision {
        let is_drained = |site: usize| {
            let standing = standings[site].as_ref();
            standing.is_some_and(|standing| standing.state == State::Drained)
        };
        match &self.policy.all_down {
            AllDown::LastGood => {
                if let Some((selection, shares)) = &self.last_good {
                    let names_drained =
                        (0..shares.len()).any(|site| shares[site] > 0.0 && is_drained(site));
                    if !names_drained {
                        sink.note(|| "no site is left: the last good answer stays".into());
                        return self.decision(selection.clone(), shares.clone(), None);
                    }
                }
                sink.note(|| {
                    "no site is left, and no good answer without a drained site: all sites".into()
                });
                self.all_sites(is_drained)
            }
            AllDown::AllSites => {
                sink.note(|| "no site is left: all sites are answered".into());
                self.all_sites(is_drained)
            }
            AllDown::Fallback { ipv4, ipv6 } => {
                sink.note(|| "no site is left: the fallback address is answered".into());
                let address = match self.family {
                    Family::Ipv4 => ipv4.map(Into::into),
                    Family::Ipv6 => ipv6.map(Into::into),
                };
                let selection = address.map_or(Selection::List(Vec::new()), Selection::Fallback);
                self.decision(selection, Vec::new(), None)
            }
            AllDown::Servfail => {
                sink.note(|| "no site is left: SERVFAIL is answered".into());
                self.decision(Selection::Servfail, Vec::new(), None)
            }
        }
    }

    /// All sites with an address, without those that are drained unless all are: the operator's word is
    /// stronger than despair.
    fn all_sites(&self, is_drained: impl Fn(usize) -> bool) -> Decision {
        let with_address = || (0..self.places.len()).filter(|&site| self.places[site].has_address);
        let mut sites: Vec<usize> = with_address().filter(|&site| !is_drained(site)).collect();
        if sites.is_empty() {
            sites = with_address().collect();
        }
        sites.truncate(MAX_LISTED);
        let mut shares = vec![0.0; self.places.len()];
        for &site in &sites {
            shares[site] = 100.0 / sites.len() as f64;
        }
        self.decision(Selection::List(sites), shares, None)
    }

    /// A decision that follows from no order.
    fn decision(
        &self,
        selection: Selection,
        mut shares: Vec<f64>,
        again: Option<Duration>,
    ) -> Decision {
        shares.resize(self.places.len(), 0.0);
        Decision {
            order: (0..shares.len())
                .filter(|&site| shares[site] > 0.0)
                .collect(),
            served: Served {
                selection,
                ttl: self.answer_ttl,
            },
            shares,
            again,
        }
    }
}

/// Whether the state of a site lets it be answered.
fn may_be_answered(
    standing: Option<&Standing>,
    unknown: UnknownSites,
    site: usize,
    sink: &mut Sink<'_>,
) -> bool {
    let Some(standing) = standing else {
        sink.removed(site, || "family: the site has no address of it".into());
        return false;
    };
    match (standing.state, unknown) {
        (State::Up | State::Degraded, _) | (State::Unknown, UnknownSites::Serve) => true,
        (State::Unknown, UnknownSites::Exclude) => {
            sink.removed(site, || {
                "unknown: the policy excludes what is not measured".into()
            });
            false
        }
        (state @ (State::Down | State::Drained), _) => {
            sink.removed(site, || format!("state: the site is {state}"));
            false
        }
    }
}

fn earlier(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn weight_of(part: f64) -> u32 {
    (part * WEIGHT_UNIT).round() as u32
}
