//! The rows of a DNS-B: `b-r`, `b-c-name`, `b-c-label`; the rest of its zones is [`zone`]'s.

use std::net::Ipv4Addr;

use dglb_common::{
    counters::Counter,
    layout::{KIND_CNAME, KIND_REFERRAL, NameWord},
    query::{TYPE_NS, TYPE_SOA},
};

use super::{
    closest::Closest,
    delegated::{self, Vantage},
    query::Question,
    records::Writer,
    response::Response,
    template,
    types::{TYPE_ANY, TYPE_DS, is_zone_upkeep},
    zone::{self, Zones},
};
use crate::{
    config::{BService, DnsB, Form},
    name::OwnerName,
    ready::UNKNOWN_TTL,
    tables::Tables,
};

/// Answers of a DNS-B.
#[derive(Debug)]
pub(super) struct Rows {
    zones: Zones,
    services: Closest<usize>,
}

impl Rows {
    /// Indexes the configuration.
    pub(super) fn new(dns_b: &DnsB) -> Self {
        let services = dns_b.services.iter().enumerate();
        Self {
            zones: Zones::new(dns_b),
            services: Closest::new(services.map(|(index, service)| (&service.name, index))),
        }
    }

    /// The answer to `question`, asked from `source`.
    pub(super) fn answer(
        &self,
        dns_b: &DnsB,
        tables: &Tables,
        question: &Question<'_>,
        source: Ipv4Addr,
    ) -> Response {
        let name = &question.name;
        let Some(zone) = self.zones.of(name, question.qtype) else {
            return Response::refused();
        };
        let service = self.services.at_or_above(name);
        if let Some(service) = service.map(|index| &dns_b.services[index]) {
            // A zone of ours that begins below the balanced name is not the balanced name's.
            let is_its_own = service.name.is_at_or_below(&dns_b.zones[zone].apex);
            let asked = Asked {
                dns_b,
                zone,
                service,
                tables,
                question,
                source,
            };
            let response = match service.form {
                Form::Referral if is_its_own => Some(asked.form_r()),
                Form::Cname if is_its_own => asked.form_c(),
                Form::Referral | Form::Cname => None,
            };
            if let Some(response) = response {
                return response;
            }
        }
        self.zones.answer(dns_b, zone, question)
    }
}

/// A question at or below a balanced name.
struct Asked<'a> {
    dns_b: &'a DnsB,
    /// The zone that data of the type asked would be in.
    zone: usize,
    service: &'a BService,
    tables: &'a Tables,
    question: &'a Question<'a>,
    source: Ipv4Addr,
}

impl Asked<'_> {
    /// Below a zone cut all is referred, but the cut's DS is the parent's own (RFC 4035 §3.1.4.1).
    fn form_r(&self) -> Response {
        if self.question.qtype == TYPE_DS && self.question.name == self.service.name {
            return self.no_data();
        }
        let vantage = self.tables.vantage_of(self.source);
        self.ready(vantage, KIND_REFERRAL, &self.service.name, u32::MAX)
    }

    /// `None`: a name below N and below no label, which is the zone's.
    fn form_c(&self) -> Option<Response> {
        if self.question.name == self.service.name {
            return Some(self.at_alias());
        }
        let (label, base) = delegated::label_below(&self.question.name, &self.service.name)?;
        if self.question.qtype == TYPE_DS && self.question.name == base {
            return Some(self.no_data());
        }
        Some(match delegated::vantage_of_label(self.tables, &label) {
            Vantage::Known(vantage) => self.ready(vantage, KIND_REFERRAL, &base, u32::MAX),
            Vantage::Unknown(vantage) => self.ready(vantage, KIND_REFERRAL, &base, UNKNOWN_TTL),
        })
    }

    /// N itself in form C: an alias, and the apex of its zone.
    fn at_alias(&self) -> Response {
        let zone = &self.dns_b.zones[self.service.zone];
        match self.question.qtype {
            TYPE_NS | TYPE_SOA => zone::at_apex(self.dns_b, zone, self.question),
            TYPE_ANY => self.any_at_alias(),
            qtype if is_zone_upkeep(qtype) => self.no_data(),
            _ => {
                let vantage = self.tables.vantage_of(self.source);
                self.ready(vantage, KIND_CNAME, &self.service.name, u32::MAX)
            }
        }
    }

    /// RFC 8482 §4.2 has the HINFO only where there is no CNAME; where there is one, §4.1: a subset of
    /// what the name has, here its alias alone.
    fn any_at_alias(&self) -> Response {
        let vantage = self.tables.vantage_of(self.source);
        let serving = self.tables.serving(vantage);
        let label = serving
            .and_then(|serving| self.tables.dns_lbs.get(serving as usize))
            .map(|dns_lb| dns_lb.label);
        let Some(label) = label else {
            return Response::not_ready();
        };
        let target = self.service.name.child(&label[1..]);
        let writer = Writer::new(self.question);
        let cname = writer.cname(&self.service.name, self.service.referral_ttl, &target);
        Response::data(Counter::BZone, vec![cname], Vec::new())
    }

    /// NODATA of the zone that has the type asked.
    fn no_data(&self) -> Response {
        let zone = &self.dns_b.zones[self.zone];
        zone::nodata(zone, self.question, Counter::BZone)
    }

    fn ready(&self, vantage: u32, kind: u32, base: &OwnerName, ttl_at_most: u32) -> Response {
        let answer = self.tables.name(&self.service.name).and_then(|value| {
            let serving = self.tables.serving(vantage)?;
            let group = NameWord(value.word).group();
            self.tables.answer(serving, group, kind)
        });
        match answer {
            Some(answer) => {
                let answer = template::with_ttl_at_most(*answer, ttl_at_most);
                Response::ready(answer, self.question, base)
            }
            None => Response::not_ready(),
        }
    }
}
