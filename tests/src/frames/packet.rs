//! The layers below DNS in octets: Ethernet, VLAN tags, IPv4 or IPv6, UDP.

use std::net::IpAddr;

use dglb_common::checksum;

use super::Random;

/// EtherType of an 802.1Q tag.
pub const TAG: [u8; 2] = [0x81, 0x00];
/// EtherType of an 802.1ad tag: the outer one of QinQ.
pub const OUTER_TAG: [u8; 2] = [0x88, 0xa8];
/// EtherType of IPv4.
pub const IPV4: [u8; 2] = [0x08, 0x00];
/// EtherType of IPv6.
pub const IPV6: [u8; 2] = [0x86, 0xdd];

/// A frame, its parts apart so that each can be spoilt.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Destination and source.
    pub macs: [u8; 12],
    /// EtherType and tag control information of each VLAN tag, the outer one first.
    pub tags: Vec<[u8; 4]>,
    /// EtherType of what is in the frame.
    pub ethertype: [u8; 2],
    /// IP header: IPv4 of 20 octets or IPv6 of 40, until it is spoilt.
    pub ip: Vec<u8>,
    /// UDP header.
    pub udp: [u8; 8],
    /// DNS message.
    pub message: Vec<u8>,
    /// Octets behind the IP packet.
    pub padding: usize,
}

impl Packet {
    /// The plainest datagram that carries `message`: no VLAN, port 40000, sums right, no padding.
    ///
    /// # Panics
    /// When the addresses are not of one family.
    pub fn plain(source: IpAddr, destination: IpAddr, message: Vec<u8>) -> Self {
        let (ethertype, ip) = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
                ip.extend_from_slice(&source.octets());
                ip.extend_from_slice(&destination.octets());
                (IPV4, ip)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut ip = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
                ip.extend_from_slice(&source.octets());
                ip.extend_from_slice(&destination.octets());
                (IPV6, ip)
            }
            other => panic!("addresses of two families: {other:?}"),
        };
        let mut packet = Self {
            macs: [2, 0, 0, 0, 0, 0x53, 2, 0, 0, 0, 0, 1],
            tags: Vec::new(),
            ethertype,
            ip,
            udp: [0x9c, 0x40, 0, 53, 0, 0, 0, 0],
            message,
            padding: 0,
        };
        packet.set_lengths();
        packet.set_checksums();
        packet
    }

    /// A datagram with `message`; what may be any value in it has any.
    pub fn random(
        random: &mut Random,
        source: IpAddr,
        destination: IpAddr,
        message: Vec<u8>,
    ) -> Self {
        let mut packet = Self::plain(source, destination, message);
        packet.macs[11] = random.bits() as u8;
        let port = 1024 + random.below(64_512) as u16;
        packet.udp[..2].copy_from_slice(&port.to_be_bytes());
        packet.tags = tags(random);
        if packet.is_v6() {
            // Traffic class and flow label, hop limit.
            let [a, b, c, d] = (random.bits() as u32).to_be_bytes();
            let word = random.pick(&[[0x60, 0, 0, 0], [0x60 | a >> 4, b, c, d]]);
            packet.ip[..4].copy_from_slice(&word);
            packet.ip[7] = 1 + random.below(255) as u8;
        } else {
            // DSCP and ECN, identification, DF, TTL.
            packet.ip[1] = random.pick(&[0, 0, 0x02, 0xb8]);
            packet.ip[4..6].copy_from_slice(&random.bits().to_be_bytes()[..2]);
            packet.ip[6] = random.pick(&[0, 0x40]);
            packet.ip[8] = 1 + random.below(255) as u8;
        }
        packet.set_checksums();
        let short = 60_usize.saturating_sub(packet.octets().len());
        packet.padding = random.pick(&[0, short, short + 4]);
        packet.unfinished_checksum(random);
        packet
    }

    /// No checksum at all is allowed in IPv4 (RFC 768), and a local sender leaves it unfinished to its
    /// device: what stands there then is no checksum of the datagram.
    fn unfinished_checksum(&mut self, random: &mut Random) {
        match random.below(8) {
            0 if !self.is_v6() => self.udp[6..].fill(0),
            1 => {
                let [high, low, ..] = random.bits().to_be_bytes();
                self.udp[6..].copy_from_slice(&[high, low | 1]);
            }
            _ => {}
        }
    }

    /// Whether it is IPv6.
    pub fn is_v6(&self) -> bool {
        self.ethertype == IPV6
    }

    /// Writes the length fields as they are.
    pub fn set_lengths(&mut self) {
        let datagram = 8 + self.message.len();
        if self.is_v6() {
            let payload = (self.ip.len() - 40 + datagram) as u16;
            self.ip[4..6].copy_from_slice(&payload.to_be_bytes());
        } else {
            let total = (self.ip.len() + datagram) as u16;
            self.ip[2..4].copy_from_slice(&total.to_be_bytes());
        }
        self.udp[4..6].copy_from_slice(&(datagram as u16).to_be_bytes());
    }

    /// Writes the checksum fields as they are.
    pub fn set_checksums(&mut self) {
        self.set_ipv4_checksum();
        self.udp[6..].fill(0);
        let addresses = if self.is_v6() { 8..40 } else { 12..20 };
        let mut covered = self.ip[addresses].to_vec();
        covered.extend_from_slice(&[0, 17]);
        covered.extend_from_slice(&self.udp[4..6]);
        covered.extend_from_slice(&self.udp);
        covered.extend_from_slice(&self.message);
        let field = checksum::udp_field(u64::from(checksum::of(&covered)));
        self.udp[6..].copy_from_slice(&field.to_ne_bytes());
    }

    /// Writes the IPv4 header's checksum alone; IPv6 has none.
    pub fn set_ipv4_checksum(&mut self) {
        if self.is_v6() {
            return;
        }
        self.ip[10..12].fill(0);
        let field = !checksum::of(&self.ip);
        self.ip[10..12].copy_from_slice(&field.to_ne_bytes());
    }

    /// Octets of Ethernet header and tags.
    pub fn link_len(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// The frame; the padding is not zero.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(128 + self.message.len());
        octets.extend_from_slice(&self.macs);
        octets.extend(self.tags.iter().flatten());
        octets.extend_from_slice(&self.ethertype);
        octets.extend_from_slice(&self.ip);
        octets.extend_from_slice(&self.udp);
        octets.extend_from_slice(&self.message);
        octets.resize(octets.len() + self.padding, 0xa5);
        octets
    }
}

/// Half the frames without, the rest with 802.1Q or QinQ; VLAN 0 (priority tagged), priorities and the
/// drop eligible bit as they come.
fn tags(random: &mut Random) -> Vec<[u8; 4]> {
    let kinds: [&[[u8; 2]]; 6] = [&[], &[], &[], &[TAG], &[OUTER_TAG, TAG], &[TAG, TAG]];
    let kinds = random.pick(&kinds);
    let mut tag = |kind: &[u8; 2]| {
        let [high, low, ..] = random.bits().to_be_bytes();
        let control = random.pick(&[[0, 0], [0, 7], [high, low]]);
        [kind[0], kind[1], control[0], control[1]]
    };
    kinds.iter().map(&mut tag).collect()
}
