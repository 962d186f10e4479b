//! One TCP connection: messages with their length before them (RFC 1035 §4.2.2), answered in turn.
//!
//! A client may send many queries without waiting (RFC 7766 §6.2.1.1): one is read, answered and
//! written before the next is read, so a client that does not take its responses is not read from.

use std::net::IpAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    time,
};

use super::{Service, tcp::Limits};
use crate::answer::Transport;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed it, or it broke.
    Closed,
    /// No whole query came in time.
    Idle,
    /// A response was not taken in time.
    NotTaken,
    /// It brought something that is no query.
    NoQuery,
    /// It brought as many queries as one may.
    Used,
}

/// Answers the queries of a connection until it ends.
pub(super) async fn run(
    service: &Service,
    limits: &Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    source: IpAddr,
) -> Ended {
    let mut stream = BufReader::new(stream);
    let mut query = Vec::new();
    for _ in 0..limits.queries {
        match time::timeout(limits.idle, read(&mut stream, &mut query)).await {
            Err(_) => return Ended::Idle,
            Ok(Err(_)) => return Ended::Closed,
            Ok(Ok(())) => {}
        }
        // What gets no response by UDP ends a connection: whoever sent it does not speak DNS.
        let Some(response) = service.respond(&query, source, Transport::Tcp) else {
            return Ended::NoQuery;
        };
        match time::timeout(limits.write, write(&mut stream, &response)).await {
            Err(_) => return Ended::NotTaken,
            Ok(Err(_)) => return Ended::Closed,
            Ok(Ok(())) => {}
        }
    }
    Ended::Used
}

/// Reads length and message.
async fn read(stream: &mut (impl AsyncRead + Unpin), query: &mut Vec<u8>) -> std::io::Result<()> {
    let len = usize::from(stream.read_u16().await?);
    query.clear();
    // As much is kept as has come, not as much as was promised.
    let read = stream.take(len as u64).read_to_end(query).await?;
    if read < len {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Writes length and message together (RFC 7766 §8).
async fn write(stream: &mut (impl AsyncWrite + Unpin), response: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(response.len()).expect("TCP responses have at most 65,535 octets");
    let mut framed = Vec::with_capacity(2 + response.len());
    framed.extend_from_slice(&len.to_be_bytes());
    framed.extend_from_slice(response);
    stream.write_all(&framed).await?;
    stream.flush().await
}
