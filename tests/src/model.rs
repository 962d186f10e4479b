//! A node's state as one would tell it: who is beside whom, who is silent, which site is best.
//!
//! The oracle judges from it; [`Model::tables`] makes of it what the data paths read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use dglb_common::{
    layout::{
        Answer, AnswerRef, DnsLbValue, KIND_A, KIND_AAAA, KIND_CNAME, KIND_NODATA, KIND_NXDOMAIN,
        KIND_REFERRAL, KINDS, NameKey, NameRole, NameValue, NameWord, Origin, RANKING_PAGE,
        ResolverKey, ResolverValue, Secret, VantageState, VantageValue, ranking_place,
    },
    name,
};
use dglb_user::{
    config::{Config, DnsB, DnsLb, Form, LbService, Role},
    name::OwnerName,
    ready,
    tables::Tables,
};

/// Keys of the name hash in tests: any, the multipliers odd.
pub const SECRET: Secret = Secret {
    seed_a: 0x6a09_e667_f3bc_c908,
    seed_b: 0xbb67_ae85_84ca_a73b,
    multiplier_a: 0x9e37_79b9_7f4a_7c15,
    multiplier_b: 0xc2b2_ae3d_27d4_eb4f,
};

/// A node and what it knows now.
#[derive(Clone, Debug)]
pub struct Model {
    /// The node.
    pub config: Config,
    /// DNS-B: resolvers that were announced, with the index of their DNS-LB.
    pub resolvers: BTreeMap<Ipv4Addr, usize>,
    /// DNS-B: DNS-LBs that are silent.
    pub silent: BTreeSet<usize>,
    /// DNS-LB: for each service its sites that are up, best first; `None`: not measured yet.
    pub rankings: Vec<Option<Vec<usize>>>,
}

impl Model {
    /// The tables that follow from it.
    pub fn tables(&self) -> Tables {
        let mut tables = Builder::default();
        match &self.config.role {
            Role::DnsB(dns_b) => self.fill_dns_b(&mut tables, dns_b),
            Role::DnsLb(dns_lb) => self.fill_dns_lb(&mut tables, dns_lb),
        }
        tables.0
    }

    fn fill_dns_b(&self, tables: &mut Builder, dns_b: &DnsB) {
        let default = dns_b.default_dns_lb;
        tables.size(&self.config, dns_b.dns_lbs.len(), dns_b.services.len());
        tables.0.settings.default_vantage = default as u32;
        tables.0.settings.maps_resolvers = 1;
        for (index, node) in dns_b.dns_lbs.iter().enumerate() {
            let is_silent = self.silent.contains(&index);
            let serves = if is_silent && !self.silent.contains(&default) {
                default
            } else {
                index
            };
            let state = if is_silent {
                VantageState::Down
            } else {
                VantageState::Up
            };
            tables.vantage(node.label.wire(), node.address, serves, state);
            tables.0.labels.insert(node.label.wire(), index as u32);
        }
        for (resolver, index) in &self.resolvers {
            tables.resolver(*resolver, *index, dns_b.dns_lbs[*index].address);
        }
        for (group, service) in dns_b.services.iter().enumerate() {
            let role = match service.form {
                Form::Referral => NameRole::BReferral,
                Form::Cname => NameRole::BCname,
            };
            tables.name(&service.name, role, group);
            for (vantage, node) in dns_b.dns_lbs.iter().enumerate() {
                let ttl = service.referral_ttl;
                let referral = match service.form {
                    Form::Referral => ready::referral(&node.label, node.address, ttl),
                    Form::Cname => ready::label_referral(node.address, ttl),
                };
                tables.answer(vantage, group, KIND_REFERRAL, Some(referral));
                if service.form == Form::Cname {
                    let cname = ready::cname(&node.label, ttl);
                    tables.answer(vantage, group, KIND_CNAME, Some(cname));
                }
            }
        }
    }

