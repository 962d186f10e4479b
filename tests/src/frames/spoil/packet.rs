//! Frames that are spoilt below DNS in one way each.

use super::super::{
    Random,
    packet::{IPV4, IPV6, Packet, TAG},
};

/// A way to spoil what stands below DNS.
pub(super) type OfPacket = fn(&mut Random, &mut Packet);

/// Ways that need no family.
pub(super) const OF_BOTH: &[(&str, OfPacket)] = &[
    ("UDP length", |random, packet| {
        let length = u16::from_be_bytes([packet.udp[4], packet.udp[5]]);
        let wrong = random.pick(&[length + 1, length - 1, length + 100, 7, 8, 0, 65_535]);
        packet.udp[4..6].copy_from_slice(&wrong.to_be_bytes());
    }),
    ("third VLAN tag", |_, packet| {
        while packet.tags.len() < 3 {
            packet.tags.push([TAG[0], TAG[1], 0, 7]);
        }
    }),
    ("tags in an order that none has", |random, packet| {
        packet.tags = random
            .pick::<&[[u8; 4]]>(&[
                &[[0x81, 0, 0, 1], [0x88, 0xa8, 0, 2]],
                &[[0x88, 0xa8, 0, 1], [0x88, 0xa8, 0, 2]],
                &[[0x88, 0xa8, 0, 1]],
                &[[0x91, 0, 0, 1], [0x81, 0, 0, 2]],
            ])
            .to_vec();
    }),
    ("EtherType", |random, packet| {
        packet.ethertype = random.pick(&[IPV4, IPV6, [8, 6], [0, 0], [8, 1], [0, 60]]);
    }),
    ("low source port", |random, packet| {
        let port = random.pick::<u16>(&[0, 7, 19, 53, 123, 1023]);
        packet.udp[..2].copy_from_slice(&port.to_be_bytes());
        packet.set_checksums();
    }),
    ("other port", |random, packet| {
        let port = random.pick::<[u8; 2]>(&[[0, 54], [0, 52], [53, 0], [0x14, 0xe9]]);
        packet.udp[2..4].copy_from_slice(&port);
        packet.set_checksums();
    }),
    ("group MAC address", |random, packet| {
        let group =
            random.pick::<[u8; 6]>(&[[255; 6], [1, 0, 0x5e, 0, 0, 0xfb], [0x33, 0x33, 0, 0, 0, 1]]);
        packet.macs[..6].copy_from_slice(&group);
    }),
    (
        "octets behind the datagram, in the packet",
        |random, packet| {
            let more = 1 + random.below(9);
            packet.message.resize(packet.message.len() + more, 0);
            packet.set_lengths();
            let length = u16::from_be_bytes([packet.udp[4], packet.udp[5]]) - more as u16;
            packet.udp[4..6].copy_from_slice(&length.to_be_bytes());
            packet.set_ipv4_checksum();
        },
    ),
];

