//! Result and error codes: stable numbers on the wire.

use std::fmt;

use crate::event::Rejection;

/// What an acknowledgement or an error message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Done: effective in the data path.
    Ok,
    /// The DNS-B's configuration has no DNS-LB of this name.
    UnknownNode,
    /// The DNS-B's configuration has another address for this DNS-LB.
    OtherAddress,
    /// The DNS-B's table of resolvers is full.
    TableFull,
    /// The DNS-B could not write its tables.
    TablesNotWritten,
    /// A message that does not follow the specification.
    Malformed,
    /// No version that both sides speak.
    UnsupportedVersion,
    /// A message in the wrong place: something before hello, or hello twice.
    Unexpected,
    /// A message, or the rest of one, did not come in time.
    Timeout,
    /// More messages a second than allowed.
    TooManyMessages,
    /// More connections than allowed.
    TooManyConnections,
    /// The node said hello on a newer connection.
    Replaced,
    /// The speaker is stopping.
    Stopping,
    /// Trouble inside the speaker.
    Internal,
    /// A number that this version has no name for; a refusal.
    Other(u8),
}

impl Code {
    /// All that have names.
    pub const NAMED: [Self; 14] = [
        Self::Ok,
        Self::UnknownNode,
        Self::OtherAddress,
        Self::TableFull,
        Self::TablesNotWritten,
        Self::Malformed,
        Self::UnsupportedVersion,
        Self::Unexpected,
        Self::Timeout,
        Self::TooManyMessages,
        Self::TooManyConnections,
        Self::Replaced,
        Self::Stopping,
        Self::Internal,
    ];

    /// Its number on the wire. Refusals of an announcement start at 1, reasons for a cut at 16.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::UnknownNode => 1,
            Self::OtherAddress => 2,
            Self::TableFull => 3,
            Self::TablesNotWritten => 4,
            Self::Malformed => 16,
            Self::UnsupportedVersion => 17,
            Self::Unexpected => 18,
            Self::Timeout => 19,
            Self::TooManyMessages => 20,
            Self::TooManyConnections => 21,
            Self::Replaced => 22,
            Self::Stopping => 23,
            Self::Internal => 24,
            Self::Other(number) => number,
        }
    }

    /// The code of a number.
    pub fn of_number(number: u8) -> Self {
        Self::NAMED
            .into_iter()
            .find(|code| code.number() == number)
            .unwrap_or(Self::Other(number))
    }
}

impl From<&Rejection> for Code {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::UnknownNode(_) => Self::UnknownNode,
            Rejection::OtherAddress { .. } => Self::OtherAddress,
            Rejection::Full(_) => Self::TableFull,
            Rejection::Tables(_) => Self::TablesNotWritten,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ok => "ok",
            Self::UnknownNode => "unknown-node",
            Self::OtherAddress => "other-address",
            Self::TableFull => "table-full",
            Self::TablesNotWritten => "tables-not-written",
            Self::Malformed => "malformed",
            Self::UnsupportedVersion => "unsupported-version",
            Self::Unexpected => "unexpected",
            Self::Timeout => "timeout",
            Self::TooManyMessages => "too-many-messages",
            Self::TooManyConnections => "too-many-connections",
            Self::Replaced => "replaced",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
            Self::Other(number) => return write!(formatter, "code {number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_code() {
        for number in 0..=u8::MAX {
            assert_eq!(Code::of_number(number).number(), number);
        }
        for code in Code::NAMED {
            assert_eq!(Code::of_number(code.number()), code);
        }
    }
}
