//! Reads what only a DNS-B has: `[map]` with a listener, `[[dns_lb]]`, `[[zone]]`, `[[service]]`.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use ipnet::IpNet;

use super::{
    BService, DnsB, DnsLbNode, Form, Node,
    balanced::{self, Balanced},
    dns_lb_nodes::{self, Backups},
    error::ErrorKind,
    names,
    reader::Table,
    report::{Found, Report},
    soa, table_sizes,
    zone::{self, ReadZone, Zones},
};
use crate::{
    capacity::{self, MAX_ANSWERS, TableFull},
    name::OwnerName,
};

/// Keys of a DNS-LB, and what to do with them here.
pub(super) const ELSEWHERE: [(&str, &str); 2] = [
    (
        "resolvers",
        "remove it: a DNS-B learns the resolvers from the DNS-LBs; only role \"dns-lb\" has them",
    ),
    (
        "probe",
        "remove it: a DNS-B probes no site; only role \"dns-lb\" does",
    ),
];

/// TTL of addresses where no key says it: the forms that answer with them have no daemon yet.
const ANSWER_TTL: u32 = 60;

struct Map {
    listen: Found<SocketAddr>,
    lease: Duration,
    default_dns_lb: Found<String>,
}

/// Reads the tables of a DNS-B. `node` is `None` when it could not be read.
pub(super) fn read(root: &mut Table<'_>, report: &Report<'_>, node: Option<&Node>) -> Option<DnsB> {
    let map = read_map(root);
    let max_resolvers = table_sizes::read(root);
    let before = report.count();
    let dns_lbs = dns_lb_nodes::read(root, report, Backups::Named);
    let dns_lbs_complete = report.count() == before;
    if !root.has("dns_lb") {
        root.missing(
            "dns_lb",
            "add a [[dns_lb]] with name and address for each DNS-LB",
        );
    }
    let prefixes = read_prefixes(root, report, &dns_lbs, dns_lbs_complete);
    let before = report.count();
    let zones = zone::read_all(root, report);
    let zones_complete = report.count() == before;
    let services = read_services(root);
    let names: Vec<_> = services.iter().map(|service| &service.name).collect();
    balanced::check(report, &names);
    if zones_complete {
        zone::check(report, &zones, &Balanced::new(names));
    }
    check_answers(report, &services, &dns_lbs);
    let services = place_services(report, services, &zones, zones_complete);
    if let Some(node) = node {
        check_addresses(report, node, &dns_lbs, map.as_ref());
    }
    let map = map?;
    let default_dns_lb = find_default(report, &map, &dns_lbs, dns_lbs_complete);
    Some(DnsB {
        map_listen: map.listen.value,
        lease: map.lease,
        dns_lbs: dns_lbs.into_iter().map(|found| found.value).collect(),
        default_dns_lb: default_dns_lb?,
        prefixes,
        zones: zones.into_iter().map(Into::into).collect(),
        services,
        max_resolvers,
    })
}

fn read_map(root: &mut Table<'_>) -> Option<Map> {
    let remedy = "add a table [map] with listen and default_dns_lb";
    let mut table = root.required_table("map", remedy)?;
    let listen = table.required("listen", "\"10.53.0.1:5353\"", |value| {
        Some(value.found(value.map_address()?))
    });
    let ten_seconds = Duration::from_secs(10);
    let lease = table.or("lease", ten_seconds, |value| {
        value.duration(Duration::from_secs(1)..=Duration::from_secs(3600))
    });
    let default_dns_lb = table.required("default_dns_lb", "\"lb1.isp1.example\"", names::node_name);
    table.finish(&[
        (
            "dns_b",
            "remove it: only role \"dns-lb\" connects to DNS-Bs, a DNS-B has listen",
        ),
        (
            "renew",
            "remove it: role \"dns-lb\" has renew, a DNS-B has lease",
        ),
    ]);
    Some(Map {
        listen: listen?,
        lease,
        default_dns_lb: default_dns_lb?,
    })
}

struct ReadService {
    name: Found<OwnerName>,
    form: Found<Form>,
    referral_ttl: u32,
}

fn read_services(root: &mut Table<'_>) -> Vec<ReadService> {
    let tables = root.tables("service");
    if !root.has("service") {
        root.missing(
            "service",
            "add a [[service]] with name and form for each balanced name",
        );
    }
    tables.into_iter().filter_map(read_service).collect()
}

fn read_service(mut table: Table<'_>) -> Option<ReadService> {
    let name = balanced::name(&mut table);
    let form = balanced::form(&mut table);
    let referral_ttl = table.or("referral_ttl", 3600, soa::lasting_ttl);
    let at_dns_lb = "remove it: the DNS-LBs answer with it, it stands in their files";
    table.finish(&[
        ("answer_ttl", at_dns_lb),
        ("min_ttl", at_dns_lb),
        ("vantages", at_dns_lb),
        ("budget", at_dns_lb),
        ("policy", at_dns_lb),
        ("probe", at_dns_lb),
        ("site", at_dns_lb),
        ("soa", "remove it: a DNS-B takes the SOA of the [[zone]]"),
    ]);
    Some(ReadService {
        name: name?,
        form: form?,
        referral_ttl,
    })
}

