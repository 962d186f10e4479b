//! Reads `[service.probe]`: how the sites of a service are probed.
//!
//! Here the types of probes, and what is the same for all; HTTP in [`http`], the pace in [`pace`].

mod http;
mod pace;

use super::{
    Probe, ProbeKind,
    error::ErrorKind,
    probe_limits::ReadLimits,
    reader::Table,
    report::{Found, Report},
    value::Value,
    words,
};
use crate::name::OwnerName;

/// The types of probes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Http,
    Https,
    Tcp,
    Icmp,
    Profile,
}

const TYPES: [(&str, Type); 5] = [
    ("http", Type::Http),
    ("https", Type::Https),
    ("tcp", Type::Tcp),
    ("icmp", Type::Icmp),
    ("profile", Type::Profile),
];

/// What of a service the reading of its probe needs.
pub(super) struct Context<'c> {
    /// The default of the Host header; `None` when it could not be read.
    pub service: Option<&'c Found<OwnerName>>,
    /// What the node allows.
    pub limits: &'c ReadLimits,
    /// The least time between two probes of a site that its budget leaves this node, seconds.
    pub fair_pause_s: f64,
}

/// Reads the probe, which must be there.
pub(super) fn read(
    table: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
) -> Option<Probe> {
    let remedy = "add a table [service.probe] with path = \"/\" below this [[service]]";
    let mut probe = table.required_table("probe", remedy)?;
    let kind = match probe.value("type") {
        None => Some(Type::Http),
        Some(value) => value.word("type of probe", &TYPES),
    };
    let pace = pace::read(&mut probe, report, context);
    let kind = match kind {
        None => {
            // Which keys belong here depends on the type.
            http::skip(&mut probe);
            for key in ["port", "profile"] {
                probe.value(key);
            }
            None
        }
        Some(kind) => read_kind(&mut probe, report, context, kind),
    };
    probe.finish(&[]);
    Some(Probe {
        kind: kind?,
        ..pace
    })
}

fn read_kind(
    probe: &mut Table<'_>,
    report: &Report<'_>,
    context: &Context<'_>,
    kind: Type,
) -> Option<ProbeKind> {
    let is_http = matches!(kind, Type::Http | Type::Https);
    if !is_http {
        http::refuse(probe);
    }
    if kind != Type::Profile {
        let why = "only a probe of type \"profile\" has a profile";
        probe.out_of_place("profile", why, "remove it, or write type = \"profile\"");
    }
    match kind {
        Type::Http | Type::Https => {
            let tls = kind == Type::Https;
            let default = if tls { 443 } else { 80 };
            let port = probe.or("port", default, port);
            http::read(probe, report, context, tls, port).map(ProbeKind::Http)
        }
        Type::Tcp => {
            let port = probe.required("port", "443", port)?;
            Some(ProbeKind::Tcp { port })
        }
        Type::Icmp | Type::Profile => {
            let why = "neither an ICMP echo nor a command of the node has a port";
            probe.out_of_place("port", why, "remove it");
            if kind == Type::Icmp {
                return Some(ProbeKind::Icmp);
            }
            let name = probe.required("profile", "\"database\"", |value| value.found_text())?;
            let profile = profile(report, &name, context.limits)?;
            Some(ProbeKind::Command { profile })
        }
    }
}

fn profile(report: &Report<'_>, name: &Found<&str>, limits: &ReadLimits) -> Option<usize> {
    let profiles = &limits.limits.profiles;
    let found = profiles.iter().position(|known| known.name == name.value);
    if found.is_none() && limits.are_complete {
        let known: Vec<_> = profiles.iter().map(|known| known.name.as_str()).collect();
        report.add(
            &name.at,
            ErrorKind::Conflict,
            format!(
                "this node has no [[probe.profile]] with the name \"{}\"",
                name.value.escape_debug()
            ),
            words::remedy(name.value, &known),
        );
    }
    found
}

fn port(value: Value<'_>) -> Option<u16> {
    let number = value.number(1..=u32::from(u16::MAX), "")?;
    u16::try_from(number).ok()
}
