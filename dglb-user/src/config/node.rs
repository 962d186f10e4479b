//! Reads `[node]` and `[limit]`, which every role has.

use std::{path::PathBuf, time::Duration};

use ipnet::Ipv4Net;

use super::{
    Datapath, Limit, MAX_ADDRESSES, MAX_LIMIT_PREFIXES, MAX_RUN_DIR, Node, Rate,
    error::ErrorKind,
    names,
    reader::Table,
    report::{Found, Report},
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
    let addresses = table.required_list("addresses", "\"192.0.2.53\"", |item| item.found_ipv4());
    report.refuse_duplicates(
        addresses.iter().map(|found| (&found.at, found.value)),
        |address| format!("address {address}"),
    );
    if let Some(first_too_many) = addresses.get(MAX_ADDRESSES) {
        report.add(
            &first_too_many.at,
            ErrorKind::OutOfRange,
            format!("a node answers on at most {MAX_ADDRESSES} addresses"),
            format!("keep {MAX_ADDRESSES} of them"),
        );
    }
    let bpffs = table.or("bpffs", "/sys/fs/bpf".into(), |value| value.absolute_path());
    let run_dir = table.or("run_dir", "/run/dglb".into(), run_dir);
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

/// Reads `[limit]`, which may be absent.
pub(super) fn read_limit(root: &mut Table<'_>, report: &Report<'_>) -> Limit {
    let Some(mut table) = root.table("limit") else {
        return Limit {
            default: DEFAULT_RATE,
            prefixes: Vec::new(),
        };
    };
    let default = Rate {
        per_second: table.or("per_second", DEFAULT_RATE.per_second, rate),
        burst: table.or("burst", DEFAULT_RATE.burst, rate),
    };
    let mut prefixes = Vec::new();
    for (index, prefix) in table.tables("prefix").into_iter().enumerate() {
        if index == MAX_LIMIT_PREFIXES {
            report.add(
                prefix.at(),
                ErrorKind::OutOfRange,
                format!("at most {MAX_LIMIT_PREFIXES} prefixes may have a limit of their own"),
                "join some of them to a shorter prefix",
            );
        }
        prefixes.extend(read_prefix(prefix));
    }
    table.finish(&[]);
    report.refuse_duplicates(
        prefixes
            .iter()
            .map(|(prefix, _)| (&prefix.at, prefix.value)),
        |prefix| format!("prefix {prefix}"),
    );
    // The first prefix that contains a source is its own.
    prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.value.prefix_len()));
    Limit {
        default,
        prefixes: prefixes
            .into_iter()
            .map(|(prefix, rate)| (prefix.value, rate))
            .collect(),
    }
}

fn read_prefix(mut table: Table<'_>) -> Option<(Found<Ipv4Net>, Rate)> {
    let net = table.required("prefix", "\"198.51.100.0/24\"", prefix);
    let per_second = table.required("per_second", "50000", rate);
    let burst = table.required("burst", "100000", rate);
    table.finish(&[]);
    let rate = Rate {
        per_second: per_second?,
        burst: burst?,
    };
    Some((net?, rate))
}

fn prefix(value: Value<'_>) -> Option<Found<Ipv4Net>> {
    let text = value.text()?;
    let Ok(prefix) = text.parse::<Ipv4Net>() else {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" is not an IPv4 prefix", text.escape_debug()),
            "write a network and its length, like \"198.51.100.0/24\"",
        );
    };
    if prefix != prefix.trunc() {
        return value.refuse(
            ErrorKind::BadForm,
            format!("{prefix} has bits set behind its length"),
            format!("write \"{}\"", prefix.trunc()),
        );
    }
    Some(value.found(prefix))
}

fn rate(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_RATE, "; 0 would answer nobody")
}
