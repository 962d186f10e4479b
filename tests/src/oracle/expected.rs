//! What a response must say.

use std::net::IpAddr;

use dglb_common::counters::Counter;
use dglb_user::config::DnsLbNode;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, Record, rdata},
};

use super::records::address;

/// The records of a response, OPT not among them.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section.
    pub additionals: Vec<Record>,
}

/// What is said, and what is said instead where that does not fit: less and less.
pub type Sizes = Vec<Sections>;

/// What a response must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The row that it belongs to.
    pub row: Counter,
    /// RCODE.
    pub rcode: ResponseCode,
    /// AA.
    pub authoritative: bool,
    /// Any of these is right.
    pub choices: Vec<Sizes>,
    /// Scope of Client Subnet, where that is echoed (RFC 7871 §7.2.1).
    pub scope: u8,
}

impl Expected {
    pub(super) fn error(row: Counter, rcode: ResponseCode) -> Self {
        Self {
            row,
            rcode,
            authoritative: false,
            choices: vec![vec![Sections::default()]],
            scope: 0,
        }
    }

    pub(super) fn refused() -> Self {
        Self::error(Counter::Refused, ResponseCode::Refused)
    }

    pub(super) fn data(row: Counter, answers: Vec<Record>) -> Self {
        Self::any_of(row, vec![vec![answers]])
    }

    /// Each choice has lists of answers, longer ones first.
    pub(super) fn any_of(row: Counter, choices: Vec<Vec<Vec<Record>>>) -> Self {
        let sections = |answers| Sections {
            answers,
            ..Sections::default()
        };
        let sizes = |lists: Vec<Vec<Record>>| lists.into_iter().map(sections).collect();
        Self {
            authoritative: true,
            choices: choices.into_iter().map(sizes).collect(),
            ..Self::error(row, ResponseCode::NoError)
        }
    }

    /// Data whose additional records are left out from the end, or all at once, where they do not fit.
    pub(super) fn with_additionals(mut self, additionals: &[Record], one_by_one: bool) -> Self {
        let answers = self.choices[0][0].answers.clone();
        let counts: Vec<usize> = if one_by_one {
            (0..=additionals.len()).rev().collect()
        } else if additionals.is_empty() {
            vec![0]
        } else {
            vec![additionals.len(), 0]
        };
        let sections = |count: usize| Sections {
            answers: answers.clone(),
            authorities: Vec::new(),
            additionals: additionals[..count].to_vec(),
        };
        self.choices = vec![counts.into_iter().map(sections).collect()];
        self
    }

    pub(super) fn negative(row: Counter, rcode: ResponseCode, soa: Record) -> Self {
        let sections = Sections {
            authorities: vec![soa],
            ..Sections::default()
        };
        Self {
            authoritative: true,
            choices: vec![vec![sections]],
            ..Self::error(row, rcode)
        }
    }

    /// A referral to a DNS-LB, and to its backup beside it; left out first is the backup with its glue,
    /// then IPv6 glue.
    pub(super) fn referral(
        row: Counter,
        cut: &Name,
        own: (Name, &DnsLbNode),
        backup: Option<(Name, &DnsLbNode)>,
        ttl: u32,
    ) -> Self {
        let set = |servers: &[&(Name, &DnsLbNode)], with_v6: bool| {
            let mut sections = Sections::default();
            for (host, node) in servers {
                let ns = RData::NS(rdata::NS(host.clone()));
                (sections.authorities).push(Record::from_rdata(cut.clone(), ttl, ns));
                let v6 = node.address_v6.filter(|_| with_v6).map(IpAddr::V6);
                for glue in [IpAddr::V4(node.address)].into_iter().chain(v6) {
                    sections.additionals.push(address(host, ttl, glue));
                }
            }
            sections
        };
        let mut sizes = Vec::new();
        if let Some(backup) = &backup {
            sizes.push(set(&[&own, backup], true));
        }
        sizes.push(set(&[&own], true));
        if own.1.address_v6.is_some() {
            sizes.push(set(&[&own], false));
        }
        Self {
            choices: vec![sizes],
            ..Self::error(row, ResponseCode::NoError)
        }
    }

    /// The same, chosen for a client.
    pub(super) fn scoped(self, scope: u8) -> Self {
        Self { scope, ..self }
    }
}
