//! A DNS-B: direct and cache mode, referrals with backup and IPv6 glue, absence out of the tables.

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
    let [ready, composed] = [&ready, &composed].map(|answerer| whole(answerer, &query, STRANGER));
    assert_eq!(texts(&ready), texts(&composed));
}

#[test]
fn a_zone_below_another_has_its_own_absence() {
    let mut config = dns_b();
    if let Role::DnsB(dns_b) = &mut config.role {
        let mut below = dns_b.zones[1].clone();
        below.apex = name("sub.g.foo.com");
        dns_b.zones.push(below);
    }
    let answerer = World::of(config).answerer();
    for (qname, qtype, counter, zone) in [
        (
            "no.sub.g.foo.com",
            TYPE_A,
            Counter::BNegative,
            "sub.g.foo.com.",
        ),
        ("sub.g.foo.com", TYPE_A, Counter::BZone, "sub.g.foo.com."),
        ("no.g.foo.com", TYPE_A, Counter::BNegative, "g.foo.com."),
        // The DS of the cut is the zone's above (RFC 4035 §3.1.4.1).
        ("sub.g.foo.com", TYPE_DS, Counter::BZone, "g.foo.com."),
    ] {
        let seen = whole(&answerer, &ask(qname, qtype), STRANGER);
        assert_eq!(seen.counter, counter, "{qname} {qtype}");
        assert_eq!(texts(&seen)[1], [soa_text(zone, 900)], "{qname} {qtype}");
    }
}
