//! Reads `[[service.site]]`: the mirrors of a service.

use std::net::IpAddr;

use super::{
    Site,
    error::ErrorKind,
    location, names,
    probe_limits::ReadLimits,
    reader::Table,
    report::{Found, Report},
    service::DEFAULT_CAPACITY,
    special_ranges,
    value::Value,
};

/// The most that a site's weight may be.
const MAX_WEIGHT: u32 = 1_000_000;
/// Bounds of the numbers in the owner's own units: wide, but with room for sums and quotients.
const MAX_COST: f64 = 1e9;
const MIN_CAPACITY: f64 = 1e-3;
const MAX_CAPACITY: f64 = 1e12;

/// A site, and what of it can be understood only with the policy.
pub(super) struct ReadSite {
    /// Its tier is to be filled in.
    pub site: Site,
    /// The tier that it names.
    pub tier: Option<Found<String>>,
}

/// Reads the sites of one service, at least one.
pub(super) fn read_all(
    service: &mut Table<'_>,
    report: &Report<'_>,
    limits: &ReadLimits,
) -> Vec<ReadSite> {
    let tables = service.tables("site");
    if !service.has("site") {
        service.missing(
            "site",
            "add a [[service.site]] with name and ipv4 or ipv6 for each mirror",
        );
    }
    let mut names = Vec::new();
    let mut addresses = Vec::new();
    let mut sites = Vec::new();
    for mut table in tables {
        let name = table.required("name", "\"frankfurt\"", |value| {
            names::for_people(value, "site")
        });
        let ipv4 = table.or("ipv4", None, |value| value.found_ipv4().map(Some));
        let ipv6 = table.or("ipv6", None, |value| value.found_ipv6().map(Some));
        if !table.has("ipv4") && !table.has("ipv6") {
            table.missing("ipv4", "add the site's ipv4, its ipv6, or both");
        }
        let own: Vec<Found<IpAddr>> = ipv4
            .iter()
            .map(|found| with_ip(found, found.value.into()))
            .chain(ipv6.iter().map(|found| with_ip(found, found.value.into())))
            .collect();
        for address in &own {
            refuse_special(report, address, limits);
        }
        let (site, tier) = read_rest(&mut table, report);
        table.finish(&[]);
        if let Some(name) = &name {
            sites.push(ReadSite {
                site: Site {
                    name: name.value.to_owned(),
                    ipv4: ipv4.map(|found| found.value),
                    ipv6: ipv6.map(|found| found.value),
                    ..site
                },
                tier,
            });
        }
        names.extend(name);
        addresses.extend(own);
    }
    let in_service = |what: String| format!("{what} of this service");
    report.refuse_duplicates(names.iter().map(|found| (&found.at, found.value)), |name| {
        in_service(format!("the site \"{name}\""))
    });
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| in_service(format!("the site address {address}")),
    );
    sites
}

fn with_ip<T>(found: &Found<T>, address: IpAddr) -> Found<IpAddr> {
    Found {
        at: found.at.clone(),
        value: address,
    }
}

/// What is neither name nor address, in a site that has none of them yet; and the tier that it names.
fn read_rest(table: &mut Table<'_>, report: &Report<'_>) -> (Site, Option<Found<String>>) {
    let region = table.or("region", None, |value| {
        Some(Some(names::for_people(value, "region")?.value.to_owned()))
    });
    let tags = table.list("tags", |item| names::for_people(item, "tag"));
    report.refuse_duplicates(tags.iter().map(|tag| (&tag.at, tag.value)), |tag| {
        format!("the tag \"{tag}\"")
    });
    let tier = table.value("tier").and_then(tier);
    let cost = table.or("cost", 0.0, |value| value.decimal(0.0..=MAX_COST, ""));
    let capacity = table.or("capacity", DEFAULT_CAPACITY, |value| {
        value.decimal(MIN_CAPACITY..=MAX_CAPACITY, ", in the unit of the load")
    });
    let weight = table.or("weight", 1, |value| value.number(0..=MAX_WEIGHT, ""));
    let location = table.or("location", None, |value| location::read(value).map(Some));
    let site = Site {
        region,
        tags: tags.into_iter().map(|tag| tag.value.to_owned()).collect(),
        cost,
        capacity,
        weight,
        location,
        ..Site::new(String::new(), None, None)
    };
    (site, tier)
}

fn tier(value: Value<'_>) -> Option<Found<String>> {
    let name = names::for_people(value, "tier")?;
    Some(Found {
        at: name.at,
        value: name.value.to_owned(),
    })
}

/// Services come from others: what is not public is probed only where the node's own file allows it.
fn refuse_special(report: &Report<'_>, address: &Found<IpAddr>, limits: &ReadLimits) {
    let Some(range) = special_ranges::of(address.value) else {
        return;
    };
    let allowed = &limits.limits.allow;
    if !limits.are_complete || allowed.iter().any(|net| net.contains(&address.value)) {
        return;
    }
    report.add(
        &address.at,
        ErrorKind::OutOfRange,
        format!(
            "{} lies in {}, which is set apart for {} ({}): this node does not probe there",
            address.value, range.net, range.purpose, range.rfc
        ),
        format!(
            "write a public address, or allow it to this node: allow = [\"{}\"] in [probe]",
            range.net
        ),
    );
}
