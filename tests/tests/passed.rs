//! What the kernel passes unaltered, and what it counts that as: one line for each sentence of the
//! specification, each in IPv4 and IPv6, without VLAN, with 802.1Q and with QinQ; by a test run, and over a
//! wire in native and in generic mode.

use std::net::IpAddr;

use dglb_common::{
    counters::{
        Counter::{self, *},
        Counters,
    },
    query::{TYPE_A, TYPE_NS},
};
use dglb_tests::{
    frames::{Message, OUTER_TAG, Packet, TAG, opt},
    fuzz::path::{InKernel, Verdict},
    model::{Model, monotonic_ns},
    rig::ends::Ends,
    world::{self, SENDER, SENDER_V6, STRANGER, STRANGER_V6},
};
use dglb_user::publish::DataPath as _;

/// `www.g.foo.com`, which has ready answers.
const WWW: &[u8] = b"\x03www\x01g\x03foo\x03com\0";

/// A way that a frame is not one of ours.
struct Passed {
    sentence: &'static str,
    reason: Counter,
    change: fn(&mut Packet),
}

const fn passed(sentence: &'static str, reason: Counter, change: fn(&mut Packet)) -> Passed {
    Passed {
        sentence,
        reason,
        change,
    }
}

/// The lengths and checksums of a changed packet as they should be.
fn mended(packet: &mut Packet) {
    packet.set_lengths();
    packet.set_checksums();
}

/// Puts a query in.
fn asks(packet: &mut Packet, message: Message) {
    packet.message = message.octets();
    mended(packet);
}

/// Below DNS.
const FRAMES: &[Passed] = &[
    passed("TCP", PassedNotDns, |packet| {
        let at = if packet.is_v6() { 6 } else { 9 };
        packet.ip[at] = 6;
        packet.set_ipv4_checksum();
    }),
    passed("ICMP", PassedNotDns, |packet| {
        let at = if packet.is_v6() { 6 } else { 9 };
        packet.ip[at] = if packet.is_v6() { 58 } else { 1 };
        packet.set_ipv4_checksum();
    }),
    passed("ARP, and any other EtherType", PassedNotDns, |packet| {
        packet.ethertype = [8, 6];
    }),
    passed("another port", PassedNotDns, |packet| {
        packet.udp[3] = 54;
        packet.set_checksums();
    }),
    passed(
        "source ports below 1024: no loops",
        PassedNotDns,
        |packet| {
            packet.udp[..2].copy_from_slice(&1023_u16.to_be_bytes());
            packet.set_checksums();
        },
    ),
    passed("not even DNS's own", PassedNotDns, |packet| {
        packet.udp[..2].copy_from_slice(&53_u16.to_be_bytes());
        packet.set_checksums();
    }),
    passed("an address that is not ours", PassedNotDns, |packet| {
        let last = packet.ip.len() - 1;
        packet.ip[last] ^= 1;
        packet.set_checksums();
    }),
    passed("broadcast", PassedNotDns, |packet| {
        packet.macs[..6].fill(0xff)
    }),
    passed("multicast", PassedNotDns, |packet| packet.macs[0] |= 1),
    passed("a third VLAN tag", PassedNotDns, |packet| {
        while packet.tags.len() < 3 {
            packet.tags.push([0x81, 0, 0, 1]);
        }
    }),
    passed("an IP header of another version", PassedNotDns, |packet| {
        packet.ip[0] = 0x50 | packet.ip[0] & 0xf;
        packet.set_ipv4_checksum();
    }),
    passed("a UDP length beyond the packet", PassedNotDns, |packet| {
        packet.udp[5] += 1;
    }),
    passed(
        "a UDP length of less than its header",
        PassedNotDns,
        |packet| {
            packet.udp[4..6].copy_from_slice(&7_u16.to_be_bytes());
        },
    ),
    passed("a packet longer than its frame", PassedNotDns, |packet| {
        packet.message.truncate(packet.message.len() - 1);
    }),
];

