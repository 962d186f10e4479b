//! The short way of most queries: a balanced name itself, over IPv4 without a VLAN tag, with no OPT or one
//! without options.
//!
//! How long the name is follows from the length of the message. If its hash is that of a name of the
//! table, it is that name, octet by octet but for the letters' case: nothing of it has to be looked at
//! again, and all offsets but its end are constants. Whatever is otherwise takes the long way, through
//! the stages.

use aya_ebpf::programs::XdpContext;
use dglb_common::{
    counters::Counter,
    layout::{Secret, Settings},
    packet::{self, Datagram, Frame, Message, Scratch},
};

use crate::{
    client::Asker,
    fit,
    names::{self, Match},
    reply, rows,
};

/// Answers, if the query may take the short way: gives the row. `None`: the long way.
#[inline(always)]
pub fn run(
    ctx: &XdpContext,
    frame: &Frame<'_>,
    datagram: &Datagram,
    settings: &Settings,
    secret: &Secret,
    scratch: &mut Scratch,
) -> Option<Result<u32, Counter>> {
    let dns = frame.skip(datagram.dns());
    let message: Message = packet::message(&dns, datagram).ok()?;
    let (question, edns) = packet::without_options(&dns, &message, scratch)?;
    let word = names::exact(&dns, scratch, &question, settings, secret)?;
    let asker = Asker {
        source: datagram.client,
        subnet: datagram.client,
        subnet_len: 0,
    };
    let matched = Match { labels: 0, word };
    let found = rows::answer(&dns, scratch, &question, &matched, settings, secret, &asker).ok()?;
    let reply = fit::fitting(&found, datagram, &question, &edns).ok()?;
    Some(reply::compose(
        ctx, datagram, &question, &edns, settings, scratch, &reply,
    ))
}