/// Ways of IPv4.
pub(super) const OF_V4: &[(&str, OfPacket)] = &[
    ("IP total length", |random, packet| {
        let total = u16::from_be_bytes([packet.ip[2], packet.ip[3]]);
        let wrong = random.pick(&[total + 1, total - 1, total + 100, 20, 27, 28, 0, 65_535]);
        packet.ip[2..4].copy_from_slice(&wrong.to_be_bytes());
        packet.set_ipv4_checksum();
    }),
    ("fragment", |random, packet| {
        let field =
            random.pick::<[u8; 2]>(&[[0x20, 0], [0, 1], [0x3f, 0xff], [0x60, 0], [0x20, 9]]);
        packet.ip[6..8].copy_from_slice(&field);
        packet.set_ipv4_checksum();
    }),
    ("reserved bit of the flags", |_, packet| {
        packet.ip[6] |= 0x80;
        packet.set_ipv4_checksum();
    }),
    ("IP options", |_, packet| {
        packet.ip[0] = 0x46;
        packet.ip.extend_from_slice(&[1, 1, 1, 0]);
        packet.set_lengths();
        packet.set_ipv4_checksum();
    }),
    ("IP version or header length", |random, packet| {
        packet.ip[0] = random.pick(&[0x44, 0x46, 0x40, 0x4f, 0x65, 0x55, 0x05]);
        packet.set_ipv4_checksum();
    }),
    ("IP checksum", |random, packet| {
        packet.ip[10 + random.below(2)] ^= 1 << random.below(8)
    }),
    ("transport", |random, packet| {
        packet.ip[9] = random.pick(&[6, 1, 0, 47, 136, 58]);
        packet.set_ipv4_checksum();
    }),
    ("other address", |random, packet| {
        let other = random.pick::<[u8; 4]>(&[
            [192, 0, 2, 54],
            [192, 0, 2, 255],
            [0; 4],
            [255; 4],
            [224, 0, 0, 251],
        ]);
        packet.ip[16..20].copy_from_slice(&other);
        packet.set_checksums();
    }),
    ("source that no host has", |random, packet| {
        let other = random.pick::<[u8; 4]>(&[
            [0; 4],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [255; 4],
            [224, 0, 0, 1],
        ]);
        packet.ip[12..16].copy_from_slice(&other);
        packet.set_checksums();
    }),
];

/// Ways of IPv6.
pub(super) const OF_V6: &[(&str, OfPacket)] = &[
    ("IPv6 payload length", |random, packet| {
        let length = u16::from_be_bytes([packet.ip[4], packet.ip[5]]);
        let wrong = random.pick(&[length + 1, length - 1, length + 100, 7, 8, 0, 65_535]);
        packet.ip[4..6].copy_from_slice(&wrong.to_be_bytes());
    }),
    ("both lengths the same, and wrong", |random, packet| {
        let length = u16::from_be_bytes([packet.ip[4], packet.ip[5]]);
        let wrong = random.pick(&[length + 1, length - 1, length + 100, 7, 8, 0, 65_535]);
        packet.ip[4..6].copy_from_slice(&wrong.to_be_bytes());
        packet.udp[4..6].copy_from_slice(&wrong.to_be_bytes());
    }),
    ("no UDP checksum", |_, packet| packet.udp[6..].fill(0)),
    ("IPv6 version", |random, packet| {
        packet.ip[0] = random.pick(&[0x40, 0x45, 0x70, 0x00]) | packet.ip[0] & 0xf;
    }),
    ("extension header", |random, packet| {
        // Hop-by-hop, routing, fragment, destination options; each of 8 octets.
        let header = random.pick::<u8>(&[0, 43, 44, 60]);
        packet.ip[6] = header;
        packet.ip.extend_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
        packet.set_lengths();
    }),
    ("next header", |random, packet| {
        packet.ip[6] = random.pick(&[6, 58, 59, 0, 136, 50]);
    }),
    ("other address", |random, packet| {
        let at = 24 + random.below(16);
        packet.ip[at] ^= 1 << random.below(8);
        packet.set_checksums();
    }),
    ("group address", |_, packet| {
        packet.ip[24..40].copy_from_slice(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb]);
        packet.set_checksums();
    }),
    ("source that no host has", |random, packet| {
        let mut loopback = [0; 16];
        loopback[15] = 1;
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[255, 255, 192, 0, 2, 1]);
        let mut group = [0; 16];
        group[..2].copy_from_slice(&[0xff, random.bits() as u8]);
        let other = random.pick(&[[0; 16], loopback, mapped, group]);
        packet.ip[8..24].copy_from_slice(&other);
        packet.set_checksums();
    }),
    ("source near one that no host has", |random, packet| {
        let mut near = [0; 16];
        near[random.below(16)] = random.pick(&[1, 2, 0xfe]);
        near[10..12].copy_from_slice(&random.pick::<[u8; 2]>(&[[0, 0], [255, 254], [255, 255]]));
        packet.ip[8..24].copy_from_slice(&near);
        packet.set_checksums();
    }),
];
