//! What a client sees: to which DNS-LB it is led, to which site, and the page from there.
//!
//! Nothing is assumed: the DNS-LB is read from the label in what the client's resolver answers, the
//! site from the page.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use hickory_proto::rr::RecordType;

use super::{
    Host,
    chain::{Chain, Isp},
    dns, http,
    node::{SHOP, WWW},
};

/// A name that clients ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// What the client asks for.
    pub asked: &'static str,
    /// The balanced name behind it.
    pub balanced: &'static str,
    /// How resolvers are referred.
    pub form: Form,
}

/// The form of referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// R, a plain referral.
    Referral,
    /// C, a CNAME.
    Cname,
}

/// The services of the chain.
pub const SERVICES: [Service; 2] = [
    Service {
        asked: "www.foo.com",
        balanced: WWW,
        form: Form::Referral,
    },
    Service {
        asked: SHOP,
        balanced: SHOP,
        form: Form::Cname,
    },
];

/// Who asks, and how the answers are called by people.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it asks from.
    pub host: Host,
    /// Its resolver.
    pub resolver: Ipv4Addr,
    /// The resolver's name and make.
    pub resolver_name: String,
    /// Labels and node names of the DNS-LBs.
    dns_lbs: Vec<(String, String)>,
    /// Names and addresses of the sites.
    sites: Vec<(&'static str, Ipv4Addr)>,
}

/// What a client saw of one service.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Node name of the DNS-LB that its resolver was led to.
    pub dns_lb: String,
    /// The site whose address was answered.
    pub site: &'static str,
    /// The page from that address named that site.
    pub page_ok: bool,
    /// How long the page took, milliseconds.
    pub page_ms: u128,
}

impl Client {
    /// The client of `isp`.
    pub fn of(chain: &Chain, isp: &Isp) -> Self {
        let nodes = chain.isps.iter().map(|isp| &isp.dns_lb);
        Self {
            host: isp.client.clone(),
            resolver: isp.resolver.address(),
            resolver_name: format!("{} {}", isp.resolver.name(), isp.make.name()),
            dns_lbs: nodes
                .map(|node| (node.label(), node.name().to_owned()))
                .collect(),
            sites: chain
                .mirrors
                .iter()
                .map(|mirror| (mirror.site.name, mirror.site.address))
                .collect(),
        }
    }

    /// Asks for the service's name, looks which DNS-LB answered, and fetches the page.
    ///
    /// # Errors
    /// When a step of it fails.
    pub fn observe(&self, service: &Service) -> Result<Observation> {
        let answer = self.ask(service.asked, RecordType::A)?;
        let address = dns::addresses(&answer)?[0];
        let label = match service.form {
            Form::Cname => dns::dns_lb_label(&answer),
            // An address answer does not say who gave it; the NS set that the DNS-LB gives does.
            Form::Referral => dns::dns_lb_label(&self.ask(service.balanced, RecordType::NS)?),
        };
        let label =
            label.with_context(|| format!("no label in what {} leads to", service.asked))?;
        let page = http::fetch(&self.host, address, service.asked, "/")?;
        let site = self.site_at(address)?;
        Ok(Observation {
            dns_lb: self.node_labelled(&label),
            site,
            page_ok: page.value("site") == Some(site),
            page_ms: page.took.as_millis(),
        })
    }

    /// Asks this client's resolver.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, name: &str, record_type: RecordType) -> Result<hickory_proto::op::Message> {
        dns::ask(&self.host, self.resolver, name, record_type)
    }

    fn node_labelled(&self, label: &str) -> String {
        let known = self.dns_lbs.iter().find(|(known, _)| known == label);
        known.map_or_else(
            || format!("unknown label {label}"),
            |(_, name)| name.clone(),
        )
    }

    fn site_at(&self, address: Ipv4Addr) -> Result<&'static str> {
        let site = self.sites.iter().find(|(_, known)| *known == address);
        let (name, _) = site.with_context(|| format!("{address} is no site of ours"))?;
        Ok(name)
    }
}
