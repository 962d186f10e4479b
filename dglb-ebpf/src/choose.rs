//! The second stage, for what has not taken the short way: question, OPT, name, and a ready answer.

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    packet::{self, Datagram, Edns, Frame, Question, Scratch},
};

use crate::{
    client::{self, Asker},
    fit,
    maps::{SECRET, SETTINGS},
    names, rows, stage,
};

/// Chooses the answer. `Ok`: `reply` has the next word.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<(), Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let secret = SECRET.get(0).ok_or(Counter::PassedTable)?;
    let scratch = stage::scratch()?;
    let datagram = scratch.datagram();
    let dns = stage::frame(ctx).skip(datagram.dns());
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
    if scratch.limited != 0 {
        scratch.reply = fit::STUB;
        return Ok(());
    }
    let question = scratch.question();
    let edns = scratch.edns();
    let matched = names::find(&dns, scratch, &question, settings, secret)?;
    let asker = Asker {
        source: datagram.client,
        subnet: edns.client,
        subnet_len: edns.source_len,
    };
    let found = rows::answer(&dns, scratch, &question, &matched, settings, secret, &asker)?;
    scratch.reply = fit::fitting(&found, &datagram, &question, &edns)?;
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
