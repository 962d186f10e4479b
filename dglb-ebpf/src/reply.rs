//! The reply: the frame is grown at its tail (or at its head, where there is no room), the ready records are copied behind the question, and
//! all headers are written anew with full checksums.
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
use network_types::{eth::EthHdr, ip::Ipv4Hdr, udp::UdpHdr};

use crate::{
    edns::{Edns, OPT_OCTETS},
    frame::{DNS, DnsHeader, Frame, Headers, IP, NAME, UDP, bind},
    lookup::Found,
    outcome::Outcome,
    question::Question,
};

/// Headers and the longest question (a name of 255 octets, type and class).
const MAX_KEPT: usize = (NAME + 255 + 4).next_multiple_of(8);
/// A mask that every growth fits in: an answer and an OPT.
const MAX_GROWTH: usize = 1023;
const _: () = assert!(MAX_ANSWER_OCTETS + OPT_OCTETS <= MAX_GROWTH);

/// Hop limit of replies (RFC 1700, "IP time to live parameter").
const TTL: u8 = 64;

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
    if !(8..=MAX_ANSWER_OCTETS).contains(&len) {
        return Err(Outcome::Table);
    }
    let records = NAME + question.octets();
    let opt = records + len;
    let end = opt + if edns.present != 0 { OPT_OCTETS } else { 0 };
    if end - DNS > edns.payload {
        return Err(Outcome::Size);
    }
    let frame = resize(ctx, frame, records, end)?;
    // From here on the frame is ours: what follows fails only where the verifier cannot know that
    // the frame has `end` octets, and nobody must see a half-written one.
    write(&frame, headers, question, edns, found, len)
        .map(|()| answer.row)
        .ok_or(Outcome::Room)
}

/// Gives the frame `end` octets, of which the first `kept` stay. The old frame's pointers are void
/// after that.
#[inline(always)]
fn resize(ctx: &XdpContext, frame: Frame, kept: usize, end: usize) -> Result<Frame, Outcome> {
    let delta = end as i32 - frame.len() as i32;
    if delta == 0 {
        return Ok(frame);
    }
    // SAFETY: the helper takes the context of this very program; a failure leaves the frame as it
    // was.
    let failed = unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), delta) } != 0;
    if !failed {
        return Ok(Frame::of(ctx));
    }
    if delta < 0 {
        return Err(Outcome::Room);
    }
    grow_at_head(ctx, kept, delta)
}

/// Grows the frame by `delta` octets before its start and moves the first `kept` octets there.
///
/// veth makes a copy that is just as large as a forwarded query needs (`skb_pp_cow_data`, since
/// Linux 6.8), with no room behind it, but with XDP's 256 octets before it.
#[inline(always)]
fn grow_at_head(ctx: &XdpContext, kept: usize, delta: i32) -> Result<Frame, Outcome> {
    // SAFETY: as for the tail.
    let failed = unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), -delta) } != 0;
    if failed {
        return Err(Outcome::Room);
    }
    let frame = Frame::of(ctx);
    // It cannot fail: the frame has `delta` and at least `kept` octets.
    move_to_start(&frame, bind(delta as usize & MAX_GROWTH), kept).ok_or(Outcome::Room)?;
    Ok(frame)
}

/// Moves `len` octets, at least 8, from `from` to the start of the frame.
#[inline(always)]
fn move_to_start(frame: &Frame, from: usize, len: usize) -> Option<()> {
    // Read before the words ahead of it are written over it.
    let last = frame.read::<u64>(from + len - 8)?;
    for word in 0..MAX_KEPT / 8 {
        let at = word * 8;
        if at + 8 > len {
            break;
        }
        frame.write::<u64>(at, frame.read::<u64>(from + at)?)?;
    }
    frame.write::<u64>(len - 8, last)
}

