//! The layers below DNS: Ethernet with VLAN tags (IEEE 802.1Q), IP ([`super::packet`]), UDP (RFC 768); a
//! datagram in, its reply out.

use std::net::IpAddr;

use dglb_common::checksum;

use super::packet::{Packet, length_field};

/// Octets of the two MAC addresses.
const MACS: usize = 12;
/// Octets of a VLAN tag: its EtherType, and priority, DEI and VID.
const TAG: usize = 4;
/// EtherType of an 802.1Q tag (C-VLAN), and of an outer 802.1ad tag (S-VLAN).
const ETHERTYPE_C_TAG: [u8; 2] = [0x81, 0x00];
const ETHERTYPE_S_TAG: [u8; 2] = [0x88, 0xa8];
/// Octets of a UDP header.
const UDP: usize = 8;
/// DNS's port.
const PORT: [u8; 2] = 53_u16.to_be_bytes();

/// A query's datagram, with what its reply needs.
pub(super) struct Datagram<'a> {
    /// The DNS message.
    pub(super) payload: &'a [u8],
    packet: Packet<'a>,
    source_port: [u8; 2],
    source_mac: &'a [u8],
    destination_mac: &'a [u8],
    /// The VLAN tags as they came.
    tags: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame; `None` for everything that is not a whole, sound datagram to one of `addresses`.
    pub(super) fn read(frame: &'a [u8], addresses: &[IpAddr]) -> Option<Self> {
        let (macs, rest) = frame.split_at_checked(MACS)?;
        let (destination_mac, source_mac) = macs.split_at(MACS / 2);
        // The low bit of the first octet: a group address, broadcast too.
        if destination_mac[0] & 1 != 0 {
            return None;
        }
        let (tags, rest) = rest.split_at_checked(octets_of_tags(rest))?;
        let (ethertype, octets) = rest.split_first_chunk::<2>()?;
        let packet = Packet::read(*ethertype, octets)?;
        if !addresses.contains(&packet.destination) {
            return None;
        }
        let udp = packet.datagram.get(..UDP)?;
        let length = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        let source_port = [udp[0], udp[1]];
        if udp[2..4] != PORT || source_port == [0, 0] {
            return None;
        }
        Some(Self {
            payload: packet.datagram.get(UDP..length)?,
            packet,
            source_port,
            source_mac,
            destination_mac,
            tags,
        })
    }

    /// Who sent it.
    pub(super) fn source(&self) -> IpAddr {
        self.packet.source
    }

    /// Octets of its IP packet, padding not among them.
    pub(super) fn packet_octets(&self) -> usize {
        self.packet.octets
    }

    /// The frame that carries `message` back, in the same VLAN at the same priority.
    pub(super) fn reply(&self, message: &[u8]) -> Vec<u8> {
        let (ethertype, header) = self.packet.reply_header(UDP + message.len());
        let udp = self.udp_header(message);
        [
            self.source_mac,
            self.destination_mac,
            self.tags,
            &ethertype,
            &header,
            &udp,
            message,
        ]
        .concat()
    }

    fn udp_header(&self, message: &[u8]) -> [u8; UDP] {
        let mut header = [0; UDP];
        header[..2].copy_from_slice(&PORT);
        header[2..4].copy_from_slice(&self.source_port);
        header[4..6].copy_from_slice(&length_field(UDP + message.len()));
        let pseudo = self.packet.reply_pseudo_header(UDP + message.len());
        let parts = [pseudo.as_slice(), &header, message];
        let sum = parts.map(|part| u64::from(checksum::of(part)));
        let field = checksum::udp_field(sum.iter().sum());
        header[6..].copy_from_slice(&field.to_ne_bytes());
        header
    }
}

/// Octets of the VLAN tags in front of the packet's EtherType: of none, one, or an outer and an inner
/// one. What follows is then no EtherType of IP where there are more.
fn octets_of_tags(rest: &[u8]) -> usize {
    let ethertype_at = |at: usize| rest.get(at..at + 2).unwrap_or_default();
    let inner = if ethertype_at(TAG) == ETHERTYPE_C_TAG {
        TAG
    } else {
        0
    };
    match ethertype_at(0) {
        outer if outer == ETHERTYPE_C_TAG => TAG + inner,
        // An S-tag alone is the provider's own.
        outer if outer == ETHERTYPE_S_TAG && inner != 0 => TAG + inner,
        _ => 0,
    }
}
