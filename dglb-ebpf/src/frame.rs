//! The checked accessor for packet memory, and the headers of a frame up to the DNS header.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use dglb_common::checksum;
use network_types::{
    eth::{EthHdr, EtherType},
    ip::Ipv4Hdr,
    udp::UdpHdr,
};

use crate::outcome::Outcome;

/// Offset of the IPv4 header.
pub const IP: usize = EthHdr::LEN;
/// Offset of the UDP header: IPv4 without options.
pub const UDP: usize = IP + Ipv4Hdr::LEN;
/// Offset of the DNS header.
pub const DNS: usize = UDP + UdpHdr::LEN;
/// Offset of the question's name.
pub const NAME: usize = DNS + size_of::<DnsHeader>();

/// Protocol number of UDP in the IPv4 header (RFC 790).
pub const UDP_PROTOCOL: u8 = 17;

/// DNS header (RFC 1035 §4.1.1), network order.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DnsHeader {
    /// ID.
    pub id: [u8; 2],
    /// QR, opcode, AA, TC, RD; RA, Z, AD, CD, RCODE.
    pub flags: [u8; 2],
    /// QDCOUNT.
    pub questions: [u8; 2],
    /// ANCOUNT.
    pub answers: [u8; 2],
    /// NSCOUNT.
    pub authorities: [u8; 2],
    /// ARCOUNT.
    pub additionals: [u8; 2],
}

/// The frame's memory. Dies with `bpf_xdp_adjust_head` and `bpf_xdp_adjust_tail`, which consume it
/// ([`crate::reply`]).
pub struct Frame {
    start: usize,
    end: usize,
}

impl Frame {
    /// The frame as it is now.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// Octets of the frame.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// A pointer to a `T` at `offset`, if all of it lies in the frame.
    #[inline(always)]
    pub fn at<T>(&self, offset: usize) -> Option<*mut T> {
        let pointer = bind(self.start + offset);
        if pointer + size_of::<T>() > self.end {
            return None;
        }
        Some(pointer as *mut T)
    }

    /// The `T` at `offset`; `T` is plain data, of any alignment.
    #[inline(always)]
    pub fn read<T: Copy>(&self, offset: usize) -> Option<T> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: `at` has checked that all of it lies in the frame; all bit patterns are values of
        // the integers and arrays of integers that it is called for.
        Some(unsafe { pointer.read_unaligned() })
    }

    /// Writes `value` at `offset`.
    #[inline(always)]
    pub fn write<T: Copy>(&self, offset: usize, value: T) -> Option<()> {
        let pointer = self.at::<T>(offset)?;
        // SAFETY: `at` has checked that all of it lies in the frame.
        unsafe { pointer.write_unaligned(value) };
        Some(())
    }
}

/// The same number, of which LLVM knows nothing more.
///
/// It would else compute the pointer a second time for the use, or leave a comparison out that follows
/// from an earlier one; the verifier (kernel 6.18) knows neither, and refuses the access. The move is
/// there because an empty statement leaves two line records at one instruction ("Invalid line_info").
#[inline(always)]
pub fn bind(mut pointer: usize) -> usize {
    // SAFETY: moves a register to itself.
    unsafe {
        asm!("{0} = {0}", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags))
    };
    pointer
}

/// A UDP datagram to port 53 of an address of ours. Whole words, for the reason that
/// [`crate::edns::Edns`] gives.
#[derive(Clone, Copy)]
pub struct Datagram {
    /// IPv4 source address as it stands in the header, read as a native integer.
    pub source: u32,
    /// Source port.
    pub port: u32,
    /// Octets of the DNS message.
    pub message: usize,
}

/// What is needed of the DNS header.
#[derive(Clone, Copy)]
pub struct Headers {
    /// Offset of the first octet behind the DNS message; at most 42 + [`MAX_MESSAGE`].
    pub message_end: usize,
    /// ARCOUNT: 0 or 1.
    pub additionals: u64,
}

/// The largest DNS message looked at: a query never fills an Ethernet frame.
const MAX_MESSAGE: usize = 1024;

/// Source ports below this one are other servers', perhaps of one that answers answers.
const FIRST_CLIENT_PORT: u32 = 1024;

