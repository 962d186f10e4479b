//! Frames: VLAN tags and IPv6. What holds for all frames is in the module above.

use std::net::Ipv6Addr;

use dglb_common::query::{TYPE_A, TYPE_AAAA};

use super::{world::*, *};

const C_TAG: [u8; 4] = [0x81, 0, 0xb0, 7];
const S_TAG: [u8; 4] = [0x88, 0xa8, 0x20, 9];
/// Priority 5, no VLAN.
const PRIORITY_TAG: [u8; 4] = [0x81, 0, 0xa0, 0];
const DESTINATION: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ORIGIN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x99, 0, 0, 0, 0, 1);

fn answerer() -> Answerer {
    World::of(dns_b()).answerer()
}

fn tagged(tags: &[[u8; 4]], frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &tags.concat(), &frame[12..]].concat()
}

fn frame_v4() -> Vec<u8> {
    frame(&ask("r.g.foo.com", TYPE_A))
}

/// A sound IPv6 frame; its UDP checksum is not compared.
fn frame_v6(message: &[u8]) -> Vec<u8> {
    let len = (8 + message.len()) as u16;
    [
        &DESTINATION[..],
        &ORIGIN,
        &[0x86, 0xdd, 0x6a, 0xbc, 0xde, 0xf0],
        &len.to_be_bytes(),
        &[17, 3],
        &SOURCE_V6.octets(),
        &NODE_V6.octets(),
        &[0x30, 0, 0, 53],
        &len.to_be_bytes(),
        &[0xab, 0xcd],
        message,
    ]
    .concat()
}

fn reply(frame: &[u8]) -> Option<Vec<u8>> {
    answerer()
        .answer_frame(frame)
        .map(|answered| answered.octets)
}

#[test]
fn a_reply_goes_back_in_the_same_vlan_at_the_same_priority() {
    for untagged in [frame_v4(), frame_v6(&ask("r.g.foo.com", TYPE_A))] {
        let plain = reply(&untagged).expect("sound");
        for tags in [
            &[C_TAG][..],
            &[PRIORITY_TAG],
            &[S_TAG, C_TAG],
            &[C_TAG, PRIORITY_TAG],
        ] {
            let replied = reply(&tagged(tags, &untagged));
            assert_eq!(replied, Some(tagged(tags, &plain)), "{tags:?}");
        }
    }
}

#[test]
fn other_tags_are_not_answered() {
    let untagged = frame_v4();
    for tags in [
        &[S_TAG][..],
        &[S_TAG, S_TAG],
        &[C_TAG, S_TAG],
        &[C_TAG, C_TAG, C_TAG],
        &[S_TAG, C_TAG, C_TAG],
        &[[0x91, 0, 0, 7], C_TAG],
    ] {
        assert_eq!(reply(&tagged(tags, &untagged)), None, "{tags:?}");
    }
}

#[test]
fn a_reply_by_ipv6_has_headers_of_its_own() {
    let message = ask("r.g.foo.com", TYPE_A);
    let replied = reply(&frame_v6(&message)).expect("sound");
    let (head, udp) = replied.split_at(14 + 40);
    let len = (udp.len() as u16).to_be_bytes();
    let expected = [
        &ORIGIN[..],
        &DESTINATION,
        &[0x86, 0xdd, 0x60, 0, 0, 0],
        &len,
        &[17, 64],
        &NODE_V6.octets(),
        &SOURCE_V6.octets(),
    ]
    .concat();
    assert_eq!(head, expected);
    assert_eq!(udp[..4], [0, 53, 0x30, 0]);
    assert_eq!(udp[4..6], len);
    // RFC 8200 §8.1: addresses, length in 32 bits, three zeros, next header.
    let pseudo = [
        &head[22..54],
        &[0, 0],
        &len,
        &[0, 0, 0, 17],
        udp,
        if udp.len() % 2 == 1 { &[0][..] } else { &[] },
    ]
    .concat();
    let mut sum = 0_u32;
    for pair in pseudo.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair[1]]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    assert_eq!(sum, 0xffff);
    assert_ne!(udp[6..8], [0, 0], "RFC 8200 §8.1: zero means none");
    let answered = answerer().answer_message(&message, SOURCE_V6.into(), Transport::Udp);
    assert_eq!(
        answered.map(|answered| answered.octets),
        Some(udp[8..].to_vec())
    );
}

