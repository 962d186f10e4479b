//! The OPT record behind the question (RFC 6891 §6.1).

use dglb_common::query::{OPTION_NSID, OUR_PAYLOAD_SIZE, PLAIN_PAYLOAD_SIZE, TYPE_OPT};

use crate::{
    frame::{Frame, Headers, NAME, bind},
    outcome::Outcome,
    question::Question,
};

/// Octets of an OPT record without options.
pub const OPT_OCTETS: usize = 11;
/// Options that are looked at; more are left to user space.
const MAX_OPTIONS: usize = 8;
/// Octets of options that are looked at.
const MAX_RDATA: usize = 511;

/// What the client said by OPT.
///
/// Whole words only: the target feature that lets packet memory be read unaligned makes LLVM copy
/// odd-sized structs by overlapping words, which the verifier refuses on the stack ("misaligned
/// stack access", kernel 6.18).
#[derive(Clone, Copy)]
pub struct Edns {
    /// Nonzero: there was an OPT.
    pub present: u64,
    /// The DO bit as it stands in the record's TTL (RFC 3225 §3): 0x80 or 0.
    pub dnssec_ok: u64,
    /// Octets that the response may have.
    pub payload: usize,
}

/// Reads what follows the question: nothing, or one OPT.
///
/// COOKIE (RFC 7873) and unknown options are skipped, a server without cookies does not echo them;
/// Client Subnet (RFC 7871) is ignored for now.
#[inline(always)]
pub fn read(frame: &Frame, headers: &Headers, question: &Question) -> Result<Edns, Outcome> {
    let end = headers.message_end;
    let opt = NAME + question.octets();
    if headers.additionals == 0 {
        // Octets behind the message would be lost in an answer: malformed.
        return if opt == end {
            Ok(Edns {
                present: 0,
                dnssec_ok: 0,
                payload: PLAIN_PAYLOAD_SIZE as usize,
            })
        } else {
            Err(Outcome::Form)
        };
    }
    let record = frame.read::<[u8; OPT_OCTETS]>(opt).ok_or(Outcome::Edns)?;
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
        return Err(Outcome::Edns);
    };
    if u16::from_be_bytes([type_0, type_1]) != TYPE_OPT || extended_rcode != 0 || version != 0 {
        return Err(Outcome::Edns);
    }
    let rdata = usize::from(u16::from_be_bytes([len_0, len_1]));
    if rdata > MAX_RDATA || opt + OPT_OCTETS + rdata != end {
        return Err(Outcome::Edns);
    }
    options(frame, opt + OPT_OCTETS, rdata)?;
    let size = u16::from_be_bytes([size_0, size_1]);
    Ok(Edns {
        present: 1,
        dnssec_ok: u64::from(flags & 0x80),
        payload: size.clamp(PLAIN_PAYLOAD_SIZE, OUR_PAYLOAD_SIZE) as usize,
    })
}

/// Walks the options; each is a code, a length and as many octets (RFC 6891 §6.1.2).
#[inline(always)]
fn options(frame: &Frame, start: usize, rdata: usize) -> Result<(), Outcome> {
    let mut position = 0;
    for _ in 0..MAX_OPTIONS {
        if position == rdata {
            return Ok(());
        }
        if position + 4 > rdata {
            return Err(Outcome::Edns);
        }
        let head = frame
            .read::<[u8; 4]>(start + position)
            .ok_or(Outcome::Edns)?;
        let [code_0, code_1, len_0, len_1] = head;
        position = bind(position + 4 + usize::from(u16::from_be_bytes([len_0, len_1])));
        // From a comparison with a variable the verifier of kernel 6.1 learns nothing: first with a
        // constant, and LLVM must not see that the other one would do.
        if position > MAX_RDATA {
            return Err(Outcome::Edns);
        }
        if bind(position) > rdata || u16::from_be_bytes([code_0, code_1]) == OPTION_NSID {
            return Err(Outcome::Edns);
        }
    }
    if position == rdata {
        Ok(())
    } else {
        Err(Outcome::Edns)
    }
}
