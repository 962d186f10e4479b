//! The third stage, the reply: room is made in front of the frame, the question moves there, the ready records are
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
    counters::Counter,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS, Settings},
    packet::{
        Datagram, Edns, Frame, IPV4_TO_DNS, IPV6_TO_DNS, NAME, OPT_OCTETS, Question, Reply,
        SUBNET_HEAD, Scratch, bind,
    },
    query::{OUR_PAYLOAD_SIZE, TYPE_OPT},
};
use network_types::{
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use crate::{
    maps::{ANSWERS, SETTINGS},
    stage,
};

/// Hop limit of replies (RFC 1700, "IP time to live parameter").
const TTL: u8 = 64;
/// Octets that a frame grows by at most: records, and OPT with Client Subnet.
const MAX_GROWTH: usize = MAX_ANSWER_OCTETS + OPT_OCTETS + 24;

/// What of the query is needed once its place has been overwritten. Whole words as they stand in the
/// frame: arrays of octets would be kept and written octet by octet.
struct Saved {
    /// Destination MAC address, and the first two octets of the source's.
    ethernet_0: u64,
    /// The other four octets of the source's.
    ethernet_8: u32,
    /// EtherType and VLAN tags, and what is behind them.
    ethernet_12: u64,
    /// The last two octets of two VLAN tags with the EtherType.
    ethernet_20: u16,
    /// IPv4 source and destination address.
    v4: u64,
    /// IPv6 source and destination address.
    v6: [u64; 4],
    /// UDP source and destination port.
    ports: u32,
    /// ID and flags.
    dns: u32,
    /// The last 8 octets of the question; of a short one, octets of the DNS header with it.
    question_end: u64,
}

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
    let saved = save(&frame, datagram, question).ok_or(Counter::PassedForm)?;
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
    write_headers(&frame, datagram, &saved, end + UdpHdr::LEN, header, sum)
        .map(|()| reply.row)
        .ok_or(Counter::PassedRoom)
}

#[inline(always)]
fn save(frame: &Frame<'_>, datagram: &Datagram, question: &Question) -> Option<Saved> {
    let ethernet = View(frame.at::<[u8; MAX_LINK]>(0)?.cast());
    let ip = frame.skip(datagram.ip);
    let (v4, v6, ports, dns) = if datagram.client.is_v6 != 0 {
        let ip = View(ip.at::<[u8; IPV6_TO_DNS + 4]>(0)?.cast());
        let v6 = [ip.read(8), ip.read(16), ip.read(24), ip.read(32)];
        (0, v6, ip.read(Ipv6Hdr::LEN), ip.read(IPV6_TO_DNS))
    } else {
        let ip = View(ip.at::<[u8; IPV4_TO_DNS + 4]>(0)?.cast());
        (
            ip.read(12),
            [0; 4],
            ip.read(Ipv4Hdr::LEN),
            ip.read(IPV4_TO_DNS),
        )
    };
    let dns_part = frame.skip(datagram.dns());
    Some(Saved {
        ethernet_0: ethernet.read(0),
        ethernet_8: ethernet.read(8),
        ethernet_12: ethernet.read(12),
        ethernet_20: ethernet.read(20),
        v4,
        v6,
        ports,
        dns,
        question_end: dns_part.read(NAME - 8 + question.octets())?,
    })
}

/// Octets of an Ethernet header with two VLAN tags.
const MAX_LINK: usize = 22;

/// A part of the frame that was compared with its end as a whole, by [`Frame::at`].
#[derive(Clone, Copy)]
struct View(*mut u8);

impl View {
    #[inline(always)]
    fn read<T: Copy>(self, offset: usize) -> T {
        // SAFETY: as said above; offsets are constants within the part, and `T` plain data.
        unsafe { self.0.add(offset).cast::<T>().read_unaligned() }
    }

