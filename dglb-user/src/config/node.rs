//! Reads `[node]` and `[limit]`, which every role has.

use std::{path::PathBuf, time::Duration};

use dglb_common::layout::MAX_SUBNET_SENDERS;
use ipnet::IpNet;

use super::{
    Datapath, Limit, MAX_ADDRESSES, MAX_LIMIT_PREFIXES, MAX_RUN_DIR, Node, Rate,
    error::ErrorKind,
    location,
    names::{self, Account},
    reader::Table,
    report::{At, Found, Report},
    value::Value,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The highest rate: the buckets count in whole nanoseconds, and above this one the step between two
/// rates is coarse.
const MAX_RATE: u32 = 100_000_000;

/// What a /24 gets when the file says nothing.
const DEFAULT_RATE: Rate = Rate {
    per_second: 1000,
    burst: 2000,
};

/// Reads `[node]`.
pub(super) fn read(root: &mut Table<'_>, report: &Report<'_>) -> Option<Found<Node>> {
    let remedy = "add a table [node] with name, interfaces and addresses";
    let mut table = root.required_table("node", remedy)?;
    let at = table.at().clone();
    let name = table.required("name", "\"b1.example.net\"", names::node_name);
    let datapath = table.or("datapath", Datapath::Xdp, datapath);
    let interfaces = match datapath {
        Datapath::Xdp => table.required_list("interfaces", "\"eth0\"", names::interface),
        Datapath::Userspace => table.list("interfaces", names::interface),
    };
    report.refuse_duplicates(
        interfaces.iter().map(|found| (&found.at, &found.value)),
        |name| format!("interface \"{name}\""),
    );
    let addresses = table.required_list("addresses", "\"192.0.2.53\"", |item| item.found_ip());
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| format!("address {address}"),
    );
    refuse_too_many(
        report,
        addresses
            .iter()
            .map(|found| (&found.at, found.value.is_ipv4())),
        MAX_ADDRESSES,
        &format!("a node answers on at most {MAX_ADDRESSES} addresses"),
        &format!("keep {MAX_ADDRESSES} of them"),
    );
    let bpffs = table.or("bpffs", "/sys/fs/bpf".into(), |value| value.absolute_path());
    let run_dir = table.or("run_dir", "/run/dglb".into(), run_dir);
    let state_dir = table.or("state_dir", "/var/lib/dglb".into(), |value| {
        value.absolute_path()
    });
    let control_group = table.or("control_group", None, |value| {
        names::account(&value, Account::Group).map(Some)
    });
    let location = table.or("location", None, |value| location::read(value).map(Some));
    let max_stale = table.or("max_stale", HOUR, |value| value.duration(SECOND..=30 * DAY));
    table.finish(&[]);
    Some(Found {
        at,
        value: Node {
            name: name?.value,
            interfaces: interfaces.into_iter().map(|found| found.value).collect(),
            addresses: addresses.into_iter().map(|found| found.value).collect(),
            datapath,
            bpffs,
            run_dir,
            max_stale,
            state_dir,
            control_group,
            location,
        },
    })
}

fn run_dir(value: Value<'_>) -> Option<PathBuf> {
    let path = value.absolute_path()?;
    let octets = path.as_os_str().len();
    if octets <= MAX_RUN_DIR {
        return Some(path);
    }
    value.refuse(
        ErrorKind::OutOfRange,
        format!("the path has {octets} octets; a socket in it may have 107"),
        format!("write a path of at most {MAX_RUN_DIR} octets"),
    )
}

fn datapath(value: Value<'_>) -> Option<Datapath> {
    match value.text()? {
        "xdp" => Some(Datapath::Xdp),
        "userspace" => Some(Datapath::Userspace),
        other => value.refuse(
            ErrorKind::OutOfRange,
            format!("there is no data path \"{}\"", other.escape_debug()),
            "write \"xdp\" (answers in the kernel) or \"userspace\"",
        ),
    }
}

