//! The headers of a frame, from Ethernet to DNS.

use network_types::{
    eth::{EthHdr, EtherType},
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    udp::UdpHdr,
};

use super::{Frame, Scratch, bind};
use crate::{checksum, client::Client, counters::Counter, layout::Settings};

/// Octets of a VLAN tag (IEEE 802.1Q §9.3): TPID and TCI.
const TAG: usize = 4;
/// From an IPv4 header without options to the DNS header.
pub const IPV4_TO_DNS: usize = Ipv4Hdr::LEN + UdpHdr::LEN;
/// From an IPv6 header to the DNS header.
pub const IPV6_TO_DNS: usize = Ipv6Hdr::LEN + UdpHdr::LEN;

/// EtherTypes, as they stand in the frame: IPv4, IPv6, a customer's VLAN tag and a service's (IEEE
/// 802.1Q table 9-1).
pub const IPV4: u16 = EtherType::Ipv4 as u16;
const IPV6: u16 = EtherType::Ipv6 as u16;
const C_TAG: u16 = EtherType::Ieee8021q as u16;
const S_TAG: u16 = EtherType::Ieee8021ad as u16;
/// DNS's port, as it stands in the frame.
const PORT: [u8; 2] = 53_u16.to_be_bytes();

/// Source ports below this one are other servers', perhaps of one that answers answers.
const FIRST_CLIENT_PORT: u32 = 1024;
/// The largest DNS message looked at: a query never fills an Ethernet frame.
const MAX_MESSAGE: usize = 1024;

/// A UDP datagram to port 53 of an address of ours.
///
/// Whole words only: the target feature that lets packet memory be read unaligned makes LLVM copy
/// odd-sized structs by overlapping words, which the verifier refuses on the stack ("misaligned
/// stack access", kernel 6.18).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who asks.
    pub client: Client,
    /// Offset of the IP header: 14, 18 or 22.
    pub ip: usize,
    /// From there to the DNS header: 28 or 48.
    pub to_dns: usize,
    /// Octets of the DNS message.
    pub message: usize,
    /// Source port.
    pub port: u64,
}

impl Datagram {
    /// Offset of the DNS header.
    #[inline(always)]
    pub const fn dns(&self) -> usize {
        self.ip + self.to_dns
    }
}

/// What is needed of the DNS header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Octets of the message: at most 1024.
    pub octets: usize,
    /// ARCOUNT: 0 or 1.
    pub additionals: u64,
}

/// What IP and UDP header say. Whole words, as above.
struct Packet {
    /// The word of the client.
    source: u64,
    /// Octets of UDP header and message.
    octets: usize,
    /// Octets in front of the DNS header.
    to_dns: usize,
    /// Source port.
    port: u64,
}

/// Reads the headers up to UDP, if the frame is a datagram to port 53 of an address of ours.
///
/// # Errors
/// [`Counter::PassedNotDns`] for all else.
#[inline(always)]
pub fn datagram(
    frame: &Frame<'_>,
    settings: &Settings,
    scratch: &mut Scratch,
) -> Result<Datagram, Counter> {
    let kind = kind(frame)?;
    if kind == IPV4 {
        return plain(frame, settings);
    }
    other(frame, kind, settings, scratch)
}

/// The EtherType of a frame to a single station, as it stands there.
///
/// # Errors
/// [`Counter::PassedNotDns`] for others, and for frames that are too short for any query.
#[inline(always)]
pub fn kind(frame: &Frame<'_>) -> Result<u16, Counter> {
    let none = Counter::PassedNotDns;
    let ethernet = frame.at::<[u8; EthHdr::LEN]>(0).ok_or(none)?;
    // SAFETY: in the frame, as just compared.
    let first = unsafe { ethernet.cast::<u8>().read() };
    // A group address (IEEE 802.3 §3.2.3: first bit on the wire) is nobody's query to answer.
    if first & 1 != 0 {
        return Err(none);
    }
    // SAFETY: as above.
    let kind = unsafe { ethernet.byte_add(EthHdr::LEN - 2) };
    // SAFETY: as above.
    Ok(unsafe { kind.cast::<u16>().read_unaligned() })
}

/// IPv4 without a VLAN tag: what nearly all frames are, and all offsets are constants.
///
/// # Errors
/// [`Counter::PassedNotDns`].
#[inline(always)]
pub fn plain(frame: &Frame<'_>, settings: &Settings) -> Result<Datagram, Counter> {
    let headers = frame.at(EthHdr::LEN).ok_or(Counter::PassedNotDns)?;
    let after = frame.len().wrapping_sub(EthHdr::LEN);
    // SAFETY: in the frame, as `at` has compared.
    let packet = unsafe { ipv4(headers, after, settings) }?;
    Ok(packet.datagram(EthHdr::LEN, packet.to_dns, 0))
}