    fn fill_dns_lb(&self, tables: &mut Builder, dns_lb: &DnsLb) {
        tables.size(&self.config, 1, dns_lb.services.len());
        tables.vantage(dns_lb.label.wire(), dns_lb.address, 0, VantageState::Up);
        let others = dns_lb.stands_in_for.iter().map(|node| node.label);
        for label in others.chain([dns_lb.label]) {
            tables.0.labels.insert(label.wire(), 0);
        }
        for (group, service) in dns_lb.services.iter().enumerate() {
            let role = match service.form {
                Form::Referral => NameRole::LbReferral,
                Form::Cname => NameRole::LbCname,
            };
            tables.name(&service.name, role, group);
            let nodata = ready::nodata(&service.name, service.form, &service.soa).ok();
            let nxdomain = ready::nxdomain(&service.name, service.form, &service.soa).ok();
            tables.answer(0, group, KIND_NODATA, nodata);
            tables.answer(0, group, KIND_NXDOMAIN, nxdomain);
            let Some(ranking) = self.rankings[group]
                .as_ref()
                .filter(|sites| !sites.is_empty())
            else {
                continue;
            };
            let ttl = service.answer_ttl;
            let v4 = best(service, ranking, |site| site.ipv4);
            let v6 = best(service, ranking, |site| site.ipv6);
            let v4 = v4.map(|address| ready::address_v4(address, ttl)).or(nodata);
            let v6 = v6.map(|address| ready::address_v6(address, ttl)).or(nodata);
            tables.answer(0, group, KIND_A, v4);
            tables.answer(0, group, KIND_AAAA, v6);
        }
    }
}

fn best<A>(
    service: &LbService,
    ranking: &[usize],
    address: impl Fn(&dglb_user::config::Site) -> Option<A>,
) -> Option<A> {
    ranking
        .iter()
        .find_map(|&site| address(&service.sites[site]))
}

/// Tables that are being filled.
#[derive(Default)]
struct Builder(Tables);

impl Builder {
    fn size(&mut self, config: &Config, vantages: usize, groups: usize) {
        let pages = (groups * KINDS).div_ceil(RANKING_PAGE);
        self.0.secret = SECRET;
        self.0.settings.pages_per_vantage = pages as u32;
        self.0.rankings = vec![AnswerRef::NONE; vantages * pages * RANKING_PAGE];
        for (slot, address) in self
            .0
            .settings
            .addresses
            .iter_mut()
            .zip(&config.node.addresses)
        {
            *slot = address.octets();
        }
    }

    fn vantage(&mut self, label: [u8; 16], addr: Ipv4Addr, serves: usize, state: VantageState) {
        let addr = addr.octets();
        self.0.dns_lbs.push(DnsLbValue { label, addr });
        self.0.vantages.push(VantageValue {
            serves: serves as u32,
            state: state as u32,
        });
    }

    fn resolver(&mut self, resolver: Ipv4Addr, vantage: usize, dns_lb: Ipv4Addr) {
        let key = ResolverKey {
            addr: resolver.octets(),
        };
        let value = ResolverValue {
            vantage: vantage as u32,
            check: key.check(),
            dns_lb: dns_lb.octets(),
            origin: Origin::Announced as u32,
            seen: 0,
        };
        self.0.resolvers.insert(resolver, value);
    }

    fn name(&mut self, owner: &OwnerName, role: NameRole, group: usize) {
        let hash = name::hash(&SECRET, owner.wire()).expect("an owner name");
        let labels = owner.label_count();
        let value = NameValue {
            word: NameWord::new(hash.check(), role, group as u32).0,
            service: group as u32,
            labels: labels as u32,
        };
        self.0.settings.label_counts[labels / 64] |= 1 << (labels % 64);
        let key = NameKey {
            a: hash.a,
            b: hash.b,
        };
        self.0.names.insert(key, value);
    }

    fn answer(&mut self, vantage: usize, group: usize, kind: u32, answer: Option<Answer>) {
        let Some(mut answer) = answer else { return };
        let slot = self.0.answers.len() as u32;
        answer.generation = 1;
        self.0.answers.push(answer);
        let pages = self.0.settings.pages_per_vantage;
        let (page, index) = ranking_place(pages, vantage as u32, group as u32, kind);
        self.0.rankings[page as usize * RANKING_PAGE + index as usize] = AnswerRef::new(slot, 1);
    }
}
