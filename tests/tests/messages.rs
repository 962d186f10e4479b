//! What a response owes the message it answers, whatever the row: header, question, OPT, size; and
//! what is answered with an error, or not at all.

use std::{
    net::Ipv4Addr,
    sync::{Arc, RwLock},
};

use dglb_common::counters::Counter;
use dglb_tests::{
    frames::{Frames, opt},
    model::{Choice, Model},
    oracle, world,
    world::{RESOLVER_1, RESOLVER_2},
};
use dglb_user::answer::{Answered, Answerer, Transport};
use hickory_proto::op::{Message, ResponseCode};

const NAME: &[u8] = b"\x03wWw\x01g\x03fOO\x03com\0";
const A: [u8; 4] = [0, 1, 0, 1];
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

fn answerer(model: &Model) -> Answerer {
    let tables = Arc::new(RwLock::new(model.tables()));
    Answerer::new(Arc::new(model.config.clone()), tables)
}

fn ask(query: &[u8]) -> Option<Answered> {
    answerer(&world::dns_lb()).answer_message(query, RESOLVER_1.into(), Transport::Udp)
}

/// The response, also approved by the oracle.
fn response(query: &[u8]) -> (Counter, Message) {
    let answered = ask(query).expect("a response");
    let model = world::dns_lb();
    let octets = Some(answered.octets.as_slice());
    let judged = oracle::judge(&model, RESOLVER_1, oracle::Transport::Udp, query, octets);
    assert_eq!(judged, Ok(Some(answered.counter)));
    let message = Message::from_vec(&answered.octets).expect("readable");
    (answered.counter, message)
}

/// A query with these flags, QDCOUNT 1, records of the additional section and their number.
fn query(flags: [u8; 2], name: &[u8], rest: [u8; 4], additionals: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0];
    message.push(additionals.len() as u8);
    message.extend_from_slice(name);
    message.extend_from_slice(&rest);
    message.extend(additionals.iter().copied().flatten());
    message
}

fn assert_error(query: &[u8], rcode: ResponseCode, about: &str) {
    let (counter, message) = response(query);
    let seen = u16::from(message.metadata.response_code);
    assert_eq!(seen, u16::from(rcode), "{about}");
    assert_eq!(message.all_sections().count(), 0, "{about}");
    assert!(!message.metadata.authoritative, "{about}");
    let expected = if rcode == ResponseCode::Refused {
        Counter::Refused
    } else {
        Counter::Error
    };
    assert_eq!(counter, expected, "{about}");
}

#[test]
fn the_question_is_echoed_letter_for_letter_and_names_follow_it() {
    for qtype in [1, 2, 6, 16, 28, 255] {
        let asked = query([1, 0], NAME, [0, qtype, 0, 1], &[]);
        let answered = ask(&asked).expect("a response");
        assert_eq!(
            answered.octets[12..asked.len()],
            asked[12..],
            "type {qtype}"
        );
        // The first owner name is a pointer to the question's, ready answer or composed.
        let owner = &answered.octets[asked.len()..asked.len() + 2];
        assert_eq!(owner, [0xc0, 12], "type {qtype}");
        let message = Message::from_vec(&answered.octets).expect("readable");
        for record in message.answers.iter().chain(&message.authorities) {
            assert_eq!(record.name.to_ascii(), "wWw.g.fOO.com.", "type {qtype}");
        }
    }
}

#[test]
fn rd_and_cd_are_copied_and_nothing_else() {
    // RFC 1035 §4.1.1: RD "may be set in a query and is copied into the response". RFC 4035 §3.1.6:
    // "A security-aware name server MUST copy the CD bit from a query into the corresponding response."
    for flags in [[0, 0], [1, 0], [0, 0x10], [1, 0x10], [1, 0x30], [7, 0xff]] {
        let (_, message) = response(&query(flags, NAME, A, &[]));
        let metadata = &message.metadata;
        assert_eq!(metadata.recursion_desired, flags[0] & 1 == 1);
        assert_eq!(metadata.checking_disabled, flags[1] & 0x10 != 0);
        assert!(!metadata.recursion_available && !metadata.authentic_data && !metadata.truncation);
        assert_eq!(metadata.response_code, ResponseCode::NoError);
    }
}

