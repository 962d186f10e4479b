//! The layers below DNS in octets.

use std::net::Ipv4Addr;

use dglb_common::checksum;

use super::Random;

/// A frame, its parts apart so that each can be spoilt.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Ethernet header.
    pub ethernet: Vec<u8>,
    /// IPv4 header.
    pub ipv4: Vec<u8>,
    /// UDP header.
    pub udp: [u8; 8],
    /// DNS message.
    pub message: Vec<u8>,
    /// Behind the IP packet.
    pub padding: usize,
}

impl Packet {
    /// A datagram with `message`; identification, TTL, DSCP, DF and source port as they come.
    pub fn random(
        random: &mut Random,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        message: Vec<u8>,
    ) -> Self {
        let port = 1024 + random.below(64_512) as u16;
        let mut ipv4 = vec![0x45, random.pick(&[0, 0, 0x02, 0xb8]), 0, 0];
        ipv4.extend_from_slice(&random.bits().to_be_bytes()[..2]);
        ipv4.extend_from_slice(&[
            random.pick(&[0, 0x40]),
            0,
            1 + random.below(255) as u8,
            17,
            0,
            0,
        ]);
        ipv4.extend_from_slice(&source.octets());
        ipv4.extend_from_slice(&destination.octets());
        let mut udp = [0; 8];
        udp[..2].copy_from_slice(&port.to_be_bytes());
        udp[3] = 53;
        let mut ethernet = vec![2, 0, 0, 0, 0, 0x53, 2, 0, 0, 0, 0, random.below(256) as u8];
        ethernet.extend_from_slice(&[8, 0]);
        let mut packet = Self {
            ethernet,
            ipv4,
            udp,
            message,
            padding: 0,
        };
        packet.set_lengths();
        packet.set_checksums();
        let short = 60_usize.saturating_sub(packet.octets().len());
        packet.padding = random.pick(&[0, short, short + 4]);
        // No checksum at all is allowed (RFC 768), and a local sender leaves it unfinished to its
        // device: what stands there then is no checksum of the datagram.
        match random.below(8) {
            0 => packet.udp[6..].fill(0),
            1 => packet.udp[6..].copy_from_slice(&random.bits().to_be_bytes()[..2]),
            _ => {}
        }
        packet
    }

    /// Writes the length fields as they are.
    pub fn set_lengths(&mut self) {
        let datagram = 8 + self.message.len();
        let total = (self.ipv4.len() + datagram) as u16;
        self.ipv4[2..4].copy_from_slice(&total.to_be_bytes());
        self.udp[4..6].copy_from_slice(&(datagram as u16).to_be_bytes());
    }

    /// Writes the checksum fields as they are.
    pub fn set_checksums(&mut self) {
        self.set_ipv4_checksum();
        self.udp[6..].fill(0);
        let mut covered = self.ipv4[12..20].to_vec();
        covered.extend_from_slice(&[0, 17]);
        covered.extend_from_slice(&self.udp[4..6]);
        covered.extend_from_slice(&self.udp);
        covered.extend_from_slice(&self.message);
        let field = checksum::udp_field(u64::from(checksum::of(&covered)));
        self.udp[6..].copy_from_slice(&field.to_ne_bytes());
    }

    /// Writes the IPv4 header's checksum alone.
    pub fn set_ipv4_checksum(&mut self) {
        self.ipv4[10..12].fill(0);
        let field = !checksum::of(&self.ipv4);
        self.ipv4[10..12].copy_from_slice(&field.to_ne_bytes());
    }

    /// The frame; the padding is not zero.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = self.ethernet.clone();
        octets.extend_from_slice(&self.ipv4);
        octets.extend_from_slice(&self.udp);
        octets.extend_from_slice(&self.message);
        octets.resize(octets.len() + self.padding, 0xa5);
        octets
    }
}
