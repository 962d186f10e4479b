//! Ready answers: the resource records that the kernel copies behind a question.
//!
//! Each function makes the records of one row of the answer table, in the form that
//! [`dglb_common::layout::Answer`] describes. Where less can be said to a client that takes less, they
//! are [`Variants`]. The builder of the tables calls this; nothing here looks at a table.

mod names;
mod records;
#[cfg(test)]
mod tests;
mod variants;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dglb_common::{
    counters::Counter,
    layout::{Answer, MAX_ANSWER_OCTETS, MAX_POINTERS, MAX_VARIANTS},
    query::{TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_NS, TYPE_SOA},
};

pub use self::variants::Variants;
use self::{
    names::Base,
    records::{Owner, Records},
};
use crate::{
    config::{DnsLbNode, Form, Soa, Zone},
    label::Label,
    name::OwnerName,
};

/// The largest TTL of what is said of a label or a node that is not known here, seconds (docs/answer-table.md, "Labels").
pub const UNKNOWN_TTL: u32 = 60;

/// RCODE SERVFAIL (RFC 1035 §4.1.1, "Server failure").
const SERVFAIL: u8 = 2;

/// RCODE NXDOMAIN (RFC 1035 §4.1.1, "Name Error").
const NXDOMAIN: u8 = 3;

/// The records are more than a slot holds; user space composes such an answer itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the records have more than {MAX_ANSWER_OCTETS} octets or {MAX_POINTERS} pointers")]
pub struct TooLarge;

/// A DNS-LB as it stands in a set of name servers.
#[derive(Clone, Copy, Debug)]
pub struct NameServer<'a> {
    /// Its label.
    pub label: &'a Label,
    /// Its IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its IPv6 address, if it has one.
    pub ipv6: Option<Ipv6Addr>,
}

impl<'a> From<&'a DnsLbNode> for NameServer<'a> {
    fn from(node: &'a DnsLbNode) -> Self {
        Self {
            label: &node.label,
            ipv4: node.address,
            ipv6: node.address_v6,
        }
    }
}

/// Whose addresses a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRow {
    /// A DNS-B's in direct or cache mode: `b-address`.
    DnsB,
    /// A DNS-LB's: `lb-address`.
    DnsLb,
}

/// `b-r`, `KIND_REFERRAL` of form R: the balanced name is delegated to `L.N`, and to its backup beside
/// it. The base is N.
pub fn referral(own: NameServer<'_>, backup: Option<NameServer<'_>>, ttl: u32) -> Variants {
    delegation(own, backup, |servers, glue_v6| {
        set(Counter::BR, Form::Referral, servers, glue_v6, ttl)
    })
}

/// `b-c-label`, `KIND_REFERRAL` of form C: what was asked for, `L.N`, is delegated to `ns.L'.N`. The
/// base is `L.N`.
///
/// The host's label `L'` is the DNS-LB's own, also where it stands in for another one: a resolver that
/// meets `ns.L.N` with two addresses, in the glue and from the DNS-LB, asks the dead one again.
pub fn label_referral(own: NameServer<'_>, backup: Option<NameServer<'_>>, ttl: u32) -> Variants {
    delegation(own, backup, |servers, glue_v6| {
        set(Counter::BCLabel, Form::Cname, servers, glue_v6, ttl)
    })
}

/// `b-c-label`, `KIND_UNKNOWN_LABEL`: the same for a label that nobody has, for a minute at most,
/// because the label may become known.
pub fn unknown_label(own: NameServer<'_>, backup: Option<NameServer<'_>>, ttl: u32) -> Variants {
    label_referral(own, backup, ttl.min(UNKNOWN_TTL))
}

/// `b-c-name`, `KIND_CNAME`: the balanced name is an alias of `L.N`; form C. The base is N.
pub fn cname(label: &Label, ttl: u32) -> Answer {
    let mut records = Records::default();
    records.rr(Owner::Base, TYPE_CNAME, ttl, |records| {
        records.below_base(&label.wire());
    });
    let mut answer = fixed(records, Counter::BCName);
    (answer.authoritative, answer.answers, answer.scoped) = (1, 1, 1);
    answer
}

/// `b-address` and `lb-address`, `KIND_A` and `KIND_AAAA`: the best addresses, best first, of one
/// family; each once, at most [`MAX_VARIANTS`]. The base is N, at a DNS-LB of form C `L.N`.
///
/// A client that takes less gets the leading ones. `None`: there is no address.
pub fn addresses(row: AddressRow, addresses: &[IpAddr], ttl: u32) -> Option<Variants> {
    let row = match row {
        AddressRow::DnsB => Counter::BAddress,
        AddressRow::DnsLb => Counter::LbAddress,
    };
    let mut leading: Vec<IpAddr> = Vec::with_capacity(MAX_VARIANTS);
    for address in addresses {
        if leading.len() < MAX_VARIANTS && !leading.contains(address) {
            leading.push(*address);
        }
    }
    let lists = (1..=leading.len()).rev().map(|len| {
        let mut answer = address_list(row, Owner::Base, &leading[..len], ttl);
        answer.scoped = 1;
        answer
    });
    Variants::new(lists.collect())
}