#[test]
fn opt_is_answered_by_opt_and_by_nothing_in_it() {
    // RFC 6891 §6.1.1: "If an OPT record is present in a received request, compliant responders MUST
    // include an OPT record in their respective responses."
    let cookie = b"\0\0\x29\x10\0\0\0\x80\0\0\x0c\0\x0a\0\x08abcdefgh";
    let nsid = b"\0\0\x29\x10\0\0\0\0\0\0\x04\0\x03\0\0";
    let subnet = b"\0\0\x29\x10\0\0\0\0\0\0\x0b\0\x08\0\x07\0\x01\x18\0\xc0\0\x02";
    let unknown = b"\0\0\x29\x10\0\0\0\0\0\0\x06\xff\xfe\0\x02hi";
    for opt in [OPT, cookie, nsid, subnet, unknown] {
        let (counter, message) = response(&query([0, 0], NAME, A, &[opt]));
        assert_eq!(counter, Counter::LbAddress);
        let edns = message.edns.as_ref().expect("OPT");
        assert_eq!(edns.flags().dnssec_ok, opt[7] & 0x80 != 0);
        assert_eq!(
            (edns.max_payload(), edns.version(), edns.rcode_high()),
            (1232, 0, 0)
        );
        // RFC 5001 §2.1: who asks for the identifier gets it.
        let options = edns.options().as_ref().len();
        assert_eq!(options, usize::from(opt == nsid));
    }
    // §7: "Lack of presence of an OPT record in a request MUST be taken as an indication that the
    // requestor does not implement any part of this specification".
    let (_, message) = response(&query([0, 0], NAME, A, &[]));
    assert_eq!(message.edns, None);
}

#[test]
fn another_edns_version_gets_badvers_with_ours() {
    // RFC 6891 §6.1.3: "If a responder does not implement the VERSION level of the request, then it
    // MUST respond with RCODE=BADVERS."
    for version in [1, 2, 255] {
        let opt = [0, 0, 41, 4, 0xd0, 0, version, 0, 0, 0, 0];
        let asked = query([0, 0], NAME, A, &[&opt]);
        assert_error(&asked, ResponseCode::BADVERS, "version");
        let (_, message) = response(&asked);
        assert_eq!(message.edns.expect("OPT").version(), 0);
    }
}

#[test]
fn malformed_opts_get_formerr() {
    let cases: [(&str, &[&[u8]]); 7] = [
        ("two OPTs", &[OPT, OPT]),
        (
            "an owner that is not the root",
            &[b"\x01x\0\0\x29\x04\xd0\0\0\0\0\0\0"],
        ),
        (
            "an option longer than OPT",
            &[b"\0\0\x29\x04\xd0\0\0\0\0\0\x05\0\x0a\0\x08a"],
        ),
        (
            "half an option",
            &[b"\0\0\x29\x04\xd0\0\0\0\0\0\x03\0\x0a\0"],
        ),
        (
            "OPT longer than the message",
            &[b"\0\0\x29\x04\xd0\0\0\0\0\0\x09\0\x0a\0\0"],
        ),
        (
            "OPT shorter than the message",
            &[b"\0\0\x29\x04\xd0\0\0\0\0\0\0\0\x0a\0\0"],
        ),
        ("half an OPT", &[b"\0\0\x29\x04"]),
    ];
    for (about, records) in cases {
        assert_error(
            &query([0, 0], NAME, A, records),
            ResponseCode::FormErr,
            about,
        );
    }
}

#[test]
fn another_record_beside_opt_changes_nothing() {
    let address: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\xc0\0\x02\x01";
    for records in [&[address][..], &[address, OPT], &[OPT, address]] {
        let (counter, _) = response(&query([0, 0], NAME, A, records));
        assert_eq!(counter, Counter::LbAddress);
    }
}

#[test]
fn malformed_questions_get_formerr() {
    let plain = |name: &[u8]| query([0, 0], name, A, &[]);
    let long = [&[61][..], &[b'x'; 61]].concat().repeat(5);
    let cases = [
        ("a pointer to itself", plain(b"\xc0\x0c")),
        ("a pointer within the name", plain(b"\x01x\xc0\x0c")),
        ("a pointer into the header", plain(b"\x03www\xc0\0")),
        ("a label type that was never defined", plain(b"\x41x\0")),
        ("an extended label type (RFC 6891 §5)", plain(b"\x80x\0")),
        (
            "a name of more than 255 octets",
            plain(&[&long[..], &[0]].concat()),
        ),
        ("a label beyond the end", plain(b"\x3fwww")),
        (
            "no question at all",
            query([0, 0], b"", [0; 4], &[])[..12].to_vec(),
        ),
        ("half a class", plain(NAME)[..12 + NAME.len() + 3].to_vec()),
        (
            "octets behind the message",
            [&plain(NAME)[..], b"x"].concat(),
        ),
    ];
    for (about, query) in cases {
        assert_error(&query, ResponseCode::FormErr, about);
    }
}

