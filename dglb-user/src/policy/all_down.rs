//! What is answered when no site is left: the owner's choice.
//!
//! A site that is drained is not answered, as long as there is another: the operator's word is stronger than
//! despair. Where the filters took what is up, a site that is known to be down is not answered either.

use super::{
    chooser::Decision,
    place::Place,
    standing::{Standing, State},
    trace::Sink,
};
use crate::{
    config::{AllDown, Family},
    event::{MAX_LISTED, Selection, Served},
};

/// What was decided while a site was left.
#[derive(Clone, Debug)]
pub(super) struct LastGood {
    pub selection: Selection,
    /// By site, percent.
    pub shares: Vec<f64>,
}

/// What a choice without sites is made from.
pub(super) struct Nobody<'c> {
    pub family: Family,
    pub places: &'c [Place],
    pub standings: &'c [Option<Standing>],
    /// The order of the sites when there was one.
    pub held: &'c [usize],
    pub last_good: Option<&'c LastGood>,
    /// Seconds.
    pub ttl: u32,
}

impl Nobody<'_> {
    /// Decides.
    pub fn decide(&self, all_down: &AllDown, sink: &mut Sink<'_>) -> Decision {
        let is_up = |site| matches!(self.state(site), Some(State::Up | State::Degraded));
        if (0..self.places.len()).any(is_up) {
            sink.note(|| "sites are up, but the filters left none of them".into());
        }
        match all_down {
            AllDown::AllSites => {
                sink.note(|| "no site is left: all sites are answered".into());
                self.all_sites()
            }
            AllDown::LastGood => self.last_good(sink),
            AllDown::Fallback { ipv4, ipv6 } => {
                let address = match self.family {
                    Family::Ipv4 => ipv4.map(Into::into),
                    Family::Ipv6 => ipv6.map(Into::into),
                };
                sink.note(|| match address {
                    Some(_) => "no site is left: the fallback address is answered".into(),
                    None => {
                        "no site is left, and no fallback address of this family: no data".into()
                    }
                });
                let selection = address.map_or(Selection::List(Vec::new()), Selection::Fallback);
                self.decision(selection, self.no_shares())
            }
            AllDown::Servfail => {
                sink.note(|| "no site is left: SERVFAIL is answered".into());
                self.decision(Selection::Servfail, self.no_shares())
            }
        }
    }

    /// The last good answer, without those of its sites that are drained now.
    fn last_good(&self, sink: &mut Sink<'_>) -> Decision {
        let good = self.last_good.and_then(|good| self.without_drained(good));
        match good {
            Some(good) => {
                sink.note(|| "no site is left: the last good answer stays".into());
                self.decision(good.selection, good.shares)
            }
            None => {
                sink.note(|| {
                    "no site is left, and no good answer without a drained site: all sites are \
                     answered"
                        .into()
                });
                self.all_sites()
            }
        }
    }

    fn without_drained(&self, good: &LastGood) -> Option<LastGood> {
        let stays = |site: usize| !matches!(self.state(site), None | Some(State::Drained));
        let selection = match &good.selection {
            Selection::List(sites) => {
                Selection::List(sites.iter().copied().filter(|&site| stays(site)).collect())
            }
            Selection::Weighted(weights) => Selection::Weighted(weights_of(weights, stays)),
            Selection::Sticky(weights) => Selection::Sticky(weights_of(weights, stays)),
            other @ (Selection::Fallback(_) | Selection::Servfail) => other.clone(),
        };
        let mut shares = good.shares.clone();
        for (site, share) in shares.iter_mut().enumerate() {
            if !stays(site) {
                *share = 0.0;
            }
        }
        let total: f64 = shares.iter().sum();
        if total <= 0.0 {
            return None;
        }
        shares.iter_mut().for_each(|share| *share *= 100.0 / total);
        Some(LastGood { selection, shares })
    }

    /// A list: those not known to be down if there are any, else those not drained, else all. In the order that
    /// they had, then as in the file.
    fn all_sites(&self) -> Decision {
        let with = |wanted: &dyn Fn(State) -> bool| -> Vec<usize> {
            let new = (0..self.places.len()).filter(|site| !self.held.contains(site));
            let all = self.held.iter().copied().chain(new);
            all.filter(|&site| self.state(site).is_some_and(wanted))
                .collect()
        };
        let mut sites = with(&|state| !matches!(state, State::Down | State::Drained));
        if sites.is_empty() {
            sites = with(&|state| state != State::Drained);
        }
        if sites.is_empty() {
            sites = with(&|_| true);
        }
        sites.truncate(MAX_LISTED);
        let mut shares = self.no_shares();
        for &site in &sites {
            shares[site] = 100.0 / sites.len() as f64;
        }
        Decision {
            order: sites.clone(),
            ..self.decision(Selection::List(sites), shares)
        }
    }

    /// The state of a site with an address of the family.
    fn state(&self, site: usize) -> Option<State> {
        self.standings[site].as_ref().map(|standing| standing.state)
    }

    fn no_shares(&self) -> Vec<f64> {
        vec![0.0; self.places.len()]
    }

    fn decision(&self, selection: Selection, shares: Vec<f64>) -> Decision {
        let answered = self.held.iter().copied();
        Decision {
            order: answered.filter(|&site| shares[site] > 0.0).collect(),
            served: Served {
                selection,
                ttl: self.ttl,
            },
            shares,
            again: None,
        }
    }
}

fn weights_of(weights: &[(usize, u32)], stays: impl Fn(usize) -> bool) -> Vec<(usize, u32)> {
    let weights = weights.iter().copied();
    weights.filter(|(site, _)| stays(*site)).collect()
}
