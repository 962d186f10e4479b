//! Looks for what a body must contain, so that no regular expression holds up other probes.
//!
//! The time is linear in the body, but the factor is the pattern's: most take 40 µs a MiB, the worst that
//! compile half a minute. So regular expressions are looked for on threads of their own, few and of low
//! priority, and one that took too long is not used again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use regex::bytes::Regex;
use rustix::{
    process::setpriority_process,
    time::{ClockId, clock_gettime},
};
use tokio::sync::Semaphore;

use super::body::Kept;
use crate::{
    config::compile_body_regex,
    probe::{failure::Failure, spec::Match},
};

/// Searches at once.
const AT_ONCE: usize = 2;
/// What a search may take of a processor before its pattern is given up.
const TOO_LONG: Duration = Duration::from_secs(1);
/// Of the threads that search (setpriority(2)).
const NICENESS: i32 = 10;

/// What a body must contain.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// A text: found at once.
    Text(Arc<Pattern>),
    /// A match.
    Regex(Arc<Pattern>),
}

/// A compiled regular expression.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    is_too_slow: AtomicBool,
}

/// Compiles what bodies must contain; what is equal is compiled once.
#[derive(Debug, Default)]
pub struct Matchers(HashMap<String, Weak<Pattern>>);

impl Matchers {
    /// What finds `wanted`.
    ///
    /// # Errors
    /// It does not compile, which the daemon's configuration should have said.
    pub fn of(&mut self, wanted: &Match) -> Result<Matcher, Failure> {
        Ok(match wanted {
            Match::Text(text) => Matcher::Text(self.pattern(&regex::escape(text))?),
            Match::Regex(pattern) => Matcher::Regex(self.pattern(pattern)?),
        })
    }

    fn pattern(&mut self, text: &str) -> Result<Arc<Pattern>, Failure> {
        if let Some(known) = self.0.get(text).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let regex = compile_body_regex(text).map_err(|error| {
            Failure::Local(format!("what the body must contain can't be used: {error}"))
        })?;
        let pattern = Arc::new(Pattern {
            regex,
            is_too_slow: AtomicBool::new(false),
        });
        // One that is not used any more is forgotten when another comes.
        self.0.retain(|_, pattern| pattern.strong_count() > 0);
        self.0.insert(text.to_owned(), Arc::downgrade(&pattern));
        Ok(pattern)
    }
}

/// The threads that search.
#[derive(Debug)]
pub struct Searchers {
    places: Arc<Semaphore>,
    too_long: Duration,
}

impl Default for Searchers {
    fn default() -> Self {
        Self::with(TOO_LONG)
    }
}

impl Searchers {
    fn with(too_long: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            too_long,
        }
    }

    /// Whether `body` contains what it must. A search that began goes on when nobody waits for it any
    /// more.
    ///
    /// # Errors
    /// The pattern took too long before.
    pub async fn find(&self, matcher: &Matcher, body: Kept) -> Result<bool, Failure> {
        let pattern = match matcher {
            Matcher::Text(pattern) => return Ok(pattern.regex.is_match(body.octets())),
            Matcher::Regex(pattern) => Arc::clone(pattern),
        };
        pattern.check()?;
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(Failure::Local("no body is searched any more".into()));
        };
        pattern.check()?;
        let too_long = self.too_long;
        let search = tokio::task::spawn_blocking(move || {
            // Of this thread alone; whether it can be changed changes no result.
            let _ = setpriority_process(None, NICENESS);
            let start = processor_time();
            let is_found = pattern.regex.is_match(body.octets());
            if processor_time().saturating_sub(start) > too_long {
                pattern.give_up();
            }
            drop(place);
            is_found
        });
        search
            .await
            .map_err(|error| Failure::Local(error.to_string()))
    }
}

impl Pattern {
    fn check(&self) -> Result<(), Failure> {
        match self.is_too_slow.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Failure::Local(
                "its regular expression took too long: make it simpler, with smaller counts in {}, or \
                 lower max_body"
                    .into(),
            )),
        }
    }

    fn give_up(&self) {
        if !self.is_too_slow.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                pattern = self.regex.as_str(),
                "a regular expression took too long; it is not used until the probing process starts anew"
            );
        }
    }
}

/// What this thread has taken of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod unit {
    use super::{super::body::Bodies, *};

    fn body(octets: &[u8]) -> Kept {
        let mut kept = Bodies::default().keep();
        kept.extend(octets).expect("there is room");
        kept
    }

    /// A pattern with many states to be in at once, and a body that has it be in all of them.
    const SLOW: &str = "[ab]*a[ab]{100}c";

    fn hard_body() -> Vec<u8> {
        let mut state = 1_u64;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if state >> 40 & 1 == 0 { b'a' } else { b'b' }
        };
        (0..1 << 14).map(|_| random()).collect()
    }

    fn regex(text: &str) -> Match {
        Match::Regex(text.into())
    }

    #[tokio::test]
    async fn a_pattern_that_takes_too_long_is_used_once() {
        let searchers = Searchers::with(Duration::ZERO);
        let slow = Matchers::default().of(&regex(SLOW)).unwrap();
        assert_eq!(searchers.find(&slow, body(&hard_body())).await, Ok(false));
        let again = searchers.find(&slow, body(b"any")).await;
        assert!(
            matches!(&again, Err(Failure::Local(text)) if text.contains("too long")),
            "{again:?}"
        );
        let other = Matchers::default().of(&regex("o+k")).unwrap();
        let ample = Searchers::with(Duration::MAX);
        assert_eq!(ample.find(&other, body(b"ook")).await, Ok(true));
        assert_eq!(ample.find(&other, body(b"ko")).await, Ok(false), "again");
    }

    #[tokio::test]
    async fn a_slow_search_holds_up_nobody_else_in_the_process() {
        let searchers = Searchers::default();
        let slow = Matchers::default().of(&regex(SLOW)).unwrap();
        let search = searchers.find(&slow, body(&hard_body()));
        let mut search = std::pin::pin!(search);
        let mut turns = 0_u32;
        // This thread goes on while the other searches.
        let found = loop {
            tokio::select! {
                biased;
                found = &mut search => break found,
                () = tokio::task::yield_now() => turns += 1,
            }
        };
        assert_eq!(found, Ok(false));
        assert!(turns > 0, "it waited");
    }

    #[test]
    fn equal_patterns_are_compiled_once_and_forgotten_when_unused() {
        let mut matchers = Matchers::default();
        let (Ok(Matcher::Regex(one)), Ok(Matcher::Regex(other))) =
            (matchers.of(&regex("a+")), matchers.of(&regex("a+")))
        else {
            panic!("they compile");
        };
        assert!(Arc::ptr_eq(&one, &other));
        drop((one, other));
        let _kept = matchers.of(&regex("b+"));
        assert_eq!(matchers.0.len(), 1);
        assert!(matches!(matchers.of(&regex("(")), Err(Failure::Local(_))));
    }

    #[tokio::test]
    async fn a_text_is_no_pattern_and_may_be_long() {
        let searchers = Searchers::default();
        let long = "x".repeat(4096) + "y";
        for (text, octets, is_found) in [
            ("fine", &b"all is fine"[..], true),
            ("f.ne", b"all is fine", false),
            ("", b"", true),
            (&long, long.as_bytes(), true),
            (&long, &long.as_bytes()[1..], false),
        ] {
            let matcher = Matchers::default().of(&Match::Text(text.into())).unwrap();
            let found = searchers.find(&matcher, body(octets)).await;
            assert_eq!(found, Ok(is_found), "{text:?}");
        }
    }
}
