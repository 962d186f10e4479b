//! One HTTP/1.1 GET, and what it came to. Called by [`super::prober`], which sees to it that not too
//! many run at once.
//!
//! No name is resolved, no redirect followed, no connection kept: each probe measures what a new
//! client would see, from the first SYN to the body's last octet.

use std::{error::Error, io, pin::pin};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response, Uri,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    outcome::{Failure, Outcome},
    target::HttpGet,
};

/// Octets that a response's body may have: a probe is no download.
pub const MAX_BODY: u64 = 1 << 20;

/// What sites read in their logs.
const USER_AGENT: &str = concat!("dglb/", env!("CARGO_PKG_VERSION"));

/// Does the GET; ends within its timeout, whatever the site does.
pub async fn get(get: &HttpGet) -> Outcome {
    let start = Instant::now();
    match timeout(get.timeout, exchange(get)).await {
        Ok(result) => result.map(|()| start.elapsed()),
        Err(_elapsed) => Err(Failure::TimedOut),
    }
}

/// Connects, asks, and reads the response to its end. hyper's connection is polled beside the
/// exchange, in the same task: whoever drops the probe drops all of it.
async fn exchange(get: &HttpGet) -> Result<(), Failure> {
    let request = request(get)?;
    let stream = TcpStream::connect(get.address)
        .await
        .map_err(|error| Failure::from(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(classify)?;

    let mut connection = pin!(connection);
    let mut conversation = pin!(async {
        let response = sender.send_request(request).await.map_err(classify)?;
        read(get, response).await
    });
    tokio::select! {
        done = &mut conversation => done,
        // The connection has ended; what it had read (or its error) still waits in the conversation.
        _ = &mut connection => conversation.await,
    }
}

fn request(get: &HttpGet) -> Result<Request<Empty<Bytes>>, Failure> {
    let uri: Uri = get.path.parse().map_err(|_| Failure::NotSendable)?;
    // hyper would take the other forms of request target too, and silently drop a fragment.
    let all_of_it = uri
        .path_and_query()
        .is_some_and(|sent| sent.as_str() == get.path);
    if !all_of_it || !get.path.starts_with('/') {
        return Err(Failure::NotSendable);
    }
    Request::get(uri)
        .header(header::HOST, &get.host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| Failure::NotSendable)
}

/// Checks the status, then counts the body's octets up to its end.
async fn read(get: &HttpGet, response: Response<Incoming>) -> Result<(), Failure> {
    let status = response.status().as_u16();
    if !get.status.contains(&status) {
        return Err(Failure::Status(status));
    }
    let mut body = response.into_body();
    // The announced length, if there is one; an endless body shows itself only below.
    if body.size_hint().lower() > MAX_BODY {
        return Err(Failure::TooLarge);
    }
    let mut octets = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(classify)?;
        octets += frame.data_ref().map_or(0, |data| data.len() as u64);
        if octets > MAX_BODY {
            return Err(Failure::TooLarge);
        }
    }
    Ok(())
}

/// The socket's error, if there is one at the bottom of hyper's; else it was not HTTP.
fn classify(error: hyper::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.into();
        }
        cause = error.source();
    }
    Failure::Malformed
}

#[cfg(test)]
mod tests;
