//! The chain of filters within a tier.
//!
//! A threshold is where a site leaves; it comes back only at nine tenths of it, so that a site at a
//! threshold does not come and go with each probe.

use super::{
    chooser::Place,
    standing::{Standing, State},
    trace::Sink,
};
use crate::config::{Family, Filter};

/// How much of a threshold must be reached to come back.
const COME_BACK: f64 = 0.9;

/// Applies `filters` to `pool`, the sites of one tier that may be answered. `inside` remembers, by filter and
/// site, who was left in before.
pub(super) fn apply(
    filters: &[Filter],
    pool: &mut Vec<usize>,
    places: &[Place],
    standings: &[Option<Standing>],
    inside: &mut Inside,
    sink: &mut Sink<'_>,
) {
    for (number, filter) in filters.iter().enumerate() {
        let fastest = pool
            .iter()
            .filter_map(|&site| mean(standings, site))
            .fold(f64::INFINITY, f64::min);
        pool.retain(|&site| {
            let (place, standing) = (&places[site], standings[site].as_ref());
            let Some(standing) = standing else {
                return false;
            };
            let was_inside = inside.get(number, site);
            let removed = judge(filter, place, standing, fastest, was_inside);
            inside.set(number, site, removed.is_none());
            match removed {
                None => true,
                Some(why) => {
                    sink.removed(site, || why.to_string());
                    false
                }
            }
        });
    }
}

fn mean(standings: &[Option<Standing>], site: usize) -> Option<f64> {
    standings[site]
        .as_ref()
        .and_then(|standing| standing.mean_ms)
}

/// Why `filter` removes a site; `None`: it does not.
fn judge<'f>(
    filter: &'f Filter,
    place: &'f Place,
    standing: &Standing,
    fastest: f64,
    was_inside: bool,
) -> Option<Removed<'f>> {
    let reach = if was_inside { 1.0 } else { COME_BACK };
    match filter {
        Filter::Healthy => match standing.state {
            State::Up | State::Unknown => None,
            State::Degraded | State::Down | State::Drained => {
                Some(Removed::State(standing.state, standing.loss_percent))
            }
        },
        Filter::Within { time, percent } => {
            let mean = standing.mean_ms?;
            let allowed = (time.as_secs_f64() * 1e3).max(fastest * percent / 100.0);
            (mean - fastest > allowed * reach).then_some(Removed::TooFar {
                mean,
                fastest,
                allowed,
            })
        }
        Filter::Region(regions) => {
            let is_there = place
                .region
                .as_ref()
                .is_some_and(|own| regions.contains(own));
            (!is_there).then_some(Removed::Region(place.region.as_deref(), regions))
        }
        Filter::Tag(tags) => {
            let has_one = place.tags.iter().any(|own| tags.contains(own));
            (!has_one).then_some(Removed::Tag(tags))
        }
        Filter::Family(family) => {
            (!place.families.contains(family)).then_some(Removed::Family(*family))
        }
        Filter::BelowCapacity { percent } => {
            let used = place.utilisation(standing)?;
            (used >= percent * reach).then_some(Removed::Full {
                used,
                percent: *percent,
            })
        }
    }
}

/// Which filter removed a site, and why.
enum Removed<'f> {
    State(State, f64),
    TooFar {
        mean: f64,
        fastest: f64,
        allowed: f64,
    },
    Region(Option<&'f str>, &'f [String]),
    Tag(&'f [String]),
    Family(Family),
    Full {
        used: f64,
        percent: f64,
    },
}

impl std::fmt::Display for Removed<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::State(state, loss) => {
                write!(
                    formatter,
                    "healthy: the site is {state}, {loss:.0} % of its probes fail"
                )
            }
            Self::TooFar {
                mean,
                fastest,
                allowed,
            } => write!(
                formatter,
                "within: {mean:.1} ms is more than {allowed:.1} ms above the fastest, {fastest:.1} ms"
            ),
            Self::Region(Some(own), regions) => {
                write!(formatter, "region: {own} is none of {}", regions.join(", "))
            }
            Self::Region(None, regions) => write!(
                formatter,
                "region: the site has none, wanted is {}",
                regions.join(", ")
            ),
            Self::Tag(tags) => write!(formatter, "tag: the site has none of {}", tags.join(", ")),
            Self::Family(Family::Ipv4) => {
                formatter.write_str("family: the site has no IPv4 address")
            }
            Self::Family(Family::Ipv6) => {
                formatter.write_str("family: the site has no IPv6 address")
            }
            Self::Full { used, percent } => write!(
                formatter,
                "below-capacity: {used:.0} % of the capacity is used, it may be {percent:.0} %"
            ),
        }
    }
}

/// Who was left in by which filter. At first everybody was, so that the first decision goes by the
/// thresholds themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Inside {
    sites: usize,
    left: Vec<bool>,
}

impl Inside {
    pub fn new(filters: usize, sites: usize) -> Self {
        Self {
            sites,
            left: vec![true; filters * sites],
        }
    }

    fn get(&self, filter: usize, site: usize) -> bool {
        self.left[filter * self.sites + site]
    }

    fn set(&mut self, filter: usize, site: usize, inside: bool) {
        self.left[filter * self.sites + site] = inside;
    }
}
