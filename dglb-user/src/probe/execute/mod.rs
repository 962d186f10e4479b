//! Does one probe, whatever its kind. Called by [`super::process`] alone, within the process that has no rights.

mod body;
mod command;
mod first_octet;
mod http;
pub mod icmp;
mod load;
mod search;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    cell::Cell,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use rustix::io::Errno;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use self::{
    body::Bodies,
    http::Fetched,
    icmp::Pinger,
    load::Complaints,
    search::{Matcher, Matchers, Searchers},
    tls::TlsClients,
};
use super::{
    failure::Failure,
    message::{Success, Times},
    spec::{self, Kind, Spec},
};

/// What all probes share.
#[derive(Debug)]
pub struct Executor {
    tls: TlsClients,
    pinger: Pinger,
    bodies: Bodies,
    searchers: Searchers,
    complaints: Complaints,
}

/// Makes specifications ready; equal regular expressions are compiled once.
#[derive(Debug, Default)]
pub struct Preparer(Matchers);

/// A probe that is ready to be done, again and again.
#[derive(Debug)]
pub struct Prepared {
    spec: Spec,
    /// What the body must contain, or why that can't be looked for.
    matcher: Result<Option<Matcher>, Failure>,
}

impl Executor {
    /// Trusts the certificates in `ca_file`, or those of the system.
    pub fn new(ca_file: Option<&Path>, pinger: Pinger) -> Self {
        Self {
            tls: TlsClients::new(ca_file),
            pinger,
            bodies: Bodies::default(),
            searchers: Searchers::default(),
            complaints: Complaints::default(),
        }
    }

    /// Does the probe; ends within its timeout, whatever the site does.
    ///
    /// # Errors
    /// Why it failed, with a text that can be logged.
    pub async fn execute(&self, prepared: &Prepared) -> Result<Success, Failure> {
        let limit = Duration::from_millis(prepared.spec.timeout_ms.into());
        let has_answered = Cell::new(false);
        let done = timeout(limit, self.kind(prepared, limit, &has_answered)).await;
        let outcome = done.unwrap_or_else(|_| {
            Err(match has_answered.get() {
                false => Failure::TimedOut,
                // The site did what it could.
                true => Failure::Local(
                    "the body's regular expression, or those of others, took too long".into(),
                ),
            })
        });
        outcome.map_err(Failure::bounded)
    }

    async fn kind(
        &self,
        prepared: &Prepared,
        limit: Duration,
        has_answered: &Cell<bool>,
    ) -> Result<Success, Failure> {
        let start = Instant::now();
        let address = prepared.spec.address;
        let connect_us = match &prepared.spec.kind {
            Kind::Http(http) => {
                let matcher = prepared.matcher.as_ref().map_err(Clone::clone)?;
                let is_read = matcher.is_some() || http.load == Some(spec::Load::Json);
                let kept = is_read.then(|| self.bodies.keep());
                let fetched = http::fetch(&self.tls, address, http, kept).await?;
                has_answered.set(true);
                return self.look_at(address, http, matcher.as_ref(), fetched).await;
            }
            Kind::Tcp { port } => {
                connect(SocketAddr::new(address, *port)).await?;
                Some(micros(start.elapsed()))
            }
            Kind::Icmp => Some(micros(self.pinger.ping(address).await?)),
            Kind::Command(argv) => {
                command::run(argv, limit).await?;
                None
            }
        };
        let times = Times {
            connect_us,
            total_us: micros(start.elapsed()),
            ..Times::default()
        };
        Ok(Success { times, load: None })
    }

    /// Looks at what the first page says; that is no part of the measured time.
    async fn look_at(
        &self,
        address: IpAddr,
        http: &spec::Http,
        matcher: Option<&Matcher>,
        fetched: Fetched,
    ) -> Result<Success, Failure> {
        let Fetched { times, body, load } = fetched;
        let load = match &http.load {
            None => None,
            Some(spec::Load::Header(_)) => load.as_deref().map(load::of_header),
            Some(spec::Load::Json) => body.as_ref().map(|body| load::of_json(body.octets())),
        };
        if let (Some(matcher), Some(body)) = (matcher, body)
            && !self.searchers.find(matcher, body).await?
        {
            return Err(Failure::Body);
        }
        if let Some(Err(_)) = load {
            self.complaints.note(address, &http.host);
        }
        let load = load.and_then(Result::ok);
        Ok(Success { times, load })
    }
}

impl Preparer {
    /// Prepares a probe.
    pub fn prepare(&mut self, spec: Spec) -> Prepared {
        let wanted = match &spec.kind {
            Kind::Http(http) => http.body.as_ref(),
            Kind::Tcp { .. } | Kind::Icmp | Kind::Command(_) => None,
        };
        let matcher = wanted.map(|wanted| self.0.of(wanted)).transpose();
        Prepared { spec, matcher }
    }
}

/// A TCP connection.
async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    TcpStream::connect(address)
        .await
        .map_err(|error| of_socket(&error).unwrap_or_else(|| Failure::Io(error.to_string())))
}

/// What an error of a socket says; `None`: it is not the kernel's.
fn of_socket(error: &io::Error) -> Option<Failure> {
    let errno = Errno::from_io_error(error)?;
    Some(match errno {
        Errno::CONNREFUSED => Failure::Refused,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Failure::Reset,
        Errno::TIMEDOUT => Failure::TimedOut,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::ADDRNOTAVAIL => {
            Failure::Local(errno.to_string())
        }
        _ => Failure::Io(errno.to_string()),
    })
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
