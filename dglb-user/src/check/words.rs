//! Probes and policies in words, as an owner would say them.

use crate::config::{
    AllDown, Family, Filter, LbService, Overflow, Policy, ProbeKind, ProbeLimits, Scorer,
    UnknownSites, Weights,
};

/// What is done to measure a site.
pub(super) fn probe(kind: &ProbeKind, limits: &ProbeLimits) -> String {
    match kind {
        ProbeKind::Command { profile } => {
            let name = limits.profiles.get(*profile).map(|profile| &profile.name);
            format!("profile {}", name.map_or("?", String::as_str))
        }
        ProbeKind::Http(_) | ProbeKind::Tcp { .. } | ProbeKind::Icmp => kind.to_string(),
    }
}

/// How often, and why not as often as the file says.
pub(super) fn pace(service: &LbService) -> String {
    let kept = service.effective_interval();
    let text = format!("every {}", humantime::format_duration(kept));
    if kept == service.probe.interval {
        return text;
    }
    format!(
        "{text}, not {}: {} vantages share the site's budget of {} probes a second",
        humantime::format_duration(service.probe.interval),
        service.vantages,
        service.budget
    )
}

/// What the node allows of probes.
pub(super) fn limits(limits: &ProbeLimits) -> String {
    let mut text = format!(
        "as {}, at most {} at once, every {} or slower, retries every {} or slower, {} pages of {} octets; ",
        limits.user,
        limits.concurrency,
        humantime::format_duration(limits.min_interval),
        humantime::format_duration(limits.min_retry),
        limits.max_pages,
        limits.max_body,
    );
    text += &match limits.allow.as_slice() {
        [] => "public addresses alone".to_owned(),
        allowed => format!("beside public addresses {}", super::join(allowed)),
    };
    if let Some(path) = &limits.ca_file {
        text += &format!("; trusts {}", path.display());
    }
    if !limits.profiles.is_empty() {
        let names = limits.profiles.iter().map(|profile| profile.name.as_str());
        text += &format!("; profiles {}", names.collect::<Vec<_>>().join(", "));
    }
    text
}

/// Who is answered.
pub(super) fn policy(policy: &Policy) -> String {
    let mut parts = vec![scorer(&policy.scorer)];
    parts.extend(policy.filters.iter().map(filter));
    if let [first, rest @ ..] = policy.tiers.as_slice()
        && !rest.is_empty()
    {
        let mut text = format!("of tier {}", first.name);
        for (tier, next) in policy.tiers.iter().zip(rest) {
            text += &format!(", below {} sites {} too", tier.min_sites, next.name);
        }
        parts.push(text);
    }
    if policy.answers > 1 {
        parts.push(format!("{} sites in an answer", policy.answers));
    }
    if matches!(policy.scorer, Scorer::Weighed(_)) {
        let margin = &policy.margin;
        parts.push(format!(
            "the present one until another is better by {} or {} %",
            margin.absolute, margin.percent
        ));
    }
    parts.extend(policy.overflow.as_ref().map(overflow));
    if !policy.ramp.is_zero() {
        let ramp = humantime::format_duration(policy.ramp);
        parts.push(format!("its share again within {ramp} after it was down"));
    }
    parts.push(
        match policy.unknown {
            UnknownSites::Serve => "sites not measured yet only where no other is left",
            UnknownSites::Exclude => "no site that is not measured yet",
        }
        .to_owned(),
    );
    parts.push(format!("with none left {}", all_down(&policy.all_down)));
    parts.join("; ")
}

fn scorer(scorer: &Scorer) -> String {
    match scorer {
        Scorer::Weighed(weights) => format!("the least of {}", sum(weights)),
        Scorer::Random => "all, by weight at random".to_owned(),
        Scorer::Sticky => "all, by weight, each client prefix the same".to_owned(),
        Scorer::Failover => "the first in the file".to_owned(),
    }
}

fn sum(weights: &Weights) -> String {
    let terms = [
        ("latency", weights.latency),
        ("loss", weights.availability),
        ("load", weights.load),
        ("cost", weights.cost),
        ("distance", weights.distance),
    ];
    let terms = terms.into_iter().filter(|(_, weight)| *weight > 0.0);
    let term = |(name, weight): (&str, f64)| match weight == 1.0 {
        true => name.to_owned(),
        false => format!("{weight} × {name}"),
    };
    terms.map(term).collect::<Vec<_>>().join(" + ")
}

fn filter(filter: &Filter) -> String {
    match filter {
        Filter::Healthy => "only without losses".to_owned(),
        Filter::Within { time, percent } => {
            let time = (!time.is_zero()).then(|| humantime::format_duration(*time).to_string());
            let percent = (*percent > 0.0).then(|| format!("{percent} %"));
            let within: Vec<_> = time.into_iter().chain(percent).collect();
            match within.is_empty() {
                true => "only as fast as the fastest".to_owned(),
                false => format!("only within {} of the fastest", within.join(" or ")),
            }
        }
        Filter::Region(regions) => format!("only in {}", regions.join(" or ")),
        Filter::Tag(tags) => format!("only tagged {}", tags.join(" or ")),
        Filter::Family(Family::Ipv4) => "only with IPv4".to_owned(),
        Filter::Family(Family::Ipv6) => "only with IPv6".to_owned(),
        Filter::BelowCapacity { percent } => format!("only below {percent} % of the capacity"),
    }
}

