//! Addresses that are no public host's: a node probes them only where its own file allows it.
//!
//! Services come from customers; without this a service could have thousands of nodes knock at whatever lies in their
//! operators' own networks. From the registries of RFC 6890 (IPv4 and IPv6 Special-Purpose Addresses) all that
//! is not globally reachable, with what is multicast or is translated to an IPv4 address of the
//! writer's choice.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// A range with the document that sets it apart.
#[derive(Debug)]
pub(super) struct SpecialRange {
    /// The addresses.
    pub net: IpNet,
    /// What they are for.
    pub purpose: &'static str,
    /// Which RFC says so.
    pub rfc: &'static str,
}

/// The ranges; none lies in another one, but for those whose purpose is told more exactly first.
const RANGES: [SpecialRange; 32] = [
    v4([0, 0, 0, 0], 8, "\"this network\"", "RFC 791"),
    v4([10, 0, 0, 0], 8, "private use", "RFC 1918"),
    v4(
        [100, 64, 0, 0],
        10,
        "use shared within a provider",
        "RFC 6598",
    ),
    v4([127, 0, 0, 0], 8, "loopback", "RFC 1122"),
    v4([169, 254, 0, 0], 16, "link-local use", "RFC 3927"),
    v4([172, 16, 0, 0], 12, "private use", "RFC 1918"),
    v4([192, 0, 0, 0], 24, "protocols of the IETF", "RFC 6890"),
    v4([192, 0, 2, 0], 24, "documentation", "RFC 5737"),
    v4([192, 88, 99, 0], 24, "relays of 6to4, once", "RFC 7526"),
    v4([192, 168, 0, 0], 16, "private use", "RFC 1918"),
    v4([198, 18, 0, 0], 15, "benchmarks", "RFC 2544"),
    v4([198, 51, 100, 0], 24, "documentation", "RFC 5737"),
    v4([203, 0, 113, 0], 24, "documentation", "RFC 5737"),
    v4([224, 0, 0, 0], 4, "multicast", "RFC 5771"),
    v4([240, 0, 0, 0], 4, "future use and broadcast", "RFC 1112"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "no address", "RFC 4291"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback", "RFC 4291"),
    v6(
        [0, 0, 0, 0, 0, 0xffff, 0, 0],
        96,
        "IPv4 addresses in IPv6 form",
        "RFC 4291",
    ),
    v6(
        [0, 0, 0, 0, 0, 0, 0, 0],
        96,
        "IPv4 addresses in IPv6 form, once",
        "RFC 4291",
    ),
    v6(
        [0x64, 0xff9b, 0, 0, 0, 0, 0, 0],
        96,
        "translation to IPv4",
        "RFC 6052",
    ),
    v6(
        [0x64, 0xff9b, 1, 0, 0, 0, 0, 0],
        48,
        "translation to IPv4",
        "RFC 8215",
    ),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discarding", "RFC 6666"),
    v6(
        [0x100, 0, 0, 1, 0, 0, 0, 0],
        64,
        "dummy prefixes",
        "RFC 9780",
    ),
    v6(
        [0x2001, 0, 0, 0, 0, 0, 0, 0],
        23,
        "protocols of the IETF",
        "RFC 2928",
    ),
    v6(
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0],
        32,
        "documentation",
        "RFC 3849",
    ),
    v6(
        [0x2002, 0, 0, 0, 0, 0, 0, 0],
        16,
        "6to4, which leads to an IPv4 address",
        "RFC 3056",
    ),
    v6(
        [0x3fff, 0, 0, 0, 0, 0, 0, 0],
        20,
        "documentation",
        "RFC 9637",
    ),
    v6(
        [0x5f00, 0, 0, 0, 0, 0, 0, 0],
        16,
        "segment routing",
        "RFC 9602",
    ),
    v6(
        [0xfc00, 0, 0, 0, 0, 0, 0, 0],
        7,
        "unique local use",
        "RFC 4193",
    ),
    v6(
        [0xfe80, 0, 0, 0, 0, 0, 0, 0],
        10,
        "link-local use",
        "RFC 4291",
    ),
    v6(
        [0xfec0, 0, 0, 0, 0, 0, 0, 0],
        10,
        "site-local use, once",
        "RFC 3879",
    ),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast", "RFC 4291"),
];

/// The range that `address` lies in; `None`: it is a public host's.
pub(super) fn of(address: IpAddr) -> Option<&'static SpecialRange> {
    RANGES.iter().find(|range| range.net.contains(&address))
}

const fn v4(network: [u8; 4], len: u8, purpose: &'static str, rfc: &'static str) -> SpecialRange {
    let [a, b, c, d] = network;
    let network = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    SpecialRange {
        net: IpNet::new_assert(network, len),
        purpose,
        rfc,
    }
}

const fn v6(network: [u16; 8], len: u8, purpose: &'static str, rfc: &'static str) -> SpecialRange {
    let [a, b, c, d, e, f, g, h] = network;
    let network = IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h));
    SpecialRange {
        net: IpNet::new_assert(network, len),
        purpose,
        rfc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_each_range_are_in_it() {
        for range in &RANGES {
            assert_eq!(range.net, range.net.trunc(), "bits behind the length");
            for end in [range.net.network(), range.net.broadcast()] {
                assert!(of(end).is_some(), "{end}");
            }
        }
    }

    #[test]
    fn the_neighbours_of_the_ranges_are_public() {
        for public in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b:2::",
            "100:0:0:2::",
            "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:200::",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2003::",
            "3ffe::1",
            "4000::",
            "5eff::1",
            "5f01::",
            "2606:4700::1111",
        ] {
            let address: IpAddr = public.parse().expect(public);
            assert!(of(address).is_none(), "{public}");
        }
    }

    #[test]
    fn each_address_is_told_by_the_document_that_sets_it_apart() {
        for (address, rfc) in [
            ("10.1.2.3", "RFC 1918"),
            ("100.100.0.1", "RFC 6598"),
            ("127.0.0.1", "RFC 1122"),
            ("169.254.169.254", "RFC 3927"),
            ("192.0.2.80", "RFC 5737"),
            ("198.19.255.255", "RFC 2544"),
            ("239.1.1.1", "RFC 5771"),
            ("255.255.255.255", "RFC 1112"),
            ("::1", "RFC 4291"),
            ("fd00::1", "RFC 4193"),
            ("fe80::1", "RFC 4291"),
            ("2001:db8::80", "RFC 3849"),
            ("2001::1", "RFC 2928"),
            ("64:ff9b::a00:1", "RFC 6052"),
            ("::ffff:10.0.0.1", "RFC 4291"),
        ] {
            let found = of(address.parse().expect(address)).expect(address);
            assert_eq!(found.rfc, rfc, "{address} is for {}", found.purpose);
        }
    }
}
