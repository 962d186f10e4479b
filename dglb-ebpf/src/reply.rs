//! The reply: room is made in front of the frame, the question moves there, the ready records are
//! copied behind it, and all headers are written anew with full checksums.
//!
//! Growing at the head costs less than growing at the tail, and there is room: a driver leaves 256
//! octets in front of a frame (XDP_PACKET_HEADROOM), while behind a small one there may be none (veth,
//! kernel 6.18). Every octet of the reply is written: what is not would be old packet memory.
//!
//! A partial update of the checksum would not do: a local sender with checksum offload leaves the
//! query's own UDP checksum unfinished.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use dglb_common::{
    checksum,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS},
    query::{OUR_PAYLOAD_SIZE, TYPE_OPT},
};
use network_types::{eth::EtherType, ip::Ipv4Hdr};

use crate::{
    edns::{Edns, OPT_OCTETS},
    frame::{DNS, Frame, Headers, IP, NAME, UDP, UDP_PROTOCOL, bind},
    lookup::Found,
    outcome::Outcome,
    question::Question,
};

/// Hop limit of replies (RFC 1700, "IP time to live parameter").
const TTL: u8 = 64;

/// Octets that a frame grows by at most: records and OPT.
const MAX_GROWTH: usize = MAX_ANSWER_OCTETS + OPT_OCTETS;

/// What of the query is needed once its place has been overwritten. Whole words as they stand in the
/// frame: arrays of octets would be kept and written octet by octet.
struct Saved {
    /// Destination MAC address, and the first two octets of the source's.
    ethernet_0: u64,
    /// The other four octets of the source's.
    ethernet_8: u32,
    /// IPv4 source and destination address.
    addresses: u64,
    /// UDP source and destination port.
    ports: u32,
    /// ID and flags.
    dns: u32,
    /// The last 8 octets of the question; of a short one, octets of the DNS header with it.
    question_end: u64,
}

/// Makes the reply in place of the query; gives the row that was answered.
#[inline(always)]
pub fn compose(
    ctx: &XdpContext,
    frame: Frame,
    headers: &Headers,
    question: &Question,
    edns: &Edns,
    found: &Found,
) -> Result<u32, Outcome> {
    let answer = found.answer;
    // Bound, or LLVM reads it again where the verifier no longer knows its limits.
    let len = bind(usize::from(answer.len));
    if len > MAX_ANSWER_OCTETS {
        return Err(Outcome::Table);
    }
    // Bound again, or LLVM makes one comparison of both, of `len - 8`, from which the verifier of
    // kernel 6.1 learns nothing about `len`.
    let len = bind(len);
    if len < 8 {
        return Err(Outcome::Table);
    }
    let records = NAME + question.octets();
    let end = records + len + if edns.present != 0 { OPT_OCTETS } else { 0 };
    if end - DNS > edns.payload {
        return Err(Outcome::Size);
    }
    let saved = save(&frame, question).ok_or(Outcome::Form)?;
    let (frame, moved) = resize(ctx, frame, headers.message_end, end)?;
    // From here on the frame is ours: what follows fails only where the verifier cannot know that
    // the frame has `end` octets.
    write(&frame, &saved, question, edns, found, len, moved)
        .map(|()| answer.row)
        .ok_or(Outcome::Room)
}

#[inline(always)]
fn save(frame: &Frame, question: &Question) -> Option<Saved> {
    Some(Saved {
        ethernet_0: frame.read(0)?,
        ethernet_8: frame.read(8)?,
        addresses: frame.read(IP + 12)?,
        ports: frame.read(UDP)?,
        dns: frame.read(DNS)?,
        question_end: frame.read(NAME - 8 + question.octets())?,
    })
}

