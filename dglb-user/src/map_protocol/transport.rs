//! The seam that the byte transport stands behind: TCP today, TLS over TCP later.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// What sessions of both sides run over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for T {}

/// Octets that the kernel may hold for one connection in one direction: a peer that does not read costs
/// no more.
const SOCKET_BUFFER: usize = 64 * 1024;

/// Sets a connection up so that a dead path is noticed within about `silence`.
pub(super) fn prepare(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    // Below one second keepalive rounds to zero, which the kernel refuses.
    let silence = silence.clamp(Duration::from_secs(3), Duration::from_secs(3600));
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // Unsent and unacknowledged data: retransmissions and probes of a closed window end then.
    socket.set_tcp_user_timeout(Some(silence))?;
    let keepalive = TcpKeepalive::new()
        .with_time(silence / 3)
        .with_interval(silence / 3)
        .with_retries(2);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)
}
