//! The rows of a DNS-LB. M is what was delegated to it: N in form R, `L.N` for any label L in form C; beside
//! a resolver (DNS-ISP-LB) in form C N itself too.

use dglb_common::{
    counters::Counter,
    layout::{
        KIND_A, KIND_AAAA, KIND_HOST_A, KIND_HOST_AAAA, KIND_HOST_NODATA, KIND_NODATA, KIND_NS,
        KIND_NXDOMAIN, KIND_SOA, NameWord,
    },
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};
use hickory_proto::op::ResponseCode;

use super::{
    asker::{Asker, Place},
    closest::Closest,
    delegated::{self, Vantage},
    lookup::Lookup,
    query::Question,
    records::Writer,
    response::Response,
    types::TYPE_ANY,
};
use crate::{
    config::{DnsLb, Form, LbService, Site},
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

    /// The answer to `question`. `None`: the name is not ours.
    pub(super) fn answer(
        &self,
        dns_lb: &DnsLb,
        tables: &Tables,
        question: &Question<'_>,
        asker: &Asker,
    ) -> Option<Response> {
        let index = self.services.at_or_above(&question.name)?;
        let service = &dns_lb.services[index];
        let word = tables.name(&service.name).map(|value| NameWord(value.word));
        let delegated = Delegated::of(tables, service, word, question, asker)?;
        let asked = Asked {
            dns_lb,
            service,
            question,
            lookup: word.map(|word| Lookup {
                tables,
                question,
                asker,
                group: word.group(),
                ttl_at_most: delegated.ttl_at_most,
            }),
            delegated,
        };
        Some(if question.name == asked.delegated.apex {
            asked.at_apex()
        } else {
            asked.below_apex()
        })
    }
}

/// M, and whose it is.
struct Delegated {
    apex: OwnerName,
    /// Form C: the DNS-LB that M is delegated to, unless nobody here has the label.
    labelled: Option<u32>,
    /// Whose addresses M has.
    place: Place,
    ttl_at_most: u32,
    /// M is N, whose ready answers are made for `L.N`.
    is_itself: bool,
}

impl Delegated {
    /// `None`: in form C, a name below no label.
    fn of(
        tables: &Tables,
        service: &LbService,
        word: Option<NameWord>,
        question: &Question<'_>,
        asker: &Asker,
    ) -> Option<Self> {
        let name = &question.name;
        if service.form == Form::Cname {
            let is_itself = *name == service.name;
            if !is_itself {
                return Self::below_label(tables, service, name);
            }
            if !word.is_some_and(|word| word.has(NameWord::ITSELF)) {
                return None;
            }
        }
        Some(Self {
            apex: service.name.clone(),
            labelled: None,
            place: asker.place(tables),
            ttl_at_most: u32::MAX,
            is_itself: service.form == Form::Cname,
        })
    }

    /// The label says for whom: not the source, nor Client Subnet.
    fn below_label(tables: &Tables, service: &LbService, name: &OwnerName) -> Option<Self> {
        let (label, apex) = delegated::label_below(name, &service.name)?;
        let (labelled, vantage, ttl_at_most) = match delegated::vantage_of_label(tables, &label) {
            Vantage::Known(vantage) => (Some(vantage), vantage, u32::MAX),
            Vantage::Unknown(vantage) => (None, vantage, UNKNOWN_TTL),
        };
        Some(Self {
            apex,
            labelled,
            place: Place::fixed(vantage),
            ttl_at_most,
            is_itself: false,
        })
    }
}

/// A question at or below M.
struct Asked<'a> {
    dns_lb: &'a DnsLb,
    service: &'a LbService,
    question: &'a Question<'a>,
    /// Where N's answers stand.
    lookup: Option<Lookup<'a>>,
    delegated: Delegated,
}