/// IPv6, and all behind VLAN tags.
///
/// # Errors
/// [`Counter::PassedNotDns`].
#[inline(always)]
pub fn other(
    frame: &Frame<'_>,
    kind: u16,
    settings: &Settings,
    scratch: &mut Scratch,
) -> Result<Datagram, Counter> {
    let none = Counter::PassedNotDns;
    let (kind, ip) = match kind {
        C_TAG | S_TAG => behind_tags(frame, kind)?,
        _ => (kind, EthHdr::LEN),
    };
    let ip = scratch.forget(ip) & 0x1f;
    let at_ip = frame.skip(ip);
    let packet = match kind {
        IPV4 => {
            let headers = at_ip.at(0).ok_or(none)?;
            // SAFETY: in the frame, as `at` has compared.
            unsafe { ipv4(headers, at_ip.len(), settings) }?
        }
        IPV6 => ipv6(&at_ip, settings)?,
        _ => return Err(none),
    };
    let to_dns = scratch.forget(packet.to_dns) & 0x3f;
    // 28 has the bit of 32 not, 48 has it: a branch less for the verifier to follow.
    Ok(packet.datagram(ip, to_dns, (to_dns as u64 >> 5) & 1))
}

impl Packet {
    #[inline(always)]
    const fn datagram(&self, ip: usize, to_dns: usize, is_v6: u64) -> Datagram {
        Datagram {
            client: Client {
                word: self.source,
                is_v6,
            },
            ip,
            to_dns,
            message: self.octets - UdpHdr::LEN,
            port: self.port,
        }
    }
}

/// EtherType and offset behind a customer's VLAN tag, which may have one more tag in front of it.
#[inline(always)]
fn behind_tags(frame: &Frame<'_>, outer: u16) -> Result<(u16, usize), Counter> {
    let none = Counter::PassedNotDns;
    let one = EthHdr::LEN + TAG;
    let kind = frame.read::<u16>(one - 2).ok_or(none)?;
    if kind == C_TAG {
        let two = one + TAG;
        return Ok((frame.read::<u16>(two - 2).ok_or(none)?, two));
    }
    if outer == S_TAG {
        return Err(none);
    }
    Ok((kind, one))
}

/// IPv4 header without options, and UDP header, in words as they stand in the frame.
type Ipv4Udp = [u32; IPV4_TO_DNS / 4];

/// Checks the IPv4 header (RFC 791 §3.1) and the UDP header (RFC 768) in `octets` of the frame.
///
/// # Safety
/// All of `headers` can be read; they may have any alignment.
#[inline(always)]
unsafe fn ipv4(
    headers: *const Ipv4Udp,
    octets: usize,
    settings: &Settings,
) -> Result<Packet, Counter> {
    let none = Counter::PassedNotDns;
    let header = |index: usize| {
        // SAFETY: as the caller says.
        let word = unsafe { headers.cast::<u32>().add(index) };
        // SAFETY: as above.
        unsafe { word.read_unaligned() }
    };
    let [version, _, total_0, total_1] = header(0).to_ne_bytes();
    let [_, _, fragment_0, fragment_1] = header(1).to_ne_bytes();
    let protocol = header(2).to_ne_bytes()[1];
    let source = header(3).to_ne_bytes();
    // More fragments, or an offset: the kernel puts fragments together. DF may be set; the reserved
    // bit (RFC 791) may not.
    let is_fragment = fragment_0 & 0xbf != 0 || fragment_1 != 0;
    // 0/8, loopback, multicast and above are no sources of a query (RFC 1122 §3.2.1.3).
    let is_odd_source = source[0] == 0 || source[0] == 127 || source[0] >= 224;
    if version != 0x45 || protocol != IpProto::Udp as u8 || is_fragment || is_odd_source {
        return Err(none);
    }
    let total = usize::from(u16::from_be_bytes([total_0, total_1]));
    if total < IPV4_TO_DNS || total > octets {
        return Err(none);
    }
    // The sum of a header whose checksum is right is all ones.
    let words = (0..Ipv4Hdr::LEN / 4).map(header);
    if checksum::fold(words.map(u64::from).sum()) != 0xffff {
        return Err(none);
    }
    if !is_ours_v4(header(4), settings) {
        return Err(none);
    }
    let octets = total - Ipv4Hdr::LEN;
    let [port, _] = udp([header(5), header(6)], octets)?;
    Ok(Packet {
        source: Client::v4(source).word,
        octets,
        to_dns: IPV4_TO_DNS,
        port: u64::from(port),
    })
}

