//! The tables of a DNS-B.
//!
//! Names with the same answers at each vantage share a *group*: referrals and CNAMEs with the same TTL,
//! addresses of the same sites, absence with the same SOA at the same distance above.

use std::{collections::HashMap, net::IpAddr};

use dglb_common::layout::{
    AnswerRef, KIND_A, KIND_AAAA, KIND_CNAME, KIND_NODATA, KIND_NXDOMAIN, KIND_REFERRAL,
    KIND_UNKNOWN_LABEL, NameRole, NameWord, Secret,
};

use super::{
    BuildError, Built, RankedService, Restored, SiteAddresses,
    builder::{Builder, Entry},
    mapping,
    zone_names::ZoneNames,
};
use crate::{
    config::{BService, Config, DnsB, DnsLbNode, Form},
    label::Label,
    name::OwnerName,
    publish::lease::Leases,
    ready::{self, AddressRow, NameServer},
    tables::{Prefixes, resolver_key},
};

/// What names of one group have in common. Answers of absence are interned, so that their references
/// stand for their content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum GroupKey {
    /// Form R.
    Referral { ttl: u32 },
    /// Form C.
    Cname { ttl: u32, nxdomain: u64 },
    /// Direct mode.
    Direct {
        ttl: u32,
        sites: Vec<SiteAddresses>,
        nodata: u64,
        nxdomain: u64,
    },
    /// Cache mode.
    Cache {
        ttl: u32,
        nodata: u64,
        nxdomain: u64,
    },
    /// What is no balanced name.
    Absent { nodata: u64, nxdomain: u64 },
}

/// Builds them. Where the rankings have no room for the negative answers of so many zones, they are left
/// to user space.
pub fn build(
    config: &Config,
    dns_b: &DnsB,
    secret: Secret,
    restored: &Restored,
) -> Result<Built, BuildError> {
    let zone_names = ZoneNames::of(dns_b);
    match build_with(config, dns_b, secret, restored, &zone_names) {
        Err(error @ BuildError::Rankings { .. }) => {
            tracing::warn!("{error}; names that are absent are answered by user space");
            build_with(config, dns_b, secret, restored, &ZoneNames::none(dns_b))
        }
        other => other,
    }
}

fn build_with(
    config: &Config,
    dns_b: &DnsB,
    secret: Secret,
    restored: &Restored,
    zone_names: &ZoneNames,
) -> Result<Built, BuildError> {
    let mut building = Building {
        builder: Builder::new(config, secret),
        dns_b,
        groups: HashMap::new(),
    };
    let settings = &mut building.builder.tables.settings;
    settings.default_vantage = dns_b.default_dns_lb as u32;
    (settings.maps_v4, settings.maps_v6) = (1, 1);
    let was_up = |node: &DnsLbNode| restored.up.contains(&node.label);
    let leases = Leases::new(dns_b, was_up, restored.now_ns);
    for (node, value) in dns_b.dns_lbs.iter().zip(leases.values()) {
        building.builder.vantage(node, *value);
    }
    building.builder.tables.heartbeat = restored.now_ns;
    building.builder.tables.room.resolvers = dns_b.max_resolvers;
    let services = dns_b
        .services
        .iter()
        .enumerate()
        .map(|(index, service)| building.service(index, service, zone_names))
        .collect();
    building.zone_names(zone_names);
    let prefixes = dns_b.prefixes.iter();
    building.builder.tables.prefixes = Prefixes::new(
        dns_b.default_dns_lb as u32,
        prefixes.map(|&(net, index)| (net, index as u32)),
    );
    building.restore_resolvers(restored);
    let groups = building.groups.len();
    building.builder.finish(groups, services)
}

struct Building<'a> {
    builder: Builder,
    dns_b: &'a DnsB,
    groups: HashMap<GroupKey, u32>,
}

