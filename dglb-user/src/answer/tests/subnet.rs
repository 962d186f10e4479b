//! Client Subnet (RFC 7871): whose is believed, what it chooses, what is echoed.

use dglb_common::{
    layout::{KIND_A, KIND_AAAA},
    query::{OPTION_CLIENT_SUBNET, TYPE_A, TYPE_AAAA, TYPE_NS},
};

use super::{world::*, *};

thread_local! {
    /// Built once: it is the same for all cases of a property.
    static ANSWERER: Answerer = dns_b_answerer();
}

proptest! {
    #[test]
    fn any_octets_are_echoed_or_rejected(
        head in (0_u16..4, 0_u8..140, 0_u8..2),
        address in proptest::collection::vec(any::<u8>(), 0..18),
        zeros in 0_u8..8,
        is_v6 in any::<bool>(),
    ) {
        let (family, source_len, scope) = head;
        let mut data = family.to_be_bytes().to_vec();
        data.extend_from_slice(&[source_len, scope]);
        data.extend_from_slice(&address);
        if let Some(last) = data[4..].last_mut() {
            *last = last.checked_shl(u32::from(zeros)).unwrap_or(0);
        }
        // RFC 7871 §6, in other words than the code's.
        let bits = if family == 1 { 32 } else { 128 };
        let total = address.len() * 8;
        let is_zero = |bit: usize| data[4 + bit / 8] & 0x80 >> (bit % 8) == 0;
        let is_sound = (1..=2).contains(&family)
            && scope == 0
            && usize::from(source_len) <= bits
            && (0..8).contains(&(total as isize - isize::from(source_len)))
            && (usize::from(source_len)..total).all(is_zero);
        let source = if is_v6 { LISTED_V6 } else { LISTED };
        let query = ask_for("d.g.foo.com", &data);
        let seen = ANSWERER.with(|answerer| by_udp(answerer, &query, source));
        if !is_sound {
            prop_assert_eq!(seen.rcode(), ResponseCode::FormErr);
            prop_assert_eq!(subnet_of(&seen), None);
            return Ok(());
        }
        prop_assert_eq!(seen.counter, Counter::BAddress);
        let mut echoed = subnet_of(&seen).expect("echoed");
        prop_assert!(source_len != 0 || echoed[3] == 0);
        echoed[3] = 0;
        prop_assert_eq!(echoed, data);
    }
}

/// A client beside the vantage `NEAR`, by its /24.
const CLIENT: &[u8] = &[0, 1, 24, 0, 203, 0, 113];
/// The same client by its /56.
const CLIENT_V6: &[u8] = &[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 1, 0x13, 0];
/// A client of no prefix.
const ELSEWHERE: &[u8] = &[0, 1, 24, 0, 192, 0, 2];

fn ask_for(qname: &str, subnet: &[u8]) -> Vec<u8> {
    ask_with(qname, TYPE_A, &[(OPTION_CLIENT_SUBNET, subnet)])
}

fn dns_b_answerer() -> Answerer {
    World::of(dns_b())
        .addresses("d.g.foo.com", DEFAULT, KIND_A, &[v4(1)])
        .addresses("d.g.foo.com", NEAR, KIND_A, &[v4(2)])
        .addresses("d.g.foo.com", NEAR, KIND_AAAA, &[v6(2)])
        .answerer()
}

fn subnet_of(seen: &Seen) -> Option<Vec<u8>> {
    seen.option(OPTION_CLIENT_SUBNET)
}

/// What was asked, with a scope.
fn echo(subnet: &[u8], scope: u8) -> Option<Vec<u8>> {
    let mut echo = subnet.to_vec();
    echo[3] = scope;
    Some(echo)
}

