//! A query as it came: header, question, OPT (RFC 1035 §4.1, RFC 6891 §6.1).
//!
//! Strict where a sloppy reading could be answered wrongly, deaf to what a responder is to ignore
//! (AA, TC, Z, RCODE of a query). Written apart from the kernel program's parser on purpose: the
//! differential test holds the two against each other.

use dglb_common::query::{
    OPTION_CLIENT_SUBNET, OPTION_NSID, OUR_PAYLOAD_SIZE, PLAIN_PAYLOAD_SIZE, TYPE_OPT,
};
use hickory_proto::{op::ResponseCode, rr::Name};

use super::{subnet::ClientSubnet, types::TYPE_IXFR};
use crate::name::OwnerName;

/// Octets of the header (RFC 1035 §4.1.1).
pub(super) const HEADER: usize = 12;

/// What of the header goes into the response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Copied.
    pub(super) id: u16,
    /// Zero for a query (RFC 1035 §4.1.1).
    pub(super) opcode: u8,
    /// Recursion desired; copied.
    pub(super) recursion_desired: bool,
    /// Checking disabled; copied (RFC 4035 §3.1.6).
    pub(super) checking_disabled: bool,
}

/// The one question (RFC 9619).
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    /// Name, type and class as asked.
    pub(super) octets: &'a [u8],
    /// The name, letter case folded.
    pub(super) name: OwnerName,
    /// QTYPE.
    pub(super) qtype: u16,
    /// QCLASS.
    pub(super) qclass: u16,
}

/// The query's OPT record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edns {
    payload: u16,
    version: u8,
    /// DNSSEC OK; copied (RFC 3225 §3).
    pub(super) dnssec_ok: bool,
    /// Options that are answered.
    pub(super) options: Options,
}

/// The options of a query that mean something to us.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// The name server identifier is asked for (RFC 5001 §2.1).
    pub(super) nsid: bool,
    /// Client Subnet, if it is believed.
    pub(super) subnet: Option<ClientSubnet>,
}

/// A message that is to be answered.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    /// Its header.
    pub(super) header: Header,
    /// Its question, if it has exactly one that can be read.
    pub(super) question: Option<Question<'a>>,
    /// Its OPT, if one can be read.
    pub(super) edns: Option<Edns>,
    /// What is wrong with it, whatever it asks.
    pub(super) error: Option<ResponseCode>,
}

impl<'a> Query<'a> {
    /// Reads a message. `None`: nothing that one answers, no header or itself a response.
    ///
    /// `believes_subnet`: the sender is one whose Client Subnet is read.
    pub(super) fn read(message: &'a [u8], believes_subnet: bool) -> Option<Self> {
        let header = message.get(..HEADER)?;
        if header[2] & 0x80 != 0 {
            return None;
        }
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let mut query = Self {
            header: Header {
                id: word(0),
                opcode: (header[2] >> 3) & 0xf,
                recursion_desired: header[2] & 1 != 0,
                checking_disabled: header[3] & 0x10 != 0,
            },
            question: None,
            edns: None,
            error: None,
        };
        let counts = [word(4), word(6), word(8), word(10)];
        query.error = query.read_sections(message, counts, believes_subnet).err();
        if query.header.opcode != 0 {
            query.error = Some(ResponseCode::NotImp);
        }
        Some(query)
    }

    /// The largest response by UDP (RFC 6891 §6.2.3).
    pub(super) fn udp_limit(&self) -> usize {
        usize::from(self.edns.map_or(PLAIN_PAYLOAD_SIZE, |edns| {
            edns.payload.clamp(PLAIN_PAYLOAD_SIZE, OUR_PAYLOAD_SIZE)
        }))
    }

    /// Reads on behind what is no plain query, as far as it can be read: RFC 6891 §7 wants OPT in the
    /// response also where something is wrong with the query.
    fn read_sections(
        &mut self,
        message: &'a [u8],
        counts: [u16; 4],
        believes_subnet: bool,
    ) -> Result<(), ResponseCode> {
        let [questions, answers, authorities, additionals] = counts;
        let mut reader = Reader {
            message,
            at: HEADER,
        };
        if questions == 1 {
            self.question = Some(reader.question().ok_or(ResponseCode::FormErr)?);
        } else {
            for _ in 0..questions {
                reader.other_question().ok_or(ResponseCode::FormErr)?;
            }
        }
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            let head = reader.record_head().ok_or(ResponseCode::FormErr)?;
            reader.take(head.rdata_len).ok_or(ResponseCode::FormErr)?;
        }
        let mut options: &[u8] = &[];
        for _ in 0..additionals {
            let head = reader.record_head().ok_or(ResponseCode::FormErr)?;
            let is_second = self.edns.is_some();
            if head.rtype == TYPE_OPT && !is_second {
                self.edns = Some(Edns::of(&head));
            }
            let rdata = reader.take(head.rdata_len).ok_or(ResponseCode::FormErr)?;
            if head.rtype != TYPE_OPT {
                continue;
            }
            if is_second || !head.owned_by_root {
                return Err(ResponseCode::FormErr);
            }
            options = rdata;
        }
        // The only query with records in these sections is IXFR's, which brings its SOA (RFC 1995 §3).
        let is_ixfr = (self.question.as_ref()).is_some_and(|it| it.qtype == TYPE_IXFR);
        let is_query = questions == 1 && answers == 0 && (authorities == 0 || is_ixfr);
        if !is_query || reader.at != message.len() {
            return Err(ResponseCode::FormErr);
        }
        let Some(edns) = &mut self.edns else {
            return Ok(());
        };
        // Before the options: another version's may look otherwise (RFC 6891 §6.1.3).
        if edns.version != 0 {
            return Err(ResponseCode::BADVERS);
        }
        edns.options = Options::read(options, believes_subnet).ok_or(ResponseCode::FormErr)?;
        Ok(())
    }
}

