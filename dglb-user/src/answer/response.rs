//! Responses in octets: header, question as asked, records, OPT.
//!
//! Ready answers are copied, everything else is composed by hickory-proto, which compresses its names
//! against the question.

use dglb_common::{
    counters::Counter,
    layout::Answer,
    query::{OUR_PAYLOAD_SIZE, TYPE_OPT},
};
use hickory_proto::{op::ResponseCode, rr::Record, serialize::binary::BinEncoder};

use super::{
    query::{Edns, HEADER, Query, Question},
    template,
};
use crate::name::OwnerName;

/// What a query is answered with, before it becomes octets.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// A ready answer of the tables.
    Ready {
        /// The records.
        answer: Box<Answer>,
        /// Octets of the question's name in front of the name that they belong to.
        octets_before: usize,
    },
    /// Records of our own making.
    Composed(Composed),
}

/// Records by section.
#[derive(Clone, Debug)]
pub(super) struct Composed {
    /// The row of the answer table.
    pub(super) row: Counter,
    /// RCODE, extended.
    pub(super) rcode: ResponseCode,
    /// AA.
    pub(super) authoritative: bool,
    /// Answer section.
    pub(super) answers: Vec<Record>,
    /// Authority section.
    pub(super) authorities: Vec<Record>,
    /// Additional section without OPT: left out where it does not fit (RFC 2181 §9).
    pub(super) additionals: Vec<Record>,
}

impl Response {
    /// A ready answer to `question`, with records that belong to `base`.
    pub(super) fn ready(answer: Answer, question: &Question<'_>, base: &OwnerName) -> Self {
        Self::Ready {
            answer: Box::new(answer),
            octets_before: question.octets_before(base),
        }
    }

    /// No records, AA=0.
    pub(super) fn error(row: Counter, rcode: ResponseCode) -> Self {
        Self::Composed(Composed {
            row,
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        })
    }

    /// The name is not ours.
    pub(super) fn refused() -> Self {
        Self::error(Counter::Refused, ResponseCode::Refused)
    }

    /// The tables have no answer now.
    pub(super) fn not_ready() -> Self {
        Self::error(Counter::Error, ResponseCode::ServFail)
    }

    /// Data, AA=1.
    pub(super) fn data(row: Counter, answers: Vec<Record>, additionals: Vec<Record>) -> Self {
        Self::Composed(Composed {
            row,
            rcode: ResponseCode::NoError,
            authoritative: true,
            answers,
            authorities: Vec::new(),
            additionals,
        })
    }

    /// NODATA or NXDOMAIN with its SOA, AA=1 (RFC 2308 §2).
    pub(super) fn negative(row: Counter, rcode: ResponseCode, soa: Record) -> Self {
        Self::Composed(Composed {
            row,
            rcode,
            authoritative: true,
            answers: Vec::new(),
            authorities: vec![soa],
            additionals: Vec::new(),
        })
    }

    /// What it counts as.
    pub(super) fn row(&self) -> Counter {
        match self {
            Self::Ready { answer, .. } => Counter::ALL
                .get(answer.row as usize)
                .copied()
                .unwrap_or(Counter::Error),
            Self::Composed(composed) => composed.row,
        }
    }

    /// The response to `query`, at most `limit` octets; TC=1 and no records where it has more.
    pub(super) fn octets(&self, query: &Query<'_>, limit: usize) -> Vec<u8> {
        let whole = match self {
            Self::Ready {
                answer,
                octets_before,
            } => ready_octets(query, answer, *octets_before),
            Self::Composed(composed) => composed_octets(query, composed, limit),
        };
        if whole.len() <= limit {
            return whole;
        }
        // Also a referral whose glue does not fit (RFC 9471 §3.1).
        let head = Head {
            truncated: true,
            ..self.head()
        };
        let mut message = start(query);
        finish(&mut message, query, head, [0; 3]);
        message
    }

    fn head(&self) -> Head {
        match self {
            Self::Ready { answer, .. } => Head {
                rcode: ResponseCode::from_low(answer.rcode),
                authoritative: answer.authoritative != 0,
                truncated: false,
            },
            Self::Composed(composed) => Head {
                rcode: composed.rcode,
                authoritative: composed.authoritative,
                truncated: false,
            },
        }
    }
}

