//! Services for tests.

use crate::config::{Form, LbService, Probe, ProbeKind, Site, Soa};

/// A service with a site for each address, all else as if the file said nothing.
pub fn service(name: &str, addresses: &[&str]) -> LbService {
    let site = |address: &&str| {
        let (v4, v6) = (address.parse().ok(), address.parse().ok());
        Site::new(format!("site-{address}"), v4, v6)
    };
    let soa = Soa {
        mname: "ns1.example.com".parse().unwrap(),
        rname: "hostmaster.example.com".parse().unwrap(),
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86400,
        minimum: 60,
        ttl: 60,
    };
    let probe = Probe::new(ProbeKind::Http(crate::probe::spec::Http::new(name, "/")));
    let sites = addresses.iter().map(site).collect();
    LbService::new(name.parse().unwrap(), Form::Referral, soa, sites, probe)
}
