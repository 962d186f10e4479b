//! What holds for any octets; in the modules, what each row, option and layer has of its own. Each row's
//! answers are tested once more in the `dglb-tests` crate, with an oracle.

mod layers;
mod options;
mod rows;
mod sizes;
mod subnet;
mod walk;
mod world;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, RwLock},
};

use dglb_common::{counters::Counter, layout::Secret};
use hickory_proto::op::{Message, ResponseCode};
use proptest::prelude::*;

use super::*;
use crate::publish::{
    build::{Restored, build},
    first_servings,
};

const SOURCE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 53);
const SECRET: Secret = Secret {
    seed_a: 1,
    seed_b: 2,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// The node of an example file, its sites ranked as they stand there.
pub(crate) fn example(file: &str) -> Answerer {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let config = Config::load(&examples.join(file)).expect("an example that holds");
    let mut built = build(&config, SECRET, &Restored::default()).expect("fits");
    first_servings(&mut built, &HashMap::new()).expect("room");
    Answerer::new(Arc::new(config), Arc::new(RwLock::new(built.tables)))
}

/// A query for A of `name` without OPT.
pub(crate) fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn frame(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&[8, 0]);
    let total = 28 + message.len() as u16;
    let mut ip = vec![
        0x45,
        0,
        (total >> 8) as u8,
        total as u8,
        0,
        0,
        0,
        0,
        64,
        17,
        0,
        0,
    ];
    ip.extend_from_slice(&SOURCE.octets());
    ip.extend_from_slice(&[192, 0, 2, 53]);
    let sum = !dglb_common::checksum::of(&ip);
    ip[10..12].copy_from_slice(&sum.to_ne_bytes());
    frame.extend_from_slice(&ip);
    let len = 8 + message.len() as u16;
    frame.extend_from_slice(&[0x30, 0, 0, 53, (len >> 8) as u8, len as u8, 0, 0]);
    frame.extend_from_slice(message);
    frame
}

proptest! {
    #[test]
    fn any_octets_are_answered_readably_or_not_at_all(
        octets in proptest::collection::vec(any::<u8>(), 0..600), is_b in any::<bool>(),
    ) {
        let answerer = example(if is_b { "dns-b.toml" } else { "dns-lb.toml" });
        let _ = answerer.answer_frame(&octets);
        for transport in [Transport::Udp, Transport::Tcp] {
            if let Some(answered) = answerer.answer_message(&octets, SOURCE.into(), transport) {
                prop_assert!(Message::from_vec(&answered.octets).is_ok());
                if transport == Transport::Udp {
                    let headers = 20 + 8;
                    let (sent, got) = (headers + octets.len(), headers + answered.octets.len());
                    prop_assert!(got <= 3 * sent, "{got} octets for {sent}");
                }
            }
        }
    }

    #[test]
    fn a_query_with_any_tail_is_answered(
        tail in proptest::collection::vec(any::<u8>(), 0..80), flags in any::<[u8; 2]>(),
        counts in any::<[u8; 4]>(), name in "(www\\.|shop\\.|lb0{13}\\.|[a-zA-Z]{1,9}\\.){0,4}(g\\.)?foo\\.com",
    ) {
        let answerer = example("dns-b.toml");
        let mut message = query(7, &name);
        message[2..4].copy_from_slice(&flags);
        for (at, count) in [5, 7, 9, 11].into_iter().zip(counts) {
            message[at] = count % 3;
        }
        message.extend_from_slice(&tail);
        let answered = answerer.answer_message(&message, SOURCE.into(), Transport::Udp);
        prop_assert_eq!(answered.is_some(), flags[0] & 0x80 == 0);
        if let Some(answered) = answered {
            prop_assert!(answered.octets.len() <= 1232);
            prop_assert!(Message::from_vec(&answered.octets).is_ok());
        }
    }

    #[test]
    fn what_follows_the_packet_and_what_the_stack_rewrites_change_nothing(
        padding in proptest::collection::vec(any::<u8>(), 0..60), ttl in any::<u8>(), id in any::<u16>(),
    ) {
        let answerer = example("dns-b.toml");
        let sound = frame(&query(7, "www.g.foo.com"));
        let expected = answerer.answer_frame(&sound).expect("sound");
        let mut other = sound.clone();
        other[18..20].copy_from_slice(&id.to_be_bytes());
        other[22] = ttl;
        other[24..26].fill(0);
        let sum = !dglb_common::checksum::of(&other[14..34]);
        other[24..26].copy_from_slice(&sum.to_ne_bytes());
        other.extend_from_slice(&padding);
        prop_assert_eq!(answerer.answer_frame(&other), Some(expected));
    }
}

#[test]
fn a_cut_frame_is_never_answered() {
    let answerer = example("dns-b.toml");
    let sound = frame(&query(7, "www.g.foo.com"));
    assert!(answerer.answer_frame(&sound).is_some());
    for len in 0..sound.len() {
        assert_eq!(answerer.answer_frame(&sound[..len]), None, "{len} octets");
    }
}

#[test]
fn a_cut_message_is_malformed_and_a_cut_header_is_ignored() {
    let answerer = example("dns-b.toml");
    let sound = query(7, "www.g.foo.com");
    for len in 0..sound.len() {
        let answered = answerer.answer_message(&sound[..len], SOURCE.into(), Transport::Udp);
        if len < 12 {
            assert_eq!(answered, None, "{len} octets");
            continue;
        }
        let answered = answered.expect("a header came");
        let message = Message::from_vec(&answered.octets).expect("readable");
        let seen = (
            answered.counter,
            message.metadata.response_code,
            message.queries.len(),
        );
        assert_eq!(
            seen,
            (Counter::Error, ResponseCode::FormErr, 0),
            "{len} octets"
        );
    }
}

#[test]
fn tables_whose_writer_panicked_are_still_answered_from() {
    let answerer = Arc::new(example("dns-b.toml"));
    let tables = Arc::clone(&answerer.tables);
    let writer = std::thread::spawn(move || {
        let _held = tables.write().expect("not poisoned yet");
        panic!("a writer's fault");
    });
    assert!(writer.join().is_err() && answerer.tables.is_poisoned());
    let query = query(7, "www.g.foo.com");
    let answered = answerer.answer_message(&query, SOURCE.into(), Transport::Udp);
    assert_eq!(answered.map(|answered| answered.counter), Some(Counter::BR));
}
