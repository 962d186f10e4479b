//! The way of a frame: headers, limit, question, OPT, name, row, reply.

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    packet::{self, Datagram, Edns, Frame, Question, Scratch},
};

use crate::{
    client::{self, Asker},
    limit::{self, Charge},
    maps::{SCRATCH, SECRET, SETTINGS},
    names,
    reply::{self, Reply},
    rows,
    verdict::count,
};

/// Answers the frame; gives the row of the answer table, as the number of its counter.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<u32, Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let secret = SECRET.get(0).ok_or(Counter::PassedTable)?;
    let scratch = SCRATCH.get_ptr_mut(0).ok_or(Counter::PassedTable)?;
    // SAFETY: this CPU's own element, and one frame is worked on at a time.
    let scratch = unsafe { &mut *scratch };
    let frame = frame(ctx);
    let datagram = packet::datagram(&frame, settings, scratch)?;
    let heartbeat = limit::heartbeat(settings, scratch)?;
    // Before anything is passed up: user space is behind the same limit.
    scratch.limited = 0;
    if let Charge::Over { stub } = limit::charge(datagram.client, settings, secret, heartbeat)? {
        if settings.limit_dry_run != 0 {
            count(Counter::NotedLimited as u32);
        } else if stub {
            scratch.limited = 1;
        } else {
            return Err(Counter::DroppedLimited);
        }
    }
    let dns = frame.skip(datagram.dns());
    let believed = client::is_subnet_sender(datagram.client, settings);
    let (question, edns) = match read(&dns, &datagram, scratch, believed) {
        Ok(read) => read,
        // Over the limit, nothing is passed up.
        Err(_) if scratch.limited != 0 => return Err(Counter::DroppedLimited),
        Err(reason) => return Err(reason),
    };
    let reply = if scratch.limited != 0 {
        Reply::stub()?
    } else {
        let matched = names::find(&dns, scratch, &question, settings, secret)?;
        let asker = Asker {
            source: datagram.client,
            subnet: edns.client,
            subnet_len: edns.source_len,
        };
        let found = rows::answer(
            &dns, scratch, &question, &matched, settings, secret, &asker, heartbeat,
        )?;
        Reply::fitting(&datagram, &question, &edns, &found)?
    };
    reply::compose(ctx, &datagram, &question, &edns, settings, scratch, &reply)
}

/// The frame as it is now.
#[inline(always)]
pub fn frame(ctx: &XdpContext) -> Frame<'_> {
    // SAFETY: the context's memory, which dies when the frame is grown or cut; `reply` makes a new one.
    unsafe { Frame::new(ctx.data(), ctx.data_end()) }
}

#[inline(always)]
fn read(
    dns: &Frame<'_>,
    datagram: &Datagram,
    scratch: &mut Scratch,
    believed: bool,
) -> Result<(Question, Edns), Counter> {
    let message = packet::message(dns, datagram)?;
    let question = packet::question(dns, scratch)?;
    let edns = packet::edns(dns, &message, &question, scratch, believed)?;
    Ok((question, edns))
}
