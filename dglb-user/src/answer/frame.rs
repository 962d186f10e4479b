//! The layers below DNS: Ethernet, IPv4 (RFC 791), UDP (RFC 768); a datagram in, its reply out.

use std::net::Ipv4Addr;

use dglb_common::checksum;

/// Octets of an Ethernet header.
const ETHERNET: usize = 14;
/// Octets of an IPv4 header without options.
const IPV4: usize = 20;
/// Octets of a UDP header.
const UDP: usize = 8;
/// EtherType of IPv4.
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Protocol number of UDP.
const PROTOCOL_UDP: u8 = 17;
/// DNS's port.
const PORT: [u8; 2] = 53_u16.to_be_bytes();
/// Don't fragment, no offset.
const DONT_FRAGMENT: [u8; 2] = [0x40, 0x00];
/// TTL of replies.
const TTL: u8 = 64;

/// A query's datagram, with what its reply needs.
pub(super) struct Datagram<'a> {
    /// Who asks.
    pub(super) source: Ipv4Addr,
    /// The DNS message.
    pub(super) payload: &'a [u8],
    destination: Ipv4Addr,
    source_port: [u8; 2],
    source_mac: &'a [u8],
    destination_mac: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame; `None` for everything that is not a whole, sound datagram to one of `addresses`.
    pub(super) fn read(frame: &'a [u8], addresses: &[Ipv4Addr]) -> Option<Self> {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET)?;
        let (destination_mac, source_mac) = (&ethernet[..6], &ethernet[6..12]);
        // The low bit of the first octet: a group address, broadcast too.
        if ethernet[12..] != ETHERTYPE_IPV4 || destination_mac[0] & 1 != 0 {
            return None;
        }
        let header = packet.get(..IPV4)?;
        let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        if header[0] != 0x45
            || is_fragment
            || header[9] != PROTOCOL_UDP
            || checksum::of(header) != 0xffff
        {
            return None;
        }
        let source = address(&header[12..16]);
        let destination = address(&header[16..20]);
        if !is_host(source) || !addresses.contains(&destination) {
            return None;
        }
        // Behind the packet's own length there is padding (RFC 894).
        let datagram = packet.get(IPV4..total)?;
        let (udp, _) = datagram.split_at_checked(UDP)?;
        let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        let source_port = [udp[0], udp[1]];
        if udp[2..4] != PORT || source_port == [0, 0] {
            return None;
        }
        Some(Self {
            source,
            payload: datagram.get(UDP..length)?,
            destination,
            source_port,
            source_mac,
            destination_mac,
        })
    }

    /// The frame that carries `message` back.
    pub(super) fn reply(&self, message: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(ETHERNET + IPV4 + UDP + message.len());
        frame.extend_from_slice(self.source_mac);
        frame.extend_from_slice(self.destination_mac);
        frame.extend_from_slice(&ETHERTYPE_IPV4);
        frame.extend_from_slice(&self.ipv4_header(UDP + message.len()));
        frame.extend_from_slice(&self.udp_header(message));
        frame.extend_from_slice(message);
        frame
    }

    /// DSCP, ECN and identification 0, DF set: an atomic datagram (RFC 6864 §4.1).
    fn ipv4_header(&self, payload: usize) -> [u8; IPV4] {
        let mut header = [0; IPV4];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&length_field(IPV4 + payload));
        header[6..8].copy_from_slice(&DONT_FRAGMENT);
        header[8] = TTL;
        header[9] = PROTOCOL_UDP;
        header[12..16].copy_from_slice(&self.destination.octets());
        header[16..20].copy_from_slice(&self.source.octets());
        let field = !checksum::of(&header);
        header[10..12].copy_from_slice(&field.to_ne_bytes());
        header
    }

    fn udp_header(&self, message: &[u8]) -> [u8; UDP] {
        let length = length_field(UDP + message.len());
        let mut header = [0; UDP];
        header[..2].copy_from_slice(&PORT);
        header[2..4].copy_from_slice(&self.source_port);
        header[4..6].copy_from_slice(&length);
        // RFC 768: addresses, protocol and length stand before the datagram for the checksum.
        let mut pseudo = [0; 12];
        pseudo[..4].copy_from_slice(&self.destination.octets());
        pseudo[4..8].copy_from_slice(&self.source.octets());
        pseudo[9] = PROTOCOL_UDP;
        pseudo[10..].copy_from_slice(&length);
        let parts = [&pseudo[..], &header, message];
        let sum = parts.map(|part| u64::from(checksum::of(part)));
        let field = checksum::udp_field(sum.iter().sum());
        header[6..].copy_from_slice(&field.to_ne_bytes());
        header
    }
}

fn address(octets: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])
}

/// Whether one host can have the address as its source (RFC 1122 §3.2.1.3).
fn is_host(source: Ipv4Addr) -> bool {
    !(source.octets()[0] == 0
        || source.is_loopback()
        || source.is_multicast()
        || source.is_broadcast())
}

fn length_field(length: usize) -> [u8; 2] {
    u16::try_from(length)
        .expect("a response by UDP has at most 1232 octets")
        .to_be_bytes()
}
