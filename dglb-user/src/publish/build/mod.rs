//! Builds the tables of a node from its configuration, whole, before it serves.
//!
//! What the roles share stands in `builder` (names, words, interned answers) and `settings`; what each
//! puts in stands in `dns_b` and `dns_lb`.

mod builder;
mod dns_b;
mod dns_lb;
mod settings;
#[cfg(test)]
mod tests;
mod zone_names;

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use dglb_common::layout::{
    AnswerRef, KINDS, NameWord, Origin, RANKING_PAGE, ResolverValue, Secret, client_check,
};

use super::slots::Slots;
use crate::{
    config::{Config, DnsLbNode, Role, Site},
    label::Label,
    name::OwnerName,
    ready::AddressRow,
    tables::{Tables, client},
};

/// What an earlier run of the node left in its tables.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Resolvers, the label of the DNS-LB that they were mapped to, and when they were last seen
    /// (seconds since 1970).
    pub resolvers: Vec<(IpAddr, Label, u64)>,
    /// DNS-LBs that were up.
    pub up: HashSet<Label>,
    /// The time of this start, nanoseconds of CLOCK_MONOTONIC: from it on they have a lease to come back.
    pub now_ns: u64,
}

/// A service whose sites are ranked: what the publisher needs to write its addresses.
#[derive(Clone, Debug)]
pub struct RankedService {
    /// Its group in the rankings. At a DNS-B services with the same sites share one.
    pub group: u32,
    /// Which row its addresses are of.
    pub row: AddressRow,
    /// TTL of its addresses, seconds.
    pub ttl: u32,
    /// What stands in for the addresses of a family that no chosen site has.
    pub nodata: AnswerRef,
    /// Its sites' addresses.
    pub sites: Vec<SiteAddresses>,
    /// Whether its clients may be divided among sites: it needs rows of buckets then.
    pub divides: bool,
}

/// The addresses of one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SiteAddresses {
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl From<&Site> for SiteAddresses {
    fn from(site: &Site) -> Self {
        Self {
            v4: site.ipv4,
            v6: site.ipv6,
        }
    }
}

/// The tables, and what the publisher needs to change them.
#[derive(Debug)]
pub struct Built {
    /// The tables.
    pub tables: Tables,
    /// By service, as in the configuration; `None`: it answers with no site's address.
    pub services: Vec<Option<RankedService>>,
    /// Which slots are in use.
    pub slots: Slots,
}

/// What is configured is more than a table holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Too many different answers.
    #[error(
        "table \"names\": the services and zones need {0} groups of answers, {max} are possible: \
         give services the same TTLs, or divide them among several nodes",
        max = NameWord::MAX_GROUPS
    )]
    Groups(usize),
    /// The rankings would not fit in memory.
    #[error(
        "table \"rankings\": {vantages} [[dns_lb]] times {groups} groups of answers need {pages} \
         pages, {max} are possible: give services the same TTLs, or divide them among several nodes",
        max = MAX_PAGES
    )]
    Rankings {
        /// Vantages.
        vantages: usize,
        /// Groups.
        groups: usize,
        /// Pages for all of them.
        pages: usize,
    },
}

/// Pages of rankings, 32 KiB each, that a node may have: half a GiB.
pub const MAX_PAGES: usize = 1 << 14;

/// Builds the tables.
///
/// The addresses of services with sites are left empty: [`super::first_servings`] fills them.
///
/// # Errors
/// [`BuildError`]: the configuration has more than a table holds.
pub fn build(config: &Config, secret: Secret, restored: &Restored) -> Result<Built, BuildError> {
    match &config.role {
        Role::DnsB(dns_b) => dns_b::build(config, dns_b, secret, restored),
        Role::DnsLb(dns_lb) => dns_lb::build(config, dns_lb, secret),
    }
}

/// The zones of which the kernel does not have all names, so that it leaves NXDOMAIN to user space: what a
/// start would find, by building the tables.
///
/// # Errors
/// As of [`build`].
pub fn incomplete_zones(config: &Config) -> Result<Vec<OwnerName>, BuildError> {
    // Any keys: what is asked does not depend on them.
    let secret = Secret {
        multiplier_a: 1 << 32 | 1,
        multiplier_b: 1 << 29 | 1,
        ..Secret::default()
    };
    let tables = build(config, secret, &Restored::default())?.tables;
    let Role::DnsB(dns_b) = &config.role else {
        return Ok(Vec::new());
    };
    let is_complete = |apex: &OwnerName| {
        let entry = tables.name(apex);
        entry.is_some_and(|entry| NameWord(entry.word).has(NameWord::COMPLETE))
    };
    let apexes = dns_b.zones.iter().map(|zone| &zone.apex);
    Ok(apexes.filter(|apex| !is_complete(apex)).cloned().collect())
}

/// Pages of rankings for so many vantages with so many groups each.
fn pages(vantages: usize, groups: usize) -> Result<usize, BuildError> {
    if groups > NameWord::MAX_GROUPS as usize {
        return Err(BuildError::Groups(groups));
    }
    let pages = (vantages * groups * KINDS).div_ceil(RANKING_PAGE).max(1);
    if pages > MAX_PAGES {
        return Err(BuildError::Rankings {
            vantages,
            groups,
            pages,
        });
    }
    Ok(pages)
}

/// The entry of a resolver, by its key, that is mapped to `vantage`.
pub fn mapping(resolver: IpAddr, vantage: u32, node: &DnsLbNode, seen: u64) -> ResolverValue {
    ResolverValue {
        vantage,
        check: client_check(client(resolver).word),
        dns_lb: node.address.octets(),
        origin: Origin::Announced as u32,
        seen,
    }
}
