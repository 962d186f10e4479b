//! The daemon's end of the control socket: takes one request a connection and hands it to the handler.
//!
//! Who may connect is the file system's to say: root, and with `node.control_group` that group. The socket
//! takes no connection before it has owner and mode, so there is no moment at which others could. Of what
//! changes something it is logged who asked. Everything is bounded: connections, octets, patience; what is
//! not understood is answered in words, never left hanging.

use std::{
    fs, io,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixStream as BlockingStream,
    },
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::unistd::Group;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    MAX_REQUEST,
    protocol::{Reply, Request},
};
use crate::config::Node;

/// Connections that are served at once; others wait in the socket's queue.
const CONNECTIONS: usize = 16;
/// Connections that wait.
const QUEUE: i32 = 64;
/// How long a request may take to come, and a reply to be read.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the handler may take: a reload builds all tables anew.
const HANDLER_PATIENCE: Duration = Duration::from_secs(60);

/// Who asks (SO_PEERCRED, unix(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Process id, if the kernel says one.
    pub pid: Option<i32>,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The group of the configuration is none of this machine.
    #[error(
        "node.control_group: there is no group \"{0}\" on this machine: make it (`groupadd --system {0}`), or \
         name another"
    )]
    NoGroup(String),
    /// The kernel refuses.
    #[error("{path}: {source}", path = path.display())]
    Socket {
        /// Of the socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket that has its place and its rights, and takes no connection yet.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    place: Place,
}

/// Where a socket stands; it goes with this.
#[derive(Debug)]
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        // Nobody is there to be asked any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds the node's socket: mode 0600, or 0660 and the control group's.
///
/// The caller has bound the node's DNS sockets: so a socket that stands there was left by a run that is
/// over.
///
/// # Errors
/// [`BindError`].
pub fn bind(node: &Node) -> Result<Bound, BindError> {
    let path = super::path(node);
    let failed = |source| BindError::Socket {
        path: path.clone(),
        source,
    };
    let group = match &node.control_group {
        Some(name) => {
            let group = Group::from_name(name).map_err(|error| failed(error.into()))?;
            Some(group.ok_or_else(|| BindError::NoGroup(name.clone()))?)
        }
        None => None,
    };
    let bound = || -> io::Result<Socket> {
        fs::create_dir_all(&node.run_dir)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        let mode = match &group {
            Some(group) => {
                chown(&path, None, Some(group.gid.as_raw()))?;
                0o660
            }
            None => 0o600,
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(socket)
    };
    let socket = bound().map_err(failed)?;
    Ok(Bound {
        socket,
        place: Place(path),
    })
}

/// Removes the socket that a killed daemon left; that of a daemon that runs stays. Best effort: the
/// next start clears it too.
pub fn remove_left(node: &Node) {
    let path = super::path(node);
    let connected = BlockingStream::connect(&path);
    if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(path);
    }
}

impl Bound {
    /// Answers whoever connects by `handle`, until `stop`; then the socket is removed.
    ///
    /// # Errors
    /// The kernel does not let it take connections.
    pub async fn serve<H, F>(self, handle: H, stop: CancellationToken) -> io::Result<()>
    where
        H: Fn(Request, Peer) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let Self { socket, place } = self;
        socket.listen(QUEUE)?;
        let listener = UnixListener::from_std(socket.into())?;
        accept(&listener, Arc::new(handle), &stop).await;
        drop(place);
        Ok(())
    }
}

async fn accept<H, F>(listener: &UnixListener, handle: Arc<H>, stop: &CancellationToken)
where
    H: Fn(Request, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let handle = Arc::clone(&handle);
                connections.spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(stream, &*handle).await {
                        tracing::debug!(%error, "control socket");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
    // Whoever is being answered gets the answer, but a stop waits for nobody longer than a moment.
    let _ = timeout(PATIENCE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn converse<H, F>(mut stream: UnixStream, handle: &H) -> io::Result<()>
where
    H: Fn(Request, Peer) -> F,
    F: Future<Output = Reply>,
{
    let credentials = stream.peer_cred()?;
    let peer = Peer {
        uid: credentials.uid(),
        pid: credentials.pid(),
    };
    let reply = match timeout(PATIENCE, read(&mut stream)).await {
        Ok(request) => match request? {
            Ok(request) => answer(request, peer, handle).await,
            Err(words) => Reply::Error(words),
        },
        Err(_) => Reply::Error(format!(
            "no request came within {} s: it is one JSON object, ended by a line's end",
            PATIENCE.as_secs()
        )),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    timeout(PATIENCE, async {
        stream.write_all(&text).await?;
        stream.shutdown().await
    })
    .await?
}

/// The request; `Err`: what is wrong with it.
async fn read(stream: &mut UnixStream) -> io::Result<Result<Request, String>> {
    let mut line = Vec::new();
    let limited = stream.take(MAX_REQUEST as u64);
    BufReader::new(limited).read_until(b'\n', &mut line).await?;
    if line.len() == MAX_REQUEST && line.last() != Some(&b'\n') {
        return Ok(Err(format!("a request has at most {MAX_REQUEST} octets")));
    }
    let request = serde_json::from_slice::<Request>(&line);
    Ok(request
        .map_err(|error| {
            format!(
                "this daemon (dglb {}) does not understand the request: {error}; is the command of another \
                 version?",
                env!("CARGO_PKG_VERSION")
            )
        })
        .and_then(|request| request.checked()))
}

async fn answer<H, F>(request: Request, peer: Peer, handle: &H) -> Reply
where
    H: Fn(Request, Peer) -> F,
    F: Future<Output = Reply>,
{
    let asked = request.changes().then(|| request.clone());
    let reply = timeout(HANDLER_PATIENCE, handle(request, peer)).await;
    let reply = reply.unwrap_or_else(|_| {
        Reply::Error(format!(
            "the daemon did not answer within {} s; it may do so yet: look again",
            HANDLER_PATIENCE.as_secs()
        ))
    });
    if let Some(asked) = asked {
        let (uid, pid) = (peer.uid, peer.pid.unwrap_or_default());
        match &reply {
            Reply::Error(error) => tracing::warn!(uid, pid, %asked, error, "asked for, not done"),
            _ => tracing::info!(uid, pid, %asked, "asked for, done"),
        }
    }
    reply
}
