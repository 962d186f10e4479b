//! One query for A or AAAA, followed through the tables element by element, and what is noted on the way.
//!
//! Written apart from `answer` and from the kernel program, and held against `answer` by tests: what
//! [`walk`] finds is what a resolver gets. Where user space composes an answer that is not in the tables,
//! it says which.

use std::{cell::Cell, net::IpAddr};

use dglb_common::{
    client::answer_bucket,
    counters::Counter,
    layout::{
        Answer, AnswerRef, KIND_A, KIND_AAAA, KIND_CNAME, KIND_HOST_A, KIND_HOST_AAAA,
        KIND_HOST_NODATA, KIND_NODATA, KIND_NXDOMAIN, KIND_REFERRAL, KIND_UNKNOWN_LABEL, NameRole,
        NameWord, Secret, Settings, ranking_place,
    },
    name,
};
use ipnet::IpNet;

use super::who::{self, Asker, Matched, Place, Serving};
use crate::{
    config::Family, label::Label, name::OwnerName, ready::UNKNOWN_TTL, tables::live::LiveTables,
};

/// The label of a DNS-LB's name server host below its own label, form C.
const HOST_LABEL: &[u8] = b"ns";

/// What is asked, and by whom.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The name.
    pub name: &'a OwnerName,
    /// A or AAAA.
    pub family: Family,
    /// Where from.
    pub source: IpAddr,
    /// What Client Subnet says, if it is sent.
    pub subnet: Option<IpNet>,
}

/// What was met on the way.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The name of the table that the asked one is or lies below.
    pub entry: OwnerName,
    /// What it is to the node.
    pub role: NameRole,
    /// Index of the service in the configuration; `u32::MAX`: it is none.
    pub service: u32,
    /// Group in the rankings.
    pub group: u32,
    /// Whose answer it is. What is the same for all has one too: what that client has otherwise.
    pub place: Place,
    /// Who serves for that vantage; `None`: the table of vantages has no such entry.
    pub serving: Option<Serving>,
    /// Whether a Client Subnet that was given counts.
    pub subnet_counts: bool,
    /// What is answered.
    pub outcome: Outcome,
    /// A reference led to a slot of another generation: the tables were changed meanwhile, or are wrong.
    pub is_torn: bool,
    /// When the daemon last beat, nanoseconds of CLOCK_MONOTONIC.
    pub heartbeat_ns: u64,
    /// How old that may be before the kernel passes everything up.
    pub max_stale_ns: u64,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Records that are ready in the tables.
    Ready(Box<Ready>),
    /// User space composes NODATA or NXDOMAIN: none is ready.
    Negative {
        /// NXDOMAIN.
        nxdomain: bool,
        /// What its TTL is at most.
        ttl_at_most: u32,
    },
    /// The zone's own data, which only user space has.
    Zone,
    /// SERVFAIL: nothing is known of the service yet.
    NotReady,
    /// REFUSED: nothing is answered at this name of ours.
    Refused,
}

/// A ready answer.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The row of the answer table.
    pub row: Option<Counter>,
    /// The vantage that it stands at.
    pub vantage: u32,
    /// Whether it is the same for all who ask.
    pub for_all: bool,
    /// Whether the kernel gives it; else user space does, from the same tables.
    pub in_kernel: bool,
    /// Slot and generation.
    pub reference: AnswerRef,
    /// The row of buckets and the client's place in it.
    pub bucket: Option<(u32, usize)>,
    /// The records.
    pub answer: Answer,
    /// The name that they belong to.
    pub base: OwnerName,
    /// What all TTLs are at most.
    pub ttl_at_most: u32,
}

/// Follows `query`. `has_site`: whether a service (by its index) has any site with an address of the
/// family, or needs none.
///
/// `None`: the name is not the node's.
///
/// # Errors
/// The tables can't be read.
pub fn walk<T: LiveTables>(
    tables: &T,
    query: &Query<'_>,
    has_site: &dyn Fn(u32) -> bool,
) -> Result<Option<Walk>, T::Error> {
    let (settings, secret) = (tables.settings()?, tables.secret()?);
    let Some(entry) = Entry::find(tables, &settings, &secret, query.name)? else {
        return Ok(None);
    };
    let steps = Steps {
        tables,
        query,
        asker: Asker::new(&settings, query.source, query.subnet),
        heartbeat: tables.heartbeat()?,
        settings,
        secret,
        word: NameWord(entry.word),
        has_site: has_site(entry.service),
        entry: &entry,
        is_torn: Cell::new(false),
    };
    let (place, outcome) = match entry.role {
        NameRole::BReferral => steps.form_r()?,
        NameRole::BCname => steps.form_c()?,
        NameRole::BAddress => steps.direct()?,
        NameRole::BApex | NameRole::BPresent | NameRole::BEmpty => steps.in_zone()?,
        NameRole::LbReferral => steps.lb_form_r()?,
        NameRole::LbCname => steps.lb_form_c()?,
    };
    Ok(Some(Walk {
        serving: who::serving(tables, place.vantage, steps.heartbeat)?,
        place,
        group: steps.word.group(),
        subnet_counts: steps.asker.is_named(),
        outcome,
        is_torn: steps.is_torn.get(),
        heartbeat_ns: steps.heartbeat,
        max_stale_ns: settings.max_stale_ns,
        role: entry.role,
        service: entry.service,
        entry: entry.name,
    }))
}

