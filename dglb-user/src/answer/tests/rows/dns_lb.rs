//! A DNS-LB, and one beside a resolver (DNS-ISP-LB).

use super::*;

fn ranked(config: Config) -> Answerer {
    World::of(config)
        .addresses("www.foo.com", DEFAULT, KIND_A, &[v4(1)])
        .addresses("www.foo.com", DEFAULT, KIND_AAAA, &[v6(1)])
        .addresses("shop.foo.com", DEFAULT, KIND_A, &[v4(2)])
        .answerer()
}

#[test]
fn its_own_set_of_name_servers_has_both_addresses() {
    let answerer = ranked(dns_lb());
    let own = label(DEFAULT);
    // Also below the label of another: the set names who answers.
    for (qname, host) in [
        ("www.foo.com".to_owned(), format!("{own}.www.foo.com.")),
        (
            format!("{}.shop.foo.com", label(NEAR)),
            format!("ns.{own}.shop.foo.com."),
        ),
    ] {
        let seen = whole(&answerer, &ask(&qname, TYPE_NS), STRANGER);
        assert_eq!(seen.counter, Counter::LbApex);
        assert_eq!(
            texts(&seen),
            [
                vec![format!("{qname}. 3600 IN NS {host}")],
                vec![],
                vec![
                    format!("{host} 3600 IN A 198.51.100.0"),
                    format!("{host} 3600 IN AAAA 2001:db8:b::"),
                ],
            ]
        );
    }
    let qname = format!("{}.shop.foo.com", unknown_label());
    let seen = whole(&answerer, &ask(&qname, TYPE_NS), STRANGER);
    for record in texts(&seen).concat() {
        assert!(record.contains(" 60 IN "), "{record}");
    }
}

#[test]
fn name_server_hosts_have_the_addresses_of_their_own_nodes() {
    let answerer = ranked(dns_lb());
    let (own, other) = (label(DEFAULT), label(NEAR));
    for (qname, qtype, address) in [
        (format!("{own}.www.foo.com"), TYPE_A, "198.51.100.0"),
        (format!("{own}.www.foo.com"), TYPE_AAAA, "2001:db8:b::"),
        (format!("{other}.www.foo.com"), TYPE_A, "198.51.100.1"),
        (format!("ns.{own}.shop.foo.com"), TYPE_A, "198.51.100.0"),
        (format!("ns.{other}.shop.foo.com"), TYPE_A, "198.51.100.1"),
    ] {
        let seen = by_udp(&answerer, &ask(&qname, qtype), STRANGER);
        assert_eq!(seen.counter, Counter::LbHost, "{qname}");
        assert_eq!(seen.answers(), [address], "{qname}");
    }
}

#[test]
fn name_server_hosts_have_nothing_else_for_a_minute() {
    let answerer = ranked(dns_lb());
    let (own, other, unknown) = (label(DEFAULT), label(NEAR), unknown_label());
    let www = "www.foo.com.".to_owned();
    let shop = |label| format!("{label}.shop.foo.com.");
    for (qname, qtype, apex) in [
        (format!("{own}.www.foo.com"), TYPE_TXT, www.clone()),
        (format!("{own}.www.foo.com"), TYPE_NS, www.clone()),
        (format!("{other}.www.foo.com"), TYPE_AAAA, www.clone()),
        (format!("{unknown}.www.foo.com"), TYPE_A, www.clone()),
        (format!("{unknown}.www.foo.com"), TYPE_ANY, www),
        (format!("ns.{other}.shop.foo.com"), TYPE_AAAA, shop(other)),
        (format!("ns.{own}.shop.foo.com"), TYPE_TXT, shop(own)),
        (format!("ns.{unknown}.shop.foo.com"), TYPE_A, shop(unknown)),
    ] {
        let seen = by_udp(&answerer, &ask(&qname, qtype), STRANGER);
        assert_eq!(
            (seen.counter, seen.rcode()),
            (Counter::LbHost, ResponseCode::NoError),
            "{qname} {qtype}"
        );
        assert_eq!(texts(&seen), [vec![], vec![soa_text(&apex, 60)], vec![]]);
    }
    // ANY of a host that is there is not empty (RFC 8482).
    let any = ask(&format!("{own}.www.foo.com"), TYPE_ANY);
    assert_eq!(by_udp(&answerer, &any, STRANGER).counts(), [1, 0, 0]);
    // Below a host, or beside it, there is nothing.
    for qname in [
        format!("x.{own}.www.foo.com"),
        format!("x.{own}.shop.foo.com"),
        format!("ns.x.{own}.shop.foo.com"),
    ] {
        let seen = by_udp(&answerer, &ask(&qname, TYPE_A), STRANGER);
        assert_eq!(seen.counter, Counter::LbNxdomain, "{qname}");
    }
}

