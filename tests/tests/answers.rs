//! The answer table, row by row: a sentence, a question, the response; in user space, and through the
//! kernel program in each kind of frame: what verdict, what frame, what counters; by a test run, and over
//! a wire in native and in generic mode.

mod fixtures;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use dglb_common::{
    counters::{Counter, Counters, Kind},
    query::is_fast_type,
};
use dglb_tests::{
    frames::{Message, OUTER_TAG, Packet, TAG, opt},
    fuzz::path::{self, InKernel, Verdict},
    model::Model,
    oracle,
    rig::ends::Ends,
    world::{self, STRANGER, STRANGER_V6, UNKNOWN_LABEL, label},
};
use dglb_user::answer::{Answerer, Transport};
use fixtures::{Fixture, Node};
use hickory_proto::{
    op::Message as Response,
    rr::{Record, RecordType, rdata::opt::EdnsOption},
};
use ipnet::IpNet;

fn filled(text: &str) -> String {
    let soa = "ns1.g.foo.com. hostmaster.foo.com. 2026112401 3600 600 1209600 300";
    let mut text = text.replace("{soa}", soa).replace("{u}", UNKNOWN_LABEL);
    for index in 0..world::NODES.len() {
        text = text.replace(&format!("{{{}}}", index + 1), &label(index).to_string());
    }
    text
}

/// A query for `name TYPE`; the type may be TYPEn (RFC 3597 §5).
#[derive(Clone, Debug)]
struct Query {
    message: Message,
    qtype: u16,
    subnet: Option<IpNet>,
}

impl Query {
    fn of(ask: &str) -> Self {
        let ask = filled(ask);
        let (ask, subnet) = match ask.split_once(" +subnet=") {
            Some((ask, subnet)) => (ask, Some(subnet.parse().expect("a prefix"))),
            None => (&*ask, None),
        };
        let (name, qtype) = ask.split_once(' ').expect("name and type");
        let qtype: u16 = match qtype.strip_prefix("TYPE") {
            Some(number) => number.parse().expect("a number"),
            None => qtype.parse::<RecordType>().expect("a type").into(),
        };
        let mut wire = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        Self {
            message: Message::plain(&wire, qtype),
            qtype,
            subnet,
        }
    }

    /// With room for any answer: a query of many octets, by an option that means nothing (RFC 7830).
    fn roomy(&self) -> Vec<u8> {
        const PADDING: u16 = 12;
        let mut options = vec![opt::option(PADDING, &[0; 300])];
        options.extend(
            self.subnet
                .map(|net| opt::client_subnet(net.addr(), net.prefix_len())),
        );
        let message = self.message.clone();
        message.with(opt::record(1232, false, &options)).octets()
    }

    /// As short as it can be.
    fn short(&self) -> Vec<u8> {
        self.message.octets()
    }
}

/// The response as a person writes it: RCODE, AA, records by section, Client Subnet.
fn lines(message: &Response) -> Vec<String> {
    let rcode = u16::from(message.metadata.response_code);
    let flag = |set: bool, name: &'static str| if set { name } else { "" };
    let aa = flag(message.metadata.authoritative, " aa");
    let tc = flag(message.metadata.truncation, " tc");
    let section = |name: &'static str, records: &[Record]| -> Vec<String> {
        records
            .iter()
            .map(|record| format!("{name} {record}").trim_end().to_owned())
            .collect()
    };
    let mut lines = vec![format!("rcode {rcode}{aa}{tc}")];
    lines.extend(section("answer", &message.answers));
    lines.extend(section("authority", &message.authorities));
    lines.extend(section("additional", &message.additionals));
    let options = message.edns.iter().flat_map(|edns| edns.options().as_ref());
    lines.extend(options.map(|(_, option)| match option {
        EdnsOption::Subnet(subnet) => {
            let (address, len) = (subnet.addr(), subnet.source_prefix());
            format!("subnet {address}/{len} scope {}", subnet.scope_prefix())
        }
        other => format!("option {other:?}"),
    }));
    lines
}

/// A node in both forms.
struct Tried {
    model: Model,
    answerer: Answerer,
    /// `None`: no rights.
    kernel: Option<InKernel>,
    /// The program at a wire, in each mode.
    wires: Vec<(&'static str, Ends)>,
}

impl Tried {
    fn new(node: Node) -> Self {
        let model = match node {
            Node::DnsB => world::dns_b(),
            Node::Direct => world::dns_b_direct(),
            Node::DnsLb => world::dns_lb(),
            Node::Vantages => world::dns_lb_vantages(),
            Node::IspLb => world::dns_isp_lb(),
        };
        let kernel = dglb_tests::is_root().then(|| InKernel::load(&model).expect("it loads"));
        let wires = kernel
            .iter()
            .flat_map(|_| Ends::in_both_modes(&model).expect("wires"));
        Self {
            wires: wires.collect(),
            answerer: path::answerer(&model),
            model,
            kernel,
        }
    }

    fn in_user_space(&self, fixture: &Fixture, query: &Query) {
        let about = format!("{} ({})", fixture.sentence, fixture.ask);
        let asked = query.roomy();
        let answered = self
            .answerer
            .answer_message(&asked, fixture.source, Transport::Udp);
        let answered = answered.expect("a response");
        let message = Response::from_vec(&answered.octets).expect("readable");
        let expected: Vec<_> = fixture.response.iter().map(|line| filled(line)).collect();
        assert_eq!(lines(&message), expected, "{about}");
        assert_eq!(answered.counter, fixture.row, "{about}");
        let udp = oracle::Transport::Udp;
        let response = Some(&*answered.octets);
        let judged = oracle::judge(&self.model, fixture.source, udp, &asked, response);
        assert_eq!(judged, Ok(Some(fixture.row)), "{about}");
    }