impl Building<'_> {
    /// Puts a balanced name in, with its answers at each vantage.
    fn service(
        &mut self,
        index: usize,
        service: &BService,
        zone_names: &ZoneNames,
    ) -> Option<RankedService> {
        let ttl = service.referral_ttl;
        let (role, group, ranked) = match service.form {
            Form::Referral => (NameRole::BReferral, self.referral(ttl), None),
            Form::Cname => {
                let nxdomain = if zone_names.complete[service.zone] {
                    self.nxdomain(&service.name, service.zone)
                } else {
                    AnswerRef::NONE
                };
                (NameRole::BCname, self.cname(ttl, nxdomain), None)
            }
            Form::Direct | Form::Cache => {
                let (group, ranked) = self.addresses(service);
                (NameRole::BAddress, group, ranked)
            }
        };
        let entry = Entry {
            role,
            flags: complete(zone_names, service.zone),
            group,
            service: Some(index),
        };
        self.builder.name(&service.name, entry);
        ranked
    }

    /// The number of a group, and whether it is a new one.
    fn group(&mut self, key: GroupKey) -> (u32, bool) {
        let next = self.groups.len() as u32;
        let group = *self.groups.entry(key).or_insert(next);
        (group, group == next)
    }

    fn referral(&mut self, ttl: u32) -> u32 {
        let (group, is_new) = self.group(GroupKey::Referral { ttl });
        if is_new {
            self.at_each_vantage(|builder, vantage, own, backup| {
                let referral = builder.answer(ready::referral(own, backup, ttl));
                builder.rank(vantage, group, KIND_REFERRAL, referral);
            });
        }
        group
    }

    fn cname(&mut self, ttl: u32, nxdomain: AnswerRef) -> u32 {
        let (group, is_new) = self.group(GroupKey::Cname {
            ttl,
            nxdomain: nxdomain.0,
        });
        if !is_new {
            return group;
        }
        self.absence(group, AnswerRef::NONE, nxdomain);
        self.at_each_vantage(|builder, vantage, own, backup| {
            let alias = builder.answer(ready::cname(own.label, ttl));
            builder.rank(vantage, group, KIND_CNAME, alias);
            let referral = builder.answer(ready::label_referral(own, backup, ttl));
            builder.rank(vantage, group, KIND_REFERRAL, referral);
            let unknown = builder.answer(ready::unknown_label(own, backup, ttl));
            builder.rank(vantage, group, KIND_UNKNOWN_LABEL, unknown);
        });
        group
    }

    /// Direct and cache mode.
    fn addresses(&mut self, service: &BService) -> (u32, Option<RankedService>) {
        let zone = &self.dns_b.zones[service.zone];
        let ttl = service.answer_ttl;
        let nodata = ready::zone_nodata(&service.name, zone);
        let nodata = nodata.map_or(AnswerRef::NONE, |answer| self.builder.answer(answer));
        let nxdomain = self.nxdomain(&service.name, service.zone);
        let sites: Vec<SiteAddresses> = service.sites.iter().map(Into::into).collect();
        let (nodata_key, nxdomain_key) = (nodata.0, nxdomain.0);
        let key = match service.form {
            Form::Cache => GroupKey::Cache {
                ttl,
                nodata: nodata_key,
                nxdomain: nxdomain_key,
            },
            _ => GroupKey::Direct {
                ttl,
                sites: sites.clone(),
                nodata: nodata_key,
                nxdomain: nxdomain_key,
            },
        };
        let is_cache = matches!(key, GroupKey::Cache { .. });
        let (group, is_new) = self.group(key);
        if is_new {
            self.absence(group, nodata, nxdomain);
        }
        if !is_cache {
            let ranked = RankedService {
                group,
                row: AddressRow::DnsB,
                ttl,
                nodata,
                sites,
                divides: false,
            };
            return (group, Some(ranked));
        }
        if is_new {
            self.at_each_vantage(|builder, vantage, own, _| {
                let v4 = [IpAddr::V4(own.ipv4)];
                let v6 = own.ipv6.map(IpAddr::V6);
                for (kind, list) in [(KIND_A, &v4[..]), (KIND_AAAA, v6.as_slice())] {
                    let answer = ready::addresses(AddressRow::DnsB, list, ttl);
                    let word = answer.map_or(nodata, |answer| builder.answer(answer));
                    builder.rank(vantage, group, kind, word);
                }
            });
        }
        (group, None)
    }

    /// Puts in what is no balanced name.
    fn zone_names(&mut self, zone_names: &ZoneNames) {
        for (name, zone_name) in &zone_names.names {
            let zone = &self.dns_b.zones[zone_name.zone];
            let nodata = ready::zone_empty(name, zone);
            let nodata = nodata.map_or(AnswerRef::NONE, |answer| self.builder.answer(answer));
            let nxdomain = self.nxdomain(name, zone_name.zone);
            let (group, is_new) = self.group(GroupKey::Absent {
                nodata: nodata.0,
                nxdomain: nxdomain.0,
            });
            if is_new {
                self.absence(group, nodata, nxdomain);
            }
            let entry = Entry {
                role: zone_name.role,
                flags: complete(zone_names, zone_name.zone),
                group,
                service: None,
            };
            self.builder.name(name, entry);
        }
    }

    /// NXDOMAIN below a name; none where it is too large for a slot: user space composes it.
    fn nxdomain(&mut self, base: &OwnerName, zone: usize) -> AnswerRef {
        let answer = ready::zone_nxdomain(base, &self.dns_b.zones[zone]);
        answer.map_or(AnswerRef::NONE, |answer| self.builder.answer(answer))
    }

    /// Words that are the same for all stand at the default vantage.
    fn absence(&mut self, group: u32, nodata: AnswerRef, nxdomain: AnswerRef) {
        let default = self.dns_b.default_dns_lb as u32;
        for (kind, word) in [(KIND_NODATA, nodata), (KIND_NXDOMAIN, nxdomain)] {
            self.builder.rank(default, group, kind, word);
        }
    }

    fn at_each_vantage(
        &mut self,
        mut put: impl FnMut(&mut Builder, u32, NameServer<'_>, Option<NameServer<'_>>),
    ) {
        let nodes = &self.dns_b.dns_lbs;
        for (vantage, node) in nodes.iter().enumerate() {
            let backup = node.backup.and_then(|index| nodes.get(index));
            put(
                &mut self.builder,
                vantage as u32,
                node.into(),
                backup.map(Into::into),
            );
        }
    }

    /// Takes over the resolvers of an earlier run, of the nodes that are still configured.
    fn restore_resolvers(&mut self, restored: &Restored) {
        let nodes = &self.dns_b.dns_lbs;
        let vantages: HashMap<Label, usize> = nodes
            .iter()
            .enumerate()
            .map(|(vantage, node)| (node.label, vantage))
            .collect();
        for (resolver, label, seen) in &restored.resolvers {
            if let Some(&vantage) = vantages.get(label) {
                let key = resolver_key(*resolver);
                let value = mapping(key, vantage as u32, &nodes[vantage], *seen);
                self.builder.tables.resolvers.insert(key, value);
            }
        }
    }
}

fn complete(zone_names: &ZoneNames, zone: usize) -> u32 {
    if zone_names.complete[zone] {
        NameWord::COMPLETE
    } else {
        0
    }
}
