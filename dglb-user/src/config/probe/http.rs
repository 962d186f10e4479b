//! The keys that only an HTTP probe has.
//!
//! What is accepted here can be sent as it stands: hyper's own types are asked. Lengths are bounded so that a
//! probe's definition fits into one message to the probing process (`probe::message::MAX_LINE`), whatever
//! stands in it.

use hyper::{
    header::{HeaderName, HeaderValue},
    http::uri::{Authority, PathAndQuery},
};
use rustls::pki_types::ServerName;

use super::Context;
use crate::{
    config::{
        compile_body_regex,
        error::ErrorKind,
        reader::Table,
        report::{At, Found, Report},
        value::Value,
    },
    probe::spec::{Http, Load, Match, Tls},
};

/// The keys that are read here.
const KEYS: [&str; 11] = [
    "path",
    "pages",
    "host",
    "method",
    "headers",
    "status",
    "body",
    "body_regex",
    "max_body",
    "verify",
    "load",
];

/// Methods that change nothing at a site and have no body.
const METHODS: [(&str, &str); 3] = [("GET", "GET"), ("HEAD", "HEAD"), ("OPTIONS", "OPTIONS")];

/// Headers that the probe writes itself, or that would change what the connection is.
const RESERVED: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Octets of a path.
const MAX_PATH: usize = 1024;
/// Headers, and the octets of one of them.
const MAX_HEADERS: usize = 16;
const MAX_HEADER: usize = 512;
/// Octets of what a body must contain.
const MAX_WANTED: usize = 1024;

/// Asks for the keys and for nothing in them: the type of the probe is not known.
pub(super) fn skip(probe: &mut Table<'_>) {
    for key in KEYS {
        probe.value(key);
    }
}

/// Refuses the keys: the probe is of another type.
pub(super) fn refuse(probe: &mut Table<'_>) {
    for key in KEYS {
        probe.out_of_place(
            key,
            "only a probe by HTTP has this key",
            "remove it, or write type = \"http\" or \"https\"",
        );
    }
}

/// Reads the keys.
pub(super) fn read(
    probe: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
    tls: bool,
    port: u16,
) -> Option<Http> {
    let limits = &context.limits.limits;
    let pages = pages(probe, report, limits.max_pages);
    let host = host(probe, context, tls);
    let method = probe.or("method", Some("GET"), |value| {
        value.word("method for a probe", &METHODS).map(Some)
    });
    let headers = headers(probe, report);
    let status = statuses(probe, report);
    let body = body(probe, report);
    let max_body = probe.or("max_body", limits.max_body.min(1 << 20), |value| {
        max_body(&value, limits.max_body)
    });
    let verify = probe.or("verify", true, |value| value.boolean());
    if !tls {
        let why = "without TLS there is no certificate to be verified";
        probe.out_of_place("verify", why, "remove it, or write type = \"https\"");
    }
    let load = probe.or("load", None, |value| load(&value).map(Some));
    if method == Some("HEAD") {
        let is_json = load == Some(Load::Json);
        for (key, is_wanted) in [("body", true), ("body_regex", true), ("load", is_json)] {
            if is_wanted {
                let why = "the answer to a HEAD has no body to look into";
                probe.out_of_place(key, why, "remove it, or write method = \"GET\"");
            }
        }
    }
    Some(Http {
        tls: tls.then_some(Tls { verify }),
        port,
        // Case does not matter (RFC 9110 §4.2.3): equal probes are to be one target.
        host: host?.to_ascii_lowercase(),
        method: method?.to_owned(),
        headers,
        pages: pages?,
        status,
        body,
        max_body,
        load,
    })
}

