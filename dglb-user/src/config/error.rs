//! What is wrong in a configuration file: where, what, and what to do.
//!
//! Each rule words its own message, beside the check itself; here stands only the shape that all of
//! them have, so that a program can sort them by [`ErrorKind`] and a person can read them.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{file}:{line}:{column}: {place}{message}; {remedy}", place = Place(.key))]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, like `service[0].site[1].ipv4` (counted from 0); empty when the whole file
    /// is meant.
    pub key: String,
    /// What sort of mistake it is.
    pub kind: ErrorKind,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub remedy: String,
}

/// Sorts of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The file cannot be read.
    Unreadable,
    /// The text is no TOML.
    Syntax,
    /// The key does not exist, or not for this role.
    UnknownKey,
    /// A key that must be there is not.
    MissingKey,
    /// A value of another type is needed.
    WrongType,
    /// The text of the value does not have the form that is needed: no name, no address, no duration.
    BadForm,
    /// The value has the right form but lies outside of what is allowed.
    OutOfRange,
    /// The same thing stands twice where it may stand once.
    Duplicate,
    /// Two values of the file do not fit together.
    Conflict,
}

/// Everything that is wrong in a configuration file, in the order of the lines. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, in the order of the lines.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Prints a key path and a colon, or nothing when there is no key.
struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            key => write!(formatter, "{key}: "),
        }
    }
}
