//! The header: 48 octets, network byte order.
//!
//! ```text
//!  0  magic 0xD61B (2)  version (1)  type (1)  flags (2)  body length (2)
//!  8  sequence (4)      epoch (4)
//! 16  DNS-LB address (16, IPv4-mapped IPv6)
//! 32  resolver address (16, IPv6 or IPv4-mapped IPv6)
//! ```
//! A header is checked as a whole before an octet of the body is read or room for it is made.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::NodeName;

/// Octets of a header.
pub const HEADER_LEN: usize = 48;
/// The first two octets.
pub const MAGIC: u16 = 0xD61B;
/// The version spoken here; also the header version of every hello, hello-ack and error.
pub const VERSION: u8 = 1;
/// Octets of an address.
pub const ADDRESS_LEN: usize = 16;
/// Resolvers in one announce or withdraw: one in the header, the others in the body.
pub const MAX_RESOLVERS: usize = 1024;
/// Octets of a reason.
pub const MAX_REASON_LEN: usize = 512;
/// The largest message that this version has.
pub const MAX_MESSAGE_LEN: usize = HEADER_LEN + (MAX_RESOLVERS - 1) * ADDRESS_LEN;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// Opens a session.
    Hello,
    /// Answers a hello.
    HelloAck,
    /// Resolvers are the DNS-LB's own.
    Announce,
    /// Resolvers are so no longer.
    Withdraw,
    /// The DNS-LB is alive.
    Renew,
    /// Answers announce, withdraw and renew.
    Acknowledge,
    /// The speaker closes the connection, and why.
    Error,
}

/// Whether a type has addresses in its header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PairRule {
    Required,
    Optional,
    Absent,
}

impl MessageType {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hello,
        Self::HelloAck,
        Self::Announce,
        Self::Withdraw,
        Self::Renew,
        Self::Acknowledge,
        Self::Error,
    ];

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::HelloAck => 2,
            Self::Announce => 3,
            Self::Withdraw => 4,
            Self::Renew => 5,
            Self::Acknowledge => 6,
            Self::Error => 7,
        }
    }

    /// Fewest and most octets of its body.
    pub const fn body_bounds(self) -> (usize, usize) {
        match self {
            Self::Hello => (3, 2 + NodeName::MAX_LEN),
            Self::HelloAck => (7, 6 + NodeName::MAX_LEN),
            Self::Announce | Self::Withdraw => (0, (MAX_RESOLVERS - 1) * ADDRESS_LEN),
            Self::Renew => (0, 0),
            Self::Acknowledge => (5, 5 + MAX_REASON_LEN),
            Self::Error => (1, 1 + MAX_REASON_LEN),
        }
    }

    fn of_number(number: u8) -> Result<Self, WireError> {
        Self::ALL
            .into_iter()
            .find(|message_type| message_type.number() == number)
            .ok_or(WireError::Type(number))
    }

    const fn pair_rule(self) -> PairRule {
        match self {
            Self::Announce | Self::Withdraw => PairRule::Required,
            Self::Renew => PairRule::Optional,
            Self::Hello | Self::HelloAck | Self::Acknowledge | Self::Error => PairRule::Absent,
        }
    }

    fn check_body_len(self, len: usize) -> Result<(), WireError> {
        let (least, most) = self.body_bounds();
        if len < least || len > most {
            return Err(WireError::BodyLength {
                message_type: self,
                len,
                least,
                most,
            });
        }
        let of_addresses = matches!(self, Self::Announce | Self::Withdraw);
        if of_addresses && !len.is_multiple_of(ADDRESS_LEN) {
            return Err(WireError::BodyNotAddresses {
                message_type: self,
                len,
            });
        }
        Ok(())
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hello => "hello",
            Self::HelloAck => "hello-ack",
            Self::Announce => "announce",
            Self::Withdraw => "withdraw",
            Self::Renew => "renew",
            Self::Acknowledge => "acknowledge",
            Self::Error => "error",
        })
    }
}

/// A DNS-LB's address and a resolver's, as they stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The DNS-LB.
    pub dns_lb: Ipv4Addr,
    /// The resolver.
    pub resolver: IpAddr,
}

/// A checked header. Flags are sent as zero and not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the message is.
    pub message_type: MessageType,
    /// Octets that follow.
    pub body_len: u16,
    /// Number of the message, never 0.
    pub sequence: u32,
    /// Incarnation of the DNS-LB's numbering.
    pub epoch: u32,
    /// The addresses, for the types that have them.
    pub pair: Option<Pair>,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// The first thing in it that is not as specified.
    pub fn parse(octets: &[u8; HEADER_LEN]) -> Result<Self, WireError> {
        let mut fields = Fields(octets);
        let magic = u16::from_be_bytes(fields.take()?);
        if magic != MAGIC {
            return Err(WireError::Magic(magic));
        }
        let [version, message_type] = fields.take()?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let message_type = MessageType::of_number(message_type)?;
        let _flags: [u8; 2] = fields.take()?;
        let body_len = u16::from_be_bytes(fields.take()?);
        message_type.check_body_len(usize::from(body_len))?;
        let sequence = u32::from_be_bytes(fields.take()?);
        if sequence == 0 {
            return Err(WireError::SequenceZero);
        }
        let epoch = u32::from_be_bytes(fields.take()?);
        let pair = parse_pair(message_type, fields.take()?, fields.take()?)?;
        Ok(Self {
            message_type,
            body_len,
            sequence,
            epoch,
            pair,
        })
    }

    /// The octets of a header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        octets[..2].copy_from_slice(&MAGIC.to_be_bytes());
        octets[2] = VERSION;
        octets[3] = self.message_type.number();
        octets[6..8].copy_from_slice(&self.body_len.to_be_bytes());
        octets[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        octets[12..16].copy_from_slice(&self.epoch.to_be_bytes());
        if let Some(pair) = self.pair {
            octets[16..32].copy_from_slice(&encode_address(pair.dns_lb.into()));
            octets[32..].copy_from_slice(&encode_address(pair.resolver));
        }
        octets
    }
}

