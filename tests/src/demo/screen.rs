//! Draws the demo: redrawn in place on a terminal, lines one after the other elsewhere.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use rustix::termios::tcgetwinsize;

use super::{tables, watch::View};
use crate::lab::chain::STEPS;

const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const BAR: usize = 30;

/// Control sequences of ECMA-48 that every terminal of today has.
mod sequence {
    pub(super) const BOLD: &str = "\x1b[1m";
    pub(super) const DIM: &str = "\x1b[2m";
    pub(super) const GREEN: &str = "\x1b[32m";
    pub(super) const RED: &str = "\x1b[31m";
    pub(super) const CYAN: &str = "\x1b[36m";
    pub(super) const PLAIN: &str = "\x1b[0m";
    pub(super) const ERASE_REST_OF_LINE: &str = "\x1b[K";
    pub(super) const ERASE_BELOW: &str = "\x1b[J";
}

/// Where the demo is drawn.
#[derive(Debug)]
pub struct Screen {
    /// On standard error, because standard output is for JSON.
    on_stderr: bool,
    /// Redrawn in place.
    live: bool,
    colour: bool,
    /// Lines of the last picture.
    drawn: usize,
    redraws: usize,
}

impl Screen {
    /// A screen on standard output, or on standard error if that is for JSON.
    pub fn new(on_stderr: bool) -> Self {
        let live = match on_stderr {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        Self {
            on_stderr,
            live,
            colour: live && env::var_os("NO_COLOR").is_none(),
            drawn: 0,
            redraws: 0,
        }
    }

    /// Something is waited for before building.
    pub fn waiting(&mut self, view: &View) {
        if !self.live {
            self.print(&format!(
                "{} {}\n",
                clock(view.started.elapsed()),
                view.waiting
            ));
        }
        self.redraw(view);
    }

    /// A step of building begins.
    pub fn step(&mut self, view: &View) {
        if let (false, Some(step)) = (self.live, view.steps.last()) {
            let number = view.steps.len();
            self.print(&format!(
                "{} [{number}/{STEPS}] {}\n",
                clock(step.began),
                step.text
            ));
        }
        self.redraw(view);
    }

    /// Something begins to happen.
    pub fn phase(&mut self, view: &View) {
        if !self.live {
            self.print(&format!(
                "{} {} ...\n",
                clock(view.started.elapsed()),
                view.phase
            ));
        }
        self.redraw(view);
    }

    /// Something was seen.
    pub fn milestone(&mut self, view: &View) {
        if let (false, Some(milestone)) = (self.live, view.milestones.last()) {
            let line = self.milestone_line(milestone.ok, milestone.at, &milestone.text);
            self.print(&(line + "\n"));
        }
        self.redraw(view);
    }

    /// The tables are worth a look.
    pub fn tables(&mut self, view: &View) {
        if !self.live {
            let width = 120;
            let clients = tables::clients(view, width, false);
            let rows = tables::rows(view, width, false);
            self.print(&format!("\n{clients}\n\n{rows}\n\n"));
        }
        self.redraw(view);
    }

    /// Draws the picture anew, where the screen is live.
    pub fn redraw(&mut self, view: &View) {
        if !self.live {
            return;
        }
        self.redraws += 1;
        let (rows, columns) = self.size();
        let lines = self.picture(view, rows, columns);
        let mut text = match self.drawn {
            0 => String::new(),
            // To the first line of the last picture.
            drawn => format!("\x1b[{drawn}A\r"),
        };
        for line in &lines {
            text += line;
            text += sequence::ERASE_REST_OF_LINE;
            text.push('\n');
        }
        text += sequence::ERASE_BELOW;
        self.drawn = lines.len();
        self.print(&text);
    }

    /// The picture, not higher than the terminal: a line that scrolled away can't be redrawn.
    fn picture(&self, view: &View, rows: usize, columns: usize) -> Vec<String> {
        let mut lines = vec![self.headline(view, columns), String::new()];
        if view.phase.is_empty() {
            lines.extend(self.steps(view, columns));
        } else {
            let milestones = view.milestones.iter().map(|milestone| {
                let text = cut(&milestone.text, columns.saturating_sub(9));
                self.milestone_line(milestone.ok, milestone.at, &text)
            });
            lines.extend(milestones);
            for table in [
                tables::clients(view, columns, self.colour),
                tables::rows(view, columns, self.colour),
            ] {
                lines.push(String::new());
                lines.extend(table.lines().map(str::to_owned));
            }
        }
        lines.truncate(rows.saturating_sub(1));
        lines
    }

    fn headline(&self, view: &View, columns: usize) -> String {
        let elapsed = view.started.elapsed();
        let text = match view.phase.as_str() {
            "" if !view.waiting.is_empty() => &view.waiting,
            "" => "building the lab",
            phase => phase,
        };
        format!(
            "{} {} {} {}",
            self.paint(sequence::BOLD, "DGLB"),
            clock(elapsed),
            self.paint(
                sequence::CYAN,
                &SPINNER[self.redraws % SPINNER.len()].to_string()
            ),
            self.paint(sequence::BOLD, &cut(text, columns.saturating_sub(13)))
        )
    }

    fn steps(&self, view: &View, columns: usize) -> Vec<String> {
        let done = view.steps.iter().filter(|step| step.took.is_some()).count();
        let filled = BAR * done / STEPS;
        let mut lines = vec![format!(
            "{}{} {done}/{STEPS}",
            self.paint(sequence::GREEN, &"━".repeat(filled)),
            self.paint(sequence::DIM, &"━".repeat(BAR - filled)),
        )];
        lines.extend(view.steps.iter().map(|step| {
            let text = cut(&step.text, columns.saturating_sub(12));
            match step.took {
                Some(took) => format!(
                    "{} {text} {}",
                    self.paint(sequence::GREEN, "✓"),
                    self.paint(sequence::DIM, &format!("{:.1} s", took.as_secs_f32()))
                ),
                None => format!("{} {text}", self.paint(sequence::CYAN, "…")),
            }
        }));
        lines
    }

    fn milestone_line(&self, ok: bool, at: Duration, text: &str) -> String {
        let mark = match ok {
            true => self.paint(sequence::GREEN, "✓"),
            false => self.paint(sequence::RED, "✗"),
        };
        format!("{mark} {} {text}", clock(at))
    }

    fn paint(&self, style: &str, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{}", sequence::PLAIN),
            false => text.to_owned(),
        }
    }

