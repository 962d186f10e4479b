//! Fetching a page from a host of the lab, as a browser does after it has the address.

use std::{
    io::{Read, Write},
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Host;

const TIMEOUT: Duration = Duration::from_secs(2);

/// A page that came with status 200.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its text.
    pub body: String,
    /// From the connection's start to the last octet.
    pub took: Duration,
}

impl Page {
    /// The value in the page's line `key: value`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.body
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
    }
}

/// Fetches `path` of the site `name` at `address`.
///
/// # Errors
/// When the site is not reached or answers with another status than 200.
pub fn fetch(host: &Host, address: Ipv4Addr, name: &str, path: &str) -> Result<Page> {
    let start = Instant::now();
    let mut stream = host.tcp((address, 80).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .with_context(|| format!("{address} does not send the page of {name} to its end"))?;
    let took = start.elapsed();
    ensure!(
        response.starts_with("HTTP/1.1 200 "),
        "{address} answers {name}{path} with {:?}",
        response.lines().next().unwrap_or_default()
    );
    let (_, body) = response
        .split_once("\r\n\r\n")
        .context("a response without an end of its header")?;
    Ok(Page {
        body: body.into(),
        took,
    })
}