#[test]
fn a_listed_resolvers_client_chooses_the_address() {
    let answerer = dns_b_answerer();
    for source in [LISTED, LISTED_V6] {
        for (subnet, address, scope) in [
            (CLIENT, v4(2), 24),
            // The /48 of the prefix, shorter than what was said.
            (CLIENT_V6, v4(2), 48),
            // Everything else lies in /0, with the /24 in it: no scope that would cover that.
            (ELSEWHERE, v4(1), 24),
        ] {
            let seen = by_udp(&answerer, &ask_for("d.g.foo.com", subnet), source);
            assert_eq!(seen.answers(), [address.to_string()], "{subnet:?}");
            assert_eq!(subnet_of(&seen), echo(subnet, scope), "{subnet:?}");
        }
    }
}

#[test]
fn bits_that_were_not_said_do_not_count() {
    // 203.0.113.0/24 needs 24 bits: with 23, the client is elsewhere.
    let subnet = [0, 1, 23, 0, 203, 0, 112];
    let seen = by_udp(&dns_b_answerer(), &ask_for("d.g.foo.com", &subnet), LISTED);
    assert_eq!(seen.answers(), [v4(1).to_string()]);
    assert_eq!(subnet_of(&seen), echo(&subnet, 24));
}

#[test]
fn all_bits_of_an_ipv6_address_may_be_said() {
    let mut subnet = vec![0, 2, 128, 0, 0x20, 1, 0xd, 0xb8, 1, 0x13];
    subnet.extend_from_slice(&[0xff; 10]);
    let seen = by_udp(&dns_b_answerer(), &ask_for("d.g.foo.com", &subnet), LISTED);
    assert_eq!(seen.answers(), [v4(2).to_string()]);
    assert_eq!(subnet_of(&seen), echo(&subnet, 48));
}

#[test]
fn a_resolver_is_no_prefix() {
    // A resolver is mapped to NEAR: Client Subnet is looked up among the prefixes alone.
    let mut world = World::of(dns_b()).addresses("d.g.foo.com", DEFAULT, KIND_A, &[v4(1)]);
    let resolver: IpAddr = "192.0.2.7".parse().expect("an address");
    let Role::DnsB(dns_b) = dns_b().role else {
        unreachable!("a DNS-B");
    };
    let value = crate::publish::build::mapping(resolver, NEAR, &dns_b.dns_lbs[1], 1);
    world.tables.resolvers.insert(resolver, value);
    let answerer = world
        .addresses("d.g.foo.com", NEAR, KIND_A, &[v4(2)])
        .answerer();
    let subnet = [0, 1, 32, 0, 192, 0, 2, 7];
    let seen = by_udp(&answerer, &ask_for("d.g.foo.com", &subnet), LISTED);
    assert_eq!(seen.answers(), [v4(1).to_string()]);
    // The resolver itself, asking for itself.
    let seen = by_udp(&answerer, &ask("d.g.foo.com", TYPE_A), resolver);
    assert_eq!(seen.answers(), [v4(2).to_string()]);
}

#[test]
fn no_bits_are_the_resolver_itself() {
    for subnet in [&[0, 1, 0, 0], &[0, 2, 0, 0]] {
        let seen = by_udp(&dns_b_answerer(), &ask_for("d.g.foo.com", subnet), LISTED);
        assert_eq!(seen.answers(), [v4(1).to_string()]);
        assert_eq!(subnet_of(&seen), Some(subnet.to_vec()));
    }
}

#[test]
fn from_a_stranger_it_is_ignored_and_not_echoed() {
    let answerer = dns_b_answerer();
    // Also where it is malformed: nobody reads it.
    for subnet in [CLIENT, &[0, 9, 255], &[]] {
        let seen = by_udp(&answerer, &ask_for("d.g.foo.com", subnet), STRANGER);
        assert_eq!(seen.answers(), [v4(1).to_string()]);
        assert_eq!(subnet_of(&seen), None);
        assert!(seen.message.edns.is_some());
    }
    let twice = [
        (OPTION_CLIENT_SUBNET, CLIENT),
        (OPTION_CLIENT_SUBNET, CLIENT),
    ];
    let seen = by_udp(
        &answerer,
        &ask_with("d.g.foo.com", TYPE_A, &twice),
        STRANGER,
    );
    assert_eq!(seen.rcode(), ResponseCode::NoError);
}

