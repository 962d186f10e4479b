//! The resource records that user space composes beyond the ready ones.

use std::net::IpAddr;

use hickory_proto::rr::{
    RData, Record,
    rdata::{A, AAAA, HINFO, NS, SOA},
};

use super::query::Question;
use crate::{config::Soa, name::OwnerName};

/// Records whose names have the letters that the question wrote.
pub(super) struct Writer<'a> {
    question: &'a Question<'a>,
}

impl<'a> Writer<'a> {
    /// For the response to `question`.
    pub(super) fn new(question: &'a Question<'a>) -> Self {
        Self { question }
    }

    /// A record of any type at `owner`.
    fn record(&self, owner: &OwnerName, ttl: u32, data: RData) -> Record {
        Record::from_rdata(self.question.in_letters_asked(owner), ttl, data)
    }

    /// A (RFC 1035 §3.4.1) or AAAA (RFC 3596 §2.2).
    pub(super) fn address(&self, owner: &OwnerName, ttl: u32, address: IpAddr) -> Record {
        let data = match address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.record(owner, ttl, data)
    }

    /// NS (RFC 1035 §3.3.11).
    pub(super) fn ns(&self, owner: &OwnerName, ttl: u32, host: &OwnerName) -> Record {
        let host = self.question.in_letters_asked(host);
        self.record(owner, ttl, RData::NS(NS(host)))
    }

    /// SOA as data (RFC 1035 §3.3.13).
    pub(super) fn soa(&self, owner: &OwnerName, soa: &Soa, ttl: u32) -> Record {
        let data = SOA::new(
            self.question.in_letters_asked(&soa.mname),
            self.question.in_letters_asked(&soa.rname),
            soa.serial,
            soa.refresh as i32,
            soa.retry as i32,
            soa.expire as i32,
            soa.minimum,
        );
        self.record(owner, ttl, RData::SOA(data))
    }

    /// SOA of a negative answer, with the TTL of that (RFC 2308 §3), at most `most`.
    pub(super) fn negative_soa(&self, owner: &OwnerName, soa: &Soa, most: u32) -> Record {
        self.soa(owner, soa, soa.ttl.min(soa.minimum).min(most))
    }

    /// What stands for an answer to ANY (RFC 8482 §4.2).
    pub(super) fn any(&self, owner: &OwnerName, ttl: u32) -> Record {
        let data = HINFO::new("RFC8482".to_owned(), String::new());
        self.record(owner, ttl, RData::HINFO(data))
    }
}
