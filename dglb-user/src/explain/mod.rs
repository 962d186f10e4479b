//! `dglb explain`: why a client gets the answer that it gets.
//!
//! The answer is followed through the live kernel tables ([`walk`]): which entry says whose answer it is,
//! who serves for that vantage, which word, bucket and slot lead to which records. Why the sites were
//! chosen so is the daemon's to say ([`daemon`]); the two are compared. Without a daemon the kernel's
//! part is shown, with the data path "userspace" the daemon's. Nothing is changed.

pub mod daemon;
mod page;
pub mod served;
#[cfg(test)]
mod tests;
pub mod walk;
pub mod who;

use std::{io::Write, net::IpAddr, path::Path, thread, time::Duration};

use anyhow::bail;
use dglb_common::layout::{NameRole, Secret};
use ipnet::IpNet;
use serde::Serialize;

use self::{
    daemon::Daemon,
    served::{Kind, Served},
    walk::{Outcome, Query, Walk},
    who::Matched,
};
use crate::{
    clock::monotonic_ns,
    config::{Config, Datapath, Family, Form, Role, Site},
    control::protocol::{CandidateView, Explanation},
    kernel::{live::Live, pins::Pins},
    label::Label,
    name::OwnerName,
    publish::build::{Restored, build},
    stats::known_nodes,
    tables::{
        Tables,
        live::{InMemory, LiveTables},
    },
};

/// How often it is looked again where daemon and tables differ, or the tables changed meanwhile, and
/// after what pause.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Any keys: what is built here is looked at by nobody else.
const ANY_SECRET: Secret = Secret {
    seed_a: 1,
    seed_b: 2,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name.
    pub name: OwnerName,
    /// Who asks.
    pub from: IpAddr,
    /// What its Client Subnet says.
    pub subnet: Option<IpNet>,
    /// A or AAAA.
    pub family: Family,
}

/// All that is shown; the keys of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The name, without the dot at the end.
    name: String,
    /// The name that resolvers ask this node for instead: with a DNS-LB's label in front, form C.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_as: Option<String>,
    /// A or AAAA.
    #[serde(rename = "type")]
    qtype: &'static str,
    from: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    node: String,
    /// The balanced name; `None`: it is the zone's own.
    service: Option<String>,
    /// `dns-b` or `dns-lb`.
    role: &'static str,
    /// Which entry matched.
    matched: String,
    /// Whether that holds the client that Client Subnet names.
    by_subnet: bool,
    /// Whose answer it is.
    vantage: u32,
    vantage_name: String,
    /// Who serves for it: the same, or its backup.
    serves: Option<u32>,
    serves_name: String,
    /// `live`, `stale`: the kernel passes all up since the daemon's heartbeat is too old; `none`: there
    /// are no kernel tables.
    state: &'static str,
    heartbeat_age_s: Option<f64>,
    /// Who gives the answer: `kernel`, `user space`.
    given_by: &'static str,
    /// The row of the answer table.
    row: Option<&'static str>,
    /// Slot and generation in the table of answers.
    slot: Option<(u32, u32)>,
    /// The row of buckets and the client's bucket in it.
    bucket: Option<(u32, usize)>,
    kind: Kind,
    answer: Vec<String>,
    records: Vec<String>,
    ttl_s: Option<u32>,
    /// Whether a daemon runs.
    daemon: bool,
    /// What the daemon says of the sites; empty where there are none, or it says nothing.
    candidates: Vec<CandidateView>,
    /// Whether the tables serve what the daemon chose; `None`: there is nothing to compare.
    agrees: Option<bool>,
    notes: Vec<String>,
}

/// Explains the answer of the node that `path` describes, and prints it.
///
/// # Errors
/// The file is wrong, the tables can't be read, the node is not in service, or the name is not its own.
pub fn run(
    path: &Path,
    question: &Question,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    let explained = explain(&config, question)?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &explained)?;
        writeln!(out)?;
    } else {
        page::print(&explained, out)?;
    }
    Ok(())
}

