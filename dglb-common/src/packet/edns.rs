//! The OPT record behind the question (RFC 6891 §6.1).

use super::{Frame, Message, NAME, Question, Scratch, options, question::MAX_ROOT};
use crate::{
    client::Client,
    counters::Counter,
    query::{OUR_PAYLOAD_SIZE, PLAIN_PAYLOAD_SIZE, TYPE_OPT},
};

/// Octets of an OPT record without options.
pub const OPT_OCTETS: usize = 11;
/// Octets of options that are looked at.
pub(super) const MAX_RDATA: usize = 511;

/// The low octet of OPT's type.
const OPT: u8 = TYPE_OPT as u8;
/// Octets of the question behind the name's last label: root, type (2), class (2).
const FIXED: usize = 5;

/// What the client said by OPT. Whole words, for the reason that [`super::Datagram`] gives.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Nonzero: there was an OPT.
    pub present: u64,
    /// The DO bit as it stands in the record's TTL (RFC 3225 §3): 0x80 or 0.
    pub dnssec_ok: u64,
    /// Octets that the response may have.
    pub payload: usize,
    /// Octets of the Client Subnet option of the response, 0 if there is none, else 8 to 24; its octets
    /// are in [`Scratch::subnet`].
    pub subnet: usize,
    /// Client Subnet's SOURCE PREFIX-LENGTH; 0 if there is none: who asks is the source then.
    pub source_len: u64,
    /// The client that Client Subnet names.
    pub client: Client,
}

impl Edns {
    /// There was none.
    pub const ABSENT: Self = Self {
        present: 0,
        dnssec_ok: 0,
        payload: PLAIN_PAYLOAD_SIZE as usize,
        subnet: 0,
        source_len: 0,
        client: Client { word: 0, is_v6: 0 },
    };

    /// Octets of the response's OPT record.
    #[inline(always)]
    pub fn reply_octets(&self) -> usize {
        if self.present == 0 {
            0
        } else {
            OPT_OCTETS + self.subnet
        }
    }
}

/// The question and OPT of a message, if there is no OPT, or one without options. Nothing is said of the
/// name but where it would end: whether it is a name, and how many labels it has, is not looked at
/// (`labels` is 0).
#[inline(always)]
pub fn without_options(
    dns: &Frame<'_>,
    message: &Message,
    scratch: &mut Scratch,
) -> Option<(Question, Edns)> {
    let mut edns = Edns::ABSENT;
    let mut end = message.octets;
    if message.additionals != 0 {
        end = end.wrapping_sub(OPT_OCTETS) & 0x7ff;
        let record = dns.read::<[u8; OPT_OCTETS]>(end)?;
        let [0, 0, OPT, size_0, size_1, 0, 0, flags, _, 0, 0] = record else {
            return None;
        };
        let size = u16::from_be_bytes([size_0, size_1]);
        edns.present = 1;
        edns.dnssec_ok = u64::from(flags & 0x80);
        edns.payload = size.clamp(PLAIN_PAYLOAD_SIZE, OUR_PAYLOAD_SIZE) as usize;
    }
    let root = end.wrapping_sub(NAME + FIXED);
    if root == 0 || root > MAX_ROOT {
        return None;
    }
    // Or all that follows would be verified once with OPT and once without.
    let root = scratch.forget(root);
    let fixed = dns.read::<[u8; FIXED]>(NAME + root)?;
    let [0, type_0, type_1, 0, 1] = fixed else {
        return None;
    };
    let question = Question {
        labels: 0,
        root,
        qtype: u64::from(u16::from_be_bytes([type_0, type_1])),
    };
    Some((question, edns))
}

/// Reads what follows the question: nothing, or one OPT. `believed`: Client Subnet counts, which else
/// is skipped like COOKIE (RFC 7873) and unknown options; a server without cookies does not echo them.
///
/// # Errors
/// [`Counter::PassedForm`] for octets behind the message, which would be lost in an answer;
/// [`Counter::PassedEdns`] for what needs thought: another version, NSID, what is malformed.
#[inline(always)]
pub fn edns(
    dns: &Frame<'_>,
    message: &Message,
    question: &Question,
    scratch: &mut Scratch,
    believed: bool,
) -> Result<Edns, Counter> {
    let opt = NAME + question.octets();
    if message.additionals == 0 {
        return if opt == message.octets {
            Ok(Edns::ABSENT)
        } else {
            Err(Counter::PassedForm)
        };
    }
    let thought = Counter::PassedEdns;
    let record = dns.read::<[u8; OPT_OCTETS]>(opt).ok_or(thought)?;
    let [
        0,
        type_0,
        type_1,
        size_0,
        size_1,
        extended_rcode,
        version,
        flags,
        _,
        len_0,
        len_1,
    ] = record
    else {
        return Err(thought);
    };
    if u16::from_be_bytes([type_0, type_1]) != TYPE_OPT || extended_rcode != 0 || version != 0 {
        return Err(thought);
    }
    let rdata = usize::from(u16::from_be_bytes([len_0, len_1]));
    if rdata > MAX_RDATA || opt + OPT_OCTETS + rdata != message.octets {
        return Err(thought);
    }
    let size = u16::from_be_bytes([size_0, size_1]);
    let edns = Edns {
        present: 1,
        dnssec_ok: u64::from(flags & 0x80),
        payload: size.clamp(PLAIN_PAYLOAD_SIZE, OUR_PAYLOAD_SIZE) as usize,
        ..Edns::ABSENT
    };
    if rdata == 0 {
        return Ok(edns);
    }
    let subnet = options::read(dns, opt + OPT_OCTETS, rdata, scratch, believed)?;
    Ok(Edns {
        subnet: subnet.octets,
        source_len: subnet.source_len,
        client: subnet.client,
        ..edns
    })
}
