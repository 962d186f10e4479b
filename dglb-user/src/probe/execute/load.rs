//! What a site says of itself. A report that makes no sense is no report, and never fails a probe.

use std::{cell::Cell, net::IpAddr, time::Duration};

use tokio::time::Instant;

use crate::probe::message::SiteLoad;

/// Between two complaints in the log.
const PAUSE: Duration = Duration::from_secs(60);

/// From a header: `load=42; weight=10; drain`, each part as the site likes.
///
/// # Errors
/// It makes no sense.
pub fn of_header(value: &str) -> Result<SiteLoad, Senseless> {
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
            Some(("load", value)) => load.load = Some(value.parse().map_err(|_| Senseless)?),
            Some(("weight", value)) => load.weight = Some(value.parse().map_err(|_| Senseless)?),
            None if part == "drain" => load.drain = true,
            // Of a later version.
            Some(_) | None => {}
        }
    }
    sensible(load)
}

/// From a JSON object with `load`, `weight` and `drain`, each as the site likes.
///
/// # Errors
/// It makes no sense.
pub fn of_json(body: &[u8]) -> Result<SiteLoad, Senseless> {
    // serde would take a list too, field by field.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Senseless);
    }
    sensible(serde_json::from_slice(body).map_err(|_| Senseless)?)
}

fn sensible(load: SiteLoad) -> Result<SiteLoad, Senseless> {
    match load.is_sensible() {
        true => Ok(load),
        false => Err(Senseless),
    }
}

/// What a site says of itself makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no sensible load=, weight= and drain, or JSON object of these")]
pub struct Senseless;

/// Tells the log of reports without sense, once a minute: thousands of sites may send them with each probe.
#[derive(Debug, Default)]
pub struct Complaints {
    last: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Complaints {
    /// A site's report made no sense.
    pub fn note(&self, address: IpAddr, host: &str) {
        let Some(untold) = self.turn() else {
            return;
        };
        tracing::warn!(
            site = %address, host, untold,
            "what the site says of its load makes no sense ({Senseless}), and does not count"
        );
    }

    /// How many were not told before this one, which is told; `None`: it is not told either.
    fn turn(&self) -> Option<u64> {
        if self.last.get().is_some_and(|last| last.elapsed() < PAUSE) {
            self.untold.set(self.untold.get() + 1);
            return None;
        }
        self.last.set(Some(Instant::now()));
        Some(self.untold.take())
    }
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
        assert_eq!(of_header("load=42.5; weight=10; drain"), Ok(all));
        assert_eq!(
            of_header(" drain ;future=1"),
            Ok(SiteLoad {
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
            assert_eq!(of_header(nonsense), Err(Senseless), "{nonsense}");
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
            assert_eq!(of_json(nonsense.as_bytes()), Err(Senseless), "{nonsense}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_hears_of_it_once_a_minute() {
        let complaints = Complaints::default();
        assert_eq!(complaints.turn(), Some(0));
        for _ in 0..1000 {
            assert_eq!(complaints.turn(), None);
        }
        tokio::time::advance(PAUSE).await;
        assert_eq!(complaints.turn(), Some(1000));
        assert_eq!(complaints.turn(), None);
    }
}
