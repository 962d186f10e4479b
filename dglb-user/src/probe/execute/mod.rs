//! Does one probe, whatever its kind. Called by [`super::process`] alone, within the process that has no rights.

mod body;
mod command;
mod http;
pub mod icmp;
mod load;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use regex::bytes::Regex;
use rustix::io::Errno;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use self::{body::Matcher, icmp::Pinger, tls::TlsClients};
use super::{
    failure::Failure,
    message::{Success, Times},
    spec::{Kind, Match, Spec},
};
use crate::config::compile_body_regex;

/// What all probes share.
#[derive(Debug)]
pub struct Executor {
    tls: TlsClients,
    pinger: Pinger,
}

/// Makes specifications ready; equal regular expressions are compiled once.
#[derive(Debug, Default)]
pub struct Preparer {
    regexes: HashMap<String, Weak<Regex>>,
}

/// A probe that is ready to be done, again and again.
#[derive(Debug)]
pub struct Prepared {
    spec: Spec,
    /// What the body must contain, or why that can't be looked for.
    matcher: Result<Matcher, Failure>,
}

impl Executor {
    /// Trusts the certificates in `ca_file`, or those of the system.
    pub fn new(ca_file: Option<&Path>, pinger: Pinger) -> Self {
        Self {
            tls: TlsClients::new(ca_file),
            pinger,
        }
    }

    /// Does the probe; ends within its timeout, whatever the site does.
    pub async fn execute(&self, prepared: &Prepared) -> Result<Success, Failure> {
        let spec = &prepared.spec;
        let limit = Duration::from_millis(spec.timeout_ms.into());
        let start = Instant::now();
        let done = timeout(limit, self.kind(prepared, start, limit));
        let done = done.await.unwrap_or(Err(Failure::TimedOut));
        let (mut times, load) = done.map_err(Failure::bounded)?;
        times.total_us = micros(start.elapsed());
        Ok(Success { times, load })
    }

    async fn kind(
        &self,
        prepared: &Prepared,
        start: Instant,
        limit: Duration,
    ) -> Result<(Times, Option<super::message::SiteLoad>), Failure> {
        let address = prepared.spec.address;
        let mut times = Times::default();
        match &prepared.spec.kind {
            Kind::Http(spec) => {
                let matcher = prepared.matcher.as_ref().map_err(Clone::clone)?;
                http::probe(&self.tls, address, spec, matcher).await
            }
            Kind::Tcp { port } => {
                connect(SocketAddr::new(address, *port)).await?;
                times.connect_us = Some(micros(start.elapsed()));
                Ok((times, None))
            }
            Kind::Icmp => {
                let round_trip = self.pinger.ping(address).await?;
                times.connect_us = Some(micros(round_trip));
                Ok((times, None))
            }
            Kind::Command(argv) => {
                command::run(argv, limit).await?;
                Ok((times, None))
            }
        }
    }
}

impl Preparer {
    /// Prepares a probe.
    pub fn prepare(&mut self, spec: Spec) -> Prepared {
        let wanted = match &spec.kind {
            Kind::Http(http) => http.body.as_ref(),
            Kind::Tcp { .. } | Kind::Icmp | Kind::Command(_) => None,
        };
        let matcher = match wanted {
            None => Ok(Matcher::Anything),
            Some(Match::Text(text)) => Ok(Matcher::text(text)),
            Some(Match::Regex(pattern)) => self.regex(pattern).map(Matcher::Regex),
        };
        Prepared { spec, matcher }
    }

    fn regex(&mut self, pattern: &str) -> Result<Arc<Regex>, Failure> {
        if let Some(known) = self.regexes.get(pattern).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let regex = Arc::new(compile_body_regex(pattern).map_err(|error| {
            Failure::Local(format!("the regular expression can't be used: {error}"))
        })?);
        self.regexes.retain(|_, regex| regex.strong_count() > 0);
        self.regexes
            .insert(pattern.to_owned(), Arc::downgrade(&regex));
        Ok(regex)
    }
}

/// A TCP connection; the reset that ends it at once leaves nothing behind on either side.
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
