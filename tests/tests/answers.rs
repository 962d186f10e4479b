//! The answer table, row by row: a sentence, a question, the response.
//!
//! In names and records `{1}` to `{3}` stand for the labels of the model's DNS-LBs, `{u}` for a
//! well-formed label that nobody has, `{soa}` for the SOA's values.

mod fixtures;

use std::{
    net::Ipv4Addr,
    sync::{Arc, RwLock},
};

use dglb_tests::{
    model::Model,
    oracle,
    world::{self, UNKNOWN_LABEL, label},
};
use dglb_user::answer::{Answered, Answerer, Transport};
use fixtures::{Fixture, Node};
use hickory_proto::{op::Message, rr::Record};

fn answerer(model: &Model) -> Answerer {
    let tables = Arc::new(RwLock::new(model.tables()));
    Answerer::new(Arc::new(model.config.clone()), tables)
}

fn filled(text: &str) -> String {
    let soa = "ns1.g.foo.com. hostmaster.foo.com. 2026112401 3600 600 1209600 300";
    let mut text = text.replace("{soa}", soa).replace("{u}", UNKNOWN_LABEL);
    for index in 0..3 {
        text = text.replace(&format!("{{{}}}", index + 1), &label(index).to_string());
    }
    text
}

/// A query for `name TYPE`; the type may be TYPEn (RFC 3597 §5).
fn query(ask: &str) -> Vec<u8> {
    let ask = filled(ask);
    let (name, qtype) = ask.split_once(' ').expect("name and type");
    let qtype: u16 = match qtype.strip_prefix("TYPE") {
        Some(number) => number.parse().expect("a number"),
        None => qtype
            .parse::<hickory_proto::rr::RecordType>()
            .expect("a type")
            .into(),
    };
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

fn ask(model: &Model, source: Ipv4Addr, query: &[u8], transport: Transport) -> Answered {
    let answered = answerer(model).answer_message(query, source, transport);
    answered.expect("a response")
}

/// The response as a person writes it: RCODE, AA, records by section.
fn lines(message: &Message) -> Vec<String> {
    let rcode = u16::from(message.metadata.response_code);
    let aa = if message.metadata.authoritative {
        " aa"
    } else {
        ""
    };
    let tc = if message.metadata.truncation {
        " tc"
    } else {
        ""
    };
    let section = |name: &'static str, records: &[Record]| -> Vec<String> {
        records
            .iter()
            .map(|record| format!("{name} {record}").trim_end().to_owned())
            .collect()
    };
    let mut lines = vec![format!("rcode {rcode}{aa}{tc}")];
    lines.extend(section("answer", &message.answers));
    lines.extend(section("authority", &message.authorities));
    lines.extend(section("additional", &message.additionals));
    lines
}

fn check(fixture: &Fixture) {
    let model = match fixture.node {
        Node::DnsB => world::dns_b(),
        Node::DnsLb => world::dns_lb(),
    };
    let about = format!("{} ({})", fixture.sentence, fixture.ask);
    let query = query(fixture.ask);
    let answered = ask(&model, fixture.source, &query, Transport::Udp);
    let message = Message::from_vec(&answered.octets).expect("readable");
    let expected: Vec<_> = fixture.response.iter().map(|line| filled(line)).collect();
    assert_eq!(lines(&message), expected, "{about}");
    assert_eq!(answered.counter, fixture.row, "{about}");
    let judged = oracle::judge(
        &model,
        fixture.source,
        oracle::Transport::Udp,
        &query,
        Some(&answered.octets),
    );
    assert_eq!(judged, Ok(Some(fixture.row)), "{about}");
}

#[test]
fn rows_of_a_dns_b() {
    fixtures::dns_b::ROWS.iter().for_each(check);
}

#[test]
fn rows_of_a_dns_lb() {
    fixtures::dns_lb::ROWS.iter().for_each(check);
}

#[test]
fn what_no_row_has() {
    fixtures::refused::ROWS.iter().for_each(check);
}
