//! The judge: what a response must say, from the answer table and a node's [`Model`].
//!
//! It shares no code with the answer function: names and messages are hickory-proto's, sections are
//! compared as sets of records, TTLs included. It knows nothing of tables, slots or templates.

mod dns_b;
mod dns_lb;
mod form;
pub mod frame;

use std::{collections::BTreeSet, net::Ipv4Addr};

use dglb_common::counters::Counter;
use dglb_user::{config::Role, name::OwnerName};
use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType, rdata},
};

pub use self::form::{Form, form};
use crate::model::Model;

/// What a response must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The row that it belongs to.
    pub row: Counter,
    /// RCODE.
    pub rcode: ResponseCode,
    /// AA.
    pub authoritative: bool,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section, OPT not among them.
    pub additionals: Vec<Record>,
}

impl Expected {
    fn error(row: Counter, rcode: ResponseCode) -> Self {
        Self {
            row,
            rcode,
            authoritative: false,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }

    fn refused() -> Self {
        Self::error(Counter::Refused, ResponseCode::Refused)
    }

    fn data(row: Counter, answers: Vec<Record>) -> Self {
        Self {
            authoritative: true,
            answers,
            ..Self::error(row, ResponseCode::NoError)
        }
    }

    fn negative(row: Counter, rcode: ResponseCode, soa: Record) -> Self {
        Self {
            authoritative: true,
            authorities: vec![soa],
            ..Self::error(row, rcode)
        }
    }

    fn referral(row: Counter, cut: &Name, host: Name, address: Ipv4Addr, ttl: u32) -> Self {
        let ns = Record::from_rdata(cut.clone(), ttl, RData::NS(rdata::NS(host.clone())));
        Self {
            authorities: vec![ns],
            additionals: vec![a(&host, ttl, address)],
            ..Self::error(row, ResponseCode::NoError)
        }
    }
}

/// What the answer to `query`, a well-formed message's question, must say to `source`.
pub fn expect(model: &Model, source: Ipv4Addr, query: &Query) -> Expected {
    if query.query_class() != DNSClass::IN {
        return Expected::refused();
    }
    match u16::from(query.query_type()) {
        // AXFR (RFC 5936) and IXFR (RFC 1995): the zone is given to nobody.
        251 | 252 => return Expected::refused(),
        0 | 41 | 128 | 250 => return Expected::error(Counter::Error, ResponseCode::FormErr),
        129..=254 => return Expected::error(Counter::Error, ResponseCode::NotImp),
        _ => {}
    }
    match &model.config.role {
        Role::DnsB(node) => dns_b::expect(model, node, source, query),
        Role::DnsLb(node) => dns_lb::expect(model, node, query),
    }
}

/// How much a response may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
}

/// Judges a response, or silence, to a query. Gives the row that it belongs to.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn judge(
    model: &Model,
    source: Ipv4Addr,
    transport: Transport,
    query: &[u8],
    response: Option<&[u8]>,
) -> Result<Option<Counter>, String> {
    let asked = form(query);
    let Some(octets) = response else {
        return match asked {
            Form::Silence => Ok(None),
            other => Err(format!("no response to {other:?}")),
        };
    };
    let message = Message::from_vec(octets)
        .map_err(|error| format!("hickory-proto cannot read the response: {error}"))?;
    let expected = match &asked {
        Form::Silence => return Err("a response to what is no query".to_owned()),
        Form::Wrong(rcode) => Expected::error(Counter::Error, *rcode),
        Form::Plain(plain) => expect(model, source, &plain.query),
    };
    check_header(query, octets, &message, &expected)?;
    if let Form::Plain(plain) = &asked {
        check_question(query, octets, &plain.query)?;
        check_edns(plain, &message)?;
        let limit = match transport {
            Transport::Udp => plain.udp_limit,
            Transport::Tcp => 65_535,
        };
        check_sections(plain, limit, octets, &message, &expected)?;
        check_letters(&plain.query, &message)?;
    }
    Ok(Some(expected.row))
}

fn check_header(
    query: &[u8],
    octets: &[u8],
    message: &Message,
    expected: &Expected,
) -> Result<(), String> {
    let same = |what: &str, seen: bool| {
        if seen {
            Ok(())
        } else {
            Err(format!("{what}: header {:02x?}", &octets[..12]))
        }
    };
    same("ID is not the query's", octets[..2] == query[..2])?;
    same(
        "QR is not set",
        message.metadata.message_type == MessageType::Response,
    )?;
    same(
        "opcode is not the query's",
        (octets[2] ^ query[2]) & 0x78 == 0,
    )?;
    same("RD is not the query's", (octets[2] ^ query[2]) & 0x01 == 0)?;
    same("CD is not the query's", (octets[3] ^ query[3]) & 0x10 == 0)?;
    same("RA, Z or AD is set", octets[3] & 0xe0 == 0)?;
    same(
        &format!("AA is not {}", expected.authoritative),
        message.metadata.authoritative == expected.authoritative,
    )?;
    same(
        &format!("RCODE is not {}", expected.rcode),
        u16::from(message.metadata.response_code) == u16::from(expected.rcode),
    )
}

fn check_question(query: &[u8], octets: &[u8], asked: &Query) -> Result<(), String> {
    let end = 12 + wire_len(asked.name()) + 4;
    if octets.get(4..6) != Some(&[0, 1]) || octets.get(12..end) != query.get(12..end) {
        return Err("the question is not echoed letter for letter".to_owned());
    }
    Ok(())
}

