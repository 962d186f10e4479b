//! The second stage: from name and client to a ready answer.

use aya_ebpf::programs::XdpContext;
use dglb_common::counters::Counter;

use crate::{
    client::Asker,
    maps::{SECRET, SETTINGS},
    names, rows, stage,
};

/// Chooses the answer. `Ok`: `reply` has the next word.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<(), Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let secret = SECRET.get(0).ok_or(Counter::PassedTable)?;
    let scratch = stage::scratch()?;
    // Who is over the limit gets a stub, whatever was asked.
    if scratch.limited != 0 {
        return Ok(());
    }
    let datagram = scratch.datagram();
    let question = scratch.question();
    let dns = stage::frame(ctx).skip(datagram.dns());
    let matched = names::find(&dns, scratch, &question, settings, secret)?;
    let asker = Asker {
        source: datagram.client,
        subnet: scratch.edns.client,
        subnet_len: scratch.edns.source_len,
    };
    let found = rows::answer(&dns, scratch, &question, &matched, settings, secret, &asker)?;
    scratch.answer = found.answer.0;
    scratch.prefix = found.prefix as u64;
    scratch.scope = u64::from(found.scope);
    Ok(())
}