    #[inline(always)]
    fn write<T: Copy>(self, offset: usize, value: T) {
        // SAFETY: as above.
        unsafe { self.0.add(offset).cast::<T>().write_unaligned(value) };
    }
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

/// The DNS message of the reply.
struct Message<'a> {
    /// The frame from the DNS header on.
    dns: Frame<'a>,
    saved: &'a Saved,
    question: &'a Question,
    /// Octets of the question once more, see [`Scratch::forget_long`].
    question_bound: usize,
    /// Octets of the records: all or none.
    len: usize,
    /// The same once more.
    len_bound: usize,
    edns: &'a Edns,
    scratch: &'a Scratch,
    answer: &'a Answer,
    reply: &'a Reply,
    /// Octets that the query's content has moved back by.
    moved: usize,
}

impl Message<'_> {
    /// Writes what is behind the header, and gives its sum.
    #[inline(always)]
    fn write(&self) -> Option<u64> {
        let mut sum = self.move_question()?;
        if self.len != 0 {
            // The question begins at an even offset of the datagram; so do the records unless its
            // length is odd.
            let records = self.write_records()?;
            sum += checksum::at_offset(checksum::fold(records), self.question.octets());
        }
        if self.edns.present != 0 {
            sum += self.write_opt()?;
        }
        Some(sum)
    }

    /// Moves the question to its place behind the DNS header and gives its sum.
    ///
    /// The place is in front of where it was, so that words can be copied from the first to the last;
    /// the last one overlaps the one before it, and was read before anything moved.
    #[inline(always)]
    fn move_question(&self) -> Option<u64> {
        let octets = self.question.octets();
        let moved = bind(self.moved);
        if moved > MAX_GROWTH {
            return None;
        }
        let mut sum = 0;
        // At most 259 octets: 32 whole words.
        for word in 0..32 {
            let at = word * 8;
            if at + 8 > self.question_bound {
                break;
            }
            let value = self.dns.read::<u64>(NAME + at + moved)?;
            self.dns.write(NAME + at, value)?;
            sum = checksum::add_word(sum, value);
        }
        self.dns.write(NAME - 8 + octets, self.saved.question_end)?;
        let rest = octets & 7;
        if rest != 0 {
            // The first of the 8 octets were added already.
            sum = checksum::add_word(sum, self.saved.question_end >> ((8 - rest) * 8));
        }
        Some(sum)
    }

    /// Copies the records, moves their pointers, and gives their sum as at an even offset.
    #[inline(always)]
    fn write_records(&self) -> Option<u64> {
        let answer = self.answer;
        let records = NAME + self.question.octets();
        let len = self.len;
        // In words of 8 octets; the last word overlaps the one before it.
        for word in 0..MAX_ANSWER_OCTETS / 8 {
            let at = word * 8;
            if at + 8 > self.len_bound {
                break;
            }
            self.dns
                .write::<u64>(records + at, read_octets(answer, at))?;
        }
        let last = len.wrapping_sub(8) & (MAX_ANSWER_OCTETS - 1);
        self.dns
            .write::<u64>(records + last, read_octets(answer, last))?;
        let to_records = usize::from(answer.record_pointers);
        // Those to the base stand behind, and need no move where the base is the question.
        let prefix = self.reply.prefix as usize & 0xff;
        let count = match prefix {
            0 => to_records,
            _ => to_records + usize::from(answer.base_pointers),
        };
        let octets = self.question.octets();
        let mut sum = u64::from(answer.sum);
        for index in 0..MAX_POINTERS {
            if index >= count {
                break;
            }
            // Without a branch, for the verifier.
            let is_to_record = (index as i64 - to_records as i64) >> 63;
            let by_which = (octets ^ prefix) & is_to_record as usize;
            let moved = prefix ^ by_which;
            sum += self.move_pointer(records, answer.pointers[index], moved as u16)?;
        }
        Some(sum)
    }

    /// Adds to a pointer of the records; gives what that adds to their sum.
    #[inline(always)]
    fn move_pointer(&self, records: usize, at: u16, moved: u16) -> Option<u64> {
        let at = usize::from(at) & (MAX_ANSWER_OCTETS - 1);
        let pointer = u16::from_be(self.dns.read::<u16>(records + at)?);
        self.dns
            .write(records + at, pointer.wrapping_add(moved).to_be())?;
        Some(checksum::at_offset(moved.to_be(), at))
    }

    /// Writes our OPT (RFC 6891 §6.1.2, §6.1.3) with Client Subnet where it was asked with; gives its sum.
    #[inline(always)]
    fn write_opt(&self) -> Option<u64> {
        let at = self.question.octets() + self.len;
        let subnet = self.edns.subnet;
        let [type_0, type_1] = TYPE_OPT.to_be_bytes();
        let [size_0, size_1] = OUR_PAYLOAD_SIZE.to_be_bytes();
        let dnssec_ok = self.edns.dnssec_ok as u8;
        let record: [u8; OPT_OCTETS] = [
            0,
            type_0,
            type_1,
            size_0,
            size_1,
            0,
            0,
            dnssec_ok,
            0,
            0,
            subnet as u8,
        ];
        self.dns.write(NAME + at, record)?;
        let words = [
            [0, type_0],
            [type_1, size_0],
            [size_1, 0],
            [0, dnssec_ok],
            [subnet as u8, 0],
        ];
        let mut sum = 0;
        for word in words {
            sum += u64::from(u16::from_ne_bytes(word));
        }
        let mut sum = checksum::at_offset(checksum::fold(sum), at);
        if subnet != 0 {
            sum += self.write_subnet(at + OPT_OCTETS)?;
        }
        Some(sum)
    }

    /// Writes Client Subnet (RFC 7871 §6) at `at` behind the header, and gives its sum.
    #[inline(always)]
    fn write_subnet(&self, at: usize) -> Option<u64> {
        let [head, first, second] = self.scratch.subnet;
        let head = (head.to_le() | self.reply.scope << 56).to_le();
        self.dns.write(NAME + at, head)?;
        let octets = self.edns.subnet;
        for index in 0..16 {
            if SUBNET_HEAD + index >= octets {
                break;
            }
            let octet = self.scratch.subnet_octet(index);
            self.dns.write(NAME + at + SUBNET_HEAD + index, octet)?;
        }
        // What is behind the address is zero, and adds nothing.
        let sum = checksum::add_word(0, head);
        let sum = checksum::add_word(checksum::add_word(sum, first), second);
        Some(checksum::at_offset(checksum::fold(sum), at))
    }

    /// The DNS header.
    #[inline(always)]
    fn header(&self, recursion_available: u32) -> [u32; 3] {
        let [id_0, id_1, flags_0, flags_1] = self.saved.dns.to_ne_bytes();
        let bits = self.reply.bits;
        let ra = if recursion_available != 0 { 0x80 } else { 0 };
        // QR, AA and TC as the reply says, RD copied; RA, CD copied, RCODE.
        let flags = [
            0x80 | bits as u8 | (flags_0 & 0x01),
            ra | (flags_1 & 0x10) | (bits >> 8) as u8,
        ];
        let answer = self.answer;
        let counts = if self.len == 0 {
            [0; 3]
        } else {
            [answer.answers, answer.authorities, answer.additionals]
        };
        let additionals = counts[2] + self.edns.present as u8;
        [
            u32::from_ne_bytes([id_0, id_1, flags[0], flags[1]]),
            u32::from_ne_bytes([0, 1, 0, counts[0]]),
            u32::from_ne_bytes([0, counts[1], 0, additionals]),
        ]
    }
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

