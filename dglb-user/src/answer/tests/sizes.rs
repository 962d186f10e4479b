//! Sizes: no more than three times what was asked, by leaving out what can be done without.

use dglb_common::{
    layout::{KIND_A, KIND_AAAA},
    query::{OPTION_CLIENT_SUBNET, OPTION_NSID, TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};

use super::{world::*, *};

/// Octets of the headers below DNS.
const V4: usize = 28;
const V6: usize = 48;

fn eight_v4() -> Vec<IpAddr> {
    (1..=8).map(v4).collect()
}

fn eight_v6() -> Vec<IpAddr> {
    (1..=8).map(v6).collect()
}

/// A DNS-B whose names are as short as they can be.
fn short_dns_b() -> Answerer {
    World::of(dns_b_below(""))
        .addresses("d.g", DEFAULT, KIND_A, &eight_v4())
        .addresses("d.g", DEFAULT, KIND_AAAA, &eight_v6())
        .answerer()
}

fn dns_lb_answerer() -> Answerer {
    World::of(dns_lb())
        .addresses("www.foo.com", DEFAULT, KIND_A, &eight_v4())
        .addresses("shop.foo.com", DEFAULT, KIND_AAAA, &eight_v6())
        .answerer()
}

#[test]
fn no_response_has_more_than_three_times_the_querys_octets() {
    let label = label(DEFAULT);
    let short = [
        ".", "x", "g", "d.g", "r.g", "k.g", "x.g", "ns1.g", "x.d.g", "x.r.g", "empty.g", "shop",
        "x.shop",
    ];
    let below_label = [format!("{label}.shop"), format!("{}.shop", unknown_label())];
    let at_dns_lb = [
        "www.foo.com".to_owned(),
        "x.www.foo.com".to_owned(),
        format!("{label}.www.foo.com"),
        format!("{label}.shop.foo.com"),
        format!("ns.{label}.shop.foo.com"),
        format!("{}.shop.foo.com", unknown_label()),
    ];
    let dns_b = short
        .iter()
        .copied()
        .chain(below_label.iter().map(String::as_str));
    let (short_dns_b, dns_lb) = (short_dns_b(), dns_lb_answerer());
    let asked = dns_b
        .map(|qname| (&short_dns_b, qname))
        .chain(at_dns_lb.iter().map(|qname| (&dns_lb, qname.as_str())));
    let mut smaller = 0;
    for (answerer, qname) in asked {
        for qtype in [TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA, 16, 43, 46, 252, 255] {
            for query in [
                ask(qname, qtype),
                ask_with(qname, qtype, &[]),
                ask_with(qname, qtype, &[(OPTION_NSID, &[])]),
                ask_with(qname, qtype, &[(OPTION_CLIENT_SUBNET, &[0, 1, 8, 0, 10])]),
            ] {
                for (source, headers) in [(LISTED, V4), (LISTED_V6, V6), (STRANGER, V4)] {
                    let seen = by_udp(answerer, &query, source);
                    let (sent, got) = (headers + query.len(), headers + seen.octets.len());
                    assert!(got <= 3 * sent, "{qname} {qtype}: {got} for {sent}");
                    let is_truncated = seen.message.metadata.truncation;
                    assert_eq!(is_truncated, seen.counter == Counter::Truncated);
                    let by_tcp = whole(answerer, &query, source);
                    smaller += usize::from(seen.octets.len() < by_tcp.octets.len());
                }
            }
        }
    }
    assert!(smaller > 20, "{smaller} responses were too large");
}

#[test]
fn at_the_shortest_names_each_row_still_has_its_answer() {
    let answerer = short_dns_b();
    let label = format!("{}.shop", label(DEFAULT));
    for (qname, qtype, counter, counts) in [
        // The backup is left out, glue of both families stays.
        ("r.g", TYPE_A, Counter::BR, [0, 1, 2]),
        ("shop", TYPE_A, Counter::BCName, [1, 0, 0]),
        (label.as_str(), TYPE_A, Counter::BCLabel, [0, 2, 3]),
        ("d.g", TYPE_A, Counter::BAddress, [6, 0, 0]),
        ("d.g", TYPE_AAAA, Counter::BAddress, [3, 0, 0]),
        ("d.g", 16, Counter::BNodata, [0, 1, 0]),
        ("k.g", TYPE_A, Counter::BAddress, [1, 0, 0]),
        ("x.g", TYPE_A, Counter::BNegative, [0, 1, 0]),
        ("empty.g", TYPE_A, Counter::BNegative, [0, 1, 0]),
        ("g", TYPE_SOA, Counter::BZone, [1, 0, 0]),
    ] {
        let seen = by_udp(&answerer, &ask(qname, qtype), STRANGER);
        assert_eq!((seen.counter, seen.counts()), (counter, counts), "{qname}");
    }
}

#[test]
fn a_list_is_cut_to_the_leading_addresses_that_fit() {
    let answerer = dns_lb_answerer();
    let all = eight_v4()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    for (query, headers) in [
        (ask("www.foo.com", TYPE_A), V4),
        (ask_with("www.foo.com", TYPE_A, &[]), V4),
        (ask("www.foo.com", TYPE_A), V6),
    ] {
        let source = if headers == V4 { LISTED } else { LISTED_V6 };
        let seen = by_udp(&answerer, &query, source);
        let room = 3 * (headers + query.len()) - headers - query.len();
        let expected = all.len().min(room / 16);
        assert_eq!(seen.answers(), all[..expected]);
        assert_eq!(seen.counter, Counter::LbAddress);
        assert!(!seen.message.metadata.truncation);
    }
    let seen = whole(&answerer, &ask("www.foo.com", TYPE_A), STRANGER);
    assert_eq!(seen.answers(), all);
}

#[test]
fn the_frame_says_how_much_was_asked() {
    let answerer = World::of(dns_b_below("")).answerer();
    let records = |frame: &[u8]| {
        let answered = answerer.answer_frame(frame).expect("sound");
        let message = Message::from_vec(&answered.octets[42..]).expect("readable");
        message.authorities.len()
    };
    let sound = frame(&ask("r.g", TYPE_A));
    assert_eq!(records(&sound), 1);
    // Octets behind the packet are padding; behind the UDP datagram, but in the packet, they were sent.
    let mut longer = [sound.as_slice(), &[0; 60]].concat();
    assert_eq!(records(&longer), 1);
    let total = (longer.len() - 14) as u16;
    longer[16..18].copy_from_slice(&total.to_be_bytes());
    longer[24..26].fill(0);
    let sum = !dglb_common::checksum::of(&longer[14..34]);
    longer[24..26].copy_from_slice(&sum.to_ne_bytes());
    assert_eq!(records(&longer), 2);
}

#[test]
fn what_exceeds_at_every_size_is_truncated_as_it_would_have_been() {
    let mut config = dns_b_below("");
    if let Role::DnsB(dns_b) = &mut config.role {
        dns_b.zones[0].soa.rname = name(&format!("{}.{}.example", "r".repeat(63), "n".repeat(63)));
    }
    let answerer = World::of(config).answerer();
    for (qname, rcode) in [
        ("x.g", ResponseCode::NXDomain),
        ("empty.g", ResponseCode::NoError),
        ("g", ResponseCode::NoError),
    ] {
        let query = ask_with(
            qname,
            TYPE_SOA,
            &[(OPTION_CLIENT_SUBNET, &[0, 1, 8, 0, 10])],
        );
        let seen = by_udp(&answerer, &query, LISTED);
        assert_eq!(seen.counter, Counter::Truncated, "{qname}");
        assert_eq!(seen.counts(), [0; 3]);
        let metadata = &seen.message.metadata;
        assert!(metadata.truncation && metadata.authoritative);
        assert_eq!(seen.rcode(), rcode);
        assert_eq!(
            seen.option(OPTION_CLIENT_SUBNET),
            Some(vec![0, 1, 8, 0, 10])
        );
        assert_eq!(
            seen.octets[12..query.len() - 20],
            query[12..query.len() - 20]
        );
        let by_tcp = whole(&answerer, &query, LISTED);
        assert_ne!(by_tcp.counter, Counter::Truncated);
        assert_eq!(by_tcp.counts()[..2].iter().sum::<usize>(), 1);
    }
}

#[test]
fn additional_records_are_left_out_before_an_answer_is_truncated() {
    let mut config = dns_b_below("");
    if let Role::DnsB(dns_b) = &mut config.role {
        dns_b.zones[0].ns = vec![name("ns1.g"), name("ns2.g"), name("ns3.g")];
        dns_b.zones[0].hosts = (1..=3)
            .flat_map(|host: u16| {
                let host_name = name(&format!("ns{host}.g"));
                [(host_name.clone(), v4(host as u8)), (host_name, v6(host))]
            })
            .collect();
    }
    let answerer = World::of(config).answerer();
    let seen = by_udp(&answerer, &ask("g", TYPE_NS), STRANGER);
    assert_eq!((seen.counter, seen.counts()), (Counter::BZone, [3, 0, 0]));
    let seen = whole(&answerer, &ask("g", TYPE_NS), STRANGER);
    assert_eq!((seen.counter, seen.counts()), (Counter::BZone, [3, 0, 6]));
}
