//! Judges what probing needs: accounts, certificates, and an address of each family that sites have.

use std::net::IpAddr;

use super::{Config, Facts, MachineError, MachineWarning};
use crate::config::{DnsLb, Family, Role, Site};

/// What keeps the node from running.
pub(super) fn judge(config: &Config, facts: &Facts, errors: &mut Vec<MachineError>) {
    if let Some(name) = &config.node.control_group
        && !facts.has_control_group
    {
        errors.push(MachineError::NoGroup { name: name.clone() });
    }
    let Role::DnsLb(dns_lb) = &config.role else {
        return;
    };
    if !facts.has_probe_user {
        let name = dns_lb.probe_limits.user.clone();
        errors.push(MachineError::NoUser { name });
    }
    if let (Some(path), Some(reason)) = (&dns_lb.probe_limits.ca_file, &facts.ca_file_fault) {
        errors.push(MachineError::CaFile {
            path: path.clone(),
            reason: reason.clone(),
        });
    }
    for (key, site) in sites(dns_lb) {
        if let [(family, address)] = addresses(site).as_slice()
            && !reaches(facts, *family, *address)
        {
            errors.push(MachineError::NoFamily {
                key: key_of(&key, *family),
                address: *address,
                family: name(*family),
            });
        }
    }
}

/// What makes it deaf: sites with two addresses are still reached by the other one. Each family is told once.
pub(super) fn warn(config: &Config, facts: &Facts) -> Vec<MachineWarning> {
    let Role::DnsLb(dns_lb) = &config.role else {
        return Vec::new();
    };
    let warning = |family: Family| {
        let mut deaf = sites(dns_lb).filter_map(|(key, site)| {
            let addresses = addresses(site);
            let (_, address) = addresses.iter().find(|(other, _)| *other == family)?;
            let is_deaf = addresses.len() > 1 && !reaches(facts, family, *address);
            is_deaf.then(|| key_of(&key, family))
        });
        let key = deaf.next()?;
        Some(MachineWarning::NoFamily {
            key,
            family: name(family),
            more: deaf.count(),
        })
    };
    Family::ALL.into_iter().filter_map(warning).collect()
}

fn sites(dns_lb: &DnsLb) -> impl Iterator<Item = (String, &Site)> {
    let services = dns_lb.services.iter().enumerate();
    services.flat_map(|(index, service)| {
        let sites = service.sites.iter().enumerate();
        sites.map(move |(site, value)| (format!("service[{index}].site[{site}]"), value))
    })
}

fn addresses(site: &Site) -> Vec<(Family, IpAddr)> {
    let v4 = site.ipv4.map(|address| (Family::Ipv4, address.into()));
    let v6 = site.ipv6.map(|address| (Family::Ipv6, address.into()));
    v4.into_iter().chain(v6).collect()
}

/// Whether a probe could leave this machine, or need not.
fn reaches(facts: &Facts, family: Family, address: IpAddr) -> bool {
    facts.has_family(family) || facts.has_address(address)
}

fn key_of(site: &str, family: Family) -> String {
    match family {
        Family::Ipv4 => format!("{site}.ipv4"),
        Family::Ipv6 => format!("{site}.ipv6"),
    }
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::tests::good;

    const DNS_LB: &str = include_str!("../../../../docs/examples/dns-lb.toml");

    fn config(change: impl Fn(&str) -> String) -> Config {
        Config::from_text("dns-lb.toml", &change(DNS_LB)).expect("a changed example")
    }

    fn errors(config: &Config, facts: &Facts) -> Vec<(String, String)> {
        let mut errors = Vec::new();
        judge(config, facts, &mut errors);
        let texts = errors
            .iter()
            .map(|error| (error.key().to_owned(), error.to_string()));
        texts.collect()
    }

    fn with_ipv6() -> Facts {
        let mut facts = good();
        facts
            .own
            .push("2001:db8::7/128".parse().expect("a network"));
        facts
    }

    #[test]
    fn a_machine_that_fits() {
        let example = config(str::to_owned);
        assert_eq!(errors(&example, &with_ipv6()), []);
        assert_eq!(warn(&example, &with_ipv6()), []);
    }

    #[test]
    fn accounts_and_certificates_that_are_not_there() {
        let config = config(|text| {
            text.replacen("# control_group", "control_group", 1)
                .replacen("# ca_file", "ca_file", 1)
        });
        let mut facts = with_ipv6();
        facts.has_control_group = false;
        facts.has_probe_user = false;
        facts.ca_file_fault = Some("No such file or directory".into());
        let errors = errors(&config, &facts);
        let said: Vec<_> = errors.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(said, ["node.control_group", "probe.user", "probe.ca_file"]);
        for ((_, message), piece) in errors.iter().zip([
            "groupadd --system dglb",
            "useradd --system nobody",
            "/etc/ssl/dglb.pem can't be read: No such file",
        ]) {
            assert!(message.contains(piece), "{message}");
        }
    }

    #[test]
    fn a_site_in_no_family_of_the_machine_is_an_error_and_half_a_site_a_warning() {
        let only_v6 =
            config(|text| text.replacen("ipv4 = \"203.0.113.80\"", "ipv6 = \"2001:db8::80\"", 1));
        // A link-local address and ::1 are no way to anybody.
        let mut facts = good();
        for own in ["::1/128", "fe80::1/128"] {
            facts.own.push(own.parse().expect("a network"));
        }
        let found = errors(&only_v6, &facts);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "service[0].site[1].ipv6");
        assert!(found[0].1.contains("2001:db8::80"), "{found:?}");
        let warnings = warn(&only_v6, &facts);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0].key(), "service[0].site[0].ipv6");
        assert!(warnings[0].to_string().contains("IPv6"), "{warnings:?}");
        assert_eq!(errors(&only_v6, &with_ipv6()), []);
        // What is on the machine itself is reached.
        facts
            .own
            .push("2001:db8::80/128".parse().expect("a network"));
        assert_eq!(errors(&only_v6, &facts), []);
    }
}
