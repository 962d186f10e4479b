//! Real resolvers and real tools judge the answers: Unbound and BIND, with QNAME minimisation as
//! the distribution has it, off, relaxed and strict, are led to their DNS-LBs in both forms; `dig`
//! and `kdig` find nothing to complain about in any answer.

use std::{path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use dglb_tests::{
    is_root,
    lab::{
        Host,
        chain::{Chain, Isp, Options},
        client::{Client, SERVICES},
        find_program,
        node::{SHOP, WWW},
        resolver::{Make, Minimisation},
        wait,
    },
};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};

/// Longer than every TTL of the chain's services.
const REFERRAL_TTL_OVER: Duration = Duration::from_secs(6);

#[test]
fn led_as_the_distribution_has_it() -> Result<()> {
    led_with(Minimisation::Unchanged)
}

#[test]
fn led_without_qname_minimisation() -> Result<()> {
    led_with(Minimisation::Off)
}

#[test]
fn led_with_relaxed_qname_minimisation() -> Result<()> {
    led_with(Minimisation::Relaxed)
}

#[test]
fn led_with_strict_qname_minimisation() -> Result<()> {
    led_with(Minimisation::Strict)
}

#[test]
fn dig_and_kdig_accept_every_answer() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let chain = start("lab-dig", Minimisation::Unchanged)?;
    let isp = &chain.isps[0];
    let label = isp.dns_lb.label();
    let dns_b = chain.dns_b.host().address().to_string();
    let dns_lb = isp.dns_lb.host().address().to_string();
    let mut wrong = Vec::new();
    for (server, cases) in [
        (&dns_b, DNS_B_ANSWERS.as_slice()),
        (&dns_lb, DNS_LB_ANSWERS.as_slice()),
    ] {
        for case in cases {
            for tool in ["dig", "kdig"] {
                for option in OPTIONS {
                    let name = case.name.replace('L', &label);
                    let arguments = [&format!("@{server}"), &name, case.record_type, option];
                    if let Err(error) = case.judge(&ask(&isp.resolver, tool, &arguments)?) {
                        wrong.push(format!("{tool} {}: {error:#}", arguments.join(" ")));
                    }
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// An answer of the answer table.
struct Answer {
    /// `L` stands for the label of the DNS-LB.
    name: &'static str,
    record_type: &'static str,
    status: &'static str,
    authoritative: bool,
}

const fn answer(
    name: &'static str,
    record_type: &'static str,
    status: &'static str,
    authoritative: bool,
) -> Answer {
    Answer {
        name,
        record_type,
        status,
        authoritative,
    }
}

const DNS_B_ANSWERS: [Answer; 15] = [
    // b-r
    answer("www.g.foo.com", "A", "NOERROR", false),
    answer("www.g.foo.com", "NS", "NOERROR", false),
    answer("a.b.c.www.g.foo.com", "TXT", "NOERROR", false),
    // b-c-name
    answer("shop.foo.com", "A", "NOERROR", true),
    answer("shop.foo.com", "HTTPS", "NOERROR", true),
    // b-c-label
    answer("L.shop.foo.com", "A", "NOERROR", false),
    answer("x.L.shop.foo.com", "AAAA", "NOERROR", false),
    // b-zone
    answer("g.foo.com", "SOA", "NOERROR", true),
    answer("g.foo.com", "NS", "NOERROR", true),
    answer("shop.foo.com", "SOA", "NOERROR", true),
    answer("www.g.foo.com", "DS", "NOERROR", true),
    answer("ns1.g.foo.com", "A", "NOERROR", true),
    // b-negative
    answer("absent.g.foo.com", "A", "NXDOMAIN", true),
    answer("absent.shop.foo.com", "A", "NXDOMAIN", true),
    // refused
    answer("www.example.com", "A", "REFUSED", false),
];

const DNS_LB_ANSWERS: [Answer; 14] = [
    // lb-address
    answer("www.g.foo.com", "A", "NOERROR", true),
    answer("L.shop.foo.com", "A", "NOERROR", true),
    // lb-nodata
    answer("www.g.foo.com", "AAAA", "NOERROR", true),
    answer("www.g.foo.com", "HTTPS", "NOERROR", true),
    answer("L.shop.foo.com", "TXT", "NOERROR", true),
    // lb-apex
    answer("www.g.foo.com", "NS", "NOERROR", true),
    answer("L.shop.foo.com", "SOA", "NOERROR", true),
    // lb-host
    answer("L.www.g.foo.com", "A", "NOERROR", true),
    answer("ns.L.shop.foo.com", "A", "NOERROR", true),
    answer("ns.L.shop.foo.com", "AAAA", "NOERROR", true),
    // lb-nxdomain
    answer("nope.www.g.foo.com", "A", "NXDOMAIN", true),
    answer("nope.L.shop.foo.com", "A", "NXDOMAIN", true),
    // refused: form C's name itself is the DNS-B's
    answer("shop.foo.com", "A", "REFUSED", false),
    answer("www.example.com", "A", "REFUSED", false),
];

/// Ways to ask that both tools have.
const OPTIONS: [&str; 7] = [
    "+recurse",
    "+dnssec",
    "+noedns",
    "+bufsize=512",
    "+nsid",
    "+subnet=198.51.100.0/24",
    "+tcp",
];

/// What a tool writes when it dislikes an answer.
const COMPLAINTS: [&str; 7] = [
    "warning",
    "malformed",
    "bad packet",
    "mismatch",
    "extra byte",
    "timed out",
    "trailing",
];

impl Answer {
    fn judge(&self, output: &str) -> Result<()> {
        // That is said of every authoritative server, and true.
        let lower = output
            .to_lowercase()
            .replace("warning: recursion requested but not available", "");
        for complaint in COMPLAINTS {
            ensure!(!lower.contains(complaint), "it complains:\n{output}");
        }
        let status = format!("status: {}", self.status.to_lowercase());
        ensure!(lower.contains(&status), "should be {status}:\n{output}");
        let (_, flags) = lower.split_once(";; flags:").context("no flags")?;
        let (flags, _) = flags.split_once(';').context("no end of flags")?;
        let authoritative = flags.split_whitespace().any(|flag| flag == "aa");
        ensure!(
            authoritative == self.authoritative,
            "AA should be {}:\n{output}",
            self.authoritative
        );
        Ok(())
    }
}

fn ask(host: &Host, tool: &str, arguments: &[&str]) -> Result<String> {
    let mut command = host.command(find_program(tool)?);
    let output = command.args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr))
}

fn start(prefix: &str, minimisation: Minimisation) -> Result<Chain> {
    let options = Options {
        prefix,
        demo_binary: Path::new(env!("CARGO_BIN_EXE_dglb-demo")),
        minimisation,
    };
    Chain::start(options, |_| {})
}

fn led_with(minimisation: Minimisation) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let chain = start("lab-led", minimisation)?;
    for isp in &chain.isps {
        check_led(&chain, isp)?;
        check_accepted(&chain, isp)?;
    }
    thread::sleep(REFERRAL_TTL_OVER);
    for isp in &chain.isps {
        check_led(&chain, isp).context("after the referral's TTL")?;
        if isp.make == Make::Bind {
            let log = isp.resolver_daemon.log();
            assert!(!log.contains("format error"), "BIND complains:\n{log}");
        }
    }
    check_answered_in_xdp(&chain)
}

/// Both services lead the client by its own DNS-LB to its own best site.
fn check_led(chain: &Chain, isp: &Isp) -> Result<()> {
    let client = Client::of(chain, isp);
    for service in &SERVICES {
        let seen = client.observe(service)?;
        assert_eq!(seen.dns_lb, isp.dns_lb.name(), "{} {service:?}", isp.name);
        assert_eq!(seen.site, isp.best_site, "{} {service:?}", isp.name);
        assert!(seen.page_ok, "{} {service:?}", isp.name);
    }
    Ok(())
}

/// What else can be asked reaches the client as what it is, and never as SERVFAIL.
fn check_accepted(chain: &Chain, isp: &Isp) -> Result<()> {
    let client = Client::of(chain, isp);
    let label = isp.dns_lb.label();
    let below_label = format!("{label}.{SHOP}");
    let no_data = [
        RecordType::AAAA,
        RecordType::TXT,
        RecordType::MX,
        RecordType::HTTPS,
        RecordType::SRV,
    ];
    for name in ["www.foo.com", WWW, SHOP, &below_label] {
        for record_type in no_data {
            let answer = client.ask(name, record_type)?;
            expect(isp, name, record_type, &answer, ResponseCode::NoError);
            let data = answer
                .answers
                .iter()
                .any(|record| record.record_type() == record_type);
            assert!(!data, "{}: {name} has {record_type}", isp.name);
        }
    }
    for (name, record_type) in [
        (below_label.as_str(), RecordType::A),
        (WWW, RecordType::NS),
        (WWW, RecordType::SOA),
        (SHOP, RecordType::NS),
        (SHOP, RecordType::SOA),
        ("g.foo.com", RecordType::SOA),
        ("ns1.g.foo.com", RecordType::A),
    ] {
        let answer = client.ask(name, record_type)?;
        expect(isp, name, record_type, &answer, ResponseCode::NoError);
        assert!(
            !answer.answers.is_empty(),
            "{}: no {name} {record_type}",
            isp.name
        );
    }
    for name in [
        format!("nope.{WWW}"),
        format!("a.b.c.{WWW}"),
        format!("nope.{below_label}"),
        format!("nope.{SHOP}"),
        "nope.g.foo.com".to_owned(),
    ] {
        let answer = client.ask(&name, RecordType::A)?;
        expect(isp, &name, RecordType::A, &answer, ResponseCode::NXDomain);
    }
    Ok(())
}

fn expect(isp: &Isp, name: &str, record_type: RecordType, answer: &Message, code: ResponseCode) {
    assert_eq!(
        answer.metadata.response_code,
        code,
        "{} answers {name} {record_type}",
        isp.make.name()
    );
}

/// Every answer of the six rows that XDP has came from there.
fn check_answered_in_xdp(chain: &Chain) -> Result<()> {
    let dns_b = chain.dns_b.stats()?;
    let rows = ["b-r", "b-c-name", "b-c-label"].map(|row| (&dns_b, row));
    let dns_lbs = chain
        .isps
        .iter()
        .map(|isp| isp.dns_lb.stats())
        .collect::<Result<Vec<_>>>()?;
    let lb_rows = dns_lbs
        .iter()
        .flat_map(|stats| ["lb-address", "lb-nodata", "lb-nxdomain"].map(|row| (stats, row)));
    for (stats, row) in rows.into_iter().chain(lb_rows) {
        let counted = stats.row(row).with_context(|| format!("no row {row}"))?;
        assert!(counted.xdp > 0, "{} {row}: none in XDP", stats.node);
        assert_eq!(counted.user, 0, "{} {row}: some in user space", stats.node);
    }
    Ok(())
}

#[test]
fn a_second_chain_waits_for_its_turn() -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let first = start("lab-turn", Minimisation::Unchanged)?;
    thread::scope(|scope| {
        let (told, waits) = std::sync::mpsc::sync_channel(64);
        let second = scope.spawn(move || {
            let options = Options {
                prefix: "lab-turn",
                demo_binary: Path::new(env!("CARGO_BIN_EXE_dglb-demo")),
                minimisation: Minimisation::Unchanged,
            };
            Chain::start(options, |progress| {
                told.send(format!("{progress:?}")).unwrap_or_default();
            })
        });
        let step = waits.recv_timeout(Duration::from_secs(60))?;
        assert!(step.starts_with("Waiting"), "{step}");
        wait::until("the first chain is whole", Duration::from_secs(5), || {
            first.check_ready()
        })?;
        drop(first);
        second.join().expect("no panic").map(drop)
    })
}
