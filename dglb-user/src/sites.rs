//! `dglb sites`: the sites of a DNS-LB as its daemon sees them: state, figures, orders, share of answers.

use std::{io::Write, path::Path, time::SystemTime};

use serde_json::json;

use crate::{
    columns::{Columns, Side, number, printable},
    config::Config,
    control::{
        client,
        protocol::{ProberStatus, Quantiles, Reply, Request, SiteView, Sites},
    },
    policy::{Override, OverrideKind},
    timestamp,
};

/// Asks the daemon of the node that `path` describes, for all services or one, and prints what it says.
///
/// # Errors
/// The file is wrong, no daemon runs, or it does not know the service.
pub fn run(
    path: &Path,
    service: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let node = Config::load(path)?.node;
    let service = client::service(service)?;
    let sites = match client::ask(&node, &Request::Sites { service })? {
        Reply::Sites(sites) => sites,
        other => return Err(client::unexpected(&node, &other).into()),
    };
    if json {
        let Sites { prober, sites } = sites;
        let shown = json!({ "node": node.name, "prober": prober, "sites": sites });
        serde_json::to_writer_pretty(&mut *out, &shown)?;
        writeln!(out)?;
    } else {
        print(&sites, SystemTime::now(), out)?;
    }
    Ok(())
}

/// For people: how the probes go, then each service with its sites.
fn print(all: &Sites, now: SystemTime, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", prober(&all.prober))?;
    for sites in all
        .sites
        .chunk_by(|one, other| one.service == other.service)
    {
        let [first, ..] = sites else { continue };
        writeln!(out, "\n{}", printable(&first.service))?;
        let mut columns = Columns::new([
            ("site", Side::Left),
            ("address", Side::Left),
            ("state", Side::Left),
            ("since", Side::Left),
            ("ms", Side::Right),
            ("±", Side::Right),
            ("loss", Side::Right),
            ("load", Side::Right),
            ("share", Side::Right),
            ("rank", Side::Right),
            ("every", Side::Right),
            ("reason", Side::Left),
        ]);
        for site in sites {
            columns.row(cells(site, now));
        }
        columns.write("  ", out)?;
    }
    Ok(())
}

fn cells(site: &SiteView, now: SystemTime) -> [String; 12] {
    let since = site.since.map(|since| timestamp::ago(since, now));
    [
        site.site.clone(),
        site.address.to_string(),
        site.state.to_string(),
        since.unwrap_or_else(|| "start".to_owned()),
        number(site.latency_ms, 1),
        number(site.spread_ms, 1),
        format!("{:.0} %", site.loss_percent),
        number(site.load, 0),
        format!("{:.0} %", site.share_percent),
        site.rank
            .map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
        format!("{} s", (site.interval_s * 10.0).round() / 10.0),
        reason(site, now),
    ]
}

/// Why it is in its state: the operator's order, where there is one. And why the last probe failed.
fn reason(site: &SiteView, now: SystemTime) -> String {
    let why = match &site.overridden {
        Some(order) => Some(ordered(order, now)),
        None => site.reason.clone(),
    };
    let failure = site.last_failure.clone();
    let failure = failure.filter(|failure| site.reason.as_ref() != Some(failure));
    let failure = failure.map(|failure| format!("last probe: {failure}"));
    let parts: Vec<String> = [why, failure].into_iter().flatten().collect();
    parts.join("; ")
}

/// An override in words: what, why, until when.
pub fn ordered(order: &Override, now: SystemTime) -> String {
    let what = match order.kind {
        OverrideKind::Drained => "DRAINED",
        OverrideKind::Up => "FORCED UP",
        OverrideKind::Down => "FORCED DOWN",
    };
    let until = match order.until {
        None => "until it is taken back".to_owned(),
        Some(until) => {
            let left = until.duration_since(now).unwrap_or_default();
            let at = timestamp::text(until);
            format!("until {at} (for another {})", timestamp::span(left))
        }
    };
    let since = timestamp::ago(order.since, now);
    format!("{what} by the operator {since}, {until}: {}", order.reason)
}

