//! The way of a frame: headers, limit, question, OPT, look-up, reply.

use aya_ebpf::programs::XdpContext;

use crate::{
    edns,
    frame::{self, Frame},
    limit, lookup,
    maps::{SCRATCH, SECRET, SETTINGS},
    outcome::Outcome,
    question, reply,
};

/// Answers the frame; gives the row of the answer table, as the number of its counter.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<u32, Outcome> {
    let settings = SETTINGS.get(0).ok_or(Outcome::Table)?;
    let frame = Frame::of(ctx);
    let datagram = frame::datagram(&frame, &settings.addresses)?;
    let secret = SECRET.get(0).ok_or(Outcome::Table)?;
    // Before anything is passed up: user space is behind the same limit.
    limit::charge(datagram.source, settings, secret)?;
    let headers = frame::headers(&frame, &datagram)?;
    let scratch = SCRATCH.get_ptr_mut(0).ok_or(Outcome::Table)?;
    // SAFETY: this CPU's own element, and one frame is worked on at a time.
    let scratch = unsafe { &mut *scratch };
    let question = question::read(&frame, scratch)?;
    let edns = edns::read(&frame, &headers, &question)?;
    let matched = question::find(&frame, scratch, &question, settings, secret)?;
    let found = lookup::answer(
        &frame,
        scratch,
        &question,
        &matched,
        settings,
        datagram.source,
    )?;
    reply::compose(ctx, frame, &headers, &question, &edns, &found)
}
