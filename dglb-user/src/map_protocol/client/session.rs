//! One connection to a DNS-B, from hello to its loss.

use std::{collections::BTreeSet, convert::Infallible, io, net::IpAddr, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{CONNECT_TIMEOUT, Client, Status, ledger::Change};
use crate::map_protocol::{
    Code, HELLO_TIMEOUT, LONGEST_WAIT, NodeName, PUBLISH_TIMEOUT, Transport,
    frames::{Link, ReadError, WriteError, next_sequence},
    message::{Frame, Message, Reason},
    wire::{MessageType, WireError},
};

/// Between two announcements or withdrawals: half the rate that a DNS-B allows by default.
const CHANGE_INTERVAL: Duration = Duration::from_millis(10);
/// After a refusal: the operator has to mend something.
const REFUSED_RETRY: Duration = Duration::from_secs(30);
/// Renewals come no closer than this, whatever lease the DNS-B has.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(100);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("no connection within {CONNECT_TIMEOUT:?}; is the dns-b up, the path open?")]
    ConnectTimeout,
    #[error("connecting failed: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "hello was not answered within {HELLO_TIMEOUT:?}; is this a dns-b's map_listen address?"
    )]
    NoHelloAck,
    #[error("{0} is no message that a dns-b sends here")]
    Unexpected(MessageType),
    #[error("message number {got} came, {expected} was to follow")]
    Sequence { expected: u32, got: u32 },
    #[error("the message has epoch {got}, hello had {expected}")]
    Epoch { expected: u32, got: u32 },
    #[error("message {0} was acknowledged but not sent, or acknowledged before")]
    NotOutstanding(u32),
    #[error("message {0} was not acknowledged in time")]
    NoAnswer(u32),
    #[error("the dns-b cut the connection: {0}: {text:?}", text = .1.as_str())]
    Cut(Code, Reason),
    #[error("a message could not be made: {0}")]
    Message(WireError),
    #[error("this dns-lb is stopping")]
    Stopping,
}

impl Lost {
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self, Self::Cut(Code::Replaced, _))
    }

    /// What the DNS-B is told, if anything.
    fn code(&self) -> Option<Code> {
        Some(match self {
            Self::Read(ReadError::Wire(WireError::Version(_) | WireError::ChosenVersion(_))) => {
                Code::UnsupportedVersion
            }
            Self::Read(ReadError::Wire(_))
            | Self::Sequence { .. }
            | Self::Epoch { .. }
            | Self::NotOutstanding(_) => Code::Malformed,
            Self::Read(ReadError::Silent | ReadError::Unfinished)
            | Self::NoHelloAck
            | Self::NoAnswer(_) => Code::Timeout,
            Self::Unexpected(_) => Code::Unexpected,
            Self::Message(_) => Code::Internal,
            Self::Stopping => Code::Stopping,
            Self::Read(ReadError::Closed | ReadError::ClosedWithin | ReadError::Io(_))
            | Self::Write(_)
            | Self::Cut(..)
            | Self::ConnectTimeout
            | Self::Connect(_) => return None,
        })
    }
}

/// Runs a session over a connected transport.
pub(super) async fn run<S: Transport>(
    client: &mut Client,
    stream: S,
    stop: &CancellationToken,
) -> Lost {
    client.ledger.forget_confirmations();
    let mut link = Link::new(stream);
    link.writer.number_after(client.ledger.last_sequence);
    let Err(lost) = converse(client, &mut link, stop).await;
    client.ledger.last_sequence = link.writer.last_sequence();
    let last_words = lost.code().map(|code| (code, lost.to_string()));
    link.close(client.ledger.epoch, last_words).await;
    lost
}

async fn converse<S: Transport>(
    client: &mut Client,
    link: &mut Link<S>,
    stop: &CancellationToken,
) -> Result<Infallible, Lost> {
    let hello = say_hello(client, link);
    let (dns_b, lease, received) = stop
        .run_until_cancelled(hello)
        .await
        .ok_or(Lost::Stopping)??;
    client.log_connected(&dns_b, lease);
    let wanted = client.wanted();
    let renew = client.renew.min(lease / 3).max(SHORTEST_RENEWAL);
    let now = Instant::now();
    let mut session = Session {
        client,
        link,
        dns_b,
        received,
        wanted,
        renew,
        answer_limit: lease.clamp(HELLO_TIMEOUT, LONGEST_WAIT),
        change: None,
        renewal: None,
        next_change_at: now,
        next_renewal_at: now,
        list_changed: false,
    };
    session.show();
    session.run(stop).await
}