/// Reads the headers up to UDP, if the frame is a datagram to port 53 of one of `addresses`.
#[inline(always)]
pub fn datagram(frame: &Frame, addresses: &[[u8; 4]]) -> Result<Datagram, Outcome> {
    let ethernet = frame.read::<EthHdr>(0).ok_or(Outcome::NotDns)?;
    // A group address (IEEE 802.3 §3.2.3: first bit on the wire) is nobody's query to answer.
    if { ethernet.ether_type } != EtherType::Ipv4 as u16 || ethernet.dst_addr[0] & 1 != 0 {
        return Err(Outcome::NotDns);
    }
    let (source, octets) = ipv4(frame, addresses)?;
    let udp = frame.read::<UdpHdr>(UDP).ok_or(Outcome::NotDns)?;
    if udp.dst != [0, 53] || usize::from(u16::from_be_bytes(udp.len)) != octets {
        return Err(Outcome::NotDns);
    }
    Ok(Datagram {
        source,
        port: u32::from(u16::from_be_bytes(udp.src)),
        message: octets - UdpHdr::LEN,
    })
}

/// Reads the DNS header, if it is that of a plain query.
#[inline(always)]
pub fn headers(frame: &Frame, datagram: &Datagram) -> Result<Headers, Outcome> {
    if datagram.port < FIRST_CLIENT_PORT {
        return Err(Outcome::NotDns);
    }
    if datagram.message > MAX_MESSAGE {
        return Err(Outcome::Form);
    }
    let dns = frame.read::<DnsHeader>(DNS).ok_or(Outcome::Form)?;
    // QR 0, opcode QUERY, AA 0, TC 0; RA 0, Z 0, RCODE 0. RD, AD (RFC 6840 §5.7) and CD may be set.
    if dns.flags[0] & 0xfe != 0 || dns.flags[1] & 0xcf != 0 {
        return Err(Outcome::Form);
    }
    if dns.questions != [0, 1]
        || dns.answers != [0, 0]
        || dns.authorities != [0, 0]
        || dns.additionals[0] != 0
        || dns.additionals[1] > 1
    {
        return Err(Outcome::Form);
    }
    Ok(Headers {
        message_end: DNS + datagram.message,
        additionals: u64::from(dns.additionals[1]),
    })
}

/// Checks the IPv4 header (RFC 791 §3.1); gives the source and the octets of the UDP datagram.
#[inline(always)]
fn ipv4(frame: &Frame, addresses: &[[u8; 4]]) -> Result<(u32, usize), Outcome> {
    let ip = frame.read::<Ipv4Hdr>(IP).ok_or(Outcome::NotDns)?;
    let total = usize::from(u16::from_be_bytes(ip.tot_len));
    // More fragments, or an offset: the kernel puts fragments together. DF may be set; the reserved
    // bit (RFC 791) may not.
    let fragment = u16::from_be_bytes(ip.frags) & 0xbfff != 0;
    let source = u32::from_ne_bytes(ip.src_addr);
    let first = source.to_ne_bytes()[0];
    // 0/8, loopback, multicast and above are no sources of a query (RFC 1122 §3.2.1.3).
    let odd_source = first == 0 || first == 127 || first >= 224;
    if ip.vihl != 0x45 || ip.proto != UDP_PROTOCOL || fragment || odd_source {
        return Err(Outcome::NotDns);
    }
    if total < Ipv4Hdr::LEN + UdpHdr::LEN || IP + total > frame.len() {
        return Err(Outcome::NotDns);
    }
    // The UDP checksum is not compared: a local sender with checksum offload leaves it unfinished.
    if checksum::fold(sum_of_header(frame).ok_or(Outcome::NotDns)?) != 0xffff {
        return Err(Outcome::NotDns);
    }
    let ours = addresses
        .iter()
        .any(|address| u32::from_ne_bytes(*address) == u32::from_ne_bytes(ip.dst_addr));
    if !ours {
        return Err(Outcome::NotDns);
    }
    Ok((source, total - Ipv4Hdr::LEN))
}

/// The ones'-complement sum of the IPv4 header, which is all ones if its checksum is right.
#[inline(always)]
fn sum_of_header(frame: &Frame) -> Option<u64> {
    let words = frame.read::<[u32; Ipv4Hdr::LEN / 4]>(IP)?;
    Some(words.into_iter().map(u64::from).sum())
}