/// `path` or `pages`, one of which must be there.
fn pages(probe: &mut Table<'_>, report: &Report<'_>, most: usize) -> Option<Vec<String>> {
    if probe.has("path") {
        probe.out_of_place(
            "pages",
            "path and pages stand here together",
            "keep one of the two; path is for a single page",
        );
        let path = probe.value("path").and_then(path)?;
        return Some(vec![path.value]);
    }
    probe.value("path");
    if !probe.has("pages") {
        probe.value("pages");
        probe.missing("path", "add path = \"/health\", or pages for several");
        return None;
    }
    let pages = probe.required_list("pages", "\"/\", \"/logo.png\"", path);
    if let Some(too_many) = pages.get(most) {
        report.add(
            &too_many.at,
            ErrorKind::OutOfRange,
            format!("a probe of this node has at most {most} pages"),
            "leave out some, or raise max_pages in [probe]",
        );
    }
    let pages: Vec<_> = pages.into_iter().map(|page| page.value).collect();
    (!pages.is_empty()).then_some(pages)
}

fn path(value: Value<'_>) -> Option<Found<String>> {
    let text = value.text()?;
    let fits = text.starts_with('/')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b'#')
        && text.parse::<PathAndQuery>().is_ok();
    if !fits {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" can't stand in a request line", text.escape_debug()),
            "begin with \"/\" and write all but visible ASCII as %XX; no \"#\", no space, no control \
             character",
        );
    }
    if text.len() > MAX_PATH {
        return value.refuse(
            ErrorKind::OutOfRange,
            format!("the path has {} octets", text.len()),
            format!("write at most {MAX_PATH}"),
        );
    }
    Some(value.found(text.to_owned()))
}

/// The Host header: written, or the service's name.
fn host(probe: &mut Table<'_>, context: &Context<'_>, tls: bool) -> Option<String> {
    if let Some(value) = probe.value("host") {
        let text = value.text()?;
        if !stands_in_host_header(text) {
            return value.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" can't stand in a Host header", text.escape_debug()),
                "write a host name, with :port where needed, like \"www.example.com\"",
            );
        }
        if tls && !stands_in_sni(text) {
            return value.refuse(
                ErrorKind::BadForm,
                format!(
                    "\"{}\" is neither a host name nor an address that a certificate could be for",
                    text.escape_debug()
                ),
                "write a host name, with :port where needed, like \"www.example.com\"",
            );
        }
        return Some(text.to_owned());
    }
    let name = context.service?.value.without_dot();
    if stands_in_host_header(&name) && (!tls || stands_in_sni(&name)) {
        return Some(name);
    }
    probe.missing(
        "host",
        "add host = \"www.example.com\": the service's name can't be asked for by HTTP",
    );
    None
}

fn stands_in_host_header(text: &str) -> bool {
    text.len() <= 255
        && text.bytes().all(|octet| octet.is_ascii_graphic())
        && !text.contains('@')
        && text.parse::<Authority>().is_ok()
}

fn stands_in_sni(text: &str) -> bool {
    let host = text
        .parse::<Authority>()
        .map(|authority| authority.host().to_owned());
    host.is_ok_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host).is_ok()
    })
}

fn headers(probe: &mut Table<'_>, report: &Report<'_>) -> Vec<(String, String)> {
    let Some(value) = probe.value("headers") else {
        return Vec::new();
    };
    let entries = value.entries("write headers = { X-Key = \"value\" }");
    let mut names = Vec::new();
    let mut headers = Vec::new();
    for (name, value) in entries {
        let at = value.at().clone();
        let header = header(name, &value);
        if headers.len() == MAX_HEADERS {
            report.add(
                &at,
                ErrorKind::OutOfRange,
                format!("a probe has at most {MAX_HEADERS} headers of its own"),
                "leave out some",
            );
            break;
        }
        headers.extend(header);
        names.push((at, name.to_ascii_lowercase()));
    }
    report.refuse_duplicates(names.iter().map(|(at, name)| (at, name.as_str())), |name| {
        format!("the header {}", name.escape_debug())
    });
    headers
}

