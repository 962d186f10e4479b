//! The third stage, the reply: room is made in front of the frame, the question moves there, the ready
//! records are copied behind it, and all headers are written anew with full checksums.
//!
//! Growing at the head costs less than growing at the tail, and there is room: a driver leaves 256
//! octets in front of a frame (XDP_PACKET_HEADROOM), while behind a small one there may be none (veth,
//! kernel 6.18). Every octet of the reply is written: what is not would be old packet memory.
//!
//! A partial update of the checksum would not do: a local sender with checksum offload leaves the
//! query's own UDP checksum unfinished.

mod headers;
mod message;

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use dglb_common::{
    counters::Counter,
    layout::{MAX_ANSWER_OCTETS, Settings},
    packet::{Datagram, Edns, NAME, Question, Reply, Scratch, bind},
};
use network_types::udp::UdpHdr;

use self::{headers::Saved, message::Message};
use crate::{
    maps::{ANSWERS, SETTINGS},
    stage,
};

/// Writes the reply; gives the row of the answer table, as the number of its counter.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<u32, Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let scratch = stage::scratch()?;
    let datagram = scratch.datagram();
    let question = scratch.question();
    let edns = scratch.edns();
    let reply = scratch.reply;
    let composed = compose(ctx, &datagram, &question, &edns, settings, scratch, &reply);
    // Over the limit, nothing is passed up.
    composed.map_err(|reason| match scratch.limited {
        0 => reason,
        _ => Counter::DroppedLimited,
    })
}

/// Makes the reply in place of the query; gives the row that was answered.
#[inline(always)]
pub fn compose(
    ctx: &XdpContext,
    datagram: &Datagram,
    question: &Question,
    edns: &Edns,
    settings: &Settings,
    scratch: &mut Scratch,
    reply: &Reply,
) -> Result<u32, Counter> {
    let answer = ANSWERS.get(reply.slot).ok_or(Counter::PassedTable)?;
    let len = bind(reply.len as usize);
    if len > MAX_ANSWER_OCTETS || reply.row > Counter::Limited as u32 {
        return Err(Counter::PassedTable);
    }
    let frame = stage::frame(ctx);
    let saved = Saved::of(&frame, datagram, question).ok_or(Counter::PassedForm)?;
    let end = NAME + question.octets() + len + edns.reply_octets();
    let moved = resize(ctx, frame.len(), datagram, end)?;
    // From here on the frame is ours: what follows fails only where the verifier cannot know that
    // the frame has `end` octets.
    let frame = stage::frame(ctx);
    let message = Message {
        dns: frame.skip(datagram.dns()),
        saved: &saved,
        question,
        question_bound: scratch.forget_long(question.octets()),
        len,
        len_bound: scratch.forget_long(len),
        edns,
        scratch,
        answer,
        reply,
        moved,
    };
    let sum = message.write().ok_or(Counter::PassedRoom)?;
    let header = message.header(settings.recursion_available);
    headers::write(&frame, datagram, &saved, end + UdpHdr::LEN, header, sum)
        .map(|()| reply.row)
        .ok_or(Counter::PassedRoom)
}

/// Makes room for a message of `end` octets; gives by how many octets what was in the frame has moved
/// back, because they were made in front. The old frame's pointers are void after that.
#[inline(always)]
fn resize(
    ctx: &XdpContext,
    frame_len: usize,
    datagram: &Datagram,
    end: usize,
) -> Result<usize, Counter> {
    let growth = end as i32 - datagram.message as i32;
    let mut moved = 0;
    if growth > 0 && adjust_head(ctx, -growth) {
        moved = growth;
    }
    // Padding behind the datagram is cut; a driver without room in front grows the tail.
    let rest = (datagram.dns() + end) as i32 - frame_len as i32 - moved;
    if rest != 0 && !adjust_tail(ctx, rest) {
        // Nothing has been written: the frame is what it was.
        if moved != 0 {
            adjust_head(ctx, moved);
        }
        return Err(Counter::PassedRoom);
    }
    Ok(moved as usize)
}

#[inline(always)]
fn adjust_head(ctx: &XdpContext, delta: i32) -> bool {
    // SAFETY: the context of this very program; a failure leaves the frame as it was.
    unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), delta) == 0 }
}

#[inline(always)]
fn adjust_tail(ctx: &XdpContext, delta: i32) -> bool {
    // SAFETY: as above.
    unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), delta) == 0 }
}
