//! Frames that are spoilt in one way each.

use super::{Frame, Frames, Packet, Random};

/// A way to spoil a query: the layers below then carry it as if nothing were wrong.
type OfMessage = fn(&mut Random, Vec<u8>) -> Vec<u8>;
/// A way to spoil what stands below DNS.
type OfPacket = fn(&mut Random, &mut Packet);

const OF_MESSAGES: &[(&str, OfMessage)] = &[
    ("cut message", |random, message| {
        message[..random.below(message.len())].to_vec()
    }),
    ("bit of the message flipped", flip),
    ("octets behind the message", |random, mut message| {
        message.resize(message.len() + 1 + random.below(20), 0);
        message
    }),
    ("QDCOUNT", |random, mut message| {
        message[4..6].copy_from_slice(&random.pick::<[u8; 2]>(&[
            [0, 0],
            [0, 2],
            [1, 1],
            [0xff; 2],
        ]));
        message
    }),
    ("other count", |random, mut message| {
        let at = random.pick(&[6, 7, 8, 9, 10, 11]);
        message[at] = random.pick(&[1, 2, 255]);
        message
    }),
    ("QR", |_, mut message| {
        message[2] |= 0x80;
        message
    }),
    ("opcode", |random, mut message| {
        message[2] |= (1 + random.below(15) as u8) << 3;
        message
    }),
    ("AA, TC, Z, RCODE of a query", |random, mut message| {
        let (at, bit) = random.pick(&[(2, 4), (2, 2), (3, 0x40), (3, 0x80), (3, 1), (3, 5)]);
        message[at] |= bit;
        message
    }),
    ("class", |random, mut message| {
        let at = end_of_question(&message) - 2;
        let class = random.pick::<u16>(&[0, 2, 3, 4, 254, 255, 256, 0x8001]);
        message[at..at + 2].copy_from_slice(&class.to_be_bytes());
        message
    }),
    ("pointer in the question", |random, mut message| {
        let end = end_of_question(&message) - 4;
        let at = 12 + random.below(end - 12);
        message[at] = 0xc0;
        message[at + 1] = random.pick(&[12, at as u8, 0, 255]);
        message
    }),
    ("label type or length", |random, mut message| {
        message[12] = random.pick(&[0x40, 0x41, 0x80, 0xbf, 62, 63, 0]);
        message
    }),
    ("name of more than 255 octets", |random, mut message| {
        let label = [&[61][..], &[b'y'; 61]].concat();
        for _ in 0..4 + random.below(3) {
            message.splice(12..12, label.iter().copied());
        }
        message
    }),
    ("second OPT", |_, message| {
        with_record(message, b"\0\0\x29\x04\xd0\0\0\0\0\0\0")
    }),
    ("OPT of version 1", |_, message| {
        with_record(
            without_records(message),
            b"\0\0\x29\x04\xd0\0\x01\x80\0\0\0",
        )
    }),
    ("OPT that the root does not own", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0",
            b"\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0",
        ]);
        with_record(without_records(message), record)
    }),
    ("option longer than OPT", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x09abcdefgh",
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x03\0\x0a\0",
            b"\0\0\x29\x04\xd0\0\0\0\0\0\x01\0",
        ]);
        with_record(without_records(message), record)
    }),
    (
        "OPT longer or shorter than the message",
        |random, message| {
            let record = random.pick::<&[u8]>(&[
                b"\0\0\x29\x04\xd0\0\0\0\0\0\x0d\0\x0a\0\x08abcdefgh",
                b"\0\0\x29\x04\xd0\0\0\0\0\0\x0b\0\x0a\0\x08abcdefgh",
                b"\0\0\x29\x04\xd0\0\0\0\0\xff\xff",
            ]);
            with_record(without_records(message), record)
        },
    ),
    ("OPT with set extended RCODE and Z", |_, message| {
        with_record(
            without_records(message),
            b"\0\0\x29\x04\xd0\x17\0\x7f\xff\0\0",
        )
    }),
    ("another record in the place of OPT", |random, message| {
        let record = random.pick::<&[u8]>(&[
            b"\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01",
            b"\xc0\x0c\0\x10\0\x01\0\0\0\0\0\x02\x01x",
        ]);
        with_record(message, record)
    }),
    ("nothing but a header", |_, message| message[..12].to_vec()),
];

