//! The rate limit in the kernel: who is charged for what, and what becomes of what is over it.
//!
//! Buckets are a CPU's own, and time would fill them: each test stays on one CPU, and an answer costs an
//! hour.

use std::net::IpAddr;

use dglb_common::{
    client::mask,
    counters::{
        Counter::{self, *},
        Counters,
    },
    layout::{LimitPrefix, LimitRate, Prefix},
    query::{TYPE_A, TYPE_NS},
};
use dglb_tests::{
    frames::{Message, Packet, opt},
    fuzz::path::{InKernel, Verdict, pin_to_cpu},
    world,
};
use dglb_user::{kernel::Kernel, tables::Tables};
use hickory_proto::op::{Message as Response, ResponseCode};

const HOUR: u64 = 3_600_000_000_000;
/// Three at once, then one an hour.
const THREE: LimitRate = LimitRate {
    interval_ns: HOUR,
    burst_ns: 3 * HOUR,
};
const EXEMPT: LimitRate = LimitRate {
    interval_ns: 0,
    burst_ns: 0,
};
const WWW: &[u8] = b"\x03www\x01g\x03foo\x03com\0";

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// TC=1, and nothing in it.
    Stub,
    Dropped,
    Passed,
}
use Fate::{Answered, Dropped, Passed, Stub};

struct Node(InKernel);

impl Node {
    /// A DNS-LB with a limit of three; `None`: no rights.
    fn new(change: impl FnOnce(&mut Tables)) -> Option<Self> {
        if !dglb_tests::is_root() {
            return None;
        }
        pin_to_cpu(0).expect("CPU 0 is there");
        let mut tables = world::dns_lb().tables();
        tables.settings.limit = THREE;
        change(&mut tables);
        let kernel = Kernel::load(&tables, None).expect("the program loads");
        Some(Self(InKernel::of(kernel).expect("it is loaded")))
    }

    fn send(&mut self, source: &str, message: &[u8]) -> Fate {
        let source: IpAddr = source.parse().expect("an address");
        let packet = packet(source, message.to_vec());
        match self.0.run(&packet.octets()).expect("it runs") {
            Verdict::Drop => Dropped,
            Verdict::Pass(frame) => {
                assert_eq!(frame, packet.octets(), "passed altered");
                Passed
            }
            Verdict::Reply(frame) => {
                let at = packet.link_len() + packet.ip.len() + 8;
                fate_of(message, &frame[at..])
            }
        }
    }

    fn asks(&mut self, source: &str) -> Fate {
        self.send(source, &Message::plain(WWW, TYPE_A).octets())
    }

    fn fates(&mut self, source: &str, times: usize) -> Vec<Fate> {
        (0..times).map(|_| self.asks(source)).collect()
    }

    fn counters(&self) -> Counters {
        self.0.counters().expect("counters")
    }

    fn count(&self, counter: Counter) -> u64 {
        counter.of(&self.counters())
    }
}

fn packet(source: IpAddr, message: Vec<u8>) -> Packet {
    let destination = if source.is_ipv4() {
        world::DNS_LB.into()
    } else {
        world::DNS_LB_V6.into()
    };
    Packet::plain(source, destination, message)
}

fn fate_of(query: &[u8], octets: &[u8]) -> Fate {
    let response = Response::from_vec(octets).expect("readable");
    let question = 12..12 + WWW.len() + 4;
    assert_eq!(octets[question.clone()], query[question], "the question");
    assert_eq!(octets[..2], query[..2], "the ID");
    if !response.metadata.truncation {
        return Answered;
    }
    // Slip: the resolver comes back by TCP, which a forger cannot.
    assert_eq!(response.metadata.response_code, ResponseCode::NoError);
    assert!(!response.metadata.authoritative);
    assert_eq!(response.all_sections().count(), 0);
    assert_eq!(response.edns.is_some(), query[11] != 0, "OPT");
    assert!(octets.len() <= query.len(), "{} octets", octets.len());
    Stub
}

#[test]
fn over_the_limit_every_second_reply_is_a_stub_and_the_rest_dropped() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    let fates = node.fates("100.64.9.9", 9);
    let three = [Answered; 3];
    assert_eq!(fates[..3], three);
    assert_eq!(fates[3..], [Stub, Dropped, Stub, Dropped, Stub, Dropped]);
    assert_eq!(node.count(LbAddress), 3);
    assert_eq!(node.count(Limited), 3);
    assert_eq!(node.count(DroppedLimited), 3);
    assert_eq!(node.count(NotedLimited), 0);
}

#[test]
fn a_stub_has_opt_where_the_query_has_it() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    node.fates("100.64.9.9", 3);
    let cookie = opt::option(10, &[7; 8]);
    let asked = Message::plain(WWW, TYPE_NS).with(opt::record(4096, true, &[cookie]));
    assert_eq!(node.send("100.64.9.9", &asked.octets()), Stub);
}

#[test]
fn the_whole_24_shares_and_its_neighbour_does_not() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    for source in ["100.64.9.9", "100.64.9.10", "100.64.9.254"] {
        assert_eq!(node.asks(source), Answered, "{source}");
    }
    assert_ne!(node.asks("100.64.9.77"), Answered);
    assert_eq!(node.asks("100.64.8.9"), Answered);
    assert_eq!(node.asks("100.64.10.9"), Answered);
}

