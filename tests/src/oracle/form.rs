//! Whether a message is a query that can be answered, and what it brings beside its question.

use hickory_proto::{
    op::{Header, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use super::wire_len;

/// What a message is.
#[derive(Clone, Debug)]
pub enum Form {
    /// No query: too short for a header, or a response. It gets none.
    Silence,
    /// A query that is wrong in itself.
    Wrong(ResponseCode),
    /// A query.
    Plain(Plain),
}

/// A query that is right in itself.
#[derive(Clone, Debug)]
pub struct Plain {
    /// Its question.
    pub query: Query,
    /// DO of its OPT; `None`: it has none.
    pub dnssec_ok: Option<bool>,
    /// The largest response that it takes by UDP.
    pub udp_limit: usize,
}

/// Reads a message.
pub fn form(octets: &[u8]) -> Form {
    let Ok(header) = Header::read(&mut BinDecoder::new(octets)) else {
        return Form::Silence;
    };
    if header.metadata.message_type == MessageType::Response {
        return Form::Silence;
    }
    if header.metadata.op_code != OpCode::Query {
        return Form::Wrong(ResponseCode::NotImp);
    }
    match plain(octets, &header) {
        Some(Ok(plain)) => Form::Plain(plain),
        Some(Err(rcode)) => Form::Wrong(rcode),
        None => Form::Wrong(ResponseCode::FormErr),
    }
}

/// `None`: FORMERR.
fn plain(octets: &[u8], header: &Header) -> Option<Result<Plain, ResponseCode>> {
    let counts = &header.counts;
    let mut decoder = BinDecoder::new(octets);
    Header::read(&mut decoder).ok()?;
    // RFC 9619 §4: "A DNS message with OPCODE = 0 and QDCOUNT > 1 MUST be treated as an incorrectly
    // formatted message."
    if counts.queries != 1 {
        return None;
    }
    let query = Query::read(&mut decoder).ok()?;
    // A first name has nothing to point to.
    if decoder.index() != 12 + wire_len(query.name()) + 4 {
        return None;
    }
    let is_ixfr = query.query_type() == RecordType::IXFR;
    if counts.answers != 0 || counts.authorities != 0 && !is_ixfr {
        return None;
    }
    let mut opt = None;
    for index in 0..counts.authorities + counts.additionals {
        let at = decoder.index();
        let record = record(&mut decoder)?;
        if record.rtype != 41 || index < counts.authorities {
            continue;
        }
        // RFC 6891 §6.1.1: "If a query message with more than one OPT RR is received, a FORMERR
        // (RCODE=1) MUST be returned." §6.1.2: "NAME: MUST be 0 (root domain)", so not by a pointer.
        if opt.is_some() || octets[at] != 0 {
            return None;
        }
        opt = Some(record);
    }
    if !decoder.is_empty() {
        return None;
    }
    let Some(opt) = opt else {
        return Some(Ok(Plain {
            query,
            dnssec_ok: None,
            udp_limit: 512,
        }));
    };
    if opt.ttl >> 16 & 0xff != 0 {
        return Some(Err(ResponseCode::BADVERS));
    }
    let mut options = opt.rdata.as_slice();
    while !options.is_empty() {
        let len = u16::from_be_bytes([*options.get(2)?, *options.get(3)?]);
        options = options.get(4 + usize::from(len)..)?;
    }
    Some(Ok(Plain {
        query,
        dnssec_ok: Some(opt.ttl & 0x8000 != 0),
        udp_limit: usize::from(opt.class.clamp(512, 1232)),
    }))
}

struct Raw {
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: Vec<u8>,
}

fn record(decoder: &mut BinDecoder<'_>) -> Option<Raw> {
    Name::read(decoder).ok()?;
    let rtype = decoder.read_u16().ok()?.unverified();
    let class = decoder.read_u16().ok()?.unverified();
    let ttl = decoder.read_u32().ok()?.unverified();
    let len = decoder.read_u16().ok()?.unverified();
    let rdata = decoder.read_vec(usize::from(len)).ok()?.unverified();
    Some(Raw {
        rtype,
        class,
        ttl,
        rdata,
    })
}
