//! Records and names as hickory-proto has them.

use std::net::IpAddr;

use dglb_user::{config::Soa, name::OwnerName};
use hickory_proto::rr::{Name, RData, Record, rdata};

pub(super) fn owner(name: &OwnerName) -> Name {
    let mut name = name.to_hickory();
    name.set_fqdn(true);
    name
}

/// `labels` put before `name`.
pub(super) fn below(labels: &str, name: &Name) -> Name {
    let mut full = Name::from_ascii(labels).expect("labels of ours");
    full.set_fqdn(false);
    full.append_domain(name)
        .expect("a balanced name leaves room")
}

/// A or AAAA.
pub(super) fn address(owner: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(rdata::A(address)),
        IpAddr::V6(address) => RData::AAAA(rdata::AAAA(address)),
    };
    Record::from_rdata(owner.clone(), ttl, data)
}

pub(super) fn soa(owner_name: &Name, soa: &Soa, ttl: u32) -> Record {
    let data = rdata::SOA::new(
        owner(&soa.mname),
        owner(&soa.rname),
        soa.serial,
        soa.refresh.cast_signed(),
        soa.retry.cast_signed(),
        soa.expire.cast_signed(),
        soa.minimum,
    );
    Record::from_rdata(owner_name.clone(), ttl, RData::SOA(data))
}

/// RFC 8482 §4.2.
pub(super) fn hinfo(owner: &Name, ttl: u32) -> Record {
    let data = rdata::HINFO::new("RFC8482".to_owned(), String::new());
    Record::from_rdata(owner.clone(), ttl, RData::HINFO(data))
}

/// The characters of the label directly below `ancestor`, small, if `name` lies below.
pub(super) fn label_below(name: &Name, ancestor: &Name) -> Option<String> {
    // Not `num_labels`, which does not count an asterisk.
    let in_front = name.iter().count().checked_sub(ancestor.iter().count())?;
    if !ancestor.zone_of(name) {
        return None;
    }
    let label = name.iter().nth(in_front.checked_sub(1)?)?;
    String::from_utf8(label.to_ascii_lowercase()).ok()
}

/// "`lb` + 13 characters of lower-case base32hex".
pub(super) fn is_label_form(label: &str) -> bool {
    label.len() == 15
        && label.starts_with("lb")
        && label[2..]
            .chars()
            .all(|c| c.is_ascii_digit() || ('a'..='v').contains(&c))
}

pub(super) fn wire_len(name: &Name) -> usize {
    name.iter().map(|label| 1 + label.len()).sum::<usize>() + 1
}