    fn in_kernel(&mut self, fixture: &Fixture, query: &Query) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        for message in [query.roomy(), query.short()] {
            for (kind, packet) in packets(&self.model, fixture, &message) {
                let about = format!("{} ({}, {kind})", fixture.sentence, fixture.ask);
                let frame = packet.octets();
                let own = self.answerer.answer_frame(&frame).expect("an answer");
                let before = kernel.counters().expect("counters");
                let verdict = kernel.run(&frame).expect("it runs");
                let counted = counted(&before, &kernel.counters().expect("counters"));
                let judged = oracle::frame::judge_reply(&self.model, &frame, &own.octets);
                assert_eq!(judged, Ok(own.counter), "{about}");
                for (mode, ends) in &self.wires {
                    let seen = ends.run(&frame, &verdict).expect("what a test run says");
                    assert_eq!(seen, verdict, "{about}, {mode}");
                }
                if is_answered_in_kernel(fixture, query.qtype) {
                    assert_eq!(verdict, Verdict::Reply(own.octets), "{about}");
                    assert_eq!(counted, [(own.counter, 1)], "{about}");
                } else {
                    assert_eq!(verdict, Verdict::Pass(frame), "{about}");
                    let [(reason, 1)] = counted[..] else {
                        panic!("{about}: {counted:?}");
                    };
                    assert_eq!(reason.kind(), Kind::Passed, "{about}: {}", reason.name());
                }
            }
        }
    }
}

/// What was counted between two looks.
fn counted(before: &Counters, after: &Counters) -> Vec<(Counter, u64)> {
    let all = Counter::ALL.iter();
    let moved = all.map(|counter| (*counter, counter.of(after) - counter.of(before)));
    moved.filter(|(_, count)| *count != 0).collect()
}

/// The column "XDP" of the answer table.
fn is_answered_in_kernel(fixture: &Fixture, qtype: u16) -> bool {
    const SOA: u16 = 6;
    let claims = match fixture.row {
        Counter::LbApex => qtype == SOA || is_fast_type(qtype),
        Counter::BZone | Counter::Refused | Counter::Error => false,
        _ => is_fast_type(qtype),
    };
    claims && !fixture.needs_thought
}

/// The message in each kind of frame. Who is in no table asks by both families.
fn packets(model: &Model, fixture: &Fixture, message: &[u8]) -> Vec<(String, Packet)> {
    let other = match fixture.source {
        IpAddr::V4(STRANGER) => Some(IpAddr::V6(STRANGER_V6)),
        _ => None,
    };
    let mut packets = Vec::new();
    for source in [Some(fixture.source), other].into_iter().flatten() {
        let addresses = &model.config.node.addresses;
        let of_family = |address: &&IpAddr| address.is_ipv4() == source.is_ipv4();
        let destination = addresses.iter().find(of_family).expect("both families");
        let plain = Packet::plain(source, *destination, message.to_vec());
        let [c, s] = [TAG, OUTER_TAG].map(|[a, b]| [a, b, 0x60, 0x07]);
        for (tags, name) in [
            (vec![], "no VLAN"),
            (vec![c], "802.1Q"),
            (vec![s, c], "QinQ"),
            (vec![c, c], "QinQ, old EtherType"),
        ] {
            let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
            let packet = Packet {
                tags,
                ..plain.clone()
            };
            packets.push((format!("{family}, {name}"), packet));
        }
    }
    packets
}

/// Checks fixtures, each node made once.
fn check(fixtures: &[Fixture]) {
    let mut nodes = BTreeMap::new();
    for fixture in fixtures {
        let node = nodes
            .entry(fixture.node)
            .or_insert_with(|| Tried::new(fixture.node));
        let query = Query::of(fixture.ask);
        node.in_user_space(fixture, &query);
        node.in_kernel(fixture, &query);
    }
}

#[test]
fn rows_of_a_dns_b() {
    check(fixtures::dns_b::ROWS);
}

#[test]
fn rows_of_a_dns_b_by_ipv6_and_with_backups() {
    check(fixtures::ipv6::ROWS);
}

#[test]
fn rows_of_a_dns_b_in_direct_and_cache_mode() {
    check(fixtures::direct::ROWS);
}

#[test]
fn rows_of_a_dns_lb() {
    check(fixtures::dns_lb::ROWS);
}

#[test]
fn rows_of_a_dns_lb_with_several_vantages() {
    check(fixtures::vantages::ROWS);
}

#[test]
fn rows_of_a_dns_isp_lb() {
    check(fixtures::isp::ROWS);
}

#[test]
fn client_subnet() {
    check(fixtures::subnet::ROWS);
}

#[test]
fn what_no_row_has() {
    check(fixtures::refused::ROWS);
}

/// A DNS-ISP-LB leaves to the resolver on its host what is not its own: silence in user space, passed by
/// the kernel.
#[test]
fn what_is_not_a_dns_isp_lbs_own_is_left_to_the_resolver() {
    let mut tried = Tried::new(Node::IspLb);
    let asks = [
        "example.com A",
        "x.shop.foo.com A",
        ". NS",
        "foo.com A",
        "www.g.foo.com AXFR",
    ];
    for ask in asks {
        let query = Query::of(ask).short();
        let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 99));
        let answered = tried
            .answerer
            .answer_message(&query, source, Transport::Udp);
        assert_eq!(answered, None, "{ask}");
        let destination = tried.model.config.node.addresses[0];
        let frame = Packet::plain(source, destination, query).octets();
        if let Some(kernel) = &mut tried.kernel {
            let verdict = kernel.run(&frame).expect("it runs");
            assert_eq!(verdict, Verdict::Pass(frame), "{ask}");
        }
    }
}