/// The state of the probing process in a line.
fn prober(prober: &ProberStatus) -> String {
    let mut line = if prober.running {
        "prober running".to_owned()
    } else {
        "prober NOT RUNNING: what is shown is what it measured last".to_owned()
    };
    line += &format!(", {} targets", prober.targets);
    match (prober.restarts, prober.reason.as_deref()) {
        (0, None) => {}
        (restarts, None) => line += &format!(", started again {restarts} times"),
        (restarts, Some(reason)) => {
            let reason = printable(reason);
            line += &format!(", started again {restarts} times; it ended last: {reason}");
        }
    }
    line += &quantiles("; probes late", &prober.lateness_ms);
    line += &quantiles("; from probe to tables", &prober.probe_to_tables_ms);
    line
}

fn quantiles(what: &str, of: &Quantiles) -> String {
    if of.count == 0 {
        return String::new();
    }
    let Quantiles { p50, p99, max, .. } = of;
    format!("{what} {p50:.1} ms (99 %: {p99:.1}, max {max:.1})")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::policy::State;

    pub(crate) fn view(site: &str, state: State) -> SiteView {
        SiteView {
            service: "www.foo.com".to_owned(),
            site: site.to_owned(),
            address: "192.0.2.80".parse().expect("an address"),
            state,
            since: None,
            reason: None,
            overridden: None,
            latency_ms: Some(12.345),
            spread_ms: Some(0.5),
            connect_ms: Some(4.0),
            tls_ms: None,
            first_byte_ms: Some(10.0),
            loss_percent: 0.0,
            load: None,
            share_percent: 100.0,
            rank: Some(1),
            interval_s: 10.0,
            successes: 9,
            failures: BTreeMap::new(),
            last_failure: None,
        }
    }

    fn printed(all: &Sites, now: SystemTime) -> String {
        let mut out = Vec::new();
        print(all, now, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_order_its_reason_and_its_end_stand_in_the_site_s_line() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_529_100);
        let drained = SiteView {
            since: Some(now - Duration::from_secs(61)),
            reason: Some("drained by the operator".to_owned()),
            overridden: Some(Override {
                kind: OverrideKind::Drained,
                reason: "new disks".to_owned(),
                since: now - Duration::from_secs(61),
                until: Some(now + Duration::from_secs(7200)),
            }),
            share_percent: 0.0,
            rank: None,
            load: Some(41.7),
            ..view("tokyo", State::Drained)
        };
        let down = SiteView {
            reason: Some("connection refused".to_owned()),
            last_failure: Some("timed out".to_owned()),
            latency_ms: None,
            spread_ms: None,
            loss_percent: 43.6,
            rank: None,
            share_percent: 0.0,
            ..view("newyork", State::Down)
        };
        let all = Sites {
            prober: ProberStatus {
                running: true,
                targets: 3,
                lateness_ms: Quantiles {
                    count: 5,
                    p50: 0.25,
                    p99: 3.0,
                    max: 4.0,
                },
                ..ProberStatus::default()
            },
            sites: vec![view("frankfurt", State::Up), drained, down],
        };
        let lines = printed(&all, now);
        let expected = "\
prober running, 3 targets; probes late 0.2 ms (99 %: 3.0, max 4.0)

www.foo.com
  site       address     state    since        ms    ±  loss  load  share  rank  every  reason
  frankfurt  192.0.2.80  up       start      12.3  0.5   0 %     -  100 %     1   10 s
  tokyo      192.0.2.80  drained  1m 1s ago  12.3  0.5   0 %    42    0 %     -   10 s  DRAINED by the operator 1m 1s ago, until 2026-11-24T16:05:00Z (for another 2h): new disks
  newyork    192.0.2.80  down     start         -    -  44 %     -    0 %     -   10 s  connection refused; last probe: timed out
";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_dead_prober_is_the_first_thing_to_be_read() {
        let all = Sites {
            prober: ProberStatus {
                restarts: 2,
                reason: Some("killed by signal 9".to_owned()),
                ..ProberStatus::default()
            },
            sites: Vec::new(),
        };
        let lines = printed(&all, SystemTime::UNIX_EPOCH);
        assert!(lines.starts_with("prober NOT RUNNING"), "{lines}");
        assert!(
            lines.contains("started again 2 times; it ended last: killed by signal 9"),
            "{lines}"
        );
    }
}
