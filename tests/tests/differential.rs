//! The same frames through two data paths: what the kernel program answers, user space answers with
//! the same octets; what it passes is unaltered; and each answer says what the oracle says.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use dglb_common::counters::Counter;
use dglb_tests::{
    frames::{Frame, Frames},
    model::Model,
    oracle, world,
};
use dglb_user::{
    answer::{Answered, Answerer},
    kernel::Kernel,
};

/// Where the frames begin; any other is as good.
const SEED: u64 = 0x0dd0_57a7;

/// What happened to a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed to the stack, as it left the data path.
    Pass(Vec<u8>),
    /// Dropped.
    Drop,
    /// Answered with this frame.
    Reply(Vec<u8>),
}

/// What answers frames.
pub trait DataPath {
    /// Runs one frame through.
    fn run(&mut self, frame: &[u8]) -> Verdict;
}

/// Answer function of user space as a data path.
struct UserSpace(Answerer);

impl DataPath for UserSpace {
    fn run(&mut self, frame: &[u8]) -> Verdict {
        match self.0.answer_frame(frame) {
            Some(answered) => Verdict::Reply(answered.octets),
            None => Verdict::Pass(frame.to_vec()),
        }
    }
}

/// The XDP program as a data path, run frame by frame (`BPF_PROG_TEST_RUN`).
struct InKernel(Kernel);

impl DataPath for InKernel {
    fn run(&mut self, frame: &[u8]) -> Verdict {
        /// The kernel refuses to test-run less than an Ethernet header (EINVAL).
        const SHORTEST: usize = 14;
        if frame.len() < SHORTEST {
            return Verdict::Pass(frame.to_vec());
        }
        let (verdict, octets) = self.0.test_run(frame).expect("the program runs");
        match verdict {
            XDP_PASS => Verdict::Pass(octets),
            XDP_DROP => Verdict::Drop,
            XDP_TX => Verdict::Reply(octets),
            other => panic!("verdict {other}"),
        }
    }
}

/// `enum xdp_action` (linux/bpf.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// A node that is tried.
struct Case {
    about: &'static str,
    model: Model,
    /// The rows that the kernel claims at it.
    claimed: &'static [Counter],
    frames: usize,
}

/// Nodes of either role; with many services the oracle takes its time.
fn cases() -> [Case; 4] {
    const B: &[Counter] = &[Counter::BR, Counter::BCName, Counter::BCLabel];
    const LB: &[Counter] = &[Counter::LbAddress, Counter::LbNodata, Counter::LbNxdomain];
    let case = |about, model, claimed, frames| Case {
        about,
        model,
        claimed,
        frames,
    };
    let large_b = world::with_many_services(world::dns_b());
    let large_lb = world::with_many_services(world::dns_lb());
    [
        case("dns-b", world::dns_b(), B, 12_000),
        case("dns-lb", world::dns_lb(), LB, 12_000),
        // Its names of form R leave little to the others.
        case("large dns-b", large_b, &B[..1], 3000),
        case("large dns-lb", large_lb, LB, 3000),
    ]
}

fn answerer(model: &Model) -> Answerer {
    let tables = Arc::new(RwLock::new(model.tables()));
    Answerer::new(Arc::new(model.config.clone()), tables)
}

/// Runs frames of one node through `path` and holds every outcome against user space and oracle.
/// Gives the answers of `path` by row.
fn compare(case: &Case, path: &mut dyn DataPath, seed: u64) -> BTreeMap<Counter, usize> {
    let model = &case.model;
    let answerer = answerer(model);
    let mut rows = BTreeMap::new();
    for frame in Frames::new(model, seed).take(case.frames) {
        let own = answerer.answer_frame(&frame.octets);
        if let Some(answered) = &own {
            let judged = oracle::frame::judge_reply(model, &frame.octets, &answered.octets);
            assert_eq!(
                judged,
                Ok(answered.counter),
                "{}",
                show(&frame, own.as_ref())
            );
        }
        match path.run(&frame.octets) {
            Verdict::Reply(reply) => {
                let answered = own.as_ref().map(|answered| &answered.octets);
                let about = show(&frame, own.as_ref());
                assert_eq!(Some(&reply), answered, "{about}");
                let row = own.expect("just compared").counter;
                *rows.entry(row).or_insert(0) += 1;
            }
            Verdict::Pass(passed) => {
                assert_eq!(passed, frame.octets, "passed altered: {}", frame.about);
            }
            Verdict::Drop => panic!("dropped: {}", show(&frame, own.as_ref())),
        }
    }
    rows
}

fn show(frame: &Frame, answered: Option<&Answered>) -> String {
    let answered = answered.map(|answered| (answered.counter, hex(&answered.octets)));
    format!(
        "{}\n  frame {}\n  user space {answered:?}",
        frame.about,
        hex(&frame.octets)
    )
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn check_quotas(rows: &BTreeMap<Counter, usize>, case: &Case) {
    let claimed_answers: usize = case.claimed.iter().filter_map(|row| rows.get(row)).sum();
    assert!(
        claimed_answers * 10 >= case.frames * 3,
        "answered in claimed rows: {rows:?}"
    );
    for row in case.claimed {
        let answers = rows.get(row).copied().unwrap_or(0);
        assert!(
            answers >= 100,
            "{}: only {answers} answers of {rows:?}",
            row.name()
        );
    }
}

#[test]
fn user_space_says_what_the_oracle_says() {
    for case in cases() {
        let rows = compare(&case, &mut UserSpace(answerer(&case.model)), SEED);
        println!("{}: {rows:?}", case.about);
        check_quotas(&rows, &case);
    }
}

#[test]
fn the_kernel_says_what_user_space_says() {
    if !dglb_tests::is_root() {
        return;
    }
    for case in cases() {
        let kernel = Kernel::load(&case.model.tables(), &case.model.config.role, None);
        let mut path = InKernel(kernel.expect("the program loads"));
        let rows = compare(&case, &mut path, SEED);
        let counters = path.0.counters().expect("counters are there");
        println!("{}: {rows:?}, {counters:?}", case.about);
        check_quotas(&rows, &case);
        for row in case.claimed {
            let counted = row.of(&counters) as usize;
            assert_eq!(counted, rows[row], "counter of {}", row.name());
        }
    }
}

/// The verifier gives up at a million instructions (`BPF_COMPLEXITY_LIMIT_INSNS`, kernel 5.2). Other
/// kernels count otherwise, so a good part of it stays free.
const MOST_VERIFIED: u32 = 100_000;

#[test]
fn the_verifier_has_room_left() {
    if !dglb_tests::is_root() {
        return;
    }
    let model = world::dns_b();
    let kernel = Kernel::load(&model.tables(), &model.config.role, None);
    let mut kernel = kernel.expect("the program loads");
    let program = kernel.program().expect("it is there");
    let info = program.info().expect("it is loaded");
    let verified = info
        .verified_instruction_count()
        .expect("kernel 5.16 says it");
    println!("verified instructions: {verified}");
    assert!(verified > 0 && verified < MOST_VERIFIED, "{verified}");
}