#[test]
fn every_checksum_is_right_whatever_the_id() {
    // Among 65,536 ids there is one whose sum is zero, which is sent as all ones.
    let answerer = answerer();
    let mut message = ask("no.g.foo.com", TYPE_AAAA);
    let mut all_ones = 0;
    for id in 0..=u16::MAX {
        message[..2].copy_from_slice(&id.to_be_bytes());
        let answered = answerer.answer_frame(&frame_v6(&message)).expect("sound");
        let field = &answered.octets[60..62];
        assert_ne!(field, [0, 0], "id {id}");
        all_ones += usize::from(field == [0xff, 0xff]);
    }
    assert!(all_ones > 0, "no id made the sum zero");
}

#[test]
fn padding_behind_an_ipv6_packet_is_cut() {
    let sound = frame_v6(&ask("r.g.foo.com", TYPE_A));
    let padded = [sound.as_slice(), &[0xee; 9]].concat();
    assert_eq!(reply(&padded), reply(&sound));
    for len in 0..sound.len() {
        assert_eq!(reply(&sound[..len]), None, "{len} octets");
    }
}

#[test]
fn what_is_no_plain_udp_by_ipv6_is_not_answered() {
    let sound = frame_v6(&ask("r.g.foo.com", TYPE_A));
    assert!(reply(&sound).is_some());
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
    let loopback = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let multicast = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let cases: &[(&str, usize, &[u8])] = &[
        ("a group address", 0, &[3]),
        ("another EtherType", 12, &[0x86, 0xde]),
        ("version 4", 14, &[0x45]),
        ("version 7", 14, &[0x70]),
        ("a payload length one too small", 19, &[sound[19] - 1]),
        ("a payload length one too large", 19, &[sound[19] + 1]),
        ("no payload", 18, &[0, 0]),
        ("hop-by-hop options", 20, &[0]),
        ("a routing header", 20, &[43]),
        ("a fragment header", 20, &[44]),
        ("destination options", 20, &[60]),
        ("TCP", 20, &[6]),
        ("the unspecified address", 22, &[0; 16]),
        ("the loopback address", 22, &loopback),
        ("an IPv4-mapped address", 22, &mapped),
        ("a multicast source", 22, &multicast),
        ("another destination", 38, &SOURCE_V6.octets()),
        ("port 0", 54, &[0, 0]),
        ("another port", 56, &[0, 54]),
        ("a UDP length one too small", 59, &[sound[59] - 1]),
        ("a UDP length one too large", 59, &[sound[59] + 1]),
        ("no UDP checksum", 60, &[0, 0]),
    ];
    for (case, at, octets) in cases {
        let mut spoilt = sound.clone();
        spoilt[*at..at + octets.len()].copy_from_slice(octets);
        assert_eq!(reply(&spoilt), None, "{case}");
    }
    let empty = frame_v6(&[]);
    assert_eq!(reply(&empty), None, "no message");
}

#[test]
fn traffic_class_flow_label_and_hop_limit_change_nothing() {
    let sound = frame_v6(&ask("r.g.foo.com", TYPE_A));
    let mut other = sound.clone();
    other[14..18].copy_from_slice(&[0x6f, 0xff, 0xff, 0xff]);
    other[21] = 1;
    other[60..62].copy_from_slice(&[1, 2]);
    assert_eq!(reply(&other), reply(&sound));
    assert!(reply(&sound).is_some());
}

#[test]
fn ipv4_without_a_checksum_is_answered() {
    // RFC 768: "an all zero transmitted checksum value means that the transmitter generated no checksum".
    let sound = frame_v4();
    assert_eq!(sound[40..42], [0, 0]);
    assert!(reply(&sound).is_some());
}

#[test]
fn with_any_bit_flipped_a_frame_is_answered_soundly_or_not_at_all() {
    let answerer = answerer();
    let message = ask("r.g.foo.com", TYPE_A);
    for (tags, untagged, below_dns) in [
        (&[S_TAG, C_TAG][..], frame_v6(&message), 40 + 8),
        (&[C_TAG], frame_v4(), 20 + 8),
    ] {
        let sound = tagged(tags, &untagged);
        let tags_end = 12 + 4 * tags.len();
        let mut answered_count = 0;
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 0x80 >> (bit % 8);
            let Some(answered) = answerer.answer_frame(&flipped) else {
                continue;
            };
            answered_count += 1;
            // It goes back to where it came from, and can be read behind the same headers.
            let (macs, rest) = answered.octets.split_at(12);
            assert_eq!(macs, [&flipped[6..12], &flipped[..6]].concat(), "bit {bit}");
            assert_eq!(rest[..tags_end - 12], flipped[12..tags_end], "bit {bit}");
            let message = &rest[tags_end - 12 + 2 + below_dns..];
            assert!(Message::from_vec(message).is_ok(), "bit {bit}");
        }
        assert!(answered_count > 100, "{answered_count} were answered");
    }
}
