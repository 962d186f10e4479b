//! Whole messages: checked types, and their octets.
//!
//! Whatever a [`Message`] can hold can be sent: bounds are checked where the values are made.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    Code, NodeName,
    wire::{
        Fields, HEADER_LEN, Header, MAX_REASON_LEN, MAX_RESOLVERS, MessageType, Pair, VERSION,
        WireError, encode_address, is_unicast, parse_address,
    },
};

/// A message with its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Number of the message, never 0.
    pub sequence: u32,
    /// Incarnation of the DNS-LB's numbering.
    pub epoch: u32,
    /// What it says.
    pub message: Message,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Opens a session.
    Hello(NodeName),
    /// Answers hello: version 1 is spoken.
    HelloAck {
        /// The DNS-B's node name.
        node: NodeName,
        /// How long the DNS-LB may stay silent; whole milliseconds.
        lease: Duration,
    },
    /// Resolvers are the DNS-LB's own.
    Announce(Claim),
    /// Resolvers are so no longer.
    Withdraw(Claim),
    /// The DNS-LB is alive; the pair, if any, is for people who read along.
    Renew(Option<Pair>),
    /// Answers announce, withdraw and renew.
    Acknowledge {
        /// Number of the message answered.
        sequence: u32,
        /// What came of it.
        code: Code,
        /// Why, for people.
        reason: Reason,
    },
    /// The speaker closes the connection.
    Error {
        /// Why; never [`Code::Ok`].
        code: Code,
        /// Why, for people.
        reason: Reason,
    },
}

/// A DNS-LB and 1 to [`MAX_RESOLVERS`] resolvers, all unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    dns_lb: Ipv4Addr,
    resolvers: Vec<IpAddr>,
}

impl Claim {
    /// Checks count and addresses.
    ///
    /// # Errors
    /// No resolver, too many, or an address that is not unicast.
    pub fn new(dns_lb: Ipv4Addr, resolvers: Vec<IpAddr>) -> Result<Self, WireError> {
        if resolvers.is_empty() || resolvers.len() > MAX_RESOLVERS {
            return Err(WireError::ResolverCount(resolvers.len()));
        }
        if let Some(address) = resolvers
            .iter()
            .chain([&IpAddr::V4(dns_lb)])
            .find(|ip| !is_unicast(**ip))
        {
            return Err(WireError::NotUnicast(*address));
        }
        Ok(Self { dns_lb, resolvers })
    }

    /// The DNS-LB's address.
    pub fn dns_lb(&self) -> Ipv4Addr {
        self.dns_lb
    }

    /// The resolvers.
    pub fn resolvers(&self) -> &[IpAddr] {
        &self.resolvers
    }

    fn parse(pair: Option<Pair>, body: &[u8]) -> Result<Self, WireError> {
        let pair = pair.ok_or(WireError::ResolverCount(0))?;
        let (more, rest) = body.as_chunks();
        Fields(rest).end()?;
        let mut resolvers = Vec::with_capacity(1 + more.len());
        resolvers.push(pair.resolver);
        for address in more {
            resolvers.push(parse_address(*address)?);
        }
        Self::new(pair.dns_lb, resolvers)
    }

    fn pair(&self) -> Option<Pair> {
        let resolver = *self.resolvers.first()?;
        Some(Pair {
            dns_lb: self.dns_lb,
            resolver,
        })
    }

    fn encode_body(&self) -> Vec<u8> {
        self.resolvers
            .iter()
            .skip(1)
            .flat_map(|address| encode_address(*address))
            .collect()
    }
}

/// Text for people, at most [`MAX_REASON_LEN`] octets of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Cuts a text that is too long.
    pub fn new(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MAX_REASON_LEN)].to_owned())
    }

    /// As it was sent: it may hold control characters, so print it with `{:?}`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(octets: &[u8]) -> Result<Self, WireError> {
        let text = std::str::from_utf8(octets).map_err(|_| WireError::ReasonNotUtf8)?;
        Ok(Self(text.to_owned()))
    }
}

impl Frame {
    /// Reads a whole message.
    ///
    /// # Errors
    /// The first thing in it that is not as specified.
    pub fn parse(octets: &[u8]) -> Result<Self, WireError> {
        let (header, body) = octets
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(WireError::Short)?;
        let header = Header::parse(header)?;
        let mut fields = Fields(body);
        let body = fields.take_slice(usize::from(header.body_len))?;
        fields.end()?;
        Self::parse_body(&header, body)
    }

