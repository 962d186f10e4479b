//! Whether a message is a query that can be answered, and what it brings beside its question.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Header, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder},
};

use ipnet::IpNet;

use super::records::wire_len;

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
    /// What its OPT says; `None`: it has none.
    pub edns: Option<Edns>,
}

/// What a query's OPT says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edns {
    /// The payload size, as it stands there.
    pub payload: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// Whether the server's identifier is asked for (RFC 5001).
    pub nsid: bool,
    /// Client Subnet, where it is believed.
    pub subnet: Option<Subnet>,
}

/// A well-formed Client Subnet option (RFC 7871 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// FAMILY, SOURCE PREFIX-LENGTH and ADDRESS.
    pub net: IpNet,
}

impl Plain {
    /// The largest response that it takes by UDP (RFC 6891 §6.2.3).
    pub fn udp_limit(&self) -> usize {
        let payload = self.edns.map_or(512, |edns| edns.payload);
        usize::from(payload.clamp(512, 1232))
    }
}

/// Reads a message; `believes`: Client Subnet from who sent it.
pub fn form(octets: &[u8], believes: bool) -> Form {
    let Ok(header) = Header::read(&mut BinDecoder::new(octets)) else {
        return Form::Silence;
    };
    if header.metadata.message_type == MessageType::Response {
        return Form::Silence;
    }
    if header.metadata.op_code != OpCode::Query {
        return Form::Wrong(ResponseCode::NotImp);
    }
    match plain(octets, &header, believes) {
        Some(Ok(plain)) => Form::Plain(plain),
        Some(Err(rcode)) => Form::Wrong(rcode),
        None => Form::Wrong(ResponseCode::FormErr),
    }
}

/// `None`: FORMERR.
fn plain(octets: &[u8], header: &Header, believes: bool) -> Option<Result<Plain, ResponseCode>> {
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
        // RFC 1035 §4.1.4: a pointer leads to "a prior occurrence of the same name": none is in the header.
        if leads_into_header(octets, at) {
            return None;
        }
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
        return Some(Ok(Plain { query, edns: None }));
    };
    if opt.ttl >> 16 & 0xff != 0 {
        return Some(Err(ResponseCode::BADVERS));
    }
    let mut edns = Edns {
        payload: opt.class,
        dnssec_ok: opt.ttl & 0x8000 != 0,
        ..Edns::default()
    };
    let mut options = opt.rdata.as_slice();
    while !options.is_empty() {
        let code = u16::from_be_bytes([*options.first()?, *options.get(1)?]);
        let len = usize::from(u16::from_be_bytes([*options.get(2)?, *options.get(3)?]));
        let data = options.get(4..4 + len)?;
        match code {
            3 => edns.nsid = true,
            // Two of them are one too many to be believed.
            8 if believes && edns.subnet.is_some() => return None,
            8 if believes => edns.subnet = Some(subnet(data)?),
            _ => {}
        }
        options = &options[4 + len..];
    }
    Some(Ok(Plain {
        query,
        edns: Some(edns),
    }))
}

/// RFC 7871 §7.2.1: "A query with a wrongly formatted option (e.g., an unknown FAMILY) MUST be rejected
/// and a FORMERR response MUST be returned to the sender".
fn subnet(data: &[u8]) -> Option<Subnet> {
    let (&[0, family, len, scope], address) = data.split_first_chunk::<4>()? else {
        return None;
    };
    // §6: "In queries, it MUST be set to 0."
    if scope != 0 || address.len() != usize::from(len).div_ceil(8) {
        return None;
    }
    let mut octets = [0; 16];
    octets.get_mut(..address.len())?.copy_from_slice(address);
    let address = match family {
        1 => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
        2 => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => return None,
    };
    let net = IpNet::new(address, len).ok()?;
    // "padding with 0 bits to pad to the end of the last octet needed".
    (net.trunc() == net).then_some(Subnet { net })
}

/// Whether a name that hickory-proto could read has a pointer into the header.
fn leads_into_header(octets: &[u8], mut at: usize) -> bool {
    loop {
        match octets[at] {
            0 => return false,
            len @ 1..=63 => at += 1 + usize::from(len),
            high => {
                at = usize::from(high & 0x3f) << 8 | usize::from(octets[at + 1]);
                if at < 12 {
                    return true;
                }
            }
        }
    }
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
