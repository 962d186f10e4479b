//! OPT in responses: the name server identifier (RFC 5001), and OPT in answers to what is malformed.

use dglb_common::query::{OPTION_NSID, TYPE_A};

use super::{world::*, *};

fn answerer() -> Answerer {
    World::of(dns_b()).answerer()
}

#[test]
fn who_asks_for_the_identifier_gets_the_nodes_name() {
    // RFC 5001 §2.1: what the query has in the option is ignored.
    for data in [&[][..], b"anything"] {
        let query = ask_with("r.g.foo.com", TYPE_A, &[(OPTION_NSID, data)]);
        let seen = by_udp(&answerer(), &query, STRANGER);
        assert_eq!(
            seen.option(OPTION_NSID).as_deref(),
            Some(&b"node.example"[..])
        );
        assert_eq!(seen.counter, Counter::BR);
    }
}

#[test]
fn refusals_and_errors_carry_the_identifier_too() {
    let nsid: &[(u16, &[u8])] = &[(OPTION_NSID, &[])];
    for (qname, qtype, rcode) in [
        ("elsewhere.example", TYPE_A, ResponseCode::Refused),
        ("r.g.foo.com", 252, ResponseCode::Refused),
        ("r.g.foo.com", 250, ResponseCode::FormErr),
        ("r.g.foo.com", 253, ResponseCode::NotImp),
    ] {
        let seen = by_udp(&answerer(), &ask_with(qname, qtype, nsid), STRANGER);
        assert_eq!(seen.rcode(), rcode);
        assert!(seen.option(OPTION_NSID).is_some(), "{qname} {qtype}");
    }
}

#[test]
fn nobody_else_gets_the_identifier() {
    let queries = [
        ask("r.g.foo.com", TYPE_A),
        ask_with("r.g.foo.com", TYPE_A, &[]),
        ask_with("r.g.foo.com", TYPE_A, &[(10, &[1; 8]), (8, &[0, 1, 0, 0])]),
    ];
    for query in queries {
        let seen = by_udp(&answerer(), &query, STRANGER);
        assert_eq!(seen.option(OPTION_NSID), None);
    }
}

#[test]
fn an_identifier_that_does_not_fit_is_left_out() {
    let mut config = dns_b();
    config.node.name = ["n".repeat(63).as_str(); 4].join(".")[..253].to_owned();
    let answerer = World::of(config).answerer();
    let query = ask_with("r.g.foo.com", TYPE_A, &[(OPTION_NSID, &[])]);
    let seen = by_udp(&answerer, &query, STRANGER);
    assert_eq!(
        (seen.counter, seen.option(OPTION_NSID)),
        (Counter::BR, None)
    );
    let seen = whole(&answerer, &query, STRANGER);
    assert_eq!(seen.option(OPTION_NSID).map(|data| data.len()), Some(253));
}

#[test]
fn what_is_malformed_is_answered_with_opt_where_the_query_had_one() {
    let with_opt = ask_with("r.g.foo.com", TYPE_A, &[]);
    let opt = &with_opt[with_opt.len() - 11..];
    let question = &with_opt[12..with_opt.len() - 11];
    let message = |counts: [u8; 4], parts: &[&[u8]]| {
        let mut message = vec![0, 7, 0, 0];
        for count in counts {
            message.extend_from_slice(&[0, count]);
        }
        message.extend_from_slice(&parts.concat());
        message
    };
    let pointer_question: &[u8] = &[0xc0, 12, 0, 1, 0, 1];
    let record: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 9];
    let malformed = [
        message([0, 0, 0, 1], &[opt]),
        message([2, 0, 0, 1], &[question, question, opt]),
        message([2, 0, 0, 1], &[question, pointer_question, opt]),
        message([1, 1, 0, 1], &[question, record, opt]),
        message([1, 0, 1, 1], &[question, record, opt]),
        message([1, 0, 0, 2], &[question, opt, opt]),
        message([1, 0, 0, 1], &[question, opt, &[0]]),
    ];
    for query in malformed {
        let seen = by_udp(&answerer(), &query, STRANGER);
        assert_eq!(
            (seen.counter, seen.rcode(), seen.message.edns.is_some()),
            (Counter::Error, ResponseCode::FormErr, true),
            "{query:?}"
        );
    }
}

#[test]
fn what_is_malformed_is_answered_without_opt_where_none_can_be_read() {
    let question = ask("r.g.foo.com", TYPE_A)[12..].to_vec();
    let two = [
        &[0, 7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0][..],
        &question,
        &question,
    ];
    let none = [&[0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]];
    // An OPT is announced and cut off.
    let cut = [
        &[0, 7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1][..],
        &question,
        &[0, 0],
    ];
    for query in [two.concat(), none.concat(), cut.concat()] {
        let seen = by_udp(&answerer(), &query, STRANGER);
        assert_eq!(
            (seen.counter, seen.rcode(), seen.message.edns.is_some()),
            (Counter::Error, ResponseCode::FormErr, false),
            "{query:?}"
        );
    }
}
