//! ICMP echo over raw sockets that the daemon opened: this process could not.
//!
//! One task a family reads replies and gives each to the probe that waits for its token. Echo: RFC 792
//! (IPv4), RFC 4443 §4.1 (IPv6); the checksum of IPv6 is the kernel's.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use dglb_common::checksum;
use rustix::net::{RecvFlags, recvfrom};
use socket2::Socket;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
    time::Instant,
};

use super::of_socket;
use crate::probe::failure::Failure;

const ECHO_REPLY_V4: u8 = 0;
const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// Type, code, checksum, identifier, sequence number; then the token.
const HEADER: usize = 8;
const TOKEN: usize = 16;
/// More than any reply to us has, with an IPv4 header.
const MAX_PACKET: usize = 256;

/// Sends echo requests.
#[derive(Debug, Default)]
pub struct Pinger {
    v4: Option<Arc<Family>>,
    v6: Option<Arc<Family>>,
}

/// Who waits for which token, from which address.
type Waiting = HashMap<[u8; TOKEN], (IpAddr, oneshot::Sender<Instant>)>;

/// The socket of one address family, and who waits for what.
#[derive(Debug)]
struct Family {
    socket: AsyncFd<Socket>,
    is_v4: bool,
    sequence: AtomicU16,
    waiting: Mutex<Waiting>,
}

impl Pinger {
    /// Over these raw sockets; within a runtime, in which the readers run from now on.
    ///
    /// # Errors
    /// The runtime can't watch them.
    pub fn new(v4: Option<OwnedFd>, v6: Option<OwnedFd>) -> io::Result<Self> {
        let family = |socket: Option<OwnedFd>, is_v4| -> io::Result<Option<Arc<Family>>> {
            let Some(socket) = socket else {
                return Ok(None);
            };
            let socket = Socket::from(socket);
            socket.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            // SAFETY: the socket owns its descriptor, always the same, for as long as it lives.
            let socket = unsafe { AsyncFd::register_with_interest(socket, interest) }?;
            let family = Arc::new(Family {
                socket,
                is_v4,
                sequence: AtomicU16::new(0),
                waiting: Mutex::default(),
            });
            tokio::spawn(Arc::clone(&family).read());
            Ok(Some(family))
        };
        Ok(Self {
            v4: family(v4, true)?,
            v6: family(v6, false)?,
        })
    }

    /// The round trip of one echo; waits for ever if none comes.
    pub async fn ping(&self, address: IpAddr) -> Result<Duration, Failure> {
        let family = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let family = family.as_ref().ok_or_else(|| {
            Failure::Local("no socket for ICMP: the daemon needs root or CAP_NET_RAW".into())
        })?;
        family.ping(address).await
    }
}

impl Family {
    async fn ping(self: &Arc<Self>, address: IpAddr) -> Result<Duration, Failure> {
        let mut token = [0; TOKEN];
        getrandom::fill(&mut token).map_err(|error| Failure::Local(error.to_string()))?;
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(token, (address, sender));
        let _forget = Forget(self, token);
        let packet = self.request(&token);
        let start = Instant::now();
        let to = SocketAddr::new(address, 0).into();
        self.socket
            .async_io(Interest::WRITABLE, |socket| socket.send_to(&packet, &to))
            .await
            .map_err(|error| of_socket(&error).unwrap_or_else(|| Failure::Io(error.to_string())))?;
        let at = reply
            .await
            .map_err(|_| Failure::Local("ICMP replies can't be read".into()))?;
        Ok(at - start)
    }

    fn request(&self, token: &[u8; TOKEN]) -> [u8; HEADER + TOKEN] {
        let mut packet = [0; HEADER + TOKEN];
        packet[0] = if self.is_v4 { ECHO_V4 } else { ECHO_V6 };
        packet[4..6].copy_from_slice(&token[..2]);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        packet[HEADER..].copy_from_slice(token);
        if self.is_v4 {
            let sum = !checksum::of(&packet);
            packet[2..4].copy_from_slice(&sum.to_ne_bytes());
        }
        packet
    }

    async fn read(self: Arc<Self>) {
        let mut buffer = [0_u8; MAX_PACKET];
        loop {
            let received = self
                .socket
                .async_io(Interest::READABLE, |socket| {
                    let (len, _, from) = recvfrom(socket, &mut buffer[..], RecvFlags::empty())?;
                    Ok((len, from.and_then(|from| SocketAddr::try_from(from).ok())))
                })
                .await;
            match received {
                Ok((len, Some(from))) => self.take(&buffer[..len.min(MAX_PACKET)], from.ip()),
                Ok((_, None)) => {}
                // An error that the network reported for an earlier request.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    fn take(&self, packet: &[u8], from: IpAddr) {
        // IPv4's raw sockets give the header too (raw(7)), IPv6's do not.
        let skipped = match (self.is_v4, packet.first()) {
            (true, Some(first)) => usize::from(first & 0x0f) * 4,
            (true, None) => return,
            (false, _) => 0,
        };
        let Some(message) = packet.get(skipped..) else {
            return;
        };
        let wanted = if self.is_v4 {
            ECHO_REPLY_V4
        } else {
            ECHO_REPLY_V6
        };
        let (Some(&kind), Some(token)) = (message.first(), message.get(HEADER..HEADER + TOKEN))
        else {
            return;
        };
        let Ok(token) = <[u8; TOKEN]>::try_from(token) else {
            return;
        };
        if kind != wanted {
            return;
        }
        let mut waiting = self.waiting();
        // Only the address that was asked can answer.
        if waiting.get(&token).is_some_and(|(asked, _)| *asked == from)
            && let Some((_, sender)) = waiting.remove(&token)
        {
            // It may have timed out this moment.
            let _ = sender.send(Instant::now());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever gives up waits no more.
struct Forget<'f>(&'f Family, [u8; TOKEN]);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}