#[test]
fn counts_that_no_query_has_get_formerr() {
    // RFC 9619 §4: "The value of the RCODE parameter in the response message MUST be set to 1 (FORMERR)."
    let sound = query([0, 0], NAME, A, &[]);
    let counts = [
        (5, 0),
        (5, 2),
        (4, 1),
        (7, 1),
        (9, 1),
        (6, 1),
        (8, 1),
        (11, 1),
        (10, 1),
    ];
    for (at, value) in counts {
        let mut wrong = sound.clone();
        wrong[at] = value;
        assert_error(
            &wrong,
            ResponseCode::FormErr,
            &format!("octet {at} is {value}"),
        );
    }
}

#[test]
fn two_questions_get_formerr_even_if_both_are_there() {
    let mut two = query([0, 0], NAME, A, &[]);
    two[5] = 2;
    two.extend_from_slice(NAME);
    two.extend_from_slice(&A);
    assert_error(&two, ResponseCode::FormErr, "two questions");
}

#[test]
fn other_opcodes_are_not_implemented() {
    for opcode in 1..16_u8 {
        let (_, message) = response(&query([opcode << 3 | 1, 0], NAME, A, &[OPT]));
        assert_eq!(
            message.metadata.response_code,
            ResponseCode::NotImp,
            "{opcode}"
        );
        assert_eq!(u8::from(message.metadata.op_code), opcode);
        // Also when nothing behind the header can be read, as another opcode may have it.
        let header = &query([opcode << 3, 0], NAME, A, &[])[..12];
        assert_error(header, ResponseCode::NotImp, "a header alone");
    }
}

#[test]
fn other_classes_are_refused() {
    for class in [0, 3, 4, 254, 255, 256, 0x8001_u16] {
        let [high, low] = class.to_be_bytes();
        let asked = query([0, 0], NAME, [0, 1, high, low], &[OPT]);
        assert_error(&asked, ResponseCode::Refused, &format!("class {class}"));
    }
}

#[test]
fn responses_and_scraps_are_ignored() {
    let sound = query([0, 0], NAME, A, &[]);
    for len in 0..12 {
        assert_eq!(ask(&sound[..len]), None, "{len} octets");
    }
    // Two servers must not answer each other's answers for ever.
    for flags in [[0x80, 0], [0x84, 0], [0xf8, 5]] {
        assert_eq!(ask(&query(flags, NAME, A, &[])), None);
    }
    let own = ask(&sound).expect("a response").octets;
    assert_eq!(ask(&own), None);
}

/// Asks for a NODATA answer of more than 512 octets; gives the response and its octets.
fn large(payload: Option<u16>, transport: Transport) -> (Message, usize) {
    // By padding (RFC 7830), so that three times the query are enough.
    let padding = opt::option(12, &[0; 300]);
    let record = opt::record(payload.unwrap_or(0), false, &[padding]);
    let records: &[&[u8]] = if payload.is_some() { &[&record] } else { &[] };
    let asked = query(
        [0, 0],
        b"\x05large\x01g\x03foo\x03com\0",
        [0, 16, 0, 1],
        records,
    );
    let model = world::dns_lb();
    let answered = answerer(&model).answer_message(&asked, RESOLVER_1.into(), transport);
    let octets = answered.expect("a response").octets;
    let judged_as = match transport {
        Transport::Udp => oracle::Transport::Udp,
        Transport::Tcp => oracle::Transport::Tcp,
    };
    oracle::judge(&model, RESOLVER_1, judged_as, &asked, Some(&octets)).expect("right");
    (Message::from_vec(&octets).expect("readable"), octets.len())
}

#[test]
fn what_does_not_fit_is_truncated_to_question_and_opt() {
    // RFC 6891 §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
    for payload in [None, Some(0), Some(511), Some(512), Some(540)] {
        let (message, octets) = large(payload, Transport::Udp);
        assert!(message.metadata.truncation && octets < 100, "{payload:?}");
        assert_eq!(message.all_sections().count(), 0);
        assert_eq!(message.edns.is_some(), payload.is_some());
    }
}

#[test]
fn what_fits_is_whole() {
    for payload in [1000, 1232, 4096, 65_535] {
        let (message, octets) = large(Some(payload), Transport::Udp);
        assert!(!message.metadata.truncation && octets > 512, "{payload}");
        assert_eq!(message.authorities.len(), 1);
    }
}

#[test]
fn by_tcp_nothing_is_truncated() {
    for payload in [None, Some(512)] {
        let (message, octets) = large(payload, Transport::Tcp);
        assert!(!message.metadata.truncation && octets > 512, "{payload:?}");
    }
}

