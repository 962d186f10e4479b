//! Reads tables of a parsed TOML file key by key, and reports what it finds wrong.
//!
//! serde would stop at the first mistake, and a mistake's remedy depends on the place; so the tables
//! are walked by hand: each section of the configuration asks for its keys, and what nobody asked for
//! is unknown. The list of accepted keys thus stands nowhere twice.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::ErrorKind,
    report::{At, Report},
    value::{Value, written_key},
    words,
};

/// One table of the file.
pub(super) struct Table<'d> {
    report: &'d Report<'d>,
    entries: &'d DeTable<'d>,
    at: At,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
}

impl<'d> Table<'d> {
    /// The table of the whole file.
    pub fn root(report: &'d Report<'d>, entries: &'d DeTable<'d>) -> Self {
        let at = At {
            offset: 0,
            key: String::new(),
        };
        Self::new(report, entries, at)
    }

    fn new(report: &'d Report<'d>, entries: &'d DeTable<'d>, at: At) -> Self {
        Self {
            report,
            entries,
            at,
            known: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Where the table begins.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Where `key` of this table stands, or the table when it is absent.
    pub fn at_key(&self, key: &str) -> At {
        let offset = self
            .entries
            .get_key_value(key)
            .map_or(self.at.offset, |(_, value)| value.span().start);
        At {
            offset,
            key: self.path(key),
        }
    }

    /// Whether `key` stands in the table, of whatever type.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether `key` is a list without items.
    pub fn is_empty_list(&self, key: &str) -> bool {
        let value = self.entries.get(key).map(Spanned::get_ref);
        value
            .and_then(DeValue::as_array)
            .is_some_and(|items| items.is_empty())
    }

    /// The value of `key`, if it is there.
    pub fn value(&mut self, key: &'static str) -> Option<Value<'d>> {
        #[cfg(test)]
        self.note_asked(key);
        self.entry(key)
    }

    /// What `read` makes of the value of `key`; `default` when it is absent. When the value is wrong
    /// it is reported, and the default stands in so that reading can go on.
    pub fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Value<'d>) -> Option<T>,
    ) -> T {
        self.value(key).and_then(read).unwrap_or(default)
    }

    /// What `read` makes of the value of `key`, which must be there: `example` shows how it would be
    /// written.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Value<'d>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(key, &format!("add {key} = {example}"));
        }
        value.and_then(read)
    }

    /// The items of the list `key`, made by `read`; wrong items are reported and left out.
    pub fn list<T>(&mut self, key: &'static str, read: impl Fn(Value<'d>) -> Option<T>) -> Vec<T> {
        let items = self.value(key).map(|value| value.items());
        items.into_iter().flatten().filter_map(read).collect()
    }

    /// The list `key`, which must be there with at least one item.
    pub fn required_list<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(Value<'d>) -> Option<T>,
    ) -> Vec<T> {
        match self.entry(key) {
            None => self.missing(key, &format!("add {key} = [{example}]")),
            Some(value) if value.is_empty_list() => self.report.add(
                value.at(),
                ErrorKind::OutOfRange,
                "the list is empty, at least one item is needed",
                format!("write {key} = [{example}]"),
            ),
            Some(_) => {}
        }
        self.list(key, read)
    }

    /// The table `key`, if it is there.
    pub fn table(&mut self, key: &'static str) -> Option<Self> {
        let value = self.entry(key)?;
        let header = format!("[{}]", plain(&self.path(key)));
        let entries = value.table(&format!("write {header}, or {key} = {{ … }}"))?;
        Some(Self::new(self.report, entries, value.at().clone()))
    }

    /// The table `key`, which must be there: `remedy` says how it would be written.
    pub fn required_table(&mut self, key: &'static str, remedy: &str) -> Option<Self> {
        if !self.has(key) {
            self.missing(key, remedy);
        }
        self.table(key)
    }

    /// The tables `[[key]]`; none when there are none.
    pub fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.entry(key) else {
            return Vec::new();
        };
        let header = format!("[[{}]]", plain(&self.path(key)));
        let remedy = format!("write {header}, once for each");
        if value.table_quietly().is_some() {
            self.report.add(
                value.at(),
                ErrorKind::WrongType,
                format!(
                    "one table [{}], but there may be several",
                    plain(&self.path(key))
                ),
                remedy,
            );
            return Vec::new();
        }
        let items = value.items();
        items
            .into_iter()
            .filter_map(|item| {
                let entries = item.table(&remedy)?;
                Some(Self::new(self.report, entries, item.at().clone()))
            })
            .collect()
    }

    /// Refuses `key`, a known one, if it stands here beside what it does not fit to.
    pub fn out_of_place(&mut self, key: &'static str, why: &str, remedy: &str) {
        if self.value(key).is_some() {
            self.report
                .add(&self.at_key(key), ErrorKind::Conflict, why, remedy);
        }
    }

    /// Notes that `key` must be there and is not; [`finish`](Self::finish) reports it.
    pub fn missing(&mut self, key: &'static str, remedy: &str) {
        self.missing.push((key, remedy.to_owned()));
    }

    /// Ends the reading: reports every key that nobody asked for, and those that are missing.
    /// `elsewhere` tells for some unknown keys where they would belong. A misspelt key is one error,
    /// so the key that was probably meant does not count as missing too.
    pub fn finish(mut self, elsewhere: &[(&str, &str)]) {
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let told = elsewhere.iter().find(|(other, _)| *other == name);
            let meant = self.nearest(name);
            let remedy = match (told, meant) {
                (Some((_, remedy)), _) => (*remedy).to_owned(),
                (None, Some(meant)) => format!("did you mean \"{meant}\"?"),
                (None, None) => format!("accepted here: {}", self.known.join(", ")),
            };
            if told.is_none() {
                self.missing.retain(|(missing, _)| Some(*missing) != meant);
            }
            let at = At {
                offset: key.span().start,
                key: self.path(name),
            };
            let message = format!("unknown key \"{}\"", name.escape_debug());
            self.report.add(&at, ErrorKind::UnknownKey, message, remedy);
        }
        self.finish_loosely();
    }

    /// Ends the reading of a table whose keys are not all known: reports only those that are missing.
    pub fn finish_loosely(self) {
        let place = match self.at.key.as_str() {
            "" => String::new(),
            table => format!(" in {}", plain(table)),
        };
        for (key, remedy) in &self.missing {
            let at = At {
                offset: self.at.offset,
                key: self.path(key),
            };
            let message = format!("the key is missing{place}");
            self.report.add(&at, ErrorKind::MissingKey, message, remedy);
        }
    }

    /// The known key that is most like `name`, if one is like it at all.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        words::nearest(&name.replace('-', "_"), self.known.iter().copied())
    }

    fn entry(&mut self, key: &'static str) -> Option<Value<'d>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value: &'d Spanned<DeValue<'d>> = self.entries.get(key)?;
        Some(Value::new(self.report, value, self.path(key)))
    }

    fn path(&self, key: &str) -> String {
        let key = written_key(key);
        match self.at.key.as_str() {
            "" => key,
            table => format!("{table}.{key}"),
        }
    }

    #[cfg(test)]
    fn note_asked(&self, key: &str) {
        let path = plain(&self.path(key));
        self.report.asked.borrow_mut().insert(path);
    }
}

/// A key path without indices, as it stands in a table's header.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(Range { start, end }) = index(rest) {
        plain.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    plain + rest
}

/// Where the first index like `[12]` stands.
fn index(path: &str) -> Option<Range<usize>> {
    let start = path.find('[')?;
    let end = start + path[start..].find(']')? + 1;
    Some(start..end)
}
