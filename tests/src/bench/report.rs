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
    /// The lowest and the highest share of a round: how steady the host was. For people only.
    #[serde(skip)]
    pub spread: [f64; 2],
}

impl Report {
    /// From nanoseconds a frame: of the reflector by round, and of each measure by round.
    pub fn new(kernel: String, reflector: &[f64], measures: &[(&'static str, Vec<f64>)]) -> Self {
        let figures = |(name, times): &(&'static str, Vec<f64>)| {
            let pairs = || reflector.iter().zip(times);
            let shares = || pairs().map(|(bare, own)| bare / own);
            Figures {
                name,
                mpps: mpps(times),
                share: rounded(median(shares()), 4),
                net_ns: rounded(median(pairs().map(|(bare, own)| own - bare)), 1),
                rounds: times.len(),
                spread: [
                    shares().fold(f64::INFINITY, f64::min),
                    shares().fold(0.0, f64::max),
                ],
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
            "{:<12}{:>7}{:>9}{:>9}{:>8}   share by round",
            "measure", "Mpps", "share", "net ns", "rounds"
        )?;
        writeln!(
            formatter,
            "{:<12}{reflector_mpps:>7.2}{:>7.1} %",
            "reflector", 100.0
        )?;
        for Figures {
            name,
            mpps,
            share,
            net_ns,
            rounds,
            spread,
        } in measures
        {
            let [share, lowest, highest] = [*share, spread[0], spread[1]].map(|part| part * 100.0);
            writeln!(
                formatter,
                "{name:<12}{mpps:>7.2}{share:>7.1} %{net_ns:>9.1}{rounds:>8}   {lowest:.1} to {highest:.1} %"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_compare_runs_of_the_same_round() {
        // The host is half as fast in the second round, for both.
        let report = Report::new(
            "6.1".to_owned(),
            &[50.0, 100.0, 50.0],
            &[("a", vec![100.0, 200.0, 80.0])],
        );
        let figures = &report.measures[0];
        assert_eq!(report.reflector_mpps, 20.0);
        assert_eq!(
            (figures.mpps, figures.share, figures.net_ns),
            (10.0, 0.5, 50.0)
        );
        assert_eq!((figures.rounds, figures.spread), (3, [0.5, 0.625]));
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
    }

    #[test]
    fn json_has_the_fields_that_are_documented_and_no_other() {
        let report = Report::new("6.1".to_owned(), &[50.0], &[("a", vec![100.0])]);
        assert_eq!(
            serde_json::to_string(&report).unwrap(),
            r#"{"kernel":"6.1","mode":"native","reflector_mpps":20.0,"measures":[{"name":"a","mpps":10.0,"share":0.5,"net_ns":50.0,"rounds":1}]}"#
        );
    }
}
