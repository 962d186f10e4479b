//! For the tests of both sides: a peer that says anything at all, and a publisher's answers.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    Code, NodeName, Transport,
    frames::{FrameReader, ReadError},
    message::{Claim, Frame, Message, Reason},
};
use crate::event::{Event, Rejection};

/// Generous: what is waited for comes long before, or never.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const LB_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(super) const EPOCH: u32 = 1_700_000_000;

/// One end of a connection, in the hands of a test.
pub(super) struct Peer<S> {
    reader: FrameReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
    pub(super) sequence: u32,
    pub(super) epoch: u32,
}

impl<S: Transport> Peer<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: FrameReader::new(reader),
            writer,
            sequence: 0,
            epoch: EPOCH,
        }
    }

    /// Sends a message with the next number.
    pub(super) async fn say(&mut self, message: Message) -> u32 {
        self.sequence += 1;
        let frame = Frame {
            sequence: self.sequence,
            epoch: self.epoch,
            message,
        };
        self.raw(&frame.encode()).await;
        self.sequence
    }

    /// Sends octets.
    pub(super) async fn raw(&mut self, octets: &[u8]) {
        self.writer.write_all(octets).await.unwrap();
    }

    /// Sends octets as long as the other side takes them.
    pub(super) async fn raw_if_taken(&mut self, octets: &[u8]) -> bool {
        self.writer.write_all(octets).await.is_ok()
    }

    pub(super) async fn hear_or(&mut self) -> Result<Frame, ReadError> {
        self.reader.next(Instant::now() + PATIENCE).await
    }

    pub(super) async fn hear(&mut self) -> Frame {
        self.hear_or().await.unwrap()
    }

    /// Hello, and its answer taken.
    pub(super) async fn open(&mut self, name: &str) {
        self.say(hello(name)).await;
        let frame = self.hear().await;
        assert!(
            matches!(frame.message, Message::HelloAck { .. }),
            "{frame:?}"
        );
    }

    pub(super) async fn expect_ok(&mut self, answered: u32) {
        assert_eq!(self.hear().await.message, ok(answered));
    }

    /// Answers before it are skipped; after it the connection must be closed.
    pub(super) async fn expect_cut(&mut self, code: Code) -> String {
        loop {
            match self.hear().await.message {
                Message::Error { code: said, reason } => {
                    assert_eq!(said, code, "{reason:?}");
                    assert!(!reason.as_str().is_empty());
                    self.expect_closed().await;
                    return reason.as_str().to_owned();
                }
                Message::Acknowledge { code: Code::Ok, .. } => (),
                other => panic!("{other:?} instead of an error"),
            }
        }
    }

    pub(super) async fn expect_closed(&mut self) {
        let end = self.hear_or().await;
        assert!(
            matches!(end, Err(ReadError::Closed | ReadError::Io(_))),
            "{end:?}"
        );
    }
}

pub(super) fn hello(name: &str) -> Message {
    Message::Hello(name.parse().unwrap())
}

pub(super) fn hello_ack(name: &str, lease: Duration) -> Message {
    Message::HelloAck {
        node: name.parse::<NodeName>().unwrap(),
        lease,
    }
}

pub(super) fn ok(sequence: u32) -> Message {
    Message::Acknowledge {
        sequence,
        code: Code::Ok,
        reason: Reason::default(),
    }
}

pub(super) fn refusal(sequence: u32, code: Code, reason: &str) -> Message {
    Message::Acknowledge {
        sequence,
        code,
        reason: Reason::new(reason),
    }
}

/// Resolvers 10.0.0.n.
pub(super) fn resolvers(last_octets: impl IntoIterator<Item = u8>) -> Vec<IpAddr> {
    last_octets
        .into_iter()
        .map(|octet| [10, 0, 0, octet].into())
        .collect()
}

pub(super) fn claim(last_octets: impl IntoIterator<Item = u8>) -> Claim {
    Claim::new(LB_ADDRESS, resolvers(last_octets)).unwrap()
}

pub(super) fn announce(last_octets: impl IntoIterator<Item = u8>) -> Message {
    Message::Announce(claim(last_octets))
}

pub(super) fn withdraw(last_octets: impl IntoIterator<Item = u8>) -> Message {
    Message::Withdraw(claim(last_octets))
}

/// The publisher's end of the channel.
pub(super) struct Publisher(pub(super) mpsc::Receiver<Event>);

impl Publisher {
    pub(super) async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.0.recv()).await.unwrap().unwrap()
    }

    /// The next event that is no renewal.
    pub(super) async fn next_change(&mut self) -> Event {
        loop {
            match self.next().await {
                Event::Renew { .. } => (),
                change => return change,
            }
        }
    }

    pub(super) async fn expect_renewal(&mut self, name: &str) {
        let event = self.next().await;
        assert!(
            matches!(&event, Event::Renew { node } if node == name),
            "{event:?}"
        );
    }

    /// Takes an announcement, answers it, and tells its resolvers.
    pub(super) async fn answer_announce(
        &mut self,
        name: &str,
        outcome: Result<(), Rejection>,
    ) -> Vec<IpAddr> {
        match self.next_change().await {
            Event::Announce {
                node,
                resolvers,
                done,
                ..
            } if node == name => {
                done.send(outcome).unwrap();
                resolvers
            }
            other => panic!("{other:?} instead of an announcement by {name}"),
        }
    }

    /// Takes a withdrawal, answers it, and tells its resolvers.
    pub(super) async fn answer_withdraw(&mut self, name: &str) -> Vec<IpAddr> {
        match self.next_change().await {
            Event::Withdraw {
                node,
                resolvers,
                done,
            } if node == name => {
                done.send(Ok(())).unwrap();
                resolvers
            }
            other => panic!("{other:?} instead of a withdrawal by {name}"),
        }
    }
}
