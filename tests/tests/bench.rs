//! The benchmark runs, and does not print figures of answers that are wrong, lost, limited or passed
//! up.

use std::sync::LazyLock;

use dglb_common::counters::Counter;
use dglb_tests::bench::{self, Options, Plan, report::Report, servers::RAISED, stream::Stream};
use dglb_user::config::Rate;

const FRAMES: u32 = 20_000;

const SHORT: Options = Options {
    rounds: 2,
    frames: FRAMES,
    rate: RAISED,
    million: SOME,
};

/// Fewer than a million.
const SOME: Option<(usize, usize)> = Some((2000, 1000));

/// The whole plan; it is made once for all tests that need no other options.
fn all(options: Options) -> Plan {
    static SHORT_PLAN: LazyLock<Plan> = LazyLock::new(|| make(SHORT));
    fn make(options: Options) -> Plan {
        Plan::all(options).expect("user space and oracle agree")
    }
    if options.rate == SHORT.rate {
        SHORT_PLAN.clone()
    } else {
        make(options)
    }
}

/// The plan, with this one measure alone.
fn only(name: &str, options: Options) -> Plan {
    let mut plan = all(options);
    plan.shares.retain(|measure| measure.name == name);
    assert_eq!(plan.shares.len(), 1, "{name}");
    plan.shapes.clear();
    plan.repeated.clear();
    plan.two_queues = false;
    plan
}

fn run(plan: &Plan) -> anyhow::Result<Report> {
    bench::run(plan, |_| {})
}

/// Runs what is planned; gives the error.
fn error(plan: &Plan) -> String {
    let error = run(plan).expect_err("what is planted is noticed");
    format!("{error:#}")
}

/// Runs one measure after `spoil`; gives the error.
fn spoilt(name: &str, spoil: impl FnOnce(&mut Stream)) -> String {
    let mut plan = only(name, SHORT);
    spoil(&mut plan.shares[0].stream);
    error(&plan)
}

#[test]
fn every_measure_runs_and_every_reply_is_right() {
    if !dglb_tests::is_root() {
        return;
    }
    let plan = all(SHORT);
    let report = run(&plan).expect("all checks hold");
    let names: Vec<_> = report.measures.iter().map(|figures| figures.name).collect();
    for name in [
        "lb-a",
        "lb-a-edns",
        "lb-a-names",
        "b-referral",
        "b-cname",
        "b-referral-1m-uniform",
        "b-referral-1m-zipf",
        "lb-nodata",
        "net-answer",
        "net-pass-dns",
        "net-pass-other",
        "worst-name",
    ] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    for figures in &report.measures {
        assert_eq!(figures.rounds, 2);
        assert!(bench::bars::of(figures.name).is_some(), "{figures:?}");
        assert!(
            figures.share.is_some() || figures.net_ns.is_some(),
            "{figures:?}"
        );
        assert_eq!(
            figures.mpps.is_some(),
            figures.share.is_some() && figures.net_ns.is_some()
        );
    }
}

#[test]
fn a_wrong_octet_is_noticed_wherever_it_is() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut plan = only("b-referral", SHORT);
    let right = plan.shares[0].stream.clone();
    // MAC address, TTL, UDP length, RCODE, a count; the question's end.
    for at in [0, 22, 39, 45, 51, 63] {
        plan.shares[0].stream.reply[at] ^= 1;
        let error = error(&plan);
        let expected = format!("round 1: b-referral: {FRAMES} of {FRAMES} replies are wrong");
        assert!(error.contains(&expected), "octet {at}: {error}");
        plan.shares[0].stream = right.clone();
    }
    // The question's type and class, the records.
    for at in [71, 72, 100, right.reply.len() - 9] {
        plan.shares[0].stream.reply[at] ^= 1;
        let error = error(&plan);
        assert!(
            error.contains("b-referral: a sample is wrong"),
            "octet {at}: {error}"
        );
        plan.shares[0].stream = right.clone();
    }
}

#[test]
fn one_wrong_reply_among_thousands_is_noticed() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut plan = only("lb-a", SHORT);
    let right = plan.shares[0].stream.clone();
    // The stream begins anew after so many queries.
    let times = u64::from(FRAMES).div_ceil(right.entries.len() as u64);
    assert_eq!(times, 5);
    let spoils: [fn(&mut dglb_common::bench::Entry); 4] = [
        |entry| entry.reply_ip_check ^= 1,
        |entry| entry.reply_udp_check ^= 1,
        |entry| entry.tail ^= 1 << 63,
        |entry| entry.tail ^= 1,
    ];
    for spoil in spoils {
        spoil(&mut plan.shares[0].stream.entries[7]);
        let error = error(&plan);
        let expected = format!("{times} of {FRAMES} replies are wrong");
        assert!(error.contains(&expected), "{error}");
        plan.shares[0].stream = right.clone();
    }
}

