//! A reply's IP packet has at most three times the octets of the query's, for each row at its shortest
//! name, where the quotient is largest; kept by saying less, and at last by TC=1.

use std::net::IpAddr;

use dglb_common::{
    counters::Counter::{self, *},
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};
use dglb_tests::{
    frames::{Message, Packet, opt},
    fuzz::path::{self, InKernel, Verdict},
    model::Model,
    oracle,
    world::{self, RESOLVER_1, RESOLVER_5, RESOLVER_5_V6, STRANGER, label},
};
use hickory_proto::op::Message as Response;

/// TXT.
const TXT: u16 = 16;

/// OPT of the query.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opt {
    Without,
    Empty,
    /// As BIND sends it (RFC 7873).
    Cookie,
}
use Opt::{Cookie, Empty, Without};

/// A question and how much is said to it.
struct Shortest {
    sentence: &'static str,
    model: fn() -> Model,
    source: IpAddr,
    name: Vec<u8>,
    qtype: u16,
    /// With an OPT record, empty or with a cookie.
    opt: Opt,
    row: Counter,
    /// Answers, authorities, additionals; none: TC=1.
    records: Option<[usize; 3]>,
}

fn name(text: &str) -> Vec<u8> {
    world::name(text).wire().to_vec()
}

fn below(index: usize, text: &str) -> Vec<u8> {
    name(&format!("{}.{text}", label(index)))
}

#[rustfmt::skip]
fn all() -> Vec<Shortest> {
    vec![
        case("b-r: the backup with its glue is left out first",
            world::dns_b, RESOLVER_5.into(), (name("r.q"), TYPE_A, Without), BR, Some([0, 1, 2])),
        case("b-r: by IPv6 too",
            world::dns_b, RESOLVER_5_V6.into(), (name("r.q"), TYPE_A, Without), BR, Some([0, 1, 2])),
        case("b-r: a query with OPT is longer, but so is the reply",
            world::dns_b, RESOLVER_5.into(), (name("r.q"), TYPE_A, Empty), BR, Some([0, 1, 2])),
        case("b-r: as BIND asks, all fits",
            world::dns_b, RESOLVER_5.into(), (name("r.q"), TYPE_A, Cookie), BR, Some([0, 2, 4])),
        case("b-r: one name server, one address",
            world::dns_b, RESOLVER_1.into(), (name("r.q"), TYPE_A, Without), BR, Some([0, 1, 1])),
        case("b-c-name",
            world::dns_b, RESOLVER_5.into(), (name("c"), TYPE_A, Without), BCName, Some([1, 0, 0])),
        case("b-c-label: the label makes the question longer",
            world::dns_b, STRANGER.into(), (below(4, "c"), TYPE_A, Without), BCLabel, Some([0, 1, 2])),
        case("b-c-label: as BIND asks, all fits",
            world::dns_b, STRANGER.into(), (below(4, "c"), TYPE_A, Cookie), BCLabel, Some([0, 2, 4])),
        case("b-negative",
            world::dns_b, STRANGER.into(), (name("x.q"), TYPE_A, Without), BNegative, Some([0, 1, 0])),
        case("b-address: a list is cut to the leading addresses that fit",
            world::dns_b_direct, RESOLVER_1.into(), (name("l.q"), TYPE_A, Without), BAddress, Some([6, 0, 0])),
        case("b-address: IPv6 addresses are larger",
            world::dns_b_direct, RESOLVER_1.into(), (name("l.q"), TYPE_AAAA, Without), BAddress, Some([3, 0, 0])),
        case("b-address: with OPT",
            world::dns_b_direct, RESOLVER_1.into(), (name("l.q"), TYPE_A, Empty), BAddress, Some([7, 0, 0])),
        case("b-nodata",
            world::dns_b_direct, RESOLVER_1.into(), (name("l.q"), TXT, Without), BNodata, Some([0, 1, 0])),
        case("lb-address: a list",
            world::dns_lb_vantages, STRANGER.into(), (name("l.q"), TYPE_A, Without), LbAddress, Some([6, 0, 0])),
        case("lb-nodata",
            world::dns_lb_vantages, STRANGER.into(), (name("l.q"), TXT, Without), LbNodata, Some([0, 1, 0])),
        case("lb-apex: its name servers with both addresses",
            world::dns_lb_vantages, STRANGER.into(), (name("l.q"), TYPE_NS, Without), LbApex, Some([1, 0, 2])),
        case("lb-apex: SOA",
            world::dns_lb_vantages, STRANGER.into(), (name("l.q"), TYPE_SOA, Without), LbApex, Some([1, 0, 0])),
        case("lb-host",
            world::dns_lb_vantages, STRANGER.into(), (below(0, "l.q"), TYPE_A, Without), LbHost, Some([1, 0, 0])),
        case("lb-nxdomain",
            world::dns_lb_vantages, STRANGER.into(), (name("x.l.q"), TYPE_A, Without), LbNxdomain, Some([0, 1, 0])),
        case("what still exceeds is answered TC=1: an SOA with a long name",
            world::dns_lb, STRANGER.into(), (name("sizable.g.foo.com"), TXT, Without), Truncated, None),
    ]
}

fn case(
    sentence: &'static str,
    model: fn() -> Model,
    source: IpAddr,
    (name, qtype, opt): (Vec<u8>, u16, Opt),
    row: Counter,
    records: Option<[usize; 3]>,
) -> Shortest {
    Shortest {
        sentence,
        model,
        source,
        name,
        qtype,
        opt,
        row,
        records,
    }
}

#[test]
fn no_reply_has_more_than_three_times_the_octets() {
    let mut others = Vec::new();
    for case in all() {
        let model = (case.model)();
        let addresses = &model.config.node.addresses;
        let of_family = |address: &&IpAddr| address.is_ipv4() == case.source.is_ipv4();
        let destination = *addresses.iter().find(of_family).expect("both families");
        let cookie = opt::option(10, &[7; 8]);
        let message = Message::plain(&case.name, case.qtype);
        let message = match case.opt {
            Without => message,
            Empty => message.with(opt::record(4096, false, &[])),
            Cookie => message.with(opt::record(4096, false, &[cookie])),
        };
        let packet = Packet::plain(case.source, destination, message.octets());
        let frame = packet.octets();
        let own = path::answerer(&model)
            .answer_frame(&frame)
            .expect("an answer");
        let about = case.sentence;

        let (asked, said) = (frame.len() - 14, own.octets.len() - 14);
        assert!(said <= 3 * asked, "{about}: {said} octets to {asked}");
        let judged = oracle::frame::judge_reply(&model, &frame, &own.octets);
        assert_eq!(judged, Ok(case.row), "{about}");
        let response = Response::from_vec(&own.octets[14 + packet.ip.len() + 8..]);
        let response = response.expect("readable");
        let counts = [
            &response.answers,
            &response.authorities,
            &response.additionals,
        ];
        let counts = counts.map(Vec::len);
        if counts != case.records.unwrap_or_default() {
            others.push(format!("{about}: {counts:?}, {said} octets to {asked}"));
        }
        let truncated = response.metadata.truncation;
        assert_eq!(truncated, case.records.is_none(), "{about}");

        if dglb_tests::is_root() {
            let mut kernel = InKernel::load(&model).expect("the program loads");
            let verdict = kernel.run(&frame).expect("it runs");
            assert_eq!(verdict, Verdict::Reply(own.octets), "{about}");
            let counters = kernel.counters().expect("counters");
            assert_eq!(case.row.of(&counters), 1, "{about}");
        }
    }
    assert_eq!(others, Vec::<String>::new());
}
