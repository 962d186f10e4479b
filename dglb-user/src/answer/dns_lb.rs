//! The rows of a DNS-LB. M is what was delegated to it: N in form R, `L.N` for any label L in form C.

use std::net::Ipv4Addr;

use dglb_common::{
    counters::Counter,
    layout::{KIND_A, KIND_AAAA, KIND_NODATA, KIND_NXDOMAIN, NameWord},
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};
use hickory_proto::op::ResponseCode;

use super::{
    closest::Closest,
    delegated::{self, Vantage},
    query::Question,
    records::Writer,
    response::Response,
    template,
    types::TYPE_ANY,
};
use crate::{
    config::{DnsLb, Form, LbService, Site},
    label::Label,
    name::OwnerName,
    ready::UNKNOWN_TTL,
    tables::Tables,
};

/// Label of a DNS-LB's name server host below its own label, form C.
const HOST_LABEL: &[u8] = b"ns";

/// Answers of a DNS-LB.
#[derive(Debug)]
pub(super) struct Rows {
    services: Closest<usize>,
}

impl Rows {
    /// Indexes the configuration.
    pub(super) fn new(dns_lb: &DnsLb) -> Self {
        let services = dns_lb.services.iter().enumerate();
        Self {
            services: Closest::new(services.map(|(index, service)| (&service.name, index))),
        }
    }

    /// The answer to `question`, asked from `source`.
    pub(super) fn answer(
        &self,
        dns_lb: &DnsLb,
        tables: &Tables,
        question: &Question<'_>,
        source: Ipv4Addr,
    ) -> Response {
        let Some(index) = self.services.at_or_above(&question.name) else {
            return Response::refused();
        };
        let service = &dns_lb.services[index];
        let delegated = match service.form {
            Form::Referral => Delegated {
                apex: service.name.clone(),
                label: dns_lb.label.wire(),
                vantage: vantage_of_source(tables, source),
                ttl_at_most: u32::MAX,
            },
            Form::Cname => match Delegated::below_label(tables, service, &question.name) {
                Some(delegated) => delegated,
                None => return Response::refused(),
            },
        };
        let asked = Asked {
            dns_lb,
            service,
            tables,
            question,
            delegated,
        };
        if question.name == asked.delegated.apex {
            asked.at_apex()
        } else {
            asked.below_apex()
        }
    }
}

/// Only a node that maps resolvers looks at who asks: every other is its clients' vantage itself.
fn vantage_of_source(tables: &Tables, source: Ipv4Addr) -> u32 {
    if tables.settings.maps_resolvers == 0 {
        return tables.settings.default_vantage;
    }
    tables.vantage_of(source)
}

/// M, and whose it is.
struct Delegated {
    apex: OwnerName,
    /// The label of the DNS-LB that M is delegated to, with its length octet.
    label: [u8; 16],
    vantage: u32,
    ttl_at_most: u32,
}

impl Delegated {
    fn below_label(tables: &Tables, service: &LbService, name: &OwnerName) -> Option<Self> {
        let (label, apex) = delegated::label_below(name, &service.name)?;
        let (vantage, ttl_at_most) = match delegated::vantage_of_label(tables, &label) {
            Vantage::Known(vantage) => (vantage, u32::MAX),
            Vantage::Unknown(vantage) => (vantage, UNKNOWN_TTL),
        };
        Some(Self {
            apex,
            label,
            vantage,
            ttl_at_most,
        })
    }
}

/// A question at or below M.
struct Asked<'a> {
    dns_lb: &'a DnsLb,
    service: &'a LbService,
    tables: &'a Tables,
    question: &'a Question<'a>,
    delegated: Delegated,
}

