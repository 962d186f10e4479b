//! From a selection of sites to the changes that make it answered.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::layout::{AnswerRef, KIND_A, KIND_AAAA, ranking_place};

use super::{
    build::{Built, RankedService, SiteAddresses},
    slots::{NoRoom, Slots},
};
use crate::{
    ready::{self, Variants},
    tables::{Change, Tables},
};

/// Which sites of a service are answered, by their indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The first one that has an address of the family asked for.
    Best(Vec<usize>),
    /// All of them, best first: for clients that try several.
    List(Vec<usize>),
    /// One of them for each client, by weight; weight 0: not.
    Weighted(Vec<(usize, u32)>),
}

impl Selection {
    /// Whether no site at all is selected.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Best(sites) | Self::List(sites) => sites.is_empty(),
            Self::Weighted(sites) => sites.iter().all(|(_, weight)| *weight == 0),
        }
    }
}

/// The changes, in the order in which they are to be made, after which `vantage` answers for `service`
/// with `selection`.
///
/// # Errors
/// [`NoRoom`]: nothing is to be changed then.
pub fn select(
    tables: &Tables,
    slots: &mut Slots,
    service: &RankedService,
    vantage: u32,
    selection: &Selection,
) -> Result<Vec<Change>, NoRoom> {
    let mut changes = Vec::new();
    for kind in [KIND_A, KIND_AAAA] {
        let word = match choice(service, selection, kind) {
            Choice::None => service.nodata,
            Choice::One(variants) => place(tables, slots, variants, &mut changes)?,
            Choice::Weighted(shares) => {
                let mut words = Vec::with_capacity(shares.len());
                for (variants, weight) in shares {
                    words.push((place(tables, slots, variants, &mut changes)?, weight));
                }
                let place = (vantage, service.group, kind);
                slots.row(tables, place, &words, &mut changes)?
            }
        };
        if tables.word(vantage, service.group, kind) != word {
            let groups = tables.settings.groups;
            let (page, index) = ranking_place(groups, vantage, service.group, kind);
            changes.push(Change::SetRanking { page, index, word });
        }
    }
    Ok(changes)
}

fn place(
    tables: &Tables,
    slots: &mut Slots,
    variants: Variants,
    changes: &mut Vec<Change>,
) -> Result<AnswerRef, NoRoom> {
    let mut failed = None;
    let word = variants.link(|answer| {
        let placed = slots.place(tables, answer, changes);
        placed.unwrap_or_else(|error| {
            failed = Some(error);
            AnswerRef::NONE
        })
    });
    failed.map_or(Ok(word), Err)
}

/// What is answered for one family.
enum Choice {
    /// There is no address of the family.
    None,
    /// The same for all clients.
    One(Variants),
    /// By the client, with weights.
    Weighted(Vec<(Variants, u32)>),
}

fn choice(service: &RankedService, selection: &Selection, kind: u32) -> Choice {
    let address = |site: &usize| {
        let site: &SiteAddresses = service.sites.get(*site)?;
        match kind {
            KIND_A => site.v4.map(|address: Ipv4Addr| IpAddr::V4(address)),
            _ => site.v6.map(|address: Ipv6Addr| IpAddr::V6(address)),
        }
    };
    let ready = |list: &[IpAddr]| ready::addresses(service.row, list, service.ttl);
    match selection {
        Selection::Best(sites) => {
            let best: Vec<IpAddr> = sites.iter().find_map(address).into_iter().collect();
            ready(&best).map_or(Choice::None, Choice::One)
        }
        Selection::List(sites) => {
            let list: Vec<IpAddr> = sites.iter().filter_map(address).collect();
            ready(&list).map_or(Choice::None, Choice::One)
        }
        Selection::Weighted(sites) => {
            let shares: Vec<(Variants, u32)> = sites
                .iter()
                .filter(|(_, weight)| *weight > 0)
                .filter_map(|(site, weight)| Some((ready(&[address(site)?])?, *weight)))
                .collect();
            match shares.as_slice() {
                [] => Choice::None,
                [(only, _)] => Choice::One(only.clone()),
                _ => Choice::Weighted(shares),
            }
        }
    }
}

/// Fills the address words of all services with sites before the tables are in service: at a DNS-LB
/// those of its own vantage, at a DNS-B of each one.
///
/// `rankings` has the sites of a service that are up, best first. With none up, the sites stand in the
/// order of the configuration: that is more than nothing.
///
/// # Errors
/// [`NoRoom`]: the tables have no room.
pub fn first_ranking(
    built: &mut Built,
    rankings: &HashMap<usize, Vec<usize>>,
) -> Result<(), NoRoom> {
    let vantages = if built.tables.settings.maps_v4 != 0 || built.tables.settings.maps_v6 != 0 {
        built.tables.vantages.len() as u32
    } else {
        1
    };
    for (index, service) in built.services.iter().enumerate() {
        let Some(service) = service else { continue };
        let up = rankings.get(&index).filter(|sites| !sites.is_empty());
        let sites = up
            .cloned()
            .unwrap_or_else(|| (0..service.sites.len()).collect());
        let best = Selection::Best(sites);
        for vantage in 0..vantages {
            let tables = &built.tables;
            let changes = select(tables, &mut built.slots, service, vantage, &best)?;
            for change in &changes {
                built.tables.apply(change);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
