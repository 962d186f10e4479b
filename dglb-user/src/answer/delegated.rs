//! Names below a balanced name: which label they stand under, and whose vantage that is.

use crate::{label::Label, name::OwnerName, tables::Tables};

/// A label with its length octet, small letters.
type LabelOctets = [u8; 16];

/// The vantage that a well-formed label stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vantage {
    /// Of the DNS-LB that has the label.
    Known(u32),
    /// The default: nobody here has the label. What is said then is said for a minute at most, for
    /// the label may become known.
    Unknown(u32),
}

/// The label directly below `ancestor` in a name that lies below it, and the name that ends there.
/// `None`: it does not have the reserved form, or `name` does not lie below `ancestor`.
pub(super) fn label_below(
    name: &OwnerName,
    ancestor: &OwnerName,
) -> Option<(LabelOctets, OwnerName)> {
    let octets_before = name.wire().len().checked_sub(ancestor.wire().len() + 16)?;
    let base = &name.wire()[octets_before..];
    let label: LabelOctets = base[..16].try_into().ok()?;
    // Sixteen octets that end at a label boundary may still be several labels, or the end of one.
    let is_one_label = name
        .labels()
        .scan(0, |at, label| {
            let here = *at;
            *at += 1 + label.len();
            Some(here)
        })
        .any(|at| at == octets_before)
        && usize::from(label[0]) == label.len() - 1;
    (is_one_label && Label::is_reserved_form(&label[1..]))
        .then(|| (label, OwnerName::from_wire(base)))
}

/// Whose label it is.
pub(super) fn vantage_of_label(tables: &Tables, label: &LabelOctets) -> Vantage {
    match tables.labels.get(label) {
        Some(vantage) => Vantage::Known(*vantage),
        None => Vantage::Unknown(tables.settings.default_vantage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: &str = "shop.foo.com";
    const L: &str = "lb0123456789abv";

    fn below(name: &str) -> Option<String> {
        let name: OwnerName = name.parse().expect("a name");
        let found = label_below(&name, &N.parse().expect("a name"));
        found.map(|(_, base)| base.to_string())
    }

    #[test]
    fn the_label_directly_below_counts() {
        let base = format!("{L}.{N}.");
        assert_eq!(below(&base), Some(base.clone()));
        assert_eq!(below(&format!("a.B.{}", base.to_uppercase())), Some(base));
        assert_eq!(below(&format!("{L}.a.{N}")), None);
        assert_eq!(below(N), None);
        assert_eq!(below("."), None);
    }

    #[test]
    fn what_only_looks_like_a_label_is_none() {
        // Not of the form; longer, its end of the form; several labels of sixteen octets together.
        for name in ["lb0123456789abw", "xlb0123456789abv", "lb01234.6789abv"] {
            assert_eq!(below(&format!("{name}.{N}")), None, "{name}");
        }
    }
}
