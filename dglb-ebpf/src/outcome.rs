//! The one table from outcome to verdict and counter.

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX},
    programs::XdpContext,
};
use aya_log_ebpf::trace;
use dglb_common::counters::{COUNTERS, Counter};

use crate::maps::COUNTERS_MAP;

/// Why a frame is not answered here. Nothing in the frame has been altered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// See [`Counter::PassedNotDns`].
    NotDns,
    /// See [`Counter::PassedForm`].
    Form,
    /// See [`Counter::PassedEdns`].
    Edns,
    /// See [`Counter::PassedType`].
    Type,
    /// See [`Counter::PassedName`].
    Name,
    /// See [`Counter::PassedTable`].
    Table,
    /// See [`Counter::PassedSize`].
    Size,
    /// See [`Counter::PassedRoom`].
    Room,
    /// See [`Counter::PassedStale`].
    Stale,
    /// See [`Counter::DroppedLimited`].
    Limited,
}

/// Counts, and says what the kernel is to do. `Ok` holds the answered row as a number.
#[inline(always)]
pub fn verdict(ctx: &XdpContext, result: Result<u32, Outcome>) -> u32 {
    let (counter, verdict) = match result {
        Ok(row) => (row, XDP_TX),
        Err(outcome) => {
            let (counter, verdict) = match outcome {
                Outcome::NotDns => (Counter::PassedNotDns, XDP_PASS),
                Outcome::Form => (Counter::PassedForm, XDP_PASS),
                Outcome::Edns => (Counter::PassedEdns, XDP_PASS),
                Outcome::Type => (Counter::PassedType, XDP_PASS),
                Outcome::Name => (Counter::PassedName, XDP_PASS),
                Outcome::Table => (Counter::PassedTable, XDP_PASS),
                Outcome::Size => (Counter::PassedSize, XDP_PASS),
                Outcome::Room => (Counter::PassedRoom, XDP_PASS),
                Outcome::Stale => (Counter::PassedStale, XDP_PASS),
                Outcome::Limited => (Counter::DroppedLimited, XDP_DROP),
            };
            // Gone from the program as the kernel runs it, unless the daemon logs at level trace: the
            // verifier knows the level, a constant, and removes what can't be reached (kernel 4.20).
            trace!(ctx, "not answered: {}", counter.name());
            (counter as u32, verdict)
        }
    };
    count(counter);
    verdict
}

#[inline(always)]
fn count(counter: u32) {
    let Some(counters) = COUNTERS_MAP.get_ptr_mut(0) else {
        return;
    };
    if (counter as usize) < COUNTERS {
        // SAFETY: the map's value is COUNTERS consecutive u64 of this CPU, and XDP programs are not
        // preempted by each other on one CPU.
        unsafe { *counters.cast::<u64>().add(counter as usize) += 1 };
    }
}
