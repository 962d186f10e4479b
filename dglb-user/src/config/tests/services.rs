//! What a service's file means, for each key: read to the types that the rest trusts.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{DNS_LB, load};
use crate::config::{
    AllDown, DnsLb, Family, Filter, LbService, Location, Margin, Overflow, Policy, Probe,
    ProbeKind, Profile, Role, Scorer, Tier, UnknownSites, Weights,
};
use crate::probe::spec::{Http, Load, Match, Tls};

/// The DNS-LB of a file whose first service has these probe and policy; both of its sites have all keys.
fn dns_lb(probe: &str, policy: &str) -> DnsLb {
    let sites = "[[service.site]]\nname = \"a\"\nipv4 = \"9.9.9.9\"\nregion = \"europe\"\n\
                 tags = [\"own\", \"big\"]\ncost = 2.5\ncapacity = 400\nweight = 7\n\
                 location = \"52 31 0 N 13 24 0 E\"\n\
                 [[service.site]]\nname = \"b\"\nipv6 = \"2620:fe::9\"\ntier = \"backup\"\n";
    let (head, _) = DNS_LB.split_once("[[service]]").expect("services");
    let text = format!(
        "{head}[[service]]\nname = \"WWW.g.foo.com\"\nform = \"referral\"\nanswer_ttl = 4\nvantages = 300\n\
         soa = {{ mname = \"a.b\", rname = \"c.d\", serial = 1 }}\n[service.probe]\n{probe}\n\
         [service.policy]\ntiers = [{{ name = \"main\", min_sites = 2 }}, {{ name = \"backup\" }}]\n\
         {policy}\n{sites}"
    );
    match load(&text).role {
        Role::DnsLb(dns_lb) => dns_lb,
        Role::DnsB(_) => panic!("another role"),
    }
}

fn service(probe: &str, policy: &str) -> LbService {
    dns_lb(probe, policy).services[0].clone()
}

fn probe(text: &str) -> Probe {
    service(text, "").probe
}

fn policy(text: &str) -> Policy {
    let probe = "path = \"/\"\nload = \"json\"";
    service(probe, text).policy
}

#[test]
fn sites_have_what_stands_there_and_the_rest_by_default() {
    let service = service("path = \"/\"", "");
    let [a, b] = service.sites.as_slice() else {
        panic!("{:?}", service.sites)
    };
    assert_eq!(a.ipv4, Some(Ipv4Addr::new(9, 9, 9, 9)));
    assert_eq!((a.region.as_deref(), a.tier), (Some("europe"), 0));
    assert_eq!(a.tags, ["own", "big"]);
    assert_eq!((a.cost, a.capacity, a.weight), (2.5, 400.0, 7));
    let place = a.location.expect("a place");
    assert!((place.latitude - 52.516_667).abs() < 1e-5 && (place.longitude - 13.4).abs() < 1e-9);
    assert_eq!((b.ipv4, b.tier), (None, 1), "of IPv6 alone");
    assert_eq!(b.ipv6, Some(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 9)));
    assert_eq!(
        (b.cost, b.capacity, b.weight, b.location),
        (0.0, 100.0, 1, None)
    );
    assert_eq!(
        (service.answer_ttl, service.min_ttl),
        (4, 4),
        "5 s would be more"
    );
    assert_eq!((service.vantages, service.budget), (300, 20.0));
    let fifteen_seconds = Duration::from_secs(15);
    assert_eq!(service.effective_interval(), fifteen_seconds, "300 / 20");
}

#[test]
fn http_probes() {
    let standard = Http::new("www.g.foo.com", "/");
    let of = |text: &str| match probe(text).kind {
        ProbeKind::Http(http) => http,
        other => panic!("{other}"),
    };
    assert_eq!(of("path = \"/\""), standard);
    let tls = Http {
        tls: Some(Tls { verify: true }),
        port: 443,
        ..standard.clone()
    };
    assert_eq!(of("path = \"/\"\ntype = \"https\""), tls);
    let all = "type = \"https\"\nport = 8443\npages = [\"/a\", \"/b?c=d\"]\nhost = \"x.foo.com:8443\"\n\
               method = \"OPTIONS\"\nheaders = { X-Key = \"v w\", Accept = \"*/*\" }\nstatus = [302, 200]\n\
               body_regex = '(?i)\\bok\\b'\nmax_body = 4096\nverify = false\nload = \"json\"";
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut read = of(all);
    read.headers.sort();
    let meant = Http {
        tls: Some(Tls { verify: false }),
        port: 8443,
        host: "x.foo.com:8443".into(),
        method: "OPTIONS".into(),
        headers: vec![header("Accept", "*/*"), header("X-Key", "v w")],
        pages: vec!["/a".into(), "/b?c=d".into()],
        status: vec![200, 302],
        body: Some(Match::Regex("(?i)\\bok\\b".into())),
        max_body: 4096,
        load: Some(Load::Json),
    };
    assert_eq!(read, meant);
    let text = of("path = \"/\"\nbody = \"ok\"\nload = \"header:X-Load\"");
    assert_eq!(text.body, Some(Match::Text("ok".into())));
    assert_eq!(text.load, Some(Load::Header("X-Load".into())));
}