fn explain(config: &Config, question: &Question) -> anyhow::Result<Explained> {
    match config.node.datapath {
        Datapath::Xdp => {
            let pins = Pins::of(&config.node);
            let Some(live) = Live::of(&pins) else {
                bail!(
                    "{}: not in service: no tables at {} (`dglb run` makes them)",
                    config.node.name,
                    pins.directory().display()
                );
            };
            Explainer {
                config,
                tables: &live,
                in_kernel: true,
            }
            .explain(question)
        }
        Datapath::Userspace => Explainer {
            config,
            tables: &InMemory::new(&built(config)?),
            in_kernel: false,
        }
        .explain(question),
    }
}

/// The tables that follow from the configuration alone.
fn built(config: &Config) -> anyhow::Result<Tables> {
    Ok(build(config, ANY_SECRET, &Restored::default())?.tables)
}

/// What was found of a question.
struct Found {
    walk: Walk,
    served: Served,
    daemon: Daemon,
    agrees: Option<bool>,
}

struct Explainer<'a, T> {
    config: &'a Config,
    tables: &'a T,
    /// Whether `tables` are those that the kernel answers from; else they follow from the configuration.
    in_kernel: bool,
}

impl<T: LiveTables> Explainer<'_, T>
where
    anyhow::Error: From<T::Error>,
{
    fn explain(&self, question: &Question) -> anyhow::Result<Explained> {
        let name = self.name_asked(question);
        let query = Query {
            name: &name,
            family: question.family,
            source: question.from.to_canonical(),
            subnet: question.subnet,
        };
        let mut attempt = 1;
        loop {
            let Some(walk) = walk::walk(self.tables, &query, &|service| {
                has_site(self.config, service, question.family)
            })?
            else {
                bail!("{name} is not a name of {}", self.config.node.name);
            };
            let served = Served::of(&walk.outcome, &query, self.config, || built(self.config))?;
            let daemon = self.ask(&query, &walk);
            let explanation = daemon.explanation.as_ref().filter(|_| self.in_kernel);
            let agrees =
                explanation.and_then(|explanation| daemon::agrees(&walk, &served, explanation));
            let is_settled = agrees != Some(false) && !walk.is_torn;
            if is_settled || attempt == ATTEMPTS {
                let found = Found {
                    walk,
                    served,
                    daemon,
                    agrees,
                };
                return self.shown(question, &query, found);
            }
            // Either was read while the other changed.
            attempt += 1;
            thread::sleep(PAUSE);
        }
    }

    /// A DNS-LB is never asked for N itself in form C: what resolvers ask it for is `L.N`, with its own
    /// label if the DNS-B sends them here.
    fn name_asked(&self, question: &Question) -> OwnerName {
        let Role::DnsLb(dns_lb) = &self.config.role else {
            return question.name.clone();
        };
        let mut services = dns_lb.services.iter();
        let is_form_c = !dns_lb.beside_resolver
            && services.any(|service| service.name == question.name && service.form == Form::Cname);
        match is_form_c {
            true => question.name.child(dns_lb.label.characters()),
            false => question.name.clone(),
        }
    }

    fn ask(&self, query: &Query<'_>, walk: &Walk) -> Daemon {
        let node = &self.config.node;
        if !asks_for_sites(query, walk) {
            return daemon::presence(node);
        }
        let vantage = walk
            .serving
            .map_or(walk.place.vantage, |serving| serving.vantage);
        daemon::explanation(node, &walk.entry, query.family, vantage)
    }

    fn shown(
        &self,
        question: &Question,
        query: &Query<'_>,
        found: Found,
    ) -> anyhow::Result<Explained> {
        let Found {
            walk,
            served,
            daemon,
            agrees,
        } = found;
        let explanation = daemon.explanation;
        let served = match &explanation {
            // Without kernel tables what the daemon says is what its sockets answer.
            Some(explanation) if !self.in_kernel => said(explanation),
            _ => served,
        };
        let age = self.heartbeat_age(&walk);
        let is_stale = age.is_some_and(|age| age > Duration::from_nanos(walk.max_stale_ns));
        if !self.in_kernel && !daemon.runs {
            bail!(
                "{}: datapath \"userspace\" has no tables in the kernel, and no daemon runs (`dglb run` starts \
                 it): there is nothing to explain",
                self.config.node.name
            );
        }
        let mut notes = self.notes(question, query, &walk, is_stale);
        if walk.is_torn {
            notes.push(
                "a word of the tables leads to a slot of another generation: the kernel passes such a query \
                 to user space"
                    .to_owned(),
            );
        }
        if agrees == Some(false) {
            notes.push(
                "the tables do not serve what the daemon chose: a change may be under way; look again"
                    .to_owned(),
            );
        }
        notes.extend(daemon.note);
        let ready = match &walk.outcome {
            Outcome::Ready(ready) if self.in_kernel || explanation.is_none() => Some(ready),
            _ => None,
        };
        let in_kernel = self.in_kernel && !is_stale && ready.is_some_and(|ready| ready.in_kernel);
        let serving = walk.serving.map(|serving| serving.vantage);
        let (candidates, more) = explanation.map_or_else(Default::default, |explanation| {
            (explanation.candidates, explanation.notes)
        });
        notes.extend(more);
        Ok(Explained {
            name: question.name.without_dot(),
            asked_as: (*query.name != question.name).then(|| query.name.without_dot()),
            qtype: match query.family {
                Family::Ipv4 => "A",
                Family::Ipv6 => "AAAA",
            },
            from: query.source,
            subnet: query.subnet.map(|net| net.to_string()),
            node: self.config.node.name.clone(),
            service: is_service(walk.role).then(|| walk.entry.without_dot()),
            role: match self.config.role {
                Role::DnsB(_) => "dns-b",
                Role::DnsLb(_) => "dns-lb",
            },
            matched: walk.place.matched.to_string(),
            by_subnet: walk.place.by_subnet,
            vantage: walk.place.vantage,
            vantage_name: self.name_of(walk.place.vantage)?,
            serves: serving,
            serves_name: serving.map_or(Ok(String::new()), |vantage| self.name_of(vantage))?,
            state: match (self.in_kernel, is_stale) {
                (false, _) => "none",
                (true, true) => "stale",
                (true, false) => "live",
            },
            heartbeat_age_s: age.map(|age| age.as_secs_f64()),
            given_by: if in_kernel { "kernel" } else { "user space" },
            row: ready.and_then(|ready| ready.row).map(|row| row.name()),
            slot: ready.map(|ready| (ready.reference.slot(), ready.reference.generation())),
            bucket: ready.and_then(|ready| ready.bucket),
            kind: served.kind,
            answer: served.answer,
            records: served.records,
            ttl_s: served.ttl_s,
            daemon: daemon.runs,
            candidates,
            agrees,
            notes,
        })
    }

    /// What is unusual about the answer, or not to be seen in it.
    fn notes(
        &self,
        question: &Question,
        query: &Query<'_>,
        walk: &Walk,
        is_stale: bool,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        if *query.name != question.name {
            notes.push(format!(
                "form C: DNS-Bs answer {} with a CNAME to {}, which is what resolvers ask this node for and \
                 what is explained",
                question.name, query.name
            ));
        }
        match walk.place.matched {
            Matched::NotMapped => notes.push(
                "this node looks no source of this family up: all have the default vantage".to_owned(),
            ),
            Matched::UnknownLabel(label) => notes.push(format!(
                "nobody here has the label {label}: the default vantage answers, for a minute at most"
            )),
            Matched::Resolver(_) | Matched::Prefix(_) | Matched::Default | Matched::Label(_) => {}
        }
        if query.subnet.is_some() && !walk.subnet_counts {
            notes.push(format!(
                "Client Subnet does not count: {} is in no prefix of client_subnet.from, or it says 0 bits",
                query.source
            ));
        }
        if let Some(tables) = walk.place.tables_say {
            notes.push(format!(
                "the client index and the readable tables disagree: the kernel serves vantage {}, the tables \
                 say {tables} (`dglb verify` shows more; a change may be under way)",
                walk.place.vantage
            ));
        }
        if walk.serving.is_some_and(|serving| serving.is_backup) {
            notes.push(format!(
                "vantage {} is down: its lease is over, its backup's answers are given",
                walk.place.vantage
            ));
        }
        if let Outcome::Ready(ready) = &walk.outcome
            && ready.for_all
        {
            notes.push("this answer is the same for all who ask".to_owned());
        }
        if is_stale {
            notes.push(
                "the daemon's heartbeat is older than node.max_stale: the kernel answers nothing any more and \
                 passes all to user space"
                    .to_owned(),
            );
        }
        if !self.in_kernel {
            let missing = match self.config.role {
                Role::DnsB(_) => {
                    ", without the resolvers that were announced and without who is down, which the daemon alone knows"
                }
                Role::DnsLb(_) => "",
            };
            notes.push(format!(
                "datapath \"userspace\": there are no kernel tables; who asks is looked up in the \
                 configuration{missing}"
            ));
        }
        match &walk.outcome {
            Outcome::Ready(_) | Outcome::Refused => {}
            Outcome::Negative { .. } | Outcome::Zone => notes.push(
                "user space composes this answer from the configuration; the kernel passes the query up"
                    .to_owned(),
            ),
            Outcome::NotReady if self.in_kernel => notes.push(
                "no answer is in the tables yet: user space says SERVFAIL until the sites are measured"
                    .to_owned(),
            ),
            Outcome::NotReady => {}
        }
        notes
    }

    /// `None`: no daemon has beaten, or there are no kernel tables.
    fn heartbeat_age(&self, walk: &Walk) -> Option<Duration> {
        let beaten = self.in_kernel && walk.heartbeat_ns != 0;
        beaten.then(|| Duration::from_nanos(monotonic_ns().saturating_sub(walk.heartbeat_ns)))
    }

    /// The node's name, else its label.
    fn name_of(&self, vantage: u32) -> anyhow::Result<String> {
        let entry = self.tables.dns_lb(vantage)?;
        let label = entry.and_then(|entry| Label::from_wire(&entry.label));
        Ok(label.map_or_else(String::new, |label| {
            let known = known_nodes(self.config).find(|(known, _)| *known == label);
            known.map_or_else(|| label.to_string(), |(_, name)| name.to_owned())
        }))
    }
}