/// Each pair of form and TTL needs answers of its own for each DNS-LB.
fn check_answers(report: &Report<'_>, services: &[ReadService], dns_lbs: &[Found<DnsLbNode>]) {
    let sizes = dns_lbs.iter();
    let sizes = sizes
        .map(|node| capacity::referral_sizes(&node.value))
        .sum();
    let mut groups = HashSet::new();
    let mut needed = 0;
    let mut first_too_many = None;
    for service in services {
        let form = service.form.value;
        if groups.insert((form == Form::Cname, service.referral_ttl)) {
            needed += capacity::answers(form, dns_lbs.len(), sizes);
        }
        if needed > MAX_ANSWERS {
            first_too_many = first_too_many.or(Some(&service.name.at));
        }
    }
    if let Some(at) = first_too_many {
        table_sizes::refuse(report, at, TableFull::Answers { needed });
    }
}

/// Reads `[[prefix]]`: the operator's own mapping.
fn read_prefixes(
    root: &mut Table<'_>,
    report: &Report<'_>,
    dns_lbs: &[Found<DnsLbNode>],
    dns_lbs_complete: bool,
) -> Vec<(IpNet, usize)> {
    let places: HashMap<&str, usize> = dns_lbs
        .iter()
        .enumerate()
        .map(|(index, node)| (node.value.name.as_str(), index))
        .collect();
    let mut nets = Vec::new();
    let mut prefixes = Vec::new();
    for mut table in root.tables("prefix") {
        let net = table.required("prefix", "\"198.51.100.0/24\"", |value| {
            value.found_prefix()
        });
        let dns_lb = table.required("dns_lb", "\"lb1.isp1.example\"", names::node_name);
        table.finish(&[]);
        let (Some(net), Some(dns_lb)) = (net, dns_lb) else {
            continue;
        };
        match places.get(dns_lb.value.as_str()) {
            Some(&index) => prefixes.push((net.value, index)),
            None if dns_lbs_complete => report.add(
                &dns_lb.at,
                ErrorKind::Conflict,
                format!("no [[dns_lb]] has the name \"{}\"", dns_lb.value),
                "add it, or write the name of one that is there",
            ),
            None => {}
        }
        nets.push(net);
    }
    report.refuse_duplicates(nets.iter().map(|net| (&net.at, net.value)), |net| {
        format!("prefix {net}")
    });
    prefixes
}

/// Finds each service's zone, and checks that the form fits to its place in it.
fn place_services(
    report: &Report<'_>,
    services: Vec<ReadService>,
    zones: &[ReadZone],
    zones_complete: bool,
) -> Vec<BService> {
    let index = Zones::new(zones);
    let mut placed = Vec::new();
    for service in services {
        let name = &service.name.value;
        let zone = index.of(name);
        let is_apex = zone.is_some_and(|zone| zones[zone].apex.value == *name);
        let fault = match (service.form.value, zone, is_apex) {
            (Form::Referral | Form::Direct | Form::Cache, Some(_), false)
            | (Form::Cname, Some(_), true) => None,
            (Form::Referral | Form::Direct | Form::Cache, _, true) => Some((
                format!("form \"referral\" needs a zone above {name}, but it is a zone's apex"),
                "delegate the name above it to this node and make that a [[zone]], or write form = \
                 \"cname\""
                    .to_owned(),
            )),
            (Form::Referral | Form::Direct | Form::Cache, None, false) => Some((
                format!("{name} lies in none of the zones"),
                "add the [[zone]] above it that is delegated to this node".to_owned(),
            )),
            (Form::Cname, _, false) | (Form::Cname, None, true) => Some((
                format!("form \"cname\" needs {name} to be a zone's apex, and it is none"),
                format!(
                    "add a [[zone]] with apex = \"{name}\", delegated to this node, or write form = \
                     \"referral\""
                ),
            )),
        };
        match (fault, zone) {
            (None, Some(zone)) => placed.push(BService {
                name: service.name.value,
                zone,
                form: service.form.value,
                referral_ttl: service.referral_ttl,
                answer_ttl: ANSWER_TTL,
                sites: Vec::new(),
            }),
            (Some((message, remedy)), _) if zones_complete => {
                report.add(&service.form.at, ErrorKind::Conflict, message, remedy);
            }
            _ => {}
        }
    }
    placed
}

fn check_addresses(
    report: &Report<'_>,
    node: &Node,
    dns_lbs: &[Found<DnsLbNode>],
    map: Option<&Map>,
) {
    dns_lb_nodes::refuse_self(
        report,
        node,
        dns_lbs,
        "a DNS-B must not refer to itself, resolvers give their clients empty answers then: write \
         the DNS-LB's own address",
    );
    let Some(map) = map else { return };
    let listen = map.listen.value;
    if listen.port() == 53 && node.addresses.iter().any(|own| listen.ip() == *own) {
        report.add(
            &map.listen.at,
            ErrorKind::Conflict,
            format!("{listen} is taken: this node answers DNS over TCP there"),
            "take another port, like 5353",
        );
    }
}

fn find_default(
    report: &Report<'_>,
    map: &Map,
    dns_lbs: &[Found<DnsLbNode>],
    complete: bool,
) -> Option<usize> {
    let wanted = &map.default_dns_lb;
    let index = dns_lbs
        .iter()
        .position(|node| node.value.name == wanted.value);
    if index.is_none() && complete && !dns_lbs.is_empty() {
        let names: Vec<_> = dns_lbs
            .iter()
            .take(5)
            .map(|node| node.value.name.as_str())
            .collect();
        report.add(
            &wanted.at,
            ErrorKind::Conflict,
            format!("no [[dns_lb]] has the name \"{}\"", wanted.value),
            format!(
                "add it, or write the name of one that is there: {}",
                names.join(", ")
            ),
        );
    }
    index
}