#[inline(always)]
fn write(
    frame: &Frame,
    headers: &Headers,
    question: &Question,
    edns: &Edns,
    found: &Found,
    len: usize,
) -> Option<()> {
    let answer = found.answer;
    let records = NAME + question.octets();
    copy_records(frame, records, answer, len)?;
    let mut sum = question_sum(frame, question)?;
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
    sum += write_dns_header(frame, headers, edns, answer)?;
    let datagram = (end - UDP) as u16;
    let addresses = write_ethernet_and_ip(frame, datagram)?;
    write_udp(frame, datagram, sum + addresses)
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

/// The sum of the question's octets.
#[inline(always)]
fn question_sum(frame: &Frame, question: &Question) -> Option<u64> {
    let octets = question.octets();
    let mut sum = 0;
    // At most 259 octets: 32 whole words.
    for word in 0..32 {
        if word * 8 + 8 > octets {
            break;
        }
        sum = checksum::add_word(sum, frame.read::<u64>(NAME + word * 8)?);
    }
    let rest = octets & 7;
    if rest != 0 {
        // The 8 octets before the end, of which the first are cut away: they were added already.
        let word = frame.read::<u64>(NAME - 8 + octets)?;
        sum = checksum::add_word(sum, word >> ((8 - rest) * 8));
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
fn write_dns_header(frame: &Frame, headers: &Headers, edns: &Edns, answer: &Answer) -> Option<u64> {
    let header = frame.at::<DnsHeader>(DNS)?;
    // SAFETY: `at` has checked the pointer; the header has alignment 1.
    let header = unsafe { &mut *header };
    let authoritative = if answer.authoritative != 0 { 0x04 } else { 0 };
    // QR, AA as the records say, RD copied; CD copied, RCODE.
    header.flags = [
        0x80 | authoritative | ((headers.flags >> 8) as u8 & 0x01),
        (headers.flags as u8 & 0x10) | (answer.rcode & 0x0f),
    ];
    header.answers = [0, answer.answers];
    header.authorities = [0, answer.authorities];
    header.additionals = [0, answer.additionals + edns.present as u8];
    let mut sum = 0;
    for word in [
        header.id,
        header.flags,
        header.questions,
        header.answers,
        header.authorities,
        header.additionals,
    ] {
        sum += u64::from(u16::from_ne_bytes(word));
    }
    Some(sum)
}

/// Swaps the addresses, writes the IPv4 header; gives the sum of the UDP pseudo header (RFC 768).
#[inline(always)]
fn write_ethernet_and_ip(frame: &Frame, datagram: u16) -> Option<u64> {
    let ethernet = frame.at::<EthHdr>(0)?;
    // SAFETY: `at` has checked the pointer; frames begin at even addresses, which is its alignment.
    let ethernet = unsafe { &mut *ethernet };
    (ethernet.dst_addr, ethernet.src_addr) = (ethernet.src_addr, ethernet.dst_addr);
    let ip = frame.at::<Ipv4Hdr>(IP)?;
    // SAFETY: `at` has checked the pointer; the header has alignment 1.
    let ip = unsafe { &mut *ip };
    (ip.src_addr, ip.dst_addr) = (ip.dst_addr, ip.src_addr);
    ip.tos = 0;
    ip.tot_len = (datagram + Ipv4Hdr::LEN as u16).to_be_bytes();
    ip.id = [0, 0];
    ip.frags = [0x40, 0];
    ip.ttl = TTL;
    let addresses = half_words(ip.src_addr) + half_words(ip.dst_addr);
    let sum = addresses
        + u64::from(u16::from_ne_bytes([ip.vihl, ip.tos]))
        + u64::from(u16::from_ne_bytes(ip.tot_len))
        + u64::from(u16::from_ne_bytes(ip.frags))
        + u64::from(u16::from_ne_bytes([ip.ttl, ip.proto]));
    ip.check = (!checksum::fold(sum)).to_ne_bytes();
    Some(addresses + u64::from(u16::from_ne_bytes([0, ip.proto])) + u64::from(datagram.to_be()))
}

#[inline(always)]
fn half_words(address: [u8; 4]) -> u64 {
    let [a, b, c, d] = address;
    u64::from(u16::from_ne_bytes([a, b])) + u64::from(u16::from_ne_bytes([c, d]))
}

/// Swaps the ports, writes length and checksum. `sum` is that of all the rest.
#[inline(always)]
fn write_udp(frame: &Frame, datagram: u16, sum: u64) -> Option<()> {
    let udp = frame.at::<UdpHdr>(UDP)?;
    // SAFETY: `at` has checked the pointer; the header has alignment 1.
    let udp = unsafe { &mut *udp };
    (udp.src, udp.dst) = (udp.dst, udp.src);
    udp.len = datagram.to_be_bytes();
    let sum = sum
        + u64::from(u16::from_ne_bytes(udp.src))
        + u64::from(u16::from_ne_bytes(udp.dst))
        + u64::from(u16::from_ne_bytes(udp.len));
    udp.check = checksum::udp_field(sum).to_ne_bytes();
    Some(())
}
