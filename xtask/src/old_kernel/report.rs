//! What the guest tells the host: one line of JSON for each thing that happened, by a serial port of
//! its own, where neither the tests' output nor the kernel's messages go.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The kernel that runs.
    Kernel(String),
    /// A test program ended.
    Ran(Ran),
    /// The guest could not go on.
    Failed(String),
    /// Everything was run.
    Ended,
}

/// How a test program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Its name.
    pub program: String,
    /// Its exit status in words, if it was not 0.
    pub failure: Option<String>,
    /// Tests that passed, by its own count.
    pub passed: u64,
}

/// What a run amounts to.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    /// The kernel that ran.
    pub kernel: String,
    /// Tests that passed.
    pub passed: u64,
}

/// Judges a run: `programs` were to run.
///
/// # Errors
/// A test failed, the guest did not come to its end, or nothing ran.
pub fn judge(text: &str, programs: &[String]) -> Result<Summary> {
    let lines: Vec<Line> = text
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("the guest reported what cannot be read: {line:?}"))
        })
        .collect::<Result<_>>()?;
    let kernel = lines.iter().find_map(|line| match line {
        Line::Kernel(kernel) => Some(kernel.clone()),
        _ => None,
    });
    let kernel = kernel.context("the guest did not start: the last lines of its output say why")?;
    if let Some(reason) = lines.iter().find_map(|line| match line {
        Line::Failed(reason) => Some(reason),
        _ => None,
    }) {
        bail!("kernel {kernel}: the guest could not run the tests: {reason}");
    }
    let ran: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Ran(ran) => Some(ran),
            _ => None,
        })
        .collect();
    let failures: Vec<_> = ran
        .iter()
        .filter_map(|ran| Some(format!("{} ({})", ran.program, ran.failure.as_ref()?)))
        .collect();
    ensure!(
        failures.is_empty(),
        "kernel {kernel}: tests failed in {}",
        failures.join(", ")
    );
    let names: Vec<_> = ran.iter().map(|ran| &ran.program).collect();
    ensure!(
        lines.last() == Some(&Line::Ended) && names.iter().copied().eq(programs),
        "kernel {kernel}: the guest stopped before the end (did its kernel panic?); to be run: {}; \
         ended: {names:?}",
        programs.join(", "),
    );
    let passed = ran.iter().map(|ran| ran.passed).sum();
    ensure!(
        passed > 0,
        "kernel {kernel}: no test ran: no name of a test in {} fits the filter",
        programs.join(", ")
    );
    Ok(Summary { kernel, passed })
}

/// The number of passed tests in a line of Rust's test harness: `test result: ok. 3 passed; …`.
pub fn passed_in(line: &str) -> Option<u64> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    counts.split_once(" passed;")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Vec<String> {
        ["one", "two"].map(str::to_owned).to_vec()
    }

    fn ran(program: &str, passed: u64, failure: Option<&str>) -> Line {
        Line::Ran(Ran {
            program: program.into(),
            failure: failure.map(str::to_owned),
            passed,
        })
    }

    fn judged(lines: &[Line]) -> Result<Summary, String> {
        let text: Vec<_> = lines
            .iter()
            .map(|line| serde_json::to_string(line).unwrap() + "\r\n")
            .collect();
        judge(&text.concat(), &programs()).map_err(|error| format!("{error:#}"))
    }

    fn kernel() -> Line {
        Line::Kernel("6.1.0".into())
    }

    #[test]
    fn a_run_is_good_if_every_program_ended_well_and_tests_ran() {
        let summary = judged(&[
            kernel(),
            ran("one", 3, None),
            ran("two", 0, None),
            Line::Ended,
        ]);
        let expected = Summary {
            kernel: "6.1.0".into(),
            passed: 3,
        };
        assert_eq!(summary, Ok(expected));
    }

    #[test]
    fn every_other_run_is_not() {
        let failed = Some("exit status: 101");
        let cases: &[(&[Line], &str)] = &[
            (&[], "did not start"),
            (&[Line::Ended], "did not start"),
            (&[kernel()], "stopped before the end"),
            (&[kernel(), Line::Ended], "stopped before the end"),
            (&[kernel(), ran("one", 3, None)], "stopped before the end"),
            (
                &[kernel(), ran("one", 3, None), ran("two", 3, None)],
                "stopped before the end",
            ),
            (
                &[kernel(), ran("one", 3, None), Line::Ended],
                "stopped before the end",
            ),
            (
                &[
                    kernel(),
                    ran("one", 3, failed),
                    ran("two", 3, None),
                    Line::Ended,
                ],
                "tests failed in one (exit status: 101)",
            ),
            (
                &[kernel(), ran("one", 3, None), ran("two", 0, failed)],
                "tests failed in two",
            ),
            (
                &[
                    kernel(),
                    ran("one", 0, None),
                    ran("two", 0, None),
                    Line::Ended,
                ],
                "no test ran",
            ),
            (
                &[kernel(), Line::Failed("no /proc".into()), Line::Ended],
                "no /proc",
            ),
        ];
        for (lines, expected) in cases {
            let error = judged(lines).unwrap_err();
            assert!(error.contains(expected), "{lines:?}: {error}");
        }
        let error = judge("{\"kernel\":\"6.1.0\"}\n\"en", &programs()).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }

    #[test]
    fn reads_the_counts_of_the_test_harness_and_nothing_else() {
        let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; \
                    finished in 0.03s";
        assert_eq!(passed_in(line), Some(12));
        assert_eq!(
            passed_in("test result: FAILED. 2 passed; 1 failed;"),
            Some(2)
        );
        for other in [
            "",
            "test one ... ok",
            "12 passed;",
            "test result: ok. many passed;",
            " test result: ok. 1 passed;",
            "test result: ok. 1 failed;",
        ] {
            assert_eq!(passed_in(other), None, "{other}");
        }
    }
}
