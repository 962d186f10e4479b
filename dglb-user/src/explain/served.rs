//! What a resolver gets, read out of what the tables hold: the records, their kind, their TTL.

use std::sync::{Arc, RwLock};

use dglb_common::{
    layout::{Answer, RECORDS_BASE},
    query::{CLASS_IN, TYPE_A, TYPE_AAAA},
};
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record},
};
use serde::Serialize;

use super::walk::{Outcome, Query, Ready};
use crate::{
    answer::{Answerer, Transport},
    config::Family,
    config::{Config, Role, Soa},
    name::OwnerName,
    tables::Tables,
};

/// What kind of answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Addresses.
    Addresses,
    /// An alias.
    Cname,
    /// To the name servers of what was asked for.
    Referral,
    /// There is no data of the type.
    Nodata,
    /// There is no such name.
    Nxdomain,
    /// Nothing is known yet.
    Servfail,
    /// Nothing is answered here.
    Refused,
}

impl Kind {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Cname => "CNAME",
            Self::Referral => "referral",
            Self::Nodata => "NODATA",
            Self::Nxdomain => "NXDOMAIN",
            Self::Servfail => "SERVFAIL",
            Self::Refused => "REFUSED",
        }
    }
}

/// What a resolver gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its kind.
    pub kind: Kind,
    /// The data that answer: addresses, the alias's target, hosts of name servers.
    pub answer: Vec<String>,
    /// All records, each as a line of a zone file.
    pub records: Vec<String>,
    /// The lowest TTL of what answers, of the SOA in a negative answer; seconds.
    pub ttl_s: Option<u32>,
}

impl Served {
    /// A response without records.
    pub fn bare(kind: Kind) -> Self {
        Self {
            kind,
            answer: Vec::new(),
            records: Vec::new(),
            ttl_s: None,
        }
    }

    /// What an outcome is to who asks.
    ///
    /// `config` has what user space composes: it may be newer than what the daemon has. `built` makes the
    /// tables that follow from it alone, where they are needed.
    ///
    /// # Errors
    /// Those of `built`.
    pub fn of<E>(
        outcome: &Outcome,
        query: &Query<'_>,
        config: &Config,
        built: impl FnOnce() -> Result<Tables, E>,
    ) -> Result<Self, E> {
        Ok(match outcome {
            Outcome::Ready(ready) => Message::from_vec(&message(query, ready))
                .map_or(Self::bare(Kind::Servfail), |message| Self::read(&message)),
            Outcome::Negative {
                nxdomain,
                ttl_at_most,
            } => {
                let kind = if *nxdomain {
                    Kind::Nxdomain
                } else {
                    Kind::Nodata
                };
                let soa = soa(config, query.name);
                Self {
                    ttl_s: soa.map(|soa| soa.ttl.min(soa.minimum).min(*ttl_at_most)),
                    ..Self::bare(kind)
                }
            }
            Outcome::Zone => Self::composed(query, config, built()?),
            Outcome::NotReady => Self::bare(Kind::Servfail),
            Outcome::Refused => Self::bare(Kind::Refused),
        })
    }

    /// What user space composes of the configuration alone.
    fn composed(query: &Query<'_>, config: &Config, built: Tables) -> Self {
        let tables = Arc::new(RwLock::new(built));
        let answerer = Answerer::new(Arc::new(config.clone()), tables);
        let question = question(query);
        let answered = answerer.answer_message(&question, query.source, Transport::Tcp);
        let message = answered.and_then(|answered| Message::from_vec(&answered.octets).ok());
        message.map_or(Self::bare(Kind::Refused), |message| Self::read(&message))
    }

