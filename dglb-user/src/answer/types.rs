//! Query types beyond those that the kernel knows by name, and which of them are no data types.

use dglb_common::query::TYPE_OPT;

/// DS (RFC 4034 §5).
pub(super) const TYPE_DS: u16 = 43;
/// RRSIG (RFC 4034 §3).
pub(super) const TYPE_RRSIG: u16 = 46;
/// NSEC (RFC 4034 §4).
pub(super) const TYPE_NSEC: u16 = 47;
/// DNSKEY (RFC 4034 §2).
pub(super) const TYPE_DNSKEY: u16 = 48;
/// NSEC3 (RFC 5155 §3).
pub(super) const TYPE_NSEC3: u16 = 50;
/// NSEC3PARAM (RFC 5155 §4).
pub(super) const TYPE_NSEC3PARAM: u16 = 51;
/// CDS (RFC 7344 §3.1).
pub(super) const TYPE_CDS: u16 = 59;
/// CDNSKEY (RFC 7344 §3.2).
pub(super) const TYPE_CDNSKEY: u16 = 60;
/// CSYNC (RFC 7477 §2.1).
pub(super) const TYPE_CSYNC: u16 = 62;
/// NXNAME (RFC 9824 §3.1).
pub(super) const TYPE_NXNAME: u16 = 128;
/// TSIG (RFC 8945 §4.1).
pub(super) const TYPE_TSIG: u16 = 250;
/// IXFR (RFC 1995 §2).
pub(super) const TYPE_IXFR: u16 = 251;
/// AXFR (RFC 5936 §2.1).
pub(super) const TYPE_AXFR: u16 = 252;
/// ANY (RFC 8482).
pub(super) const TYPE_ANY: u16 = 255;

/// What kind of question a type asks, whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypeKind {
    /// Data of this type, or ANY: the name decides.
    Data,
    /// A zone transfer, which we give to nobody.
    Transfer,
    /// A meta type that has a meaning of its own as a query, which we do not have: MAILB, MAILA,
    /// TKEY, and what may be assigned yet (RFC 6895 §3.1).
    NotImplemented,
    /// A type that never is a question.
    Malformed,
}

impl TypeKind {
    /// The kind of `qtype`.
    pub(super) const fn of(qtype: u16) -> Self {
        match qtype {
            // RFC 9824 §3.5: a query for NXNAME gets FORMERR. TYPE 0 is reserved (RFC 6895 §3.1), OPT
            // and TSIG stand in the additional section only.
            0 | TYPE_OPT | TYPE_NXNAME | TYPE_TSIG => Self::Malformed,
            TYPE_AXFR | TYPE_IXFR => Self::Transfer,
            TYPE_ANY => Self::Data,
            129..=254 => Self::NotImplemented,
            _ => Self::Data,
        }
    }
}

/// Types that DNSSEC and delegation upkeep have at an apex, and that never follow an alias there:
/// an unsigned zone has none of them.
pub(super) const fn is_zone_upkeep(qtype: u16) -> bool {
    matches!(
        qtype,
        TYPE_DS
            | TYPE_RRSIG
            | TYPE_NSEC
            | TYPE_DNSKEY
            | TYPE_NSEC3
            | TYPE_NSEC3PARAM
            | TYPE_CDS
            | TYPE_CDNSKEY
            | TYPE_CSYNC
    )
}
