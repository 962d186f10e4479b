//! Why a probe failed.

use serde::{Deserialize, Serialize};

/// Octets that a failure's own text may have: some of it is what strangers sent, for example a certificate
/// with thousands of names.
pub const MAX_TEXT: usize = 300;

/// Why a probe failed. Told apart because they call for different people: a refused connection is the
/// site's daemon, a timeout mostly the way there, a wrong status the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Nobody listens on the port.
    #[error("connection refused")]
    Refused,
    /// The peer ended the connection by a reset.
    #[error("connection reset")]
    Reset,
    /// Not done within the probe's timeout.
    #[error("timed out")]
    TimedOut,
    /// TLS did not come about; what rustls said.
    #[error("TLS: {0}")]
    Tls(String),
    /// A response with a status that the configuration does not expect. Redirects are not followed.
    #[error("unexpected status {0}")]
    Status(u16),
    /// The body does not contain what it must.
    #[error("the body does not match")]
    Body,
    /// The body is longer than it may be.
    #[error("the response's body is too large")]
    TooLarge,
    /// The connection ended in mid-body.
    #[error("the connection ended in mid-body")]
    Aborted,
    /// Not HTTP, or the connection ended before the response's headers were complete.
    #[error("no complete HTTP response")]
    Malformed,
    /// A command ended with this exit code, or by a signal.
    #[error("the command ended with {0}")]
    Command(String),
    /// Another error of the socket, for example no route.
    #[error("{0}")]
    Io(String),
    /// This host ran out of something (file descriptors, memory, ports), so the probe says nothing
    /// about the site.
    #[error("this host could not probe: {0}")]
    Local(String),
    /// Path, host, method or a header cannot stand in an HTTP request; nothing was sent.
    #[error("path, host, method or a header cannot stand in an HTTP request")]
    NotSendable,
}

impl Failure {
    /// The kind, as it is counted.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::TimedOut => "timed_out",
            Self::Tls(_) => "tls",
            Self::Status(_) => "status",
            Self::Body => "body",
            Self::TooLarge => "too_large",
            Self::Aborted => "aborted",
            Self::Malformed => "malformed",
            Self::Command(_) => "command",
            Self::Io(_) => "io",
            Self::Local(_) => "local",
            Self::NotSendable => "not_sendable",
        }
    }

    /// The same with a text that can be logged: at most [`MAX_TEXT`] octets, no control characters.
    pub fn bounded(mut self) -> Self {
        if let Some(text) = self.text_mut() {
            *text = bounded(text);
        }
        self
    }

    /// Whether its text is as [`Self::bounded`] leaves it.
    pub fn is_bounded(&self) -> bool {
        self.clone().bounded() == *self
    }

    fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Tls(text) | Self::Command(text) | Self::Io(text) | Self::Local(text) => {
                Some(text)
            }
            Self::Refused
            | Self::Reset
            | Self::TimedOut
            | Self::Status(_)
            | Self::Body
            | Self::TooLarge
            | Self::Aborted
            | Self::Malformed
            | Self::NotSendable => None,
        }
    }
}

fn bounded(text: &str) -> String {
    const MORE: &str = "…";
    let printable = |character: char| match character.is_control() {
        true => ' ',
        false => character,
    };
    if text.len() <= MAX_TEXT {
        return text.chars().map(printable).collect();
    }
    let mut short = String::with_capacity(MAX_TEXT);
    for character in text.chars() {
        if short.len() + character.len_utf8() + MORE.len() > MAX_TEXT {
            break;
        }
        short.push(printable(character));
    }
    short + MORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_strangers_is_made_fit_for_a_log() {
        let (wide, long) = ("é".repeat(MAX_TEXT), "x".repeat(1 << 20));
        for text in ["", "plain", "two\nlines\u{7f}", &wide, &long] {
            for failure in [
                Failure::Tls(text.into()),
                Failure::Command(text.into()),
                Failure::Io(text.into()),
                Failure::Local(text.into()),
            ] {
                let bounded = failure.clone().bounded();
                assert!(bounded.is_bounded(), "{bounded:?}");
                if failure.is_bounded() {
                    assert_eq!(bounded, failure, "nothing to do");
                }
            }
        }
        assert_eq!(
            Failure::Tls("two\nlines".into()).bounded(),
            Failure::Tls("two lines".into())
        );
        assert!(Failure::Status(503).is_bounded());
    }
}
