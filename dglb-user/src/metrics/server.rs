//! The HTTP endpoint: GET `/metrics`, and nothing else.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Collected;

/// Connections at once; others wait to be accepted.
const MAX_CONNECTIONS: usize = 4;
/// How long a scraper may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the headers of a request.
    pub headers: Duration,
    /// For a connection, from its first octet to its last.
    pub connection: Duration,
}

const PATIENCE: Patience = Patience {
    headers: Duration::from_secs(5),
    connection: Duration::from_secs(30),
};

/// After a connection that could not be accepted: this host has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Octets of a request's headers.
const MAX_HEADERS: usize = 16 << 10;

/// The text formats that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus 0.0.4, for whoever does not ask for the other.
    Prometheus,
}

impl Format {
    fn asked_for(accept: Option<&HeaderValue>) -> Self {
        let accept = accept.and_then(|accept| accept.to_str().ok());
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// Answers scrapes with what `collect` gives, until `stop` is cancelled.
///
/// At most one scrape is collected and written down at a time, however many ask.
pub async fn serve<F, C>(listener: TcpListener, collect: F, stop: CancellationToken)
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Collected> + Send + 'static,
{
    serve_with(listener, collect, stop, PATIENCE).await;
}

/// [`serve`] with another patience.
pub(super) async fn serve_with<F, C>(
    listener: TcpListener,
    collect: F,
    stop: CancellationToken,
    patience: Patience,
) where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Collected> + Send + 'static,
{
    let scraper = Arc::new(Scraper {
        collect,
        turn: Mutex::new(()),
    });
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let scraper = Arc::clone(&scraper);
                connections.spawn(async move {
                    let _place = place;
                    // Who is too slow is left alone; it will come again.
                    let conversation = converse(stream, scraper, patience.headers);
                    let _ = timeout(patience.connection, conversation).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a scraper could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
}

async fn converse<F, C>(stream: TcpStream, scraper: Arc<Scraper<F>>, headers: Duration)
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Collected> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let scraper = Arc::clone(&scraper);
        async move { Ok::<_, Infallible>(scraper.respond(&request).await) }
    });
    // One request a connection: who keeps one open would keep others out.
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = conversation.await {
        tracing::debug!(%error, "a scrape ended early");
    }
}

struct Scraper<F> {
    collect: F,
    turn: Mutex<()>,
}

impl<F, C> Scraper<F>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Collected> + Send + 'static,
{
    async fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != "/metrics" {
            return short(StatusCode::NOT_FOUND, "what there is, is at /metrics\n");
        }
        if request.method() != Method::GET {
            let mut response = short(StatusCode::METHOD_NOT_ALLOWED, "ask with GET\n");
            let headers = response.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
            return response;
        }
        let format = Format::asked_for(request.headers().get(ACCEPT));
        let _turn = self.turn.lock().await;
        let collected = (self.collect)().await;
        // With many sites this takes longer than a task may.
        let written = tokio::task::spawn_blocking(move || write(collected, format)).await;
        match written {
            Ok(Ok(text)) => {
                let mut response = Response::new(Full::new(Bytes::from(text)));
                let content_type = HeaderValue::from_static(format.content_type());
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            Ok(Err(_)) | Err(_) => short(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the figures could not be written down\n",
            ),
        }
    }
}

fn write(collected: Collected, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collected));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
    }
    Ok(written)
}

fn short(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
