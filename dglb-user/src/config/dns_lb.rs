//! Reads what only a DNS-LB has: `[map]` with the DNS-Bs, `[resolvers]`, `[[dns_lb]]`, `[[service]]`.

use std::{
    iter,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    DnsLb, LbService, Node, ResolverSource, Site, balanced,
    dns_lb_nodes::{self, Backups},
    error::ErrorKind,
    policy, probe,
    probe_limits::{self, ReadLimits},
    reader::Table,
    report::{Found, Report},
    service::{DEFAULT_BUDGET, DEFAULT_MIN_TTL},
    site, soa,
};
use crate::{label::Label, name::OwnerName};

/// Resolvers that one DNS-LB may announce.
const MAX_RESOLVERS: usize = 4096;

/// The most places from which a site is measured: more than there are DNS-LBs.
const MAX_VANTAGES: u32 = 100_000;
/// Bounds of a site's budget, probes a second. With the least one and the most vantages each has a turn in
/// four months.
const MIN_BUDGET: f64 = 0.01;
const MAX_BUDGET: f64 = 10_000.0;

/// Keys of a DNS-B, and what to do with them here.
pub(super) const ELSEWHERE: [(&str, &str); 3] = [
    (
        "zone",
        "remove it: zones are delegated to the DNS-Bs; only role \"dns-b\" has them",
    ),
    (
        "tables",
        "remove it: only role \"dns-b\" has a table of resolvers; the others are as large as the file \
         needs",
    ),
    (
        "prefix",
        "remove it: a DNS-LB measures from one place only; role \"dns-b\" maps prefixes",
    ),
];

/// Reads the tables of a DNS-LB. `node` is `None` when it could not be read.
pub(super) fn read(
    root: &mut Table<'_>,
    report: &Report<'_>,
    node: Option<&Node>,
) -> Option<DnsLb> {
    let map = read_map(root, report);
    let resolvers = read_resolvers(root, report);
    let stands_in_for = dns_lb_nodes::read(root, report, Backups::Elsewhere);
    let limits = probe_limits::read(root, report);
    let services = read_services(root, report, node, &limits);
    let names: Vec<_> = services.iter().map(|(name, _)| name).collect();
    balanced::check(report, &names);
    let node = node?;
    let why = "a node stands in for others: write the other DNS-LB's address, or remove the entry";
    dns_lb_nodes::refuse_self(report, node, &stands_in_for, why);
    let (dns_bs, renew) = map?;
    let address = own_address(root, report, node);
    Some(DnsLb {
        address: address?,
        address_v6: node.addresses.iter().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(*address),
        }),
        beside_resolver: false,
        label: Label::of_node(&node.name),
        dns_bs,
        renew,
        resolvers: resolvers?,
        stands_in_for: stands_in_for.into_iter().map(|found| found.value).collect(),
        prefixes: Vec::new(),
        probe_limits: limits.limits,
        services: Arc::new(services.into_iter().map(|(_, service)| service).collect()),
    })
}

/// The address that the node announces: its first of IPv4.
fn own_address(root: &mut Table<'_>, report: &Report<'_>, node: &Node) -> Option<Ipv4Addr> {
    let first = node.addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    if first.is_none()
        && let Some(table) = root.table("node")
    {
        report.add(
            &table.at_key("addresses"),
            ErrorKind::Conflict,
            "a DNS-LB needs an IPv4 address, which it announces to the DNS-Bs",
            "add an IPv4 address to the list",
        );
    }
    first
}

fn read_map(root: &mut Table<'_>, report: &Report<'_>) -> Option<(Vec<SocketAddr>, Duration)> {
    let mut table = root.required_table("map", "add a table [map] with dns_b")?;
    let dns_bs = table.required_list("dns_b", "\"10.53.0.1:5353\"", |value| {
        Some(value.found(value.map_address()?))
    });
    report.refuse_duplicates(
        dns_bs.iter().map(|found| (&found.at, found.value)),
        |address| format!("DNS-B {address}"),
    );
    let three_seconds = Duration::from_secs(3);
    let renew = table.or("renew", three_seconds, |value| {
        value.duration(Duration::from_millis(100)..=Duration::from_secs(3600))
    });
    table.finish(&[
        (
            "listen",
            "remove it: a DNS-LB connects to the DNS-Bs of dns_b, only they listen",
        ),
        (
            "lease",
            "remove it: role \"dns-b\" has lease, a DNS-LB has renew",
        ),
        (
            "default_dns_lb",
            "remove it: the DNS-Bs choose it, it stands in their files",
        ),
    ]);
    Some((dns_bs.into_iter().map(|found| found.value).collect(), renew))
}