#[test]
fn what_is_malformed_is_rejected() {
    // RFC 7871 §7.2.1: "A query with a wrongly formatted option (e.g., an unknown FAMILY) MUST be
    // rejected and a FORMERR response MUST be returned to the sender".
    let answerer = dns_b_answerer();
    let malformed: &[&[u8]] = &[
        &[],
        &[0, 1, 24],
        &[0, 0, 0, 0],
        &[0, 3, 0, 0],
        &[0, 1, 33, 0, 203, 0, 113, 0, 0],
        &[0, 1, 24, 24, 203, 0, 113],
        &[0, 1, 24, 0, 203, 0],
        &[0, 1, 24, 0, 203, 0, 113, 0],
        &[0, 1, 23, 0, 203, 0, 113],
    ];
    let rejected = |query: &[u8]| {
        let seen = by_udp(&answerer, query, LISTED);
        assert_eq!(
            (seen.counter, seen.rcode(), seen.counts()),
            (Counter::Error, ResponseCode::FormErr, [0; 3]),
            "{query:?}"
        );
        assert_eq!(subnet_of(&seen), None);
        assert!(seen.message.edns.is_some(), "RFC 6891 §7");
    };
    for subnet in malformed {
        rejected(&ask_for("d.g.foo.com", subnet));
    }
    let twice = [
        (OPTION_CLIENT_SUBNET, CLIENT),
        (OPTION_CLIENT_SUBNET, CLIENT),
    ];
    rejected(&ask_with("d.g.foo.com", TYPE_A, &twice));
    // Of another version nothing is read (RFC 6891 §6.1.3).
    let mut other_version = ask_for("d.g.foo.com", &[0, 9]);
    let at = other_version.len() - 6 - 11 + 6;
    other_version[at] = 1;
    let seen = by_udp(&answerer, &other_version, LISTED);
    // 16 is BADSIG too, in TSIG.
    assert_eq!(u16::from(seen.rcode()), u16::from(ResponseCode::BADVERS));
}

#[test]
fn the_alias_is_chosen_and_has_a_scope() {
    let seen = by_udp(&dns_b_answerer(), &ask_for("shop.foo.com", CLIENT), LISTED);
    assert_eq!(seen.counter, Counter::BCName);
    assert_eq!(seen.answers(), [format!("{}.shop.foo.com.", label(NEAR))]);
    assert_eq!(subnet_of(&seen), echo(CLIENT, 24));
}

#[test]
fn referrals_are_the_resolvers_own() {
    let answerer = dns_b_answerer();
    let below_label = format!("{}.shop.foo.com", label(DEFAULT));
    let own = format!("{}.r.g.foo.com.", label(DEFAULT));
    for (qname, counter) in [
        ("r.g.foo.com", Counter::BR),
        (below_label.as_str(), Counter::BCLabel),
    ] {
        let seen = whole(&answerer, &ask_for(qname, CLIENT), LISTED);
        assert_eq!(seen.counter, counter);
        assert_eq!(subnet_of(&seen), echo(CLIENT, 0));
        if counter == Counter::BR {
            assert_eq!(seen.message.authorities[0].data.to_string(), own);
        }
    }
}

