//! Whole files, good and bad: each bad one is an example with one change, and must give exactly one
//! error, at the changed line.

mod bad_common;
mod bad_dns_b;
mod bad_dns_lb;
mod bad_policy;
mod bad_probe;
mod document;
mod many;
mod never_panics;
mod services;

use super::*;

const DNS_B: &str = include_str!("../../../../docs/examples/dns-b.toml");
const DNS_LB: &str = include_str!("../../../../docs/examples/dns-lb.toml");

/// One change to an example, and the one error that it must give.
struct Case {
    /// The example.
    example: &'static str,
    /// Text that stands in the example; its first occurrence is replaced.
    replace: &'static str,
    /// What stands there then.
    with: &'static str,
    /// A piece of the line that the error must name.
    line: &'static str,
    /// Its key path.
    key: &'static str,
    /// Its kind.
    kind: ErrorKind,
    /// A piece of the message or the remedy.
    says: &'static str,
}

impl Case {
    fn text(&self) -> String {
        assert!(self.example.contains(self.replace), "{}", self.replace);
        self.example.replacen(self.replace, self.with, 1)
    }

    fn check(&self) {
        let text = self.text();
        let errors = errors_of(&text);
        let what = format!("{:?} → {:?} gives\n{errors}", self.replace, self.with);
        assert_eq!(errors.0.len(), 1, "{what}");
        let error = &errors.0[0];
        let line = text.lines().nth(error.line - 1).unwrap_or_default();
        assert!(line.contains(self.line), "the wrong line {line:?}: {what}");
        assert_eq!(
            (error.key.as_str(), error.kind),
            (self.key, self.kind),
            "{what}"
        );
        let said = error.to_string();
        assert!(
            said.contains(self.says),
            "{:?} is not said: {what}",
            self.says
        );
        assert!(said.starts_with(&format!("x.toml:{}:{}: ", error.line, error.column)));
        assert!(!error.remedy.is_empty() && !said.contains('\n'), "{what}");
    }
}

/// A shorter way to write a [`Case`].
macro_rules! cases {
    ($example:expr; $($replace:literal => $with:literal, $line:literal, $key:literal, $kind:ident, $says:literal;)*) => {
        [$(Case {
            example: $example,
            replace: $replace,
            with: $with,
            line: $line,
            key: $key,
            kind: ErrorKind::$kind,
            says: $says,
        }),*]
    };
}
use cases;

fn errors_of(text: &str) -> ConfigErrors {
    Config::from_text("x.toml", text).expect_err(text)
}

fn load(text: &str) -> Config {
    Config::from_text("x.toml", text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

#[test]
fn the_examples_load_to_what_they_say() {
    let Role::DnsB(dns_b) = load(DNS_B).role else {
        panic!("role")
    };
    assert_eq!(dns_b.dns_lbs.len(), 2);
    assert_eq!(dns_b.default_dns_lb, 0);
    let services: Vec<_> = dns_b
        .services
        .iter()
        .map(|service| (service.name.to_string(), service.zone, service.form))
        .collect();
    assert_eq!(
        services,
        [
            ("www.g.foo.com.".to_owned(), 0, Form::Referral),
            ("shop.foo.com.".to_owned(), 1, Form::Cname)
        ]
    );
    let config = load(DNS_LB);
    let Role::DnsLb(dns_lb) = config.role else {
        panic!("role")
    };
    assert_eq!(dns_lb.address, config.node.addresses[0]);
    assert_eq!(dns_lb.label, Label::of_node("lb1.isp1.example"));
    let http = crate::probe::spec::Http::new("shop.foo.com", "/health");
    assert_eq!(dns_lb.services[1].probe.kind, ProbeKind::Http(http));
}

/// Keys that are commented out in an example and don't show a default.
const WITHOUT_DEFAULT: [&str; 3] = ["resolv_conf", "control_group", "ca_file"];

#[test]
fn keys_that_are_commented_out_show_their_defaults() {
    for example in [DNS_B, DNS_LB] {
        let uncommented: Vec<_> = example
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                // The other one of two keys, or an example: no default.
                Some(rest) if WITHOUT_DEFAULT.iter().any(|key| rest.starts_with(key)) => line,
                Some(rest)
                    if rest
                        .split_once(" = ")
                        .is_some_and(|(key, _)| !key.contains(' ')) =>
                {
                    rest
                }
                _ => line,
            })
            .collect();
        let uncommented = uncommented.join("\n");
        assert!(uncommented.matches("\nmax_stale = ").count() == 1);
        assert_eq!(
            format!("{:?}", load(&uncommented)),
            format!("{:?}", load(example))
        );
    }
}

#[test]
fn prefixes_are_sorted_longest_first() {
    let more = "[[limit.prefix]]\nprefix = \"198.51.0.0/16\"\nper_second = 1\nburst = 1\n\
                [[limit.prefix]]\nprefix = \"198.51.96.0/20\"\nper_second = 2\nburst = 2\n[map]";
    let limit = load(&DNS_B.replacen("[map]", more, 1)).limit;
    let lengths: Vec<_> = limit
        .prefixes
        .iter()
        .map(|(net, _)| net.prefix_len())
        .collect();
    assert_eq!(lengths, [24, 20, 16]);
}

#[test]
fn names_are_folded_and_zones_found_by_the_longest_match() {
    let nested = "[[zone]]\napex = \"B.g.foo.com\"\nns = [\"ns.elsewhere.example\"]\n\
                  soa = { mname = \"ns.elsewhere.example\", rname = \"a.b\", serial = 7 }\n\
                  [[service]]\nname = \"WWW.b.G.foo.com.\"\nform = \"referral\"\n";
    let text = format!("{DNS_B}\n{nested}").replacen("lb2.isp2", "LB2.isp2", 1);
    let Role::DnsB(dns_b) = load(&text).role else {
        panic!("role")
    };
    let last = dns_b.services.last().expect("three services");
    assert_eq!(
        (last.name.to_string().as_str(), last.zone),
        ("www.b.g.foo.com.", 2)
    );
    assert_eq!(dns_b.dns_lbs[1].name, "lb2.isp2.example");
}

#[test]
fn user_space_needs_no_interfaces() {
    let text = DNS_B.replacen("interfaces = [\"eth0\"]", "datapath = \"userspace\"", 1);
    assert!(load(&text).node.interfaces.is_empty());
}

#[test]
fn the_pin_name_has_no_dot() {
    assert_eq!(load(DNS_B).node.pin_name(), "b1_backbone_example");
}

#[test]
fn a_colliding_label_is_refused() {
    let at = |offset| report::At {
        offset,
        key: format!("dns_lb[{offset}].name"),
    };
    let node = |name: &str, label_of: &str| DnsLbNode {
        name: name.to_owned(),
        address: Ipv4Addr::LOCALHOST,
        address_v6: None,
        backup: None,
        label: Label::of_node(label_of),
    };
    let found = |offset, value| report::Found {
        at: at(offset),
        value,
    };
    let report = report::Report::new("x.toml", "abc");
    let nodes = [
        found(0, node("a", "a")),
        found(1, node("b", "b")),
        found(2, node("c", "a")),
    ];
    dns_lb_nodes::refuse_label_collisions(&report, &nodes);
    let errors = report.into_errors();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].key, "dns_lb[2].name");
    assert!(
        errors[0]
            .message
            .contains("\"c\" has the same label as \"a\"")
    );
}