fn parse_pair(
    message_type: MessageType,
    dns_lb: [u8; ADDRESS_LEN],
    resolver: [u8; ADDRESS_LEN],
) -> Result<Option<Pair>, WireError> {
    let zero = dns_lb == [0; ADDRESS_LEN] && resolver == [0; ADDRESS_LEN];
    match message_type.pair_rule() {
        PairRule::Absent if !zero => Err(WireError::PairUnexpected(message_type)),
        PairRule::Absent | PairRule::Optional if zero => Ok(None),
        PairRule::Absent | PairRule::Optional | PairRule::Required => Ok(Some(Pair {
            dns_lb: parse_ipv4(dns_lb)?,
            resolver: parse_address(resolver)?,
        })),
    }
}

/// Whether the map protocol may carry an address: unicast (RFC 6890: not 0.0.0.0/8, 224.0.0.0/4,
/// 240.0.0.0/4, ::, ff00::/8), and of IPv6 neither ::1 nor link-local nor an IPv4 address in disguise.
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => (1..224).contains(&address.octets()[0]),
        IpAddr::V6(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some())
        }
    }
}

/// Reads an address that must be there.
pub(super) fn parse_address(octets: [u8; ADDRESS_LEN]) -> Result<IpAddr, WireError> {
    let address = Ipv6Addr::from(octets).to_canonical();
    if is_unicast(address) {
        Ok(address)
    } else {
        Err(WireError::NotUnicast(address))
    }
}

/// Reads an IPv4 address that must be there.
fn parse_ipv4(octets: [u8; ADDRESS_LEN]) -> Result<Ipv4Addr, WireError> {
    match parse_address(octets)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => Err(WireError::NotIpv4(address)),
    }
}

/// The octets of an address.
pub(super) fn encode_address(address: IpAddr) -> [u8; ADDRESS_LEN] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Reads octets from the front; never past the end.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `N` octets.
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// The next `len` octets.
    pub(super) fn take_slice(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(WireError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(WireError::Trailing(self.0.len()))
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not this protocol.
    #[error("the magic number is 0x{0:04x}, not 0xd61b: this is not the map protocol")]
    Magic(u16),
    /// A header of another version.
    #[error(
        "the header has version {0}; only version 1 is spoken here: run releases that share a version"
    )]
    Version(u8),
    /// A hello that offers no version spoken here.
    #[error(
        "hello offers versions up to {0}; only version 1 is spoken here: run releases that share a version"
    )]
    OfferedVersion(u8),
    /// A hello-ack with a version that was not offered.
    #[error(
        "hello-ack chooses version {0}; only version 1 was offered: run releases that share a version"
    )]
    ChosenVersion(u8),
    /// No such type.
    #[error("message type {0} is not known in version 1")]
    Type(u8),
    /// More or less body than the type allows.
    #[error("{message_type} has a body of {len} octets; {least} to {most} are allowed")]
    BodyLength {
        /// Of the message.
        message_type: MessageType,
        /// Of the body.
        len: usize,
        /// Allowed.
        least: usize,
        /// Allowed.
        most: usize,
    },
    /// A body that ends within an address.
    #[error("{message_type} has a body of {len} octets; it must be a multiple of 16")]
    BodyNotAddresses {
        /// Of the message.
        message_type: MessageType,
        /// Of the body.
        len: usize,
    },
    /// A message without a number.
    #[error("the sequence number is 0; numbering starts at 1")]
    SequenceZero,
    /// A header with addresses where none belong.
    #[error("{0} must have zero addresses in its header")]
    PairUnexpected(MessageType),
    /// Not an IPv4 address.
    #[error(
        "the DNS-LB's address {0} is not an IPv4-mapped address; a DNS-LB announces its IPv4 address"
    )]
    NotIpv4(Ipv6Addr),
    /// No host's address.
    #[error("address {0} is not a unicast address")]
    NotUnicast(IpAddr),
    /// An announcement of nothing, or of too much at once.
    #[error("{0} resolvers in one message; 1 to 1024 are allowed")]
    ResolverCount(usize),
    /// A node name too short or too long.
    #[error("a node name of {0} octets; 1 to 253 are allowed")]
    NameLength(usize),
    /// A node name with a wrong character.
    #[error("octet 0x{0:02x} in a node name; only visible ASCII without upper case is allowed")]
    NameCharacter(u8),
    /// A lease of no time.
    #[error("hello-ack has a lease of 0 ms")]
    LeaseZero,
    /// A reason that is no text.
    #[error("the reason is not UTF-8")]
    ReasonNotUtf8,
    /// An error message that says "ok".
    #[error("an error message has code 0 (ok)")]
    ErrorOk,
    /// The message ends too early.
    #[error("the message ends within a field")]
    Short,
    /// The message goes on after its end.
    #[error("{0} octets after the end of the message")]
    Trailing(usize),
}