#[test]
fn what_no_client_chose_has_scope_0() {
    let answerer = dns_b_answerer();
    let subnet = &[(OPTION_CLIENT_SUBNET, CLIENT)];
    // NODATA, NXDOMAIN, data of the zone, NODATA instead of an address, REFUSED.
    for (qname, qtype, rcode) in [
        ("d.g.foo.com", TYPE_NS, ResponseCode::NoError),
        ("no.g.foo.com", TYPE_A, ResponseCode::NXDomain),
        ("ns1.g.foo.com", TYPE_A, ResponseCode::NoError),
        ("k.g.foo.com", TYPE_AAAA, ResponseCode::NoError),
        ("elsewhere.example", TYPE_A, ResponseCode::Refused),
    ] {
        let seen = whole(&answerer, &ask_with(qname, qtype, subnet), LISTED);
        assert_eq!(seen.rcode(), rcode, "{qname}");
        assert_eq!(subnet_of(&seen), echo(CLIENT, 0), "{qname}");
    }
}

#[test]
fn a_bucket_reaches_no_further_than_its_network() {
    let answerer = World::of(dns_b())
        .buckets("d.g.foo.com", NEAR, KIND_A, [v4(1), v4(2)])
        .answerer();
    let mut seen_addresses = std::collections::HashSet::new();
    // One /48 prefix; who shares a /56 shares the answer.
    for network in 0..32 {
        let mut subnet = CLIENT_V6.to_vec();
        subnet[10] = network;
        let seen = by_udp(&answerer, &ask_for("d.g.foo.com", &subnet), LISTED);
        assert_eq!(subnet_of(&seen), echo(&subnet, 56));
        let inside = [subnet.clone(), vec![0xff]].concat();
        let inside = [&[0, 2, 64, 0], &inside[4..]].concat();
        let same = by_udp(&answerer, &ask_for("d.g.foo.com", &inside), LISTED);
        assert_eq!(same.answers(), seen.answers());
        seen_addresses.insert(seen.answers());
    }
    assert_eq!(
        seen_addresses.len(),
        2,
        "different networks, both addresses"
    );
    let seen = by_udp(&answerer, &ask_for("d.g.foo.com", CLIENT), LISTED);
    assert_eq!(subnet_of(&seen), echo(CLIENT, 24));
}

#[test]
fn a_bucket_of_the_resolvers_own_has_scope_0() {
    let answerer = World::of(dns_b())
        .buckets("d.g.foo.com", DEFAULT, KIND_A, [v4(1), v4(2)])
        .answerer();
    let nobody = [0, 1, 0, 0];
    let seen = by_udp(&answerer, &ask_for("d.g.foo.com", &nobody), LISTED);
    assert_eq!(subnet_of(&seen), Some(nobody.to_vec()));
    // The resolver's network chooses, as without the option.
    let without = by_udp(&answerer, &ask("d.g.foo.com", TYPE_A), LISTED);
    assert_eq!(seen.answers(), without.answers());
}

#[test]
fn at_a_dns_lb_the_label_says_for_whom() {
    let answerer = World::of(dns_lb())
        .addresses("www.foo.com", DEFAULT, KIND_A, &[v4(1)])
        .addresses("www.foo.com", NEAR, KIND_A, &[v4(2)])
        .addresses("shop.foo.com", DEFAULT, KIND_A, &[v4(1)])
        .addresses("shop.foo.com", NEAR, KIND_A, &[v4(2)])
        .answerer();
    let form_r = by_udp(&answerer, &ask_for("www.foo.com", CLIENT), LISTED);
    assert_eq!(form_r.answers(), [v4(2).to_string()]);
    assert_eq!(subnet_of(&form_r), echo(CLIENT, 24));
    let qname = format!("{}.shop.foo.com", label(DEFAULT));
    let form_c = by_udp(&answerer, &ask_for(&qname, CLIENT), LISTED);
    assert_eq!(form_c.answers(), [v4(1).to_string()]);
    assert_eq!(subnet_of(&form_c), echo(CLIENT, 0));
}

#[test]
fn by_tcp_it_is_the_same() {
    let seen = whole(&dns_b_answerer(), &ask_for("d.g.foo.com", CLIENT), LISTED);
    assert_eq!(seen.answers(), [v4(2).to_string()]);
    assert_eq!(subnet_of(&seen), echo(CLIENT, 24));
}