#[test]
fn other_probes() {
    assert_eq!(
        probe("type = \"tcp\"\nport = 25").kind,
        ProbeKind::Tcp { port: 25 }
    );
    assert_eq!(probe("type = \"icmp\"").kind, ProbeKind::Icmp);
    let dns_lb = dns_lb("type = \"profile\"\nprofile = \"database\"", "");
    let ProbeKind::Command { profile } = dns_lb.services[0].probe.kind else {
        panic!("{}", dns_lb.services[0].probe.kind)
    };
    let meant = Profile {
        name: "database".into(),
        command: ["/usr/lib/dglb/check-database", "{address}", "{service}"]
            .map(String::from)
            .to_vec(),
    };
    assert_eq!(dns_lb.probe_limits.profiles[profile], meant);
}

#[test]
fn the_pace() {
    let seconds = Duration::from_secs;
    let standard = probe("type = \"icmp\"");
    assert_eq!(standard, Probe::new(ProbeKind::Icmp));
    let all = probe(
        "type = \"icmp\"\ninterval = \"5s\"\ntimeout = \"5s\"\nretry = \"1s\"\nfall = 1\nrise = 9\n\
         max_age = \"15s\"\nidle_after = \"1h\"\nidle_interval = \"5m\"",
    );
    let meant = Probe {
        kind: ProbeKind::Icmp,
        interval: seconds(5),
        timeout: seconds(5),
        retry: seconds(1),
        fall: 1,
        rise: 9,
        max_age: Some(seconds(15)),
        idle_after: Some(seconds(3600)),
        idle_interval: seconds(300),
    };
    assert_eq!(all, meant);
    let slow = probe("type = \"icmp\"\ninterval = \"2m\"");
    assert_eq!(
        slow.idle_interval,
        seconds(120),
        "never quicker than the interval"
    );
}

#[test]
fn defaults_are_not_quicker_than_the_node_allows() {
    let text = DNS_LB
        .replacen("# min_interval = \"5s\"", "min_interval = \"20s\"", 1)
        .replacen("# min_retry = \"1s\"", "min_retry = \"3s\"", 1)
        .replacen("# max_body = 1048576", "max_body = 5000", 1);
    let Role::DnsLb(dns_lb) = load(&text).role else {
        panic!("another role")
    };
    let probe = &dns_lb.services[0].probe;
    assert_eq!(
        (probe.interval, probe.retry),
        (Duration::from_secs(20), Duration::from_secs(3))
    );
    assert!(matches!(&probe.kind, ProbeKind::Http(http) if http.max_body == 5000));
}

#[test]
fn the_limits_of_probes() {
    let text = DNS_LB
        .replacen("# user = \"nobody\"", "user = \"dglb-probe\"", 1)
        .replacen("\"2001:db8::/32\"]", "\"2001:db8::/32\", \"::1/128\"]", 1)
        .replacen("# max_pages = 8", "max_pages = 1", 1)
        .replacen("# concurrency = 1024", "concurrency = 7", 1)
        .replacen("# ca_file", "ca_file", 1);
    let Role::DnsLb(dns_lb) = load(&text).role else {
        panic!("another role")
    };
    let limits = dns_lb.probe_limits;
    assert_eq!(limits.user, "dglb-probe");
    assert_eq!(limits.allow[3], "::1/128".parse().expect("a prefix"));
    assert_eq!((limits.max_pages, limits.concurrency), (1, 7));
    assert_eq!(limits.ca_file, Some("/etc/ssl/dglb.pem".into()));
}

#[test]
fn scorers() {
    let none = Weights::NONE;
    let node = Some(Location {
        latitude: 50.0 + 7.0 / 60.0,
        longitude: 8.0 + 41.0 / 60.0,
    });
    assert_eq!(load(DNS_LB).node.location, node);
    for (word, scorer) in [
        ("latency", Scorer::Weighed(Weights::LATENCY)),
        (
            "availability",
            Scorer::Weighed(Weights {
                availability: 1.0,
                ..none
            }),
        ),
        ("load", Scorer::Weighed(Weights { load: 1.0, ..none })),
        ("cost", Scorer::Weighed(Weights { cost: 1.0, ..none })),
        (
            "distance",
            Scorer::Weighed(Weights {
                distance: 1.0,
                ..none
            }),
        ),
        ("random", Scorer::Random),
        ("failover", Scorer::Failover),
        ("sticky", Scorer::Sticky),
    ] {
        assert_eq!(policy(&format!("scorer = \"{word}\"")).scorer, scorer);
    }
    let weighed = policy(
        "scorer = \"weighed\"\nweights = { latency = 1, availability = 0.5, load = 0, cost = 1e3, distance = 2 }",
    );
    let meant = Weights {
        latency: 1.0,
        availability: 0.5,
        load: 0.0,
        cost: 1000.0,
        distance: 2.0,
    };
    assert_eq!(weighed.scorer, Scorer::Weighed(meant));
}

