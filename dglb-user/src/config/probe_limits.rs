//! Reads `[probe]`: what this node allows of probes, whatever a service wants.

use std::{path::Path, time::Duration};

use super::{
    ProbeLimits, Profile,
    error::ErrorKind,
    names::{self, Account},
    reader::Table,
    report::{Found, Report},
    value::Value,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The most that `max_body` may be: so much a probe under way may hold in memory.
const MAX_BODY: u32 = 1 << 24;
/// The most that `max_pages` may be: a probe's definition must fit into one message to the probing process.
const MAX_PAGES: u32 = 16;
/// The most that `concurrency` may be: each probe has a socket, and a source has no more ports.
const MAX_CONCURRENCY: u32 = 60_000;
/// Octets of all words of a command, and how often words of the service stand in them: for the same
/// reason as [`MAX_PAGES`].
const MAX_COMMAND: usize = 4096;
const MAX_PLACEHOLDERS: usize = 8;
/// What is replaced in a command.
const PLACEHOLDERS: [&str; 2] = ["{address}", "{service}"];

/// The limits, and whether what services name of them could all be read.
pub(super) struct ReadLimits {
    /// What is allowed.
    pub limits: ProbeLimits,
    /// Whether `allow` and the profiles have no mistake: else what is not in them may have been meant.
    pub are_complete: bool,
}

/// Reads the table, which may be absent.
pub(super) fn read(root: &mut Table<'_>, report: &Report<'_>) -> ReadLimits {
    let standard = ProbeLimits::default();
    let Some(mut table) = root.table("probe") else {
        return ReadLimits {
            limits: standard,
            are_complete: !root.has("probe"),
        };
    };
    let user = table.or("user", standard.user, user);
    let min_interval = table.or("min_interval", standard.min_interval, floor);
    let min_retry = table.or("min_retry", standard.min_retry, floor);
    let max_body = table.or("max_body", standard.max_body, |value| {
        value.number(1..=MAX_BODY, ", octets")
    });
    let max_pages = table.or("max_pages", standard.max_pages, |value| {
        Some(value.number(1..=MAX_PAGES, "")? as usize)
    });
    let concurrency = table.or("concurrency", standard.concurrency, |value| {
        Some(value.number(1..=MAX_CONCURRENCY, "")? as usize)
    });
    let ca_file = table.or("ca_file", None, |value| value.absolute_path().map(Some));
    let before = report.count();
    let allow = table.list("allow", |item| Some(item.found(item.network()?)));
    report.refuse_duplicates(allow.iter().map(|net| (&net.at, net.value)), |net| {
        format!("prefix {net}")
    });
    let profiles = profiles(&mut table, report);
    let are_complete = report.count() == before;
    table.finish(&[]);
    ReadLimits {
        limits: ProbeLimits {
            user,
            allow: allow.into_iter().map(|net| net.value).collect(),
            min_interval,
            min_retry,
            max_body,
            max_pages,
            concurrency,
            ca_file,
            profiles,
        },
        are_complete,
    }
}

fn user(value: Value<'_>) -> Option<String> {
    let name = names::account(&value, Account::User)?;
    if name != "root" {
        return Some(name);
    }
    value.refuse(
        ErrorKind::OutOfRange,
        "the probing process speaks with strangers: it must not be root",
        "write an account without rights, like \"nobody\"",
    )
}

fn floor(value: Value<'_>) -> Option<Duration> {
    value.duration(MILLISECOND..=HOUR)
}

fn profiles(table: &mut Table<'_>, report: &Report<'_>) -> Vec<Profile> {
    let (mut names, mut profiles) = (Vec::new(), Vec::new());
    for mut profile in table.tables("profile") {
        let name = profile.required("name", "\"database\"", |value| {
            names::for_people(value, "profile")
        });
        let example = "\"/usr/lib/dglb/check\", \"{address}\"";
        let before = report.count();
        let command = profile.required_list("command", example, word);
        if report.count() == before {
            check_command(report, &command);
        }
        profile.finish(&[]);
        if let Some(name) = &name {
            profiles.push(Profile {
                name: name.value.to_owned(),
                command: command
                    .into_iter()
                    .map(|word| word.value.to_owned())
                    .collect(),
            });
        }
        names.extend(name);
    }
    report.refuse_duplicates(names.iter().map(|name| (&name.at, name.value)), |name| {
        format!("the probe profile \"{name}\"")
    });
    profiles
}

fn word<'d>(value: Value<'d>) -> Option<Found<&'d str>> {
    let word = value.found_text()?;
    if !word.value.contains(char::is_control) {
        return Some(word);
    }
    value.refuse(
        ErrorKind::BadForm,
        "a control character stands in a word of a command",
        "write each argument as a string of its own, without control characters",
    )
}

fn check_command(report: &Report<'_>, command: &[Found<&str>]) {
    let Some(program) = command.first() else {
        return;
    };
    if !Path::new(program.value).is_absolute() {
        report.add(
            &program.at,
            ErrorKind::BadForm,
            format!(
                "\"{}\" is not an absolute path",
                program.value.escape_debug()
            ),
            "write the program's path from the root, it begins with \"/\"; no shell looks for it",
        );
    }
    let (mut octets, mut placeholders) = (0, 0);
    for word in command {
        octets += word.value.len();
        for placeholder in placeholders_of(word.value) {
            placeholders += 1;
            if !PLACEHOLDERS.contains(&placeholder) {
                report.add(
                    &word.at,
                    ErrorKind::OutOfRange,
                    format!("nothing is put in the place of {placeholder}"),
                    "write {address} for the address that is probed, {service} for the balanced name",
                );
            }
        }
    }
    if octets > MAX_COMMAND || placeholders > MAX_PLACEHOLDERS {
        report.add(
            &program.at,
            ErrorKind::OutOfRange,
            format!("the command has {octets} octets and {placeholders} words in braces"),
            format!(
                "write at most {MAX_COMMAND} octets and {MAX_PLACEHOLDERS} words in braces; what is \
                 longer belongs into the program"
            ),
        );
    }
}

/// What looks like a placeholder: lower-case letters and underscores in braces.
fn placeholders_of(word: &str) -> impl Iterator<Item = &str> {
    word.match_indices('{').filter_map(|(start, _)| {
        let len = word[start + 1..].find('}')?;
        let inner = &word[start + 1..start + 1 + len];
        let is_name = !inner.is_empty()
            && inner
                .bytes()
                .all(|octet| octet.is_ascii_lowercase() || octet == b'_');
        is_name.then(|| &word[start..start + len + 2])
    })
}
