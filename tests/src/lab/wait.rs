//! Waiting for a condition.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Between two looks.
pub(super) const STEP: Duration = Duration::from_millis(20);

/// Calls `look` until it succeeds.
///
/// # Errors
/// The last error of `look`, when `limit` is over.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => {
                return Err(error)
                    .with_context(|| format!("waited {} s in vain: {what}", limit.as_secs()));
            }
            Err(_) => thread::sleep(STEP),
        }
    }
}