impl Asked<'_> {
    fn at_apex(&self) -> Response {
        let apex = &self.delegated.apex;
        match self.question.qtype {
            TYPE_A => self.address(KIND_A, |site| site.ipv4.is_some()),
            TYPE_AAAA => self.address(KIND_AAAA, |site| site.ipv6.is_some()),
            TYPE_NS => self.fixed(KIND_NS).unwrap_or_else(|| self.name_servers()),
            TYPE_SOA => self.fixed(KIND_SOA).unwrap_or_else(|| self.soa()),
            TYPE_ANY => {
                let ttl = self.service.answer_ttl.min(self.delegated.ttl_at_most);
                let any = Writer::new(self.question).any(apex, ttl);
                Response::data(Counter::LbApex, vec![any], Vec::new())
            }
            _ => self.nodata(),
        }
    }

    fn below_apex(&self) -> Response {
        let name = &self.question.name;
        match self.service.form {
            Form::Cname => {
                if *name == self.delegated.apex.child(HOST_LABEL) {
                    return self.host(self.delegated.labelled);
                }
            }
            Form::Referral | Form::Direct | Form::Cache => {
                let label = delegated::label_below(name, &self.service.name);
                if let Some((label, _)) = label.filter(|(_, host)| host == name) {
                    let labels = self.lookup.map(|lookup| &lookup.tables.labels);
                    return self.host(labels.and_then(|labels| labels.get(&label)).copied());
                }
            }
        }
        self.fixed(KIND_NXDOMAIN)
            .unwrap_or_else(|| self.negative(Counter::LbNxdomain, ResponseCode::NXDomain, u32::MAX))
    }

    /// `lb-address`. No ready answer: the service was not measured yet, or there is no address of the
    /// family and the SOA of that answer is too large for a slot.
    fn address(&self, kind: u32, has: fn(&Site) -> bool) -> Response {
        self.ready_address(kind).unwrap_or_else(|| {
            let was_measured = [KIND_A, KIND_AAAA]
                .into_iter()
                .any(|kind| self.ready_address(kind).is_some());
            if was_measured || !self.service.sites.iter().any(has) {
                self.nodata()
            } else {
                Response::not_ready()
            }
        })
    }

    /// The ready answer to A or AAAA at M, which may be that there is no such data.
    fn ready_address(&self, kind: u32) -> Option<Response> {
        let base = &self.delegated.apex;
        let ready = self.lookup?.serving(self.delegated.place, kind, base)?;
        // Only these two have no names of M in them.
        let fits_itself = matches!(ready.row(), Counter::LbAddress | Counter::LbServfail);
        if self.delegated.is_itself && !fits_itself {
            return Some(self.nodata());
        }
        Some(ready)
    }

    fn nodata(&self) -> Response {
        self.fixed(KIND_NODATA)
            .unwrap_or_else(|| self.negative(Counter::LbNodata, ResponseCode::NoError, u32::MAX))
    }

    /// `lb-apex`, NS, where it is not ready.
    fn name_servers(&self) -> Response {
        let writer = Writer::new(self.question);
        let own = self.service.name.child(self.dns_lb.label.characters());
        let host = match self.service.form {
            Form::Cname => own.child(HOST_LABEL),
            Form::Referral | Form::Direct | Form::Cache => own,
        };
        let ttl = self.service.referral_ttl.min(self.delegated.ttl_at_most);
        let v6 = self.dns_lb.address_v6.map(Into::into);
        let addresses = [self.dns_lb.address.into()].into_iter().chain(v6);
        Response::data(
            Counter::LbApex,
            vec![writer.ns(&self.delegated.apex, ttl, &host)],
            addresses
                .map(|address| writer.address(&host, ttl, address))
                .collect(),
        )
    }

    /// `lb-apex`, SOA, where it is not ready.
    fn soa(&self) -> Response {
        let ttl = self.service.soa.ttl.min(self.delegated.ttl_at_most);
        let writer = Writer::new(self.question);
        let soa = writer.soa(&self.delegated.apex, &self.service.soa, ttl);
        Response::data(Counter::LbApex, vec![soa], Vec::new())
    }

    /// `lb-host`: a name server host name, of the DNS-LB with this vantage, or of one that is not known
    /// here.
    fn host(&self, vantage: Option<u32>) -> Response {
        let name = &self.question.name;
        let base = &self.delegated.apex;
        let at = |kind| self.lookup?.at(Place::fixed(vantage?), kind, base);
        let ready = match self.question.qtype {
            TYPE_A => at(KIND_HOST_A),
            TYPE_AAAA => at(KIND_HOST_AAAA),
            // NODATA would say that there is nothing of any type, the address among it (RFC 8482 §4).
            TYPE_ANY if vantage.is_some() => {
                let any = Writer::new(self.question).any(name, self.service.referral_ttl);
                Some(Response::data(Counter::LbHost, vec![any], Vec::new()))
            }
            _ => None,
        };
        ready
            .or_else(|| self.fixed(KIND_HOST_NODATA))
            .unwrap_or_else(|| self.negative(Counter::LbHost, ResponseCode::NoError, UNKNOWN_TTL))
    }

    /// A ready answer that is the same for all who ask for something of M. For N itself in form C there is
    /// none: the names in them stand as far into M as `L.N` has them.
    fn fixed(&self, kind: u32) -> Option<Response> {
        let lookup = self.lookup.filter(|_| !self.delegated.is_itself)?;
        lookup.fixed(kind, &self.delegated.apex)
    }

    /// A negative answer of our own: where none is ready.
    fn negative(&self, row: Counter, rcode: ResponseCode, ttl_at_most: u32) -> Response {
        let soa = Writer::new(self.question).negative_soa(
            &self.delegated.apex,
            &self.service.soa,
            ttl_at_most.min(self.delegated.ttl_at_most),
        );
        Response::negative(row, rcode, soa)
    }
}
