//! Reads single values: each function takes one form, and reports whatever is not of that form.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::ErrorKind,
    report::{At, Found, Report},
    words,
};

/// One value of the file.
#[derive(Clone)]
pub(super) struct Value<'d> {
    report: &'d Report<'d>,
    value: &'d DeValue<'d>,
    at: At,
}

impl<'d> Value<'d> {
    /// The value that stands at the key path `key`.
    pub fn new(report: &'d Report<'d>, value: &'d Spanned<DeValue<'d>>, key: String) -> Self {
        let offset = value.span().start;
        Self {
            report,
            value: value.get_ref(),
            at: At { offset, key },
        }
    }

    /// Where it stands.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// `value` together with this place.
    pub fn found<T>(&self, value: T) -> Found<T> {
        Found {
            at: self.at.clone(),
            value,
        }
    }

    /// Reports that this value is wrong. Returns `None`, so that it can end a reading function.
    pub fn refuse<T>(
        &self,
        kind: ErrorKind,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Option<T> {
        self.report.add(&self.at, kind, message, remedy);
        None
    }

    /// A string.
    pub fn text(&self) -> Option<&'d str> {
        let text = self.value.as_str();
        text.or_else(|| self.wrong_type("a string", "write it in double quotes"))
    }

    /// A string with its place.
    pub fn found_text(&self) -> Option<Found<&'d str>> {
        Some(self.found(self.text()?))
    }

    /// A whole number within `range`; `why` says where the bounds come from.
    pub fn number(&self, range: RangeInclusive<u32>, why: &str) -> Option<u32> {
        let (low, high) = (range.start(), range.end());
        let remedy = || format!("write a whole number from {low} to {high}{why}");
        let Some(integer) = self.value.as_integer() else {
            return self.wrong_type("a whole number", &remedy());
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.refuse(
                ErrorKind::OutOfRange,
                format!("{integer} is not allowed here"),
                remedy(),
            ),
        }
    }

    /// A number, whole or not, within `range`; `why` says where the bounds come from.
    pub fn decimal(&self, range: RangeInclusive<f64>, why: &str) -> Option<f64> {
        let (low, high) = (range.start(), range.end());
        let remedy = || format!("write a number from {low} to {high}{why}");
        let (text, number) = match self.value {
            DeValue::Integer(integer) => {
                let whole = i128::from_str_radix(integer.as_str(), integer.radix());
                (integer.to_string(), whole.ok().map(|whole| whole as f64))
            }
            DeValue::Float(float) => (float.to_string(), float.as_str().parse().ok()),
            _ => return self.wrong_type("a number", &remedy()),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.refuse(
                ErrorKind::OutOfRange,
                format!("{text} is not allowed here"),
                remedy(),
            ),
        }
    }

    /// What a word stands for, of those in `known`; `what` says what they all are, like "scorer".
    pub fn word<T: Copy>(&self, what: &str, known: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        if let Some((_, meaning)) = known.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        self.refuse(
            ErrorKind::OutOfRange,
            format!("there is no {what} \"{}\"", text.escape_debug()),
            words::remedy(text, &words),
        )
    }

    /// A duration, a string like "10s", within `range`.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let example = "like \"500ms\", \"10s\" or \"1h\"";
        let Some(text) = self.value.as_str() else {
            let remedy = match self.value.as_integer() {
                Some(number) => format!("write it with its unit, \"{number}s\" for seconds"),
                None => format!("write a string {example}"),
            };
            return self.wrong_type("a duration", &remedy);
        };
        let Ok(duration) = humantime::parse_duration(text) else {
            return self.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" is not a duration", text.escape_debug()),
                format!("write a number with its unit, {example}"),
            );
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        self.refuse(
            ErrorKind::OutOfRange,
            format!("{text} is not allowed here"),
            format!(
                "write a duration from {} to {}",
                humantime::format_duration(*range.start()),
                humantime::format_duration(*range.end())
            ),
        )
    }

    /// An absolute path.
    pub fn absolute_path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.starts_with('/') && !text.contains(char::is_control) {
            return Some(PathBuf::from(text));
        }
        self.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" is not an absolute path", text.escape_debug()),
            "write the path from the root, it begins with \"/\"",
        )
    }

    /// The address of one host, of either family.
    pub fn ip(&self) -> Option<IpAddr> {
        let text = self.text()?;
        match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => self.ipv4().map(IpAddr::V4),
            Ok(IpAddr::V6(_)) => self.ipv6().map(IpAddr::V6),
            Err(_) => self.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" is not an IP address", text.escape_debug()),
                "write four numbers with dots, like \"192.0.2.53\", or IPv6, like \"2001:db8::53\"",
            ),
        }
    }

    /// An address of either family with its place.
    pub fn found_ip(&self) -> Option<Found<IpAddr>> {
        Some(self.found(self.ip()?))
    }

    /// The address of one IPv4 host.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        let text = self.text()?;
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            let remedy = match text.parse::<Ipv6Addr>() {
                Ok(_) => "write an IPv4 address at this place",
                Err(_) => "write four numbers with dots, like \"192.0.2.53\"",
            };
            let message = format!("\"{}\" is not an IPv4 address", text.escape_debug());
            return self.refuse(ErrorKind::BadForm, message, remedy);
        };
        let Some(what) = not_unicast(address) else {
            return Some(address);
        };
        self.refuse(
            ErrorKind::OutOfRange,
            format!("{address} is {what}"),
            "write the unicast address of one host",
        )
    }

    /// The address of one IPv6 host.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        let text = self.text()?;
        let Ok(address) = text.parse::<Ipv6Addr>() else {
            return self.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" is not an IPv6 address", text.escape_debug()),
                "write it like \"2001:db8:1::80\"",
            );
        };
        let Some(what) = not_unicast_v6(address) else {
            return Some(address);
        };
        self.refuse(
            ErrorKind::OutOfRange,
            format!("{address} is {what}"),
            "write the global unicast address of one host",
        )
    }

    /// An IPv6 address with its place.
    pub fn found_ipv6(&self) -> Option<Found<Ipv6Addr>> {
        Some(self.found(self.ipv6()?))
    }

    /// A network of either family; of IPv6 no longer than /64, behind which one client is.
    pub fn found_prefix(&self) -> Option<Found<IpNet>> {
        let prefix = self.network()?;
        if matches!(prefix, IpNet::V6(_)) && prefix.prefix_len() > MAX_V6_PREFIX {
            return self.refuse(
                ErrorKind::OutOfRange,
                format!("{prefix} is longer than /{MAX_V6_PREFIX}"),
                "write a length of at most 64: all addresses of a /64 count as one client",
            );
        }
        Some(self.found(prefix))
    }

    /// A network of either family.
    pub fn network(&self) -> Option<IpNet> {
        let text = self.text()?;
        let example = "like \"198.51.100.0/24\" or \"2001:db8::/48\"";
        let Ok(prefix) = text.parse::<IpNet>() else {
            return self.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" is not a prefix", text.escape_debug()),
                format!("write a network and its length, {example}"),
            );
        };
        if prefix != prefix.trunc() {
            return self.refuse(
                ErrorKind::BadForm,
                format!("{prefix} has bits set behind its length"),
                format!("write \"{}\"", prefix.trunc()),
            );
        }
        Some(prefix)
    }

    /// True or false.
    pub fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        value.or_else(|| self.wrong_type("true or false", "write true or false, without quotes"))
    }

    /// An IPv4 address with its place.
    pub fn found_ipv4(&self) -> Option<Found<Ipv4Addr>> {
        Some(self.found(self.ipv4()?))
    }

    /// The address and port of one end of the map protocol.
    pub fn map_address(&self) -> Option<SocketAddr> {
        let text = self.text()?;
        let Ok(address) = text.parse::<SocketAddr>() else {
            return self.refuse(
                ErrorKind::BadForm,
                format!("\"{}\" is not an address with a port", text.escape_debug()),
                "write like \"10.53.0.1:5353\" or \"[fd00::1]:5353\"",
            );
        };
        if address.port() == 0 {
            return self.refuse(
                ErrorKind::OutOfRange,
                "port 0 is no port that the other side could know",
                "write a port from 1 to 65535, like 5353",
            );
        }
        if super::map_address::is_allowed(address.ip()) {
            return Some(address);
        }
        self.refuse(
            ErrorKind::OutOfRange,
            format!(
                "{} is neither loopback nor a private or test address, and the map protocol has \
                 no TLS yet: whoever reaches it could move resolvers",
                address.ip()
            ),
            format!("write an address in {}", super::map_address::allowed_text()),
        )
    }

    /// The items, when this is a list; else it is reported and there are none.
    pub fn items(&self) -> Vec<Self> {
        let Some(items) = self.value.as_array() else {
            let remedy = match self.value.as_str() {
                Some(text) => format!("write it in brackets: [\"{}\"]", text.escape_debug()),
                None => "write the items in brackets: [ … ]".to_owned(),
            };
            let _: Option<()> = self.wrong_type("a list", &remedy);
            return Vec::new();
        };
        let item = |(index, value)| Self::new(self.report, value, self.item_key(index));
        items.iter().enumerate().map(item).collect()
    }

    /// The keys and values of a table whose keys are anybody's, each at its own place; when it is no table, it
    /// is reported and there are none.
    pub fn entries(&self, remedy: &str) -> Vec<(&'d str, Self)> {
        let Some(entries) = self.table(remedy) else {
            return Vec::new();
        };
        let entry = |(key, value): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let name: &'d std::borrow::Cow<'d, str> = key.get_ref();
            let path = format!("{}.{}", self.at.key, written_key(name));
            let mut value = Self::new(self.report, value, path);
            value.at.offset = key.span().start;
            (name.as_ref(), value)
        };
        entries.iter().map(entry).collect()
    }

    /// Whether this is a list without items.
    pub fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|items| items.is_empty())
    }

    /// A table; `remedy` says how it would be written.
    pub fn table(&self, remedy: &str) -> Option<&'d DeTable<'d>> {
        self.table_quietly()
            .or_else(|| self.wrong_type("a table", remedy))
    }

    /// A table, or `None` without a report.
    pub fn table_quietly(&self) -> Option<&'d DeTable<'d>> {
        self.value.as_table()
    }

    fn item_key(&self, index: usize) -> String {
        format!("{}[{index}]", self.at.key)
    }

    fn wrong_type<T>(&self, wanted: &str, remedy: &str) -> Option<T> {
        let is = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("the value is {is}, {wanted} is needed");
        self.refuse(ErrorKind::WrongType, message, remedy)
    }
}

/// A key as it is written: in quotes where it must be.
pub(super) fn written_key(key: &str) -> String {
    let is_bare = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    match !key.is_empty() && key.bytes().all(is_bare) {
        true => key.to_owned(),
        false => format!("\"{}\"", key.escape_debug()),
    }
}

/// The longest IPv6 prefix that is told apart.
const MAX_V6_PREFIX: u8 = 64;

/// What `address` is instead of a unicast address that hosts elsewhere may reach.
fn not_unicast_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("nobody's address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_unicast_link_local() {
        Some("a link-local address, which clients elsewhere can't reach")
    } else if address.to_ipv4_mapped().is_some() {
        Some("an IPv4 address in IPv6 form, which clients can't reach by IPv6")
    } else {
        None
    }
}

/// What `address` is instead of a unicast address that a host may have.
fn not_unicast(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets()[0] {
        0 => Some("in 0.0.0.0/8, which means \"this host\" and is nobody's address"),
        224..=239 => Some("a multicast address"),
        _ if address.is_broadcast() => Some("the broadcast address"),
        240..=255 => Some("in 240.0.0.0/4, which is reserved"),
        _ => None,
    }
}
