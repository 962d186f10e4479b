//! Owner names in a map, found from any name at or below them.

use std::collections::HashMap;

use crate::name::OwnerName;

/// Names with a value each.
#[derive(Debug)]
pub(super) struct Closest<T>(HashMap<Vec<u8>, T>);

impl<T: Copy> Closest<T> {
    /// From pairs of name and value.
    pub(super) fn new<'a>(entries: impl IntoIterator<Item = (&'a OwnerName, T)>) -> Self {
        let pairs = entries
            .into_iter()
            .map(|(name, value)| (name.wire().to_vec(), value));
        Self(pairs.collect())
    }

    /// The value of exactly `name`.
    pub(super) fn exact(&self, name: &OwnerName) -> Option<T> {
        self.0.get(name.wire()).copied()
    }

    /// The value of the longest name that `name` is or lies below.
    pub(super) fn at_or_above(&self, name: &OwnerName) -> Option<T> {
        let mut rest = name.wire();
        loop {
            if let Some(value) = self.0.get(rest) {
                return Some(*value);
            }
            rest = rest.get(1 + usize::from(rest[0])..)?;
            if rest.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> OwnerName {
        text.parse().expect(text)
    }

    #[test]
    fn the_longest_name_counts_and_boundaries_are_those_of_labels() {
        let (short, long) = (name("foo.com"), name("www.foo.com"));
        let closest = Closest::new([(&short, 1), (&long, 2)]);
        assert_eq!(closest.at_or_above(&name("a.b.www.foo.com")), Some(2));
        assert_eq!(closest.at_or_above(&name("wwww.foo.com")), Some(1));
        assert_eq!(closest.at_or_above(&short), Some(1));
        assert_eq!(closest.at_or_above(&name("afoo.com")), None);
        assert_eq!(closest.at_or_above(&name(".")), None);
        assert_eq!(closest.exact(&name("a.foo.com")), None);
    }
}
