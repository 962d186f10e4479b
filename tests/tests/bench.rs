//! The benchmark runs, and does not print figures of answers that are wrong, limited or passed up.

use dglb_common::counters::Counter;
use dglb_tests::bench::{
    self, Options,
    measure::{self, Measure, RAISED},
    report::Report,
};
use dglb_user::config::Rate;

const SHORT: Options = Options {
    rounds: 2,
    frames: 20_000,
    rate: RAISED,
};

/// Runs the reflector and these.
fn run(measures: &[Measure], options: Options) -> anyhow::Result<Report> {
    let (reflector, _) = measure::all().expect("user space and oracle agree");
    bench::run(&reflector, measures, options, |_| {})
}

/// Runs one measure after `spoil`; gives the error.
fn spoilt(name: &str, spoil: impl FnOnce(&mut Measure)) -> String {
    let (_, measures) = measure::all().expect("user space and oracle agree");
    let named = measures.into_iter().find(|measure| measure.name == name);
    let mut measure = named.expect("a measure of this name");
    spoil(&mut measure);
    let error = run(&[measure], SHORT).expect_err("what is planted is noticed");
    format!("{error:#}")
}

#[test]
fn every_measure_runs_and_every_reply_is_right() {
    if !dglb_tests::is_root() {
        return;
    }
    let (_, measures) = measure::all().expect("user space and oracle agree");
    let report = run(&measures, SHORT).expect("all checks hold");
    let names: Vec<_> = report.measures.iter().map(|figures| figures.name).collect();
    assert_eq!(
        names,
        ["lb-a", "lb-a-edns", "b-referral", "b-cname", "lb-nodata"]
    );
    for figures in &report.measures {
        assert_eq!(figures.rounds, 2);
        assert!(figures.mpps > 0.0 && figures.share > 0.0, "{figures:?}");
    }
}

#[test]
fn a_wrong_octet_is_noticed_wherever_it_is() {
    if !dglb_tests::is_root() {
        return;
    }
    let (_, measures) = measure::all().expect("user space and oracle agree");
    let replies = measures.iter().find(|measure| measure.name == "b-referral");
    let len = replies.expect("the referral").reply.len();
    // MAC address, IPv4 checksum, RCODE, UDP checksum; the question; the records; the last.
    let in_the_head = [0, 24, 45, 40];
    let sampled = [65, 100, len - 2, len - 1];
    for (at, all) in in_the_head
        .map(|at| (at, true))
        .into_iter()
        .chain(sampled.map(|at| (at, false)))
    {
        let error = spoilt("b-referral", |measure| measure.reply[at] ^= 1);
        let wrong = if all { 20_000 } else { 20_000 / 64 };
        let expected = format!("b-referral, round 1: {wrong} of 20000 replies are wrong");
        assert!(error.contains(&expected), "octet {at}: {error}");
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
        let error = spoilt("lb-a", |measure| spoil(&mut measure.reply));
        assert!(
            error.contains("20000 of 20000 replies are wrong"),
            "{error}"
        );
    }
}

#[test]
fn a_limited_query_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let (_, measures) = measure::all().expect("user space and oracle agree");
    let low = Rate {
        per_second: 1000,
        burst: 2000,
    };
    let error = run(&measures[..1], Options { rate: low, ..SHORT }).expect_err("limited");
    let error = format!("{error:#}");
    assert!(error.contains("were dropped for limited"), "{error}");
}

#[test]
fn a_query_that_is_passed_up_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let cases: [(usize, u8, &str); 3] =
        [(37, 54, "not-dns"), (44, 0x80, "form"), (55, b'x', "name")];
    for (at, octet, reason) in cases {
        let error = spoilt("lb-a", |measure| measure.query[at] = octet);
        let expected = format!("of 20000 queries 20000 were passed up for {reason}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn an_answer_of_another_row_fails_the_run() {
    if !dglb_tests::is_root() {
        return;
    }
    let error = spoilt("lb-a", |measure| measure.row = Some(Counter::LbNodata));
    assert!(
        error.contains("20000 were answered as lb-address"),
        "{error}"
    );
}

#[test]
fn too_little_to_measure_is_refused() {
    for (rounds, frames, said) in [(0, 20_000, "no rounds"), (1, 100, "too few")] {
        let options = Options {
            rounds,
            frames,
            ..SHORT
        };
        let error = run(&[], options).expect_err("refused").to_string();
        assert!(error.contains(said), "{error}");
    }
}
