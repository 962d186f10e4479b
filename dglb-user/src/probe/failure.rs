//! Why a probe failed.

use serde::{Deserialize, Serialize};

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
    /// Path or Host header cannot stand in an HTTP request; nothing was sent.
    #[error("path or host cannot stand in an HTTP request")]
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
}
