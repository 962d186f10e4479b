//! The lab of network namespaces, and what runs in it: the demo, the benchmark, and the integration
//! tests in `tests/`.

use std::{
    env,
    io::{self, Write as _},
};

pub mod bench;
pub mod demo;
pub mod frames;
pub mod fuzz;
pub mod lab;
pub mod lab_object;
pub mod model;
pub mod oracle;
pub mod rig;
pub mod world;

/// The variable that makes a skipped test fail; `cargo xtask test` sets it to 1 where CI is set.
const SKIP_IS_FAILURE: &str = "DGLB_SKIP_IS_FAILURE";

/// A test that cannot run here (no rights, no such kernel feature) calls this and returns. It
/// prints `SKIPPED: reason`, past the test harness's capture, so that it is seen.
///
/// # Panics
/// Where `DGLB_SKIP_IS_FAILURE=1` is set: CI runs everything.
pub fn skip(reason: &str) {
    assert!(
        env::var_os(SKIP_IS_FAILURE).is_none_or(|value| value != "1"),
        "skipped, which {SKIP_IS_FAILURE}=1 makes a failure: {reason}"
    );
    // Nothing can be done about a standard error that is closed.
    let _ = writeln!(io::stderr(), "SKIPPED: {reason}");
}

/// Whether this process is root, as the lab needs it; skips the test aloud if not.
///
/// # Panics
/// As [`skip`].
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("needs root");
    }
    root
}