impl Question<'_> {
    /// Octets of the name in front of `ancestor`, which the name is or lies below.
    pub(super) fn octets_before(&self, ancestor: &OwnerName) -> usize {
        self.name.wire().len() - ancestor.wire().len()
    }

    /// `name` with the letters that the question wrote, as far as the two end alike. Names in a
    /// response then read like the question, and compress against it.
    pub(super) fn in_letters_asked(&self, name: &OwnerName) -> Name {
        let asked = &self.octets[..self.name.wire().len()];
        let mut wire = name.wire().to_vec();
        let mut start = 0;
        while wire[start] != 0 {
            let len = wire.len() - start;
            if self
                .name
                .is_at_or_below(&OwnerName::from_wire(&wire[start..]))
            {
                wire[start..].copy_from_slice(&asked[asked.len() - len..]);
                break;
            }
            start += 1 + usize::from(wire[start]);
        }
        Name::from_labels(labels(&wire)).expect("as long as an owner name")
    }
}

/// The labels of a name in wire form.
pub(super) fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let (&len, tail) = rest.split_first()?;
        let (label, after) = tail.split_at_checked(usize::from(len))?;
        rest = after;
        (len != 0).then_some(label)
    })
}

impl Options {
    /// Reads a list of options: code, length, and as many octets (RFC 6891 §6.1.2). `None`: it is no such
    /// list, or Client Subnet is believed and malformed or there twice.
    fn read(mut rdata: &[u8], believes_subnet: bool) -> Option<Self> {
        let mut options = Self::default();
        while !rdata.is_empty() {
            let ([code_0, code_1, len_0, len_1], rest) = rdata.split_first_chunk()?;
            let len = usize::from(u16::from_be_bytes([*len_0, *len_1]));
            let (data, rest) = rest.split_at_checked(len)?;
            match u16::from_be_bytes([*code_0, *code_1]) {
                // RFC 5001 §2.1: what a query has in it is ignored.
                OPTION_NSID => options.nsid = true,
                OPTION_CLIENT_SUBNET if believes_subnet => {
                    let subnet = ClientSubnet::read(data)?;
                    if options.subnet.replace(subnet).is_some() {
                        return None;
                    }
                }
                _ => {}
            }
            rdata = rest;
        }
        Some(options)
    }
}

impl Edns {
    fn of(head: &RecordHead) -> Self {
        let [_extended_rcode, version, flags, _] = head.ttl;
        Self {
            payload: head.class,
            version,
            dnssec_ok: flags & 0x80 != 0,
            options: Options::default(),
        }
    }
}

/// What stands before a record's data (RFC 1035 §4.1.3).
struct RecordHead {
    owned_by_root: bool,
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    rdata_len: usize,
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(octets)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        self.take(2)
            .map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// The question. Its name cannot be compressed: nothing but the header stands before it.
    fn question(&mut self) -> Option<Question<'a>> {
        let start = self.at;
        loop {
            match self.take(1)?[0] {
                0 => break,
                len @ 1..=63 => self.take(usize::from(len))?,
                _ => return None,
            };
        }
        let name = &self.message[start..self.at];
        if name.len() > 255 {
            return None;
        }
        Some(Question {
            name: OwnerName::from_wire(name),
            qtype: self.word()?,
            qclass: self.word()?,
            octets: &self.message[start..self.at],
        })
    }

    /// One of several questions, which are not answered; names may be compressed.
    fn other_question(&mut self) -> Option<()> {
        self.name()?;
        self.take(4)?;
        Some(())
    }

    fn record_head(&mut self) -> Option<RecordHead> {
        let start = self.at;
        self.name()?;
        Some(RecordHead {
            owned_by_root: self.message[start] == 0,
            rtype: self.word()?,
            class: self.word()?,
            ttl: self.take(4)?.try_into().ok()?,
            rdata_len: usize::from(self.word()?),
        })
    }

    /// A name of at most 255 octets that may have compression pointers, each to "a prior occurrence"
    /// (RFC 1035 §2.3.4, §4.1.4).
    fn name(&mut self) -> Option<()> {
        let (mut start, mut octets) = (self.at, 1);
        // Where the name ends, once a pointer leads elsewhere.
        let mut behind = None;
        loop {
            match self.take(1)?[0] {
                0 => break,
                len @ 1..=63 => {
                    self.take(usize::from(len))?;
                    octets += 1 + usize::from(len);
                }
                high @ 0xc0.. => {
                    let target = usize::from(high & 0x3f) << 8 | usize::from(self.take(1)?[0]);
                    if !(HEADER..start).contains(&target) {
                        return None;
                    }
                    behind.get_or_insert(self.at);
                    (start, self.at) = (target, target);
                }
                _ => return None,
            }
            if octets > 255 {
                return None;
            }
        }
        self.at = behind.unwrap_or(self.at);
        Some(())
    }
}
