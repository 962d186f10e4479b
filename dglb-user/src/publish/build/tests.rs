//! The tables that follow from a configuration.

use std::{collections::HashMap, net::Ipv4Addr};

use dglb_common::layout::{
    KIND_A, KIND_AAAA, KIND_CNAME, KIND_HOST_A, KIND_HOST_AAAA, KIND_HOST_NODATA, KIND_NODATA,
    KIND_NS, KIND_NXDOMAIN, KIND_REFERRAL, KIND_SOA, KIND_UNKNOWN_LABEL, MAX_LABEL_COUNTS,
    NameRole, VantageValue,
};

use super::*;
use crate::{
    config::{BService, Form, Soa, Zone},
    event::{Selection, Serving},
    name::OwnerName,
    publish::first_servings,
};

const DNS_B: &str = include_str!("../../../../docs/examples/dns-b.toml");
const DNS_LB: &str = include_str!("../../../../docs/examples/dns-lb.toml");

const SECRET: Secret = Secret {
    seed_a: 1,
    seed_b: 2,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

fn config(toml: &str) -> Config {
    Config::from_text("node.toml", toml).unwrap_or_else(|errors| panic!("{errors}"))
}

fn built(config: &Config) -> Built {
    build(config, SECRET, &Restored::default()).expect("it fits")
}

fn tables(toml: &str) -> Tables {
    built(&config(toml)).tables
}

fn name(text: &str) -> OwnerName {
    text.parse().expect(text)
}

/// Role and flags of a name; `None`: not in the table.
fn entry(tables: &Tables, text: &str) -> Option<(NameRole, bool)> {
    let word = NameWord(tables.name(&name(text))?.word);
    let role = NameRole::from_u8(word.role()).expect("a role");
    Some((role, word.has(NameWord::COMPLETE)))
}

fn group(tables: &Tables, text: &str) -> u32 {
    NameWord(tables.name(&name(text)).expect(text).word).group()
}

/// The example with more hosts in the zone g.foo.com.
fn with_hosts(hosts: &[&str]) -> String {
    let hosts: String = hosts
        .iter()
        .map(|host| format!("[[zone.host]]\nname = \"{host}\"\nipv6 = \"2001:db8::1\"\n"))
        .collect();
    DNS_B.replacen("[[service]]", &format!("{hosts}\n[[service]]"), 1)
}

#[test]
fn a_zone_stands_in_the_table_with_apex_hosts_and_empty_non_terminals() {
    use NameRole::{BApex, BCname, BEmpty, BPresent, BReferral};
    let tables = tables(&with_hosts(&["a.b.c.g.foo.com"]));
    for (text, expected) in [
        ("g.foo.com", (BApex, true)),
        ("ns1.g.foo.com", (BPresent, true)),
        ("www.g.foo.com", (BReferral, true)),
        ("a.b.c.g.foo.com", (BPresent, true)),
        ("b.c.g.foo.com", (BEmpty, true)),
        ("c.g.foo.com", (BEmpty, true)),
        ("shop.foo.com", (BCname, true)),
    ] {
        assert_eq!(entry(&tables, text), Some(expected), "{text}");
    }
    for absent in ["foo.com", "com", "x.g.foo.com", "x.a.b.c.g.foo.com"] {
        assert_eq!(entry(&tables, absent), None, "{absent}");
    }
    assert_eq!(tables.settings.label_counts[..5], [6, 5, 4, 3, 0]);
}

#[test]
fn a_zone_below_another_is_a_name_of_that() {
    let nested = "[[zone]]\napex = \"x.y.g.foo.com\"\nns = [\"ns.elsewhere.example\"]\n\
                  soa = { mname = \"ns.elsewhere.example\", rname = \"a.b\", serial = 7 }\n";
    let tables = tables(&format!("{DNS_B}\n{nested}"));
    assert_eq!(
        entry(&tables, "x.y.g.foo.com"),
        Some((NameRole::BApex, true))
    );
    assert_eq!(
        entry(&tables, "y.g.foo.com"),
        Some((NameRole::BEmpty, true))
    );
}

/// A host `depth` labels below g.foo.com.
fn deep(depth: usize) -> String {
    format!("h{}.g.foo.com", ".x".repeat(depth - 1))
}

#[test]
fn a_zone_that_needs_a_ninth_number_of_labels_is_not_complete() {
    // 3 to 10 labels are eight numbers.
    let fits = tables(&with_hosts(&[&deep(7)]));
    assert_eq!(entry(&fits, &deep(7)), Some((NameRole::BPresent, true)));
    assert_eq!(fits.settings.label_counts, [10, 9, 8, 7, 6, 5, 4, 3]);
    let too_deep = tables(&with_hosts(&[&deep(8)]));
    assert_eq!(entry(&too_deep, &deep(8)), None);
    assert_eq!(
        entry(&too_deep, "g.foo.com"),
        Some((NameRole::BApex, false)),
        "its number is that of a balanced name"
    );
    assert_eq!(
        entry(&too_deep, "ns1.g.foo.com"),
        Some((NameRole::BPresent, false))
    );
    assert_eq!(
        entry(&too_deep, "shop.foo.com"),
        Some((NameRole::BCname, true)),
        "the other zone is"
    );
}

#[test]
fn balanced_names_come_before_zones_and_a_zone_whose_child_is_left_out_is_not_complete() {
    // Balanced names with 3 to 9 labels and 12: the table is full by them.
    let services: String = [5, 6, 7, 8, 9, 12]
        .iter()
        .map(|labels| {
            let name = deep(labels - 3).replacen('h', "s", 1);
            format!("[[service]]\nname = \"{name}\"\nform = \"referral\"\n")
        })
        .collect();
    let child = "[[zone]]\napex = \"q.w.e.r.t.z.u.g.foo.com\"\nns = [\"ns.elsewhere.example\"]\n\
                 soa = { mname = \"ns.elsewhere.example\", rname = \"a.b\", serial = 7 }\n";
    let tables = tables(&format!("{DNS_B}\n{services}\n{child}"));
    assert_eq!(
        tables.settings.label_counts,
        [12, 9, 8, 7, 6, 5, 4, 3],
        "10 and 11 have no place"
    );
    assert_eq!(entry(&tables, "q.w.e.r.t.z.u.g.foo.com"), None);
    let (_, complete) = entry(&tables, "g.foo.com").expect("its number is there");
    assert!(!complete, "else all below the child would not exist");
}

#[test]
fn the_same_answers_are_one_group() {
    let more = "[[service]]\nname = \"a.g.foo.com\"\nform = \"referral\"\n\
                [[service]]\nname = \"b.g.foo.com\"\nform = \"referral\"\nreferral_ttl = 60\n";
    let tables = tables(&format!(
        "{}\n{more}",
        with_hosts(&["ns2.g.foo.com", "ns3.g.foo.com"])
    ));
    assert_eq!(
        group(&tables, "www.g.foo.com"),
        group(&tables, "a.g.foo.com")
    );
    assert_ne!(
        group(&tables, "www.g.foo.com"),
        group(&tables, "b.g.foo.com")
    );
    assert_eq!(
        group(&tables, "ns2.g.foo.com"),
        group(&tables, "ns3.g.foo.com")
    );
    assert_ne!(
        group(&tables, "ns2.g.foo.com"),
        group(&tables, "g.foo.com"),
        "the SOA's owner is elsewhere in the name"
    );
}

#[test]
fn each_vantage_has_its_referral_and_the_default_what_is_the_same_for_all() {
    let tables = tables(&DNS_B.replacen(
        "default_dns_lb = \"lb1.isp1",
        "default_dns_lb = \"lb2.isp2",
        1,
    ));
    assert_eq!(tables.settings.default_vantage, 1);
    let (r, c) = (
        group(&tables, "www.g.foo.com"),
        group(&tables, "shop.foo.com"),
    );
    for kind in [KIND_REFERRAL, KIND_CNAME, KIND_UNKNOWN_LABEL] {
        for vantage in [0, 1] {
            let word = tables.word(vantage, c, kind);
            assert!(tables.answer_at(word).is_some(), "{kind}");
        }
    }
    let own = tables.word(0, r, KIND_REFERRAL);
    assert_ne!(own, tables.word(1, r, KIND_REFERRAL));
    assert!(!tables.word(0, r, KIND_CNAME).is_ready());
    assert!(tables.word(1, c, KIND_NXDOMAIN).is_ready());
    assert!(!tables.word(0, c, KIND_NXDOMAIN).is_ready());
    assert_eq!(tables.subnet(client([10, 0, 0, 1].into()), 32).vantage, 1);
    assert_eq!(tables.vantage_of([198, 18, 0, 1].into()), 1, "its prefix");
}

#[test]
fn a_backup_stands_in_the_referral_and_a_smaller_variant_is_without_it() {
    let tables = tables(&DNS_B.replacen(
        "name = \"lb2.isp2.example\"",
        "name = \"lb2.isp2.example\"\nbackup = \"lb1.isp1.example\"",
        1,
    ));
    let word = tables.word(1, group(&tables, "www.g.foo.com"), KIND_REFERRAL);
    let with = tables.answer_at(word).expect("a referral");
    assert_eq!((with.authorities, with.additionals), (2, 2));
    let without = tables.answer_at(AnswerRef(with.smaller));
    assert_eq!(without.map(|answer| answer.authorities), Some(1));
}

/// The example with the first service in another form, as no file can have it yet.
fn with_form(form: Form, sites: usize) -> Config {
    let mut config = config(&DNS_B.replacen(
        "address = \"203.0.113.7\"",
        "address = \"203.0.113.7\"\naddress_v6 = \"2001:db8::7\"",
        1,
    ));
    let Role::DnsB(dns_b) = &mut config.role else {
        panic!("a DNS-B");
    };
    let sites = (0..sites).map(|site| {
        let address = Ipv4Addr::new(192, 0, 2, site as u8);
        Site::new(site.to_string(), Some(address), None)
    });
    let first = &dns_b.services[0];
    let service = BService {
        form,
        sites: sites.collect(),
        ..first.clone()
    };
    let again = BService {
        name: name("eee.g.foo.com"),
        ..service.clone()
    };
    dns_b.services[0] = service;
    dns_b.services.push(again);
    config
}

#[test]
fn cache_mode_answers_with_the_dns_lbs_own_addresses() {
    let tables = built(&with_form(Form::Cache, 0)).tables;
    assert_eq!(
        entry(&tables, "www.g.foo.com"),
        Some((NameRole::BAddress, true))
    );
    let group = group(&tables, "www.g.foo.com");
    let octets = |vantage, kind| {
        let answer = tables.answer_at(tables.word(vantage, group, kind));
        let answer = answer.expect("an answer");
        answer.octets[..usize::from(answer.len)].to_vec()
    };
    assert!(octets(0, KIND_A).ends_with(&[198, 51, 100, 7]));
    assert!(octets(1, KIND_A).ends_with(&[203, 0, 113, 7]));
    assert!(octets(1, KIND_AAAA).ends_with(&[0, 0, 0, 7]));
    assert_eq!(
        tables.word(0, group, KIND_AAAA),
        tables.word(0, group, KIND_NODATA),
        "no address of the family"
    );
}

#[test]
fn direct_mode_ranks_at_each_vantage_and_equal_sites_share_a_group() {
    let config = with_form(Form::Direct, 3);
    let mut built = built(&config);
    assert!(built.services[0].is_some() && built.services[1].is_none());
    let serving = Serving::both(Selection::List(vec![2]), 60);
    first_servings(&mut built, &HashMap::from([(0, serving)])).expect("room");
    let tables = &built.tables;
    let group = group(tables, "www.g.foo.com");
    assert_eq!(group, self::group(tables, "eee.g.foo.com"));
    for vantage in [0, 1] {
        assert!(tables.word(vantage, group, KIND_A).is_ready());
        assert_eq!(
            tables.word(vantage, group, KIND_AAAA),
            tables.word(0, group, KIND_NODATA)
        );
    }
}

#[test]
fn a_dns_lb_knows_hosts_by_vantage_and_serves_all_from_its_own() {
    let tables = tables(&DNS_LB.replacen(
        "address = \"203.0.113.7\"",
        "address = \"203.0.113.7\"\naddress_v6 = \"2001:db8::7\"",
        1,
    ));
    assert_eq!(tables.vantages.len(), 2);
    assert!(
        tables
            .vantages
            .iter()
            .all(|value| { value.serves == 0 && value.deadline == VantageValue::NO_DEADLINE })
    );
    assert_eq!(tables.labels[&Label::of_node("lb2.isp2.example").wire()], 1);
    for (service, text) in ["www.g.foo.com", "shop.foo.com"].into_iter().enumerate() {
        let group = group(&tables, text);
        assert_eq!(group, service as u32);
        for kind in [
            KIND_NODATA,
            KIND_NXDOMAIN,
            KIND_NS,
            KIND_SOA,
            KIND_HOST_NODATA,
        ] {
            assert!(
                tables.answer_at(tables.word(0, group, kind)).is_some(),
                "{kind}"
            );
            assert!(!tables.word(1, group, kind).is_ready(), "{kind}");
        }
        let host = |vantage, kind| tables.answer_at(tables.word(vantage, group, kind));
        assert_ne!(host(0, KIND_HOST_A), host(1, KIND_HOST_A));
        assert_eq!(
            tables.word(0, group, KIND_HOST_AAAA),
            tables.word(0, group, KIND_HOST_NODATA),
            "no address of the family"
        );
        assert_eq!(
            host(1, KIND_HOST_AAAA).map(|answer| answer.answers),
            Some(1)
        );
        assert!(!tables.word(0, group, KIND_A).is_ready(), "not ranked yet");
    }
    assert_eq!((tables.settings.maps_v4, tables.settings.maps_v6), (0, 0));
    assert_eq!(tables.vantage_of([10, 0, 0, 1].into()), 0);
}

#[test]
fn beside_a_resolver_the_name_itself_is_answered_and_ra_is_set() {
    let mut config = config(DNS_LB);
    assert_eq!(built(&config).tables.settings.recursion_available, 0);
    let Role::DnsLb(dns_lb) = &mut config.role else {
        panic!("a DNS-LB");
    };
    dns_lb.beside_resolver = true;
    dns_lb.prefixes = vec![("2001:db8::/32".parse().expect("a prefix"), 1)];
    let tables = built(&config).tables;
    let itself = |text: &str| {
        let word = NameWord(tables.name(&name(text)).expect(text).word);
        word.has(NameWord::ITSELF)
    };
    assert!(itself("shop.foo.com"), "form C");
    assert!(!itself("www.g.foo.com"), "form R answers it anyway");
    let settings = &tables.settings;
    assert_eq!(
        (
            settings.recursion_available,
            settings.maps_v4,
            settings.maps_v6
        ),
        (1, 0, 1)
    );
    assert_eq!(
        tables.vantage_of("2001:db8::1".parse().expect("an address")),
        1
    );
}

#[test]
fn what_an_earlier_run_left_is_taken_over_for_nodes_that_are_still_there() {
    let config = config(DNS_B);
    let [known, gone] = ["lb2.isp2.example", "lb9.isp9.example"].map(Label::of_node);
    let address = |text: &str| text.parse::<IpAddr>().expect(text);
    let restored = Restored {
        resolvers: vec![
            (address("192.0.2.1"), known, 5),
            (address("2001:db8:0:1::"), known, 6),
            (address("192.0.2.2"), gone, 7),
        ],
        up: [known, gone].into(),
        now_ns: 1 << 40,
    };
    let built = build(&config, SECRET, &restored).expect("it fits");
    let tables = built.tables;
    assert_eq!(tables.resolvers.len(), 2);
    assert_eq!(tables.vantage_of(address("192.0.2.1")), 1);
    assert_eq!(tables.vantage_of(address("2001:db8:0:1::99")), 1);
    assert_eq!(tables.vantage_of(address("192.0.2.2")), 0, "the default");
    assert_eq!(tables.serving(1), Some(1), "it has a lease to come back");
    assert_eq!(tables.vantages[0].backup, 0, "the default is down itself");
    assert_eq!(tables.vantages[0].deadline, 0);
}

#[test]
fn settings_hold_both_families_and_repeat_the_addresses() {
    let toml = DNS_B
        .replacen(
            "[\"192.0.2.53\"] ",
            "[\"192.0.2.53\", \"2001:db8::53\", \"192.0.2.54\"] ",
            1,
        )
        .replacen("# dry_run = false", "dry_run = true", 1)
        .replacen(
            "# from = []",
            "from = [\"2001:db8:5::/48\", \"192.0.2.0/24\"]",
            1,
        )
        .replacen(
            "[client_subnet]",
            "[[limit.prefix]]\nprefix = \"2001:db8::/32\"\nexempt = true\n[client_subnet]",
            1,
        );
    let settings = tables(&toml).settings;
    assert_eq!(
        (settings.address_count_v4, settings.address_count_v6),
        (2, 1)
    );
    assert_eq!(settings.addresses_v4[2], [192, 0, 2, 53], "left over");
    assert!(
        settings
            .addresses_v6
            .iter()
            .all(|address| address[15] == 0x53)
    );
    assert_eq!((settings.limit_count_v4, settings.limit_count_v6), (1, 1));
    assert_eq!(settings.limits_v6[0].rate.interval_ns, 0, "exempt");
    assert_eq!(settings.limits_v4[0].rate.interval_ns, 20_000);
    assert_eq!(settings.limit_dry_run, 1);
    let inside = client("2001:db8:5::1".parse().expect("an address"));
    let outside = client("2001:db8:6::1".parse().expect("an address"));
    assert!(inside.is_in(&settings.subnet_senders_v6[0]));
    assert!(!outside.is_in(&settings.subnet_senders_v6[0]));
    assert!(client([192, 0, 2, 9].into()).is_in(&settings.subnet_senders_v4[0]));
}

#[test]
fn too_many_groups_or_pages_are_refused_with_the_table() {
    assert_eq!(pages(1, 0), Ok(1));
    assert_eq!(pages(5_000, 17), Ok(333));
    let groups = pages(1, (1 << 20) + 1).expect_err("too many");
    assert!(groups.to_string().contains("\"names\""), "{groups}");
    let pages = pages(5_000, 1 << 20).expect_err("too many");
    assert!(pages.to_string().contains("\"rankings\""), "{pages}");
    assert_eq!(MAX_LABEL_COUNTS, 8);
}

#[test]
fn negative_answers_that_have_no_room_are_left_to_user_space() {
    let mut config = config(DNS_B);
    let Role::DnsB(dns_b) = &mut config.role else {
        panic!("a DNS-B");
    };
    // As many zones of form C, each with an SOA of its own, and as many DNS-LBs as a backbone has.
    let zone = dns_b.zones[0].clone();
    let service = dns_b.services[0].clone();
    for index in 0..1000_usize {
        let apex = name(&format!("s{index}.example"));
        dns_b.zones.push(Zone {
            apex: apex.clone(),
            soa: Soa {
                serial: index as u32,
                ..zone.soa.clone()
            },
            hosts: Vec::new(),
            ..zone.clone()
        });
        dns_b.services.push(BService {
            name: apex,
            zone: dns_b.zones.len() - 1,
            form: Form::Cname,
            ..service.clone()
        });
    }
    let node = dns_b.dns_lbs[0].clone();
    dns_b.dns_lbs.extend((0..5000).map(|index| {
        let name = format!("lb{index}.isp.example");
        DnsLbNode {
            label: Label::of_node(&name),
            name,
            ..node.clone()
        }
    }));
    let tables = built(&config).tables;
    assert_eq!(
        entry(&tables, "s7.example"),
        Some((NameRole::BCname, false))
    );
    let group = group(&tables, "s7.example");
    assert_eq!(group, self::group(&tables, "s8.example"));
    assert!(tables.word(5000, group, KIND_CNAME).is_ready());
    assert!(!tables.word(0, group, KIND_NXDOMAIN).is_ready());
    assert_eq!(entry(&tables, "g.foo.com"), None);
    let incomplete = incomplete_zones(&config).expect("without negative answers they fit");
    assert!(incomplete.contains(&name("g.foo.com")) && incomplete.contains(&name("s7.example")));
}
