//! The options of an OPT record (RFC 6891 §6.1.2), and Client Subnet among them (RFC 7871 §6).

use super::{Frame, Scratch, bind, edns::MAX_RDATA};
use crate::{
    client::{Client, mask},
    counters::Counter,
    query::{OPTION_CLIENT_SUBNET, OPTION_NSID},
};

/// Options that are looked at; more are left to user space.
const MAX_OPTIONS: usize = 8;
/// Octets of a Client Subnet option in front of the address: code, length, family, source, scope.
pub const SUBNET_HEAD: usize = 8;

/// What Client Subnet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Octets of the option, with its code and length; 0: there is none.
    pub octets: usize,
    /// SOURCE PREFIX-LENGTH.
    pub source_len: u64,
    /// The address.
    pub client: Client,
}

impl Subnet {
    const NONE: Self = Self {
        octets: 0,
        source_len: 0,
        client: Client { word: 0, is_v6: 0 },
    };
}

/// Walks the `rdata` octets of options at `start`; each is a code, a length and as many octets.
#[inline(always)]
pub(super) fn read(
    dns: &Frame<'_>,
    start: usize,
    rdata: usize,
    scratch: &mut Scratch,
    believed: bool,
) -> Result<Subnet, Counter> {
    let thought = Counter::PassedEdns;
    let mut position = 0;
    // Where Client Subnet stands, and 1 more, so that 0 is: nowhere.
    let mut subnet = 0;
    for _ in 0..MAX_OPTIONS {
        if position == rdata {
            break;
        }
        if position + 4 > rdata {
            return Err(thought);
        }
        let head = dns.read::<[u8; 4]>(start + position).ok_or(thought)?;
        let [code_0, code_1, len_0, len_1] = head;
        let code = u16::from_be_bytes([code_0, code_1]);
        if code == OPTION_NSID {
            return Err(thought);
        }
        if believed && code == OPTION_CLIENT_SUBNET {
            if subnet != 0 {
                return Err(thought);
            }
            subnet = position + 1;
        }
        position = bind(position + 4 + usize::from(u16::from_be_bytes([len_0, len_1])));
        // Twice, as the verifier of kernel 6.1 learns nothing from comparing two variables; bound between
        // the two, or LLVM would leave the first one out.
        if position > MAX_RDATA {
            return Err(thought);
        }
        position = bind(position);
        if position > rdata {
            return Err(thought);
        }
    }
    if position != rdata {
        return Err(thought);
    }
    if subnet == 0 {
        return Ok(Subnet::NONE);
    }
    client_subnet(dns, start, subnet - 1, scratch)
}

/// Reads the Client Subnet option at `position` of the options, and puts it down as it is answered, with
/// scope 0. Malformed ones are left to user space.
#[inline(always)]
fn client_subnet(
    dns: &Frame<'_>,
    start: usize,
    position: usize,
    scratch: &mut Scratch,
) -> Result<Subnet, Counter> {
    let thought = Counter::PassedEdns;
    // At most 511 octets: the loop has left the verifier with less.
    let position = scratch.forget_long(position) & 0x1ff;
    let head = dns.read::<u64>(start + position).ok_or(thought)?;
    let [_, _, len_0, len_1, family_0, family_1, source_len, scope] = head.to_ne_bytes();
    let is_v6 = match [family_0, family_1] {
        [0, 1] => 0,
        [0, 2] => 1,
        _ => return Err(thought),
    };
    let source_len = u32::from(source_len);
    let most = if is_v6 == 0 { 32 } else { 128 };
    let address = (source_len as usize).div_ceil(8);
    let octets = SUBNET_HEAD + address;
    if scope != 0
        || source_len > most
        || usize::from(u16::from_be_bytes([len_0, len_1])) + 4 != octets
    {
        return Err(thought);
    }
    scratch.subnet = [head, 0, 0];
    for index in 0..16 {
        if index >= address {
            break;
        }
        let octet = dns
            .read::<u8>(start + position + SUBNET_HEAD + index)
            .ok_or(thought)?;
        scratch.put_subnet_octet(index, octet);
    }
    let [_, first, second] = scratch.subnet;
    // Bits behind the prefix are zero (RFC 7871 §6).
    let (of_first, of_second) = (source_len.min(64), source_len.saturating_sub(64));
    if first & !mask(of_first) | second & !mask(of_second) != 0 {
        return Err(thought);
    }
    Ok(Subnet {
        octets,
        source_len: u64::from(source_len),
        client: Client { word: first, is_v6 },
    })
}
