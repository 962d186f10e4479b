//! The two tables of the demo: what the clients see and why, and who answered.

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle,
};

use super::{
    report::{self, XDP_ROWS},
    watch::{ClientLine, View},
};
use crate::lab::client::{Form, Observation};

/// A rule below the header and nothing else: a live picture has room for few lines.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What the clients see.
pub fn clients(view: &View, width: usize, colour: bool) -> String {
    let mut table = table(width, colour);
    table.set_header(header(&[
        "client", "asks for", "resolver", "DNS-LB", "site", "why", "page",
    ]));
    for line in &view.clients {
        let asks = match line.service.form {
            Form::Referral => format!("{} (form R)", line.service.asked),
            Form::Cname => format!("{} (form C)", line.service.asked),
        };
        let mut cells = vec![
            Cell::new(&line.client),
            Cell::new(asks),
            Cell::new(&line.resolver),
        ];
        cells.extend(match &line.seen {
            Ok(seen) => [
                Cell::new(&seen.dns_lb).fg(Color::Cyan),
                Cell::new(seen.site)
                    .fg(Color::Green)
                    .add_attribute(Attribute::Bold),
                Cell::new(why(view, line, seen)),
                page(seen),
            ],
            Err(error) => [
                Cell::new("?"),
                Cell::new("?"),
                Cell::new(error).fg(Color::Yellow),
                Cell::new(""),
            ],
        });
        table.add_row(cells);
    }
    table.to_string()
}

/// Who answered: XDP or user space, by row of the answer table.
pub fn rows(view: &View, width: usize, colour: bool) -> String {
    let mut table = table(width, colour);
    table.set_header(header(&["answers of", "row", "in XDP", "in user space"]));
    for row in report::rows(&view.nodes) {
        let claimed = XDP_ROWS.contains(&(row.role.as_str(), row.row.as_str()));
        let (xdp, user) = match claimed {
            true if row.user > 0 => (Color::Green, Color::Red),
            true => (Color::Green, Color::Grey),
            false => (Color::Grey, Color::Grey),
        };
        table.add_row([
            Cell::new(&row.role),
            Cell::new(&row.row),
            number(row.xdp).fg(xdp),
            number(row.user).fg(user),
        ]);
    }
    table.to_string()
}

/// The order of the sites, as the DNS-LB measured it.
fn why(view: &View, line: &ClientLine, seen: &Observation) -> String {
    let Some(node) = view.nodes.iter().find(|node| node.node == seen.dns_lb) else {
        return String::new();
    };
    let sites = node.sites_of(line.service.balanced);
    let sites = sites
        .iter()
        .map(|site| match (site.state.as_str(), site.time_ms) {
            ("up", Some(time)) if site.site == seen.site => format!("{time:.0} ms"),
            ("up", Some(time)) => format!("{} {time:.0} ms", site.site),
            (state, _) => format!("{} {state}", site.site),
        });
    sites.collect::<Vec<_>>().join(", ")
}

fn page(seen: &Observation) -> Cell {
    match seen.page_ok {
        true => Cell::new(format!("✓ {} ms", seen.page_ms)).fg(Color::Green),
        false => Cell::new("✗ of another site").fg(Color::Red),
    }
}

fn table(width: usize, colour: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(width).unwrap_or(u16::MAX));
    match colour {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

fn header(titles: &[&str]) -> Vec<Cell> {
    let bold = |title: &&str| Cell::new(title).add_attribute(Attribute::Bold);
    titles.iter().map(bold).collect()
}

fn number(value: u64) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}
