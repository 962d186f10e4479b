//! Round trips, refusals, and octets of every kind.

use proptest::prelude::*;

use super::*;
use crate::map_protocol::wire::{ADDRESS_LEN, MAGIC, MAX_MESSAGE_LEN};

fn unicast_v4() -> impl Strategy<Value = Ipv4Addr> {
    (0x0100_0000..0xE000_0000_u32).prop_map(Ipv4Addr::from)
}

/// Of both families; 2000::/3 is all unicast.
fn unicast() -> impl Strategy<Value = IpAddr> {
    let v6 = any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from_bits(1 << 125 | bits >> 3));
    prop_oneof![unicast_v4().prop_map(IpAddr::V4), v6.prop_map(IpAddr::V6),]
}

fn name() -> impl Strategy<Value = NodeName> {
    proptest::collection::vec(
        (0x21..0x7F_u8).prop_map(|octet| octet.to_ascii_lowercase()),
        1..=NodeName::MAX_LEN,
    )
    .prop_map(|octets| NodeName::of_wire(&octets).unwrap())
}

fn reason() -> impl Strategy<Value = Reason> {
    proptest::collection::vec(any::<char>(), 0..300)
        .prop_map(|text| Reason::new(&text.into_iter().collect::<String>()))
}

fn claim() -> impl Strategy<Value = Claim> {
    (unicast_v4(), proptest::collection::vec(unicast(), 1..40))
        .prop_map(|(dns_lb, resolvers)| Claim::new(dns_lb, resolvers).unwrap())
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        name().prop_map(Message::Hello),
        (name(), 1..=u32::MAX).prop_map(|(node, lease_ms)| Message::HelloAck {
            node,
            lease: Duration::from_millis(lease_ms.into())
        }),
        claim().prop_map(Message::Announce),
        claim().prop_map(Message::Withdraw),
        proptest::option::of((unicast_v4(), unicast())).prop_map(|pair| {
            Message::Renew(pair.map(|(dns_lb, resolver)| Pair { dns_lb, resolver }))
        }),
        (any::<u32>(), any::<u8>(), reason()).prop_map(|(sequence, code, reason)| {
            Message::Acknowledge {
                sequence,
                code: Code::of_number(code),
                reason,
            }
        }),
        (1..=u8::MAX, reason()).prop_map(|(code, reason)| Message::Error {
            code: Code::of_number(code),
            reason
        }),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    (1..=u32::MAX, any::<u32>(), message()).prop_map(|(sequence, epoch, message)| Frame {
        sequence,
        epoch,
        message,
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_parsed_back(frame in frame()) {
        let octets = frame.encode();
        prop_assert!(octets.len() <= MAX_MESSAGE_LEN);
        prop_assert_eq!(Frame::parse(&octets), Ok(frame));
    }

    #[test]
    fn a_message_cut_short_or_run_on_is_refused(frame in frame(), more in 1..64_usize) {
        let mut octets = frame.encode();
        for len in 0..octets.len() {
            prop_assert_eq!(Frame::parse(&octets[..len]), Err(WireError::Short));
        }
        octets.extend(vec![0; more]);
        prop_assert_eq!(Frame::parse(&octets), Err(WireError::Trailing(more)));
    }

    /// Whatever is accepted means the same when it is sent on, apart from flags and the version offered.
    #[test]
    fn a_changed_octet_is_refused_or_understood_as_it_stands(
        frame in frame(),
        at in any::<proptest::sample::Index>(),
        flip in 1..=u8::MAX,
    ) {
        let mut octets = frame.encode();
        let at = at.index(octets.len());
        octets[at] ^= flip;
        if let Ok(parsed) = Frame::parse(&octets) {
            let offer = at == 48 && matches!(parsed.message, Message::Hello(_));
            let flags = matches!(at, 4 | 5);
            prop_assert!(parsed.encode() == octets || offer || flags);
        }
    }

    #[test]
    fn any_octets_after_a_good_start_are_refused_or_understood(
        message_type in 0..9_u8,
        rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut octets = MAGIC.to_be_bytes().to_vec();
        octets.extend([1, message_type, 0, 0]);
        octets.extend((rest.len().saturating_sub(40) as u16).to_be_bytes());
        octets.extend(rest);
        if let Ok(parsed) = Frame::parse(&octets) {
            prop_assert_eq!(Frame::parse(&parsed.encode()), Ok(parsed));
        }
    }
}

fn renewal() -> Vec<u8> {
    Frame {
        sequence: 1,
        epoch: 2,
        message: Message::Renew(None),
    }
    .encode()
}

/// A renewal with another type and body.
fn with_body(message_type: MessageType, body: &[u8]) -> Vec<u8> {
    let mut octets = renewal();
    octets[3] = message_type.number();
    octets[6..8].copy_from_slice(&(body.len() as u16).to_be_bytes());
    octets.extend_from_slice(body);
    octets
}

fn refusal_of(octets: &[u8]) -> WireError {
    Frame::parse(octets).unwrap_err()
}

#[test]
fn headers_are_refused_field_by_field() {
    let changed = |at: usize, value: u8| {
        let mut octets = renewal();
        octets[at] = value;
        refusal_of(&octets)
    };
    assert_eq!(changed(0, 0), WireError::Magic(0x001B));
    assert_eq!(changed(2, 0), WireError::Version(0));
    assert_eq!(changed(2, 2), WireError::Version(2));
    assert_eq!(changed(3, 0), WireError::Type(0));
    assert_eq!(changed(3, 8), WireError::Type(8));
    assert_eq!(changed(11, 0), WireError::SequenceZero);
    assert!(matches!(
        changed(7, 1),
        WireError::BodyLength {
            len: 1,
            most: 0,
            ..
        }
    ));
}

#[test]
fn unknown_flags_are_ignored() {
    let mut octets = renewal();
    octets[4..6].copy_from_slice(&[0xFF, 0xFF]);
    assert_eq!(Frame::parse(&octets), Frame::parse(&renewal()));
}

#[test]
fn addresses_are_where_they_belong_and_of_the_right_kind() {
    let good = "::ffff:192.0.2.1";
    let pair = |message_type: MessageType, dns_lb: &str, resolver: &str| {
        let mut octets = with_body(message_type, &vec![1; message_type.body_bounds().0]);
        for (at, address) in [(16, dns_lb), (32, resolver)] {
            let address: std::net::Ipv6Addr = address.parse().unwrap();
            octets[at..at + ADDRESS_LEN].copy_from_slice(&address.octets());
        }
        Frame::parse(&octets)
    };
    for message_type in [
        MessageType::Announce,
        MessageType::Withdraw,
        MessageType::Renew,
    ] {
        assert!(pair(message_type, good, good).is_ok());
        let not_unicast = |text: &str| Err(WireError::NotUnicast(text.parse().unwrap()));
        assert_eq!(pair(message_type, good, "::"), not_unicast("::"));
        assert_eq!(pair(message_type, "::", good), not_unicast("::"));
        assert!(pair(message_type, good, "2001:db8::1").is_ok());
        assert_eq!(
            pair(message_type, "2001:db8::1", good),
            Err(WireError::NotIpv4("2001:db8::1".parse().unwrap()))
        );
        for ipv6 in ["fe80::1", "ff02::1", "::1"] {
            assert_eq!(pair(message_type, good, ipv6), not_unicast(ipv6));
        }
        for ipv4 in [
            "0.0.0.0",
            "0.255.255.255",
            "224.0.0.0",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let mapped = format!("::ffff:{ipv4}");
            let refused = Err(WireError::NotUnicast(ipv4.parse().unwrap()));
            assert_eq!(pair(message_type, good, &mapped), refused);
            assert_eq!(pair(message_type, &mapped, good), refused);
        }
    }
    for message_type in [MessageType::Announce, MessageType::Withdraw] {
        assert!(pair(message_type, "::", "::").is_err());
    }
    use MessageType::{Acknowledge, Error, Hello, HelloAck};
    for message_type in [Hello, HelloAck, Acknowledge, Error] {
        for (dns_lb, resolver) in [(good, good), (good, "::"), ("::", good)] {
            assert_eq!(
                pair(message_type, dns_lb, resolver),
                Err(WireError::PairUnexpected(message_type))
            );
        }
    }
}

#[test]
fn bodies_are_refused_outside_their_bounds() {
    for message_type in MessageType::ALL {
        let (least, most) = message_type.body_bounds();
        for len in [
            least.checked_sub(1),
            most.checked_add(1),
            Some(u16::MAX.into()),
        ] {
            let Some(len) = len else { continue };
            let refused = refusal_of(&with_body(message_type, &vec![b'a'; len]));
            assert_eq!(
                refused,
                WireError::BodyLength {
                    message_type,
                    len,
                    least,
                    most
                }
            );
        }
    }
    for message_type in [MessageType::Announce, MessageType::Withdraw] {
        let refused = refusal_of(&with_body(message_type, &[0; 17]));
        assert_eq!(
            refused,
            WireError::BodyNotAddresses {
                message_type,
                len: 17
            }
        );
    }
}

#[test]
fn bodies_are_refused_field_by_field() {
    use MessageType::{Acknowledge, Error, Hello, HelloAck};
    for (message_type, body, refusal) in [
        (Hello, &b"\x00\x01a"[..], WireError::OfferedVersion(0)),
        (Hello, b"\x01\x00a", WireError::NameLength(0)),
        (Hello, b"\x01\x01ab", WireError::Trailing(1)),
        (Hello, b"\x01\x03ab", WireError::Short),
        (Hello, b"\x01\x01A", WireError::NameCharacter(b'A')),
        (Hello, b"\x01\x01 ", WireError::NameCharacter(b' ')),
        (Hello, b"\x01\x02a\x00", WireError::NameCharacter(0)),
        (Hello, b"\x01\x02\xc3\xa4", WireError::NameCharacter(0xC3)),
        (
            HelloAck,
            b"\x02\x01a\x00\x00\x00\x01",
            WireError::ChosenVersion(2),
        ),
        (
            HelloAck,
            b"\x00\x01a\x00\x00\x00\x01",
            WireError::ChosenVersion(0),
        ),
        (HelloAck, b"\x01\x01a\x00\x00\x00\x00", WireError::LeaseZero),
        (
            HelloAck,
            b"\x01\x02a\x00\x00\x00\x01",
            WireError::NameCharacter(0),
        ),
        (HelloAck, b"\x01\x02ab\x00\x00\x01", WireError::Short),
        (
            HelloAck,
            b"\x01\x01a\x00\x00\x00\x01\x00",
            WireError::Trailing(1),
        ),
        (
            Acknowledge,
            b"\x00\x00\x00\x01\x00\xff",
            WireError::ReasonNotUtf8,
        ),
        (Error, b"\x00why", WireError::ErrorOk),
        (Error, b"\x10\xc3", WireError::ReasonNotUtf8),
    ] {
        assert_eq!(
            refusal_of(&with_body(message_type, body)),
            refusal,
            "{message_type} {body:?}"
        );
    }
    let mut long = vec![1, 254];
    long.extend([b'a'; 253]);
    assert_eq!(refusal_of(&with_body(Hello, &long)), WireError::Short);
}

#[test]
fn a_bad_address_anywhere_in_a_body_is_refused() {
    let resolvers = (1..=5).map(|n| [10, 0, 0, n].into()).collect();
    let claim = Claim::new(Ipv4Addr::new(192, 0, 2, 1), resolvers).unwrap();
    let octets = Frame {
        sequence: 1,
        epoch: 1,
        message: Message::Announce(claim),
    }
    .encode();
    for nth in 0..4 {
        let mut changed = octets.clone();
        changed[48 + nth * 16 + 12] = 255;
        assert!(matches!(refusal_of(&changed), WireError::NotUnicast(_)));
        changed[48 + nth * 16..][..16].fill(0);
        assert!(matches!(refusal_of(&changed), WireError::NotUnicast(_)));
    }
}

#[test]
fn resolvers_may_have_ipv6_and_the_dns_lb_may_not() {
    let dns_lb = Ipv4Addr::new(192, 0, 2, 1);
    let claim = |text: &str| Claim::new(dns_lb, vec![text.parse().unwrap()]);
    let octets = Frame {
        sequence: 1,
        epoch: 1,
        message: Message::Announce(claim("2001:db8::53").unwrap()),
    }
    .encode();
    assert!(Frame::parse(&octets).is_ok());
    let mut changed = octets.clone();
    changed[16..32].copy_from_slice(&octets[32..48]);
    assert!(matches!(refusal_of(&changed), WireError::NotIpv4(_)));
    for bad in ["::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"] {
        assert!(matches!(claim(bad), Err(WireError::NotUnicast(_))), "{bad}");
    }
}

#[test]
fn claims_hold_1_to_1024_unicast_addresses() {
    let dns_lb = Ipv4Addr::new(192, 0, 2, 1);
    let many = |count: u32| {
        (0..count)
            .map(|n| Ipv4Addr::from(0x0A00_0000 + n).into())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        Claim::new(dns_lb, many(0)),
        Err(WireError::ResolverCount(0))
    );
    assert_eq!(
        Claim::new(dns_lb, many(1025)),
        Err(WireError::ResolverCount(1025))
    );
    assert!(Claim::new(Ipv4Addr::UNSPECIFIED, many(1)).is_err());
    assert!(Claim::new(dns_lb, vec![dns_lb.into(), Ipv4Addr::BROADCAST.into()]).is_err());
    let largest = Message::Announce(Claim::new(dns_lb, many(1024)).unwrap());
    let frame = Frame {
        sequence: 1,
        epoch: 1,
        message: largest,
    };
    assert_eq!(frame.encode().len(), MAX_MESSAGE_LEN);
    assert_eq!(Frame::parse(&frame.encode()), Ok(frame));
}

#[test]
fn reasons_are_cut_between_characters() {
    let reason = Reason::new(&"\u{e4}".repeat(600));
    assert_eq!(reason.as_str().len(), MAX_REASON_LEN);
    assert_eq!(
        Reason::new(&format!("x{}", "\u{e4}".repeat(600)))
            .as_str()
            .len(),
        511
    );
}

/// The octets of docs/map-protocol.md's example called `name`: hexadecimal, each line's rest after two
/// spaces is a comment.
fn documented(name: &str) -> Vec<u8> {
    let document = include_str!("../../../../docs/map-protocol.md");
    let (_, example) = document.split_once(&format!("```hex {name}\n")).unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let hex: String = example
        .lines()
        .filter_map(|line| line.split("  ").next())
        .collect::<String>();
    let hex: String = hex
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

#[test]
fn the_documents_examples_are_what_is_sent_and_understood() {
    let [dns_lb, first, second] =
        [[198, 51, 100, 7], [203, 0, 113, 53], [203, 0, 113, 54]].map(Ipv4Addr::from);
    let claim = Claim::new(dns_lb, vec![first.into(), second.into()]).unwrap();
    let rejection = crate::event::Rejection::UnknownNode("lb-a.example".into());
    let ok = Message::Acknowledge {
        sequence: 2,
        code: Code::Ok,
        reason: Reason::default(),
    };
    let refused = Message::Acknowledge {
        sequence: 2,
        code: Code::from(&rejection),
        reason: Reason::new(&rejection.to_string()),
    };
    let cut = Message::Error {
        code: Code::TooManyMessages,
        reason: Reason::new("more than 200 messages a second"),
    };
    let hello_ack = Message::HelloAck {
        node: "dns-b.example".parse().unwrap(),
        lease: Duration::from_secs(10),
    };
    for (name, sequence, message) in [
        ("hello", 1, Message::Hello("lb-a.example".parse().unwrap())),
        ("hello-ack", 1, hello_ack),
        ("announce", 2, Message::Announce(claim)),
        ("acknowledge", 2, ok),
        ("refusal", 2, refused),
        (
            "withdraw",
            3,
            Message::Withdraw(Claim::new(dns_lb, vec![second.into()]).unwrap()),
        ),
        ("renew", 4, Message::Renew(None)),
        ("error", 5, cut),
    ] {
        let frame = Frame {
            sequence,
            epoch: 0x6553_F100,
            message,
        };
        assert_eq!(frame.encode(), documented(name), "{name}");
        assert_eq!(Frame::parse(&documented(name)), Ok(frame), "{name}");
    }
}

/// The document's tables of types and codes are complete and have our numbers.
#[test]
fn the_documents_numbers_are_ours() {
    let document = include_str!("../../../../docs/map-protocol.md");
    for message_type in MessageType::ALL {
        let (least, most) = message_type.body_bounds();
        let row = format!(
            "| {} | {message_type} | {least} to {most} |",
            message_type.number()
        );
        assert!(document.contains(&row), "{row}");
    }
    for code in Code::NAMED {
        let row = format!("| {} | {code} |", code.number());
        assert!(document.contains(&row), "{row}");
    }
}
