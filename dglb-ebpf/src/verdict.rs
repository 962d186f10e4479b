//! From what became of a frame to the kernel's verdict and a counter.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX},
    programs::XdpContext,
};
use aya_log_ebpf::trace;
use dglb_common::{
    counters::{COUNTERS, Counter, Kind},
    packet::bind,
};

use crate::maps::COUNTERS_MAP;

/// Counts an answer of a row, and has it sent.
#[inline(always)]
pub fn answered(row: u32) -> u32 {
    count(row);
    XDP_TX
}

/// Counts the reason, and says what the kernel is to do; nothing in the frame has been altered.
#[inline(always)]
pub fn not_answered(ctx: &XdpContext, reason: Counter) -> u32 {
    // Gone from the program as the kernel runs it, unless the daemon logs at level trace: the
    // verifier knows the level, a constant, and removes what can't be reached (kernel 4.20).
    trace!(ctx, "not answered: {}", reason.name());
    count(reason as u32);
    if matches!(reason.kind(), Kind::Dropped) {
        XDP_DROP
    } else {
        XDP_PASS
    }
}

/// Adds one to a counter.
#[inline(always)]
pub fn count(counter: u32) {
    let Some(counters) = COUNTERS_MAP.get_ptr_mut(0) else {
        return;
    };
    // Bound, or LLVM leaves the comparison out where an earlier one says the same, which the verifier of
    // kernel 6.1 has forgotten by now.
    let counter = bind(counter as usize);
    if counter < COUNTERS {
        // SAFETY: the map's value is COUNTERS consecutive u64 of this CPU.
        let place = unsafe { counters.cast::<u64>().add(counter) };
        // SAFETY: as above, and XDP programs are not preempted by each other on one CPU.
        unsafe { *place += 1 };
    }
}
