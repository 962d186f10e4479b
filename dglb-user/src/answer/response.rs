//! Responses in octets: header, question as asked, records, OPT.
//!
//! Ready answers are copied, everything else is composed by hickory-proto, which compresses its names
//! against the question.

use dglb_common::{
    counters::Counter,
    layout::Answer,
    query::{OPTION_CLIENT_SUBNET, OPTION_NSID, OUR_PAYLOAD_SIZE, TYPE_OPT},
};
use hickory_proto::{op::ResponseCode, rr::Record, serialize::binary::BinEncoder};

use super::{
    Answered,
    query::{Edns, HEADER, Query, Question},
    template,
};

/// What a query is answered with, before it becomes octets.
#[derive(Clone, Debug)]
pub(super) enum Response {
    /// A ready answer of the tables.
    Ready(Ready),
    /// Records of our own making.
    Composed(Composed),
}

/// A ready answer in its sizes.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    /// The records, largest first; at least one.
    pub(super) variants: Vec<Answer>,
    /// Octets of the question's name in front of the name that they belong to.
    pub(super) octets_before: usize,
    /// Scope that Client Subnet is answered with (RFC 7871 §7.2.1).
    pub(super) scope: u8,
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

    /// The name is not ours, or what is asked is given to nobody.
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

    /// What it counts as, unless it is truncated.
    pub(super) fn row(&self) -> Counter {
        match self {
            Self::Ready(ready) => ready.row(),
            Self::Composed(composed) => composed.row,
        }
    }

    /// The same, counted as `row`.
    pub(super) fn in_row(mut self, row: Counter) -> Self {
        match &mut self {
            Self::Ready(ready) => {
                for answer in &mut ready.variants {
                    answer.row = row as u32;
                }
            }
            Self::Composed(composed) => composed.row = row,
        }
        self
    }

    /// The response to `query` within the envelope's limit: the largest variant that fits; without additional
    /// records where only they are too many (RFC 2181 §9); TC=1 and no records where that is too much.
    pub(super) fn write(&self, query: &Query<'_>, envelope: &Envelope<'_>) -> Answered {
        let envelope = &envelope.within_limit(query);
        match self {
            Self::Ready(ready) => ready.write(query, envelope),
            Self::Composed(composed) => composed.write(query, envelope),
        }
    }
}

/// What every response of a node to a query has around its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope<'a> {
    /// Octets that the message may have.
    pub(super) limit: usize,
    /// RA.
    pub(super) recursion_available: bool,
    /// The name server identifier for who asks for it (RFC 5001 §2.3).
    pub(super) nsid: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Without the identifier where not even a truncated response could have it. An empty one is no
    /// answer to who asks for it.
    fn within_limit(self, query: &Query<'_>) -> Self {
        let nsid = match stub(query, &self, Head::TRUNCATED).len() {
            len if len > self.limit => &[],
            _ => self.nsid,
        };
        Self { nsid, ..self }
    }
}

impl Ready {
    fn row(&self) -> Counter {
        let row = self.variants.first().map(|answer| answer.row as usize);
        row.and_then(|row| Counter::ALL.get(row))
            .copied()
            .unwrap_or(Counter::Error)
    }

    fn write(&self, query: &Query<'_>, envelope: &Envelope<'_>) -> Answered {
        let mut sizes = self.variants.iter().map(|answer| Answered {
            counter: self.row(),
            octets: self.octets(query, envelope, answer),
        });
        let fitting = sizes.find(|answered| answered.octets.len() <= envelope.limit);
        // What an answer had in common in all sizes, the smallest has too. Also a referral whose glue
        // does not fit is truncated (RFC 9471 §3.1).
        fitting.unwrap_or_else(|| {
            let head = self.variants.last().map_or(Head::TRUNCATED, Head::of);
            truncated(query, envelope, head)
        })
    }

    fn octets(&self, query: &Query<'_>, envelope: &Envelope<'_>, answer: &Answer) -> Vec<u8> {
        let mut message = start(query);
        message.extend_from_slice(&template::records(
            answer,
            self.octets_before,
            message.len(),
        ));
        let counts = [answer.answers, answer.authorities, answer.additionals];
        let head = Head {
            scope: if answer.scoped != 0 { self.scope } else { 0 },
            ..Head::of(answer)
        };
        finish(&mut message, query, envelope, head, counts.map(u16::from));
        message
    }
}