/// Of IPv4 alone.
const IPV4: &[Passed] = &[
    passed("a first fragment", PassedNotDns, |packet| {
        packet.ip[6] = 0x20;
        packet.set_ipv4_checksum();
    }),
    passed("a later fragment", PassedNotDns, |packet| {
        packet.ip[6..8].copy_from_slice(&[0, 1]);
        packet.set_ipv4_checksum();
    }),
    passed("IP options", PassedNotDns, |packet| {
        packet.ip[0] = 0x46;
        packet.ip.extend_from_slice(&[1, 1, 1, 0]);
        mended(packet);
    }),
    passed("a wrong header checksum", PassedNotDns, |packet| {
        packet.ip[11] ^= 1
    }),
    passed(
        "a source that is no host: loopback",
        PassedNotDns,
        |packet| {
            packet.ip[12..16].copy_from_slice(&[127, 0, 0, 1]);
            packet.set_checksums();
        },
    ),
    passed(
        "a source that is no host: broadcast",
        PassedNotDns,
        |packet| {
            packet.ip[12..16].fill(255);
            packet.set_checksums();
        },
    ),
];

/// Of IPv6 alone.
const IPV6: &[Passed] = &[
    passed("an extension header: hop by hop", PassedNotDns, |packet| {
        packet.ip[6] = 0;
        packet.ip.extend_from_slice(&[17, 0, 1, 4, 0, 0, 0, 0]);
        mended(packet);
    }),
    passed("an extension header: a fragment", PassedNotDns, |packet| {
        packet.ip[6] = 44;
        packet.ip.extend_from_slice(&[17, 0, 0, 1, 0, 0, 0, 9]);
        mended(packet);
    }),
    passed(
        "RFC 8200 §8.1: UDP without a checksum",
        PassedNotDns,
        |packet| {
            packet.udp[6..].fill(0);
        },
    ),
    passed(
        "a payload longer than the datagram",
        PassedNotDns,
        |packet| {
            packet.message.push(0);
            packet.ip[5] += 1;
        },
    ),
    passed("a source that is no host: ::1", PassedNotDns, |packet| {
        packet.ip[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.set_checksums();
    }),
    passed(
        "a source that is no host: a group",
        PassedNotDns,
        |packet| {
            packet.ip[8] = 0xff;
            packet.set_checksums();
        },
    ),
    passed(
        "a source that is no host: an IPv4-mapped address",
        PassedNotDns,
        |packet| {
            packet.ip[8..24]
                .copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
            packet.set_checksums();
        },
    ),
];

/// DNS that is no plain query.
const MESSAGES: &[Passed] = &[
    passed("QR=1", PassedForm, |packet| {
        packet.message[2] |= 0x80;
        mended(packet);
    }),
    passed(
        "NOTIFY, and any opcode other than QUERY",
        PassedForm,
        |packet| {
            packet.message[2] |= 4 << 3;
            mended(packet);
        },
    ),
    passed("QDCOUNT 0", PassedForm, |packet| {
        packet.message[5] = 0;
        mended(packet);
    }),
    passed("QDCOUNT 2", PassedForm, |packet| {
        packet.message[5] = 2;
        mended(packet);
    }),
    passed("a record in the answer section", PassedForm, |packet| {
        packet.message[7] = 1;
        mended(packet);
    }),
    passed("TC, AA, Z", PassedForm, |packet| {
        packet.message[2] |= 2;
        mended(packet);
    }),
    passed("class CH", PassedForm, |packet| {
        let last = packet.message.len() - 1;
        packet.message[last] = 3;
        mended(packet);
    }),
    passed("a compressed question", PassedForm, |packet| {
        let message = [&packet.message[..12], &[0xc0, 12, 0, 1, 0, 1]].concat();
        packet.message = message;
        mended(packet);
    }),
    passed("octets behind the question", PassedForm, |packet| {
        packet.message.push(0);
        mended(packet);
    }),
    passed("a question that is cut", PassedForm, |packet| {
        packet.message.truncate(packet.message.len() - 3);
        mended(packet);
    }),
    passed("AXFR", PassedType, |packet| {
        asks(packet, Message::plain(WWW, 252))
    }),
    passed("ANY", PassedType, |packet| {
        asks(packet, Message::plain(WWW, 255))
    }),
    passed("a type of DNSSEC", PassedType, |packet| {
        asks(packet, Message::plain(WWW, 48))
    }),
    passed("a name that is not ours", PassedName, |packet| {
        asks(packet, Message::plain(b"\x07example\x03com\0", TYPE_A));
    }),
    passed("the name above ours", PassedName, |packet| {
        asks(packet, Message::plain(b"\x01g\x03foo\x03com\0", TYPE_NS));
    }),
    passed("form C: N itself", PassedName, |packet| {
        asks(packet, Message::plain(b"\x04shop\x03foo\x03com\0", TYPE_A));
    }),
    passed("form C: a label that nobody has", PassedName, |packet| {
        let name = b"\x0flb0000000000000\x04shop\x03foo\x03com\0";
        asks(packet, Message::plain(name, TYPE_A));
    }),
    passed(
        "a service that was not measured yet",
        PassedTable,
        |packet| {
            asks(
                packet,
                Message::plain(b"\x03new\x01g\x03foo\x03com\0", TYPE_A),
            );
        },
    ),
    passed(
        "an SOA that is too large to be ready",
        PassedTable,
        |packet| {
            asks(
                packet,
                Message::plain(b"\x05large\x01g\x03foo\x03com\0", 16),
            );
        },
    ),
    passed("EDNS version 1", PassedEdns, |packet| {
        let mut record = opt::record(1232, false, &[]);
        record[6] = 1;
        asks(packet, Message::plain(WWW, TYPE_A).with(record));
    }),
    passed("NSID", PassedEdns, |packet| {
        let record = opt::record(1232, false, &[opt::option(3, &[])]);
        asks(packet, Message::plain(WWW, TYPE_A).with(record));
    }),
    passed("an option longer than OPT", PassedEdns, |packet| {
        let mut record = opt::record(1232, false, &[opt::option(10, &[7; 8])]);
        record[14] = 9;
        asks(packet, Message::plain(WWW, TYPE_A).with(record));
    }),
    passed("two OPTs", PassedForm, |packet| {
        let record = || opt::record(1232, false, &[]);
        let message = Message::plain(WWW, TYPE_A).with(record()).with(record());
        asks(packet, message);
    }),
    passed("another record in the place of OPT", PassedEdns, |packet| {
        let record = b"\0\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01".to_vec();
        asks(packet, Message::plain(WWW, TYPE_A).with(record));
    }),
];

/// Client Subnet as it must not be, from who is listed.
const SUBNETS: &[Passed] = &[
    passed("a scope in a query", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 24, 24, 192, 0, 2]])
    }),
    passed("an unknown family", PassedEdns, |packet| {
        subnets(packet, &[&[0, 3, 24, 0, 192, 0, 2]])
    }),
    passed("an octet too many", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 24, 0, 192, 0, 2, 0]]);
    }),
    passed("an octet too few", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 24, 0, 192, 0]])
    }),
    passed("a bit behind the prefix", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 23, 0, 192, 0, 1]]);
    }),
    passed("longer than an address", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 33, 0, 192, 0, 2, 0, 0]]);
    }),
    passed("two of them", PassedEdns, |packet| {
        subnets(packet, &[&[0, 1, 0, 0], &[0, 1, 0, 0]]);
    }),
];

