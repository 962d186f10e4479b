//! Words for a text that is no TOML: the parser says what it stumbled over, the line says which key
//! is meant and what was probably forgotten.

use super::{
    ConfigErrors,
    error::ErrorKind,
    report::{At, Report},
};

/// Reports every fault that the TOML parser found.
pub(super) fn report_all(report: &Report<'_>, text: &str, faults: &[toml::de::Error]) {
    for fault in faults {
        let offset = fault.span().map_or(0, |span| span.start).min(text.len());
        let at = At {
            offset,
            key: key_at(text, offset),
        };
        report.add(
            &at,
            ErrorKind::Syntax,
            format!(
                "the text is no TOML: {}",
                fault.message().replace('\n', ", ")
            ),
            remedy(line_at(text, offset).0),
        );
    }
}

/// A file that is no UTF-8; `valid` is the text before the first wrong octet.
pub(super) fn not_utf8(file: &str, valid: &str) -> ConfigErrors {
    let report = Report::new(file, valid);
    let at = At {
        offset: valid.len(),
        key: key_at(valid, valid.len()),
    };
    report.add(
        &at,
        ErrorKind::Syntax,
        "an octet that is no UTF-8",
        "save the file as UTF-8; names of the DNS are written in ASCII",
    );
    ConfigErrors(report.into_errors())
}

/// The line around `offset`, and the lines above it.
fn line_at(text: &str, offset: usize) -> (&str, &str) {
    let before = &text.as_bytes()[..offset];
    let newline = before.iter().rposition(|octet| *octet == b'\n');
    let (above, below) = text.split_at(newline.map_or(0, |at| at + 1));
    (below.lines().next().unwrap_or_default(), above)
}

/// The key path that the line at `offset` probably belongs to: the last header and the line's key.
fn key_at(text: &str, offset: usize) -> String {
    let (line, above) = line_at(text, offset);
    if let Some(own) = header(line) {
        return own.to_owned();
    }
    let table = above.lines().rev().find_map(header);
    let key = line.split_once('=').map(|(key, _)| key.trim());
    let parts: Vec<&str> = table.into_iter().chain(key).collect();
    parts.join(".")
}

/// The name in a table's header.
fn header(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?.trim_start_matches('[');
    let name = name.split([']', '#']).next()?.trim();
    (!name.is_empty()).then_some(name)
}

/// What was probably forgotten on `line`.
fn remedy(line: &str) -> String {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.starts_with('[') {
        let header = if line.starts_with("[[") {
            "[[…]]"
        } else {
            "[…]"
        };
        return format!("a table begins with its name in {header}, once; [[…]] begins one of many");
    }
    let Some((key, value)) = line.split_once('=') else {
        return "write key = value on one line".to_owned();
    };
    let (key, value) = (key.trim(), value.trim());
    if value.is_empty() {
        return format!("write a value after {key} =");
    }
    let bare = value.starts_with(|first: char| first.is_alphabetic() || first == '/');
    let number = value.starts_with(|first: char| first.is_ascii_digit());
    if (bare || number) && !value.contains('"') {
        return format!(
            "text, addresses and durations stand in double quotes: {key} = \"{value}\""
        );
    }
    if value.matches('"').count() % 2 == 1 {
        return "close the string with \"".to_owned();
    }
    "check quotes, brackets and commas, and that the key stands here only once".to_owned()
}
