//! Collects what is wrong while a file is read, and turns offsets into lines.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use super::error::{ConfigError, ErrorKind};
use crate::columns::printable;

/// A place in the file: where it begins and by which key one gets there.
#[derive(Clone, Debug)]
pub(super) struct At {
    /// Offset in octets.
    pub offset: usize,
    /// Path of the key.
    pub key: String,
}

/// A value and its place, kept for checks that need several values.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    /// Where.
    pub at: At,
    /// What.
    pub value: T,
}

/// The errors found so far in one file.
pub(super) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
    /// Every key that was asked for, without indices: what the configuration accepts.
    #[cfg(test)]
    pub asked: RefCell<std::collections::BTreeSet<String>>,
}

impl<'t> Report<'t> {
    /// Nothing found yet in `text`, which `file` contains.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        let after_newline = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(after_newline).collect(),
            errors: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Notes that `what` is wrong `at` some place, and what would be right.
    pub fn add(
        &self,
        at: &At,
        kind: ErrorKind,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (line, column) = self.position(at.offset);
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            // What a file contains must not move a terminal's cursor, and each error stays on one line.
            key: printable(&at.key),
            kind,
            message: printable(&message.into()),
            remedy: printable(&remedy.into()),
        });
    }

    /// How many errors were found so far; when it did not grow, what was read since is complete.
    pub fn count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Line and column of an offset, both from 1.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        let column = match self.text.get(start..offset) {
            Some(before) => before.chars().count() + 1,
            None => 1,
        };
        (line, column)
    }

    /// Reports each item that is equal to an earlier one. `what` names one, like "the site \"a\"".
    pub fn refuse_duplicates<'a, T: Hash + Eq>(
        &self,
        items: impl IntoIterator<Item = (&'a At, T)>,
        what: impl Fn(&T) -> String,
    ) {
        let mut first = HashMap::new();
        for (at, item) in items {
            match first.entry(item) {
                Entry::Vacant(entry) => {
                    entry.insert(at.offset);
                }
                Entry::Occupied(entry) => {
                    let (line, _) = self.position(*entry.get());
                    self.add(
                        at,
                        ErrorKind::Duplicate,
                        format!("{} stands here a second time", what(entry.key())),
                        format!("keep one of the two; the first is on line {line}"),
                    );
                }
            }
        }
    }

    /// The errors in the order of the lines.
    pub fn into_errors(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| (error.line, error.column));
        errors
    }
}