/// The name of the table with most labels of those at or above the asked one.
struct Entry {
    name: OwnerName,
    role: NameRole,
    word: u32,
    service: u32,
    /// Labels of the asked name in front of it.
    depth: usize,
}

impl Entry {
    fn find<T: LiveTables>(
        tables: &T,
        settings: &Settings,
        secret: &Secret,
        asked: &OwnerName,
    ) -> Result<Option<Self>, T::Error> {
        let mut name = Some(asked.clone());
        let mut depth = 0;
        while let Some(current) = name {
            let labels = current.label_count();
            // As in the kernel: only label counts that occur are looked up.
            let occurs = labels > 0 && settings.label_counts.map(usize::from).contains(&labels);
            let hash = name::hash(secret, current.wire()).filter(|_| occurs);
            let value = match hash {
                Some(hash) => tables.name(hash)?,
                None => None,
            };
            let role = value.and_then(|value| NameRole::from_u8(NameWord(value.word).role()));
            if let Some((value, role)) = value.zip(role) {
                return Ok(Some(Self {
                    name: current,
                    role,
                    word: value.word,
                    service: value.service,
                    depth,
                }));
            }
            name = current.parent();
            depth += 1;
        }
        Ok(None)
    }
}

/// Where a ready answer stands.
#[derive(Clone, Copy)]
enum At {
    /// At whoever serves for this vantage.
    Serving(u32),
    /// At exactly this one.
    Exactly(u32),
    /// At the default vantage: it is the same for all.
    ForAll,
}

/// The label of the asked name that stands directly below the entry, or below what it leads to.
enum Below {
    /// A DNS-LB's, with its vantage.
    Known(Label, u32),
    /// Of the reserved form, which nobody here has.
    Unknown(Label),
    /// None of the reserved form.
    Other,
}

struct Steps<'a, T> {
    tables: &'a T,
    query: &'a Query<'a>,
    asker: Asker,
    settings: Settings,
    secret: Secret,
    heartbeat: u64,
    entry: &'a Entry,
    word: NameWord,
    has_site: bool,
    is_torn: Cell<bool>,
}

type Step<T> = Result<(Place, Outcome), <T as LiveTables>::Error>;

