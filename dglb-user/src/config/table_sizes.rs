//! Reads `[tables]`: sizes of tables that a node may have otherwise; and refuses what exceeds those that
//! are fixed.

use super::{
    error::ErrorKind,
    reader::Table,
    report::{At, Report},
};
use crate::capacity::{DEFAULT_RESOLVERS, MAX_RESOLVERS, TableFull};

/// The number of resolvers; the table may be absent.
pub(super) fn read(root: &mut Table<'_>) -> u32 {
    let Some(mut table) = root.table("tables") else {
        return DEFAULT_RESOLVERS;
    };
    let resolvers = table.or("resolvers", DEFAULT_RESOLVERS, |value| {
        value.number(1..=MAX_RESOLVERS, "; the table takes that memory at once")
    });
    table.finish(&[]);
    resolvers
}

/// Reports the first of `items` that a table of `size` has no room for.
pub(super) fn refuse_overflow<'a>(
    report: &Report<'_>,
    mut items: impl ExactSizeIterator<Item = &'a At>,
    size: usize,
    full: impl Fn(usize) -> TableFull,
) {
    let needed = items.len();
    if let Some(first_too_many) = items.nth(size) {
        refuse(report, first_too_many, full(needed));
    }
}

/// Reports a table that is too small for what stands `at` a place.
pub(super) fn refuse(report: &Report<'_>, at: &At, full: TableFull) {
    report.add(at, ErrorKind::OutOfRange, full.message(), full.remedy());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_has_no_room_is_named_with_all_that_are_needed() {
        let report = Report::new("node.toml", "one\ntwo\nthree\nfour\n");
        let at = |offset| At {
            offset,
            key: format!("dns_lb[{offset}]"),
        };
        let places = [at(0), at(4), at(8), at(14)];
        let full = |needed| TableFull::Vantages { needed };
        refuse_overflow(&report, places.iter(), 4, full);
        refuse_overflow(&report, places[..0].iter(), 0, full);
        assert_eq!(report.count(), 0);
        refuse_overflow(&report, places.iter(), 2, full);
        let errors = report.into_errors();
        assert_eq!((errors.len(), errors[0].line), (1, 3));
        assert!(
            errors[0].message.contains("4 are needed"),
            "{:?}",
            errors[0]
        );
    }
}