impl Asked<'_> {
    fn at_apex(&self) -> Response {
        let writer = Writer::new(self.question);
        let apex = &self.delegated.apex;
        match self.question.qtype {
            TYPE_A => self.address(KIND_A, |site| site.ipv4.is_some()),
            TYPE_AAAA => self.address(KIND_AAAA, |site| site.ipv6.is_some()),
            TYPE_NS => self.name_servers(&writer),
            TYPE_SOA => {
                let ttl = self.service.soa.ttl.min(self.delegated.ttl_at_most);
                let soa = writer.soa(apex, &self.service.soa, ttl);
                Response::data(Counter::LbApex, vec![soa], Vec::new())
            }
            TYPE_ANY => {
                let ttl = self.service.answer_ttl.min(self.delegated.ttl_at_most);
                Response::data(Counter::LbApex, vec![writer.any(apex, ttl)], Vec::new())
            }
            _ => self.nodata(),
        }
    }

    fn below_apex(&self) -> Response {
        let host = match self.service.form {
            Form::Referral => delegated::label_below(&self.question.name, &self.service.name)
                .filter(|(_, base)| *base == self.question.name)
                .map(|(label, _)| label),
            Form::Cname => (self.question.name == self.delegated.apex.child(HOST_LABEL))
                .then_some(self.delegated.label),
        };
        match host {
            Some(label) => self.host(&label),
            None => self.ready(KIND_NXDOMAIN).unwrap_or_else(|| {
                self.negative(Counter::LbNxdomain, ResponseCode::NXDomain, u32::MAX)
            }),
        }
    }

    /// `lb-address`. No ready answer: the service was not measured yet, or there is no address of the
    /// family to give and the NODATA is too large for a slot.
    fn address(&self, kind: u32, has: impl Fn(&Site) -> bool) -> Response {
        self.ready(kind).unwrap_or_else(|| {
            let was_measured = [KIND_A, KIND_AAAA]
                .into_iter()
                .any(|kind| self.ready(kind).is_some());
            if was_measured || !self.service.sites.iter().any(has) {
                self.nodata()
            } else {
                Response::not_ready()
            }
        })
    }

    fn nodata(&self) -> Response {
        self.ready(KIND_NODATA)
            .unwrap_or_else(|| self.negative(Counter::LbNodata, ResponseCode::NoError, u32::MAX))
    }

    /// `lb-apex`, NS: the set of the referral and no larger TTL, for it takes the referral's place in
    /// the cache of some resolvers. So it names this node, also where it stands in for another one:
    /// the other one's name would lead back to what does not answer.
    fn name_servers(&self, writer: &Writer<'_>) -> Response {
        let own = self.service.name.child(self.dns_lb.label.characters());
        let host = match self.service.form {
            Form::Referral => own,
            Form::Cname => own.child(HOST_LABEL),
        };
        let ttl = self.service.referral_ttl.min(self.delegated.ttl_at_most);
        Response::data(
            Counter::LbApex,
            vec![writer.ns(&self.delegated.apex, ttl, &host)],
            vec![writer.a(&host, ttl, self.dns_lb.address)],
        )
    }

    /// `lb-host`: a name server host name, of a node that is known here or not.
    fn host(&self, label: &[u8; 16]) -> Response {
        let name = &self.question.name;
        match self.address_of(label) {
            Some(address) if self.question.qtype == TYPE_A => {
                let a = Writer::new(self.question).a(name, self.service.referral_ttl, address);
                Response::data(Counter::LbHost, vec![a], Vec::new())
            }
            // NODATA would say that there is nothing of any type, the address among it (RFC 8482 §4).
            Some(_) if self.question.qtype == TYPE_ANY => {
                let any = Writer::new(self.question).any(name, self.service.referral_ttl);
                Response::data(Counter::LbHost, vec![any], Vec::new())
            }
            _ => self.negative(Counter::LbHost, ResponseCode::NoError, UNKNOWN_TTL),
        }
    }

    /// The address of the DNS-LB that has `label`: this node, or one that it stands in for.
    fn address_of(&self, label: &[u8; 16]) -> Option<Ipv4Addr> {
        let is_it = |other: &Label| other.wire() == *label;
        if is_it(&self.dns_lb.label) {
            return Some(self.dns_lb.address);
        }
        let mut others = self.dns_lb.stands_in_for.iter();
        let other = others.find(|node| is_it(&node.label))?;
        Some(other.address)
    }

    fn ready(&self, kind: u32) -> Option<Response> {
        let value = self.tables.name(&self.service.name)?;
        let serving = self.tables.serving(self.delegated.vantage)?;
        let answer = self
            .tables
            .answer(serving, NameWord(value.word).group(), kind)?;
        let answer = template::with_ttl_at_most(*answer, self.delegated.ttl_at_most);
        Some(Response::ready(answer, self.question, &self.delegated.apex))
    }

    /// A negative answer of our own: where none is ready because its SOA is too large for a slot, or
    /// with a smaller TTL.
    fn negative(&self, row: Counter, rcode: ResponseCode, ttl_at_most: u32) -> Response {
        let soa = Writer::new(self.question).negative_soa(
            &self.delegated.apex,
            &self.service.soa,
            ttl_at_most.min(self.delegated.ttl_at_most),
        );
        Response::negative(row, rcode, soa)
    }
}
