//! The kernel program's parser on the host, before the oracle's.
//!
//! What the one accepts, the other reads the same: who asks, name, type, OPT. `cargo fuzz` and property
//! tests hold it on any octets; the kernel program runs the same code (`dglb_common::packet`).

use std::net::IpAddr;

use dglb_common::{
    client::Client,
    counters::Counter,
    layout::Settings,
    packet::{self, Datagram, Edns, Frame, NAME, Question, Scratch},
    query::{OUR_PAYLOAD_SIZE, PLAIN_PAYLOAD_SIZE},
};

use crate::{
    model::Model,
    oracle::{self, Form},
};

/// What the kernel program reads in a frame.
pub struct Read {
    datagram: Datagram,
    question: Question,
    edns: Edns,
    scratch: Scratch,
}

/// Reads a frame as the kernel program does.
///
/// # Errors
/// The reason why it is passed up.
pub fn read(
    frame: &mut [u8],
    settings: &Settings,
    believes: impl Fn(Client) -> bool,
) -> Result<Read, Counter> {
    let mut scratch = Scratch::EMPTY;
    let whole = Frame::of(frame);
    let datagram = packet::datagram(&whole, settings, &mut scratch)?;
    let dns = whole.skip(datagram.dns());
    let message = packet::message(&dns, &datagram)?;
    let question = packet::question(&dns, &mut scratch)?;
    let believes = believes(datagram.client);
    let edns = packet::edns(&dns, &message, &question, &mut scratch, believes)?;
    Ok(Read {
        datagram,
        question,
        edns,
        scratch,
    })
}

/// Whether what the kernel program reads in `frame` is what the oracle reads. Gives whether it accepts it.
///
/// # Errors
/// What they differ in, or that reading altered the frame.
pub fn check(model: &Model, settings: &Settings, frame: &[u8]) -> Result<bool, String> {
    let mut copy = frame.to_vec();
    let believes = |client: Client| {
        let all = model.config.client_subnet.iter();
        let mut of_family = all.filter(|net| net.addr().is_ipv6() == (client.is_v6 != 0));
        of_family.any(|net| net.contains(&address(client)))
    };
    let read = read(&mut copy, settings, believes);
    if copy != frame {
        return Err("reading altered the frame".to_owned());
    }
    let read = match read {
        Ok(read) => read,
        Err(_) => return Ok(false),
    };
    let datagram = oracle::frame::datagram(frame).ok_or("the oracle sees no datagram")?;
    same(
        "source",
        address(read.datagram.client),
        to_64(datagram.source),
    )?;
    same("octets", read.datagram.message, datagram.message.len())?;
    let at = read.datagram.dns();
    same(
        "message",
        &frame[at..at + datagram.message.len()],
        datagram.message,
    )?;
    let Form::Plain(plain) = oracle::form(datagram.message, model.believes(datagram.source)) else {
        return Err("the oracle sees no plain query".to_owned());
    };
    let Question {
        labels,
        root,
        qtype,
    } = read.question;
    let name = plain.query.name();
    same(
        "type",
        qtype,
        u64::from(u16::from(plain.query.query_type())),
    )?;
    same("labels", labels, name.iter().count())?;
    let mut start = 0;
    for (index, label) in name.iter().enumerate() {
        same("start of a label", read.scratch.start(index), start)?;
        start += 1 + label.len();
    }
    same("root", root, start)?;
    let words = (8..=root).step_by(3);
    let dns = Frame::of(&mut copy).skip(at);
    for end in words {
        let word = packet::word_before(&dns, end).map_err(|_| "no word in the name")?;
        let octets = &datagram.message[NAME + end - 8..NAME + end];
        // Folded as ASCII, length octets too: none of them is a capital letter.
        let folded = u64::from_le_bytes(octets.to_ascii_lowercase().try_into().expect("eight"));
        same("word of the name", word, folded)?;
    }
    check_edns(&read, plain.edns)
}

fn check_edns(read: &Read, edns: Option<oracle::Edns>) -> Result<bool, String> {
    let Some(edns) = edns else {
        same("OPT", read.edns.present, 0)?;
        same(
            "payload",
            read.edns.payload,
            usize::from(PLAIN_PAYLOAD_SIZE),
        )?;
        return Ok(true);
    };
    same("OPT", read.edns.present, 1)?;
    same("NSID", edns.nsid, false)?;
    same("DO", read.edns.dnssec_ok, u64::from(edns.dnssec_ok) << 7)?;
    let payload = edns.payload.clamp(PLAIN_PAYLOAD_SIZE, OUR_PAYLOAD_SIZE);
    same("payload", read.edns.payload, usize::from(payload))?;
    let Some(subnet) = edns.subnet else {
        same("Client Subnet", read.edns.subnet, 0)?;
        return Ok(true);
    };
    let net = subnet.net;
    let octets = usize::from(net.prefix_len()).div_ceil(8);
    same("octets of Client Subnet", read.edns.subnet, 8 + octets)?;
    same(
        "its length",
        read.edns.source_len,
        u64::from(net.prefix_len()),
    )?;
    same("its client", address(read.edns.client), to_64(net.addr()))?;
    Ok(true)
}

/// The address of which the kernel program knows what counts: of IPv6 the /64.
fn address(client: Client) -> IpAddr {
    let word = client.word.to_ne_bytes();
    if client.is_v6 == 0 {
        let [a, b, c, d, ..] = word;
        return IpAddr::from([a, b, c, d]);
    }
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&word);
    IpAddr::from(octets)
}

fn to_64(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, read: T, expected: T) -> Result<(), String> {
    if read == expected {
        Ok(())
    } else {
        Err(format!(
            "{what} is {expected:?}, the kernel program reads {read:?}"
        ))
    }
}
