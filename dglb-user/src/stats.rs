//! `dglb stats`: what was answered and by whom, from the pinned tables and from the daemon if it runs.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::bail;
use dglb_common::counters::{Counter, Counters, Kind};
use serde::Serialize;

use crate::{
    columns::{Columns, Side, number},
    config::{Config, Datapath, DnsLbNode, Role},
    control,
    kernel::{attach, pins::Pins, read::Pinned},
    label::Label,
    status::{self, SiteStatus, Status},
};

/// In place of a mode.
const NOT_ATTACHED: &str = "none";

/// All that is shown; the keys of `--json`.
#[derive(Debug, Serialize)]
pub struct Stats {
    node: String,
    role: &'static str,
    datapath: &'static str,
    /// Whether a daemon runs.
    daemon: bool,
    interfaces: Vec<Interface>,
    rows: Vec<Row>,
    passed: Vec<Reason>,
    dropped: Vec<Reason>,
    /// Counted beside what became of the frame.
    noted: Vec<Reason>,
    sites: Vec<SiteStatus>,
    dns_lbs: Vec<DnsLbStats>,
    resolvers: Vec<ResolverStats>,
}

#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    mode: &'static str,
}

/// Answers of one row of the answer table.
#[derive(Debug, Serialize)]
struct Row {
    row: &'static str,
    xdp: u64,
    user: u64,
}

#[derive(Debug, Serialize)]
struct Reason {
    reason: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct DnsLbStats {
    name: String,
    label: String,
    address: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    address_v6: Option<Ipv6Addr>,
    state: &'static str,
    serves: String,
}

#[derive(Debug, Serialize)]
struct ResolverStats {
    resolver: IpAddr,
    dns_lb: Ipv4Addr,
}

/// Prints the statistics of the node that `path` describes.
///
/// # Errors
/// The file is wrong, the tables can't be read, or the node is not in service.
pub fn run(path: &Path, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let stats = collect(&config)?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &stats)?;
        writeln!(out)?;
    } else {
        print(&stats, out)?;
    }
    Ok(())
}

fn collect(config: &Config) -> anyhow::Result<Stats> {
    let pins = Pins::of(&config.node);
    let pinned = match config.node.datapath {
        Datapath::Xdp => Pinned::read(&pins)?,
        Datapath::Userspace => None,
    };
    let status = status::ask(&config.node)?;
    if pinned.is_none() && status.is_none() {
        bail!(
            "{}: not in service: no tables at {}, and no daemon at {} (`dglb run` starts it)",
            config.node.name,
            pins.directory().display(),
            control::path(&config.node).display()
        );
    }
    let daemon = status.is_some();
    let pinned = pinned.unwrap_or_default();
    Ok(Stats {
        node: config.node.name.clone(),
        role: match config.role {
            Role::DnsB(_) => "dns-b",
            Role::DnsLb(_) => "dns-lb",
        },
        datapath: match config.node.datapath {
            Datapath::Xdp => "xdp",
            Datapath::Userspace => "userspace",
        },
        daemon,
        interfaces: interfaces(config, &pins),
        rows: rows(&pinned, status.as_ref()),
        passed: reasons(&pinned.kernel, Kind::Passed),
        dropped: reasons(&pinned.kernel, Kind::Dropped),
        noted: reasons(&pinned.kernel, Kind::Noted),
        sites: status.map(|status| status.sites).unwrap_or_default(),
        dns_lbs: dns_lbs(config, &pinned),
        resolvers: pinned
            .resolvers
            .iter()
            .map(|(resolver, value)| ResolverStats {
                resolver: *resolver,
                dns_lb: value.dns_lb.into(),
            })
            .collect(),
    })
}

/// Where the program is attached, and the configured interfaces where it is not.
fn interfaces(config: &Config, pins: &Pins) -> Vec<Interface> {
    let mut modes: BTreeMap<String, &str> = match config.node.datapath {
        Datapath::Xdp => {
            let configured = config.node.interfaces.iter();
            configured
                .map(|name| (name.clone(), NOT_ATTACHED))
                .collect()
        }
        Datapath::Userspace => BTreeMap::new(),
    };
    let attached = attach::attached(pins).into_iter();
    modes.extend(attached.map(|(name, mode)| (name, mode.name())));
    modes
        .into_iter()
        .map(|(name, mode)| Interface { name, mode })
        .collect()
}