/// Writes Ethernet, IP, UDP and DNS header; `octets` are those of the datagram, `sum` is that of the
/// message without its header.
#[inline(always)]
fn write_headers(
    frame: &Frame<'_>,
    datagram: &Datagram,
    saved: &Saved,
    octets: usize,
    header: [u32; 3],
    sum: u64,
) -> Option<()> {
    // Destination and source change places: 6 octets each, of which the first word has 8.
    let (first, second) = (
        saved.ethernet_0.to_le(),
        u64::from(saved.ethernet_8.to_le()),
    );
    let ethernet = View(frame.at::<[u8; MAX_LINK]>(0)?.cast());
    ethernet.write(0, (first >> 48 | second << 16 | first << 48).to_le());
    ethernet.write(8, ((first >> 16) as u32).to_le());
    // As long as with two tags; with less, the IP header is written over it.
    ethernet.write(12, saved.ethernet_12);
    ethernet.write(20, saved.ethernet_20);
    let ip = frame.skip(datagram.ip);
    let octets = octets as u16;
    let sum = sum + header.into_iter().map(u64::from).sum::<u64>();
    if datagram.client.is_v6 != 0 {
        let ip = View(ip.at::<[u8; IPV6_TO_DNS + NAME]>(0)?.cast());
        let sum = sum + write_ipv6(ip, saved, octets);
        write_udp_dns(ip, Ipv6Hdr::LEN, saved, octets, header, sum);
    } else {
        let ip = View(ip.at::<[u8; IPV4_TO_DNS + NAME]>(0)?.cast());
        let sum = sum + write_ipv4(ip, saved, octets);
        write_udp_dns(ip, Ipv4Hdr::LEN, saved, octets, header, sum);
    }
    Some(())
}