/// Gives the frame `end` octets; also gives by how many octets its content has moved back, because
/// they were made in front. The old frame's pointers are void after that.
#[inline(always)]
fn resize(
    ctx: &XdpContext,
    frame: Frame,
    message_end: usize,
    end: usize,
) -> Result<(Frame, usize), Outcome> {
    let growth = end as i32 - message_end as i32;
    let mut moved = 0;
    if growth > 0 && adjust_head(ctx, -growth) {
        moved = growth;
    }
    // Padding behind the datagram is cut; a driver without room in front grows the tail.
    let rest = end as i32 - frame.len() as i32 - moved;
    if rest != 0 && !adjust_tail(ctx, rest) {
        // Nothing has been written: the frame is what it was.
        if moved != 0 {
            adjust_head(ctx, moved);
        }
        return Err(Outcome::Room);
    }
    Ok((Frame::of(ctx), moved as usize))
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

#[inline(always)]
fn write(
    frame: &Frame,
    saved: &Saved,
    question: &Question,
    edns: &Edns,
    found: &Found,
    len: usize,
    moved: usize,
) -> Option<()> {
    let answer = found.answer;
    let records = NAME + question.octets();
    let mut sum = move_question(frame, saved, question, moved)?;
    copy_records(frame, records, answer, len)?;
    // The question begins at an even offset of the datagram; so do the records unless its length
    // is odd.
    let odd = question.octets() & 1 != 0;
    let mut records_sum = u64::from(answer.sum);
    if found.prefix != 0 {
        records_sum += move_pointers(frame, records, answer, found.prefix as u16)?;
    }
    sum += u64::from(at_parity(checksum::fold(records_sum), odd));
    let mut end = records + len;
    if edns.present != 0 {
        let odd = (question.octets() + len) & 1 != 0;
        sum += write_opt(frame, end, edns, odd)?;
        end += OPT_OCTETS;
    }
    let datagram = (end - UDP) as u16;
    sum += write_dns_header(frame, saved, edns, answer)?;
    sum += write_ethernet_and_ip(frame, saved, datagram)?;
    write_udp(frame, saved, datagram, sum)
}

#[inline(always)]
fn at_parity(sum: u16, odd: bool) -> u16 {
    if odd {
        checksum::at_odd_offset(sum)
    } else {
        sum
    }
}

/// Copies the records in words of 8 octets; the last word overlaps the one before it.
#[inline(always)]
fn copy_records(frame: &Frame, records: usize, answer: &Answer, len: usize) -> Option<()> {
    for word in 0..MAX_ANSWER_OCTETS / 8 {
        let at = word * 8;
        if at + 8 > len {
            break;
        }
        frame.write::<u64>(records + at, read_octets(answer, at))?;
    }
    let last = (len - 8) & (MAX_ANSWER_OCTETS - 1);
    frame.write::<u64>(records + last, read_octets(answer, last))
}

/// 8 octets of the records; `at` is below [`MAX_ANSWER_OCTETS`].
#[inline(always)]
fn read_octets(answer: &Answer, at: usize) -> u64 {
    // SAFETY: `octets` is followed by 8 octets of slack, so that any offset below its size is good
    // for 8 octets of the same map value.
    let pointer = unsafe { (&raw const answer.octets).cast::<u8>().add(at) };
    // SAFETY: as above.
    unsafe { pointer.cast::<u64>().read_unaligned() }
}

/// Adds `prefix` to each pointer of the records; gives what that adds to their sum.
#[inline(always)]
fn move_pointers(frame: &Frame, records: usize, answer: &Answer, prefix: u16) -> Option<u64> {
    let mut added = 0;
    for index in 0..MAX_POINTERS {
        if index >= usize::from(answer.pointer_count) {
            break;
        }
        let at = usize::from(answer.pointers[index]) & (MAX_ANSWER_OCTETS - 1);
        let pointer = u16::from_be_bytes(frame.read::<[u8; 2]>(records + at)?);
        frame.write(records + at, pointer.wrapping_add(prefix).to_be_bytes())?;
        added += u64::from(at_parity(prefix.to_be(), at & 1 != 0));
    }
    Some(added)
}

/// Moves the question to its place behind the DNS header and gives its sum.
///
/// The place is in front of where it was, so that words can be copied from the first to the last; the
/// last one overlaps the one before it, and was read before anything moved.
#[inline(always)]
fn move_question(frame: &Frame, saved: &Saved, question: &Question, moved: usize) -> Option<u64> {
    let octets = question.octets();
    let moved = bind(moved);
    if moved > MAX_GROWTH {
        return None;
    }
    let mut sum = 0;
    // At most 259 octets: 32 whole words.
    for word in 0..32 {
        let at = word * 8;
        if at + 8 > octets {
            break;
        }
        let value = frame.read::<u64>(NAME + at + moved)?;
        frame.write(NAME + at, value)?;
        sum = checksum::add_word(sum, value);
    }
    frame.write(NAME - 8 + octets, saved.question_end)?;
    let rest = octets & 7;
    if rest != 0 {
        // The first of the 8 octets were added already.
        sum = checksum::add_word(sum, saved.question_end >> ((8 - rest) * 8));
    }
    Some(sum)
}

/// Writes our OPT (RFC 6891 §6.1.2, §6.1.3) and gives its sum at its place.
#[inline(always)]
fn write_opt(frame: &Frame, at: usize, edns: &Edns, odd: bool) -> Option<u64> {
    let [type_0, type_1] = TYPE_OPT.to_be_bytes();
    let [size_0, size_1] = OUR_PAYLOAD_SIZE.to_be_bytes();
    let record: [u8; OPT_OCTETS] = [
        0,
        type_0,
        type_1,
        size_0,
        size_1,
        0,
        0,
        edns.dnssec_ok as u8,
        0,
        0,
        0,
    ];
    frame.write(at, record)?;
    let words = [
        [0, type_0],
        [type_1, size_0],
        [size_1, 0],
        [0, edns.dnssec_ok as u8],
    ];
    let mut sum = 0;
    for word in words {
        sum += u64::from(u16::from_ne_bytes(word));
    }
    Some(u64::from(at_parity(checksum::fold(sum), odd)))
}

/// Writes the DNS header and gives its sum.
#[inline(always)]
fn write_dns_header(frame: &Frame, saved: &Saved, edns: &Edns, answer: &Answer) -> Option<u64> {
    let authoritative = if answer.authoritative != 0 { 0x04 } else { 0 };
    let [id_0, id_1, flags_0, flags_1] = saved.dns.to_ne_bytes();
    // QR, AA as the records say, RD copied; CD copied, RCODE.
    let flags = [
        0x80 | authoritative | (flags_0 & 0x01),
        (flags_1 & 0x10) | (answer.rcode & 0x0f),
    ];
    let additionals = answer.additionals + edns.present as u8;
    let words = [
        u32::from_ne_bytes([id_0, id_1, flags[0], flags[1]]),
        u32::from_ne_bytes([0, 1, 0, answer.answers]),
        u32::from_ne_bytes([0, answer.authorities, 0, additionals]),
    ];
    frame.write(DNS, words)?;
    Some(words.into_iter().map(u64::from).sum())
}

/// Writes the Ethernet and IPv4 headers; gives the sum of the UDP pseudo header (RFC 768).
#[inline(always)]
fn write_ethernet_and_ip(frame: &Frame, saved: &Saved, datagram: u16) -> Option<u64> {
    // Destination and source change places: 6 octets each, of which the first word has 8.
    let (first, second) = (
        saved.ethernet_0.to_le(),
        u64::from(saved.ethernet_8.to_le()),
    );
    frame.write(0, (first >> 48 | second << 16 | first << 48).to_le())?;
    frame.write(8, ((first >> 16) as u32).to_le())?;
    frame.write(12, EtherType::Ipv4 as u16)?;
    let [len_0, len_1] = (datagram + Ipv4Hdr::LEN as u16).to_be_bytes();
    // Version, IHL, DSCP and ECN 0, length; identification 0, DF; TTL, protocol, checksum.
    let length = u32::from_ne_bytes([0x45, 0, len_0, len_1]);
    let fragment = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let sum = checksum::add_word(0, saved.addresses)
        + u64::from(length)
        + u64::from(fragment)
        + u64::from(u16::from_ne_bytes([TTL, UDP_PROTOCOL]));
    let [check_0, check_1] = (!checksum::fold(sum)).to_ne_bytes();
    let life = u32::from_ne_bytes([TTL, UDP_PROTOCOL, check_0, check_1]);
    frame.write(IP, [length, fragment, life])?;
    frame.write(IP + 12, saved.addresses.rotate_left(32))?;
    Some(
        checksum::add_word(0, saved.addresses)
            + u64::from(u16::from_ne_bytes([0, UDP_PROTOCOL]))
            + u64::from(datagram.to_be()),
    )
}

/// Writes the UDP header. `sum` is that of all the rest.
#[inline(always)]
fn write_udp(frame: &Frame, saved: &Saved, datagram: u16, sum: u64) -> Option<()> {
    let ports = saved.ports.rotate_left(16);
    let sum = sum + u64::from(ports) + u64::from(datagram.to_be());
    let [len_0, len_1] = datagram.to_be_bytes();
    let [check_0, check_1] = checksum::udp_field(sum).to_ne_bytes();
    frame.write(
        UDP,
        [ports, u32::from_ne_bytes([len_0, len_1, check_0, check_1])],
    )
}
