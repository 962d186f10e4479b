//! Medians, the object that `--json` prints, and the table for people.

use std::fmt;

use serde::Serialize;

use super::bars;

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

/// Figures of one measure, medians over the rounds. What does not apply is left out.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Its name.
    pub name: &'static str,
    /// Millions of answers a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mpps: Option<f64>,
    /// Rate as a share of the reflector's in the same round; or the measure's ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Nanoseconds above what it is compared with, in the same round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_ns: Option<f64>,
    /// How many rounds.
    pub rounds: usize,
    /// The lowest and the highest share of a round, or nanoseconds where there is no share: how steady
    /// the host was. For people only.
    #[serde(skip)]
    pub spread: [f64; 2],
    /// What else people want to know.
    #[serde(skip)]
    pub note: String,
}

impl Figures {
    /// From nanoseconds a frame by round: of the reflector, and of the measure.
    pub fn share(name: &'static str, reflector: &[f64], own: &[f64]) -> Self {
        let shares = || reflector.iter().zip(own).map(|(bare, own)| bare / own);
        Self {
            mpps: Some(mpps(own)),
            share: Some(rounded(median(shares()), 4)),
            spread: spread(shares()),
            ..Self::net(name, reflector, own)
        }
    }

    /// The same, where only nanoseconds are of interest.
    pub fn net(name: &'static str, below: &[f64], own: &[f64]) -> Self {
        let nets = || below.iter().zip(own).map(|(below, own)| own - below);
        Self {
            name,
            mpps: None,
            share: None,
            net_ns: Some(rounded(median(nets()), 1)),
            rounds: own.len(),
            spread: spread(nets()),
            note: String::new(),
        }
    }

    /// A ratio by round.
    pub fn ratio(name: &'static str, ratios: &[f64]) -> Self {
        Self {
            name,
            mpps: None,
            share: Some(rounded(median(ratios.iter().copied()), 4)),
            net_ns: None,
            rounds: ratios.len(),
            spread: spread(ratios.iter().copied()),
            note: String::new(),
        }
    }
}

impl Report {
    /// From nanoseconds a frame of the reflector by round, and the figures.
    pub fn new(kernel: String, reflector: &[f64], measures: Vec<Figures>) -> Self {
        Self {
            kernel,
            mode: "native",
            reflector_mpps: mpps(reflector),
            measures,
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
            "{:<22}{:>7}{:>9}{:>8}{:>8}{:>8}  by round",
            "measure", "Mpps", "share", "bar", "net ns", "rounds"
        )?;
        writeln!(
            formatter,
            "{:<22}{reflector_mpps:>7.2}{:>9}",
            "reflector", "100.0 %"
        )?;
        measures
            .iter()
            .try_for_each(|figures| figures.write_row(formatter))
    }
}

impl Figures {
    fn write_row(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_empty = |text: Option<String>| text.unwrap_or_default();
        let bar = bars::of(self.name).map(|bar| bar.to_string());
        let share = match (self.share, self.net_ns) {
            (Some(share), Some(_)) => Some(format!("{:.1} %", share * 100.0)),
            (Some(ratio), None) => Some(format!("{ratio:.3}")),
            (None, _) => None,
        };
        let [lowest, highest] = self.spread;
        let spread = match (self.share, self.net_ns) {
            (Some(_), Some(_)) => {
                format!("{:.1} to {:.1} %", lowest * 100.0, highest * 100.0)
            }
            (Some(_), None) => format!("{lowest:.3} to {highest:.3}"),
            (None, _) => format!("{lowest:.1} to {highest:.1} ns"),
        };
        writeln!(
            formatter,
            "{:<22}{:>7}{:>9}{:>8}{:>8}{:>8}  {spread}  {}",
            self.name,
            or_empty(self.mpps.map(|mpps| format!("{mpps:.2}"))),
            or_empty(share),
            or_empty(bar),
            or_empty(self.net_ns.map(|net| format!("{net:.1}"))),
            self.rounds,
            self.note,
        )
    }
}

fn mpps(times: &[f64]) -> f64 {
    rounded(1000.0 / median(times.iter().copied()), 3)
}

fn spread(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    [
        values.clone().fold(f64::INFINITY, f64::min),
        values.fold(f64::NEG_INFINITY, f64::max),
    ]
}

/// The middle one, or the mean of the middle two.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_compare_runs_of_the_same_round() {
        // The host is half as fast in the second round, for both.
        let bare = [50.0, 100.0, 50.0];
        let figures = Figures::share("a", &bare, &[100.0, 200.0, 80.0]);
        assert_eq!(
            (figures.mpps, figures.share, figures.net_ns),
            (Some(10.0), Some(0.5), Some(50.0))
        );
        assert_eq!((figures.rounds, figures.spread), (3, [0.5, 0.625]));
        assert_eq!(
            Report::new(String::new(), &bare, Vec::new()).reflector_mpps,
            20.0
        );
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

    #[test]
    fn json_has_the_fields_that_are_documented_and_no_other() {
        let measures = vec![
            Figures::share("a", &[50.0], &[100.0]),
            Figures::net("b", &[3.0], &[10.5]),
            Figures::ratio("c", &[0.98]),
        ];
        let report = Report::new("6.1".to_owned(), &[50.0], measures);
        let expected = concat!(
            r#"{"kernel":"6.1","mode":"native","reflector_mpps":20.0,"measures":["#,
            r#"{"name":"a","mpps":10.0,"share":0.5,"net_ns":50.0,"rounds":1},"#,
            r#"{"name":"b","net_ns":7.5,"rounds":1},"#,
            r#"{"name":"c","share":0.98,"rounds":1}]}"#
        );
        assert_eq!(serde_json::to_string(&report).unwrap(), expected);
    }
}