/// Writes the IPv4 header; gives the sum of the UDP pseudo header (RFC 768).
#[inline(always)]
fn write_ipv4(ip: View, saved: &Saved, octets: u16) -> u64 {
    let protocol = IpProto::Udp as u8;
    let addresses = checksum::add_word(0, saved.v4);
    let [len_0, len_1] = (octets + Ipv4Hdr::LEN as u16).to_be_bytes();
    // Version, IHL, DSCP and ECN 0, length; identification 0, DF; TTL, protocol, checksum.
    let length = u32::from_ne_bytes([0x45, 0, len_0, len_1]);
    let fragment = u32::from_ne_bytes([0, 0, 0x40, 0]);
    let sum = addresses
        + u64::from(length)
        + u64::from(fragment)
        + u64::from(u16::from_ne_bytes([TTL, protocol]));
    let [check_0, check_1] = (!checksum::fold(sum)).to_ne_bytes();
    let life = u32::from_ne_bytes([TTL, protocol, check_0, check_1]);
    ip.write(0, length);
    ip.write(4, fragment);
    ip.write(8, life);
    ip.write(12, saved.v4.rotate_left(32));
    addresses + u64::from(u16::from_ne_bytes([0, protocol])) + u64::from(octets.to_be())
}

/// Writes the IPv6 header (RFC 8200 §3); gives the sum of the pseudo header (RFC 8200 §8.1).
#[inline(always)]
fn write_ipv6(ip: View, saved: &Saved, octets: u16) -> u64 {
    let protocol = IpProto::Udp as u8;
    let [len_0, len_1] = octets.to_be_bytes();
    let [source_0, source_1, destination_0, destination_1] = saved.v6;
    ip.write(
        0,
        u64::from_ne_bytes([0x60, 0, 0, 0, len_0, len_1, protocol, TTL]),
    );
    ip.write(8, destination_0);
    ip.write(16, destination_1);
    ip.write(24, source_0);
    ip.write(32, source_1);
    let mut sum = u64::from(u16::from_ne_bytes([0, protocol])) + u64::from(octets.to_be());
    for word in saved.v6 {
        sum = checksum::add_word(sum, word);
    }
    sum
}

/// Writes the UDP header at `at`, and the DNS header behind it. `sum` is that of all the rest.
#[inline(always)]
fn write_udp_dns(ip: View, at: usize, saved: &Saved, octets: u16, header: [u32; 3], sum: u64) {
    let ports = saved.ports.rotate_left(16);
    let sum = sum + u64::from(ports) + u64::from(octets.to_be());
    let [len_0, len_1] = octets.to_be_bytes();
    let [check_0, check_1] = checksum::udp_field(sum).to_ne_bytes();
    ip.write(at, ports);
    ip.write(at + 4, u32::from_ne_bytes([len_0, len_1, check_0, check_1]));
    ip.write(at + 8, header[0]);
    ip.write(at + 12, header[1]);
    ip.write(at + 16, header[2]);
}
