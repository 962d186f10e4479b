//! A response's body: bounded, and kept only where it is looked at.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::{super::failure::Failure, http::of_hyper_in_body};

/// Octets that the kept bodies of all probes under way may have together: a thousand sites with a MiB each
/// would be more than this process is worth.
const MOST_KEPT: usize = 64 << 20;

/// The kept bodies of all probes.
#[derive(Clone, Debug)]
pub struct Bodies {
    octets: Arc<AtomicUsize>,
    most: usize,
}

/// A body that is kept.
#[derive(Debug)]
pub struct Kept {
    octets: Vec<u8>,
    of: Bodies,
}

impl Default for Bodies {
    fn default() -> Self {
        Self {
            octets: Arc::default(),
            most: MOST_KEPT,
        }
    }
}

impl Bodies {
    /// An empty one more.
    pub fn keep(&self) -> Kept {
        Kept {
            octets: Vec::new(),
            of: self.clone(),
        }
    }
}

impl Kept {
    /// What it has.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Adds `octets`.
    ///
    /// # Errors
    /// All bodies together would be too large: that says nothing about the site.
    pub fn extend(&mut self, octets: &[u8]) -> Result<(), Failure> {
        let before = self.of.octets.fetch_add(octets.len(), Ordering::Relaxed);
        if before + octets.len() > self.of.most {
            self.of.octets.fetch_sub(octets.len(), Ordering::Relaxed);
            return Err(Failure::Local(format!(
                "the bodies of the probes under way have more than {} MiB: lower max_body or \
                 probe.concurrency",
                self.of.most >> 20
            )));
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.of
            .octets
            .fetch_sub(self.octets.len(), Ordering::Relaxed);
    }
}

/// Reads a body of at most `max` octets to its end; into `kept`, if it is to be looked at.
pub async fn read(
    mut body: Incoming,
    max: u64,
    mut kept: Option<&mut Kept>,
) -> Result<(), Failure> {
    // The announced length, if there is one; an endless body shows itself only below.
    if body.size_hint().lower() > max {
        return Err(Failure::TooLarge);
    }
    let mut octets = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| of_hyper_in_body(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        octets += data.len() as u64;
        if octets > max {
            return Err(Failure::TooLarge);
        }
        if let Some(kept) = &mut kept {
            kept.extend(data)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn all_kept_bodies_have_a_bound_together() {
        let bodies = Bodies {
            most: 10,
            ..Bodies::default()
        };
        let (mut one, mut other) = (bodies.keep(), bodies.keep());
        one.extend(b"123456").expect("room");
        other.extend(b"1234").expect("just");
        assert!(matches!(other.extend(b"5"), Err(Failure::Local(_))));
        assert_eq!(other.octets(), b"1234", "as it was");
        drop(one);
        other.extend(b"56789a").expect("room again");
        assert!(other.extend(b"b").is_err());
    }
}