#[test]
fn policies() {
    let tier = |name: &str, min_sites| Tier {
        name: name.into(),
        min_sites,
    };
    let standard = Policy {
        tiers: vec![tier("main", 2), tier("backup", 1)],
        ..Policy::default()
    };
    assert_eq!(policy(""), standard);
    let all = policy(
        "answers = 1\nmargin = { absolute = 0, percent = 2.5 }\noverflow = { full = 95 }\nramp = \"90s\"\n\
         unknown = \"exclude\"\nall_down = \"fallback\"\nfallback_ipv4 = \"10.0.0.1\"",
    );
    let meant = Policy {
        margin: Margin {
            absolute: 0.0,
            percent: 2.5,
        },
        overflow: Some(Overflow {
            from: 80.0,
            full: 95.0,
            step: 10.0,
        }),
        ramp: Duration::from_secs(90),
        unknown: UnknownSites::Exclude,
        all_down: AllDown::Fallback {
            ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)),
            ipv6: None,
        },
        ..standard
    };
    assert_eq!(all, meant);
    assert_eq!(policy("answers = 8").answers, 8);
    for (word, all_down) in [
        ("all-sites", AllDown::AllSites),
        ("last-good", AllDown::LastGood),
        ("servfail", AllDown::Servfail),
    ] {
        assert_eq!(policy(&format!("all_down = \"{word}\"")).all_down, all_down);
    }
}

#[test]
fn filters_keep_their_order() {
    let filters = [
        ("type = \"healthy\"", Filter::Healthy),
        (
            "type = \"within\"\ntime = \"20ms\"\npercent = 50",
            Filter::Within {
                time: Duration::from_millis(20),
                percent: 50.0,
            },
        ),
        (
            "type = \"within\"\npercent = 10",
            Filter::Within {
                time: Duration::ZERO,
                percent: 10.0,
            },
        ),
        (
            "type = \"region\"\nany_of = [\"europe\"]",
            Filter::Region(vec!["europe".into()]),
        ),
        (
            "type = \"tag\"\nany_of = [\"big\", \"own\"]",
            Filter::Tag(vec!["big".into(), "own".into()]),
        ),
        (
            "type = \"family\"\nhas = \"ipv6\"",
            Filter::Family(Family::Ipv6),
        ),
        (
            "type = \"below-capacity\"",
            Filter::BelowCapacity { percent: 90.0 },
        ),
        (
            "type = \"below-capacity\"\npercent = 75.5",
            Filter::BelowCapacity { percent: 75.5 },
        ),
    ];
    let text: String = filters
        .iter()
        .map(|(text, _)| format!("[[service.policy.filter]]\n{text}\n"))
        .collect();
    let meant: Vec<_> = filters.into_iter().map(|(_, filter)| filter).collect();
    assert_eq!(policy(&text).filters, meant);
}

#[test]
fn the_longest_probe_fits_into_one_message() {
    use crate::{
        measure::plan::spec_of,
        probe::message::{MAX_LINE, ToProber},
    };
    // What JSON makes longest: quotes twice as long, control characters six times.
    let path = format!("\"/?{}\"", "'".repeat(1022));
    let header = |index| format!("X-{index:02} = '{}'", "\"".repeat(508));
    let headers: Vec<_> = (0..16).map(header).collect();
    let statuses: Vec<_> = (100..600).map(|code: u16| code.to_string()).collect();
    let probe = format!(
        "pages = [{}]\nheaders = {{ {} }}\nstatus = [{}]\nbody = \"{}\"\nhost = \"{}\"",
        vec![path; 16].join(", "),
        headers.join(", "),
        statuses.join(", "),
        "\\u0001".repeat(1024),
        "a".repeat(255),
    );
    let text = DNS_LB
        .replacen("# max_pages = 8", "max_pages = 16", 1)
        .replacen("body_regex = ", "# ", 1)
        .replacen("path = \"/health\"", &probe, 1);
    let Role::DnsLb(dns_lb) = load(&text).role else {
        panic!("another role")
    };
    let service = &dns_lb.services[0];
    let address = Ipv6Addr::from(u128::MAX).into();
    let define = ToProber::Define {
        target: u32::MAX,
        spec: Box::new(spec_of(address, service, &dns_lb.probe_limits)),
    };
    let len = serde_json::to_string(&define).expect("JSON").len();
    assert!((40_000..MAX_LINE).contains(&len), "{len}");
}
