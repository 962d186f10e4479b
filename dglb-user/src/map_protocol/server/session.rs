//! One connection of a DNS-LB, from hello to its end.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tracing::info;

use super::Server;
use crate::{
    event::{Event, Rejection},
    map_protocol::{
        Code, HELLO_TIMEOUT, LONGEST_WAIT, NodeName, PUBLISH_TIMEOUT, Transport,
        budget::Budget,
        frames::{Link, ReadError, WriteError, next_sequence},
        message::{Claim, Frame, Message, Reason},
        wire::{MessageType, WireError},
    },
};

/// Silence for so many leases ends the session.
const IDLE_LEASES: u32 = 3;

/// Runs a session; writes to the log how it ended.
pub(super) async fn run<S: Transport>(server: &Server, stream: S, peer: SocketAddr) {
    let mut session = Session {
        server,
        link: Link::new(stream),
        peer,
        node: None,
        epoch: 0,
        last_sequence: None,
        budget: Budget::new(
            server.limits.messages_per_second,
            server.limits.message_burst,
        ),
    };
    let Err(cut) = session.converse().await;
    session.log_end(&cut);
    let last_words = cut.code().map(|code| (code, cut.to_string()));
    session.link.close(session.epoch, last_words).await;
}

struct Session<'a, S> {
    server: &'a Server,
    link: Link<S>,
    peer: SocketAddr,
    /// Known from hello on.
    node: Option<NodeName>,
    epoch: u32,
    last_sequence: Option<u32>,
    budget: Budget,
}

impl<S: Transport> Session<'_, S> {
    async fn converse(&mut self) -> Result<Infallible, Cut> {
        let stop = self.server.stop.clone();
        let node = stop
            .run_until_cancelled(self.await_hello())
            .await
            .ok_or(Cut::Stopping)??;
        self.node = Some(node.clone());
        let registration = self.server.registry.register(&node).await;
        // When one of these comes first, the session is dropped wherever it waits; a message half
        // written is known to the link.
        tokio::select! {
            () = stop.cancelled() => Err(Cut::Stopping),
            () = registration.replaced().cancelled() => Err(Cut::Replaced),
            end = self.serve_node(&node) => end,
        }
    }

    async fn await_hello(&mut self) -> Result<NodeName, Cut> {
        let hello = timeout(HELLO_TIMEOUT, self.receive(HELLO_TIMEOUT)).await;
        let frame = match hello {
            Err(_) | Ok(Err(Cut::Read(ReadError::Silent))) => return Err(Cut::NoHello),
            Ok(frame) => frame?,
        };
        match frame.message {
            Message::Hello(node) => Ok(node),
            other => Err(Cut::HelloExpected(other.message_type())),
        }
    }

    async fn serve_node(&mut self, node: &NodeName) -> Result<Infallible, Cut> {
        let server = self.server;
        self.event(Event::Renew {
            node: node.to_string(),
        })
        .await?;
        let hello_ack = Message::HelloAck {
            node: server.our_name.clone(),
            lease: server.lease,
        };
        self.link.writer.say(self.epoch, hello_ack).await?;
        if let Some(left_out) = server.session_log.admit() {
            info!(peer = %self.peer, %node, left_out, "map protocol: dns-lb connected");
        }
        let idle = server.lease.saturating_mul(IDLE_LEASES).min(LONGEST_WAIT);
        loop {
            let frame = self.receive(idle).await?;
            let outcome = match frame.message {
                Message::Announce(claim) => self.announce(node, &claim).await?,
                Message::Withdraw(claim) => self.withdraw(node, &claim).await?,
                Message::Renew(_) => {
                    self.event(Event::Renew {
                        node: node.to_string(),
                    })
                    .await?;
                    Ok(())
                }
                Message::Error { code, reason } => return Err(Cut::PeerError(code, reason)),
                Message::Hello(_) | Message::HelloAck { .. } | Message::Acknowledge { .. } => {
                    return Err(Cut::Unexpected(frame.message.message_type()));
                }
            };
            self.acknowledge(frame.sequence, outcome).await?;
        }
    }

    /// The next message, its number and epoch checked, counted against the budget.
    async fn receive(&mut self, silence: Duration) -> Result<Frame, Cut> {
        let frame = self.link.reader.next(Instant::now() + silence).await?;
        if !self.budget.take() {
            return Err(Cut::Flood(self.server.limits.messages_per_second));
        }
        match self.last_sequence.map(next_sequence) {
            None => self.epoch = frame.epoch,
            Some(expected) if expected != frame.sequence => {
                return Err(Cut::Sequence {
                    expected,
                    got: frame.sequence,
                });
            }
            Some(_) if frame.epoch != self.epoch => {
                return Err(Cut::Epoch {
                    expected: self.epoch,
                    got: frame.epoch,
                });
            }
            Some(_) => (),
        }
        self.last_sequence = Some(frame.sequence);
        Ok(frame)
    }

    async fn announce(&self, node: &NodeName, claim: &Claim) -> Result<Outcome, Cut> {
        let (done, outcome) = oneshot::channel();
        let event = Event::Announce {
            node: node.to_string(),
            dns_lb: claim.dns_lb(),
            resolvers: claim.resolvers().to_vec(),
            done,
        };
        self.publish(event, outcome).await
    }

    async fn withdraw(&self, node: &NodeName, claim: &Claim) -> Result<Outcome, Cut> {
        let (done, outcome) = oneshot::channel();
        let resolvers = claim.resolvers().to_vec();
        let event = Event::Withdraw {
            node: node.to_string(),
            resolvers,
            done,
        };
        self.publish(event, outcome).await
    }

    /// Hands an event over and waits until it is effective or refused.
    async fn publish(
        &self,
        event: Event,
        outcome: oneshot::Receiver<Outcome>,
    ) -> Result<Outcome, Cut> {
        self.event(event).await?;
        match timeout(PUBLISH_TIMEOUT, outcome).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(Cut::PublisherGone),
            Err(_) => Err(Cut::PublisherSlow),
        }
    }

    async fn event(&self, event: Event) -> Result<(), Cut> {
        match timeout(PUBLISH_TIMEOUT, self.server.events.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Cut::PublisherGone),
            Err(_) => Err(Cut::PublisherSlow),
        }
    }

    async fn acknowledge(&mut self, sequence: u32, outcome: Outcome) -> Result<(), Cut> {
        let (code, reason) = match outcome {
            Ok(()) => (Code::Ok, Reason::default()),
            Err(rejection) => {
                let node = self.node.as_ref().map_or("", NodeName::as_str);
                self.server.warn(
                    self.peer,
                    &format!("dns-lb {node:?} is refused: {rejection}"),
                );
                (Code::from(&rejection), Reason::new(&rejection.to_string()))
            }
        };
        let answer = Message::Acknowledge {
            sequence,
            code,
            reason,
        };
        self.link.writer.say(self.epoch, answer).await?;
        Ok(())
    }

    fn log_end(&self, cut: &Cut) {
        let node = self
            .node
            .as_ref()
            .map_or("(no hello yet)", NodeName::as_str);
        if cut.is_trouble() {
            self.server.warn(
                self.peer,
                &format!("connection of dns-lb {node} cut: {cut}"),
            );
        } else if let Some(left_out) = self.server.session_log.admit() {
            info!(peer = %self.peer, node, left_out, "map protocol: dns-lb gone: {cut}");
        }
    }
}

