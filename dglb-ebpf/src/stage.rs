//! The stages of the program: programs of their own, each of which calls the next one and does not come
//! back.
//!
//! Each is verified by itself, from working memory of which the verifier knows nothing: one after another
//! they cost it what they are, not their product. A tail call costs about a nanosecond.

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    packet::{Frame, Scratch},
};

use crate::maps::{SCRATCH, STAGES};

/// Goes on with a stage, a constant, so that the kernel makes a plain jump of it (5.5); comes back only
/// where the stage is not there.
#[inline(always)]
pub fn go_on(ctx: &XdpContext, stage: u32) -> Counter {
    // SAFETY: the context of this very program.
    unsafe { STAGES.tail_call(ctx, stage) };
    Counter::PassedTable
}

/// This CPU's working memory.
#[inline(always)]
pub fn scratch() -> Result<&'static mut Scratch, Counter> {
    let scratch = SCRATCH.get_ptr_mut(0).ok_or(Counter::PassedTable)?;
    // SAFETY: this CPU's own element, one frame is worked on at a time, and a stage asks once.
    Ok(unsafe { &mut *scratch })
}

/// The frame as it is now.
#[inline(always)]
pub fn frame(ctx: &XdpContext) -> Frame<'_> {
    // SAFETY: the context's memory, which dies when the frame is grown or cut; `reply` makes a new one.
    unsafe { Frame::new(ctx.data(), ctx.data_end()) }
}