#[test]
fn a_reply_of_another_length_is_noticed() {
    if !dglb_tests::is_root() {
        return;
    }
    for spoil in [
        |reply: &mut Vec<u8>| reply.push(0),
        |reply: &mut Vec<u8>| {
            reply.pop();
        },
    ] {
        let error = spoilt("lb-a", |stream| spoil(&mut stream.reply));
        let expected = format!("{FRAMES} of {FRAMES} replies are wrong");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn another_name_in_the_answer_is_noticed() {
    if !dglb_tests::is_root() {
        return;
    }
    // The answer must echo the name that was asked, not that of the query before it.
    let mut plan = only("lb-a-names", SHORT);
    let entries = &mut plan.shares[0].stream.entries;
    entries[9].reply_udp_check = entries[8].reply_udp_check;
    assert!(error(&plan).contains(&format!("1 of {FRAMES} replies are wrong")));
}

#[test]
fn a_referral_to_another_dns_lb_is_noticed() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut plan = only("b-referral-1m-zipf", SHORT);
    let entries = &mut plan.shares[0].stream.entries;
    let differs = |entry: &dglb_common::bench::Entry| entry.tail != entries[0].tail;
    let other = entries.iter().position(differs).expect("several DNS-LBs");
    entries[other].tail = entries[0].tail;
    assert!(error(&plan).contains(&format!("1 of {FRAMES} replies are wrong")));
}

#[test]
fn a_lost_reply_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    // The reflector, which is asked first and counts nothing, sends only UDP back.
    let error = spoilt("lb-a", |stream| stream.query[23] = 6);
    let expected = format!("lb-a, the reflector: {FRAMES} queries were sent, 0 replies came back");
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn a_limited_query_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let rate = Rate {
        per_second: 1000,
        burst: 2000,
    };
    let options = Options {
        rate,
        million: None,
        ..SHORT
    };
    let error = error(&only("lb-a", options));
    assert!(error.contains("were dropped for limited"), "{error}");
}

#[test]
fn a_query_that_is_passed_up_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let cases: [(usize, u8, &str); 2] = [(37, 54, "not-dns"), (44, 0x80, "form")];
    for (at, octet, reason) in cases {
        let error = spoilt("lb-a", |stream| stream.query[at] = octet);
        let expected = format!("of {FRAMES} queries {FRAMES} were passed up for {reason}");
        assert!(error.contains(&expected), "{error}");
    }
    // One query of the stream alone.
    let error = spoilt("lb-a", |stream| stream.entries[3].name ^= 1 << 16);
    assert!(
        error.contains("queries 5 were passed up for name"),
        "{error}"
    );
}

#[test]
fn an_answer_of_another_row_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut plan = only("lb-a", SHORT);
    plan.shares[0].row = Counter::LbNodata;
    let error = error(&plan);
    let expected = format!("{FRAMES} were answered as lb-address");
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn what_is_repeated_is_checked_too() {
    if !dglb_tests::is_root() {
        return;
    }
    let mut plan = all(SHORT);
    let answered = plan.shares[0].stream.query.clone();
    plan.shares.clear();
    plan.shapes.clear();
    let right = plan.repeated[0].clone();
    plan.repeated.truncate(1);
    plan.repeated[0].reason = Counter::PassedForm;
    assert!(error(&plan).contains("net-pass-dns: of 40000 queries 40000 were passed up for name"));
    plan.repeated[0] = right;
    plan.repeated[0].frame = answered;
    // Of 40,000 runs the first answers, and the others pass the answer up.
    assert!(error(&plan).contains("net-pass-dns: the frame was altered"));
}

#[test]
fn too_little_to_measure_is_refused() {
    for (rounds, frames, said) in [(0, 20_000, "no rounds"), (1, 100, "too few")] {
        let plan = Plan {
            options: Options {
                rounds,
                frames,
                ..SHORT
            },
            servers: Default::default(),
            shares: Vec::new(),
            shapes: Vec::new(),
            repeated: Vec::new(),
            two_queues: false,
        };
        let error = run(&plan).expect_err("refused").to_string();
        assert!(error.contains(said), "{error}");
    }
}