    /// Rows and columns of the terminal.
    fn size(&self) -> (usize, usize) {
        let size = match self.on_stderr {
            true => tcgetwinsize(io::stderr()),
            false => tcgetwinsize(io::stdout()),
        };
        match size {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (size.ws_row.into(), size.ws_col.into())
            }
            _ => (24, 80),
        }
    }

    /// A screen that went away (a closed pipe) does not stop the demo; its exit code still counts.
    fn print(&self, text: &str) {
        let written = match self.on_stderr {
            true => io::stderr().write_all(text.as_bytes()),
            false => {
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
        };
        written.ok();
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// `text` on one line of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() > width {
        true => line
            .chars()
            .take(width.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        demo::watch::{ClientLine, Milestone, Step},
        lab::{
            client::{Observation, SERVICES},
            node::Stats,
        },
    };

    fn screen() -> Screen {
        Screen {
            on_stderr: false,
            live: true,
            colour: false,
            drawn: 0,
            redraws: 0,
        }
    }

    fn view() -> View {
        let stats = r#"{"node":"lb1.example","role":"dns-lb","datapath":"xdp","daemon":true,
            "interfaces":[{"name":"eth0","mode":"native"}],
            "rows":[{"row":"lb-address","xdp":12,"user":0},{"row":"lb-host","xdp":0,"user":0}],
            "passed":[],"dropped":[],"dns_lbs":[],"resolvers":[],
            "sites":[{"service":"www.g.foo.com","site":"tokyo","address":"198.18.3.80",
                "state":"down","time_ms":null,"rank":null,"reason":"timeout"},
              {"service":"www.g.foo.com","site":"frankfurt","address":"198.18.1.80",
                "state":"up","time_ms":15.4,"rank":1,"reason":null}]}"#;
        View {
            started: Instant::now(),
            steps: Vec::new(),
            waiting: String::new(),
            phase: "a long phase ".repeat(20),
            milestones: vec![Milestone {
                at: Duration::from_secs(65),
                ok: true,
                text: "seen".into(),
            }],
            clients: vec![ClientLine {
                client: "isp1-client".into(),
                resolver: "isp1-dns Unbound".into(),
                service: SERVICES[0],
                seen: Ok(Observation {
                    dns_lb: "lb1.example".into(),
                    site: "frankfurt",
                    page_ok: true,
                    page_ms: 16,
                }),
            }],
            nodes: vec![serde_json::from_str::<Stats>(stats).expect("statistics")],
        }
    }

    #[test]
    fn a_picture_says_who_is_led_where_and_why() {
        let picture = screen().picture(&view(), 50, 120).join("\n");
        for wanted in [
            "✓ 01:05 seen",
            "lb1.example",
            "15 ms, tokyo down",
            "✓ 16 ms",
            "lb-address",
            "12",
        ] {
            assert!(picture.contains(wanted), "{wanted} is not in:\n{picture}");
        }
        assert!(
            !picture.contains("lb-host"),
            "a row without answers is shown"
        );
    }

    #[test]
    fn a_picture_is_never_larger_than_the_terminal() {
        for (rows, columns) in [(24, 80), (10, 40), (2, 20), (1, 1)] {
            let picture = screen().picture(&view(), rows, columns);
            assert!(picture.len() < rows.max(1), "{rows} rows");
            if columns >= 40 {
                let widest = picture.iter().map(|line| line.chars().count()).max();
                assert!(widest.unwrap_or(0) <= columns, "{columns} columns");
            }
        }
    }

    #[test]
    fn building_shows_the_step_under_way() {
        let step = |text: &str, took| Step {
            text: text.into(),
            began: Duration::ZERO,
            took,
        };
        let building = View {
            phase: String::new(),
            steps: vec![
                step("a router", Some(Duration::from_millis(1500))),
                step("a mirror", None),
            ],
            ..view()
        };
        let picture = screen().picture(&building, 24, 80).join("\n");
        assert!(picture.contains("✓ a router 1.5 s"), "{picture}");
        assert!(picture.contains("… a mirror"), "{picture}");
        assert!(!picture.contains("lb-address"), "{picture}");
    }
}