/// Whether a service (by its index) has a site with an address of the family, or needs none; what is no
/// service needs none. For [`walk::walk`].
pub fn has_site(config: &Config, service: u32, family: Family) -> bool {
    let index = service as usize;
    let has = |sites: &[Site]| sites.iter().any(|site| site.has(family));
    match &config.role {
        Role::DnsB(dns_b) => dns_b
            .services
            .get(index)
            .is_none_or(|service| service.form != Form::Direct || has(&service.sites)),
        Role::DnsLb(dns_lb) => dns_lb
            .services
            .get(index)
            .is_none_or(|service| has(&service.sites)),
    }
}

/// What the daemon says it answers.
fn said(explanation: &Explanation) -> Served {
    let answered = explanation.answer.iter();
    let answer: Vec<String> = answered
        .filter(|(_, share)| *share > 0.0)
        .map(|(address, _)| address.to_string())
        .collect();
    Served {
        kind: match answer.is_empty() {
            true => Kind::Nodata,
            false => Kind::Addresses,
        },
        answer,
        records: Vec::new(),
        ttl_s: Some(explanation.ttl_s),
    }
}

/// Whether the name is one that a DNS-LB answers with addresses of sites.
fn asks_for_sites(query: &Query<'_>, walk: &Walk) -> bool {
    match walk.role {
        NameRole::LbReferral => *query.name == walk.entry,
        NameRole::LbCname => {
            let is_itself = *query.name == walk.entry;
            let is_refused = matches!(walk.outcome, Outcome::Refused);
            !is_refused && (is_itself || query.name.parent().as_ref() == Some(&walk.entry))
        }
        NameRole::BReferral
        | NameRole::BCname
        | NameRole::BAddress
        | NameRole::BApex
        | NameRole::BPresent
        | NameRole::BEmpty => false,
    }
}

/// Whether an entry of the table is a balanced name.
fn is_service(role: NameRole) -> bool {
    match role {
        NameRole::BReferral
        | NameRole::BCname
        | NameRole::BAddress
        | NameRole::LbReferral
        | NameRole::LbCname => true,
        NameRole::BApex | NameRole::BPresent | NameRole::BEmpty => false,
    }
}