/// Reports the first item of each family that is one too many; items are places and whether of IPv4.
fn refuse_too_many<'a>(
    report: &Report<'_>,
    items: impl Iterator<Item = (&'a At, bool)>,
    most: usize,
    message: &str,
    remedy: &str,
) {
    let mut counts = [0; 2];
    for (at, is_v4) in items {
        let count = &mut counts[usize::from(is_v4)];
        *count += 1;
        if *count == most + 1 {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            report.add(
                at,
                ErrorKind::OutOfRange,
                format!("{message} of {family}"),
                remedy,
            );
        }
    }
}

/// Reads `[limit]`, which may be absent.
pub(super) fn read_limit(root: &mut Table<'_>, report: &Report<'_>) -> Limit {
    let Some(mut table) = root.table("limit") else {
        return Limit {
            default: DEFAULT_RATE,
            prefixes: Vec::new(),
            dry_run: false,
        };
    };
    let default = Rate {
        per_second: table.or("per_second", DEFAULT_RATE.per_second, rate),
        burst: table.or("burst", DEFAULT_RATE.burst, rate),
    };
    let dry_run = table.or("dry_run", false, |value| value.boolean());
    let read = |prefix| read_prefix(prefix, report);
    let mut prefixes: Vec<_> = table
        .tables("prefix")
        .into_iter()
        .filter_map(read)
        .collect();
    table.finish(&[]);
    refuse_too_many(
        report,
        prefixes
            .iter()
            .map(|entry| (&entry.at, matches!(entry.net.value, IpNet::V4(_)))),
        MAX_LIMIT_PREFIXES,
        &format!("a limit of their own may have at most {MAX_LIMIT_PREFIXES} prefixes"),
        "join some of them to a shorter prefix",
    );
    report.refuse_duplicates(
        prefixes
            .iter()
            .map(|entry| (&entry.net.at, entry.net.value)),
        |prefix| format!("prefix {prefix}"),
    );
    // The first prefix that contains a source is its own.
    prefixes.sort_by_key(|entry| std::cmp::Reverse(entry.net.value.prefix_len()));
    Limit {
        default,
        prefixes: prefixes
            .into_iter()
            .map(|entry| (entry.net.value, entry.rate))
            .collect(),
        dry_run,
    }
}

/// A prefix with a limit of its own, or with none.
struct LimitedPrefix {
    at: At,
    net: Found<IpNet>,
    rate: Option<Rate>,
}

fn read_prefix(mut table: Table<'_>, report: &Report<'_>) -> Option<LimitedPrefix> {
    let at = table.at().clone();
    let net = table.required("prefix", "\"198.51.100.0/24\"", |value| {
        value.found_prefix()
    });
    let exempt = table.or("exempt", false, |value| value.boolean());
    let rate = if exempt {
        for key in ["per_second", "burst"] {
            if table.value(key).is_some() {
                report.add(
                    &table.at_key(key),
                    ErrorKind::Conflict,
                    format!("{key} stands beside exempt = true, which means no limit at all"),
                    "keep one of the two",
                );
            }
        }
        Some(None)
    } else {
        let per_second = table.required("per_second", "50000", rate);
        let burst = table.required("burst", "100000", rate);
        per_second
            .zip(burst)
            .map(|(per_second, burst)| Some(Rate { per_second, burst }))
    };
    table.finish(&[]);
    Some(LimitedPrefix {
        at,
        net: net?,
        rate: rate?,
    })
}

fn rate(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_RATE, "; 0 would answer nobody")
}

/// Reads `[client_subnet]`, which may be absent: Client Subnet is believed of nobody then.
pub(super) fn read_client_subnet(root: &mut Table<'_>, report: &Report<'_>) -> Vec<IpNet> {
    let Some(mut table) = root.table("client_subnet") else {
        return Vec::new();
    };
    let from = table.list("from", |item| item.found_prefix());
    table.finish(&[]);
    report.refuse_duplicates(
        from.iter().map(|found| (&found.at, found.value)),
        |prefix| format!("prefix {prefix}"),
    );
    refuse_too_many(
        report,
        from.iter()
            .map(|found| (&found.at, matches!(found.value, IpNet::V4(_)))),
        MAX_SUBNET_SENDERS,
        &format!("Client Subnet is believed of at most {MAX_SUBNET_SENDERS} prefixes"),
        "join some of them to a shorter prefix",
    );
    from.into_iter().map(|found| found.value).collect()
}
