//! Builds the tables of a node from its configuration, whole, before it serves.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use dglb_common::{
    layout::{
        Answer, AnswerRef, DnsLbValue, KIND_CNAME, KIND_NODATA, KIND_NXDOMAIN, KIND_REFERRAL,
        KINDS, LimitPrefix, LimitRate, MAX_LABEL_COUNTS, MAX_LIMIT_PREFIXES, NameRole, NameValue,
        NameWord, Origin, RANKING_PAGE, ResolverKey, ResolverValue, Secret, Settings, VantageState,
        VantageValue, ranking_place,
    },
    name,
};

use crate::{
    config::{Config, DnsB, DnsLb, DnsLbNode, Form, Limit, Rate, Role},
    label::Label,
    name::OwnerName,
    ready,
    tables::Tables,
};

/// What an earlier run of the node left in its tables.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Resolvers, the label of the DNS-LB that they were mapped to, and when they were last seen
    /// (seconds since 1970).
    pub resolvers: Vec<(Ipv4Addr, Label, u64)>,
    /// DNS-LBs by label: whether up, and the label of the one that served for it.
    pub dns_lbs: HashMap<Label, (bool, Label)>,
}

/// The answers of each site of a DNS-LB, ready to be referred to by the rankings.
#[derive(Clone, Copy, Debug)]
pub struct SiteAnswers {
    /// Answer to A, if the site has an IPv4 address.
    pub v4: Option<AnswerRef>,
    /// Answer to AAAA, if the site has an IPv6 address.
    pub v6: Option<AnswerRef>,
}

/// The tables, and what the publisher needs to change them.
#[derive(Debug)]
pub struct Built {
    /// The tables.
    pub tables: Tables,
    /// DNS-LB: by service and site. DNS-B: empty.
    pub sites: Vec<Vec<SiteAnswers>>,
}

/// Builds the tables.
///
/// A DNS-LB's rankings of addresses are left empty: [`super::first_ranking`] fills them.
pub fn build(config: &Config, secret: Secret, restored: &Restored) -> Built {
    match &config.role {
        Role::DnsB(dns_b) => Built {
            tables: dns_b_tables(config, dns_b, secret, restored),
            sites: Vec::new(),
        },
        Role::DnsLb(dns_lb) => dns_lb_tables(config, dns_lb, secret),
    }
}

fn dns_b_tables(config: &Config, dns_b: &DnsB, secret: Secret, restored: &Restored) -> Tables {
    // Services with the same form and TTL have the same answers: one group.
    let mut groups: BTreeMap<(bool, u32), u32> = BTreeMap::new();
    for service in &dns_b.services {
        let next = groups.len() as u32;
        groups
            .entry((service.form == Form::Cname, service.referral_ttl))
            .or_insert(next);
    }
    let mut builder = Builder::new(config, secret, dns_b.dns_lbs.len(), groups.len());
    builder.tables.settings.default_vantage = dns_b.default_dns_lb as u32;
    builder.tables.settings.maps_resolvers = 1;
    for (index, service) in dns_b.services.iter().enumerate() {
        let (role, cname) = match service.form {
            Form::Referral => (NameRole::BReferral, false),
            Form::Cname => (NameRole::BCname, true),
        };
        let group = groups[&(cname, service.referral_ttl)];
        builder.name(&service.name, role, group, index);
    }
    for (vantage, node) in dns_b.dns_lbs.iter().enumerate() {
        let vantage = vantage as u32;
        builder.vantage(node);
        for (&(cname, ttl), &group) in &groups {
            if cname {
                let alias = builder.answer(ready::cname(&node.label, ttl));
                builder.rank(vantage, group, KIND_CNAME, alias);
                let referral =
                    builder.answer(ready::label_referral(&node.label, node.address, ttl));
                builder.rank(vantage, group, KIND_REFERRAL, referral);
            } else {
                let referral = builder.answer(ready::referral(&node.label, node.address, ttl));
                builder.rank(vantage, group, KIND_REFERRAL, referral);
            }
        }
    }
    restore(&mut builder.tables, dns_b, restored);
    builder.tables
}

/// Takes over resolvers and states of an earlier run, for the nodes that are still configured.
fn restore(tables: &mut Tables, dns_b: &DnsB, restored: &Restored) {
    let vantage_of = |label: &Label| dns_b.dns_lbs.iter().position(|node| node.label == *label);
    for (resolver, label, seen) in &restored.resolvers {
        if let Some(vantage) = vantage_of(label) {
            let node = &dns_b.dns_lbs[vantage];
            tables
                .resolvers
                .insert(*resolver, mapping(*resolver, vantage as u32, node, *seen));
        }
    }
    for (vantage, node) in dns_b.dns_lbs.iter().enumerate() {
        if let Some((up, served_by)) = restored.dns_lbs.get(&node.label) {
            tables.vantages[vantage] = VantageValue {
                serves: vantage_of(served_by).unwrap_or(vantage) as u32,
                state: if *up {
                    VantageState::Up
                } else {
                    VantageState::Down
                } as u32,
            };
        }
    }
}

/// The entry of a resolver that is mapped to `vantage`.
pub fn mapping(resolver: Ipv4Addr, vantage: u32, node: &DnsLbNode, seen: u64) -> ResolverValue {
    let key = ResolverKey {
        addr: resolver.octets(),
    };
    ResolverValue {
        vantage,
        check: key.check(),
        dns_lb: node.address.octets(),
        origin: Origin::Announced as u32,
        seen,
    }
}

