//! The lab of network namespaces, and what runs in it: the demo, the benchmark, and the integration
//! tests in `tests/`.

pub mod demo;
pub mod lab;
pub mod lab_object;

/// Says aloud that a test cannot run here; where that is not allowed to happen
/// (`DGLB_SKIP_IS_FAILURE` is set, as in CI), the test fails.
///
/// # Panics
/// When `DGLB_SKIP_IS_FAILURE` is set.
pub fn skip(reason: &str) {
    eprintln!("SKIPPED: {reason}");
    assert!(
        std::env::var_os("DGLB_SKIP_IS_FAILURE").is_none(),
        "skipped, which is a failure here: {reason}"
    );
}

/// Whether this process is root; says aloud that the test is skipped if not.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("needs root");
    }
    root
}
