//! What only the daemon knows, told to `dglb stats` over a Unix socket: connect, and one JSON object
//! comes.

use std::{
    collections::BTreeMap, fs, io, net::IpAddr, os::unix::fs::PermissionsExt as _, path::PathBuf,
    time::Duration,
};

use dglb_common::counters::{Counter, Counters, Kind};
use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{config::Node, label::Label, probe::Report};

/// How long a reader may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The daemon's part of `dglb stats`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Answers by the sockets, by row.
    pub user: BTreeMap<String, u64>,
    /// Sites as the probes see them.
    pub sites: Vec<SiteStatus>,
}

/// One site of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The balanced name.
    pub service: String,
    /// The site's name.
    pub site: String,
    /// Its address that is probed.
    pub address: Option<IpAddr>,
    /// `up`, `down`, `unknown`.
    pub state: String,
    /// Smoothed time of its probes.
    pub time_ms: Option<f64>,
    /// Its place in the ranking, from 1.
    pub rank: Option<usize>,
    /// Why its last probe failed, if it is down.
    pub reason: Option<String>,
}

impl Status {
    /// What is so now.
    pub fn new(report: &Report, counted: &Counters) -> Self {
        Self {
            user: Counter::ALL
                .iter()
                .filter(|counter| counter.kind() == Kind::Answered)
                .map(|counter| (counter.name().to_owned(), counter.of(counted)))
                .collect(),
            sites: sites(report),
        }
    }
}

fn sites(report: &Report) -> Vec<SiteStatus> {
    let mut sites = Vec::new();
    for service in &report.services {
        for (index, site) in service.sites.iter().enumerate() {
            let place = service.ranking.iter().position(|&ranked| ranked == index);
            let down = site.state == crate::probe::State::Down;
            sites.push(SiteStatus {
                service: service.name.clone(),
                site: site.name.clone(),
                address: site.address.map(IpAddr::V4),
                state: site.state.to_string(),
                time_ms: site.smoothed_ms,
                rank: place.map(|place| place + 1),
                reason: site
                    .last_failure
                    .filter(|_| down)
                    .map(|failure| failure.to_string()),
            });
        }
    }
    sites
}

/// The socket of a node: named by its label, since a node's name may be longer than a socket's path
/// (108 octets, unix(7)).
pub fn path(node: &Node) -> PathBuf {
    node.run_dir
        .join(format!("{}.sock", Label::of_node(&node.name)))
}

/// Binds the node's socket, for root only.
///
/// # Errors
/// What the kernel said.
pub fn bind(node: &Node) -> io::Result<UnixListener> {
    fs::create_dir_all(&node.run_dir)?;
    let path = path(node);
    // Left by an earlier run; the DNS sockets are bound already, so that run is over.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the socket that a killed daemon left; that of a daemon that runs stays. Best effort: the
/// next start clears it too.
pub fn remove_left(node: &Node) {
    let path = path(node);
    let connected = std::os::unix::net::UnixStream::connect(&path);
    if connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        let _ = fs::remove_file(path);
    }
}

/// Tells whoever connects, until `stop`.
pub async fn serve(
    listener: UnixListener,
    now: impl Fn() -> Status + Send + 'static,
    stop: CancellationToken,
) {
    let path = listener.local_addr().ok();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = tell(stream, &now()).await {
                    tracing::debug!(%error, "status was not read");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "status socket");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
    if let Some(path) = path.as_ref().and_then(|address| address.as_pathname()) {
        // Nobody is there to tell any more.
        let _ = fs::remove_file(path);
    }
}

async fn tell(mut stream: UnixStream, status: &Status) -> io::Result<()> {
    let text = serde_json::to_vec(status)?;
    timeout(PATIENCE, async {
        stream.write_all(&text).await?;
        stream.shutdown().await
    })
    .await?
}

/// Asks the daemon; `None` when none runs.
///
/// # Errors
/// It runs and can't be asked.
pub fn ask(node: &Node) -> io::Result<Option<Status>> {
    use std::{io::Read as _, os::unix::net::UnixStream};
    let mut stream = match UnixStream::connect(path(node)) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}