/// Hello and its answer: the DNS-B's name and lease, and the number of its message.
async fn say_hello<S: Transport>(
    client: &Client,
    link: &mut Link<S>,
) -> Result<(NodeName, Duration, u32), Lost> {
    let epoch = client.ledger.epoch;
    let hello = Message::Hello(client.identity.node.clone());
    link.writer.say(epoch, hello).await?;
    let silent_until = Instant::now() + HELLO_TIMEOUT;
    let frame = match timeout(HELLO_TIMEOUT, link.reader.next(silent_until)).await {
        Err(_) | Ok(Err(ReadError::Silent)) => return Err(Lost::NoHelloAck),
        Ok(frame) => frame?,
    };
    match frame.message {
        Message::HelloAck { .. } if frame.epoch != epoch => Err(Lost::Epoch {
            expected: epoch,
            got: frame.epoch,
        }),
        Message::HelloAck { node, lease } => Ok((node, lease, frame.sequence)),
        Message::Error { code, reason } => Err(Lost::Cut(code, reason)),
        other => Err(Lost::Unexpected(other.message_type())),
    }
}

/// A message that waits for its acknowledgement.
struct Outstanding<T> {
    sequence: u32,
    deadline: Instant,
    what: T,
}

struct Session<'a, S> {
    client: &'a mut Client,
    link: &'a mut Link<S>,
    dns_b: NodeName,
    /// Number of the DNS-B's last message.
    received: u32,
    wanted: BTreeSet<IpAddr>,
    renew: Duration,
    answer_limit: Duration,
    /// At most one change and one renewal wait for an answer: no queue.
    change: Option<Outstanding<Change>>,
    renewal: Option<Outstanding<()>>,
    next_change_at: Instant,
    next_renewal_at: Instant,
    /// The list changed after the last change was sent: a refusal of that one says nothing of the list.
    list_changed: bool,
}

