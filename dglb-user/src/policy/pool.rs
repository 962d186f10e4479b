//! Who may be answered: states, filters, tiers.
//!
//! The tiers are gone through in their order. Of each, what its state and the filters leave is taken; a tier that
//! has its `min_sites` left is the last. So a tier with too few is not given up: the next one's sites
//! come *beside* what is left of it. Where no tier has enough, all that is left is taken.
//!
//! Sites of which nothing is known yet count for no tier. They are taken, those of the first tier that has any,
//! where nobody else is left.

use super::{
    filters::{self, Judged},
    place::Place,
    standing::{Standing, State},
    trace::Sink,
};
use crate::config::{Policy, UnknownSites};

/// The sites that may be answered, by index. Empty: none is left.
pub(super) fn pool(
    policy: &Policy,
    places: &[Place],
    standings: &[Option<Standing>],
    judged: &mut Judged,
    sink: &mut Sink<'_>,
) -> Vec<usize> {
    let (mut known, mut unknown) = (Vec::with_capacity(places.len()), Vec::new());
    let last = policy.tiers.len().saturating_sub(1);
    for (number, tier) in policy.tiers.iter().enumerate() {
        let before = known.len();
        let mut of_tier = admitted(policy, places, standings, number, judged, sink);
        filters::apply(
            &policy.filters,
            &mut of_tier,
            places,
            standings,
            judged,
            sink,
        );
        let is_first_unknown = unknown.is_empty();
        for site in of_tier {
            match (is_unknown(standings, site), is_first_unknown) {
                (false, _) => known.push(site),
                (true, true) => unknown.push(site),
                (true, false) => sink.removed(site, || "unknown: an earlier tier is there".into()),
            }
        }
        let left = known.len() - before;
        if left >= tier.min_sites {
            leave_out_later(policy, places, number, judged, sink);
            break;
        }
        if number < last {
            sink.note(|| {
                let next = &policy.tiers[number + 1].name;
                format!(
                    "tier \"{}\": {left} of {} sites are left, \"{next}\" is used too",
                    tier.name, tier.min_sites
                )
            });
        } else if last > 0 {
            sink.note(|| "no tier has enough sites: all that are left are used".into());
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

/// The sites of one tier whose state lets them be answered.
fn admitted(
    policy: &Policy,
    places: &[Place],
    standings: &[Option<Standing>],
    tier: usize,
    judged: &mut Judged,
    sink: &mut Sink<'_>,
) -> Vec<usize> {
    let mut sites = Vec::with_capacity(places.len());
    for (site, place) in places.iter().enumerate() {
        if place.tier != tier {
            continue;
        }
        if may_be_answered(standings[site].as_ref(), policy.unknown, site, sink) {
            sites.push(site);
        } else {
            judged.forget(site, 0);
        }
    }
    sites
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

fn is_unknown(standings: &[Option<Standing>], site: usize) -> bool {
    let standing = standings[site].as_ref();
    standing.is_some_and(|standing| standing.state == State::Unknown)
}

/// The tiers behind `number` are not needed.
fn leave_out_later(
    policy: &Policy,
    places: &[Place],
    number: usize,
    judged: &mut Judged,
    sink: &mut Sink<'_>,
) {
    for (site, place) in places.iter().enumerate() {
        if place.tier > number {
            judged.forget(site, 0);
            sink.removed(site, || {
                format!("tiers: \"{}\" has enough sites", policy.tiers[number].name)
            });
        }
    }
}
