//! Tables that are being filled.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dglb_common::{
    layout::{
        AnswerRef, DnsLbValue, MAX_LABEL_COUNTS, NameRole, NameValue, NameWord, RANKING_PAGE,
        Secret, VantageValue, ranking_place,
    },
    name,
};

use super::{BuildError, Built, RankedService, pages, settings};
use crate::{
    config::{Config, DnsLbNode},
    name::OwnerName,
    publish::slots::Slots,
    ready::Variants,
    tables::Tables,
};

/// The service of a name that is none.
const NO_SERVICE: u32 = u32::MAX;

/// Slots for answers that come while the node serves: lists of sites, and what weighted choices need.
const SPARE_ANSWERS: u32 = 1024;
/// Rows for weighted choices.
const SPARE_ROWS: u32 = 1024;

/// A name that is to stand in the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is.
    pub role: NameRole,
    /// Flags of [`NameWord`].
    pub flags: u32,
    /// Its group.
    pub group: u32,
    /// The service that it is the balanced name of.
    pub service: Option<usize>,
}

/// Tables that are being filled.
pub struct Builder {
    pub tables: Tables,
    pub slots: Slots,
    names: BTreeMap<OwnerName, Entry>,
    /// Words of the rankings, until it is known how many groups there are.
    words: Vec<(u32, u32, u32, AnswerRef)>,
}

impl Builder {
    pub fn new(config: &Config, secret: Secret) -> Self {
        let tables = Tables {
            settings: settings::of(config),
            secret,
            ..Tables::default()
        };
        Self {
            tables,
            slots: Slots::default(),
            names: BTreeMap::new(),
            words: Vec::new(),
        }
    }

    /// Puts a name in; the first entry of a name stays.
    pub fn name(&mut self, name: &OwnerName, entry: Entry) {
        self.names.entry(name.clone()).or_insert(entry);
    }

    /// Adds a vantage, with its label. What it serves is the caller's to say.
    pub fn vantage(&mut self, node: &DnsLbNode, value: VantageValue) {
        let vantage = self.tables.vantages.len() as u32;
        self.tables.vantages.push(value);
        self.tables.dns_lbs.push(DnsLbValue {
            label: node.label.wire(),
            addr: node.address.octets(),
            addr_v6: node.address_v6.map_or([0; 16], |address| address.octets()),
        });
        self.tables.labels.insert(node.label.wire(), vantage);
    }

    /// The reference to an answer, which is put into slots where no equal one is there.
    pub fn answer(&mut self, answer: impl Into<Variants>) -> AnswerRef {
        let answers = &mut self.tables.answers;
        let slots = &mut self.slots;
        answer.into().link(|answer| slots.intern(answers, answer))
    }

    pub fn rank(&mut self, vantage: u32, group: u32, kind: u32, word: AnswerRef) {
        self.words.push((vantage, group, kind, word));
    }

    /// Ends it: `groups` were given out.
    pub fn finish(
        mut self,
        groups: usize,
        services: Vec<Option<RankedService>>,
    ) -> Result<Built, BuildError> {
        let vantages = self.tables.vantages.len();
        let pages = pages(vantages, groups)?;
        self.tables.settings.groups = groups as u32;
        self.tables.rankings = vec![AnswerRef::NONE; pages * RANKING_PAGE];
        for &(vantage, group, kind, word) in &self.words {
            let (page, index) = ranking_place(groups as u32, vantage, group, kind);
            self.tables.rankings[page as usize * RANKING_PAGE + index as usize] = word;
        }
        self.put_names();
        let changing = Changing::of(&services);
        let answers = self.tables.answers.len() as u32 + changing.answers;
        self.tables.room.answers = answers + SPARE_ANSWERS;
        self.tables.room.buckets = changing.rows + SPARE_ROWS;
        Ok(Built {
            tables: self.tables,
            services,
            slots: self.slots,
        })
    }

    fn put_names(&mut self) {
        let mut label_counts = BTreeSet::new();
        for (name, entry) in &self.names {
            let hash =
                name::hash(&self.tables.secret, name.wire()).expect("an owner name is a name");
            label_counts.insert(name.label_count() as u8);
            let octets = &name.wire()[..name.wire().len() - 1];
            let settings = &mut self.tables.settings;
            settings.name_octets |= 1_u64.checked_shl(octets.len() as u32).unwrap_or(0);
            settings.suffixes.add(&self.tables.secret, octets);
            self.tables.names.insert(
                hash.key(),
                NameValue {
                    word: NameWord::new(entry.role, entry.flags, entry.group).0,
                    service: entry.service.map_or(NO_SERVICE, |index| index as u32),
                },
            );
        }
        debug_assert!(label_counts.len() <= MAX_LABEL_COUNTS);
        let places = self.tables.settings.label_counts.iter_mut();
        for (place, count) in places.zip(label_counts.iter().rev()) {
            *place = *count;
        }
    }
}

/// Elements for what changes while the node serves: what is referred to, and as much again that rests.
struct Changing {
    answers: u32,
    rows: u32,
}

impl Changing {
    fn of(services: &[Option<RankedService>]) -> Self {
        const FAMILIES: u32 = 2;
        let mut sets = HashSet::new();
        let (mut answers, mut rows) = (0, 0);
        for service in services.iter().flatten() {
            rows += if service.divides { 2 * FAMILIES } else { 0 };
            // Services with the same sites and TTL share their answers.
            if sets.insert((&service.sites, service.ttl)) {
                let v4 = service
                    .sites
                    .iter()
                    .filter(|site| site.v4.is_some())
                    .count();
                let v6 = service
                    .sites
                    .iter()
                    .filter(|site| site.v6.is_some())
                    .count();
                answers += 2 * (v4 + v6) as u32;
            }
        }
        Self { answers, rows }
    }
}
