//! Reads `[metrics]`: where the node tells its figures over HTTP.

use std::net::SocketAddr;

use super::{Metrics, error::ErrorKind, reader::Table, report::Found, value::Value};

/// The table, at the place of its address; it may be absent.
pub(super) fn read(root: &mut Table<'_>) -> Option<Found<Metrics>> {
    let mut table = root.table("metrics")?;
    let listen = table.required("listen", "\"127.0.0.1:9153\"", listen);
    let sites = table.or("sites", true, |value| value.boolean());
    table.finish(&[]);
    let listen = listen?;
    Some(Found {
        at: listen.at,
        value: Metrics {
            listen: listen.value,
            sites,
        },
    })
}

fn listen(value: Value<'_>) -> Option<Found<SocketAddr>> {
    let text = value.text()?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" is not an address with a port", text.escape_debug()),
            "write like \"127.0.0.1:9153\" or \"[::1]:9153\"",
        );
    };
    let ip = address.ip();
    let fault = if address.port() == 0 {
        "port 0 is no port that a scraper could know"
    } else if ip.is_multicast() {
        "nobody can connect to a multicast address"
    } else {
        return Some(value.found(address));
    };
    value.refuse(
        ErrorKind::OutOfRange,
        fault,
        "write an address of this machine and a port from 1 to 65535, like \"127.0.0.1:9153\"",
    )
}