type Outcome = Result<(), Rejection>;

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("no hello came within {HELLO_TIMEOUT:?}")]
    NoHello,
    #[error("the first message is {0}; it must be hello")]
    HelloExpected(MessageType),
    #[error("{0} is no message that a dns-lb sends in a session")]
    Unexpected(MessageType),
    #[error("the message has number {got}, {expected} was to follow")]
    Sequence { expected: u32, got: u32 },
    #[error("the message has epoch {got}, hello had {expected}")]
    Epoch { expected: u32, got: u32 },
    #[error("more than {0} messages a second")]
    Flood(u32),
    #[error("a newer connection said hello with the same node name; one node, one name")]
    Replaced,
    #[error("this dns-b is stopping")]
    Stopping,
    #[error("the publisher of this dns-b did not answer within {PUBLISH_TIMEOUT:?}")]
    PublisherSlow,
    #[error("the publisher of this dns-b has stopped")]
    PublisherGone,
    #[error("the dns-lb reported {0}: {text:?}", text = .1.as_str())]
    PeerError(Code, Reason),
}

impl Cut {
    /// What the peer is told, if anything.
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Read(ReadError::Wire(WireError::Version(_) | WireError::OfferedVersion(_))) => {
                Code::UnsupportedVersion
            }
            Self::Read(ReadError::Wire(_)) | Self::Sequence { .. } | Self::Epoch { .. } => {
                Code::Malformed
            }
            Self::Read(ReadError::Silent | ReadError::Unfinished) | Self::NoHello => Code::Timeout,
            Self::HelloExpected(_) | Self::Unexpected(_) => Code::Unexpected,
            Self::Flood(_) => Code::TooManyMessages,
            Self::Replaced => Code::Replaced,
            Self::Stopping => Code::Stopping,
            Self::PublisherSlow | Self::PublisherGone => Code::Internal,
            Self::Read(ReadError::Closed | ReadError::ClosedWithin | ReadError::Io(_))
            | Self::Write(_)
            | Self::PeerError(..) => return None,
        })
    }

    /// Whether somebody should look at it.
    fn is_trouble(&self) -> bool {
        !matches!(self, Self::Read(ReadError::Closed) | Self::Stopping)
    }
}
