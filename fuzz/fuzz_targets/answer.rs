//! Any message through the answer function of user space; the oracle judges what it says. The first octet
//! chooses the node and who asks.
//!
//! `cargo +nightly fuzz run answer`, in this directory's parent.
#![no_main]

use std::sync::LazyLock;

use dglb_tests::{
    fuzz::{
        case::{self, Case},
        path,
    },
    oracle, world,
};
use dglb_user::answer::{Answerer, Transport};
use libfuzzer_sys::fuzz_target;

static NODES: LazyLock<Vec<(Case, Answerer)>> = LazyLock::new(|| {
    let cases = case::all().into_iter();
    cases
        .map(|case| {
            let answerer = path::answerer(&case.model);
            (case, answerer)
        })
        .collect()
});

fuzz_target!(|octets: &[u8]| {
    let Some((choice, message)) = octets.split_first() else {
        return;
    };
    let choice = usize::from(*choice);
    let (case, answerer) = &NODES[choice % NODES.len()];
    let sources = [
        world::STRANGER.into(),
        world::SENDER.into(),
        world::SENDER_V6.into(),
        world::RESOLVER_5_V6.into(),
    ];
    let source = sources[choice / NODES.len() % sources.len()];
    let answered = answerer.answer_message(message, source, Transport::Udp);
    let octets = answered.as_ref().map(|answered| &*answered.octets);
    let row = answered.as_ref().map(|answered| answered.counter);
    let judged = oracle::judge(&case.model, source, oracle::Transport::Udp, message, octets);
    assert_eq!(judged, Ok(row), "{}", case.name);
});
