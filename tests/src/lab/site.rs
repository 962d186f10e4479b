//! A mirror's HTTP server. Its response time depends on who asks, in place of real distance.
//!
//! `dglb-demo site` runs [`serve`] within a host of the lab. It speaks as much HTTP/1.1 as a probe
//! and a test's client need: one GET a connection, one page that names the site, and `/health`.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    str::FromStr,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use ipnet::Ipv4Net;

use super::{Host, Program};

/// A request that takes longer to arrive is given up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest request that is read.
const MAX_REQUEST: u64 = 8192;

/// A mirror, as the lab plans it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its response times.
    pub delays: Vec<Delay>,
}

/// How far a network is: what requests from there wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Who asks.
    pub from: Ipv4Net,
    /// Milliseconds until the response begins.
    pub milliseconds: u64,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, milliseconds) = text.split_once('=').ok_or("write NETWORK=MILLISECONDS")?;
        Ok(Self {
            from: from.parse().map_err(|error| format!("{from}: {error}"))?,
            milliseconds: milliseconds
                .parse()
                .map_err(|error| format!("{milliseconds}: {error}"))?,
        })
    }
}

/// Starts the server on `host`; `program` is the `dglb-demo` binary.
///
/// # Errors
/// When it cannot be started or does not listen.
pub fn start(host: &Host, program: &Path, site: &Site) -> Result<Program> {
    let mut command = host.command(program);
    command.args(["site", "--name", site.name]);
    command.args(["--listen", &format!("{}:80", site.address)]);
    for delay in &site.delays {
        command.args(["--delay", &format!("{}={}", delay.from, delay.milliseconds)]);
    }
    let mut server = host.start("site", command)?;
    server.wait_until("the site listens", Duration::from_secs(10), || {
        host.tcp((site.address, 80).into(), Duration::from_secs(1))
    })?;
    Ok(server)
}

/// Serves until the process ends.
///
/// # Errors
/// When `listen` cannot be bound.
pub fn serve(name: &str, listen: SocketAddr, delays: &[Delay]) -> Result<()> {
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            scope.spawn(move || respond(&stream, name, delays).ok());
        }
    });
    Ok(())
}

fn respond(mut stream: &TcpStream, name: &str, delays: &[Delay]) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let peer = stream.peer_addr()?.ip();
    let Some(path) = read_path(stream)? else {
        return Ok(());
    };
    thread::sleep(delay_of(peer, delays));
    let (status, body) = match path.as_str() {
        "/health" => ("200 OK", "ok\n".to_owned()),
        "/" => (
            "200 OK",
            format!("A page of foo.com\nsite: {name}\nclient: {peer}\n"),
        ),
        _ => ("404 Not Found", "no such page\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\
         \r\n\r\n{body}",
        body.len()
    )
}

/// The path of a GET; none when the peer sends something else or nothing.
fn read_path(stream: &TcpStream) -> io::Result<Option<String>> {
    let mut lines = BufReader::new(stream.take(MAX_REQUEST)).lines();
    let Some(request) = lines.next().transpose()? else {
        return Ok(None);
    };
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = request.split(' ');
    Ok(match (words.next(), words.next()) {
        (Some("GET"), Some(path)) => Some(path.to_owned()),
        _ => None,
    })
}

fn delay_of(peer: IpAddr, delays: &[Delay]) -> Duration {
    let IpAddr::V4(peer) = peer else {
        return Duration::ZERO;
    };
    let delay = delays.iter().find(|delay| delay.from.contains(&peer));
    Duration::from_millis(delay.map_or(0, |delay| delay.milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_from_the_command_line() {
        let delay: Delay = "198.51.100.0/24=15".parse().expect("a delay");
        assert_eq!(delay.milliseconds, 15);
        let far = [delay, "203.0.113.0/24=120".parse().expect("a delay")];
        let of = |peer: &str| delay_of(peer.parse().expect(peer), &far).as_millis();
        assert_eq!(of("198.51.100.10"), 15);
        assert_eq!(of("203.0.113.7"), 120);
        assert_eq!(of("192.0.2.1"), 0);
        for wrong in [
            "",
            "198.51.100.0/24",
            "198.51.100.0/24=",
            "x=1",
            "198.51.100.0/33=1",
        ] {
            assert!(wrong.parse::<Delay>().is_err(), "{wrong}");
        }
    }
}
