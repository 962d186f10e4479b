//! Reads where a node or a site stands: decimal degrees, or the text of a LOC record (RFC 1876 §3).

use super::{Location, error::ErrorKind, value::Value};

/// Metres that a LOC record has behind the degrees: altitude, size, and the two precisions.
const MAX_METRES: usize = 4;

/// Reads the value of a `location`.
pub(super) fn read(value: Value<'_>) -> Option<Location> {
    let text = value.text()?;
    let fault = match parse(text) {
        Ok(location) => return Some(location),
        Err(fault) => fault,
    };
    let kind = match fault {
        Fault::Form => ErrorKind::BadForm,
        Fault::Latitude | Fault::Longitude | Fault::Sixtieths => ErrorKind::OutOfRange,
    };
    value.refuse(
        kind,
        format!("\"{}\" is no place: {fault}", text.escape_debug()),
        "write decimal degrees, north and east positive, like \"52.5167, 13.4\", or as in a LOC record \
         like \"52 31 0 N 13 24 0 E\"",
    )
}

/// Why a text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it has neither of the two forms")]
    Form,
    #[error("a latitude has at most 90 degrees")]
    Latitude,
    #[error("a longitude has at most 180 degrees")]
    Longitude,
    #[error("minutes and seconds are below 60")]
    Sixtieths,
}

fn parse(text: &str) -> Result<Location, Fault> {
    let location = match text.split_once(',') {
        Some((latitude, longitude)) => Location {
            latitude: number(latitude.trim())?,
            longitude: number(longitude.trim())?,
        },
        None => loc(text)?,
    };
    if location.latitude.abs() > 90.0 {
        return Err(Fault::Latitude);
    }
    if location.longitude.abs() > 180.0 {
        return Err(Fault::Longitude);
    }
    Ok(location)
}

/// `d1 [m1 [s1]] {"N"|"S"} d2 [m2 [s2]] {"E"|"W"} [alt["m"] [siz["m"] [hp["m"] [vp["m"]]]]]`: as RFC 1876 has it,
/// but the altitude may be left out too.
fn loc(text: &str) -> Result<Location, Fault> {
    let mut words = text.split_whitespace();
    let latitude = degrees(&mut words, "N", "S")?;
    let longitude = degrees(&mut words, "E", "W")?;
    let mut metres = 0;
    for word in words {
        number(word.strip_suffix('m').unwrap_or(word))?;
        metres += 1;
    }
    if metres > MAX_METRES {
        return Err(Fault::Form);
    }
    Ok(Location {
        latitude,
        longitude,
    })
}

/// Degrees, and maybe minutes and seconds, up to the word for their direction.
fn degrees<'t>(
    words: &mut impl Iterator<Item = &'t str>,
    positive: &str,
    negative: &str,
) -> Result<f64, Fault> {
    let mut degrees = 0.0;
    for (place, unit) in [1.0, 60.0, 3600.0].into_iter().enumerate() {
        let word = words.next().ok_or(Fault::Form)?;
        if place > 0
            && let Some(sign) = sign(word, positive, negative)
        {
            return Ok(sign * degrees);
        }
        // Only seconds have a fraction.
        let is_whole = word.bytes().all(|octet| octet.is_ascii_digit());
        if !is_whole && place < 2 {
            return Err(Fault::Form);
        }
        let part = number(word).ok().filter(|part| *part >= 0.0);
        let part = part.ok_or(Fault::Form)?;
        if place > 0 && part >= 60.0 {
            return Err(Fault::Sixtieths);
        }
        degrees += part / unit;
    }
    let word = words.next().ok_or(Fault::Form)?;
    let sign = sign(word, positive, negative).ok_or(Fault::Form)?;
    Ok(sign * degrees)
}

fn sign(word: &str, positive: &str, negative: &str) -> Option<f64> {
    match word {
        _ if word.eq_ignore_ascii_case(positive) => Some(1.0),
        _ if word.eq_ignore_ascii_case(negative) => Some(-1.0),
        _ => None,
    }
}

/// A finite decimal number, without an exponent.
fn number(word: &str) -> Result<f64, Fault> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let is_plain = digits
        .bytes()
        .all(|octet| octet.is_ascii_digit() || octet == b'.');
    let number = word.parse().ok().filter(|_| is_plain);
    number.ok_or(Fault::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> (f64, f64) {
        let Location {
            latitude,
            longitude,
        } = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        (latitude, longitude)
    }

    #[test]
    fn both_forms_say_the_same_place() {
        // The examples of RFC 1876 §4 among them.
        for (text, latitude, longitude) in [
            ("52.5167, 13.4", 52.5167, 13.4),
            ("-33.87,151.21", -33.87, 151.21),
            ("+1, -0.5", 1.0, -0.5),
            ("90, -180", 90.0, -180.0),
            ("42 21 54 N 71 06 18 W -24m 30m", 42.365, -71.105),
            (
                "42 21 43.952 N 71 5 6.344 W -24m 1m 200m",
                42.362_208_889,
                -71.085_095_556,
            ),
            ("52 14 05 N 00 08 50 E 10m", 52.234_722_222, 0.147_222_222),
            ("32 7 19 S 116 2 25 E 10m", -32.121_944_444, 116.040_277_778),
            (
                "42 21 28.764 N 71 00 51.617 W -44m 2000m",
                42.357_99,
                -71.014_338_056,
            ),
            ("52 31 0 N 13 24 0 E", 52.516_666_667, 13.4),
            ("52 n 13 e", 52.0, 13.0),
            ("52 30 S 13 30 W 0m 1m 10000m 10m", -52.5, -13.5),
        ] {
            let (is_latitude, is_longitude) = place(text);
            assert!(
                (is_latitude - latitude).abs() < 1e-6,
                "{text}: {is_latitude}"
            );
            assert!(
                (is_longitude - longitude).abs() < 1e-6,
                "{text}: {is_longitude}"
            );
        }
    }

    #[test]
    fn what_is_no_place_is_told_why() {
        for (text, fault) in [
            ("", Fault::Form),
            ("Berlin", Fault::Form),
            ("52.5 13.4", Fault::Form),
            ("52.5, 13.4, 7", Fault::Form),
            ("NaN, 1", Fault::Form),
            ("1e1, 1", Fault::Form),
            ("inf, 1", Fault::Form),
            ("52 31 0 13 24 0", Fault::Form),
            ("52 31 0 N 13 24 0", Fault::Form),
            ("52 31 0 E 13 24 0 N", Fault::Form),
            ("N 13 E", Fault::Form),
            ("52.5 N 13 E", Fault::Form),
            ("-52 N 13 E", Fault::Form),
            ("52 31 0 0 N 13 E", Fault::Form),
            ("52 N 13 E 1m 1m 1m 1m 1m", Fault::Form),
            ("52 N 13 E high", Fault::Form),
            ("52 60 N 13 E", Fault::Sixtieths),
            ("52 0 60 N 13 E", Fault::Sixtieths),
            ("90.1, 0", Fault::Latitude),
            ("91 N 0 E", Fault::Latitude),
            ("90 0 1 N 0 E", Fault::Latitude),
            ("0, -180.5", Fault::Longitude),
            ("0 N 180 1 W", Fault::Longitude),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
