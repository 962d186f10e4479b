//! A response's body: bounded, and searched.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use regex::bytes::Regex;

use super::{super::failure::Failure, http::of_hyper_in_body};
use crate::config::compile_body_regex;

/// What a body must contain.
#[derive(Debug)]
pub enum Matcher {
    /// Nothing.
    Anything,
    /// A match.
    Regex(Arc<Regex>),
}

impl Matcher {
    /// These octets.
    pub fn text(text: &str) -> Self {
        match compile_body_regex(&regex::escape(text)) {
            Ok(regex) => Self::Regex(Arc::new(regex)),
            // Only a text of a MiB would be too large; the configuration's are not.
            Err(_) => Self::Anything,
        }
    }

    /// Whether the body has to be kept.
    pub fn needs_body(&self) -> bool {
        matches!(self, Self::Regex(_))
    }

    /// Whether `body` contains it.
    pub fn is_in(&self, body: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Regex(regex) => regex.is_match(body),
        }
    }
}

/// Reads a body of at most `max` octets to its end; keeps it if `keep`.
pub async fn read(mut body: Incoming, max: u64, keep: bool) -> Result<Vec<u8>, Failure> {
    // The announced length, if there is one; an endless body shows itself only below.
    if body.size_hint().lower() > max {
        return Err(Failure::TooLarge);
    }
    let (mut kept, mut octets) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| of_hyper_in_body(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        octets += data.len() as u64;
        if octets > max {
            return Err(Failure::TooLarge);
        }
        if keep {
            kept.extend_from_slice(data);
        }
    }
    Ok(kept)
}
