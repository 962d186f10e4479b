//! HTTP/1.1 over TCP or TLS: one page, or several as one measurement.
//!
//! No name is resolved and no redirect followed: all that is asked is asked of the one address.
//! Several pages go one after another over one connection, as far as the site keeps it; whatever is not
//! the first page is only checked for its status.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    time::Duration,
};

use http_body_util::Empty;
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    body::{self, Matcher},
    connect, load, micros, of_socket,
    tls::TlsClients,
};
use crate::probe::{
    failure::Failure,
    message::{SiteLoad, Times},
    spec::{self, Http},
};

/// What sites read in their logs.
const USER_AGENT: &str = concat!("dglb/", env!("CARGO_PKG_VERSION"));

type Requests = SendRequest<Empty<Bytes>>;

/// Asks for all pages.
pub async fn probe(
    tls: &TlsClients,
    address: IpAddr,
    spec: &Http,
    matcher: &Matcher,
) -> Result<(Times, Option<SiteLoad>), Failure> {
    let mut job = Job {
        spec,
        matcher,
        times: Times::default(),
        load: None,
    };
    // What can't be sent is found before anything is.
    for page in 0..spec.pages.len() {
        request(spec, page)?;
    }
    let mut next = 0;
    while next < spec.pages.len() {
        let is_first = next == 0;
        let start = Instant::now();
        let stream = connect(SocketAddr::new(address, spec.port)).await?;
        job.time(is_first, |times| &mut times.connect_us, start.elapsed());
        next = match &spec.tls {
            None => job.converse(stream, next).await?,
            Some(how) => {
                let start = Instant::now();
                let stream = tls.handshake(stream, how, &spec.host).await?;
                job.time(is_first, |times| &mut times.tls_us, start.elapsed());
                job.converse(stream, next).await?
            }
        };
    }
    Ok((job.times, job.load))
}

/// One probe under way.
struct Job<'s> {
    spec: &'s Http,
    matcher: &'s Matcher,
    times: Times,
    load: Option<SiteLoad>,
}

impl Job<'_> {
    fn time(&mut self, is_first: bool, of: fn(&mut Times) -> &mut Option<u32>, time: Duration) {
        if is_first {
            *of(&mut self.times) = Some(micros(time));
        }
    }

    /// Asks for the pages from `next` on, for as long as the connection is kept; gives the first that was
    /// not asked for. hyper's connection is polled beside the conversation, in the same task: whoever drops
    /// the probe drops all of it.
    async fn converse(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        next: usize,
    ) -> Result<usize, Failure> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| of_hyper(&error))?;
        let mut connection = Box::pin(connection);
        let mut conversation = pin!(async move {
            for page in next..self.spec.pages.len() {
                // The site closed it: another connection for the rest.
                if page > next && sender.ready().await.is_err() {
                    return Ok(page);
                }
                match self.page(&mut sender, page).await {
                    Ok(()) => {}
                    // It closed it just now (RFC 9112 §9.3.1): asked again, that is an answer or a failure.
                    Err(Asked::Unanswered(_)) if page > next => return Ok(page),
                    Err(Asked::Unanswered(failure) | Asked::Answered(failure)) => {
                        return Err(failure);
                    }
                }
            }
            Ok(self.spec.pages.len())
        });
        tokio::select! {
            done = &mut conversation => done,
            // The connection has ended; what it had read (or its error) still waits in the conversation.
            _ = &mut connection => {
                // With it goes a request that it did not take: else that would wait for ever.
                drop(connection);
                conversation.await
            }
        }
    }

    async fn page(&mut self, sender: &mut Requests, page: usize) -> Result<(), Asked> {
        let is_first = page == 0;
        let request = request(self.spec, page).map_err(Asked::Answered)?;
        let start = Instant::now();
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| Asked::Unanswered(of_hyper(&error)))?;
        self.time(is_first, |times| &mut times.first_byte_us, start.elapsed());
        let read = self.read(response, is_first);
        read.await.map_err(Asked::Answered)
    }

    async fn read(&mut self, response: Response<Incoming>, is_first: bool) -> Result<(), Failure> {
        let status = response.status().as_u16();
        if !self.spec.status.contains(&status) {
            return Err(Failure::Status(status));
        }
        if is_first {
            return self.first_page(response).await;
        }
        body::read(response.into_body(), self.spec.max_body.into(), false).await?;
        Ok(())
    }

    async fn first_page(&mut self, response: Response<Incoming>) -> Result<(), Failure> {
        let by_header = match &self.spec.load {
            Some(spec::Load::Header(name)) => response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .and_then(load::of_header),
            Some(spec::Load::Json) | None => None,
        };
        let is_json = self.spec.load == Some(spec::Load::Json);
        let keep = self.matcher.needs_body() || is_json;
        let body = body::read(response.into_body(), self.spec.max_body.into(), keep).await?;
        if !self.matcher.is_in(&body) {
            return Err(Failure::Body);
        }
        self.load = match is_json {
            true => load::of_json(&body),
            false => by_header,
        };
        Ok(())
    }
}

/// How a request failed.
enum Asked {
    /// Nothing came.
    Unanswered(Failure),
    /// By its response.
    Answered(Failure),
}

fn request(spec: &Http, page: usize) -> Result<Request<Empty<Bytes>>, Failure> {
    let path = &spec.pages[page];
    let uri: Uri = path.parse().map_err(|_| Failure::NotSendable)?;
    // hyper would take the other forms of request target too, and silently drop a fragment.
    let all_of_it = uri
        .path_and_query()
        .is_some_and(|sent| sent.as_str() == path);
    if !all_of_it || !path.starts_with('/') {
        return Err(Failure::NotSendable);
    }
    let method = Method::from_bytes(spec.method.as_bytes()).map_err(|_| Failure::NotSendable)?;
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::HOST, &spec.host);
    let names_agent = |(name, _): &(String, String)| name.eq_ignore_ascii_case("user-agent");
    if !spec.headers.iter().any(names_agent) {
        request = request.header(header::USER_AGENT, USER_AGENT);
    }
    for (name, value) in &spec.headers {
        request = request.header(name, value);
    }
    if page + 1 == spec.pages.len() {
        request = request.header(header::CONNECTION, "close");
    }
    request.body(Empty::new()).map_err(|_| Failure::NotSendable)
}

/// What an error before the body says: the socket's, if there is one at the bottom; else it was not HTTP.
fn of_hyper(error: &hyper::Error) -> Failure {
    of_cause(error).unwrap_or(Failure::Malformed)
}

/// The same in mid-body.
pub fn of_hyper_in_body(error: &hyper::Error) -> Failure {
    of_cause(error).unwrap_or(Failure::Aborted)
}

fn of_cause(error: &hyper::Error) -> Option<Failure> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return of_socket(error);
        }
        cause = error.source();
    }
    None
}
