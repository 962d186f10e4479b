//! Bounds that take many entries to reach, and files of the size that a large node has.

use std::fmt::Write;

use super::{DNS_B, DNS_LB, errors_of, load};
use crate::config::{MAX_BALANCED_NAME, Role};

/// `count` services of form R in the zone g.foo.com, named by `name`.
fn with_services(count: usize, name: impl Fn(usize) -> String) -> String {
    let mut text = DNS_B.to_owned();
    for index in 0..count {
        let name = name(index);
        write!(
            text,
            "\n[[service]]\nname = \"{name}\"\nform = \"referral\"\n"
        )
        .expect("memory");
    }
    text
}

#[test]
fn ten_thousand_services_load() {
    let text = with_services(10_000, |index| format!("s{index}.g.foo.com"));
    let Role::DnsB(dns_b) = load(&text).role else {
        panic!("role")
    };
    assert_eq!(dns_b.services.len(), 10_002);
}

#[test]
fn a_ninth_number_of_labels_is_refused() {
    // 3 and 4 labels are there already.
    let deeper = |index: usize| format!("s{index}{}.g.foo.com", ".x".repeat(index + 1));
    load(&with_services(6, deeper));
    let errors = errors_of(&with_services(8, deeper));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "service[8].name");
    assert!(errors.0[0].message.contains("more than 8"), "{errors}");
}

#[test]
fn a_balanced_name_has_room_for_a_label_and_ns() {
    // "g.foo.com." has 11 octets on the wire; each label of 44 has 45.
    let name = |last: usize| {
        let label = "a".repeat(44);
        format!(
            "{}.{label}.{label}.{label}.{label}.g.foo.com",
            "b".repeat(last)
        )
    };
    let last = MAX_BALANCED_NAME - 11 - 4 * 45 - 1;
    load(&with_services(1, |_| name(last)));
    let errors = errors_of(&with_services(1, |_| name(last + 1)));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "service[2].name");
    assert!(errors.0[0].message.contains("237 octets"), "{errors}");
    assert!(errors.0[0].remedy.contains("at most 236"), "{errors}");
}

#[test]
fn a_thirty_third_prefix_is_refused() {
    let with_prefixes = |count: usize| {
        let mut prefixes = String::new();
        for index in 0..count {
            let rates = "per_second = 1\nburst = 1\n";
            write!(
                prefixes,
                "[[limit.prefix]]\nprefix = \"10.{index}.0.0/16\"\n{rates}"
            )
            .expect("memory");
        }
        DNS_B.replacen("[map]", &format!("{prefixes}[map]"), 1)
    };
    assert_eq!(load(&with_prefixes(31)).limit.prefixes.len(), 32);
    let errors = errors_of(&with_prefixes(40));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "limit.prefix[32]");
    assert!(errors.0[0].message.contains("at most 32"), "{errors}");
}

#[test]
fn resolver_number_4097_is_refused() {
    let with_resolvers = |count: u32| {
        let address = |index| format!("\"{}\"", std::net::Ipv4Addr::from(0x0a00_0001 + index));
        let list: Vec<_> = (0..count).map(address).collect();
        DNS_LB.replacen(
            "[\"198.51.100.53\", \"198.51.100.54\"]",
            &format!("[{}]", list.join(", ")),
            1,
        )
    };
    load(&with_resolvers(4096));
    let errors = errors_of(&with_resolvers(4097));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "resolvers.addresses[4096]");
    assert!(errors.0[0].remedy.contains("several DNS-LBs"));
}

#[test]
fn answers_that_no_table_has_room_for_are_refused() {
    // 2 DNS-LBs, and 2 services with 1 TTL and 2 forms, are there already.
    let many = |ttls: usize| {
        let mut text = DNS_B.to_owned();
        for index in 0..600 {
            let (high, low) = (index / 200, index % 200);
            write!(
                text,
                "\n[[dns_lb]]\nname = \"x{index}.example\"\naddress = \"10.1.{high}.{low}\"\n"
            )
            .expect("memory");
        }
        for index in 0..ttls {
            write!(
                text,
                "\n[[service]]\nname = \"s{index}.g.foo.com\"\nform = \"referral\"\nreferral_ttl = {}\n",
                index + 1
            )
            .expect("memory");
        }
        text
    };
    // 602 DNS-LBs without backup and IPv6: 1 answer each for 1 + 1737 pairs of form R, 3 for that of form C:
    // 1,048,082; with one pair more 602 more.
    load(&many(1737));
    let errors = errors_of(&many(1800));
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "service[1739].name");
    for piece in ["table answers", "1048576", "1086008 are needed"] {
        assert!(errors.0[0].message.contains(piece), "{errors}");
    }
    assert!(errors.0[0].remedy.contains("referral_ttl"), "{errors}");
}

#[test]
fn more_dns_lbs_than_have_numbers_are_refused() {
    let mut text = DNS_B.to_owned();
    for index in 0..65_533 {
        let (high, low) = (index / 256, index % 256);
        write!(
            text,
            "\n[[dns_lb]]\nname = \"x{index}.example\"\naddress = \"10.1.{high}.{low}\"\n"
        )
        .expect("memory");
    }
    let errors = errors_of(&text);
    assert_eq!(errors.0.len(), 1, "{errors}");
    assert_eq!(errors.0[0].key, "dns_lb[65534].name");
    for piece in ["table vantages", "65534", "65535 are needed"] {
        assert!(errors.0[0].message.contains(piece), "{errors}");
    }
}
