//! Tables of text for people: each column as wide as its widest cell.
//!
//! What sites and operators wrote may stand in a cell: control characters are shown, not sent to the
//! terminal.

use std::io::{self, Write};

/// On which side a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table that is being put together.
#[derive(Debug)]
pub struct Columns {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// With these headings.
    pub fn new<const N: usize>(headings: [(&str, Side); N]) -> Self {
        Self {
            sides: headings.iter().map(|(_, side)| *side).collect(),
            rows: vec![headings.iter().map(|(text, _)| (*text).into()).collect()],
        }
    }

    /// A row; cells that are missing at its end are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| printable(&cell));
        self.rows.push(cells.collect());
    }

    /// Writes headings and rows, each line behind `indent`; no line ends in blanks.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, indent: &str, out: &mut dyn Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.sides.len()).map(width).collect();
        for row in &self.rows {
            let mut line = indent.to_owned();
            for ((cell, width), side) in row.iter().zip(&widths).zip(&self.sides) {
                match side {
                    Side::Left => line += &format!("{cell:<width$}  "),
                    Side::Right => line += &format!("{cell:>width$}  "),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The same text without control characters: in their place stands what they would be written as.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A number with `decimals`, or `-` where there is none.
pub fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(columns: &Columns) -> String {
        let mut out = Vec::new();
        columns.write("  ", &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_as_wide_as_they_must() {
        let mut columns =
            Columns::new([("site", Side::Left), ("ms", Side::Right), ("", Side::Left)]);
        columns.row([
            "frankfurt".into(),
            number(Some(1.25), 1),
            "düsseldorf too".into(),
        ]);
        columns.row(["a".into(), number(None, 1)]);
        assert_eq!(
            text(&columns),
            "  site        ms\n  frankfurt  1.2  düsseldorf too\n  a            -\n"
        );
    }

    #[test]
    fn a_reason_can_not_move_the_cursor() {
        let mut columns = Columns::new([("reason", Side::Left)]);
        columns.row(["a\u{1b}[2Jb\nc".into()]);
        assert_eq!(text(&columns), "  reason\n  a\\u{1b}[2Jb\\nc\n");
    }
}
