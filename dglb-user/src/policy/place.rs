//! What of a site does not change while a configuration lasts.

use super::{score, standing::Standing};
use crate::config::{Family, Location, Site};

/// One site, as seen from one node in one address family.
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
    /// From the node, 100 km; `None` where one of the two does not say where it is.
    pub distance: Option<f64>,
}

impl Place {
    pub fn new(site: &Site, family: Family, node: Option<Location>) -> Self {
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
