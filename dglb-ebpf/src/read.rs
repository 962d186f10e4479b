//! The first stage: headers and limit; most queries are answered here already ([`express`]).

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    layout::{Secret, Settings},
    packet::{self, Datagram, Scratch},
};

use crate::{
    express,
    limit::{self, Charge},
    maps::{SECRET, SETTINGS},
    stage,
    verdict::count,
};

/// Reads the headers. `Ok`: the row that was answered; none: `choose` has the next word.
#[inline(always)]
pub fn run(ctx: &XdpContext) -> Result<Option<u32>, Counter> {
    let settings = SETTINGS.get(0).ok_or(Counter::PassedTable)?;
    let secret = SECRET.get(0).ok_or(Counter::PassedTable)?;
    let scratch = stage::scratch()?;
    let frame = stage::frame(ctx);
    let kind = packet::kind(&frame)?;
    if kind != packet::IPV4 {
        let datagram = packet::other(&frame, kind, settings, scratch)?;
        enter(&datagram, settings, secret, scratch)?;
        return Ok(None);
    }
    let datagram = packet::plain(&frame, settings)?;
    enter(&datagram, settings, secret, scratch)?;
    if scratch.limited != 0 {
        return Ok(None);
    }
    express::run(ctx, &frame, &datagram, settings, secret, scratch).transpose()
}

/// Charges the source, before anything is passed up: user space is behind the same limit.
#[inline(always)]
fn enter(
    datagram: &Datagram,
    settings: &Settings,
    secret: &Secret,
    scratch: &mut Scratch,
) -> Result<(), Counter> {
    scratch.datagram = *datagram;
    let heartbeat = limit::heartbeat(settings, scratch)?;
    scratch.heartbeat = heartbeat;
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
    Ok(())
}
