//! The names that matter to a node.

use dglb_user::{
    config::{Form, Role},
    label::Label,
    name::OwnerName,
};

use super::Random;
use crate::{model::Model, world::UNKNOWN_LABEL};

/// Names in wire form, sorted by what they are to the node.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Asked for most of the time: their answers are ready.
    ready: Vec<Vec<u8>>,
    /// All that matter, by kind; each kind as often as another.
    kinds: Vec<Vec<Vec<u8>>>,
}

impl Names {
    pub(super) fn new(model: &Model) -> Self {
        let Known {
            services,
            labels,
            others,
            hosts_in_names,
        } = Known::of(model);
        let names: Vec<OwnerName> = services.iter().map(|(name, _)| name.clone()).collect();
        let below = |label: &[u8]| -> Vec<Vec<u8>> {
            let fit = names.iter().filter(|name| name.wire().len() < 239);
            fit.map(|name| wire(&name.child(label))).collect()
        };
        let known: Vec<_> = labels
            .iter()
            .flat_map(|label| below(label.characters()))
            .collect();
        let unknown = below(UNKNOWN_LABEL.as_bytes());
        let near: &[&[u8]] = &[
            b"lb000000000000w",
            b"lb00000000000",
            b"lb00000000000000",
            b"mb0000000000000",
            b"nlb0000000000000",
            b"nope",
            b"ns",
        ];
        let kinds = vec![
            names.iter().map(wire).collect(),
            hosts(&known),
            hosts(&unknown),
            // Beside `ns`.
            (known.iter())
                .flat_map(|name| {
                    [&b"\x03nsx"[..], b"\x01n", b"\x02mx"].map(|label| [label, name].concat())
                })
                .collect(),
            unknown,
            near.iter().flat_map(|label| below(label)).collect(),
            others.iter().map(wire).collect(),
            others.iter().map(|name| wire(&name.child(b"x"))).collect(),
            [&b"\0"[..], b"\x07example\0", b"\x03www\x06gg-foo\x03com\0"]
                .map(<[u8]>::to_vec)
                .to_vec(),
            known,
        ];
        let mut ready = Vec::new();
        for (name, form) in &services {
            if hosts_in_names || *form != Form::Cname {
                ready.push(wire(name));
            }
            let labels = labels.iter().map(|label| name.child(label.characters()));
            match form {
                Form::Cname => ready.extend(labels.map(|name| wire(&name))),
                // Name server hosts of a DNS-LB.
                Form::Referral => ready.extend(labels.take(2).map(|name| wire(&name))),
                Form::Direct | Form::Cache => {}
            }
        }
        Self {
            ready,
            kinds: kinds.into_iter().filter(|kind| !kind.is_empty()).collect(),
        }
    }

    /// One of them: three times of four one whose answer is ready.
    pub(super) fn pick(&self, random: &mut Random) -> Vec<u8> {
        let kind = if random.below(4) < 3 {
            &self.ready
        } else {
            &self.kinds[random.below(self.kinds.len())]
        };
        kind[random.below(kind.len())].clone()
    }
}

/// What a node knows of names.
struct Known {
    services: Vec<(OwnerName, Form)>,
    labels: Vec<Label>,
    /// Apexes, hosts, names above.
    others: Vec<OwnerName>,
    /// Whether the name of form C itself is answered.
    hosts_in_names: bool,
}

impl Known {
    fn of(model: &Model) -> Self {
        match &model.config.role {
            Role::DnsB(node) => Self {
                services: (node.services.iter())
                    .map(|service| (service.name.clone(), service.form))
                    .collect(),
                labels: node.dns_lbs.iter().map(|lb| lb.label).collect(),
                others: (node.zones.iter())
                    .flat_map(|zone| zone.hosts.iter().map(|(host, _)| host).chain([&zone.apex]))
                    .chain(node.services.iter().map(|service| &service.name))
                    .flat_map(|name| [Some(name.clone()), name.parent()])
                    .flatten()
                    .collect(),
                hosts_in_names: true,
            },
            Role::DnsLb(node) => Self {
                services: (node.services.iter())
                    .map(|service| (service.name.clone(), service.form))
                    .collect(),
                labels: (node.stands_in_for.iter().map(|lb| lb.label))
                    .chain([node.label])
                    .collect(),
                others: (node.services.iter())
                    .filter_map(|service| service.name.parent())
                    .collect(),
                hosts_in_names: node.beside_resolver,
            },
        }
    }
}

fn wire(name: &OwnerName) -> Vec<u8> {
    name.wire().to_vec()
}

fn hosts(names: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let host = |name: &Vec<u8>| [b"\x02ns", &name[..]].concat();
    names.iter().map(host).collect()
}
