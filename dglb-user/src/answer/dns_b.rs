//! The rows of a DNS-B: `b-r`, `b-c-name`, `b-c-label`, `b-address`, `b-nodata`; the rest of its zones is
//! [`zone`]'s.

use dglb_common::{
    counters::Counter,
    layout::{
        KIND_A, KIND_AAAA, KIND_CNAME, KIND_NODATA, KIND_REFERRAL, KIND_UNKNOWN_LABEL, NameWord,
    },
    query::{TYPE_A, TYPE_AAAA, TYPE_NS, TYPE_SOA},
};

use super::{
    asker::{Asker, Place},
    closest::Closest,
    delegated::{self, Vantage},
    lookup::Lookup,
    query::Question,
    records::Writer,
    response::Response,
    types::{TYPE_ANY, TYPE_DS, is_zone_upkeep},
    zone::{self, Zones},
};
use crate::{
    config::{BService, DnsB, Form, Site},
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

    /// The answer to `question`. `None`: the name is not ours.
    pub(super) fn answer(
        &self,
        dns_b: &DnsB,
        tables: &Tables,
        question: &Question<'_>,
        asker: &Asker,
    ) -> Option<Response> {
        let name = &question.name;
        let zone = self.zones.of(name, question.qtype)?;
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
                asker,
            };
            let response = match service.form {
                Form::Referral if is_its_own => Some(asked.form_r()),
                Form::Cname if is_its_own => asked.form_c(),
                Form::Direct | Form::Cache if *name == service.name => Some(asked.addresses()),
                Form::Referral | Form::Cname | Form::Direct | Form::Cache => None,
            };
            if response.is_some() {
                return response;
            }
        }
        Some(self.zones.answer(dns_b, tables, zone, question, asker))
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
    asker: &'a Asker,
}

impl Asked<'_> {
    /// Below a zone cut all is referred, but the cut's DS is the parent's own (RFC 4035 §3.1.4.1).
    fn form_r(&self) -> Response {
        if self.question.qtype == TYPE_DS && self.question.name == self.service.name {
            return self.no_data();
        }
        let vantage = Place::fixed(self.asker.resolver_vantage(self.tables));
        self.lookup()
            .and_then(|lookup| lookup.serving(vantage, KIND_REFERRAL, &self.service.name))
            .unwrap_or_else(Response::not_ready)
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
        let (vantage, kind) = match delegated::vantage_of_label(self.tables, &label) {
            Vantage::Known(vantage) => (vantage, KIND_REFERRAL),
            Vantage::Unknown(vantage) => (vantage, KIND_UNKNOWN_LABEL),
        };
        let referral = self
            .lookup()
            .and_then(|lookup| lookup.serving(Place::fixed(vantage), kind, &base));
        Some(referral.unwrap_or_else(Response::not_ready))
    }

    /// N itself in form C: an alias, and the apex of its zone.
    fn at_alias(&self) -> Response {
        let zone = &self.dns_b.zones[self.service.zone];
        match self.question.qtype {
            TYPE_NS | TYPE_SOA => zone::at_apex(self.dns_b, zone, self.question),
            // RFC 8482 §4.2 has the HINFO only where there is no CNAME; where there is one, §4.1: a
            // subset of what the name has, here its alias alone.
            TYPE_ANY => self.alias().in_row(Counter::BZone),
            qtype if is_zone_upkeep(qtype) => self.no_data(),
            _ => self.alias(),
        }
    }

    fn alias(&self) -> Response {
        let place = self.asker.place(self.tables);
        self.lookup()
            .and_then(|lookup| lookup.serving(place, KIND_CNAME, &self.service.name))
            .unwrap_or_else(Response::not_ready)
    }

    /// N itself in direct and cache mode: it has addresses and nothing else.
    fn addresses(&self) -> Response {
        match self.question.qtype {
            TYPE_A => self.address(KIND_A, |site| site.ipv4.is_some()),
            TYPE_AAAA => self.address(KIND_AAAA, |site| site.ipv6.is_some()),
            TYPE_ANY => {
                let writer = Writer::new(self.question);
                let any = writer.any(&self.service.name, self.service.answer_ttl);
                Response::data(Counter::BZone, vec![any], Vec::new())
            }
            _ => self.no_other_data(),
        }
    }

    /// `b-address`. No ready answer: nothing was measured yet, or there is no address of the family and
    /// the SOA of that answer is too large for a slot.
    fn address(&self, kind: u32, has: fn(&Site) -> bool) -> Response {
        let place = self.asker.place(self.tables);
        let ready = |kind| self.lookup()?.serving(place, kind, &self.service.name);
        ready(kind).unwrap_or_else(|| {
            let was_measured = [KIND_A, KIND_AAAA]
                .into_iter()
                .any(|kind| ready(kind).is_some());
            let has_site = self.service.sites.iter().any(has);
            if was_measured || self.service.form == Form::Direct && !has_site {
                self.no_other_data()
            } else {
                Response::not_ready()
            }
        })
    }

    /// `b-nodata`; of our own making where the SOA is too large for a slot.
    fn no_other_data(&self) -> Response {
        let zone = &self.dns_b.zones[self.service.zone];
        self.lookup()
            .and_then(|lookup| lookup.fixed(KIND_NODATA, &self.service.name))
            .unwrap_or_else(|| zone::nodata(zone, self.question, Counter::BNodata))
    }

    /// NODATA of the zone that has the type asked.
    fn no_data(&self) -> Response {
        let zone = &self.dns_b.zones[self.zone];
        zone::nodata(zone, self.question, Counter::BZone)
    }

    /// Where N's answers stand.
    fn lookup(&self) -> Option<Lookup<'_>> {
        let value = self.tables.name(&self.service.name)?;
        Some(Lookup {
            tables: self.tables,
            question: self.question,
            asker: self.asker,
            group: NameWord(value.word).group(),
            ttl_at_most: u32::MAX,
        })
    }
}