impl<S: Transport> Session<'_, S> {
    async fn run(&mut self, stop: &CancellationToken) -> Result<Infallible, Lost> {
        let mut list_follows = true;
        loop {
            let next_change = match self.change {
                None => self.client.ledger.next_change(&self.wanted),
                Some(_) => None,
            };
            let overdue = self.first_deadline();
            let far = Instant::now() + LONGEST_WAIT;
            tokio::select! {
                () = stop.cancelled() => return Err(Lost::Stopping),
                frame = self.link.reader.next(far) => self.take(frame?)?,
                () = sleep_until(overdue.map_or(far, |(_, at)| at)), if overdue.is_some() => {
                    return Err(Lost::NoAnswer(overdue.map_or(0, |(sequence, _)| sequence)));
                }
                changed = self.client.resolvers.changed(), if list_follows => {
                    // Without a sender the list stays as it is.
                    list_follows = changed.is_ok();
                    self.take_list();
                }
                () = sleep_until(self.next_change_at), if next_change.is_some() => {
                    if let Some(change) = next_change {
                        self.send_change(change).await?;
                    }
                }
                () = sleep_until(self.next_renewal_at), if self.renewal.is_none() => {
                    self.send_renewal().await?;
                }
            }
        }
    }

    fn take_list(&mut self) {
        self.wanted = self.client.wanted();
        self.list_changed = true;
        self.next_change_at = self.next_change_at.min(Instant::now() + CHANGE_INTERVAL);
        self.show();
    }

    fn first_deadline(&self) -> Option<(u32, Instant)> {
        let change = self
            .change
            .as_ref()
            .map(|change| (change.sequence, change.deadline));
        let renewal = self
            .renewal
            .as_ref()
            .map(|renewal| (renewal.sequence, renewal.deadline));
        [change, renewal]
            .into_iter()
            .flatten()
            .min_by_key(|(_, at)| *at)
    }

    async fn send_change(&mut self, change: Change) -> Result<(), Lost> {
        let message = change
            .message(self.client.identity.address)
            .map_err(Lost::Message)?;
        self.client.ledger.sending(&change);
        self.list_changed = false;
        let sequence = self.say(message).await?;
        // The publisher there may take its time before the answer.
        let deadline = Instant::now() + self.answer_limit + PUBLISH_TIMEOUT;
        self.change = Some(Outstanding {
            sequence,
            deadline,
            what: change,
        });
        self.next_change_at = Instant::now() + CHANGE_INTERVAL;
        Ok(())
    }

    async fn send_renewal(&mut self) -> Result<(), Lost> {
        let sequence = self.say(Message::Renew(None)).await?;
        // Messages are answered in order: a renewal behind a change waits for that one's answer too.
        let behind = self.change.as_ref().map(|change| change.deadline);
        let deadline = (Instant::now() + self.answer_limit).max(behind.unwrap_or(Instant::now()));
        self.renewal = Some(Outstanding {
            sequence,
            deadline,
            what: (),
        });
        Ok(())
    }

    /// Each message renews.
    async fn say(&mut self, message: Message) -> Result<u32, Lost> {
        let sequence = self
            .link
            .writer
            .say(self.client.ledger.epoch, message)
            .await?;
        self.next_renewal_at = Instant::now() + self.renew;
        Ok(sequence)
    }

    fn take(&mut self, frame: Frame) -> Result<(), Lost> {
        if let Message::Error { code, reason } = frame.message {
            return Err(Lost::Cut(code, reason));
        }
        let expected = next_sequence(self.received);
        if frame.sequence != expected {
            return Err(Lost::Sequence {
                expected,
                got: frame.sequence,
            });
        }
        self.received = frame.sequence;
        let epoch = self.client.ledger.epoch;
        if frame.epoch != epoch {
            return Err(Lost::Epoch {
                expected: epoch,
                got: frame.epoch,
            });
        }
        match frame.message {
            Message::Acknowledge {
                sequence,
                code,
                reason,
            } => self.take_answer(sequence, code, &reason),
            other => Err(Lost::Unexpected(other.message_type())),
        }
    }

    fn take_answer(&mut self, sequence: u32, code: Code, reason: &Reason) -> Result<(), Lost> {
        if self
            .renewal
            .take_if(|renewal| renewal.sequence == sequence)
            .is_some()
        {
            return Ok(());
        }
        let change = self.change.take_if(|change| change.sequence == sequence);
        let change = change.ok_or(Lost::NotOutstanding(sequence))?.what;
        if code == Code::Ok {
            self.client.ledger.acknowledged(&change);
            self.show();
        } else {
            self.refused(&change, code, reason);
        }
        Ok(())
    }

    /// Tells who looks on, and the log once all is effective.
    fn show(&mut self) {
        let dns_b = self.dns_b.clone();
        let settled = self.client.ledger.next_change(&self.wanted).is_none();
        let status = if settled {
            Status::Effective {
                dns_b,
                resolvers: self.wanted.len(),
            }
        } else {
            Status::Connected { dns_b }
        };
        if settled {
            self.client.ledger.logged_refusal = None;
            let (dns_b, address) = (&self.dns_b, self.client.dns_b);
            let resolvers = self.wanted.len();
            info!(%address, %dns_b, resolvers, "map protocol: all resolvers acknowledged by dns-b");
        }
        self.client.status.send_replace(status);
    }

    fn refused(&mut self, change: &Change, code: Code, reason: &Reason) {
        if !self.list_changed {
            self.next_change_at = Instant::now() + REFUSED_RETRY;
        }
        let what = match change {
            Change::Announce(resolvers) => format!("announcement of {}", summary(resolvers)),
            Change::Withdraw(resolvers) => format!("withdrawal of {}", summary(resolvers)),
        };
        let refusal = format!("{what} refused ({code}): {:?}", reason.as_str());
        if self.client.ledger.logged_refusal.as_ref() != Some(&refusal) {
            let (dns_b, address) = (&self.dns_b, self.client.dns_b);
            warn!(%address, %dns_b, "map protocol: {refusal}; asking again every {REFUSED_RETRY:?}");
            self.client.ledger.logged_refusal = Some(refusal);
        }
        let reason = format!("{code}: {}", reason.as_str().escape_debug());
        self.client.status.send_replace(Status::Refused {
            dns_b: self.dns_b.clone(),
            reason,
        });
    }
}

/// The first and how many more.
fn summary(resolvers: &BTreeSet<IpAddr>) -> String {
    let first = resolvers
        .first()
        .map_or_else(String::new, IpAddr::to_string);
    match resolvers.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
