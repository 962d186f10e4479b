//! Names that a file may hold only if they are known: what to say of others.

/// From which likeness on (0 to 1) a known name is taken for what was meant by an unknown one.
const MIN_LIKENESS: f64 = 0.75;

/// Known names that a message lists.
const MAX_LISTED: usize = 12;

/// The known name that is most like `name`, if one is like it at all.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = name.to_ascii_lowercase();
    let like = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&wanted, known), known));
    like.filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// What was probably meant by the unknown `name`, and what there is.
pub(super) fn remedy(name: &str, known: &[&str]) -> String {
    let listed = listed(known);
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{}\"? {listed}", meant.escape_debug()),
        None => listed,
    }
}

fn listed(known: &[&str]) -> String {
    let names: Vec<_> = known
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("\"{}\"", name.escape_debug()))
        .collect();
    match known.len() {
        0 => "there is none here".to_owned(),
        count if count > MAX_LISTED => {
            format!(
                "there are {} and {} more",
                names.join(", "),
                count - MAX_LISTED
            )
        }
        1 => format!("there is {}", names.join("")),
        _ => format!("there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_name_is_meant_and_all_are_listed() {
        let known = ["latency", "availability", "load"];
        assert_eq!(nearest("Latencie", known), Some("latency"));
        assert_eq!(nearest("xyz", known), None);
        assert_eq!(
            remedy("lode", &known),
            "did you mean \"load\"? there are \"latency\", \"availability\", \"load\""
        );
        assert_eq!(remedy("xyz", &known[..1]), "there is \"latency\"");
        assert_eq!(remedy("xyz", &[]), "there is none here");
        assert!(remedy("xyz", &["a"; 15]).ends_with(" and 3 more"));
    }
}