fn check_edns(plain: &form::Plain, message: &Message) -> Result<(), String> {
    match (plain.dnssec_ok, &message.edns) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("OPT in the response to a query without".to_owned()),
        (Some(_), None) => Err("no OPT in the response to a query with it".to_owned()),
        (Some(dnssec_ok), Some(edns)) => {
            let options: &[_] = edns.options().as_ref();
            let right = edns.version() == 0
                && edns.max_payload() == 1232
                && edns.flags().dnssec_ok == dnssec_ok
                && edns.flags().z == 0
                && options.is_empty();
            right
                .then_some(())
                .ok_or_else(|| format!("OPT says {edns:?}"))
        }
    }
}

fn check_sections(
    plain: &form::Plain,
    limit: usize,
    octets: &[u8],
    message: &Message,
    expected: &Expected,
) -> Result<(), String> {
    if octets.len() > limit {
        return Err(format!("{} octets, the client takes {limit}", octets.len()));
    }
    if message.metadata.truncation {
        if message.all_sections().next().is_some() {
            return Err("TC and records".to_owned());
        }
        return if uncompressed_len(plain, expected) > limit {
            Ok(())
        } else {
            Err(format!("TC, though all would fit in {limit} octets"))
        };
    }
    compare("answer", &message.answers, &expected.answers)?;
    compare("authority", &message.authorities, &expected.authorities)?;
    // Additional addresses of an NS answer are left out where they do not fit; glue never is.
    let left_out = message.additionals.is_empty()
        && expected.authoritative
        && octets.len() + 16 * expected.additionals.len() > limit;
    if left_out {
        return Ok(());
    }
    compare("additional", &message.additionals, &expected.additionals)
}

fn compare(section: &str, seen: &[Record], expected: &[Record]) -> Result<(), String> {
    let text = |records: &[Record]| -> BTreeSet<String> {
        records
            .iter()
            .map(|record| record.to_string().to_lowercase())
            .collect()
    };
    let (seen_set, expected_set) = (text(seen), text(expected));
    if seen.len() == expected.len() && seen_set == expected_set {
        return Ok(());
    }
    Err(format!(
        "{section} section\n  is        {seen_set:?}\n  should be {expected_set:?}"
    ))
}

/// Names of the response that end like the question's have its letters, as far as they go alike.
fn check_letters(query: &Query, message: &Message) -> Result<(), String> {
    let asked = query.name();
    for record in message.answers.iter().chain(&message.authorities) {
        let owner = &record.name;
        if !owner.zone_of(asked) {
            continue;
        }
        let tail = asked.trim_to(usize::from(owner.num_labels()));
        if !owner.eq_case(&tail) {
            return Err(format!("{owner} has other letters than {asked}"));
        }
    }
    Ok(())
}

fn uncompressed_len(plain: &form::Plain, expected: &Expected) -> usize {
    let records = [
        &expected.answers,
        &expected.authorities,
        &expected.additionals,
    ];
    let records = records.into_iter().flatten().map(|record| {
        let rdata = match &record.data {
            RData::A(_) => 4,
            RData::AAAA(_) => 16,
            RData::NS(rdata::NS(name)) | RData::CNAME(rdata::CNAME(name)) => wire_len(name),
            RData::SOA(soa) => wire_len(&soa.mname) + wire_len(&soa.rname) + 20,
            RData::HINFO(_) => 9,
            other => unreachable!("no row has {other:?}"),
        };
        wire_len(&record.name) + 10 + rdata
    });
    let opt = if plain.dnssec_ok.is_some() { 11 } else { 0 };
    12 + wire_len(plain.query.name()) + 4 + records.sum::<usize>() + opt
}

fn wire_len(name: &Name) -> usize {
    name.iter().map(|label| 1 + label.len()).sum::<usize>() + 1
}

fn owner(name: &OwnerName) -> Name {
    let mut name = name.to_hickory();
    name.set_fqdn(true);
    name
}

/// `labels` put before `name`.
fn below(labels: &str, name: &Name) -> Name {
    let mut full = Name::from_ascii(labels).expect("labels of ours");
    full.set_fqdn(false);
    full.append_domain(name)
        .expect("a balanced name leaves room")
}

fn a(owner: &Name, ttl: u32, address: Ipv4Addr) -> Record {
    Record::from_rdata(owner.clone(), ttl, RData::A(rdata::A(address)))
}

fn soa(owner_name: &Name, soa: &dglb_user::config::Soa, ttl: u32) -> Record {
    let data = rdata::SOA::new(
        owner(&soa.mname),
        owner(&soa.rname),
        soa.serial,
        soa.refresh.cast_signed(),
        soa.retry.cast_signed(),
        soa.expire.cast_signed(),
        soa.minimum,
    );
    Record::from_rdata(owner_name.clone(), ttl, RData::SOA(data))
}

/// RFC 8482 §4.2.
fn hinfo(owner: &Name, ttl: u32) -> Record {
    let data = rdata::HINFO::new("RFC8482".to_owned(), String::new());
    Record::from_rdata(owner.clone(), ttl, RData::HINFO(data))
}

/// The characters of the label directly below `ancestor`, small, if `name` lies below.
fn label_below(name: &Name, ancestor: &Name) -> Option<String> {
    if !ancestor.zone_of(name) || name.num_labels() <= ancestor.num_labels() {
        return None;
    }
    let label = name
        .iter()
        .nth(usize::from(name.num_labels() - ancestor.num_labels()) - 1)?;
    String::from_utf8(label.to_ascii_lowercase()).ok()
}

/// "`lb` + 13 characters of lower-case base32hex".
fn is_label_form(label: &str) -> bool {
    label.len() == 15
        && label.starts_with("lb")
        && label[2..]
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='v').contains(&c))
}

fn is_type(query: &Query, of: RecordType) -> bool {
    query.query_type() == of
}
