//! Points in time as text: RFC 3339 in UTC, to the nanosecond, so that what is read back is what was
//! written; for people to the second, and as what has passed since.
//!
//! For `#[serde(with = "crate::timestamp")]`, and `timestamp::optional` where there may be none.

use std::time::{Duration, SystemTime};

use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

/// Writes it.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_nanos(*time))
}

/// Reads it.
///
/// # Errors
/// It is no such text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_rfc3339(&text)
        .map_err(|error| D::Error::custom(format!("\"{text}\" is no time (RFC 3339): {error}")))
}

/// The same where there may be none.
pub mod optional {
    use super::*;

    /// Writes it, or null.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            // A form that does not describe itself needs to be told that there is one.
            Some(time) => {
                serializer.serialize_some(&humantime::format_rfc3339_nanos(*time).to_string())
            }
            None => serializer.serialize_none(),
        }
    }

    /// Reads it, or null.
    ///
    /// # Errors
    /// It is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let parsed = text.map(|text| {
            humantime::parse_rfc3339(&text).map_err(|error| {
                D::Error::custom(format!("\"{text}\" is no time (RFC 3339): {error}"))
            })
        });
        parsed.transpose()
    }
}

/// `2026-11-24T14:05:00Z`.
pub fn text(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The two largest units, so that it is read at once: `3h 12m`, `41s`; less than a second is `0s`.
pub fn span(length: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(length.as_secs())).to_string();
    let units: Vec<&str> = whole.split(' ').take(2).collect();
    units.join(" ")
}

/// What has passed from `time` to `now`: `3h 12m ago`. A clock that was set back makes it `0s ago`.
pub fn ago(time: SystemTime, now: SystemTime) -> String {
    format!("{} ago", span(now.duration_since(time).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Times {
        #[serde(with = "crate::timestamp")]
        at: SystemTime,
        #[serde(with = "crate::timestamp::optional")]
        until: Option<SystemTime>,
    }

    #[test]
    fn what_is_written_is_read_back_and_readable() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(1_795_529_100, 123_456_789);
        for until in [None, Some(at)] {
            let times = Times { at, until };
            let json = serde_json::to_string(&times).expect("text");
            assert!(
                json.contains("\"at\":\"2026-11-24T14:05:00.123456789Z\""),
                "{json}"
            );
            assert_eq!(serde_json::from_str::<Times>(&json).expect(&json), times);
            let stored = postcard::to_stdvec(&times).expect("octets");
            let read = postcard::from_bytes::<Times>(&stored).expect("as it was stored");
            assert_eq!(read, times);
        }
        let error = serde_json::from_str::<Times>(r#"{"at":"noon","until":null}"#);
        let error = error.expect_err("no time").to_string();
        assert!(error.contains("\"noon\" is no time"), "{error}");
        assert_eq!(text(at), "2026-11-24T14:05:00Z");
    }

    #[test]
    fn spans_are_short() {
        assert_eq!(span(Duration::from_millis(900)), "0s");
        assert_eq!(span(Duration::from_secs(11_521)), "3h 12m");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(ago(SystemTime::UNIX_EPOCH, now), "1m 40s ago");
        assert_eq!(ago(now, SystemTime::UNIX_EPOCH), "0s ago");
    }
}
