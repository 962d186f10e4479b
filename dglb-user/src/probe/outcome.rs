//! What one probe came to.

use std::{io, time::Duration};

use rustix::io::Errno;
use serde::Serialize;

/// A probe's result: the time from the start of the connection to the body's last octet, or why not.
pub type Outcome = Result<Duration, Failure>;

/// Why a probe failed. Told apart because they call for different people: a refused connection is the
/// site's daemon, a timeout mostly the way there, a wrong status the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
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
    /// A response with a status that the configuration does not expect. Redirects are not followed.
    #[error("unexpected status {0}")]
    Status(u16),
    /// The body is longer than [`super::http::MAX_BODY`].
    #[error("the response's body is too large")]
    TooLarge,
    /// Not HTTP, or the connection ended before the response was complete.
    #[error("no complete HTTP response")]
    Malformed,
    /// Another error of the socket, for example no route.
    #[error("{0}")]
    Io(#[serde(serialize_with = "as_text")] Errno),
    /// This host ran out of something (file descriptors, memory, ports), so the probe says nothing
    /// about the site.
    #[error("this host could not probe: {0}")]
    Local(#[serde(serialize_with = "as_text")] Errno),
    /// Path or Host header cannot stand in an HTTP request; nothing was sent.
    #[error("path or host cannot stand in an HTTP request")]
    NotSendable,
}

/// How often each kind of [`Failure`] occurred since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FailureCounts {
    /// [`Failure::Refused`].
    pub refused: u64,
    /// [`Failure::Reset`].
    pub reset: u64,
    /// [`Failure::TimedOut`].
    pub timed_out: u64,
    /// [`Failure::Status`], whatever the status.
    pub status: u64,
    /// [`Failure::TooLarge`].
    pub too_large: u64,
    /// [`Failure::Malformed`].
    pub malformed: u64,
    /// [`Failure::Io`], whatever the kind.
    pub io: u64,
    /// [`Failure::Local`], whatever was lacking.
    pub local: u64,
    /// [`Failure::NotSendable`].
    pub not_sendable: u64,
}

impl FailureCounts {
    /// Counts one more.
    pub fn add(&mut self, failure: Failure) {
        *match failure {
            Failure::Refused => &mut self.refused,
            Failure::Reset => &mut self.reset,
            Failure::TimedOut => &mut self.timed_out,
            Failure::Status(_) => &mut self.status,
            Failure::TooLarge => &mut self.too_large,
            Failure::Malformed => &mut self.malformed,
            Failure::Io(_) => &mut self.io,
            Failure::Local(_) => &mut self.local,
            Failure::NotSendable => &mut self.not_sendable,
        } += 1;
    }
}

impl From<&io::Error> for Failure {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => Self::Reset,
            Some(Errno::TIMEDOUT) => Self::TimedOut,
            Some(
                lacking @ (Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::NOBUFS
                | Errno::ADDRNOTAVAIL),
            ) => Self::Local(lacking),
            Some(other) => Self::Io(other),
            // Not the kernel's but hyper's own: a body that ends early or is wrongly framed.
            None => Self::Malformed,
        }
    }
}

fn as_text<S: serde::Serializer>(errno: &Errno, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_apart() {
        let mut counts = FailureCounts::default();
        for failure in [
            Failure::Refused,
            Failure::Reset,
            Failure::Reset,
            Failure::TimedOut,
            Failure::Status(500),
            Failure::Status(302),
            Failure::Status(404),
            Failure::TooLarge,
            Failure::Malformed,
            Failure::Io(Errno::HOSTUNREACH),
            Failure::Local(Errno::MFILE),
            Failure::NotSendable,
        ] {
            counts.add(failure);
        }
        let expected = FailureCounts {
            refused: 1,
            reset: 2,
            timed_out: 1,
            status: 3,
            too_large: 1,
            malformed: 1,
            io: 1,
            local: 1,
            not_sendable: 1,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_failure_reads_well_in_logs_and_in_json() {
        assert_eq!(Failure::Status(503).to_string(), "unexpected status 503");
        let unreachable = Failure::Io(Errno::HOSTUNREACH);
        assert!(unreachable.to_string().starts_with("No route to host"));
        let json = |failure| serde_json::to_string(&failure).unwrap();
        assert!(json(unreachable).starts_with(r#"{"io":"No route to host"#));
        assert_eq!(json(Failure::Status(503)), r#"{"status":503}"#);
        assert_eq!(json(Failure::TimedOut), r#""timed_out""#);
    }

    #[test]
    fn what_this_host_lacks_is_not_the_sites_failure() {
        let failure = |errno: Errno| Failure::from(&io::Error::from(errno));
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::NOBUFS,
            Errno::ADDRNOTAVAIL,
        ] {
            assert_eq!(failure(errno), Failure::Local(errno));
        }
        for errno in [
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::ACCESS,
            Errno::PERM,
        ] {
            assert_eq!(failure(errno), Failure::Io(errno));
        }
        assert_eq!(failure(Errno::TIMEDOUT), Failure::TimedOut);
        assert_eq!(failure(Errno::PIPE), Failure::Reset);
        assert_eq!(failure(Errno::CONNREFUSED), Failure::Refused);
    }
}
