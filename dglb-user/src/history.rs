//! `dglb history`: what was measured of a site in the last hours, as a small plot, and when it changed its
//! state and why.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    columns::{Columns, Side, printable},
    config::Config,
    control::{
        client,
        protocol::{History, HistorySpan, Reply, Request},
    },
    policy::State,
    timestamp,
};

/// Columns of a plot where there is no terminal to ask.
const USUAL_WIDTH: usize = 80;
/// In front of each line of a plot.
const MARGIN: usize = 9;
/// A plot that is narrower says nothing.
const NARROWEST: usize = 10;

/// Asks the daemon of the node that `path` describes, and prints what it says.
///
/// # Errors
/// The file is wrong, no daemon runs, or it does not know the site.
pub fn run(
    path: &Path,
    site: &str,
    service: Option<&str>,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let node = Config::load(path)?.node;
    let request = Request::History {
        site: site.to_owned(),
        service: client::service(service)?,
    };
    let histories = match client::ask(&node, &request)? {
        Reply::History(histories) => histories,
        other => return Err(client::unexpected(&node, &other).into()),
    };
    if json {
        serde_json::to_writer_pretty(&mut *out, &histories)?;
        writeln!(out)?;
        return Ok(());
    }
    let width = terminal_width().unwrap_or(USUAL_WIDTH);
    for (index, history) in histories.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        print(history, width, SystemTime::now(), out)?;
    }
    Ok(())
}

/// Columns of the terminal that standard output is.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

fn print(history: &History, width: usize, now: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let History {
        service,
        site,
        address,
        ..
    } = history;
    let (service, site) = (printable(service), printable(site));
    writeln!(out, "{site} of {service}, {address}")?;
    match Plot::of(history, width.saturating_sub(MARGIN).max(NARROWEST)) {
        Some(plot) => plot.write(out)?,
        None => writeln!(out, "  nothing was measured yet")?,
    }
    if history.changes.is_empty() {
        return writeln!(out, "  no change of state is known");
    }
    let mut columns = Columns::new([
        ("changed", Side::Left),
        ("", Side::Left),
        ("to", Side::Left),
        ("reason", Side::Left),
    ]);
    for change in &history.changes {
        columns.row([
            timestamp::text(change.at),
            timestamp::ago(change.at, now),
            change.state.to_string(),
            change.reason.clone(),
        ]);
    }
    columns.write("  ", out)
}

/// One column of a plot: the spans that fall into it.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    probes: u32,
    failed: u32,
    /// Sum over the probes that succeeded.
    total_ms: f64,
    succeeded: u32,
    worst: Option<State>,
}

impl Column {
    fn add(&mut self, span: &HistorySpan) {
        self.probes += span.probes;
        self.failed += span.failed;
        if let Some(latency) = span.latency_ms {
            let succeeded = span.probes.saturating_sub(span.failed).max(1);
            self.total_ms += latency * f64::from(succeeded);
            self.succeeded += succeeded;
        }
        let worst = self
            .worst
            .filter(|worst| badness(*worst) >= badness(span.state));
        self.worst = worst.or(Some(span.state));
    }

    fn latency_ms(&self) -> Option<f64> {
        (self.succeeded > 0).then(|| self.total_ms / f64::from(self.succeeded))
    }

    fn loss_percent(&self) -> Option<f64> {
        (self.probes > 0).then(|| 100.0 * f64::from(self.failed) / f64::from(self.probes))
    }
}

/// A short outage is seen in a column that spans more.
fn badness(state: State) -> u8 {
    match state {
        State::Up => 0,
        State::Unknown => 1,
        State::Degraded => 2,
        State::Drained => 3,
        State::Down => 4,
    }
}

/// How a state stands in the plot.
fn letter(state: State) -> char {
    match state {
        State::Up => '+',
        State::Unknown => '?',
        State::Degraded => '~',
        State::Drained => 'd',
        State::Down => 'x',
    }
}

/// A history as wide as there is room.
struct Plot {
    columns: Vec<Column>,
    from: SystemTime,
    to: SystemTime,
}

