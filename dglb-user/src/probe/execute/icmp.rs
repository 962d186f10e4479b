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
    time::{Instant, sleep},
};

use super::of_socket;
use crate::probe::failure::Failure;

const ECHO_REPLY_V4: u8 = 0;
const ECHO_V4: u8 = 8;
const ECHO_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;
/// Type, code, checksum; then identifier, sequence number, and a token that nobody can guess.
const HEADER: usize = 4;
const TOKEN: usize = 16;
const ECHOED: usize = 2 + 2 + TOKEN;
/// After an error of the socket.
const PAUSE: Duration = Duration::from_millis(100);
/// More than any reply to us has, with an IPv4 header.
const MAX_PACKET: usize = 256;

/// Sends echo requests.
#[derive(Debug, Default)]
pub struct Pinger {
    v4: Option<Arc<Family>>,
    v6: Option<Arc<Family>>,
}

/// What a reply repeats: identifier, sequence number, token.
type Echoed = [u8; ECHOED];

/// Who waits for which reply, from which address.
type Waiting = HashMap<Echoed, (IpAddr, oneshot::Sender<Instant>)>;

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
        let echoed = self.next_echoed()?;
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(echoed, (address, sender));
        let _forget = Forget(self, echoed);
        let packet = self.request(&echoed);
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

    /// Identifier and token are random, the sequence number goes up.
    fn next_echoed(&self) -> Result<Echoed, Failure> {
        let mut echoed = [0; ECHOED];
        getrandom::fill(&mut echoed).map_err(|error| Failure::Local(error.to_string()))?;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        echoed[2..4].copy_from_slice(&sequence.to_be_bytes());
        Ok(echoed)
    }

    fn request(&self, echoed: &Echoed) -> [u8; HEADER + ECHOED] {
        let mut packet = [0; HEADER + ECHOED];
        packet[0] = if self.is_v4 { ECHO_V4 } else { ECHO_V6 };
        packet[HEADER..].copy_from_slice(echoed);
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
                // An error that the network reported for an earlier request, or one that may last.
                Err(_) => sleep(PAUSE).await,
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
        let Some(echoed) = echoed_of(message, self.is_v4) else {
            return;
        };
        let mut waiting = self.waiting();
        // Only the address that was asked can answer.
        if waiting
            .get(&echoed)
            .is_some_and(|(asked, _)| *asked == from)
            && let Some((_, sender)) = waiting.remove(&echoed)
        {
            // It may have timed out this moment.
            let _ = sender.send(Instant::now());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an echo reply repeats; `None`: it is none.
fn echoed_of(message: &[u8], is_v4: bool) -> Option<Echoed> {
    let reply = if is_v4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    let [kind, 0, _, _, rest @ ..] = message else {
        return None;
    };
    (*kind == reply).then_some(())?;
    rest.first_chunk().copied()
}

/// Whoever gives up waits no more.
struct Forget<'f>(&'f Family, Echoed);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.waiting().remove(&self.1);
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn only_a_whole_echo_reply_counts() {
        let mut reply = [7; HEADER + ECHOED];
        for (is_v4, kind) in [(true, ECHO_REPLY_V4), (false, ECHO_REPLY_V6)] {
            reply[..2].copy_from_slice(&[kind, 0]);
            assert_eq!(echoed_of(&reply, is_v4), Some([7; ECHOED]));
            assert_eq!(echoed_of(&reply, !is_v4), None, "of the other family");
            for cut in 0..reply.len() {
                assert_eq!(echoed_of(&reply[..cut], is_v4), None, "{cut} octets");
            }
            reply[1] = 1;
            assert_eq!(echoed_of(&reply, is_v4), None, "code");
        }
    }
}
