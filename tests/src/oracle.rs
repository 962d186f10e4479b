//! The judge: what a response must say, from the answer table and a node's [`Model`].
//!
//! It shares no code with the answer function: names and messages are hickory-proto's, sections are
//! compared as sets of records, TTLs included. It knows nothing of tables, slots or templates.
//!
//! - [`form()`] reads a query; `asker` is who asks; `dns_b` and `dns_lb` hold the rows.
//! - `expected` is what a response must say, `sizes` which of an answer's sizes it must have.
//! - [`frame`] judges what stands below DNS.

mod asker;
mod dns_b;
mod dns_lb;
mod expected;
mod form;
pub mod frame;
mod records;
mod sizes;

use std::net::IpAddr;

use dglb_common::counters::Counter;
use dglb_user::config::Role;
use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::DNSClass,
};

use self::records::wire_len;
pub use self::{
    asker::Asker,
    expected::{Expected, Sections, Sizes},
    form::{Edns, Form, Subnet, form},
};
use crate::model::Model;

/// How much a response may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
}

/// How a query came.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    source: IpAddr,
    /// By UDP: how much the response may have, beside what the client takes, for not to amplify.
    room: Option<usize>,
}

/// What the answer to `query`, a well-formed message's question, must say; `None`: nothing, it is left to
/// the resolver on the host.
pub fn expect(asker: &Asker<'_>, query: &Query) -> Option<Expected> {
    let beside_resolver = beside_resolver(asker.model);
    let not_ours = || (!beside_resolver).then(Expected::refused);
    if query.query_class() != DNSClass::IN {
        return not_ours();
    }
    let qtype = u16::from(query.query_type());
    // AXFR (RFC 5936) and IXFR (RFC 1995): the zone is given to nobody.
    if matches!(qtype, 251 | 252) {
        return not_ours();
    }
    let of_name = match &asker.model.config.role {
        Role::DnsB(node) => dns_b::expect(asker, node, query),
        Role::DnsLb(node) => dns_lb::expect(asker, node, query),
    };
    let wrong = |rcode| Some(Expected::error(Counter::Error, rcode));
    match qtype {
        _ if beside_resolver && of_name.is_none() => None,
        0 | 41 | 128 | 250 => wrong(ResponseCode::FormErr),
        129..=254 => wrong(ResponseCode::NotImp),
        _ => of_name.or_else(not_ours),
    }
}

/// Judges a response, or silence, to a query. Gives the row that it belongs to.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn judge(
    model: &Model,
    source: impl Into<IpAddr>,
    transport: Transport,
    query: &[u8],
    response: Option<&[u8]>,
) -> Result<Option<Counter>, String> {
    let source = source.into();
    let headers = if source.is_ipv4() { 28 } else { 48 };
    let amplified = 3 * (headers + query.len()) - headers;
    let arrival = Arrival {
        source,
        room: (transport == Transport::Udp).then_some(amplified),
    };
    judge_at(model, arrival, query, response)
}

fn judge_at(
    model: &Model,
    arrival: Arrival,
    query: &[u8],
    response: Option<&[u8]>,
) -> Result<Option<Counter>, String> {
    let asked = form(query, model.believes(arrival.source));
    let expected = match &asked {
        Form::Silence => None,
        Form::Wrong(rcode) => Some(Expected::error(Counter::Error, *rcode)),
        Form::Plain(plain) => {
            let subnet = plain.edns.and_then(|edns| edns.subnet);
            let asker = Asker {
                model,
                source: arrival.source,
                subnet: subnet.filter(|subnet| subnet.net.prefix_len() > 0),
            };
            expect(&asker, &plain.query)
        }
    };
    let (octets, expected) = match (response, expected) {
        (None, None) => return Ok(None),
        // What is wrong is the resolver's on the same host to answer, if it is asked of its names.
        (None, Some(_)) if matches!(asked, Form::Wrong(_)) && beside_resolver(model) => {
            return Ok(None);
        }
        (None, Some(_)) => return Err(format!("no response to {asked:?}")),
        (Some(_), None) => return Err("a response to what is not to be answered".to_owned()),
        (Some(octets), Some(expected)) => (octets, expected),
    };
    let message = Message::from_vec(octets)
        .map_err(|error| format!("hickory-proto cannot read the response: {error}"))?;
    check_header(query, octets, &message, &expected, beside_resolver(model))?;
    let Form::Plain(plain) = &asked else {
        return Ok(Some(expected.row));
    };
    check_question(query, octets, &plain.query)?;
    let limit = match arrival.room {
        Some(room) => plain.udp_limit().min(room),
        None => 65_535,
    };
    if octets.len() > limit {
        return Err(format!("{} octets, {limit} are allowed", octets.len()));
    }
    let identifier = model.config.node.name.as_bytes();
    check_edns(plain.edns, &message, &expected, (octets, limit, identifier))?;
    let opt_octets = match plain.edns {
        Some(_) => 11 + options(octets)?.iter().map(Vec::len).sum::<usize>(),
        None => 0,
    };
    sizes::check(plain, (limit, opt_octets), &message, &expected)?;
    check_letters(&plain.query, &message)?;
    Ok(Some(if message.metadata.truncation {
        Counter::Truncated
    } else {
        expected.row
    }))
}

