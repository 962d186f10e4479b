//! The Internet above the customer: root server, `com` server, and foo.com's own DNS-A. All NSD.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Result, ensure};
use hickory_proto::rr::RecordType;

use super::{Host, Lab, Program, dns, find_program};

/// Root server.
pub const ROOT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const COM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Primary name server of foo.com.
pub const DNS_A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

/// The running servers.
#[derive(Debug)]
pub struct Internet {
    _servers: Vec<Program>,
}

/// Starts root, `com` and DNS-A.
///
/// foo.com delegates `g.foo.com` (form R, with `www.foo.com CNAME www.g.foo.com`) and `shop.foo.com`
/// (form C) to the DNS-B at `dns_b`.
///
/// # Errors
/// When a server does not answer.
pub fn start(lab: &Lab, dns_b: Ipv4Addr) -> Result<Internet> {
    let servers = [
        ("root", ROOT, ".", root_zone()),
        ("com", COM, "com", com_zone()),
        ("dns-a", DNS_A, "foo.com", customer_zone(dns_b)),
    ];
    let servers = servers
        .into_iter()
        .map(|(name, address, apex, zone)| nsd(&lab.host(name, &[address])?, apex, &zone))
        .collect::<Result<_>>()?;
    Ok(Internet { _servers: servers })
}

fn root_zone() -> String {
    format!(
        "$ORIGIN .
         @ 86400 SOA a.root-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 86400
         @ 518400 NS a.root-servers.net.
         a.root-servers.net. 518400 A {ROOT}
         com. 172800 NS a.gtld-servers.net.
         a.gtld-servers.net. 172800 A {COM}
        "
    )
}

fn com_zone() -> String {
    format!(
        "$ORIGIN com.
         @ 900 SOA a.gtld-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 900
         @ 172800 NS a.gtld-servers.net.
         foo 172800 NS ns1.foo.com.
         ns1.foo 172800 A {DNS_A}
        "
    )
}

fn customer_zone(dns_b: Ipv4Addr) -> String {
    format!(
        "$ORIGIN foo.com.
         @ 3600 SOA ns1 hostmaster 1 3600 600 604800 60
         @ 86400 NS ns1
         ns1 86400 A {DNS_A}
         www 86400 CNAME www.g
         g 86400 NS ns1.g
         ns1.g 86400 A {dns_b}
         shop 86400 NS ns1.g
        "
    )
}

fn nsd(host: &Host, apex: &str, zone: &str) -> Result<Program> {
    // Leading blanks would mean "same owner as before" (RFC 1035 §5.1).
    let zone: String = zone
        .lines()
        .map(|line| line.trim().to_owned() + "\n")
        .collect();
    let zone = host.write("zone", &zone)?;
    let directory = host.directory().display();
    let config = host.write(
        "nsd.conf",
        &format!(
            "server:
    ip-address: {address}
    username: \"\"
    zonesdir: \"{directory}\"
    database: \"\"
    pidfile: \"\"
    xfrdfile: \"{directory}/xfrd.state\"
    xfrdir: \"{directory}\"
    zonelistfile: \"{directory}/zone.list\"
remote-control:
    control-enable: no
zone:
    name: \"{apex}\"
    zonefile: \"{zone}\"
",
            address = host.address(),
            zone = zone.display(),
        ),
    )?;
    let mut command = host.command(find_program("nsd")?);
    command.arg("-d").arg("-c").arg(config);
    let mut server = host.start("nsd", command)?;
    server.wait_until("NSD answers", Duration::from_secs(10), || {
        let answer = dns::ask(host, host.address(), apex, RecordType::SOA)?;
        ensure!(answer.metadata.authoritative, "NSD does not serve {apex}");
        Ok(())
    })?;
    Ok(server)
}