fn subnets(packet: &mut Packet, all: &[&[u8]]) {
    let options: Vec<_> = all.iter().map(|data| opt::option(8, data)).collect();
    let record = opt::record(1232, false, &options);
    asks(packet, Message::plain(WWW, TYPE_A).with(record));
}

/// The frames that a change is tried on: sound queries of both families, with and without VLAN.
fn sound(model: &Model, sources: [IpAddr; 2]) -> Vec<Packet> {
    let [c, s] = [TAG, OUTER_TAG].map(|[a, b]| [a, b, 0x20, 0x07]);
    let tags = [vec![], vec![c], vec![s, c]];
    let of = |source: IpAddr| {
        let mut addresses = model.config.node.addresses.iter();
        let destination = addresses.find(|address| address.is_ipv4() == source.is_ipv4());
        let message = Message::plain(WWW, TYPE_A).octets();
        Packet::plain(source, *destination.expect("both families"), message)
    };
    let with_tags = |packet: Packet| {
        tags.iter().cloned().map(move |tags| Packet {
            tags,
            ..packet.clone()
        })
    };
    sources.into_iter().map(of).flat_map(with_tags).collect()
}

fn counted(before: &Counters, after: &Counters) -> Vec<(&'static str, u64)> {
    let all = Counter::ALL.iter();
    let moved = all.map(|counter| (counter.name(), counter.of(after) - counter.of(before)));
    moved.filter(|(_, count)| *count != 0).collect()
}

