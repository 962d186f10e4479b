//! Rows of the answer table, by roles: what came with direct and cache mode, IPv6 glue, complete zones, and
//! the DNS-LB beside a resolver.

use dglb_common::{
    layout::{AnswerRef, KIND_A, KIND_AAAA, VantageValue},
    query::{OPTION_NSID, TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};

use super::{world::*, *};

const TYPE_TXT: u16 = 16;
const TYPE_DS: u16 = 43;
const TYPE_ANY: u16 = 255;

/// Section texts of the whole response: answers, authorities, additionals.
fn texts(seen: &Seen) -> [Vec<String>; 3] {
    let message = &seen.message;
    [&message.answers, &message.authorities, &message.additionals]
        .map(|records| records.iter().map(ToString::to_string).collect())
}

fn soa_text(owner: &str, ttl: u32) -> String {
    format!("{owner} {ttl} IN SOA ns1.g.foo.com. hostmaster.foo.com. 1 2 3 4 900")
}

fn is_authoritative(seen: &Seen) -> bool {
    seen.message.metadata.authoritative
}

mod dns_b_rows {
    use super::*;

    fn direct() -> Answerer {
        World::of(dns_b())
            .addresses("d.g.foo.com", DEFAULT, KIND_A, &[v4(1), v4(2)])
            .answerer()
    }

    #[test]
    fn direct_mode_answers_with_the_best_sites() {
        let seen = by_udp(&direct(), &ask("D.g.foo.com", TYPE_A), STRANGER);
        assert_eq!(seen.counter, Counter::BAddress);
        let expected = [1, 2].map(|last| format!("D.g.foo.com. 600 IN A {}", v4(last)));
        assert_eq!(texts(&seen), [expected.to_vec(), vec![], vec![]]);
        assert!(is_authoritative(&seen));
    }

    #[test]
    fn direct_mode_has_nothing_else_at_the_name() {
        for qtype in [TYPE_AAAA, TYPE_NS, TYPE_SOA, TYPE_TXT, TYPE_DS] {
            let seen = by_udp(&direct(), &ask("d.g.foo.com", qtype), STRANGER);
            assert_eq!(
                (seen.counter, seen.rcode()),
                (Counter::BNodata, ResponseCode::NoError),
                "{qtype}"
            );
            assert_eq!(
                texts(&seen),
                [vec![], vec![soa_text("g.foo.com.", 900)], vec![]]
            );
        }
        let any = by_udp(&direct(), &ask("d.g.foo.com", TYPE_ANY), STRANGER);
        assert_eq!(any.counter, Counter::BZone);
        assert!(any.answers()[0].contains("RFC8482"), "{:?}", any.answers());
    }

    #[test]
    fn below_a_name_in_direct_mode_there_is_nothing() {
        for qtype in [TYPE_A, TYPE_DS, TYPE_ANY] {
            let seen = by_udp(&direct(), &ask("x.Y.d.G.foo.com", qtype), STRANGER);
            assert_eq!(
                (seen.counter, seen.rcode()),
                (Counter::BNegative, ResponseCode::NXDomain)
            );
            assert_eq!(
                texts(&seen)[1],
                ["G.foo.com. 900 IN SOA ns1.G.foo.com. hostmaster.foo.com. 1 2 3 4 900"]
            );
        }
    }

    #[test]
    fn what_was_not_measured_yet_is_no_absence() {
        let answerer = World::of(dns_b()).answerer();
        let seen = by_udp(&answerer, &ask("d.g.foo.com", TYPE_A), STRANGER);
        assert_eq!(seen.rcode(), ResponseCode::ServFail);
        // No site has IPv6, whatever is measured.
        let seen = by_udp(&answerer, &ask("d.g.foo.com", TYPE_AAAA), STRANGER);
        assert_eq!(
            (seen.counter, seen.rcode()),
            (Counter::BNodata, ResponseCode::NoError)
        );
    }

    #[test]
    fn cache_mode_answers_with_the_dns_lb_of_who_asks() {
        let answerer = World::of(dns_b()).answerer();
        let seen = by_udp(&answerer, &ask("k.g.foo.com", TYPE_A), STRANGER);
        assert_eq!(
            (seen.counter, seen.answers()),
            (Counter::BAddress, vec!["198.51.100.0".to_owned()])
        );
        let seen = by_udp(&answerer, &ask("k.g.foo.com", TYPE_A), v4(200));
        assert_eq!(seen.answers(), ["198.51.100.1"]);
        let seen = by_udp(&answerer, &ask("k.g.foo.com", TYPE_AAAA), STRANGER);
        assert_eq!(seen.answers(), ["2001:db8:b::"]);
        // lb1 has no IPv6 address.
        let seen = by_udp(&answerer, &ask("k.g.foo.com", TYPE_AAAA), v4(200));
        assert_eq!((seen.counter, seen.counts()), (Counter::BNodata, [0, 1, 0]));
    }

    #[test]
    fn a_referral_has_glue_of_both_families_and_the_backup() {
        let seen = whole(
            &World::of(dns_b()).answerer(),
            &ask("x.r.g.foo.com", TYPE_A),
            "2001:db8:113::1".parse().expect("an address"),
        );
        let n = "r.g.foo.com.";
        let (own, backup) = (label(NEAR), label(DEFAULT));
        assert_eq!(
            texts(&seen),
            [
                vec![],
                vec![
                    format!("{n} 3600 IN NS {own}.{n}"),
                    format!("{n} 3600 IN NS {backup}.{n}"),
                ],
                vec![
                    format!("{own}.{n} 3600 IN A 198.51.100.1"),
                    format!("{backup}.{n} 3600 IN A 198.51.100.0"),
                    format!("{backup}.{n} 3600 IN AAAA 2001:db8:b::"),
                ],
            ]
        );
        assert!(!is_authoritative(&seen));
    }

    #[test]
    fn whose_deadline_lies_before_the_heartbeat_is_stood_in_for() {
        let mut world = World::of(dns_b());
        let ticks = 5;
        world.tables.vantages[NEAR as usize] = VantageValue {
            serves: NEAR as u16,
            backup: DEFAULT as u16,
            deadline: ticks,
        };
        let answerer = world.answerer();
        let serving = |heartbeat: u64| {
            let mut tables = answerer.tables.write().expect("not poisoned");
            tables.heartbeat = heartbeat;
            drop(tables);
            let seen = by_udp(&answerer, &ask("k.g.foo.com", TYPE_A), v4(200));
            seen.answers()
        };
        assert_eq!(serving(u64::from(ticks) << 26), ["198.51.100.1"]);
        assert_eq!(serving(u64::from(ticks + 1) << 26), ["198.51.100.0"]);
    }

    #[test]
    fn a_label_that_nobody_has_is_the_defaults_for_a_minute() {
        let answerer = World::of(dns_b()).answerer();
        let unknown = unknown_label();
        let seen = whole(
            &answerer,
            &ask(&format!("ns.{unknown}.shop.foo.com"), TYPE_A),
            v4(200),
        );
        assert_eq!(seen.counter, Counter::BCLabel);
        let [_, authorities, additionals] = texts(&seen);
        assert_eq!(
            authorities[0],
            format!(
                "{unknown}.shop.foo.com. 60 IN NS ns.{}.shop.foo.com.",
                label(DEFAULT)
            )
        );
        assert!(additionals.iter().all(|record| record.contains(" 60 IN ")));
        let known = whole(
            &answerer,
            &ask(&format!("{}.shop.foo.com", label(NEAR)), TYPE_A),
            STRANGER,
        );
        assert!(texts(&known)[1][0].contains(" 3600 IN NS "));
    }

    #[test]
    fn the_zones_other_names_are_as_they_were() {
        let answerer = World::of(dns_b()).answerer();
        let no_error = ResponseCode::NoError;
        let nxdomain = ResponseCode::NXDomain;
        for (qname, qtype, counter, rcode, answers) in [
            ("empty.g.foo.com", TYPE_A, Counter::BNegative, no_error, 0),
            ("empty.g.foo.com", TYPE_DS, Counter::BNegative, no_error, 0),
            ("x.empty.g.foo.com", TYPE_A, Counter::BNegative, nxdomain, 0),
            ("a.empty.g.foo.com", TYPE_A, Counter::BZone, no_error, 1),
            ("a.empty.g.foo.com", TYPE_AAAA, Counter::BZone, no_error, 0),
            (
                "x.a.empty.g.foo.com",
                TYPE_A,
                Counter::BNegative,
                nxdomain,
                0,
            ),
            ("ns1.g.foo.com", TYPE_A, Counter::BZone, no_error, 1),
            ("ns1.g.foo.com", TYPE_AAAA, Counter::BZone, no_error, 1),
            ("no.g.foo.com", TYPE_A, Counter::BNegative, nxdomain, 0),
            ("no.g.foo.com", TYPE_ANY, Counter::BNegative, nxdomain, 0),
            ("no.shop.foo.com", TYPE_A, Counter::BNegative, nxdomain, 0),
            ("g.foo.com", TYPE_A, Counter::BZone, no_error, 0),
            ("g.foo.com", TYPE_SOA, Counter::BZone, no_error, 1),
            ("r.g.foo.com", TYPE_DS, Counter::BZone, no_error, 0),
            ("shop.foo.com", TYPE_ANY, Counter::BZone, no_error, 1),
        ] {
            let seen = whole(&answerer, &ask(qname, qtype), STRANGER);
            assert_eq!(
                (seen.counter, seen.rcode(), seen.counts()[0]),
                (counter, rcode, answers),
                "{qname} {qtype}"
            );
            assert!(is_authoritative(&seen));
            let zone = if qname.ends_with("g.foo.com") {
                "g.foo.com."
            } else {
                "shop.foo.com."
            };
            if answers == 0 {
                assert_eq!(texts(&seen)[1], [soa_text(zone, 900)], "{qname}");
            }
        }
        let ns = whole(&answerer, &ask("g.foo.com", TYPE_NS), STRANGER);
        assert_eq!(ns.counts(), [1, 0, 2]);
    }

    #[test]
    fn ready_absence_and_composed_absence_say_the_same() {
        let ready = World::of(dns_b());
        let mut composed = World::of(dns_b());
        composed.tables.rankings.fill(AnswerRef::NONE);
        let (ready, composed) = (ready.answerer(), composed.answerer());
        for qname in [
            "no.g.foo.com",
            "a.b.no.g.foo.com",
            "empty.g.foo.com",
            "No.Empty.g.foo.com",
            "x.ns1.g.foo.com",
            "x.d.g.foo.com",
            "x.k.g.foo.com",
            "x.shop.foo.com",
        ] {
            let query = ask(qname, TYPE_A);
            let [ready, composed] =
                [&ready, &composed].map(|answerer| whole(answerer, &query, STRANGER));
            assert_eq!(ready.counter, composed.counter, "{qname}");
            assert_eq!(texts(&ready), texts(&composed), "{qname}");
            assert_eq!(ready.rcode(), composed.rcode(), "{qname}");
        }
        let query = ask("d.g.foo.com", TYPE_AAAA);
        let [ready, composed] =
            [&ready, &composed].map(|answerer| whole(answerer, &query, STRANGER));
        assert_eq!(texts(&ready), texts(&composed));
    }
}

mod dns_lb_rows {
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
}