    /// Of a response.
    pub fn read(message: &Message) -> Self {
        let lowest = |records: &[Record]| records.iter().map(|record| record.ttl).min();
        let is_soa = |record: &&Record| matches!(record.data, RData::SOA(_));
        let name_servers = message.authorities.iter();
        let name_servers: Vec<Record> = name_servers
            .filter(|record| matches!(record.data, RData::NS(_)))
            .cloned()
            .collect();
        let (kind, answering) = match message.metadata.response_code {
            ResponseCode::NoError if !message.answers.is_empty() => {
                let is_alias = |record: &Record| matches!(record.data, RData::CNAME(_));
                let kind = match message.answers.iter().any(is_alias) {
                    true => Kind::Cname,
                    false => Kind::Addresses,
                };
                (kind, message.answers.clone())
            }
            ResponseCode::NoError if !name_servers.is_empty() => (Kind::Referral, name_servers),
            ResponseCode::NoError => (Kind::Nodata, Vec::new()),
            ResponseCode::NXDomain => (Kind::Nxdomain, Vec::new()),
            ResponseCode::Refused => (Kind::Refused, Vec::new()),
            _ => (Kind::Servfail, Vec::new()),
        };
        let soa: Vec<Record> = message.authorities.iter().filter(is_soa).cloned().collect();
        let sections = [&message.answers, &message.authorities, &message.additionals];
        Self {
            kind,
            answer: answering
                .iter()
                .map(|record| record.data.to_string())
                .collect(),
            ttl_s: lowest(&answering).or_else(|| lowest(&soa)),
            records: sections
                .into_iter()
                .flatten()
                .map(Record::to_string)
                .collect(),
        }
    }
}

/// The SOA values of negative answers at `name`.
fn soa<'a>(config: &'a Config, name: &OwnerName) -> Option<&'a Soa> {
    match &config.role {
        Role::DnsB(dns_b) => {
            let zones = dns_b.zones.iter();
            let above = zones.filter(|zone| name.is_at_or_below(&zone.apex));
            let closest = above.max_by_key(|zone| zone.apex.label_count());
            closest.map(|zone| &zone.soa)
        }
        Role::DnsLb(dns_lb) => {
            let services = dns_lb.services.iter();
            let above = services.filter(|service| name.is_at_or_below(&service.name));
            let closest = above.max_by_key(|service| service.name.label_count());
            closest.map(|service| &service.soa)
        }
    }
}

/// The query as a message (RFC 1035 §4.1) without OPT.
fn question(query: &Query<'_>) -> Vec<u8> {
    let qtype = match query.family {
        Family::Ipv4 => TYPE_A,
        Family::Ipv6 => TYPE_AAAA,
    };
    let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(query.name.wire());
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    message
}

/// The response that a ready answer makes: the records behind the question, their pointers moved as
/// [`Answer`] says.
fn message(query: &Query<'_>, ready: &Ready) -> Vec<u8> {
    let Answer {
        authoritative,
        rcode,
        answers,
        authorities,
        additionals,
        ..
    } = ready.answer;
    let mut message = question(query);
    let start = message.len();
    // QR, AA; RCODE; counts.
    message[2] = 0x80 | u8::from(authoritative != 0) << 2;
    message[3] = rcode & 0x0f;
    for (at, count) in [(7, answers), (9, authorities), (11, additionals)] {
        message[at] = count;
    }
    let octets_before = query.name.wire().len() - ready.base.wire().len();
    message.extend_from_slice(&ready.answer.octets[..usize::from(ready.answer.len)]);
    let to_records = usize::from(ready.answer.record_pointers);
    let all = to_records + usize::from(ready.answer.base_pointers);
    for (index, at) in ready.answer.pointers.iter().take(all).enumerate() {
        let moved_by = match index < to_records {
            true => start - usize::from(RECORDS_BASE),
            false => octets_before,
        };
        let at = start + usize::from(*at);
        if let Some([high, low]) = message
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            let moved = u16::from_be_bytes([*high, *low]).wrapping_add(moved_by as u16);
            [*high, *low] = moved.to_be_bytes();
        }
    }
    cap_ttls(&mut message, start, ready.ttl_at_most);
    message
}

/// No TTL of the records from `at` on is above `most`.
fn cap_ttls(message: &mut [u8], mut at: usize, most: u32) {
    while let Some(end) = end_of_name(message, at) {
        // Type and class, TTL, length.
        let fixed = message
            .get_mut(end..)
            .and_then(|rest| rest.first_chunk_mut());
        let Some([_, _, _, _, t0, t1, t2, t3, high, low]) = fixed else {
            return;
        };
        let ttl = u32::from_be_bytes([*t0, *t1, *t2, *t3]).min(most);
        [*t0, *t1, *t2, *t3] = ttl.to_be_bytes();
        at = end + 10 + usize::from(u16::from_be_bytes([*high, *low]));
    }
}

/// Behind the root's octet or the pointer (RFC 1035 §4.1.4).
fn end_of_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}