/// `lb-servfail`, in the place of addresses: RCODE SERVFAIL and no record (RFC 1035 §4.1.1, "Server failure").
pub fn servfail() -> Answer {
    Answer {
        rcode: SERVFAIL,
        scoped: 1,
        ..fixed(Records::default(), Counter::LbServfail)
    }
}

/// `lb-host`, `KIND_HOST_A` and `KIND_HOST_AAAA`: the address of a name server host, which is the name
/// asked. The base is M, as of the NODATA that stands in its place where there is no such address.
pub fn host_address(address: IpAddr, ttl: u32) -> Answer {
    address_list(Counter::LbHost, Owner::Question, &[address], ttl)
}

/// `lb-apex`, `KIND_NS`: the DNS-LB's own set, with no larger TTL than the referral's, for it takes the
/// referral's place in the cache of some resolvers. The base is M.
///
/// It names the node itself, also where that stands in for another one: the other one's name would
/// lead back to what does not answer. Its addresses are left out where they do not fit.
pub fn name_servers(own: NameServer<'_>, form: Form, ttl: u32) -> Variants {
    let with = |addresses: &[IpAddr]| {
        let mut records = Records::default();
        let host = name_server_record(&mut records, form, own.label, ttl);
        glue(&mut records, host, addresses, ttl);
        let mut answer = fixed(records, Counter::LbApex);
        (answer.authoritative, answer.answers) = (1, 1);
        answer.additionals = addresses.len() as u8;
        answer
    };
    let all = addresses_of(own, true);
    Variants::of_first(
        with(&all),
        (0..all.len()).rev().map(|len| with(&all[..len])),
    )
}

/// `lb-apex`, `KIND_SOA`: the SOA of what was delegated to the DNS-LB. The base is M.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn soa(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    let base = Base::delegated(service, form);
    let mut answer = soa_record(base, 0, soa, soa.ttl)?.finish(Counter::LbApex)?;
    (answer.authoritative, answer.answers) = (1, 1);
    Ok(answer)
}

/// `lb-nodata`, `KIND_NODATA`: NOERROR with the SOA of what was delegated to the DNS-LB (RFC 2308
/// §2.2). The base is M.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn nodata(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    let base = Base::delegated(service, form);
    negative(base, 0, soa, u32::MAX, Counter::LbNodata, 0)
}

/// `lb-nxdomain`, `KIND_NXDOMAIN`: NXDOMAIN with the SOA of what was delegated to the DNS-LB (RFC 2308
/// §2.1). The base is M.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn nxdomain(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    let base = Base::delegated(service, form);
    negative(base, 0, soa, u32::MAX, Counter::LbNxdomain, NXDOMAIN)
}

/// `lb-host`, `KIND_HOST_NODATA`: a name server host has no such data, or is not known here, for a
/// minute at most. The base is M.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn host_nodata(service: &OwnerName, form: Form, soa: &Soa) -> Result<Answer, TooLarge> {
    let base = Base::delegated(service, form);
    negative(base, 0, soa, UNKNOWN_TTL, Counter::LbHost, 0)
}

/// `b-nodata`, `KIND_NODATA` of a balanced name in direct or cache mode. The base is `base`, which is
/// the zone's apex or lies below it.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn zone_nodata(base: &OwnerName, zone: &Zone) -> Result<Answer, TooLarge> {
    in_zone(base, zone, Counter::BNodata, 0)
}

/// `b-negative`, `KIND_NODATA` of an empty non-terminal (RFC 4592 §2.2.2). The base is `base`, which
/// is the zone's apex or lies below it.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn zone_empty(base: &OwnerName, zone: &Zone) -> Result<Answer, TooLarge> {
    in_zone(base, zone, Counter::BNegative, 0)
}

/// `b-negative`, `KIND_NXDOMAIN` of what lies below an entry of a zone. The base is `base`, which is
/// the zone's apex or lies below it.
///
/// # Errors
/// [`TooLarge`] when the SOA's names are too long for a slot.
pub fn zone_nxdomain(base: &OwnerName, zone: &Zone) -> Result<Answer, TooLarge> {
    in_zone(base, zone, Counter::BNegative, NXDOMAIN)
}

