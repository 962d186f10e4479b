//! Medians, the object that `--json` prints, and the table for people.

use std::fmt;

use serde::Serialize;

/// What `--json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Release of the kernel.
    pub kernel: String,
    /// Mode of the XDP programs.
    pub mode: &'static str,
    /// Millions of frames a second of the bare reflector.
    pub reflector_mpps: f64,
    /// What was compared with it.
    pub measures: Vec<Figures>,
}

/// Figures of one measure, medians over the rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Its name.
    pub name: &'static str,
    /// Millions of answers a second.
    pub mpps: f64,
    /// Rate as a share of the reflector's in the same round.
    pub share: f64,
    /// Nanoseconds of an answer above a reflected frame in the same round.
    pub net_ns: f64,
    /// How many rounds.
    pub rounds: usize,
}

impl Report {
    /// From nanoseconds a frame: of the reflector by round, and of each measure by round.
    pub fn new(kernel: String, reflector: &[f64], measures: &[(&'static str, Vec<f64>)]) -> Self {
        let figures = |(name, times): &(&'static str, Vec<f64>)| {
            let pairs = || reflector.iter().zip(times);
            Figures {
                name,
                mpps: mpps(times),
                share: rounded(median(pairs().map(|(bare, own)| bare / own)), 4),
                net_ns: rounded(median(pairs().map(|(bare, own)| own - bare)), 1),
                rounds: times.len(),
            }
        };
        Self {
            kernel,
            mode: "native",
            reflector_mpps: mpps(reflector),
            measures: measures.iter().map(figures).collect(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kernel,
            mode,
            reflector_mpps,
            measures,
        } = self;
        writeln!(formatter, "Linux {kernel}, {mode} XDP on veth, one core")?;
        writeln!(
            formatter,
            "{:<14}{:>8}{:>8}{:>8}{:>8}",
            "measure", "Mpps", "share", "net ns", "rounds"
        )?;
        writeln!(
            formatter,
            "{:<14}{reflector_mpps:>8.2}{:>7} %",
            "reflector", 100
        )?;
        for Figures {
            name,
            mpps,
            share,
            net_ns,
            rounds,
        } in measures
        {
            let percent = share * 100.0;
            writeln!(
                formatter,
                "{name:<14}{mpps:>8.2}{percent:>7.1} %{net_ns:>7.1}{rounds:>8}"
            )?;
        }
        Ok(())
    }
}

fn mpps(times: &[f64]) -> f64 {
    rounded(1000.0 / median(times.iter().copied()), 3)
}

/// The middle one, or the mean of the middle two.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
