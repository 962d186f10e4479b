//! Reads `[service.probe]`: how the sites of a service are probed.

use std::time::Duration;

use hyper::http::uri::{Authority, PathAndQuery};

use super::{
    HttpProbe, Probe, ProbeKind, error::ErrorKind, reader::Table, report::Report, value::Value,
};
use crate::name::OwnerName;

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
/// Failures or successes in a row that may be asked for: more would take days.
const MAX_IN_A_ROW: u32 = 1000;

/// Reads the probe, which must be there. `service` is the default of the Host header.
pub(super) fn read(
    table: &mut Table<'_>,
    report: &Report<'_>,
    service: Option<&OwnerName>,
) -> Option<Probe> {
    let remedy = "add a table [service.probe] with path = \"/\" below this [[service]]";
    let mut probe = table.required_table("probe", remedy)?;
    let port = probe.or("port", 80, port);
    let path = probe.required("path", "\"/health\"", path);
    let host = probe.or("host", service.map(host_of), |value| host(value).map(Some));
    let statuses = match probe.has("status") {
        true => probe.required_list("status", "200", status),
        false => probe.list("status", status),
    };
    report.refuse_duplicates(statuses.iter().map(|(at, code)| (at, *code)), |code| {
        format!("status {code}")
    });
    let interval = probe.or("interval", Duration::from_secs(10), span);
    let timeout = probe.or("timeout", Duration::from_secs(2), span);
    let retry = probe.or("retry", Duration::from_secs(1), span);
    let fall = probe.or("fall", 3, in_a_row);
    let rise = probe.or("rise", 2, in_a_row);
    if interval < timeout {
        let written = if probe.has("interval") {
            "interval"
        } else {
            "timeout"
        };
        report.add(
            &probe.at_key(written),
            ErrorKind::Conflict,
            format!(
                "the interval of {} is shorter than the timeout of {}: probes of one site would \
                 overtake each other",
                humantime::format_duration(interval),
                humantime::format_duration(timeout)
            ),
            "make interval at least as long as timeout",
        );
    }
    probe.finish(&[]);
    let status = match statuses.is_empty() {
        true => vec![200],
        false => statuses.into_iter().map(|(_, code)| code).collect(),
    };
    let http = HttpProbe {
        port,
        status,
        ..HttpProbe::new(host?, path?)
    };
    Some(Probe {
        interval,
        timeout,
        retry,
        fall,
        rise,
        ..Probe::new(ProbeKind::Http(http))
    })
}

/// A name as it stands in a Host header: without the dot at the end.
fn host_of(name: &OwnerName) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn port(value: Value<'_>) -> Option<u16> {
    let number = value.number(1..=u32::from(u16::MAX), "")?;
    u16::try_from(number).ok()
}

fn path(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = text.starts_with('/')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'#')
        && text.parse::<PathAndQuery>().is_ok();
    if fits {
        return Some(text.to_owned());
    }
    value.refuse(
        ErrorKind::BadForm,
        format!("\"{}\" can't stand in a request line", text.escape_debug()),
        "begin with \"/\" and write all but visible ASCII as %XX; no \"#\", no space, no control \
         character",
    )
}

fn host(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = text.bytes().all(|octet| octet.is_ascii_graphic())
        && !text.contains('@')
        && text.parse::<Authority>().is_ok();
    if fits {
        return Some(text.to_owned());
    }
    value.refuse(
        ErrorKind::BadForm,
        format!("\"{}\" can't stand in a Host header", text.escape_debug()),
        "write a host name, with :port where needed, like \"www.example.com\"",
    )
}

fn status(value: Value<'_>) -> Option<(super::report::At, u16)> {
    let code = value.number(100..=599, ", an HTTP status code")?;
    Some((value.at().clone(), u16::try_from(code).ok()?))
}

fn span(value: Value<'_>) -> Option<Duration> {
    value.duration(MILLISECOND..=DAY)
}

fn in_a_row(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_IN_A_ROW, "")
}
