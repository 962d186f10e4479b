//! Messages in and out of a byte transport, each with a time limit.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Code, GOODBYE_TIMEOUT, MESSAGE_TIMEOUT, Transport, WRITE_TIMEOUT,
    message::{Frame, Message, Reason},
    wire::{HEADER_LEN, Header, WireError},
};

/// Octets that are read and forgotten after an error message, so that closing does not reset the
/// connection before the peer has read the reason.
const DRAIN_LIMIT: usize = 256 * 1024;

/// Both directions of a connection.
pub(super) struct Link<S> {
    /// From the peer.
    pub(super) reader: FrameReader<ReadHalf<S>>,
    /// To the peer.
    pub(super) writer: FrameWriter<WriteHalf<S>>,
}

impl<S: Transport> Link<S> {
    /// Splits a transport.
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: FrameReader::new(reader),
            writer: FrameWriter::new(writer),
        }
    }

    /// Says why, if there is something to say and the peer takes it, and closes the connection.
    pub(super) async fn close(mut self, epoch: u32, last_words: Option<(Code, String)>) {
        let Some((code, text)) = last_words else {
            return;
        };
        let reason = Reason::new(&text);
        let error = self.writer.say(epoch, Message::Error { code, reason });
        if !matches!(timeout(GOODBYE_TIMEOUT, error).await, Ok(Ok(_))) {
            return;
        }
        let closed_by_peer = async {
            self.writer.writer.shutdown().await?;
            self.reader.drain().await
        };
        // However it goes, the connection is dropped then.
        let _: Result<io::Result<()>, _> = timeout(GOODBYE_TIMEOUT, closed_by_peer).await;
    }
}

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The peer closed between two messages.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer closed within a message.
    #[error("the peer closed the connection within a message")]
    ClosedWithin,
    /// No message began.
    #[error("no message came in time")]
    Silent,
    /// A message began and did not end.
    #[error("a message began but did not end within {MESSAGE_TIMEOUT:?}")]
    Unfinished,
    /// A message that is not as specified.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The transport failed.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The peer does not read.
    #[error("the peer did not take a message within {WRITE_TIMEOUT:?}")]
    Slow,
    /// The transport failed.
    #[error("writing failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads one message after another; holds at most one.
pub(super) struct FrameReader<R> {
    reader: R,
    buffer: Vec<u8>,
    filled: usize,
    header: Option<Header>,
    began: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            filled: 0,
            header: None,
            began: None,
        }
    }

    /// The next message, which must begin before `silent_until`.
    ///
    /// May be cancelled and called again: what was read of a message, and since when, stays here.
    pub(super) async fn next(&mut self, silent_until: Instant) -> Result<Frame, ReadError> {
        loop {
            let needed = HEADER_LEN + self.header.map_or(0, |header| header.body_len.into());
            if self.filled == needed {
                match self.header {
                    Some(header) => return self.finish(header),
                    None => self.header = Some(self.parse_header()?),
                }
                continue;
            }
            self.buffer.resize(needed, 0);
            let deadline = self
                .began
                .map_or(silent_until, |began| began + MESSAGE_TIMEOUT);
            let read = self.reader.read(&mut self.buffer[self.filled..]);
            match (timeout_at(deadline, read).await, self.began) {
                (Ok(Ok(0)), None) => return Err(ReadError::Closed),
                (Ok(Ok(0)), Some(_)) => return Err(ReadError::ClosedWithin),
                (Ok(read), _) => self.filled += read?,
                (Err(_), None) => return Err(ReadError::Silent),
                (Err(_), Some(_)) => return Err(ReadError::Unfinished),
            }
            self.began.get_or_insert_with(Instant::now);
        }
    }

    fn parse_header(&self) -> Result<Header, WireError> {
        let header = self.buffer.first_chunk().ok_or(WireError::Short)?;
        Header::parse(header)
    }

    fn finish(&mut self, header: Header) -> Result<Frame, ReadError> {
        let frame = Frame::parse_body(&header, &self.buffer[HEADER_LEN..self.filled])?;
        self.filled = 0;
        self.header = None;
        self.began = None;
        Ok(frame)
    }

    async fn drain(&mut self) -> io::Result<()> {
        let mut scrap = [0; 4096];
        let mut drained = 0;
        while drained < DRAIN_LIMIT {
            match self.reader.read(&mut scrap).await? {
                0 => break,
                read => drained += read,
            }
        }
        Ok(())
    }
}

/// Numbers messages and writes them.
pub(super) struct FrameWriter<W> {
    writer: W,
    last_sequence: u32,
    /// A message was begun and not ended: nothing that follows could be understood.
    within_message: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    fn new(writer: W) -> Self {
        Self {
            writer,
            last_sequence: 0,
            within_message: false,
        }
    }

    /// Goes on from the number of a message sent earlier, on another connection.
    pub(super) fn number_after(&mut self, sequence: u32) {
        self.last_sequence = sequence;
    }

    /// Number of the last message; 0 if there was none.
    pub(super) fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// Sends a message and tells its number.
    pub(super) async fn say(&mut self, epoch: u32, message: Message) -> Result<u32, WriteError> {
        if self.within_message {
            return Err(WriteError::Slow);
        }
        self.last_sequence = next_sequence(self.last_sequence);
        let frame = Frame {
            sequence: self.last_sequence,
            epoch,
            message,
        };
        self.within_message = true;
        within(WRITE_TIMEOUT, self.writer.write_all(&frame.encode())).await?;
        within(WRITE_TIMEOUT, self.writer.flush()).await?;
        self.within_message = false;
        Ok(frame.sequence)
    }
}

/// The number after `sequence`; 0 is left out.
pub(super) fn next_sequence(sequence: u32) -> u32 {
    sequence.checked_add(1).unwrap_or(1)
}

async fn within(
    limit: Duration,
    write: impl Future<Output = io::Result<()>>,
) -> Result<(), WriteError> {
    match timeout(limit, write).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(WriteError::Slow),
    }
}