/// The daemon's own count is newer than what it last wrote to the table.
fn rows(pinned: &Pinned, status: Option<&Status>) -> Vec<Row> {
    let user = |counter: Counter| {
        status
            .and_then(|status| status.user.get(counter.name()).copied())
            .unwrap_or_else(|| counter.of(&pinned.user))
    };
    Counter::ALL
        .iter()
        .filter(|counter| counter.kind() == Kind::Answered)
        .map(|&counter| Row {
            row: counter.name(),
            xdp: counter.of(&pinned.kernel),
            user: user(counter),
        })
        .collect()
}

fn reasons(counters: &Counters, kind: Kind) -> Vec<Reason> {
    Counter::ALL
        .iter()
        .filter(|counter| counter.kind() == kind)
        .map(|counter| Reason {
            reason: counter.name(),
            count: counter.of(counters),
        })
        .collect()
}

fn dns_lbs(config: &Config, pinned: &Pinned) -> Vec<DnsLbStats> {
    let name_of = |label: Label| {
        known_nodes(config)
            .find(|(known, _)| *known == label)
            .map_or_else(|| label.to_string(), |(_, name)| name.to_owned())
    };
    let serves = |vantage: u32| {
        let entry = pinned.dns_lbs.get(vantage as usize);
        entry.map_or_else(String::new, |entry| name_of(entry.label))
    };
    pinned
        .dns_lbs
        .iter()
        .map(|entry| DnsLbStats {
            name: name_of(entry.label),
            label: entry.label.to_string(),
            address: entry.address.into(),
            address_v6: entry.address_v6,
            state: if entry.up { "up" } else { "down" },
            serves: serves(entry.serves),
        })
        .collect()
}

/// The nodes that the configuration names, itself among them.
pub fn known_nodes(config: &Config) -> impl Iterator<Item = (Label, &str)> {
    let others: &[DnsLbNode] = match &config.role {
        Role::DnsB(dns_b) => &dns_b.dns_lbs,
        Role::DnsLb(dns_lb) => &dns_lb.stands_in_for,
    };
    let own = (Label::of_node(&config.node.name), config.node.name.as_str());
    std::iter::once(own).chain(others.iter().map(|node| (node.label, node.name.as_str())))
}

fn print(stats: &Stats, out: &mut dyn Write) -> std::io::Result<()> {
    let daemon = if stats.daemon {
        "running"
    } else {
        "not running"
    };
    writeln!(
        out,
        "{} {}, datapath {}, daemon {daemon}",
        stats.role, stats.node, stats.datapath
    )?;
    for interface in &stats.interfaces {
        let mode = match interface.mode {
            NOT_ATTACHED => "not attached",
            mode => mode,
        };
        writeln!(out, "  interface {}: {mode}", interface.name)?;
    }
    writeln!(out, "\n{:<14} {:>14} {:>14}", "row", "xdp", "user space")?;
    for row in stats.rows.iter().filter(|row| row.xdp + row.user > 0) {
        writeln!(out, "{:<14} {:>14} {:>14}", row.row, row.xdp, row.user)?;
    }
    for (title, reasons) in [
        ("passed up", &stats.passed),
        ("dropped", &stats.dropped),
        ("noted", &stats.noted),
    ] {
        for reason in reasons.iter().filter(|reason| reason.count > 0) {
            writeln!(out, "{title}: {:<10} {:>10}", reason.reason, reason.count)?;
        }
    }
    if !stats.dns_lbs.is_empty() && stats.role == "dns-b" {
        let mut columns = Columns::new([
            ("dns-lb", Side::Left),
            ("address", Side::Left),
            ("state", Side::Left),
            ("served by", Side::Left),
        ]);
        for node in &stats.dns_lbs {
            let (address, state) = (node.address.to_string(), node.state.to_owned());
            columns.row([node.name.clone(), address, state, node.serves.clone()]);
        }
        writeln!(out)?;
        columns.write("", out)?;
        writeln!(out, "\n{} resolvers mapped", stats.resolvers.len())?;
    }
    if !stats.sites.is_empty() {
        let mut columns = Columns::new([
            ("service", Side::Left),
            ("site", Side::Left),
            ("state", Side::Left),
            ("ms", Side::Right),
            ("rank", Side::Right),
            ("reason", Side::Left),
        ]);
        for site in &stats.sites {
            let rank = site
                .rank
                .map_or_else(|| "-".to_owned(), |rank| rank.to_string());
            columns.row([
                site.service.clone(),
                site.site.clone(),
                site.state.clone(),
                number(site.time_ms, 1),
                rank,
                site.reason.clone().unwrap_or_default(),
            ]);
        }
        writeln!(out)?;
        columns.write("", out)?;
    }
    Ok(())
}