#[test]
fn a_referral_of_form_r_always_fits() {
    // RFC 9471 §3.1: glue that does not fit means TC. For these names it never comes to that.
    let model = world::dns_b();
    let answerer = answerer(&model);
    let mut frames = Frames::new(&model, 11);
    let (mut referrals, mut longest) = (0, 0);
    for _ in 0..4000 {
        let asked = frames.message().octets();
        let answered = answerer.answer_message(&asked, RESOLVER_2.into(), Transport::Udp);
        let Some(answered) = answered.filter(|it| it.counter == Counter::BR) else {
            continue;
        };
        let message = Message::from_vec(&answered.octets).expect("readable");
        let sections = (message.authorities.len(), message.additionals.len());
        assert_eq!((sections, message.metadata.truncation), ((1, 1), false));
        longest = longest.max(answered.octets.len());
        referrals += 1;
    }
    assert!(
        referrals > 500 && longest > 300,
        "{referrals}, {longest} octets"
    );
}

#[test]
fn the_longest_name_leaves_room_for_label_and_host() {
    // 236 octets, and 16 and 3 before them: 255, the most that a name may have (RFC 1035 §2.3.4).
    let model = world::dns_lb();
    let services = match &model.config.role {
        dglb_user::config::Role::DnsLb(node) => &node.services,
        dglb_user::config::Role::DnsB(_) => unreachable!("a DNS-LB"),
    };
    let n = &services.last().expect("services").name;
    assert_eq!(n.wire().len(), 236);
    let m = n.child(world::label(0).characters());
    let host = m.child(b"ns");
    let cases = [
        (&m, 2, Counter::LbApex),
        (&host, 1, Counter::LbHost),
        (&host, 28, Counter::LbHost),
    ];
    for (name, qtype, row) in cases {
        let (counter, _) = response(&query([0, 0], name.wire(), [0, qtype, 0, 1], &[]));
        assert_eq!(counter, row, "type {qtype}");
    }
}

#[test]
fn the_answer_changes_with_the_tables() {
    let mut model = world::dns_lb();
    let asked = query([0, 0], NAME, A, &[]);
    let address = |model: &Model| {
        let answered = answerer(model).answer_message(&asked, RESOLVER_1.into(), Transport::Udp);
        let octets = answered.expect("a response").octets;
        Ipv4Addr::from(<[u8; 4]>::try_from(&octets[octets.len() - 4..]).expect("four"))
    };
    let best = [
        (vec![0, 1, 2], 80),
        (vec![2, 0], 82),
        (vec![1], 81),
        (vec![], 80),
    ];
    for (ranking, last) in best {
        model.rankings[0] = vec![Some(Choice::Best(ranking)); 2];
        assert_eq!(address(&model), Ipv4Addr::new(192, 0, 2, last));
    }
}

#[test]
fn a_family_whose_sites_are_all_down_has_no_data() {
    let mut model = world::dns_lb();
    // Boston alone is up, and has no IPv6.
    model.rankings[0] = vec![Some(Choice::Best(vec![2])); 2];
    let asked = query([0, 0], NAME, [0, 28, 0, 1], &[]);
    let answered = answerer(&model).answer_message(&asked, RESOLVER_1.into(), Transport::Udp);
    let answered = answered.expect("a response");
    assert_eq!(answered.counter, Counter::LbNodata);
    let octets = Some(answered.octets.as_slice());
    let judged = oracle::judge(&model, RESOLVER_1, oracle::Transport::Udp, &asked, octets);
    assert_eq!(judged, Ok(Some(Counter::LbNodata)));
}

#[test]
fn when_the_default_is_silent_too_the_mapping_stays() {
    let mut model = world::dns_b();
    model.silent.extend([0, 1]);
    let asked = query([0, 0], NAME, A, &[]);
    for source in [RESOLVER_2, world::RESOLVER_3, world::STRANGER] {
        let answered = answerer(&model).answer_message(&asked, source.into(), Transport::Udp);
        let octets = answered.expect("a response").octets;
        let judged = oracle::judge(
            &model,
            source,
            oracle::Transport::Udp,
            &asked,
            Some(&octets),
        );
        assert_eq!(judged, Ok(Some(Counter::BR)), "{source}");
    }
}

/// The oracle must be able to say no: each of these responses is wrong in one way.
#[test]
fn the_oracle_finds_what_is_wrong() {
    let model = world::dns_lb();
    let asked = query([1, 0], NAME, A, &[OPT]);
    let right = ask(&asked).expect("a response").octets;
    let judge = |response: Option<&[u8]>| {
        oracle::judge(&model, RESOLVER_1, oracle::Transport::Udp, &asked, response)
    };
    assert_eq!(judge(Some(&right)), Ok(Some(Counter::LbAddress)));
    assert!(judge(None).is_err(), "silence");
    for at in 0..right.len() {
        for bit in 0..8 {
            let mut wrong = right.clone();
            wrong[at] ^= 1 << bit;
            assert!(judge(Some(&wrong)).is_err(), "octet {at}, bit {bit}");
        }
    }
    for len in 0..right.len() {
        assert!(judge(Some(&right[..len])).is_err(), "{len} octets");
    }
}
