//! From what is to be served to the changes that make it answered.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::layout::{AnswerRef, KIND_A, KIND_AAAA, ranking_place};

use super::{
    buckets::Division,
    build::{Built, RankedService, SiteAddresses},
    slots::{NoRoom, Slots},
};
use crate::{
    event::{Selection, Served, Serving},
    ready::{self, Variants},
    tables::{Change, Tables},
};

/// The changes, in the order in which they are to be made, after which `vantage` answers for `service`
/// with `serving`. Words that are watched stay so.
///
/// # Errors
/// [`NoRoom`]: nothing is to be changed then.
pub fn select(
    tables: &Tables,
    slots: &mut Slots,
    service: &RankedService,
    vantage: u32,
    serving: &Serving,
) -> Result<Vec<Change>, NoRoom> {
    let mut changes = Vec::new();
    for (kind, served) in [(KIND_A, &serving.v4), (KIND_AAAA, &serving.v6)] {
        let word = match choice(service, served, kind) {
            Choice::None => service.nodata,
            Choice::One(variants) => place(tables, slots, variants, &mut changes)?,
            Choice::Divided(shares, how) => {
                let mut words = Vec::with_capacity(shares.len());
                for share in shares {
                    let word = place(tables, slots, share.variants, &mut changes)?;
                    words.push((word, share.weight, share.key));
                }
                let place = (vantage, service.group, kind);
                slots.row(tables, place, &words, how, &mut changes)?
            }
        };
        let before = tables.word(vantage, service.group, kind);
        let word = word.watched(before.is_watched());
        if before != word {
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
    /// By the client.
    Divided(Vec<Share>, Division),
}

/// One site among several.
struct Share {
    variants: Variants,
    weight: u32,
    /// Its address: what a client keeps it by, at every node.
    key: IpAddr,
}

fn choice(service: &RankedService, served: &Served, kind: u32) -> Choice {
    let address = |site: &usize| {
        let site: &SiteAddresses = service.sites.get(*site)?;
        match kind {
            KIND_A => site.v4.map(|address: Ipv4Addr| IpAddr::V4(address)),
            _ => site.v6.map(|address: Ipv6Addr| IpAddr::V6(address)),
        }
    };
    let ready = |list: &[IpAddr]| ready::addresses(service.row, list, served.ttl);
    let divided = |sites: &[(usize, u32)], how| {
        let share = |(site, weight): &(usize, u32)| {
            let key = address(site)?;
            Some(Share {
                variants: ready(&[key])?,
                weight: *weight,
                key,
            })
        };
        let sites = sites.iter().filter(|(_, weight)| *weight > 0);
        let mut shares: Vec<Share> = sites.filter_map(share).collect();
        match shares.len() {
            0 | 1 => shares
                .pop()
                .map_or(Choice::None, |only| Choice::One(only.variants)),
            _ => Choice::Divided(shares, how),
        }
    };
    match &served.selection {
        Selection::List(sites) => {
            let list: Vec<IpAddr> = sites.iter().filter_map(address).collect();
            ready(&list).map_or(Choice::None, Choice::One)
        }
        Selection::Weighted(sites) => divided(sites, Division::AsBefore),
        Selection::Sticky(sites) => divided(sites, Division::Sticky),
        Selection::Fallback(address) => {
            let is_of_kind = address.is_ipv4() == (kind == KIND_A);
            let list = Some(*address).filter(|_| is_of_kind);
            ready(list.as_slice()).map_or(Choice::None, Choice::One)
        }
        Selection::Servfail => Choice::One(ready::servfail().into()),
    }
}

impl RankedService {
    /// The first site of each family in `order`.
    pub fn best(&self, order: &[usize]) -> Serving {
        let first = |has: fn(&SiteAddresses) -> bool| Served {
            selection: Selection::List(
                order
                    .iter()
                    .copied()
                    .find(|site| self.sites.get(*site).is_some_and(has))
                    .into_iter()
                    .collect(),
            ),
            ttl: self.ttl,
        };
        Serving {
            v4: first(|site| site.v4.is_some()),
            v6: first(|site| site.v6.is_some()),
        }
    }
}

/// Fills the address words of all services with sites before the tables are in service: at a DNS-LB
/// those of its own vantage, at a DNS-B of each one.
///
/// `servings` has what is measured; where there is nothing, the first site of the configuration is answered:
/// that is more than nothing.
///
/// # Errors
/// [`NoRoom`]: the tables have no room.
pub fn first_servings(built: &mut Built, servings: &HashMap<usize, Serving>) -> Result<(), NoRoom> {
    let vantages = if built.tables.settings.maps_v4 != 0 || built.tables.settings.maps_v6 != 0 {
        built.tables.vantages.len() as u32
    } else {
        1
    };
    for (index, service) in built.services.iter().enumerate() {
        let Some(service) = service else { continue };
        let all: Vec<usize> = (0..service.sites.len()).collect();
        let serving = servings.get(&index).cloned();
        let serving = serving.unwrap_or_else(|| service.best(&all));
        for vantage in 0..vantages {
            let tables = &built.tables;
            let changes = select(tables, &mut built.slots, service, vantage, &serving)?;
            for change in &changes {
                built.tables.apply(change);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