#[test]
fn in_ipv6_the_56_shares() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    let sources = [
        "2001:db8:ffff:900::1",
        "2001:db8:ffff:9ff::1",
        "2001:db8:ffff:942:1:2:3:4",
    ];
    for source in sources {
        assert_eq!(node.asks(source), Answered, "{source}");
    }
    assert_eq!(node.asks("2001:db8:ffff:955::1"), Stub);
    assert_eq!(node.asks("2001:db8:ffff:955::1"), Dropped);
    assert_eq!(node.asks("2001:db8:ffff:a00::1"), Answered);
    // An IPv4 network of the same octets has another bucket.
    assert_eq!(node.asks("32.1.13.184"), Answered);
}

fn v4(octets: [u8; 4], len: u32, rate: LimitRate) -> LimitPrefix {
    let [a, b, c, d] = octets;
    LimitPrefix {
        prefix: Prefix {
            network: u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]),
            mask: mask(len),
        },
        rate,
    }
}

#[test]
fn a_named_prefix_is_exempt_or_has_a_limit_of_its_own() {
    let node = Node::new(|tables| {
        let settings = &mut tables.settings;
        settings.limits_v4[0] = v4([100, 64, 9, 9], 32, THREE);
        settings.limits_v4[1] = v4([100, 64, 9, 0], 24, EXEMPT);
        settings.limit_count_v4 = 2;
        settings.limits_v6[0] = LimitPrefix {
            prefix: Prefix {
                network: u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]),
                mask: mask(32),
            },
            rate: EXEMPT,
        };
        settings.limit_count_v6 = 1;
    });
    let Some(mut node) = node else { return };
    assert_eq!(node.fates("100.64.9.10", 50), [Answered; 50]);
    assert_eq!(node.fates("2001:db8::1", 50), [Answered; 50]);
    // The longest prefix counts; what is longer than a /24 has a bucket that its neighbours can't empty.
    assert_eq!(
        node.fates("100.64.9.9", 4),
        [Answered, Answered, Answered, Stub]
    );
    assert_eq!(
        node.fates("2001:db9::1", 4),
        [Answered, Answered, Answered, Stub]
    );
    assert_eq!(node.asks("100.64.9.10"), Answered);
}

#[test]
fn on_trial_all_is_answered_and_noted() {
    let Some(mut node) = Node::new(|tables| tables.settings.limit_dry_run = 1) else {
        return;
    };
    assert_eq!(node.fates("100.64.9.9", 8), [Answered; 8]);
    assert_eq!(node.count(LbAddress), 8);
    assert_eq!(node.count(NotedLimited), 5);
    assert_eq!(node.count(Limited) + node.count(DroppedLimited), 0);
}

/// User space is behind the same limit: names that are not ours are charged, and over the limit nothing is
/// passed up.
#[test]
fn what_would_be_passed_up_is_charged_too() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    let mut notify = Message::plain(WWW, TYPE_A).octets();
    notify[2] = 4 << 3;
    for _ in 0..3 {
        assert_eq!(node.send("100.64.9.9", &notify), Passed);
    }
    // What cannot be read is not answered, not even by a stub.
    for _ in 0..4 {
        assert_eq!(node.send("100.64.9.9", &notify), Dropped);
    }
    assert_eq!(node.count(PassedForm), 3);
    assert_eq!(node.count(DroppedLimited), 4);
    assert_eq!(node.asks("100.64.8.9"), Answered);
}

#[test]
fn what_is_no_datagram_to_us_is_not_charged() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    let source: IpAddr = "100.64.9.9".parse().expect("an address");
    let message = Message::plain(WWW, TYPE_A).octets();
    for _ in 0..10 {
        let mut tcp = packet(source, message.clone());
        tcp.ip[9] = 6;
        tcp.set_ipv4_checksum();
        let mut other = packet(source, message.clone());
        other.udp[3] = 54;
        for packet in [tcp, other] {
            let verdict = node.0.run(&packet.octets()).expect("it runs");
            assert_eq!(verdict, Verdict::Pass(packet.octets()));
        }
    }
    assert_eq!(node.fates("100.64.9.9", 3), [Answered; 3]);
}

/// Low source ports are left to user space, which answers them: behind the same limit.
#[test]
fn low_source_ports_are_charged() {
    let Some(mut node) = Node::new(|_| {}) else {
        return;
    };
    let source: IpAddr = "100.64.9.9".parse().expect("an address");
    let mut low = packet(source, Message::plain(WWW, TYPE_A).octets());
    low.udp[..2].copy_from_slice(&[0, 53]);
    let run = |node: &mut Node| node.0.run(&low.octets()).expect("it runs");
    for _ in 0..3 {
        assert_eq!(run(&mut node), Verdict::Pass(low.octets()));
    }
    // No stub either: there would be no end of it between two servers.
    for _ in 0..4 {
        assert_eq!(run(&mut node), Verdict::Drop);
    }
}

/// With a heartbeat that stands still an empty bucket looks at the clock before it refuses: a dead daemon
/// limits nobody further.
#[test]
fn buckets_fill_by_the_clock_when_the_heart_stands_still() {
    const INTERVAL_NS: u64 = 50_000_000;
    let node = Node::new(|tables| {
        tables.settings.limit = LimitRate {
            interval_ns: INTERVAL_NS,
            burst_ns: INTERVAL_NS,
        };
    });
    let Some(mut node) = node else { return };
    let start = std::time::Instant::now();
    let mut answered = 0;
    while answered < 5 {
        answered += u32::from(node.asks("100.64.9.9") == Answered);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    // One at once, then one an interval, of which the coarse clock may be short by a tick of 10 ms.
    let least = (INTERVAL_NS - 10_000_000) * 3;
    assert!(
        start.elapsed().as_nanos() as u64 >= least,
        "{:?}",
        start.elapsed()
    );
}