const OF_PACKETS: &[(&str, OfPacket)] = &[
    ("IP total length", |random, packet| {
        let total = u16::from_be_bytes([packet.ipv4[2], packet.ipv4[3]]);
        let wrong = random.pick(&[total + 1, total - 1, total + 100, 20, 27, 0, 65_535]);
        packet.ipv4[2..4].copy_from_slice(&wrong.to_be_bytes());
        packet.set_ipv4_checksum();
    }),
    ("UDP length", |random, packet| {
        let length = u16::from_be_bytes([packet.udp[4], packet.udp[5]]);
        let wrong = random.pick(&[length + 1, length - 1, length + 100, 7, 8, 0, 65_535]);
        packet.udp[4..6].copy_from_slice(&wrong.to_be_bytes());
    }),
    ("fragment", |random, packet| {
        let field =
            random.pick::<[u8; 2]>(&[[0x20, 0], [0, 1], [0x3f, 0xff], [0x60, 0], [0x20, 9]]);
        packet.ipv4[6..8].copy_from_slice(&field);
        packet.set_ipv4_checksum();
    }),
    ("IP options", |_, packet| {
        packet.ipv4[0] = 0x46;
        packet.ipv4.extend_from_slice(&[1, 1, 1, 0]);
        packet.set_lengths();
        packet.set_ipv4_checksum();
    }),
    ("IP version or header length", |random, packet| {
        packet.ipv4[0] = random.pick(&[0x44, 0x40, 0x4f, 0x65, 0x55, 0x05]);
        packet.set_ipv4_checksum();
    }),
    ("IP checksum", |random, packet| {
        packet.ipv4[10 + random.below(2)] ^= 1 << random.below(8)
    }),
    ("VLAN", |_, packet| {
        packet.ethernet.splice(12..12, [0x81, 0, 0, 7]);
    }),
    ("EtherType", |random, packet| {
        let other = random.pick::<[u8; 2]>(&[[0x86, 0xdd], [8, 6], [0, 0], [8, 1]]);
        packet.ethernet[12..14].copy_from_slice(&other);
    }),
    ("IPv6", |_, packet| {
        packet.ethernet[12..14].copy_from_slice(&[0x86, 0xdd]);
        let [high, low] = (8 + packet.message.len() as u16).to_be_bytes();
        packet.ipv4 = vec![0x60, 0, 0, 0, high, low, 17, 64];
        packet.ipv4.resize(40, 0x20);
    }),
    ("transport", |random, packet| {
        packet.ipv4[9] = random.pick(&[6, 1, 0, 47, 136]);
        packet.set_ipv4_checksum();
    }),
    ("low source port", |random, packet| {
        let port = random.pick::<u16>(&[0, 7, 19, 53, 123, 1023]);
        packet.udp[..2].copy_from_slice(&port.to_be_bytes());
        packet.set_checksums();
    }),
    ("other port", |random, packet| {
        packet.udp[2..4].copy_from_slice(&random.pick::<[u8; 2]>(&[
            [0, 54],
            [53, 0],
            [0x14, 0xe9],
        ]));
        packet.set_checksums();
    }),
    ("other address", |random, packet| {
        let other = random.pick::<[u8; 4]>(&[[192, 0, 2, 54], [0; 4], [255; 4], [224, 0, 0, 251]]);
        packet.ipv4[16..20].copy_from_slice(&other);
        packet.set_checksums();
    }),
    ("group MAC address", |random, packet| {
        let group = random.pick::<[u8; 6]>(&[[255; 6], [1, 0, 0x5e, 0, 0, 0xfb]]);
        packet.ethernet[..6].copy_from_slice(&group);
    }),
    ("source that no host has", |random, packet| {
        let other = random.pick::<[u8; 4]>(&[
            [0; 4],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [255; 4],
            [224, 0, 0, 1],
        ]);
        packet.ipv4[12..16].copy_from_slice(&other);
        packet.set_checksums();
    }),
];

/// The next spoilt frame.
pub(super) fn frame(frames: &mut Frames) -> Frame {
    let mut packet = frames.packet();
    let random = &mut frames.random;
    match random.below(8) {
        0 => {
            let octets = packet.octets();
            // BPF_PROG_TEST_RUN takes no less than an Ethernet header.
            let kept = 14 + random.below(octets.len() - 14);
            named("cut frame", octets[..kept].to_vec())
        }
        1 => named("bit of the frame flipped", flip(random, packet.octets())),
        2..=3 => {
            let (about, spoil) = random.pick(OF_PACKETS);
            spoil(random, &mut packet);
            named(about, packet.octets())
        }
        _ => {
            let (about, spoil) = random.pick(OF_MESSAGES);
            packet.message = spoil(random, packet.message.clone());
            packet.set_lengths();
            packet.set_checksums();
            named(about, packet.octets())
        }
    }
}

fn named(about: &str, octets: Vec<u8>) -> Frame {
    Frame {
        about: about.to_owned(),
        octets,
    }
}

fn flip(random: &mut Random, mut octets: Vec<u8>) -> Vec<u8> {
    let at = random.below(octets.len());
    octets[at] ^= 1 << random.below(8);
    octets
}

/// Where the question of a sound message ends.
fn end_of_question(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

fn without_records(mut message: Vec<u8>) -> Vec<u8> {
    message.truncate(end_of_question(&message));
    message[11] = 0;
    message
}

/// Once more if it has no OPT yet, so that there are two.
fn with_record(mut message: Vec<u8>, record: &[u8]) -> Vec<u8> {
    message.extend_from_slice(record);
    message[11] += 1;
    message
}