impl<T: LiveTables> Steps<'_, T> {
    /// `b-r`.
    fn form_r(&self) -> Step<T> {
        let place = self.place_of_source()?;
        let at = At::Serving(place.vantage);
        let ready = self.ready(KIND_REFERRAL, at, &self.entry.name, u32::MAX)?;
        Ok((place, ready.map_or(Outcome::NotReady, Outcome::Ready)))
    }

    /// `b-c-name`, `b-c-label`.
    fn form_c(&self) -> Step<T> {
        if self.entry.depth == 0 {
            let place = self.place()?;
            let at = At::Serving(place.vantage);
            let ready = self.ready(KIND_CNAME, at, &self.entry.name, u32::MAX)?;
            return Ok((place, ready.map_or(Outcome::NotReady, Outcome::Ready)));
        }
        let (place, kind) = match self.label()? {
            Below::Known(label, vantage) => (fixed(Matched::Label(label), vantage), KIND_REFERRAL),
            Below::Unknown(label) => {
                let default = self.settings.default_vantage;
                (
                    fixed(Matched::UnknownLabel(label), default),
                    KIND_UNKNOWN_LABEL,
                )
            }
            Below::Other => return self.absent(),
        };
        let base = self.ancestor(self.entry.depth - 1);
        let ready = self.ready(kind, At::Serving(place.vantage), &base, u32::MAX)?;
        Ok((place, ready.map_or(Outcome::NotReady, Outcome::Ready)))
    }

    /// `b-address`.
    fn direct(&self) -> Step<T> {
        if self.entry.depth > 0 {
            return self.absent();
        }
        let place = self.place()?;
        let outcome = self.address(place, &self.entry.name, u32::MAX)?;
        Ok((place, outcome))
    }

    /// `b-negative`, `b-zone`.
    fn in_zone(&self) -> Step<T> {
        let is_empty = self.entry.role == NameRole::BEmpty;
        if self.entry.depth > 0 {
            return self.absent();
        }
        let place = self.place()?;
        let ready = match is_empty {
            true => self.ready(KIND_NODATA, At::ForAll, &self.entry.name, u32::MAX)?,
            false => None,
        };
        Ok((place, ready.map_or(Outcome::Zone, Outcome::Ready)))
    }

    /// Below a name of a DNS-B's table, where no longer one is in it.
    fn absent(&self) -> Step<T> {
        let place = self.place()?;
        let ready = match self.word.has(NameWord::COMPLETE) {
            true => self.ready(KIND_NXDOMAIN, At::ForAll, &self.entry.name, u32::MAX)?,
            false => None,
        };
        Ok((place, ready.map_or(Outcome::Zone, Outcome::Ready)))
    }

    /// `lb-address`, `lb-nodata` at N; `lb-host`, `lb-nxdomain` below it.
    fn lb_form_r(&self) -> Step<T> {
        let place = self.place()?;
        let base = &self.entry.name;
        if self.entry.depth == 0 {
            return Ok((place, self.address(place, base, u32::MAX)?));
        }
        let host = match self.entry.depth {
            1 => self.label()?,
            _ => Below::Other,
        };
        Ok((place, self.below(host, base, u32::MAX)?))
    }

    /// The same at and below `L.N`; beside a resolver addresses at N too.
    fn lb_form_c(&self) -> Step<T> {
        if self.entry.depth == 0 {
            let place = self.place()?;
            if !self.word.has(NameWord::ITSELF) {
                return Ok((place, Outcome::Refused));
            }
            let outcome = self.address(place, &self.entry.name, u32::MAX)?;
            return Ok((place, outcome));
        }
        let label = self.label()?;
        let (place, ttl_at_most) = match &label {
            Below::Known(label, vantage) => (fixed(Matched::Label(*label), *vantage), u32::MAX),
            Below::Unknown(label) => {
                let default = self.settings.default_vantage;
                (fixed(Matched::UnknownLabel(*label), default), UNKNOWN_TTL)
            }
            Below::Other => return Ok((self.place()?, Outcome::Refused)),
        };
        let base = self.ancestor(self.entry.depth - 1);
        if self.entry.depth == 1 {
            let outcome = self.address(place, &base, ttl_at_most)?;
            return Ok((place, outcome));
        }
        let is_host = *self.query.name == base.child(HOST_LABEL);
        let host = if is_host { label } else { Below::Other };
        Ok((place, self.below(host, &base, ttl_at_most)?))
    }

    /// Addresses of the vantage; NODATA where it is known that there are none.
    fn address(&self, place: Place, base: &OwnerName, ttl: u32) -> Result<Outcome, T::Error> {
        // The names in the negative answers of `L.N` do not stand as far into N.
        let is_itself = self.entry.role == NameRole::LbCname && self.entry.depth == 0;
        let (own, other) = match self.query.family {
            Family::Ipv4 => (KIND_A, KIND_AAAA),
            Family::Ipv6 => (KIND_AAAA, KIND_A),
        };
        let at = At::Serving(place.vantage);
        let ready = self.ready(own, at, base, ttl)?;
        let nodata = Outcome::Negative {
            nxdomain: false,
            ttl_at_most: ttl,
        };
        if let Some(ready) = ready {
            let fits_itself = matches!(ready.row, Some(Counter::LbAddress | Counter::LbServfail));
            return Ok(match is_itself && !fits_itself {
                true => nodata,
                false => Outcome::Ready(ready),
            });
        }
        let was_measured = self.ready(other, at, base, ttl)?.is_some();
        if !was_measured && self.has_site {
            return Ok(Outcome::NotReady);
        }
        let ready = match is_itself {
            true => None,
            false => self.ready(KIND_NODATA, At::ForAll, base, ttl)?,
        };
        Ok(match ready {
            // The kernel looks for an answer of the type asked, and passes what it does not find.
            Some(mut ready) => {
                ready.in_kernel = false;
                Outcome::Ready(ready)
            }
            None => nodata,
        })
    }

    /// A name server's host, or nothing, below what was delegated to a DNS-LB.
    fn below(&self, host: Below, base: &OwnerName, ttl: u32) -> Result<Outcome, T::Error> {
        let vantage = match host {
            Below::Known(_, vantage) => Some(vantage),
            Below::Unknown(_) => None,
            Below::Other => {
                let ready = self.ready(KIND_NXDOMAIN, At::ForAll, base, ttl)?;
                let negative = Outcome::Negative {
                    nxdomain: true,
                    ttl_at_most: ttl,
                };
                return Ok(ready.map_or(negative, Outcome::Ready));
            }
        };
        let kind = match self.query.family {
            Family::Ipv4 => KIND_HOST_A,
            Family::Ipv6 => KIND_HOST_AAAA,
        };
        // Of the node that has the label, whoever serves for it.
        let ready = match vantage {
            Some(vantage) => self.ready(kind, At::Exactly(vantage), base, ttl)?,
            None => None,
        };
        let (ready, is_first) = match ready {
            Some(ready) => (Some(ready), true),
            None => (self.ready(KIND_HOST_NODATA, At::ForAll, base, ttl)?, false),
        };
        Ok(match ready {
            Some(mut ready) => {
                ready.in_kernel &= is_first || vantage.is_none();
                Outcome::Ready(ready)
            }
            None => Outcome::Negative {
                nxdomain: false,
                ttl_at_most: ttl.min(UNKNOWN_TTL),
            },
        })
    }

    /// The ready answer of a kind. `None`: there is none.
    fn ready(
        &self,
        kind: u32,
        at: At,
        base: &OwnerName,
        ttl_at_most: u32,
    ) -> Result<Option<Box<Ready>>, T::Error> {
        let vantage = match at {
            At::ForAll => self.settings.default_vantage,
            At::Exactly(vantage) => vantage,
            At::Serving(vantage) => match who::serving(self.tables, vantage, self.heartbeat)? {
                Some(serving) => serving.vantage,
                None => return Ok(None),
            },
        };
        let group = self.word.group();
        let (page, index) = ranking_place(self.settings.groups, vantage, group, kind);
        let mut word = self.tables.word(page, index)?.unwrap_or(AnswerRef::NONE);
        let mut bucket = None;
        if word.is_ready() && word.is_buckets() {
            let client = self.asker.client();
            let hash = client.hash(client.network_mask(), &self.secret);
            let place = answer_bucket(hash);
            bucket = Some((word.slot(), place));
            let of_client = self.tables.bucket(word.slot(), place)?;
            word = of_client.unwrap_or(AnswerRef::NONE);
        }
        if !word.is_ready() || word.is_buckets() {
            return Ok(None);
        }
        let answer = self.tables.answer(word.slot())?;
        let Some(answer) = answer.filter(|answer| answer.generation == word.generation()) else {
            self.is_torn.set(true);
            return Ok(None);
        };
        Ok(Some(Box::new(Ready {
            row: Counter::ALL.get(answer.row as usize).copied(),
            vantage,
            for_all: matches!(at, At::ForAll),
            // Of a label that it does not know a DNS-LB's program says nothing.
            in_kernel: ttl_at_most == u32::MAX,
            reference: word,
            bucket,
            answer,
            base: base.clone(),
            ttl_at_most,
        })))
    }

    /// The label of the asked name that stands directly below the entry.
    fn label(&self) -> Result<Below, T::Error> {
        let below = self.ancestor(self.entry.depth - 1);
        let label = below.wire().first_chunk::<16>().and_then(Label::from_wire);
        let Some(label) = label else {
            return Ok(Below::Other);
        };
        Ok(match self.tables.label(&label.wire())? {
            Some(value) => Below::Known(label, value.vantage),
            None => Below::Unknown(label),
        })
    }

    /// The asked name without its first `labels` labels.
    fn ancestor(&self, labels: usize) -> OwnerName {
        let mut name = self.query.name.clone();
        for _ in 0..labels {
            name = name.parent().unwrap_or(name);
        }
        name
    }

    fn place(&self) -> Result<Place, T::Error> {
        self.asker.place(self.tables, &self.settings)
    }

    fn place_of_source(&self) -> Result<Place, T::Error> {
        self.asker.place_of_source(self.tables, &self.settings)
    }
}

/// A vantage that who asks has no part in.
fn fixed(matched: Matched, vantage: u32) -> Place {
    Place {
        matched,
        by_subnet: false,
        vantage,
        tables_say: None,
    }
}