fn header(name: &str, value: &Value<'_>) -> Option<(String, String)> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" can't be the name of a header", name.escape_debug()),
            "write letters, digits and hyphens, like X-Key",
        );
    };
    if RESERVED.contains(&parsed.as_str()) {
        let remedy = match parsed.as_str() {
            "host" => "remove it: the key host is for that",
            _ => "remove it: the probe does that itself, and sends no body",
        };
        return value.refuse(
            ErrorKind::Conflict,
            format!("the header {name} is not the service's to choose"),
            remedy,
        );
    }
    let text = value.text()?;
    let fits = HeaderValue::from_str(text).is_ok() && text.is_ascii();
    if !fits {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" can't stand in a header", text.escape_debug()),
            "write visible ASCII, spaces and tabs, no line break",
        );
    }
    if name.len() + text.len() > MAX_HEADER {
        return value.refuse(
            ErrorKind::OutOfRange,
            format!("the header has {} octets", name.len() + text.len()),
            format!("write at most {MAX_HEADER}, name and value together"),
        );
    }
    Some((name.to_owned(), text.to_owned()))
}

/// Sorted; 200 when the file says nothing.
fn statuses(probe: &mut Table<'_>, report: &Report<'_>) -> Vec<u16> {
    let statuses = match probe.has("status") {
        true => probe.required_list("status", "200", status),
        false => probe.list("status", status),
    };
    report.refuse_duplicates(statuses.iter().map(|(at, code)| (at, *code)), |code| {
        format!("status {code}")
    });
    let mut codes: Vec<_> = statuses.into_iter().map(|(_, code)| code).collect();
    if codes.is_empty() {
        codes.push(200);
    }
    codes.sort_unstable();
    codes
}

fn status(value: Value<'_>) -> Option<(At, u16)> {
    let code = value.number(100..=599, ", an HTTP status code")?;
    Some((value.at().clone(), u16::try_from(code).ok()?))
}

/// `body` or `body_regex`, or neither.
fn body(probe: &mut Table<'_>, report: &Report<'_>) -> Option<Match> {
    let text = probe.value("body").and_then(wanted);
    let pattern = probe.value("body_regex").and_then(regex);
    if probe.has("body") && probe.has("body_regex") {
        report.add(
            &probe.at_key("body_regex"),
            ErrorKind::Conflict,
            "body and body_regex stand here together",
            "keep one of the two",
        );
    }
    text.map(Match::Text).or(pattern.map(Match::Regex))
}

fn wanted(value: Value<'_>) -> Option<String> {
    let text = value.text()?;
    if (1..=MAX_WANTED).contains(&text.len()) {
        return Some(text.to_owned());
    }
    value.refuse(
        ErrorKind::OutOfRange,
        format!("the text has {} octets", text.len()),
        format!("write 1 to {MAX_WANTED} octets that the first page must contain"),
    )
}

fn regex(value: Value<'_>) -> Option<String> {
    let text = wanted(value.clone())?;
    match compile_body_regex(&text) {
        Ok(_) => Some(text),
        Err(error) => value.refuse(
            ErrorKind::BadForm,
            format!("the regular expression can't be used: {}", short(&error)),
            "write it as the crate regex of Rust takes it, without look-around and back references; in \
             '…' TOML leaves backslashes as they are",
        ),
    }
}

/// The last line of what regex says; the lines above it show the place in the pattern.
fn short(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn max_body(value: &Value<'_>, most: u32) -> Option<u32> {
    value.number(1..=most, " octets, the most by max_body in [probe]")
}

fn load(value: &Value<'_>) -> Option<Load> {
    let text = value.text()?;
    if text == "json" {
        return Some(Load::Json);
    }
    let name = text
        .strip_prefix("header:")
        .filter(|name| name.len() <= MAX_HEADER && HeaderName::from_bytes(name.as_bytes()).is_ok());
    match name {
        Some(name) => Some(Load::Header(name.to_owned())),
        None => value.refuse(
            ErrorKind::BadForm,
            format!(
                "\"{}\" is no place where a load could stand",
                text.escape_debug()
            ),
            "write \"header:X-Load\" with the header's name, or \"json\" for the body",
        ),
    }
}