#[test]
fn ready_answers_and_composed_ones_say_the_same() {
    let mut composed = World::of(dns_lb());
    composed.tables.rankings.fill(AnswerRef::NONE);
    let (ready, composed) = (World::of(dns_lb()).answerer(), composed.answerer());
    for qname in [
        "www.foo.com".to_owned(),
        format!("{}.shop.foo.com", label(NEAR)),
        format!("{}.shop.foo.com", unknown_label()),
    ] {
        for qtype in [TYPE_NS, TYPE_SOA, TYPE_TXT, TYPE_ANY] {
            for qname in [qname.clone(), format!("No.{qname}")] {
                let query = ask(&qname, qtype);
                let [ready, composed] =
                    [&ready, &composed].map(|answerer| whole(answerer, &query, STRANGER));
                assert_eq!(ready.counter, composed.counter, "{qname} {qtype}");
                assert_eq!(texts(&ready), texts(&composed), "{qname} {qtype}");
            }
        }
    }
}

#[test]
fn beside_a_resolver_the_name_itself_is_answered() {
    let answerer = ranked(dns_isp_lb());
    let recursion = |seen: &Seen| seen.message.metadata.recursion_available;
    let seen = by_udp(&answerer, &ask("Shop.foo.com", TYPE_A), STRANGER);
    assert_eq!(seen.counter, Counter::LbAddress);
    assert_eq!(
        texts(&seen)[0],
        [format!("Shop.foo.com. 600 IN A {}", v4(2))]
    );
    assert!(recursion(&seen));
    // No ready answer fits N itself: they are made for `L.N`.
    for (qtype, counter, counts) in [
        (TYPE_AAAA, Counter::LbNodata, [0, 1, 0]),
        (TYPE_TXT, Counter::LbNodata, [0, 1, 0]),
        (TYPE_SOA, Counter::LbApex, [1, 0, 0]),
        (TYPE_NS, Counter::LbApex, [1, 0, 2]),
        (TYPE_ANY, Counter::LbApex, [1, 0, 0]),
    ] {
        let seen = whole(&answerer, &ask("shop.foo.com", qtype), STRANGER);
        assert_eq!((seen.counter, seen.counts()), (counter, counts), "{qtype}");
        assert!(recursion(&seen));
        if counter == Counter::LbNodata {
            assert_eq!(texts(&seen)[1], [soa_text("shop.foo.com.", 900)]);
        }
    }
    let seen = by_udp(&answerer, &ask("no.www.foo.com", TYPE_A), STRANGER);
    assert_eq!(seen.counter, Counter::LbNxdomain);
    assert!(recursion(&seen));
}

#[test]
fn beside_a_resolver_what_is_not_ours_is_left_alone() {
    let answerer = ranked(dns_isp_lb());
    let mut other_class = ask("www.foo.com", TYPE_A);
    *other_class.last_mut().expect("not empty") = 3;
    let mut notify = ask("www.foo.com", TYPE_SOA);
    notify[2] = 4 << 3;
    let mut cut = ask("www.foo.com", TYPE_A);
    cut.pop();
    let mut response = ask("www.foo.com", TYPE_A);
    response[2] = 0x80;
    let mut malformed_elsewhere = ask("elsewhere.example", TYPE_A);
    malformed_elsewhere.push(0);
    for query in [
        ask("elsewhere.example", TYPE_A),
        ask(".", TYPE_NS),
        ask("foo.com", TYPE_A),
        ask("x.shop.foo.com", TYPE_A),
        ask("www.foo.com", 252),
        other_class,
        notify,
        cut,
        response,
        malformed_elsewhere,
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            let answered = answerer.answer_message(&query, STRANGER, transport);
            assert_eq!(answered, None, "{query:?}");
        }
    }
    // What is ours and malformed is ours to answer.
    let mut malformed = ask_with("www.foo.com", TYPE_A, &[(OPTION_NSID, &[])]);
    malformed.push(0);
    let seen = by_udp(&answerer, &malformed, STRANGER);
    assert_eq!(seen.rcode(), ResponseCode::FormErr);
    assert!(seen.message.metadata.recursion_available);
}

#[test]
fn elsewhere_the_name_itself_is_refused_and_no_recursion_is_promised() {
    let answerer = ranked(dns_lb());
    for qname in ["shop.foo.com", "x.shop.foo.com", "elsewhere.example"] {
        let seen = by_udp(&answerer, &ask(qname, TYPE_A), STRANGER);
        assert_eq!(
            (seen.counter, seen.rcode()),
            (Counter::Refused, ResponseCode::Refused)
        );
        assert!(!seen.message.metadata.recursion_available);
    }
}

#[test]
fn who_asks_by_either_family_has_a_vantage() {
    let answerer = World::of(dns_lb())
        .addresses("www.foo.com", DEFAULT, KIND_A, &[v4(1)])
        .addresses("www.foo.com", NEAR, KIND_A, &[v4(2)])
        .answerer();
    for (source, address) in [
        ("203.0.113.9", v4(2)),
        ("203.0.112.9", v4(1)),
        ("2001:db8:113:ffff::1", v4(2)),
        ("2001:db8:114::1", v4(1)),
        // As a socket of both families has IPv4.
        ("::ffff:203.0.113.9", v4(2)),
    ] {
        let source = source.parse().expect("an address");
        let seen = by_udp(&answerer, &ask("www.foo.com", TYPE_A), source);
        assert_eq!(seen.answers(), [address.to_string()], "{source}");
    }
}
