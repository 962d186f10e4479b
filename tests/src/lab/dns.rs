//! Asking DNS from a host of the lab, as a stub resolver does.

use std::{
    io::ErrorKind,
    net::Ipv4Addr,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use dglb_user::label::Label;
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, RecordType},
};

use super::Host;

/// Until a query is sent again. Longer than a recursive resolver needs for a dead name server.
const RESEND: Duration = Duration::from_secs(3);
/// How often a query is sent.
const ATTEMPTS: u32 = 4;
const MAX_MESSAGE: usize = 4096;

/// Asks `server` from `host` and waits for the answer, whatever its response code.
///
/// # Errors
/// When no answer comes, or it cannot be read.
pub fn ask(host: &Host, server: Ipv4Addr, name: &str, record_type: RecordType) -> Result<Message> {
    ask_from(host, host.address(), server, name, record_type)
}

/// As [`ask`], from `source`, one of the addresses of `host`.
///
/// # Errors
/// As [`ask`].
pub fn ask_from(
    host: &Host,
    source: Ipv4Addr,
    server: Ipv4Addr,
    name: &str,
    record_type: RecordType,
) -> Result<Message> {
    let socket = host.udp_from(source, (server, 53).into())?;
    socket.set_read_timeout(Some(RESEND))?;
    let query = query(1, name, record_type)?;
    let mut buffer = [0; MAX_MESSAGE];
    for _ in 0..ATTEMPTS {
        socket.send(&query).ok();
        match socket.recv(&mut buffer) {
            Ok(length) => {
                return Message::from_vec(&buffer[..length])
                    .with_context(|| format!("{server} answers {name} {record_type} unreadably"));
            }
            // Also "connection refused", while a server starts.
            Err(error) => {
                if error.kind() == ErrorKind::ConnectionRefused {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
    bail!("{server} does not answer {name} {record_type}")
}

/// Asks the same question again and again, an answer waited for or not, until `judge` has seen
/// enough or `limit` is over. `judge` gets each answer and when it came.
///
/// # Errors
/// When the socket fails for another reason than that nobody answers.
pub fn ask_repeatedly(
    host: &Host,
    server: Ipv4Addr,
    question: (&str, RecordType),
    every: Duration,
    limit: Duration,
    mut judge: impl FnMut(Instant, &Message) -> ControlFlow<()>,
) -> Result<()> {
    let socket = host.udp((server, 53).into())?;
    let mut buffer = [0; MAX_MESSAGE];
    let mut next = Instant::now();
    let end = next + limit;
    let mut id = 0_u16;
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        if now >= next {
            id = id.wrapping_add(1);
            // A send may fail while routes come and go; the next one is soon.
            socket.send(&query(id, question.0, question.1)?).ok();
            next = now + every;
        }
        let wait = next.saturating_duration_since(Instant::now());
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let Ok(message) = Message::from_vec(&buffer[..length]) else {
                    bail!("{server} answers {} unreadably", question.0);
                };
                if judge(Instant::now(), &message).is_break() {
                    return Ok(());
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable => {
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                _ => return Err(error.into()),
            },
        }
    }
}

/// The addresses in an answer.
///
/// # Errors
/// When it holds none; names the response code.
pub fn addresses(message: &Message) -> Result<Vec<Ipv4Addr>> {
    let code = message.metadata.response_code;
    let addresses: Vec<_> = message
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(address.0),
            _ => None,
        })
        .collect();
    if code != ResponseCode::NoError || addresses.is_empty() {
        bail!(
            "no address in the answer: {code}, {} records",
            message.answers.len()
        );
    }
    Ok(addresses)
}

/// The label of a DNS-LB that an answer names: in the target of a CNAME or in an NS host name.
pub fn dns_lb_label(message: &Message) -> Option<String> {
    message
        .answers
        .iter()
        .find_map(|record| match &record.data {
            RData::CNAME(target) => reserved_label(&target.0),
            RData::NS(host) => reserved_label(&host.0),
            _ => None,
        })
}

fn reserved_label(name: &Name) -> Option<String> {
    name.iter()
        .find(|label| Label::is_reserved_form(label))
        .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase())
}

fn query(id: u16, name: &str, record_type: RecordType) -> Result<Vec<u8>> {
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.')))?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record_type));
    Ok(message.to_vec()?)
}