fn ready_octets(query: &Query<'_>, answer: &Answer, octets_before: usize) -> Vec<u8> {
    let mut message = start(query);
    message.extend_from_slice(&template::records(answer, octets_before));
    let head = Head {
        rcode: ResponseCode::from_low(answer.rcode),
        authoritative: answer.authoritative != 0,
        truncated: false,
    };
    let counts = [answer.answers, answer.authorities, answer.additionals];
    finish(&mut message, query, head, counts.map(u16::from));
    message
}

fn composed_octets(query: &Query<'_>, composed: &Composed, limit: usize) -> Vec<u8> {
    let sections = [
        composed.answers.as_slice(),
        &composed.authorities,
        &composed.additionals,
    ];
    let whole = compose(query, composed, sections);
    if whole.len() <= limit || composed.additionals.is_empty() {
        return whole;
    }
    compose(query, composed, [sections[0], sections[1], &[]])
}

fn compose(query: &Query<'_>, composed: &Composed, sections: [&[Record]; 3]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut encoder = BinEncoder::new(&mut message);
    encode(
        &mut encoder,
        &start(query),
        query.question.as_ref(),
        sections,
    )
    .expect("records of a checked configuration fit in a message");
    let head = Head {
        rcode: composed.rcode,
        authoritative: composed.authoritative,
        truncated: false,
    };
    finish(
        &mut message,
        query,
        head,
        sections.map(|records| u16::try_from(records.len()).expect("few records")),
    );
    message
}

/// Writes the records behind `start`, whose question's name they may point to.
fn encode(
    encoder: &mut BinEncoder<'_>,
    start: &[u8],
    question: Option<&Question<'_>>,
    sections: [&[Record]; 3],
) -> Result<(), hickory_proto::ProtoError> {
    encoder.emit_vec(start)?;
    if let Some(question) = question {
        let mut at = HEADER;
        let end = HEADER + question.name.wire().len() - 1;
        for label in question.name.labels() {
            encoder.store_label_pointer(at, end);
            at += 1 + label.len();
        }
    }
    for records in sections {
        encoder.emit_all(records.iter())?;
    }
    Ok(())
}

/// What of a response's header is not copied from the query.
#[derive(Clone, Copy)]
struct Head {
    rcode: ResponseCode,
    authoritative: bool,
    truncated: bool,
}

/// Room for the header, and the question as asked.
fn start(query: &Query<'_>) -> Vec<u8> {
    let mut message = vec![0; HEADER];
    if let Some(question) = &query.question {
        message.extend_from_slice(question.octets);
    }
    message
}

/// Appends OPT if the query had it, and writes the header (RFC 1035 §4.1.1).
fn finish(message: &mut Vec<u8>, query: &Query<'_>, head: Head, counts: [u16; 3]) {
    let [answers, authorities, mut additionals] = counts;
    if let Some(edns) = query.edns {
        put_opt(message, edns, head.rcode);
        additionals += 1;
    }
    let header = query.header;
    message[..2].copy_from_slice(&header.id.to_be_bytes());
    message[2] = 0x80
        | header.opcode << 3
        | u8::from(head.authoritative) << 2
        | u8::from(head.truncated) << 1
        | u8::from(header.recursion_desired);
    message[3] = u8::from(header.checking_disabled) << 4 | head.rcode.low();
    let counts = [
        u16::from(query.question.is_some()),
        answers,
        authorities,
        additionals,
    ];
    for (field, count) in message[4..HEADER].chunks_exact_mut(2).zip(counts) {
        field.copy_from_slice(&count.to_be_bytes());
    }
}

/// Our OPT: version 0, our payload size, DO copied, no options (RFC 6891 §6.1.3).
fn put_opt(message: &mut Vec<u8>, edns: Edns, rcode: ResponseCode) {
    message.push(0);
    message.extend_from_slice(&TYPE_OPT.to_be_bytes());
    message.extend_from_slice(&OUR_PAYLOAD_SIZE.to_be_bytes());
    message.extend_from_slice(&[rcode.high(), 0, u8::from(edns.dnssec_ok) << 7, 0]);
    message.extend_from_slice(&[0, 0]);
}
