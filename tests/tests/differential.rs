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

/// The rows that the kernel claims, for either role.
const CLAIMED: [(&str, &[Counter]); 2] = [
    ("dns-b", &[Counter::BR, Counter::BCName, Counter::BCLabel]),
    (
        "dns-lb",
        &[Counter::LbAddress, Counter::LbNodata, Counter::LbNxdomain],
    ),
];

/// Frames a role.
const FRAMES: usize = 12_000;

fn answerer(model: &Model) -> Answerer {
    let tables = Arc::new(RwLock::new(model.tables()));
    Answerer::new(Arc::new(model.config.clone()), tables)
}

/// Runs frames of one node through `path` and holds every outcome against user space and oracle.
/// Gives the answers of `path` by row.
fn compare(model: &Model, path: &mut dyn DataPath, seed: u64) -> BTreeMap<Counter, usize> {
    let answerer = answerer(model);
    let mut rows = BTreeMap::new();
    for frame in Frames::new(model, seed).take(FRAMES) {
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

fn check_quotas(rows: &BTreeMap<Counter, usize>, claimed: &[Counter]) {
    let claimed_answers: usize = claimed.iter().filter_map(|row| rows.get(row)).sum();
    assert!(
        claimed_answers * 10 >= FRAMES * 3,
        "answered in claimed rows: {rows:?}"
    );
    for row in claimed {
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
    for (model, (role, claimed)) in [world::dns_b(), world::dns_lb()].into_iter().zip(CLAIMED) {
        let rows = compare(&model, &mut UserSpace(answerer(&model)), 0x0dd0_57a7);
        println!("{role}: {rows:?}");
        check_quotas(&rows, claimed);
    }
}

#[test]
fn the_kernel_says_what_user_space_says() {
    if !dglb_tests::is_root() {
        return;
    }
    for (model, (role, claimed)) in [world::dns_b(), world::dns_lb()].into_iter().zip(CLAIMED) {
        let kernel = Kernel::load(&model.tables(), &model.config.role, None);
        let mut path = InKernel(kernel.expect("the program loads"));
        let rows = compare(&model, &mut path, 0x0dd0_57a7);
        let counters = path.0.counters().expect("counters are there");
        println!("{role}: {rows:?}, {counters:?}");
        check_quotas(&rows, claimed);
        for row in claimed {
            assert_eq!(
                row.of(&counters) as usize,
                rows[row],
                "counter of {}",
                row.name()
            );
        }
    }
}