impl Plot {
    /// `None`: there are no spans.
    fn of(history: &History, width: usize) -> Option<Self> {
        let (first, last) = (history.spans.first()?, history.spans.last()?);
        let span = Duration::from_secs(u64::from(history.span_s.max(1)));
        let place = |start: SystemTime| {
            let after = start.duration_since(first.start).unwrap_or_default();
            (after.as_secs() / span.as_secs()) as usize
        };
        let places = place(last.start) + 1;
        let width = places.min(width);
        let mut columns = vec![Column::default(); width];
        for span in &history.spans {
            columns[(place(span.start) * width / places).min(width - 1)].add(span);
        }
        Some(Self {
            columns,
            from: first.start,
            to: last.start + span,
        })
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let latencies: Vec<_> = self.columns.iter().map(Column::latency_ms).collect();
        let losses: Vec<_> = self.columns.iter().map(Column::loss_percent).collect();
        let most = largest(&latencies);
        let states = self.columns.iter();
        let states: String = states
            .map(|column| column.worst.map_or(' ', letter))
            .collect();
        writeln!(out, "  ms     {}", bars(&latencies, most))?;
        writeln!(out, "  loss   {}", bars(&losses, 100.0))?;
        writeln!(out, "  state  {states}")?;
        let (from, to) = (timestamp::text(self.from), timestamp::text(self.to));
        writeln!(out, "  {from} to {to}")?;
        writeln!(
            out,
            "  highest: {most:.1} ms, {:.0} % lost; + up, ~ degraded, x down, d drained, ? unknown",
            largest(&losses)
        )
    }
}

fn largest(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().copied().fold(0.0, f64::max)
}

/// A bar for each value, full at `most`; nothing for none and for 0.
fn bars(values: &[Option<f64>], most: f64) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |value: &Option<f64>| match value {
        Some(value) if *value > 0.0 && most > 0.0 => {
            let height = (value / most * 8.0).ceil() as usize;
            BARS[height.clamp(1, 8)]
        }
        _ => ' ',
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::StateChange;

    const BEGIN: Duration = Duration::from_secs(1_795_529_100);

    fn span(minute: u64, latency_ms: Option<f64>, failed: u32, state: State) -> HistorySpan {
        HistorySpan {
            start: SystemTime::UNIX_EPOCH + BEGIN + Duration::from_secs(60 * minute),
            latency_ms,
            max_ms: latency_ms,
            probes: 6,
            failed,
            state,
        }
    }

    fn history(spans: Vec<HistorySpan>) -> History {
        History {
            service: "www.foo.com".to_owned(),
            site: "tokyo".to_owned(),
            address: "192.0.2.80".parse().expect("an address"),
            span_s: 60,
            spans,
            changes: vec![StateChange {
                at: SystemTime::UNIX_EPOCH + BEGIN + Duration::from_secs(180),
                state: State::Down,
                reason: "connection refused".to_owned(),
            }],
        }
    }

    fn printed(history: &History, width: usize) -> String {
        let mut out = Vec::new();
        let now = SystemTime::UNIX_EPOCH + BEGIN + Duration::from_secs(400);
        print(history, width, now, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_span_has_its_place_and_a_gap_stays_one() {
        let spans = vec![
            span(0, Some(10.0), 0, State::Up),
            span(1, Some(80.0), 3, State::Degraded),
            span(3, None, 6, State::Down),
            span(5, Some(40.0), 0, State::Up),
        ];
        let expected = "\
tokyo of www.foo.com, 192.0.2.80
  ms     ▁█   ▄
  loss    ▄ █  
  state  +~ x +
  2026-11-24T14:05:00Z to 2026-11-24T14:11:00Z
  highest: 80.0 ms, 100 % lost; + up, ~ degraded, x down, d drained, ? unknown
  changed                           to    reason
  2026-11-24T14:08:00Z  3m 40s ago  down  connection refused
";
        assert_eq!(printed(&history(spans), 80), expected);
    }

    #[test]
    fn a_narrow_plot_takes_means_and_shows_the_worst() {
        let mut spans: Vec<_> = (0..180)
            .map(|minute| span(minute, Some(20.0), 0, State::Up))
            .collect();
        spans[100] = span(100, Some(60.0), 6, State::Down);
        let text = printed(&history(spans), MARGIN + 18);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[3], "  state  ++++++++++x+++++++");
        let bars: Vec<char> = lines[1].chars().skip(MARGIN).collect();
        assert_eq!((bars.len(), bars[10]), (18, '█'));
        assert!(lines[2].ends_with("▁       "), "{text}");
    }

    #[test]
    fn what_was_never_measured_says_so() {
        let mut never = history(Vec::new());
        never.changes.clear();
        let text = printed(&never, 1);
        assert!(text.contains("nothing was measured yet"), "{text}");
        assert!(text.contains("no change of state"), "{text}");
    }
}
