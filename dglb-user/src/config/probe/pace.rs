//! How often a site is probed, and how many results make it up or down.

use std::time::Duration;

use super::Context;
use crate::config::{
    Probe, ProbeKind, error::ErrorKind, reader::Table, report::Report, value::Value,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
/// Failures or successes in a row that may be asked for: more would take days.
const MAX_IN_A_ROW: u32 = 1000;

/// Reads the keys of the pace. The kind of the probe is to be filled in.
pub(super) fn read(probe: &mut Table<'_>, report: &Report<'_>, context: &Context<'_>) -> Probe {
    let limits = &context.limits.limits;
    let standard = Probe::new(ProbeKind::Icmp);
    let interval = probe.or("interval", standard.interval.max(limits.min_interval), span);
    let timeout = probe.or("timeout", standard.timeout, span);
    let retry = probe.or("retry", standard.retry.max(limits.min_retry), span);
    let fall = probe.or("fall", standard.fall, in_a_row);
    let rise = probe.or("rise", standard.rise, in_a_row);
    let max_age = probe.or("max_age", None, |value| span(value).map(Some));
    let idle_after = probe.or("idle_after", None, |value| span(value).map(Some));
    let idle_interval = probe.or("idle_interval", standard.idle_interval.max(interval), span);
    let read = Probe {
        interval,
        timeout,
        retry,
        fall,
        rise,
        max_age,
        idle_after,
        idle_interval,
        ..standard
    };
    check_floors(probe, report, context, &read);
    if interval < timeout && interval >= limits.min_interval {
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
                text(interval),
                text(timeout)
            ),
            "make interval at least as long as timeout",
        );
    }
    if idle_interval < interval {
        report.add(
            &probe.at_key("idle_interval"),
            ErrorKind::Conflict,
            format!(
                "the idle_interval of {} is shorter than the interval of {}: a site that nobody asks for \
                 would be probed more often",
                text(idle_interval),
                text(interval)
            ),
            "make idle_interval at least as long as interval",
        );
    }
    read
}

/// A service can't make the node probe quicker than the node allows.
fn check_floors(probe: &Table<'_>, report: &Report<'_>, context: &Context<'_>, read: &Probe) {
    let limits = &context.limits.limits;
    let floors = [
        (
            "interval",
            read.interval,
            limits.min_interval,
            "min_interval",
        ),
        ("retry", read.retry, limits.min_retry, "min_retry"),
    ];
    for (key, span, floor, limit) in floors {
        if span < floor {
            report.add(
                &probe.at_key(key),
                ErrorKind::OutOfRange,
                format!("{} is quicker than this node probes", text(span)),
                format!(
                    "write at least \"{}\", or lower {limit} in [probe]",
                    text(floor)
                ),
            );
        }
    }
    let Some(max_age) = read.max_age else {
        return;
    };
    // A query each time the measurement is too old makes it a second interval.
    if max_age < limits.min_interval {
        report.add(
            &probe.at_key("max_age"),
            ErrorKind::OutOfRange,
            format!(
                "with a max_age of {} queries would make this node probe quicker than it does",
                text(max_age)
            ),
            format!(
                "write at least \"{}\", or lower min_interval in [probe]",
                text(limits.min_interval)
            ),
        );
    } else if max_age.as_secs_f64() < context.fair_pause_s {
        report.add(
            &probe.at_key("max_age"),
            ErrorKind::Conflict,
            format!(
                "with a max_age of {} queries would make the vantages probe a site more often than its \
                 budget allows, once in {} s by each",
                text(max_age),
                context.fair_pause_s
            ),
            "make max_age at least vantages / budget seconds, or raise budget",
        );
    }
}

fn text(span: Duration) -> impl std::fmt::Display {
    humantime::format_duration(span)
}

fn span(value: Value<'_>) -> Option<Duration> {
    value.duration(MILLISECOND..=DAY)
}

fn in_a_row(value: Value<'_>) -> Option<u32> {
    value.number(1..=MAX_IN_A_ROW, "")
}
