//! Names: ten thousand balanced ones, absent ones, and ones of every shape.

use dglb_user::config::{LbService, Role};
use hickory_proto::rr::Name;

use super::random::Random;
use crate::{
    model::{Choice, Model},
    world,
};

/// How many balanced names `lb-a-names` draws from.
pub const NAMES: usize = 10_000;

/// The balanced names of `lb-a-names`: 8 letters and digits below `g.foo.com`.
pub fn balanced() -> Vec<Name> {
    below("g.foo.com.", 10).take(NAMES).collect()
}

/// Names of 8 random letters and digits below `zone`.
pub fn below(zone: &str, seed: u64) -> impl Iterator<Item = Name> {
    let mut random = Random::new(seed);
    let zone = Name::from_ascii(zone).expect("a zone's name");
    std::iter::repeat_with(move || {
        let label = random.label();
        zone.prepend_label(label.as_slice()).expect("a short name")
    })
}

/// The DNS-LB of the lab's world, with services at [`balanced`] names and at [`shaped`] ones. All have
/// the sites of the world's first service; which site is best differs.
pub fn dns_lb() -> Model {
    let mut model = world::dns_lb();
    let Role::DnsLb(node) = &mut model.config.role else {
        return model;
    };
    let first = node.services[0].clone();
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    let shaped = shaped().into_iter().map(|shape| shape.name);
    for (index, name) in balanced().into_iter().chain(shaped).enumerate() {
        std::sync::Arc::make_mut(&mut node.services).push(LbService {
            name: world::name(&name.to_ascii().to_ascii_lowercase()),
            ..first.clone()
        });
        model.rankings.push(vec![Some(Choice::Best(
            orders[index % orders.len()].to_vec(),
        ))]);
    }
    model
}

/// A name whose shape is out of the ordinary.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What is special.
    pub about: &'static str,
    /// The name.
    pub name: Name,
}

/// Balanced names from one label to as many, and from few octets to as many, as a balanced name may
/// have; without the world's own.
pub fn shaped() -> Vec<Shape> {
    let long = [62, 62, 62].map(|len| "Ab3-".repeat(16)[..len].to_owned());
    shapes([
        ("one label", "balanced.".to_owned()),
        ("one label of 63 octets", format!("{}.", "y".repeat(63))),
        ("mixed case", "wWw2.G.fOo.CoM.".to_owned()),
        ("as long as allowed, mixed case", {
            // 3 × 63, 36 and 11: 236 octets with the root.
            format!("{}.{}.g.foo.com.", long.join("."), "Zz".repeat(17) + "z")
        }),
        (
            "as many labels as allowed",
            format!("{}g.foo.com.", "E.".repeat(112)),
        ),
    ])
}

/// Names at and below `www.g.foo.com`, a balanced name of form R, up to 255 octets and 127 labels.
pub fn below_balanced() -> Vec<Shape> {
    let zone = "www.g.foo.com.";
    let letters = |len: usize| "xY7_".repeat(16)[..len].to_owned();
    shapes([
        ("mixed case", "wWw.G.FoO.cOm.".to_owned()),
        ("one label more", format!("host.{zone}")),
        ("a label of 63 octets", format!("{}.{zone}", letters(63))),
        ("ten labels", format!("{}{zone}", "aB.".repeat(6))),
        ("50 labels", format!("{}{zone}", "q.".repeat(46))),
        // 120 of 1 octet and the 15 octets of the zone's name are 255.
        ("124 labels", format!("{}{zone}", "L.".repeat(120))),
        ("255 octets in long labels", {
            let three = [63, 63, 63].map(letters).join(".");
            format!("{three}.{}.{zone}", letters(47))
        }),
    ])
}

fn shapes<const N: usize>(all: [(&'static str, String); N]) -> Vec<Shape> {
    all.map(|(about, name)| Shape {
        about,
        name: Name::from_ascii(&name).expect("a legal name"),
    })
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_ten_thousand_differ() {
        let names: HashSet<_> = balanced().into_iter().collect();
        assert_eq!(names.len(), NAMES);
    }

    #[test]
    fn shapes_go_to_the_limits() {
        let wire = |name: &Name| name.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
        let octets = |shapes: &[Shape]| shapes.iter().map(|shape| wire(&shape.name)).max();
        let labels = |shapes: &[Shape]| shapes.iter().map(|shape| shape.name.num_labels()).max();
        assert_eq!(octets(&below_balanced()), Some(255));
        assert_eq!(labels(&below_balanced()), Some(124));
        assert_eq!(octets(&shaped()), Some(236));
        assert_eq!(labels(&shaped()), Some(115));
    }
}