/// Checks the UDP header of a packet with `octets` behind its IP header, if it goes to port 53; gives
/// source port and checksum.
#[inline(always)]
fn udp(header: [u32; 2], octets: usize) -> Result<[u16; 2], Counter> {
    let [s0, s1, d0, d1] = header[0].to_ne_bytes();
    let [l0, l1, c0, c1] = header[1].to_ne_bytes();
    // The checksum's value is not compared: a local sender with checksum offload leaves it unfinished.
    if [d0, d1] != PORT || usize::from(u16::from_be_bytes([l0, l1])) != octets {
        return Err(Counter::PassedNotDns);
    }
    Ok([[s0, s1], [c0, c1]].map(u16::from_be_bytes))
}

#[inline(always)]
fn is_ours_v4(destination: u32, settings: &Settings) -> bool {
    for index in 0..settings.addresses_v4.len() {
        if index as u32 >= settings.address_count_v4 {
            break;
        }
        if u32::from_ne_bytes(settings.addresses_v4[index]) == destination {
            return true;
        }
    }
    false
}

/// Checks the IPv6 header (RFC 8200 §3).
#[inline(always)]
fn ipv6(ip: &Frame<'_>, settings: &Settings) -> Result<Packet, Counter> {
    let none = Counter::PassedNotDns;
    let header = ip.read::<[u64; Ipv6Hdr::LEN / 8]>(0).ok_or(none)?;
    let [version, _, _, _, len_0, len_1, next_header, _] = header[0].to_ne_bytes();
    if version >> 4 != 6
        || next_header != IpProto::Udp as u8
        || is_odd_source_v6(header[1], header[2])
    {
        return Err(none);
    }
    let octets = usize::from(u16::from_be_bytes([len_0, len_1]));
    if octets < UdpHdr::LEN || Ipv6Hdr::LEN + octets > ip.len() {
        return Err(none);
    }
    if !is_ours_v6([header[3], header[4]], settings) {
        return Err(none);
    }
    let of_udp = ip.read::<[u32; 2]>(Ipv6Hdr::LEN).ok_or(none)?;
    let [port, check] = udp(of_udp, octets)?;
    // RFC 8200 §8.1: over IPv6 there is a checksum.
    if check == 0 {
        return Err(none);
    }
    Ok(Packet {
        source: header[1],
        octets,
        to_dns: IPV6_TO_DNS,
        port: u64::from(port),
    })
}

/// Multicast, unspecified, loopback, IPv4-mapped: no sources on a wire (RFC 4291 §2.5, §2.7).
#[inline(always)]
fn is_odd_source_v6(first: u64, second: u64) -> bool {
    let (first, second) = (u64::from_be(first), u64::from_be(second));
    first >> 56 == 0xff || first == 0 && (second <= 1 || second >> 32 == 0xffff)
}

#[inline(always)]
fn is_ours_v6(destination: [u64; 2], settings: &Settings) -> bool {
    for index in 0..settings.addresses_v6.len() {
        if index as u32 >= settings.address_count_v6 {
            break;
        }
        // Chunks of 8 octets, as the header was read.
        let (words, _) = settings.addresses_v6[index].as_chunks::<8>();
        let [first, second] = [words[0], words[1]].map(u64::from_ne_bytes);
        if first == destination[0] && second == destination[1] {
            return true;
        }
    }
    false
}

/// Reads the DNS header (RFC 1035 §4.1.1), if it is that of a plain query; `dns` begins with it.
///
/// # Errors
/// [`Counter::PassedNotDns`] for what comes from another server's port, [`Counter::PassedForm`] for
/// what needs thought.
#[inline(always)]
pub fn message(dns: &Frame<'_>, datagram: &Datagram) -> Result<Message, Counter> {
    if datagram.port < u64::from(FIRST_CLIENT_PORT) {
        return Err(Counter::PassedNotDns);
    }
    let form = Counter::PassedForm;
    if datagram.message > MAX_MESSAGE {
        return Err(form);
    }
    let header = dns.read::<[u32; 3]>(0).ok_or(form)?;
    let [_, _, flags_0, flags_1] = header[0].to_ne_bytes();
    // QR 0, opcode QUERY, AA 0, TC 0; RA 0, Z 0, RCODE 0. RD, AD (RFC 6840 §5.7) and CD may be set.
    if flags_0 & 0xfe != 0 || flags_1 & 0xcf != 0 {
        return Err(form);
    }
    // One question, nothing else but perhaps one additional record.
    let [authorities_0, authorities_1, additionals_0, additionals_1] = header[2].to_ne_bytes();
    if header[1].to_ne_bytes() != [0, 1, 0, 0]
        || authorities_0 | authorities_1 | additionals_0 != 0
        || additionals_1 > 1
    {
        return Err(form);
    }
    Ok(Message {
        octets: bind(datagram.message),
        additionals: u64::from(additionals_1),
    })
}
