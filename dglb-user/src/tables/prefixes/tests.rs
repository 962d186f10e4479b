//! Prefixes against a list that is searched from one end to the other.

use proptest::prelude::*;

use super::*;
use crate::tables::client;

const DEFAULT: u32 = 7;

fn net(text: &str) -> IpNet {
    text.parse().expect(text)
}

fn find(prefixes: &Prefixes, address: &str, source_len: u8) -> (u16, u8, u8) {
    let client = client(address.parse().expect(address));
    let (len, found) = prefixes.find(client, source_len).expect("the default");
    (found.vantage, len, found.scope)
}

/// Prefixes that often hold each other.
fn entries() -> impl Strategy<Value = Vec<(IpNet, u32)>> {
    let v4 = (0_u32..16, 0_u32..4, 0_u8..=32).prop_map(|(high, low, len)| {
        let address = Ipv4Addr::from_bits(high << 28 | low << 6 | low);
        IpNet::new(address.into(), len).expect("a length")
    });
    let v6 = (0_u128..16, 0_u128..4, 0_u8..=64).prop_map(|(high, low, len)| {
        let address = Ipv6Addr::from_bits(high << 124 | low << 66);
        IpNet::new(address.into(), len).expect("a length")
    });
    prop::collection::vec((prop_oneof![v4, v6], 0_u32..6), 0..40)
}

/// All entries as the table should have them: the last of equal ones, and the defaults.
fn listed(entries: &[(IpNet, u32)]) -> BTreeMap<IpNet, u32> {
    let mut all = BTreeMap::from([(net("0.0.0.0/0"), DEFAULT), (net("::/0"), DEFAULT)]);
    all.extend(entries.iter().map(|(net, vantage)| (net.trunc(), *vantage)));
    all
}

proptest! {
    #[test]
    fn the_longest_that_holds_what_is_known_is_found(
        entries in entries(),
        v4 in any::<u32>(),
        low in any::<bool>(),
        len in 0_u8..=32,
    ) {
        let prefixes = Prefixes::new(DEFAULT, entries.clone());
        // Few bits, so that prefixes are met.
        let address = Ipv4Addr::from_bits(if low { v4 & 0xf000_00c3 } else { v4 });
        let asked = IpNet::new(address.into(), len).expect("a length").trunc();
        let expected = listed(&entries)
            .into_iter()
            .filter(|(net, _)| net.contains(&asked))
            .max_by_key(|(net, _)| net.prefix_len());
        let (net, vantage) = expected.expect("the default");
        let (found_len, found) = prefixes.find(client(asked.network()), len).expect("the default");
        prop_assert_eq!((found_len, u32::from(found.vantage)), (net.prefix_len(), vantage));
    }

    #[test]
    fn the_scope_never_covers_a_more_specific_entry(entries in entries()) {
        let prefixes = Prefixes::new(DEFAULT, entries.clone());
        let all = listed(&entries);
        prop_assert_eq!(prefixes.iter().count(), all.len());
        for (net, value) in prefixes.iter() {
            let inside = all.keys().filter(|other| net.contains(*other));
            let longest = inside.map(IpNet::prefix_len).max().expect("itself");
            prop_assert_eq!(value.scope, longest, "{}", net);
            for other in all.keys().filter(|other| net.contains(*other) && **other != net) {
                // What a client right beside the other one gets may be kept for this network: it must not
                // hold the other one.
                let beside = IpNet::new(net.network(), value.scope).expect("a length").trunc();
                prop_assert!(!beside.contains(other) || beside == *other, "{} {}", beside, other);
            }
        }
    }
}

#[test]
fn fewer_bits_than_an_entry_has_do_not_reach_it() {
    let prefixes = Prefixes::new(
        DEFAULT,
        [(net("192.0.2.0/24"), 1), (net("192.0.0.0/16"), 2)],
    );
    assert_eq!(find(&prefixes, "192.0.2.0", 24), (1, 24, 24));
    assert_eq!(find(&prefixes, "192.0.2.0", 23), (2, 16, 24));
    assert_eq!(find(&prefixes, "192.0.2.0", 15), (DEFAULT as u16, 0, 24));
    assert_eq!(find(&prefixes, "192.0.2.0", 0), (DEFAULT as u16, 0, 24));
    assert_eq!(find(&prefixes, "192.0.2.9", 32), (1, 24, 24));
}

#[test]
fn ipv6_has_64_bits_and_no_ipv4_in_it() {
    let prefixes = Prefixes::new(
        DEFAULT,
        [(net("2001:db8:0:1::/64"), 1), (net("2001:db8::/32"), 2)],
    );
    assert_eq!(find(&prefixes, "2001:db8:0:1::5", 128), (1, 64, 64));
    assert_eq!(find(&prefixes, "2001:db8:0:2::5", 64), (2, 32, 64));
    assert_eq!(find(&prefixes, "32.1.13.184", 32), (DEFAULT as u16, 0, 0));
    assert_eq!(prefixes.count(), (1, 3));
}

#[test]
fn an_entry_for_all_takes_the_defaults_place() {
    let prefixes = Prefixes::new(DEFAULT, [(net("0.0.0.0/0"), 3)]);
    assert_eq!(find(&prefixes, "192.0.2.1", 32), (3, 0, 0));
    assert_eq!(find(&prefixes, "2001:db8::1", 64), (DEFAULT as u16, 0, 0));
}