fn check(all: &[Passed], sources: [IpAddr; 2], is_meant: fn(&Packet) -> bool) {
    if !dglb_tests::is_root() {
        return;
    }
    let model = world::dns_lb();
    let mut kernel = InKernel::load(&model).expect("the program loads");
    let wires = Ends::in_both_modes(&model).expect("wires");
    for packet in sound(&model, sources).into_iter().filter(is_meant) {
        let verdict = kernel.run(&packet.octets()).expect("it runs");
        assert!(
            matches!(verdict, Verdict::Reply(_)),
            "unchanged, it is answered"
        );
        for case in all {
            let mut changed = packet.clone();
            (case.change)(&mut changed);
            let frame = changed.octets();
            let (is_v6, tags) = (packet.is_v6(), packet.tags.len());
            let about = format!("{} (IPv6 {is_v6}, {tags} tags)", case.sentence);
            let before = kernel.counters().expect("counters");
            let verdict = kernel.run(&frame).expect("it runs");
            assert_eq!(verdict, Verdict::Pass(frame), "{about}");
            let counted = counted(&before, &kernel.counters().expect("counters"));
            assert_eq!(counted, [(case.reason.name(), 1)], "{about}");
            for (mode, ends) in &wires {
                let passed = Verdict::Pass(changed.octets());
                let seen = ends.run(&changed.octets(), &passed).expect(&about);
                assert_eq!(seen, passed, "{about}, {mode}");
            }
        }
    }
}

const STRANGERS: [IpAddr; 2] = [IpAddr::V4(STRANGER), IpAddr::V6(STRANGER_V6)];

#[test]
fn frames_that_are_no_datagram_to_us() {
    check(FRAMES, STRANGERS, |_| true);
}

#[test]
fn what_ipv4_may_have() {
    check(IPV4, STRANGERS, |packet| !packet.is_v6());
}

#[test]
fn what_ipv6_may_have() {
    check(IPV6, STRANGERS, Packet::is_v6);
}

#[test]
fn messages_that_are_no_plain_query() {
    check(MESSAGES, STRANGERS, |_| true);
}

#[test]
fn client_subnet_as_it_must_not_be() {
    check(SUBNETS, [SENDER.into(), SENDER_V6.into()], |_| true);
}

/// A heartbeat older than `max_stale` passes everything up. The clock is looked at once in 256 frames, so
/// that it shows within so many; and a heart that beats again ends it at once.
#[test]
fn when_the_daemon_is_dead_for_long() {
    if !dglb_tests::is_root() {
        return;
    }
    let model = world::dns_lb();
    let mut tables = model.tables();
    // Nothing shorter would be safe on a machine that was just started.
    tables.settings.max_stale_ns = 1;
    let kernel = dglb_user::kernel::Kernel::load(&tables, None).expect("the program loads");
    let mut kernel = InKernel::of(kernel).expect("it is loaded");
    dglb_tests::fuzz::path::pin_to_cpu(0).expect("CPU 0 is there");
    let frame = sound(&model, STRANGERS)[0].octets();
    kernel.kernel().beat(1).expect("it beats");
    let passed = |kernel: &mut InKernel| {
        kernel.run(&frame).expect("it runs") == Verdict::Pass(frame.clone())
    };
    let first = (0..256).position(|_| passed(&mut kernel));
    assert!(first.is_some(), "256 frames were answered");
    let before = kernel.counters().expect("counters");
    assert!((0..300).all(|_| passed(&mut kernel)));
    let after = kernel.counters().expect("counters");
    assert_eq!(counted(&before, &after), [(PassedStale.name(), 300)]);
    // A beat from the future cannot be stale, however slow this machine is.
    let ahead = monotonic_ns() + 3_600_000_000_000;
    kernel.kernel().beat(ahead).expect("it beats");
    assert!((0..300).all(|_| !passed(&mut kernel)));
}
