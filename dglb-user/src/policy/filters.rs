//! The chain of filters within a tier.
//!
//! A site at a threshold must not come and go with each probe. Of `within` the threshold is where a site
//! comes in; it goes out when it is beyond by a tenth of what is allowed, or by what the noise of the
//! measurements explains, whichever is more. Of `below-capacity` it is where a site goes out, as the capacity is
//! a promise; it comes back below nine tenths. A first decision goes by the thresholds themselves.

use super::{
    place::Place,
    score,
    standing::{Standing, State},
    trace::Sink,
};
use crate::config::{Family, Filter};

/// How far beyond what `within` allows a site stays, as a part of that.
const STAY: f64 = 0.1;
/// The part of what `below-capacity` allows below which a site comes back.
const COME_BACK: f64 = 0.9;

/// Applies `filters` to `pool`, the sites of one tier that may be answered.
pub(super) fn apply(
    filters: &[Filter],
    pool: &mut Vec<usize>,
    places: &[Place],
    standings: &[Option<Standing>],
    judged: &mut Judged,
    sink: &mut Sink<'_>,
) {
    for (number, filter) in filters.iter().enumerate() {
        let fastest = Fastest::of(pool, standings);
        pool.retain(|&site| {
            let (place, standing) = (&places[site], standings[site].as_ref());
            let Some(standing) = standing else {
                return false;
            };
            let before = judged.get(number, site);
            let removed = judge(filter, place, standing, fastest, before);
            match removed {
                None => {
                    judged.set(number, site, Before::In);
                    true
                }
                Some(why) => {
                    judged.set(number, site, Before::Out);
                    judged.forget(site, number + 1);
                    sink.removed(site, || why.to_string());
                    false
                }
            }
        });
    }
}

/// The fastest site that is left, as far as there is one that was measured.
#[derive(Clone, Copy)]
struct Fastest {
    mean: f64,
    spread: f64,
}

impl Fastest {
    fn of(pool: &[usize], standings: &[Option<Standing>]) -> Option<Self> {
        let measured = pool.iter().filter_map(|&site| {
            let standing = standings[site].as_ref()?;
            Some(Self {
                mean: standing.mean_ms?,
                spread: standing.spread_ms,
            })
        });
        measured.min_by(|one, other| one.mean.total_cmp(&other.mean))
    }
}

/// Why `filter` removes a site; `None`: it does not.
fn judge<'f>(
    filter: &'f Filter,
    place: &'f Place,
    standing: &Standing,
    fastest: Option<Fastest>,
    before: Before,
) -> Option<Removed<'f>> {
    match filter {
        Filter::Healthy => match standing.state {
            State::Up | State::Unknown => None,
            State::Degraded | State::Down | State::Drained => {
                Some(Removed::State(standing.state, standing.loss_percent))
            }
        },
        Filter::Within { time, percent } => {
            let (mean, fastest) = (standing.mean_ms?, fastest?);
            let allowed = (time.as_secs_f64() * 1e3).max(fastest.mean * percent / 100.0);
            let stay = match before {
                Before::In => {
                    score::time_noise(standing.spread_ms.hypot(fastest.spread)).max(allowed * STAY)
                }
                Before::Nothing | Before::Out => 0.0,
            };
            (mean - fastest.mean > allowed + stay).then_some(Removed::TooFar {
                mean,
                fastest: fastest.mean,
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
            let allowed = match before {
                Before::Out => percent * COME_BACK,
                Before::Nothing | Before::In => *percent,
            };
            (used >= allowed).then_some(Removed::Full { used, allowed })
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
        allowed: f64,
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
            Self::Full { used, allowed } => write!(
                formatter,
                "below-capacity: {used:.0} % of the capacity is used, wanted is less than {allowed:.0} %"
            ),
        }
    }
}

/// What a filter made of a site last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// It was not asked.
    #[default]
    Nothing,
    In,
    Out,
}

/// What the filters made of the sites last time.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    filters: usize,
    /// By site, then by filter.
    before: Vec<Before>,
}

impl Judged {
    pub fn new(filters: usize, sites: usize) -> Self {
        Self {
            filters,
            before: vec![Before::default(); filters * sites],
        }
    }

    /// Takes over what is known of a site, by the same filters.
    pub fn adopt(&mut self, site: usize, other: &Self, site_there: usize) {
        let from = site_there * other.filters;
        let to = site * self.filters;
        self.before[to..to + self.filters]
            .copy_from_slice(&other.before[from..from + other.filters]);
    }

    /// The filters from `filter` on are not asked about a site.
    pub fn forget(&mut self, site: usize, filter: usize) {
        let end = (site + 1) * self.filters;
        self.before[site * self.filters + filter..end].fill(Before::Nothing);
    }

    fn get(&self, filter: usize, site: usize) -> Before {
        self.before[site * self.filters + filter]
    }

    fn set(&mut self, filter: usize, site: usize, before: Before) {
        self.before[site * self.filters + filter] = before;
    }
}
