//! The first stage: headers, limit, question and OPT.

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    packet::{self, Datagram, Edns, Frame, Question, Scratch},
};

use crate::{
    client,
    limit::{self, Charge},
    maps::{SECRET, SETTINGS},
    stage,
    verdict::count,
};

/// Reads the frame. `Ok`: `choose` has the next word.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<(), Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let secret = SECRET.get(0).ok_or(Counter::PassedTable)?;
    let scratch = stage::scratch()?;
    let frame = stage::frame(ctx);
    let datagram = packet::datagram(&frame, settings, scratch)?;
    scratch.datagram = datagram;
    let heartbeat = limit::heartbeat(settings, scratch)?;
    scratch.heartbeat = heartbeat;
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
    match message(&dns, &datagram, scratch, believed) {
        Ok((question, edns)) => {
            scratch.question = question;
            scratch.edns = edns;
        }
        // Over the limit, nothing is passed up.
        Err(_) if scratch.limited != 0 => return Err(Counter::DroppedLimited),
        Err(reason) => return Err(reason),
    }
    Ok(())
}

#[inline(always)]
fn message(
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
