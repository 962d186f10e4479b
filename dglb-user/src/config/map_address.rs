//! Addresses that the map protocol may use while it has no TLS: loopback, private and test networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that do not reach over the Internet, with where they are set apart.
const ALLOWED: [&str; 12] = [
    "127.0.0.0/8",     // loopback, RFC 1122 §3.2.1.3
    "10.0.0.0/8",      // private, RFC 1918
    "172.16.0.0/12",   // private, RFC 1918
    "192.168.0.0/16",  // private, RFC 1918
    "100.64.0.0/10",   // shared within a provider, RFC 6598
    "192.0.2.0/24",    // documentation, RFC 5737
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "198.18.0.0/15",   // benchmarks, RFC 2544
    "::1/128",         // loopback, RFC 4291 §2.5.3
    "fc00::/7",        // unique local, RFC 4193
    "2001:db8::/32",   // documentation, RFC 3849
];

/// Whether the map protocol may listen on, or connect to, `address`.
pub(super) fn is_allowed(address: IpAddr) -> bool {
    ALLOWED
        .iter()
        .filter_map(|network| network.parse::<IpNet>().ok())
        .any(|network| network.contains(&address))
}

/// The allowed networks, for people.
pub(super) fn allowed_text() -> String {
    ALLOWED.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_read_and_its_neighbours_are_not_allowed() {
        let allowed = |text: &str| is_allowed(text.parse().expect(text));
        for network in ALLOWED {
            let network: IpNet = network.parse().expect(network);
            assert!(is_allowed(network.network()) && is_allowed(network.broadcast()));
        }
        for public in [
            "126.255.255.255",
            "11.0.0.0",
            "172.32.0.0",
            "192.169.0.0",
            "100.128.0.0",
            "192.0.3.0",
            "198.51.101.0",
            "198.20.0.0",
            "0.0.0.0",
            "::",
            "::2",
            "::ffff:10.0.0.1",
            "fe80::1",
            "2001:db9::",
        ] {
            assert!(!allowed(public), "{public}");
        }
    }
}
