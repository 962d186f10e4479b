//! The figures drawn, for docs/performance.md: a row a measure, its bar marked. Colours are chosen to be
//! read on a light and on a dark page.

use std::fmt::Write as _;

use super::{
    bars::{self, Bar},
    report::{Figures, Report},
};

/// Sizes in pixels.
const WIDTH: f64 = 760.0;
const ROW: f64 = 26.0;
const TOP: f64 = 58.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 190.0;
const LENGTH: f64 = 440.0;

const STYLE: &str = "<style>\n\
    text { font: 13px system-ui, sans-serif; fill: #3b434b }\n\
    .value { fill: #3b82c4 } .frame { fill: #8b949e; fill-opacity: 0.25 }\n\
    .must { stroke: #d1603d; stroke-width: 3 } .aim { stroke: #2f9e6e; stroke-width: 3 }\n\
    @media (prefers-color-scheme: dark) { text { fill: #d5dbe1 } .value { fill: #58a6ff } }\n\
    </style>\n";

/// What a row shows.
struct Row {
    name: String,
    value: f64,
    must: f64,
    aim: f64,
    /// The value that the whole length stands for.
    whole: f64,
    text: String,
}

/// The picture, an SVG document.
pub fn draw(report: &Report) -> String {
    let rows: Vec<Row> = report.measures.iter().filter_map(row).collect();
    let height = TOP + ROW * rows.len() as f64 + 14.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Figures of the benchmark\">\n{STYLE}"
    );
    let title = format!(
        "Linux {}, {} XDP on veth; the bare reflector: {:.2} Mpps",
        report.kernel, report.mode, report.reflector_mpps
    );
    text(&mut svg, 8.0, 20.0, &title);
    legend(&mut svg);
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut svg, row, TOP + ROW * index as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A row of a measure that has a bar.
fn row(figures: &Figures) -> Option<Row> {
    let name = figures.name.to_owned();
    Some(match bars::of(figures.name)? {
        Bar::Share { must, aim } => {
            let value = figures.share?;
            let net = figures.net_ns?;
            let text = format!("{:.1} %, +{net:.0} ns", value * 100.0);
            Row {
                name,
                value,
                must,
                aim,
                whole: 1.0,
                text,
            }
        }
        Bar::Net { must, aim } => {
            let value = figures.net_ns?;
            let text = format!("{value:.1} ns");
            Row {
                name,
                value,
                must,
                aim,
                whole: 100.0,
                text,
            }
        }
        Bar::AtLeast { must, aim } | Bar::AtMost { must, aim } => {
            let value = figures.share?;
            let text = format!("{value:.2}");
            Row {
                name,
                value,
                must,
                aim,
                whole: 2.5,
                text,
            }
        }
    })
}

fn draw_row(svg: &mut String, row: &Row, top: f64) {
    let at = |value: f64| (value / row.whole).clamp(0.0, 1.0) * LENGTH;
    text(svg, 8.0, top + 15.0, &row.name);
    rectangle(svg, "frame", top + 3.0, LENGTH);
    rectangle(svg, "value", top + 3.0, at(row.value));
    mark(svg, "must", LEFT + at(row.must), top);
    mark(svg, "aim", LEFT + at(row.aim), top);
    text(svg, LEFT + LENGTH + 10.0, top + 15.0, &row.text);
}

fn legend(svg: &mut String) {
    for (class, x, meaning) in [
        ("must", LEFT, "must be reached"),
        ("aim", LEFT + 150.0, "aim"),
    ] {
        mark(svg, class, x, 30.0);
        text(svg, x + 8.0, 45.0, meaning);
    }
}

fn rectangle(svg: &mut String, class: &str, y: f64, width: f64) {
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" rx=\"2\"/>"
    );
}

fn mark(svg: &mut String, class: &str, x: f64, top: f64) {
    let (from, to) = (top + 1.0, top + 21.0);
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{from}\" x2=\"{x:.1}\" y2=\"{to}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\">{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_with_a_bar_has_a_row() {
        let measures = vec![
            Figures::share("lb-a", &[50.0], &[100.0]),
            Figures::net("net-answer", &[50.0], &[250.0]),
            Figures::ratio("worst-name", &[1.5]),
            Figures::ratio("nobody-knows", &[1.5]),
        ];
        let svg = draw(&Report::new("6.1<".to_owned(), &[50.0], measures));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for shown in [
            "lb-a",
            "50.0 %, +50 ns",
            "200.0 ns",
            "worst-name",
            "Linux 6.1&lt;",
        ] {
            assert!(svg.contains(shown), "{shown}: {svg}");
        }
        assert!(!svg.contains("nobody-knows"));
        // What is longer than the whole ends at it.
        assert_eq!(
            svg.matches("class=\"value\" x=\"190\" y=\"87\" width=\"440.0\"")
                .count(),
            1
        );
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let mut figures = Figures::share("lb-a", &[50.0], &[100.0]);
        figures.share = None;
        let svg = draw(&Report::new("6.1".to_owned(), &[50.0], vec![figures]));
        assert!(!svg.contains("lb-a"));
    }
}
