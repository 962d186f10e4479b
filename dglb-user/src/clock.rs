//! The clock of heartbeats, deadlines and probes: CLOCK_MONOTONIC, which all processes of the machine
//! and the kernel program (`bpf_ktime_get_coarse_ns`) have in common.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds now.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