fn read_resolvers(root: &mut Table<'_>, report: &Report<'_>) -> Option<ResolverSource> {
    let remedy = "add a table [resolvers] with addresses = [\"198.51.100.53\"] or resolv_conf = \
                  \"/etc/resolv.conf\"";
    let mut table = root.required_table("resolvers", remedy)?;
    let listed = table.has("addresses");
    let addresses = match listed {
        true => table.required_list("addresses", "\"198.51.100.53\"", |item| item.found_ip()),
        false => table.list("addresses", |item| item.found_ip()),
    };
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| format!("resolver {address}"),
    );
    if let Some(too_many) = addresses.get(MAX_RESOLVERS) {
        report.add(
            &too_many.at,
            ErrorKind::OutOfRange,
            format!("a DNS-LB announces at most {MAX_RESOLVERS} resolvers"),
            "divide them among several DNS-LBs",
        );
    }
    let followed = table.has("resolv_conf");
    let path = table.or("resolv_conf", None, |value| value.absolute_path().map(Some));
    match (listed, followed) {
        (true, true) => report.add(
            &table.at_key("resolv_conf"),
            ErrorKind::Conflict,
            "addresses and resolv_conf stand here together",
            "keep one of the two",
        ),
        (false, false) => table.missing("addresses", "add addresses or resolv_conf to [resolvers]"),
        (true, false) | (false, true) => {}
    }
    table.finish(&[]);
    Some(match path {
        Some(path) => ResolverSource::ResolvConf(path),
        None => ResolverSource::Listed(addresses.into_iter().map(|found| found.value).collect()),
    })
}

fn read_services(
    root: &mut Table<'_>,
    report: &Report<'_>,
    node: Option<&Node>,
    limits: &ReadLimits,
) -> Vec<(Found<OwnerName>, LbService)> {
    let tables = root.tables("service");
    if !root.has("service") {
        let remedy =
            "add a [[service]] with name, form, soa, probe and sites for each balanced name";
        root.missing("service", remedy);
    }
    tables
        .into_iter()
        .filter_map(|table| read_service(table, report, node, limits))
        .collect()
}

fn read_service(
    mut table: Table<'_>,
    report: &Report<'_>,
    node: Option<&Node>,
    limits: &ReadLimits,
) -> Option<(Found<OwnerName>, LbService)> {
    let name = balanced::name(&mut table);
    let form = balanced::form(&mut table);
    let (answer_ttl, min_ttl) = read_ttls(&mut table, report);
    let referral_ttl = table.or("referral_ttl", 3600, soa::lasting_ttl);
    let soa = soa::read(&mut table);
    let vantages = table.or("vantages", 1, |value| value.number(1..=MAX_VANTAGES, ""));
    let budget = table.or("budget", DEFAULT_BUDGET, |value| {
        value.decimal(MIN_BUDGET..=MAX_BUDGET, " probes a second")
    });
    let of_probe = probe::Context {
        service: name.as_ref(),
        limits,
        fair_pause_s: f64::from(vantages) / budget,
    };
    let before = report.count();
    let probe = probe::read(&mut table, report, &of_probe);
    let probe_is_complete = report.count() == before;
    let before = report.count();
    let sites = site::read_all(&mut table, report, limits);
    let of_policy = policy::Context {
        sites: &sites,
        sites_are_complete: report.count() == before,
        probe: probe.as_ref().filter(|_| probe_is_complete),
        node,
    };
    let (policy, tiers) = policy::read(&mut table, report, &of_policy);
    table.finish(&[]);
    let tiers = tiers.into_iter().chain(iter::repeat(0));
    let sites = sites
        .into_iter()
        .zip(tiers)
        .map(|(read, tier)| Site { tier, ..read.site });
    let name = name?;
    let service = LbService {
        name: name.value.clone(),
        form: form?.value,
        answer_ttl,
        min_ttl,
        referral_ttl,
        soa: soa?,
        sites: sites.collect(),
        probe: probe?,
        policy,
        vantages,
        budget,
    };
    Some((name, service))
}

/// `answer_ttl`, and `min_ttl`, which is at most that.
fn read_ttls(table: &mut Table<'_>, report: &Report<'_>) -> (u32, u32) {
    let answer_ttl = table.or("answer_ttl", 60, soa::ttl);
    let min_ttl = table.or("min_ttl", answer_ttl.min(DEFAULT_MIN_TTL), soa::ttl);
    if min_ttl > answer_ttl {
        report.add(
            &table.at_key("min_ttl"),
            ErrorKind::Conflict,
            format!(
                "the least TTL of {min_ttl} s is more than answer_ttl, which is shortened to it, {answer_ttl} s"
            ),
            "make min_ttl at most answer_ttl",
        );
    }
    (answer_ttl, min_ttl)
}
