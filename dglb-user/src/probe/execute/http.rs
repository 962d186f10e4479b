//! HTTP/1.1 over TCP or TLS: one page, or several as one measurement.
//!
//! No name is resolved and no redirect followed: all that is asked is asked of the one address.
//! Several pages go one after another over one connection, as far as the site keeps it; whatever is not
//! the first page is only checked for its status.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::Rc,
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
    body::{self, Kept},
    connect,
    first_octet::{FirstOctet, Noted},
    micros, of_socket,
    tls::{TlsClients, of_tls},
};
use crate::probe::{
    failure::Failure,
    message::Times,
    spec::{self, Http},
};

/// What sites read in their logs.
const USER_AGENT: &str = concat!("dglb/", env!("CARGO_PKG_VERSION"));

/// Octets that a response's head may have: hyper's own bound is more than a thousand probes at once should
/// take.
const MAX_HEAD: usize = 1 << 16;

type Requests = SendRequest<Empty<Bytes>>;

/// What came of the pages.
pub struct Fetched {
    /// All of them.
    pub times: Times,
    /// The first page's body, where it is looked at.
    pub body: Option<Kept>,
    /// What its header for the site's load says, where there is one.
    pub load: Option<String>,
}

/// Asks for all pages; keeps the first one's body in `kept`, if it is to be looked at.
pub async fn fetch(
    tls: &TlsClients,
    address: IpAddr,
    spec: &Http,
    kept: Option<Kept>,
) -> Result<Fetched, Failure> {
    let begin = Instant::now();
    let mut job = Job {
        spec,
        first_octet: Rc::default(),
        fetched: Fetched {
            times: Times::default(),
            body: kept,
            load: None,
        },
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
        // A request behind TLS's last message must not wait until that is acknowledged. Where it can't be
        // set the connection has ended already, and says so itself.
        let _ = stream.set_nodelay(true);
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
    let mut fetched = job.fetched;
    fetched.times.total_us = micros(begin.elapsed());
    Ok(fetched)
}

/// One probe under way.
struct Job<'s> {
    spec: &'s Http,
    first_octet: Rc<FirstOctet>,
    fetched: Fetched,
}

impl Job<'_> {
    fn time(&mut self, is_first: bool, of: fn(&mut Times) -> &mut Option<u32>, time: Duration) {
        if is_first {
            *of(&mut self.fetched.times) = Some(micros(time));
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
        let stream = Noted::new(stream, Rc::clone(&self.first_octet));
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
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
                    Err(_) if page > next && self.first_octet.at().is_none() => return Ok(page),
                    Err(failure) => return Err(failure),
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

    async fn page(&mut self, sender: &mut Requests, page: usize) -> Result<(), Failure> {
        let is_first = page == 0;
        let request = request(self.spec, page)?;
        self.first_octet.expect();
        let start = Instant::now();
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| of_hyper(&error))?;
        if let Some(at) = self.first_octet.at() {
            self.time(is_first, |times| &mut times.first_byte_us, at - start);
        }
        let status = response.status().as_u16();
        if !self.spec.status.contains(&status) {
            return Err(Failure::Status(status));
        }
        if is_first && let Some(spec::Load::Header(name)) = &self.spec.load {
            self.fetched.load = header_of(&response, name);
        }
        let kept = self.fetched.body.as_mut().filter(|_| is_first);
        body::read(response.into_body(), self.spec.max_body.into(), kept).await
    }
}

/// The first header of this name. What is no text makes no sense as a load either.
fn header_of(response: &Response<Incoming>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
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

/// What an error before the body says.
fn of_hyper(error: &hyper::Error) -> Failure {
    // What is not the socket's or TLS's was not HTTP, or not all of it.
    of_cause(error).unwrap_or(Failure::Malformed)
}

/// The same in mid-body.
pub fn of_hyper_in_body(error: &hyper::Error) -> Failure {
    of_cause(error).unwrap_or_else(|| match io_error_of(error).map(io::Error::kind) {
        // hyper's decoder: a chunk that is none.
        Some(ErrorKind::InvalidInput | ErrorKind::InvalidData) => Failure::Malformed,
        Some(_) | None => Failure::Aborted,
    })
}

/// The socket's error or that of TLS, if there is one at the bottom.
fn of_cause(error: &hyper::Error) -> Option<Failure> {
    let error = io_error_of(error)?;
    of_socket(error).or_else(|| of_tls(error))
}

fn io_error_of(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
