//! Tells user space, once, that a service was asked for whose answer is watched.
//!
//! The answer is the same; the daemon takes the mark away when it is told. Until then each CPU tells of a
//! group ten times a second at most.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use dglb_common::{
    counters::Counter,
    layout::{TOLD_GROUPS, WatchedEvent},
};

use crate::{
    maps::{EVENTS, TOLD},
    verdict,
};

/// At least so long between two events of a group from one CPU.
const PAUSE_NS: u64 = 100_000_000;

/// Tells that `group` was asked for.
#[inline(never)]
pub fn tell(group: u32) {
    let Some(told) = TOLD.get_ptr_mut(group & (TOLD_GROUPS as u32 - 1)) else {
        return;
    };
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: a pointer that the map gave, to this CPU's own word.
    if now - unsafe { told.read() } < PAUSE_NS {
        return;
    }
    // SAFETY: as above.
    unsafe { told.write(now) };
    let event = WatchedEvent { group, reserved: 0 };
    if EVENTS.output(event, 0).is_err() {
        verdict::count(Counter::NotedEventLost as u32);
    }
}
