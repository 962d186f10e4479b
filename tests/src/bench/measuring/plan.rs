//! The DNS-LB's configuration: 10,000 services with four sites each, every one at an address of its own.

use std::{fmt::Write as _, net::Ipv4Addr};

use anyhow::Result;
use ipnet::Ipv4Net;

use crate::lab::{INTERFACE, Lab};

/// Services.
pub const SERVICES: usize = 10_000;
/// Sites of each.
pub const SITES_EACH: usize = 4;
/// Targets in all: no two probes are equal.
pub const TARGETS: usize = SERVICES * SITES_EACH;
/// Services whose sites accept connections and never answer: the first ones.
const SILENT: usize = 250;
/// Targets of those.
pub const SILENT_TARGETS: usize = SILENT * SITES_EACH;
/// Services whose sites report another weight with each probe, behind those: each of their probes changes
/// the tables.
const MOVING: usize = 250;
/// Seconds between two probes of a target.
pub const INTERVAL_S: u32 = 60;
/// The DNS-LB's address.
pub const DNS_LB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// The address of the host of all sites.
pub const SITES_HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// Where the sites' addresses are.
pub const SITES: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15);
/// Where sites answer.
pub const PORT: u16 = 80;
/// Where they never do.
pub const SILENT_PORT: u16 = 81;
/// The header in which they say their weight.
pub const LOAD_HEADER: &str = "X-Load";

/// The balanced name of a service.
pub fn name_of(service: usize) -> String {
    format!("s{service}.g.foo.com")
}

/// The whole file.
///
/// # Errors
/// The lab's file system can't be made.
pub fn toml(lab: &Lab, name: &str) -> Result<String> {
    let directory = lab.directory().display();
    let mut toml = format!(
        "role = \"dns-lb\"\n[node]\nname = \"{name}\"\ninterfaces = [\"{INTERFACE}\"]\n\
         addresses = [\"{DNS_LB}\"]\nbpffs = \"{}\"\nrun_dir = \"{directory}/run\"\n\
         state_dir = \"{directory}/state\"\n[map]\ndns_b = [\"127.0.0.1:5353\"]\n[resolvers]\n\
         addresses = [\"198.51.100.53\"]\n[probe]\nallow = [\"{SITES}\"]\n",
        lab.bpffs()?.display()
    );
    for service in 0..SERVICES {
        write_service(&mut toml, service)?;
    }
    Ok(toml)
}

fn write_service(toml: &mut String, service: usize) -> Result<()> {
    let name = name_of(service);
    let is_moving = (SILENT..SILENT + MOVING).contains(&service);
    let port = if service < SILENT { SILENT_PORT } else { PORT };
    write!(
        toml,
        "\n[[service]]\nname = \"{name}\"\nform = \"referral\"\n\
         soa = {{ mname = \"ns1.g.foo.com\", rname = \"hostmaster.foo.com\", serial = 1 }}\n\
         [service.probe]\npath = \"/health\"\nport = {port}\ninterval = \"{INTERVAL_S}s\"\n"
    )?;
    if is_moving {
        write!(
            toml,
            "load = \"header:{LOAD_HEADER}\"\n[service.policy]\nscorer = \"random\"\n"
        )?;
    }
    for site in 0..SITES_EACH {
        let address = address_of(service * SITES_EACH + site);
        write!(
            toml,
            "[[service.site]]\nname = \"site{site}\"\nipv4 = \"{address}\"\n"
        )?;
    }
    Ok(())
}

/// The address of a target.
fn address_of(target: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(SITES.network()) + 256 + target as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_lie_where_the_sites_are() {
        assert!(SITES.contains(&address_of(0)) && SITES.contains(&address_of(TARGETS - 1)));
        assert_ne!(address_of(0), address_of(1));
    }
}
