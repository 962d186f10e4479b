//! Who asks, and what is chosen for them: from the model's prefixes, one by one.

use std::net::IpAddr;

use dglb_common::counters::Counter;
use dglb_user::config::Site;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, Record},
};
use ipnet::IpNet;

use super::{Expected, form::Subnet, records::address};
use crate::model::{Choice, Model};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub(super) model: &'a Model,
    pub(super) source: IpAddr,
    /// Client Subnet, where it is believed and names somebody.
    pub(super) subnet: Option<Subnet>,
}

/// Whose answer one gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The vantage that serves.
    pub(super) vantage: usize,
    /// Scope of an answer that is chosen by it.
    pub(super) scope: u8,
}

impl Asker<'_> {
    /// By source address: an announced resolver is itself, by IPv6 with its /64; else the longest prefix
    /// has it; else the default.
    pub(super) fn by_source(&self) -> Place {
        let is_it = |resolver: &IpAddr| match (resolver, self.source) {
            (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..4] == other.segments()[..4],
            (one, other) => *one == other,
        };
        let mut resolvers = self.model.resolvers.iter();
        let announced = resolvers.find(|(resolver, _)| is_it(resolver));
        let vantage = match announced {
            Some((_, vantage)) => *vantage,
            None => self.longest(IpNet::from(self.source)).1,
        };
        self.served(vantage)
    }

    /// By Client Subnet, else by source address: what addresses and form C's CNAME are chosen by.
    pub(super) fn by_client(&self) -> Place {
        let Some(subnet) = self.subnet else {
            return self.by_source();
        };
        let (prefix, vantage) = self.longest(subnet.net);
        // "A server MUST NOT … cover a more specific entry": no more specific one lies in the scope.
        let within = self.model.prefixes().iter();
        let within = within.filter(|(other, _)| prefix.contains(other));
        let scope = within.map(|(other, _)| other.prefix_len()).max();
        Place {
            scope: scope.unwrap_or(0),
            ..self.served(vantage)
        }
    }

    /// A vantage that was named by a label.
    pub(super) fn served(&self, vantage: usize) -> Place {
        Place {
            vantage: self.model.serving(vantage),
            scope: 0,
        }
    }

    /// The longest prefix that holds all of `client`, and whose it is. Behind the /64 all is one client's.
    fn longest(&self, client: IpNet) -> (IpNet, usize) {
        let client = match client {
            IpNet::V6(_) if client.prefix_len() > 64 => {
                IpNet::new(client.addr(), 64).expect("64 bits").trunc()
            }
            _ => client.trunc(),
        };
        let all = self.model.prefixes().iter();
        let holders = all.filter(|(net, _)| net.contains(&client));
        let longest = holders.max_by_key(|(net, _)| net.prefix_len()).copied();
        longest.unwrap_or_else(|| {
            let everybody = IpNet::new(client.addr(), 0).expect("no bits").trunc();
            (everybody, self.model.default_vantage())
        })
    }
}

/// What a service answers with at a place for one family: choices of lists, the longest list first, and
/// the scope. Empty: no address of the family.
pub(super) fn addresses(
    asker: &Asker<'_>,
    place: Place,
    choice: &Choice,
    sites: &[Site],
    of_family: fn(&Site) -> Option<IpAddr>,
    (owner, ttl): (&Name, u32),
) -> (Vec<Vec<Vec<Record>>>, u8) {
    /// A list has at most so many.
    const LONGEST_LIST: usize = 8;
    let record = |site: usize| Some(address(owner, ttl, of_family(&sites[site])?));
    match choice {
        Choice::Best(up) => {
            let in_order: Vec<usize> = (0..sites.len()).collect();
            let up = if up.is_empty() { &in_order } else { up };
            let best = up.iter().find_map(|site| record(*site));
            (
                best.map(|best| vec![vec![best]]).into_iter().collect(),
                place.scope,
            )
        }
        Choice::List(up) => {
            let all: Vec<Record> = up.iter().filter_map(|site| record(*site)).collect();
            let longest = all.len().min(LONGEST_LIST);
            let lists = (1..=longest).rev().map(|len| all[..len].to_vec());
            let lists: Vec<Vec<Record>> = lists.collect();
            let choices = if lists.is_empty() {
                Vec::new()
            } else {
                vec![lists]
            };
            (choices, place.scope)
        }
        Choice::Weighted(shares) | Choice::Sticky(shares) => {
            let weighty = shares.iter().filter(|(_, weight)| *weight > 0);
            let ones = weighty.filter_map(|(site, _)| Some(vec![vec![record(*site)?]]));
            let choices: Vec<_> = ones.collect();
            // Whoever is in the same /24 or /56 has the same answer.
            let network = match asker.subnet {
                Some(subnet) if subnet.net.addr().is_ipv4() => 24,
                Some(_) => 56,
                None => 0,
            };
            let scope = if choices.len() > 1 {
                place.scope.max(network)
            } else {
                place.scope
            };
            (choices, scope)
        }
        Choice::Fallback(fallback) => {
            let (v4, v6) = match *fallback {
                IpAddr::V4(v4) => (Some(v4), None),
                IpAddr::V6(v6) => (None, Some(v6)),
            };
            let own = of_family(&Site::new("fallback", v4, v6));
            let list = own.map(|own| vec![vec![address(owner, ttl, own)]]);
            (list.into_iter().collect(), place.scope)
        }
        // Which is no answer with addresses.
        Choice::Servfail => (Vec::new(), place.scope),
    }
}

/// `lb-servfail`: what is answered in the place of addresses when the owner wants it.
pub(super) fn servfail(place: Place) -> Expected {
    Expected::error(Counter::LbServfail, ResponseCode::ServFail).scoped(place.scope)
}