fn dns_lb_tables(config: &Config, dns_lb: &DnsLb, secret: Secret) -> Built {
    let mut builder = Builder::new(config, secret, 1, dns_lb.services.len());
    builder.vantage(&DnsLbNode {
        name: config.node.name.clone(),
        address: dns_lb.address,
        label: dns_lb.label,
    });
    builder.tables.vantages[0].state = VantageState::Up as u32;
    for node in &dns_lb.stands_in_for {
        builder.tables.labels.insert(node.label.wire(), 0);
    }
    let mut sites = Vec::with_capacity(dns_lb.services.len());
    for (index, service) in dns_lb.services.iter().enumerate() {
        let role = match service.form {
            Form::Referral => NameRole::LbReferral,
            Form::Cname => NameRole::LbCname,
        };
        let group = index as u32;
        builder.name(&service.name, role, group, index);
        // A negative answer that is too large for a slot stays without a reference: user space
        // composes it.
        if let Ok(nodata) = ready::nodata(&service.name, service.form, &service.soa) {
            let reference = builder.answer(nodata);
            builder.rank(0, group, KIND_NODATA, reference);
        }
        if let Ok(nxdomain) = ready::nxdomain(&service.name, service.form, &service.soa) {
            let reference = builder.answer(nxdomain);
            builder.rank(0, group, KIND_NXDOMAIN, reference);
        }
        let answers = service.sites.iter().map(|site| SiteAnswers {
            v4: site
                .ipv4
                .map(|address| builder.answer(ready::address_v4(address, service.answer_ttl))),
            v6: site
                .ipv6
                .map(|address| builder.answer(ready::address_v6(address, service.answer_ttl))),
        });
        sites.push(answers.collect());
    }
    Built {
        tables: builder.tables,
        sites,
    }
}

/// Tables that are being filled.
struct Builder {
    tables: Tables,
    /// Answers by content, so that equal ones share a slot.
    interned: HashMap<Vec<u8>, AnswerRef>,
    label_counts: BTreeSet<u8>,
}

impl Builder {
    fn new(config: &Config, secret: Secret, vantages: usize, groups: usize) -> Self {
        let pages = (groups * KINDS).div_ceil(RANKING_PAGE).max(1);
        let mut settings = Settings {
            label_counts: [u8::MAX; MAX_LABEL_COUNTS],
            pages_per_vantage: pages as u32,
            max_stale_ns: config.node.max_stale.as_nanos().min(u64::MAX.into()) as u64,
            ..limits(&config.limit)
        };
        // Slots that are left over repeat the addresses: a zero would match 0.0.0.0.
        let addresses = config.node.addresses.iter().cycle();
        for (slot, address) in settings.addresses.iter_mut().zip(addresses) {
            *slot = address.octets();
        }
        let tables = Tables {
            settings,
            secret,
            rankings: vec![AnswerRef::NONE; vantages * pages * RANKING_PAGE],
            ..Tables::default()
        };
        Self {
            tables,
            interned: HashMap::new(),
            label_counts: BTreeSet::new(),
        }
    }

    fn name(&mut self, name: &OwnerName, role: NameRole, group: u32, service: usize) {
        let hash = name::hash(&self.tables.secret, name.wire()).expect("an owner name is a name");
        self.label_counts.insert(name.label_count() as u8);
        // The configuration allows no more counts than there are places.
        let places = self.tables.settings.label_counts.iter_mut();
        for (place, count) in places.zip(&self.label_counts) {
            *place = *count;
        }
        self.tables.names.insert(
            hash.key(),
            NameValue {
                word: NameWord::new(role, group).0,
                service: service as u32,
            },
        );
    }

    fn vantage(&mut self, node: &DnsLbNode) {
        let vantage = self.tables.vantages.len() as u32;
        self.tables.vantages.push(VantageValue {
            serves: vantage,
            state: VantageState::Down as u32,
        });
        self.tables.dns_lbs.push(DnsLbValue {
            label: node.label.wire(),
            addr: node.address.octets(),
        });
        self.tables.labels.insert(node.label.wire(), vantage);
    }

    /// The reference to `answer`, which is put into a slot if no equal one is there.
    fn answer(&mut self, mut answer: Answer) -> AnswerRef {
        answer.generation = 1;
        let mut content = vec![answer.row as u8, answer.rcode];
        content.extend_from_slice(&answer.octets[..usize::from(answer.len)]);
        if let Some(reference) = self.interned.get(&content) {
            return *reference;
        }
        let reference = AnswerRef::new(self.tables.answers.len() as u32, answer.generation);
        self.tables.answers.push(answer);
        self.interned.insert(content, reference);
        reference
    }

    fn rank(&mut self, vantage: u32, group: u32, kind: u32, word: AnswerRef) {
        let pages = self.tables.settings.pages_per_vantage;
        let (page, index) = ranking_place(pages, vantage, group, kind);
        self.tables.rankings[page as usize * RANKING_PAGE + index as usize] = word;
    }
}

/// The settings of the rate limit; all else zero.
fn limits(limit: &Limit) -> Settings {
    let mut settings = Settings {
        limit: rate(limit.default),
        prefix_count: limit.prefixes.len() as u32,
        ..Settings::default()
    };
    let entries = settings.prefixes.iter_mut().zip(&limit.prefixes);
    for (entry, (prefix, prefix_rate)) in entries.take(MAX_LIMIT_PREFIXES) {
        *entry = LimitPrefix {
            network: u32::from_ne_bytes(prefix.network().octets()),
            mask: u32::from_ne_bytes(prefix.netmask().octets()),
            rate: rate(*prefix_rate),
        };
    }
    settings
}

fn rate(rate: Rate) -> LimitRate {
    let interval_ns = 1_000_000_000 / u64::from(rate.per_second);
    LimitRate {
        interval_ns,
        burst_ns: interval_ns * u64::from(rate.burst),
    }
}