impl Composed {
    fn write(&self, query: &Query<'_>, envelope: &Envelope<'_>) -> Answered {
        let sections = [
            self.answers.as_slice(),
            &self.authorities,
            &self.additionals,
        ];
        let mut octets = self.octets(query, envelope, sections);
        if octets.len() > envelope.limit && !self.additionals.is_empty() {
            octets = self.octets(query, envelope, [sections[0], sections[1], &[]]);
        }
        if octets.len() > envelope.limit {
            return truncated(query, envelope, self.head());
        }
        Answered {
            counter: self.row,
            octets,
        }
    }

    fn octets(
        &self,
        query: &Query<'_>,
        envelope: &Envelope<'_>,
        sections: [&[Record]; 3],
    ) -> Vec<u8> {
        let mut message = Vec::new();
        let mut encoder = BinEncoder::new(&mut message);
        let question = query.question.as_ref();
        encode(&mut encoder, &start(query), question, sections)
            .expect("records of a checked configuration fit in a message");
        let counts = sections.map(|records| u16::try_from(records.len()).expect("few records"));
        finish(&mut message, query, envelope, self.head(), counts);
        message
    }

    fn head(&self) -> Head {
        Head {
            rcode: self.rcode,
            authoritative: self.authoritative,
            truncated: false,
            scope: 0,
        }
    }
}

/// No records and TC=1, AA and RCODE as `head` has them (RFC 2181 §9).
fn truncated(query: &Query<'_>, envelope: &Envelope<'_>, head: Head) -> Answered {
    let head = Head {
        truncated: true,
        scope: 0,
        ..head
    };
    Answered {
        counter: Counter::Truncated,
        octets: stub(query, envelope, head),
    }
}

/// A message without records.
fn stub(query: &Query<'_>, envelope: &Envelope<'_>, head: Head) -> Vec<u8> {
    let mut message = start(query);
    finish(&mut message, query, envelope, head, [0; 3]);
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

/// What of a response's header and OPT is not copied from the query.
#[derive(Clone, Copy)]
struct Head {
    rcode: ResponseCode,
    authoritative: bool,
    truncated: bool,
    scope: u8,
}

impl Head {
    /// Of a truncated response of which nothing more is known.
    const TRUNCATED: Self = Self {
        rcode: ResponseCode::NoError,
        authoritative: false,
        truncated: true,
        scope: 0,
    };

    /// Of a ready answer; scope 0.
    fn of(answer: &Answer) -> Self {
        Self {
            rcode: ResponseCode::from_low(answer.rcode),
            authoritative: answer.authoritative != 0,
            truncated: false,
            scope: 0,
        }
    }
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
fn finish(
    message: &mut Vec<u8>,
    query: &Query<'_>,
    envelope: &Envelope<'_>,
    head: Head,
    counts: [u16; 3],
) {
    let [answers, authorities, mut additionals] = counts;
    if let Some(edns) = query.edns {
        put_opt(message, edns, envelope, head);
        additionals += 1;
    }
    let header = query.header;
    message[..2].copy_from_slice(&header.id.to_be_bytes());
    message[2] = 0x80
        | header.opcode << 3
        | u8::from(head.authoritative) << 2
        | u8::from(head.truncated) << 1
        | u8::from(header.recursion_desired);
    message[3] = u8::from(envelope.recursion_available) << 7
        | u8::from(header.checking_disabled) << 4
        | head.rcode.low();
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

/// Our OPT: version 0, our payload size, DO copied, the options that were asked for (RFC 6891 §6.1.3).
fn put_opt(message: &mut Vec<u8>, edns: Edns, envelope: &Envelope<'_>, head: Head) {
    let mut options = Vec::new();
    if let Some(subnet) = edns.options.subnet {
        put_option(
            &mut options,
            OPTION_CLIENT_SUBNET,
            &subnet.in_response(head.scope),
        );
    }
    if edns.options.nsid && !envelope.nsid.is_empty() {
        put_option(&mut options, OPTION_NSID, envelope.nsid);
    }
    message.push(0);
    message.extend_from_slice(&TYPE_OPT.to_be_bytes());
    message.extend_from_slice(&OUR_PAYLOAD_SIZE.to_be_bytes());
    message.extend_from_slice(&[head.rcode.high(), 0, u8::from(edns.dnssec_ok) << 7, 0]);
    message.extend_from_slice(&(options.len() as u16).to_be_bytes());
    message.extend_from_slice(&options);
}

fn put_option(options: &mut Vec<u8>, code: u16, data: &[u8]) {
    options.extend_from_slice(&code.to_be_bytes());
    options.extend_from_slice(&(data.len() as u16).to_be_bytes());
    options.extend_from_slice(data);
}
