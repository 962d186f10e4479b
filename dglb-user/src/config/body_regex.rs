//! Regular expressions that a body must match, compiled in one way by who checks them and by who uses them.

use regex::bytes::{Regex, RegexBuilder};

/// Octets that a compiled regular expression may have.
const MAX_COMPILED: usize = 1 << 20;

/// Compiles `pattern`: linear in time, bounded in memory. Lines are matched by `(?m)`.
///
/// # Errors
/// What regex says.
pub fn compile_body_regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .build()
}