    /// Reads a body whose header has been read.
    ///
    /// # Errors
    /// The first thing in it that is not as specified.
    pub fn parse_body(header: &Header, body: &[u8]) -> Result<Self, WireError> {
        let message = match header.message_type {
            MessageType::Hello => parse_hello(body)?,
            MessageType::HelloAck => parse_hello_ack(body)?,
            MessageType::Announce => Message::Announce(Claim::parse(header.pair, body)?),
            MessageType::Withdraw => Message::Withdraw(Claim::parse(header.pair, body)?),
            MessageType::Renew => Message::Renew(header.pair),
            MessageType::Acknowledge => parse_acknowledge(body)?,
            MessageType::Error => parse_error(body)?,
        };
        Ok(Self {
            sequence: header.sequence,
            epoch: header.epoch,
            message,
        })
    }

    /// The octets of the message.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.message.encode_body();
        let header = Header {
            message_type: self.message.message_type(),
            // Cannot be cut off: no message type has more than MAX_MESSAGE_LEN octets.
            body_len: body.len() as u16,
            sequence: self.sequence,
            epoch: self.epoch,
            pair: self.message.pair(),
        };
        let mut octets = header.encode().to_vec();
        octets.extend(body);
        octets
    }
}

impl Message {
    /// What it is.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Hello(_) => MessageType::Hello,
            Self::HelloAck { .. } => MessageType::HelloAck,
            Self::Announce(_) => MessageType::Announce,
            Self::Withdraw(_) => MessageType::Withdraw,
            Self::Renew(_) => MessageType::Renew,
            Self::Acknowledge { .. } => MessageType::Acknowledge,
            Self::Error { .. } => MessageType::Error,
        }
    }

    fn pair(&self) -> Option<Pair> {
        match self {
            Self::Announce(claim) | Self::Withdraw(claim) => claim.pair(),
            Self::Renew(pair) => *pair,
            Self::Hello(_)
            | Self::HelloAck { .. }
            | Self::Acknowledge { .. }
            | Self::Error { .. } => None,
        }
    }

    fn encode_body(&self) -> Vec<u8> {
        match self {
            Self::Hello(node) => {
                let mut body = vec![VERSION];
                push_name(&mut body, node);
                body
            }
            Self::HelloAck { node, lease } => {
                let mut body = vec![VERSION];
                push_name(&mut body, node);
                let lease_ms = u32::try_from(lease.as_millis()).unwrap_or(u32::MAX).max(1);
                body.extend(lease_ms.to_be_bytes());
                body
            }
            Self::Announce(claim) | Self::Withdraw(claim) => claim.encode_body(),
            Self::Renew(_) => Vec::new(),
            Self::Acknowledge {
                sequence,
                code,
                reason,
            } => {
                let mut body = sequence.to_be_bytes().to_vec();
                body.push(code.number());
                body.extend(reason.as_str().as_bytes());
                body
            }
            Self::Error { code, reason } => {
                let mut body = vec![code.number()];
                body.extend(reason.as_str().as_bytes());
                body
            }
        }
    }
}

fn push_name(body: &mut Vec<u8>, node: &NodeName) {
    body.push(node.as_str().len() as u8);
    body.extend(node.as_str().as_bytes());
}

fn take_name(fields: &mut Fields<'_>) -> Result<NodeName, WireError> {
    let [len] = fields.take()?;
    NodeName::of_wire(fields.take_slice(usize::from(len))?)
}

fn parse_hello(body: &[u8]) -> Result<Message, WireError> {
    let mut fields = Fields(body);
    let [highest_version] = fields.take()?;
    if highest_version < VERSION {
        return Err(WireError::OfferedVersion(highest_version));
    }
    let node = take_name(&mut fields)?;
    fields.end()?;
    Ok(Message::Hello(node))
}

fn parse_hello_ack(body: &[u8]) -> Result<Message, WireError> {
    let mut fields = Fields(body);
    let [chosen_version] = fields.take()?;
    if chosen_version != VERSION {
        return Err(WireError::ChosenVersion(chosen_version));
    }
    let node = take_name(&mut fields)?;
    let lease_ms = u32::from_be_bytes(fields.take()?);
    fields.end()?;
    if lease_ms == 0 {
        return Err(WireError::LeaseZero);
    }
    Ok(Message::HelloAck {
        node,
        lease: Duration::from_millis(lease_ms.into()),
    })
}

fn parse_acknowledge(body: &[u8]) -> Result<Message, WireError> {
    let mut fields = Fields(body);
    let sequence = u32::from_be_bytes(fields.take()?);
    let [code] = fields.take()?;
    let reason = Reason::parse(fields.take_rest())?;
    Ok(Message::Acknowledge {
        sequence,
        code: Code::of_number(code),
        reason,
    })
}

fn parse_error(body: &[u8]) -> Result<Message, WireError> {
    let mut fields = Fields(body);
    let [code] = fields.take()?;
    let code = Code::of_number(code);
    if code == Code::Ok {
        return Err(WireError::ErrorOk);
    }
    Ok(Message::Error {
        code,
        reason: Reason::parse(fields.take_rest())?,
    })
}

#[cfg(test)]
mod tests;