fn in_zone(base: &OwnerName, zone: &Zone, row: Counter, rcode: u8) -> Result<Answer, TooLarge> {
    let octets_before = base.wire().len().saturating_sub(zone.apex.wire().len());
    negative(
        Base::name(base),
        octets_before as u16,
        &zone.soa,
        u32::MAX,
        row,
        rcode,
    )
}

/// A negative answer (RFC 2308 §2); the SOA's owner begins `owner_at` octets into the base.
fn negative(
    base: Base<'_>,
    owner_at: u16,
    soa: &Soa,
    ttl_at_most: u32,
    row: Counter,
    rcode: u8,
) -> Result<Answer, TooLarge> {
    // RFC 2308 §3: "The TTL of this record is set from the minimum of the MINIMUM field of the SOA
    // record and the TTL of the SOA itself".
    let ttl = soa.ttl.min(soa.minimum).min(ttl_at_most);
    let mut answer = soa_record(base, owner_at, soa, ttl)?.finish(row)?;
    (answer.authoritative, answer.rcode, answer.authorities) = (1, rcode, 1);
    Ok(answer)
}

fn soa_record(base: Base<'_>, owner_at: u16, soa: &Soa, ttl: u32) -> Result<Records, TooLarge> {
    let mut records = Records::default();
    records.rr(Owner::InBase(owner_at), TYPE_SOA, ttl, |records| {
        records.name(&soa.mname, base);
        records.name(&soa.rname, base);
        for value in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
            records.put(&value.to_be_bytes());
        }
    });
    Ok(records)
}

/// A referral's variants: what a resolver can do without is left out first, the backup with its
/// glue, then IPv6 glue.
fn delegation(
    own: NameServer<'_>,
    backup: Option<NameServer<'_>>,
    set: impl Fn(&[NameServer<'_>], bool) -> Answer,
) -> Variants {
    let whole = backup.map(|backup| set(&[own, backup], true));
    let without_v6 = own.ipv6.map(|_| set(&[own], false));
    let alone = set(&[own], true);
    let smaller = whole.map(|_| alone).into_iter().chain(without_v6);
    Variants::of_first(whole.unwrap_or(alone), smaller)
}

/// A referral to `servers`.
fn set(row: Counter, form: Form, servers: &[NameServer<'_>], glue_v6: bool, ttl: u32) -> Answer {
    let mut records = Records::default();
    let hosts: Vec<u16> = servers
        .iter()
        .map(|server| name_server_record(&mut records, form, server.label, ttl))
        .collect();
    let mut additionals = 0;
    for (server, host) in servers.iter().zip(hosts) {
        let addresses = addresses_of(*server, glue_v6);
        glue(&mut records, host, &addresses, ttl);
        additionals += addresses.len();
    }
    let mut answer = fixed(records, row);
    (answer.authorities, answer.additionals) = (servers.len() as u8, additionals as u8);
    answer
}

/// An NS record at the base; gives where its host's name stands among the records.
fn name_server_record(records: &mut Records, form: Form, label: &Label, ttl: u32) -> u16 {
    let mut host_at = 0;
    records.rr(Owner::Base, TYPE_NS, ttl, |records| {
        host_at = records.position();
        match form {
            Form::Cname => records.host_beside(label),
            Form::Referral | Form::Direct | Form::Cache => records.below_base(&label.wire()),
        }
    });
    host_at
}

/// Address records of the host whose name stands at `host` among the records.
fn glue(records: &mut Records, host: u16, addresses: &[IpAddr], ttl: u32) {
    for address in addresses {
        address_record(records, Owner::Record(host), *address, ttl);
    }
}

fn addresses_of(server: NameServer<'_>, with_v6: bool) -> Vec<IpAddr> {
    let v6 = server.ipv6.filter(|_| with_v6).map(IpAddr::V6);
    [IpAddr::V4(server.ipv4)].into_iter().chain(v6).collect()
}

fn address_list(row: Counter, owner: Owner, addresses: &[IpAddr], ttl: u32) -> Answer {
    let mut records = Records::default();
    for address in addresses {
        address_record(&mut records, owner, *address, ttl);
    }
    let mut answer = fixed(records, row);
    (answer.authoritative, answer.answers) = (1, addresses.len() as u8);
    answer
}

fn address_record(records: &mut Records, owner: Owner, address: IpAddr, ttl: u32) {
    match address {
        IpAddr::V4(address) => {
            records.rr(owner, TYPE_A, ttl, |records| records.put(&address.octets()));
        }
        IpAddr::V6(address) => {
            records.rr(owner, TYPE_AAAA, ttl, |records| {
                records.put(&address.octets());
            });
        }
    }
}

/// Records of a known size: two name servers with two addresses each have 154 octets and 8 pointers,
/// eight IPv6 addresses 224 octets and 8 pointers.
fn fixed(records: Records, row: Counter) -> Answer {
    records.finish(row).expect("smaller than a slot")
}
