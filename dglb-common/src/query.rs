//! Which questions the kernel may answer, by type (docs/answer-table.md, "Any type").

/// A (RFC 1035 §3.2.2).
pub const TYPE_A: u16 = 1;
/// NS (RFC 1035 §3.2.2).
pub const TYPE_NS: u16 = 2;
/// CNAME (RFC 1035 §3.2.2).
pub const TYPE_CNAME: u16 = 5;
/// SOA (RFC 1035 §3.2.2).
pub const TYPE_SOA: u16 = 6;
/// AAAA (RFC 3596 §2.1).
pub const TYPE_AAAA: u16 = 28;
/// OPT (RFC 6891 §6.1.1).
pub const TYPE_OPT: u16 = 41;
/// Class IN (RFC 1035 §3.2.4).
pub const CLASS_IN: u16 = 1;
/// Option code of NSID (RFC 5001 §2.3).
pub const OPTION_NSID: u16 = 3;
/// Option code of Client Subnet (RFC 7871 §6).
pub const OPTION_CLIENT_SUBNET: u16 = 8;
/// A response has at most this many times the octets of the query, IP header included.
pub const MAX_AMPLIFICATION: usize = 3;
/// The UDP payload size that our OPT announces, and the largest response that we send by UDP.
pub const OUR_PAYLOAD_SIZE: u16 = 1232;
/// What a client takes that sent no OPT (RFC 1035 §4.2.1).
pub const PLAIN_PAYLOAD_SIZE: u16 = 512;

/// Types below 64 that need thought: SOA 6, OPT 41, DS 43, RRSIG 46, NSEC 47, DNSKEY 48, NSEC3 50,
/// NSEC3PARAM 51, CDS 59, CDNSKEY 60, CSYNC 62, and 0, which is reserved (RFC 6895 §3.1).
const THOUGHT_BELOW_64: u64 = 1
    | 1 << 6
    | 1 << 41
    | 1 << 43
    | 1 << 46
    | 1 << 47
    | 1 << 48
    | 1 << 50
    | 1 << 51
    | 1 << 59
    | 1 << 60
    | 1 << 62;

/// Whether the kernel may answer questions of this type: below 128 and 256–257 (URI, CAA), without
/// those that are answered with thought. 128–255 are meta types and query types (RFC 6895 §3.1).
///
/// NS is among them: where it stands at an apex the row itself sends it to user space.
#[inline(always)]
pub const fn is_fast_type(qtype: u16) -> bool {
    match qtype {
        0..=63 => (THOUGHT_BELOW_64 >> qtype) & 1 == 0,
        64..=127 | 256 | 257 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_need_thought_are_left_to_user_space() {
        let slow = [0, 6, 41, 43, 46, 47, 48, 50, 51, 59, 60, 62];
        for qtype in 0..=u16::MAX {
            let expected = (qtype < 128 || (256..=257).contains(&qtype)) && !slow.contains(&qtype);
            assert_eq!(is_fast_type(qtype), expected, "type {qtype}");
        }
    }
}
