//! What a site says of itself. A report that makes no sense is no report, and never fails a probe.

use crate::probe::message::SiteLoad;

/// From a header: `load=42; weight=10; drain`, each part as the site likes.
pub fn of_header(value: &str) -> Option<SiteLoad> {
    let mut load = SiteLoad::default();
    for part in value
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        match part
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
        {
            Some(("load", value)) => load.load = Some(value.parse().ok()?),
            Some(("weight", value)) => load.weight = Some(value.parse().ok()?),
            None if part == "drain" => load.drain = true,
            // Of a later version.
            Some(_) | None => {}
        }
    }
    sensible(load)
}

/// From a JSON object with `load`, `weight` and `drain`, each as the site likes.
pub fn of_json(body: &[u8]) -> Option<SiteLoad> {
    // serde would take a list too, field by field.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    sensible(serde_json::from_slice(body).ok().filter(|_| is_object)?)
}

fn sensible(load: SiteLoad) -> Option<SiteLoad> {
    let is_number = load.load.is_none_or(|load| load.is_finite() && load >= 0.0);
    is_number.then_some(load)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_header_says_what_it_likes() {
        let all = SiteLoad {
            load: Some(42.5),
            weight: Some(10),
            drain: true,
        };
        assert_eq!(of_header("load=42.5; weight=10; drain"), Some(all));
        assert_eq!(
            of_header(" drain ;future=1"),
            Some(SiteLoad {
                drain: true,
                ..SiteLoad::default()
            })
        );
        for nonsense in [
            "load=",
            "load=NaN",
            "load=-1",
            "weight=-1",
            "weight=1.5",
            "load=inf",
        ] {
            assert_eq!(of_header(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn so_does_a_json_document() {
        let load = of_json(br#"{"load": 3, "other": [1]}"#).expect("a report");
        assert_eq!(
            (load.load, load.weight, load.drain),
            (Some(3.0), None, false)
        );
        for nonsense in [
            "",
            "[]",
            "3",
            r#"{"load": "high"}"#,
            r#"{"load": -3}"#,
            r#"{"load":1e999}"#,
        ] {
            assert_eq!(of_json(nonsense.as_bytes()), None, "{nonsense}");
        }
    }
}