fn overflow(overflow: &Overflow) -> String {
    format!(
        "from {} % of its capacity it gives away {} % of its clients at a time, at {} % all",
        overflow.from, overflow.step, overflow.full
    )
}

fn all_down(all_down: &AllDown) -> String {
    match all_down {
        AllDown::AllSites => "all sites".to_owned(),
        AllDown::LastGood => "the last good answer".to_owned(),
        AllDown::Servfail => "SERVFAIL".to_owned(),
        AllDown::Fallback { ipv4, ipv6 } => {
            let ipv4 = ipv4.map(|address| address.to_string());
            let ipv6 = ipv6.map(|address| address.to_string());
            let both: Vec<_> = ipv4.into_iter().chain(ipv6).collect();
            both.join(" and ")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Margin, Profile, Role, Tier};

    #[test]
    fn the_default_is_the_fastest() {
        assert_eq!(
            policy(&Policy::default()),
            "the least of latency; the present one until another is better by 1 or 10 %; sites not measured \
             yet only where no other is left; with none left all sites"
        );
    }

    #[test]
    fn each_part_is_said() {
        let tier = |name: &str, min_sites| Tier {
            name: name.into(),
            min_sites,
        };
        let all = Policy {
            tiers: vec![tier("near", 2), tier("far", 1), tier("rented", 1)],
            filters: vec![
                Filter::Healthy,
                Filter::Within {
                    time: Duration::from_millis(20),
                    percent: 50.0,
                },
                Filter::Within {
                    time: Duration::ZERO,
                    percent: 0.0,
                },
                Filter::Region(vec!["europe".into(), "asia".into()]),
                Filter::Tag(vec!["own".into()]),
                Filter::Family(Family::Ipv6),
                Filter::BelowCapacity { percent: 90.0 },
            ],
            scorer: Scorer::Weighed(Weights {
                latency: 0.5,
                availability: 1.0,
                load: 2.0,
                cost: 3.0,
                distance: 1.0,
            }),
            answers: 2,
            margin: Margin {
                absolute: 0.0,
                percent: 5.0,
            },
            overflow: Some(Overflow {
                from: 80.0,
                full: 100.0,
                step: 10.0,
            }),
            ramp: Duration::from_secs(60),
            unknown: UnknownSites::Exclude,
            all_down: AllDown::Fallback {
                ipv4: Some([192, 0, 2, 1].into()),
                ipv6: None,
            },
        };
        let said = [
            "the least of 0.5 × latency + loss + 2 × load + 3 × cost + distance",
            "only without losses",
            "only within 20ms or 50 % of the fastest",
            "only as fast as the fastest",
            "only in europe or asia",
            "only tagged own",
            "only with IPv6",
            "only below 90 % of the capacity",
            "of tier near, below 2 sites far too, below 1 sites rented too",
            "2 sites in an answer",
            "the present one until another is better by 0 or 5 %",
            "from 80 % of its capacity it gives away 10 % of its clients at a time, at 100 % all",
            "its share again within 1m after it was down",
            "no site that is not measured yet",
            "with none left 192.0.2.1",
        ];
        assert_eq!(policy(&all), said.join("; "));
        for (scorer, start) in [
            (Scorer::Random, "all, by weight at random; sites"),
            (
                Scorer::Sticky,
                "all, by weight, each client prefix the same; sites",
            ),
            (Scorer::Failover, "the first in the file; sites"),
        ] {
            let policy = policy(&Policy {
                scorer,
                ..Policy::default()
            });
            assert!(policy.starts_with(start), "{policy}");
        }
    }

    #[test]
    fn a_budget_that_slows_probes_is_said() {
        let example = include_str!("../../../docs/examples/dns-lb.toml")
            .replacen("# vantages = 1", "vantages = 600", 1)
            .replacen("# budget = 20", "budget = 5", 1);
        let config = crate::config::Config::from_text("x.toml", &example).expect("an example");
        let Role::DnsLb(dns_lb) = config.role else {
            panic!("another role")
        };
        assert_eq!(
            pace(&dns_lb.services[0]),
            "every 2m, not 10s: 600 vantages share the site's budget of 5 probes a second"
        );
    }

    #[test]
    fn a_profile_is_named() {
        let with_profile = ProbeLimits {
            profiles: vec![Profile {
                name: "database".into(),
                command: vec!["/bin/true".into()],
            }],
            ca_file: Some("/etc/own.pem".into()),
            ..ProbeLimits::default()
        };
        let kind = ProbeKind::Command { profile: 0 };
        assert_eq!(probe(&kind, &with_profile), "profile database");
        assert_eq!(probe(&ProbeKind::Icmp, &with_profile), "ICMP echo");
        let said = limits(&with_profile);
        let end = "; public addresses alone; trusts /etc/own.pem; profiles database";
        assert!(said.ends_with(end), "{said}");
    }
}
