//! The nodes that are tried.

use dglb_common::counters::Counter::{self, *};

use crate::{model::Model, world};

/// A node, and what is expected of the kernel there.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, for people, the corpus and the command line.
    pub name: &'static str,
    /// The node.
    pub model: Model,
    /// The rows that the kernel claims at it.
    pub claimed: &'static [Counter],
    /// Those of them that its frames bring enough of.
    pub frequent: &'static [Counter],
    /// Its part of all frames, in hundredths.
    pub percent: usize,
}

/// Rows of a DNS-LB.
const LB: &[Counter] = &[LbAddress, LbNodata, LbApex, LbHost, LbNxdomain];
const LB_OUT: &[Counter] = &[LbAddress, LbNodata, LbServfail, LbApex, LbHost, LbNxdomain];

/// Nodes of all roles and modes. Of two the names fill more than one page of rankings.
pub fn all() -> Vec<Case> {
    let case = |name, model, claimed, percent| Case {
        name,
        model,
        claimed,
        frequent: claimed,
        percent,
    };
    let large_b = world::with_many_services(world::dns_b());
    let large_lb = world::with_many_services(world::dns_lb());
    let direct: &[Counter] = &[BAddress, BNodata, BNegative];
    let delegating: &[Counter] = &[BR, BCName, BCLabel, BNegative];
    vec![
        case("dns-b", world::dns_b(), delegating, 22),
        case("dns-b-direct", world::dns_b_direct(), direct, 20),
        case("dns-lb", world::dns_lb(), LB, 16),
        case("dns-lb-vantages", world::dns_lb_vantages(), LB_OUT, 20),
        case("dns-isp-lb", world::dns_isp_lb(), LB_OUT, 16),
        // Its names of form R leave little to the others.
        Case {
            frequent: &delegating[..1],
            ..case("large-dns-b", large_b, delegating, 3)
        },
        Case {
            frequent: &[LbAddress, LbHost, LbNxdomain],
            ..case("large-dns-lb", large_lb, LB, 3)
        },
    ]
}

/// The case of this name.
pub fn by_name(name: &str) -> Option<Case> {
    all().into_iter().find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_a_whole() {
        let parts = all().iter().map(|case| case.percent).sum::<usize>();
        assert_eq!(parts, 100);
        assert!(by_name("dns-b").is_some());
        assert!(by_name("dns-c").is_none());
    }
}
