//! The IP header of a query, and that of its reply: IPv4 (RFC 791) and IPv6 (RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dglb_common::checksum;

/// Octets of an IPv4 header without options.
const IPV4: usize = 20;
/// Octets of an IPv6 header without extension headers.
const IPV6: usize = 40;
/// Octets of a UDP header.
const UDP: usize = 8;
/// Protocol number of UDP.
const PROTOCOL_UDP: u8 = 17;
/// Don't fragment, no offset.
const DONT_FRAGMENT: [u8; 2] = [0x40, 0x00];
/// TTL, or hop limit, of replies.
const TTL: u8 = 64;

/// EtherTypes.
pub(super) const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
pub(super) const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// A packet with a UDP datagram.
pub(super) struct Packet<'a> {
    /// Source address.
    pub(super) source: IpAddr,
    /// Destination address.
    pub(super) destination: IpAddr,
    /// Octets of the packet, by its own header.
    pub(super) octets: usize,
    /// What is behind the header: at least a UDP header.
    pub(super) datagram: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads what stands behind `ethertype`; `None` for everything that is not a whole, sound packet with
    /// a UDP datagram, from a source that can be one. What follows it is padding (RFC 894, RFC 2464).
    pub(super) fn read(ethertype: [u8; 2], octets: &'a [u8]) -> Option<Self> {
        match ethertype {
            ETHERTYPE_IPV4 => Self::read_v4(octets),
            ETHERTYPE_IPV6 => Self::read_v6(octets),
            _ => None,
        }
    }

    fn read_v4(octets: &'a [u8]) -> Option<Self> {
        let header = octets.get(..IPV4)?;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        if header[0] != 0x45
            || is_fragment
            || header[9] != PROTOCOL_UDP
            || checksum::of(header) != 0xffff
        {
            return None;
        }
        let address = |at| octets[at..at + 4].try_into().map(<[u8; 4]>::into).ok();
        let source: Ipv4Addr = address(12)?;
        let destination: Ipv4Addr = address(16)?;
        let datagram = octets.get(IPV4..total).filter(|it| it.len() >= UDP)?;
        is_host_v4(source).then_some(Self {
            source: source.into(),
            destination: destination.into(),
            octets: total,
            datagram,
        })
    }

    /// Version 6; traffic class, flow label and hop limit may be any. UDP comes at once, without an
    /// extension header, and fills the packet. Its checksum is there: RFC 8200 §8.1 wants a receiver to
    /// discard what has none.
    fn read_v6(octets: &'a [u8]) -> Option<Self> {
        let header = octets.get(..IPV6)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if header[0] >> 4 != 6 || header[6] != PROTOCOL_UDP {
            return None;
        }
        let address = |at| octets[at..at + 16].try_into().map(<[u8; 16]>::into).ok();
        let source: Ipv6Addr = address(8)?;
        let destination: Ipv6Addr = address(24)?;
        let datagram = octets.get(IPV6..IPV6 + length)?;
        let udp = datagram.get(..UDP)?;
        let fills = usize::from(u16::from_be_bytes([udp[4], udp[5]])) == length;
        (fills && udp[6..] != [0, 0] && is_host_v6(source)).then_some(Self {
            source: source.into(),
            destination: destination.into(),
            octets: IPV6 + length,
            datagram,
        })
    }

    /// The EtherType and the header of a packet back, with `payload` octets behind it.
    pub(super) fn reply_header(&self, payload: usize) -> ([u8; 2], Vec<u8>) {
        match (self.destination, self.source) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (ETHERTYPE_IPV4, header_v4(from, to, payload)),
            (from, to) => (ETHERTYPE_IPV6, header_v6(&from, &to, payload)),
        }
    }

    /// What stands before the datagram back for its checksum: addresses, protocol and length (RFC 768,
    /// RFC 8200 §8.1).
    pub(super) fn reply_pseudo_header(&self, payload: usize) -> Vec<u8> {
        let length = length_field(payload);
        let mut pseudo = octets_of(&self.destination);
        pseudo.extend_from_slice(&octets_of(&self.source));
        // IPv6's length has 32 bits and stands before the protocol; the sum is the same.
        pseudo.extend_from_slice(&[0, PROTOCOL_UDP, length[0], length[1]]);
        pseudo
    }
}

/// DSCP, ECN and identification 0, DF set: an atomic datagram (RFC 6864 §4.1).
fn header_v4(from: Ipv4Addr, to: Ipv4Addr, payload: usize) -> Vec<u8> {
    let mut header = vec![0; IPV4];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length_field(IPV4 + payload));
    header[6..8].copy_from_slice(&DONT_FRAGMENT);
    header[8] = TTL;
    header[9] = PROTOCOL_UDP;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let field = !checksum::of(&header);
    header[10..12].copy_from_slice(&field.to_ne_bytes());
    header
}

/// Traffic class and flow label 0.
fn header_v6(from: &IpAddr, to: &IpAddr, payload: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&length_field(payload));
    header.extend_from_slice(&[PROTOCOL_UDP, TTL]);
    header.extend_from_slice(&octets_of(from));
    header.extend_from_slice(&octets_of(to));
    header
}

/// Octets of a UDP message's headers from `source`: IP and UDP.
pub(super) fn header_octets(source: IpAddr) -> usize {
    match source {
        IpAddr::V4(_) => IPV4 + UDP,
        IpAddr::V6(_) => IPV6 + UDP,
    }
}

fn octets_of(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Whether one host can have the address as its source (RFC 1122 §3.2.1.3).
fn is_host_v4(source: Ipv4Addr) -> bool {
    !(source.octets()[0] == 0
        || source.is_loopback()
        || source.is_multicast()
        || source.is_broadcast())
}

/// Whether one host can have the address as its source in a packet that came over a link (RFC 4291
/// §2.5.2, §2.5.3, §2.5.5.2, §2.7).
fn is_host_v6(source: Ipv6Addr) -> bool {
    !(source.is_unspecified()
        || source.is_loopback()
        || source.is_multicast()
        || source.to_ipv4_mapped().is_some())
}

/// A length field of 16 bits.
pub(super) fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length)
        .expect("a response by UDP has at most 1232 octets")
        .to_be_bytes()
}
