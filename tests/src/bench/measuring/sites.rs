//! The servers of all sites: one process that takes whatever address is asked. Kept small, for its CPU
//! time is not that of the daemon, but it has to leave room for it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::plan::{LOAD_HEADER, PORT, SILENT_PORT, SITES};
use crate::lab::{Host, Program};

/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest request that is read.
const MAX_REQUEST: usize = 4096;
/// Weights that are reported, in turn.
const WEIGHTS: u32 = 97;

/// Starts this program again as the servers, on `host`, to which all of [`SITES`] is local.
///
/// # Errors
/// It cannot be started or does not listen.
pub fn start(host: &Host) -> Result<Program> {
    let command = format!("route add local {SITES} dev lo\n");
    host.namespace().ip(&command)?;
    let mut command = host.command(std::env::current_exe()?);
    command.arg("sites");
    let mut server = host.start("sites", command)?;
    server.wait_until("the sites listen", Duration::from_secs(10), || {
        host.tcp((host.address(), PORT).into(), Duration::from_secs(1))
    })?;
    Ok(server)
}

/// Serves until the process ends.
///
/// # Errors
/// A port can't be bound.
pub fn serve() -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let answering = listen(PORT).await?;
            let silent = listen(SILENT_PORT).await?;
            tokio::join!(accept(answering, true), accept(silent, false));
            Ok(())
        })
}

async fn listen(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

async fn accept(listener: TcpListener, answers: bool) {
    loop {
        // Whoever hung up before is of no interest.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(timeout(PATIENCE, async move {
            if answers {
                // A probe that gave up has counted it already.
                let _ = respond(stream).await;
            } else {
                hold(stream).await;
            }
        }));
    }
}

/// Reads, and says nothing, until the peer goes.
async fn hold(mut stream: TcpStream) {
    let mut octets = [0; 512];
    while let Ok(1..) = stream.read(&mut octets).await {}
}

async fn respond(mut stream: TcpStream) -> Result<()> {
    static RESPONSES: AtomicU32 = AtomicU32::new(0);
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") && request.len() < MAX_REQUEST {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let weight = 1 + RESPONSES.fetch_add(1, Ordering::Relaxed) % WEIGHTS;
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n{LOAD_HEADER}: weight={weight}\r\n\
         Connection: close\r\n\r\nok\n"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}
