//! Whatever a file holds, loading it ends in a configuration or in errors that point into it.

use proptest::prelude::*;

use super::{DNS_B, DNS_LB};
use crate::config::{Config, Role};

/// Loads `text`, and checks what all errors must have.
fn load(text: &str) {
    let errors = match Config::from_text("x.toml", text) {
        Err(errors) => errors,
        Ok(config) => return use_it(&config),
    };
    assert!(
        errors.iter().next().is_some(),
        "no error says what is wrong"
    );
    let lines = text.matches('\n').count() + 1;
    for error in &errors {
        assert!((1..=lines).contains(&error.line), "{error}");
        assert!(error.column >= 1 && !error.remedy.is_empty(), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// What is reckoned from an accepted file must be within bounds too.
fn use_it(config: &Config) {
    if let Role::DnsLb(dns_lb) = &config.role {
        for service in dns_lb.services.iter() {
            assert!(service.effective_interval() >= service.probe.interval);
        }
    }
}

/// Pieces that values and keys are made of.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "#",
        "\n",
        "0",
        "-1",
        "1e9",
        "true",
        "\"\"",
        "\"10s\"",
        "\"lb0123456789abc\"",
        "name",
        "role",
        "node",
        "[node]",
        "[[service]]",
        "[[zone.host]]",
        "\"255.255.255.255\"",
        "\"::1\"",
        "\\",
        "\"\\u0000\"",
        "'",
        "\"\"\"",
        "ü",
        "1979-05-27",
        "18446744073709551616",
        "\"\\\\300.com\"",
        "\"1000000000y\"",
        "nan",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "\\PC{0,8}"]
}

/// An example with `cuts`: at each place some octets are left out and a piece is put in.
fn mutated(example: &str, cuts: &[(prop::sample::Index, usize, String)]) -> String {
    let mut text = example.to_owned();
    for (place, len, piece) in cuts {
        let start = place.index(text.len() + 1);
        let start = (0..=start)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let end = (start + len).min(text.len());
        let end = (end..=text.len())
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(text.len());
        text.replace_range(start..end, piece);
    }
    text
}

/// An example with one value replaced: unlike a cut anywhere, it is mostly still TOML.
fn revalued(example: &str, line: prop::sample::Index, piece: &str) -> String {
    let mut lines: Vec<String> = example.lines().map(str::to_owned).collect();
    let settings: Vec<_> = (0..lines.len())
        .filter(|at| lines[*at].contains(" = "))
        .collect();
    let chosen = settings[line.index(settings.len())];
    let line = lines[chosen].trim_start_matches("# ");
    let (key, _) = line.split_once(" = ").unwrap_or((line, ""));
    lines[chosen] = format!("{key} = {piece}");
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn on_arbitrary_text(text in "(?s).{0,400}") {
        load(&text);
    }

    #[test]
    fn on_arbitrary_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        load(&pieces.concat());
    }

    #[test]
    fn on_mutated_examples(
        of_dns_b: bool,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, piece()), 1..4),
    ) {
        load(&mutated(if of_dns_b { DNS_B } else { DNS_LB }, &cuts));
    }

    #[test]
    fn on_examples_with_another_value(
        of_dns_b: bool,
        line: prop::sample::Index,
        piece in prop_oneof![piece(), "\"[ -~]{0,20}\"", "-?[0-9]{1,25}", "\\[\"[a-z0-9.:/]{0,9}\"\\]"],
    ) {
        load(&revalued(if of_dns_b { DNS_B } else { DNS_LB }, line, &piece));
    }
}

#[test]
fn on_deep_nesting() {
    for (open, close) in [("[", "]"), ("{a=", "}"), ("a.", "a = 1")] {
        for depth in [70, 79, 80, 100_000] {
            let start = if open == "a." { "" } else { "role = " };
            load(&format!(
                "{start}{}{}",
                open.repeat(depth),
                close.repeat(depth)
            ));
            load(&format!("{start}{}{close}", open.repeat(depth)));
        }
    }
}