fn beside_resolver(model: &Model) -> bool {
    matches!(&model.config.role, Role::DnsLb(node) if node.beside_resolver)
}

fn check_header(
    query: &[u8],
    octets: &[u8],
    message: &Message,
    expected: &Expected,
    recursion_available: bool,
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
    same("Z or AD is set", octets[3] & 0x60 == 0)?;
    same(
        &format!("RA is not {recursion_available}"),
        (octets[3] & 0x80 != 0) == recursion_available,
    )?;
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

fn check_edns(
    asked: Option<Edns>,
    message: &Message,
    expected: &Expected,
    (octets, limit, identifier): (&[u8], usize, &[u8]),
) -> Result<(), String> {
    let (asked, edns) = match (asked, &message.edns) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err("OPT in the response to a query without".to_owned()),
        (Some(_), None) => return Err("no OPT in the response to a query with it".to_owned()),
        (Some(asked), Some(edns)) => (asked, edns),
    };
    let plain = edns.version() == 0
        && edns.max_payload() == 1232
        && edns.flags().dnssec_ok == asked.dnssec_ok
        && edns.flags().z == 0;
    if !plain {
        return Err(format!("OPT says {edns:?}"));
    }
    let scope = if message.metadata.truncation {
        0
    } else {
        expected.scope
    };
    let mut wanted: Vec<Vec<u8>> = asked
        .subnet
        .map(|subnet| echo(subnet, scope))
        .into_iter()
        .collect();
    let mut seen = options(octets)?;
    // The identifier is left out where it would not fit (an empty one says nothing).
    if asked.nsid {
        let at = seen.iter().position(|option| option[..2] == [0, 3]);
        let given = at.map(|at| seen.remove(at));
        let whole = [&[0, 3, 0, identifier.len() as u8], identifier].concat();
        let fits = octets.len() + identifier.len() <= limit;
        match given {
            Some(option) if option == whole => {}
            Some(option) if option.len() > 4 => return Err(format!("NSID {option:02x?}")),
            _ if fits && message.metadata.truncation => {
                return Err("no NSID, though it would fit".to_owned());
            }
            _ => {}
        }
    }
    wanted.sort();
    seen.sort();
    if wanted == seen {
        Ok(())
    } else {
        Err(format!("options are {seen:02x?}, should be {wanted:02x?}"))
    }
}

/// The option as it is to be returned: "FAMILY, SOURCE PREFIX-LENGTH, and ADDRESS […] MUST match"
/// (RFC 7871 §7.2.1).
fn echo(subnet: Subnet, scope: u8) -> Vec<u8> {
    let net = subnet.net;
    let (family, octets) = match net.addr() {
        IpAddr::V4(address) => (1, address.octets().to_vec()),
        IpAddr::V6(address) => (2, address.octets().to_vec()),
    };
    let octets = &octets[..usize::from(net.prefix_len()).div_ceil(8)];
    let len = 4 + octets.len() as u8;
    let head = [0, 8, 0, len, 0, family, net.prefix_len(), scope];
    [&head[..], octets].concat()
}

/// The options of the OPT record that ends a message, each whole.
fn options(octets: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    // Our OPT stands last: it is found from where its length leads to the end.
    let starts = octets.windows(5).enumerate();
    let opt = starts
        .filter(|(_, start)| *start == [0, 0, 41, 0x04, 0xd0])
        .find(|(at, _)| {
            let len = octets.get(at + 9..at + 11);
            len.is_some_and(|len| {
                at + 11 + usize::from(u16::from_be_bytes([len[0], len[1]])) == octets.len()
            })
        });
    let (at, _) = opt.ok_or("OPT does not stand last")?;
    let mut rest = &octets[at + 11..];
    let mut options = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if len > tail.len() {
            return Err("an option is longer than OPT".to_owned());
        }
        options.push(rest[..4 + len].to_vec());
        rest = &tail[len..];
    }
    Ok(options)
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
