//! From services to what is probed: sites that are probed alike are one target.
//!
//! A node with 10,000 services on the same three mirrors sends three probes an interval, not 30,000. Those who
//! share a target may have different patience: each such pair of thresholds has a judge of its own, fed with
//! the same results.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use super::judge::Patience;
use crate::{
    config::{Family, LbService, ProbeKind, ProbeLimits, Site},
    probe::spec::{Kind, Spec},
};

/// All targets, and who asked for them.
#[derive(Debug, Default)]
pub struct Plan {
    /// Without repetition, in the order of the configuration.
    pub targets: Vec<Target>,
    /// By service, family (as in [`Family::ALL`]) and site: the target and its judge; `None` for a site without
    /// an address of the family.
    pub sites: Vec<[Vec<Option<Judged>>; 2]>,
}

/// What is probed.
#[derive(Debug)]
pub struct Target {
    /// How.
    pub spec: Arc<Spec>,
    /// Between two probes while somebody's site is neither surely up nor surely down: the least of the users'.
    pub retry: Duration,
    /// The patience of each judge.
    pub judges: Vec<Patience>,
    /// Services that use it, each once.
    pub services: Vec<usize>,
}

/// A target seen by one of its judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Index in [`Plan::targets`].
    pub target: usize,
    /// Index in [`Target::judges`].
    pub judge: usize,
}

impl Plan {
    /// Finds the targets of `services`.
    pub fn new(services: &[LbService], limits: &ProbeLimits) -> Self {
        let mut plan = Self::default();
        let mut known: HashMap<Arc<Spec>, usize> = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            let patience = Patience {
                fall: service.probe.fall,
                rise: service.probe.rise,
            };
            let mut judged = |address: IpAddr| {
                let spec = Arc::new(spec_of(address, service, limits));
                let target = *known.entry(spec).or_insert_with_key(|spec| {
                    plan.targets.push(Target {
                        spec: Arc::clone(spec),
                        retry: service.probe.retry,
                        judges: Vec::new(),
                        services: Vec::new(),
                    });
                    plan.targets.len() - 1
                });
                let entry = &mut plan.targets[target];
                entry.retry = entry.retry.min(service.probe.retry);
                if entry.services.last() != Some(&index) {
                    entry.services.push(index);
                }
                let found = entry.judges.iter().position(|other| *other == patience);
                let judge = found.unwrap_or_else(|| {
                    entry.judges.push(patience);
                    entry.judges.len() - 1
                });
                Judged { target, judge }
            };
            let sites = Family::ALL.map(|family| {
                let addresses = service.sites.iter().map(|site| address_of(site, family));
                addresses
                    .map(|address| address.map(&mut judged))
                    .collect::<Vec<_>>()
            });
            plan.sites.push(sites);
        }
        plan
    }
}

/// A site's address of one family.
pub fn address_of(site: &Site, family: Family) -> Option<IpAddr> {
    match family {
        Family::Ipv4 => site.ipv4.map(IpAddr::V4),
        Family::Ipv6 => site.ipv6.map(IpAddr::V6),
    }
}

/// What is done to measure `address` for `service`.
pub fn spec_of(address: IpAddr, service: &LbService, limits: &ProbeLimits) -> Spec {
    Spec {
        address,
        timeout_ms: u32::try_from(service.probe.timeout.as_millis()).unwrap_or(u32::MAX),
        kind: match &service.probe.kind {
            ProbeKind::Http(http) => Kind::Http(http.clone()),
            ProbeKind::Tcp { port } => Kind::Tcp { port: *port },
            ProbeKind::Icmp => Kind::Icmp,
            ProbeKind::Command { profile } => {
                let command = limits
                    .profiles
                    .get(*profile)
                    .map(|profile| &profile.command);
                let filled = command.into_iter().flatten().map(|word| {
                    word.replace("{address}", &address.to_string())
                        .replace("{service}", &service.name.without_dot())
                });
                Kind::Command(filled.collect())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        measure::testing::service,
        probe::spec::{Http, Match, Tls},
    };

    fn plan(services: &[LbService]) -> Plan {
        Plan::new(services, &ProbeLimits::default())
    }

    fn http(service: &mut LbService) -> &mut Http {
        match &mut service.probe.kind {
            ProbeKind::Http(http) => http,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equal_probes_are_one_target_whatever_pace_and_patience() {
        let mut first = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
        let mut second = service("www.example.org", &["192.0.2.2", "2001:db8::1"]);
        http(&mut second).host = http(&mut first).host.clone();
        second.probe.fall = 5;
        second.probe.retry = Duration::from_millis(300);
        let plan = plan(&[first, second]);
        assert_eq!(plan.targets.len(), 3);
        let at = |target, judge| Some(Judged { target, judge });
        assert_eq!(plan.sites[0], [vec![at(0, 0), at(1, 0)], vec![None, None]]);
        assert_eq!(plan.sites[1], [vec![at(1, 1), None], vec![None, at(2, 0)]]);
        assert_eq!(plan.targets[1].services, [0, 1]);
        assert_eq!(plan.targets[1].retry, Duration::from_millis(300));
        let falls: Vec<_> = plan.targets[1]
            .judges
            .iter()
            .map(|judge| judge.fall)
            .collect();
        assert_eq!(falls, [3, 5]);
    }

    #[test]
    fn probes_that_differ_anywhere_are_not_shared() {
        let changes: [fn(&mut LbService); 9] = [
            |service| http(service).port += 1,
            |service| http(service).pages.push("/more".into()),
            |service| http(service).host.push('x'),
            |service| http(service).status.push(404),
            |service| http(service).tls = Some(Tls { verify: true }),
            |service| http(service).method = "HEAD".into(),
            |service| http(service).body = Some(Match::Text("ok".into())),
            |service| service.probe.timeout *= 2,
            |service| service.probe.kind = ProbeKind::Icmp,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let first = service("www.example.com", &["192.0.2.1"]);
            let mut second = first.clone();
            change(&mut second);
            assert_eq!(plan(&[first, second]).targets.len(), 2, "change {number}");
        }
    }

    #[test]
    fn a_profile_s_words_are_filled_in() {
        let limits = ProbeLimits {
            profiles: vec![crate::config::Profile {
                name: "db".into(),
                command: vec![
                    "/bin/check".into(),
                    "--to={address}".into(),
                    "{service}".into(),
                ],
            }],
            ..ProbeLimits::default()
        };
        let mut service = service("www.example.com", &["192.0.2.1"]);
        service.probe.kind = ProbeKind::Command { profile: 0 };
        let spec = spec_of("192.0.2.1".parse().unwrap(), &service, &limits);
        let words = ["/bin/check", "--to=192.0.2.1", "www.example.com"];
        assert_eq!(spec.kind, Kind::Command(words.map(String::from).to_vec()));
    }
}
