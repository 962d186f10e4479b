//! Reads names: owner names of the DNS, and the names of nodes and interfaces.

use super::{error::ErrorKind, report::Found, value::Value};
use crate::{label::Label, name::OwnerName};

/// An owner name of any kind.
pub(super) fn owner_name(value: Value<'_>) -> Option<Found<OwnerName>> {
    let text = value.text()?;
    match text.parse::<OwnerName>() {
        Ok(name) => Some(value.found(name)),
        Err(error) => value.refuse(
            ErrorKind::BadForm,
            error.to_string(),
            "write a domain name like \"www.example.com\": labels of 1 to 63 octets, 255 in all",
        ),
    }
}

/// The name of something that this system answers for: no wildcard, not the root, and no label in
/// the form that is reserved for DNS-LBs.
pub(super) fn served_name(value: Value<'_>) -> Option<Found<OwnerName>> {
    let name = owner_name(value.clone())?;
    let labels = || name.value.labels();
    if name.value.label_count() == 0 {
        return value.refuse(
            ErrorKind::OutOfRange,
            "the root is not a name that could be delegated to this node",
            "write the name below the root that is meant",
        );
    }
    if labels().any(|label| label == b"*") {
        return value.refuse(
            ErrorKind::OutOfRange,
            format!("{} is a wildcard, which is not supported", name.value),
            "write each name out; whatever lies below a balanced name is answered with it",
        );
    }
    if let Some(label) = labels().find(|label| Label::is_reserved_form(label)) {
        return value.refuse(
            ErrorKind::OutOfRange,
            format!(
                "the label \"{}\" has the form \"lb\" + 13 characters of 0-9 and a-v, which is \
                 reserved for the labels of DNS-LBs",
                String::from_utf8_lossy(label)
            ),
            "choose another label, for instance a longer one",
        );
    }
    Some(name)
}

/// The mailbox of an SOA record, written as a name.
pub(super) fn mailbox(value: Value<'_>) -> Option<OwnerName> {
    let text = value.text()?;
    if let Some((local, domain)) = text.split_once('@') {
        return value.refuse(
            ErrorKind::BadForm,
            format!("\"{}\" has an \"@\"", text.escape_debug()),
            format!(
                "an SOA record has a dot in its place (RFC 1035 §3.3.13): \"{}.{}\"",
                local.replace('.', "\\.").escape_default(),
                domain.escape_default()
            ),
        );
    }
    Some(owner_name(value)?.value)
}

/// A node's name, in lower case: a host name as RFC 1123 §2.1 has it.
pub(super) fn node_name(value: Value<'_>) -> Option<Found<String>> {
    let text = value.text()?;
    let why = if text.is_empty() {
        "it is empty"
    } else if text.ends_with('.') {
        "it ends in a dot, which would be another text and so another label"
    } else if text.len() > 253 {
        "it has more than 253 characters"
    } else if text.parse::<std::net::Ipv4Addr>().is_ok() {
        "it is an address"
    } else if !text.split('.').all(is_host_label) {
        "a label has 1 to 63 letters, digits and hyphens, no hyphen first or last"
    } else {
        return Some(value.found(text.to_ascii_lowercase()));
    };
    value.refuse(
        ErrorKind::BadForm,
        format!("\"{}\" is not a host name: {why}", text.escape_debug()),
        "write a name like \"lb1.isp1.example\"",
    )
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

/// Whose name is meant.
#[derive(Clone, Copy)]
pub(super) enum Account {
    /// A user's.
    User,
    /// A group's.
    Group,
}

/// The name of a user or a group of the system; whether there is one is the machine's business.
pub(super) fn account(value: &Value<'_>, whose: Account) -> Option<String> {
    let text = value.text()?;
    let fits = (1..=32).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b':' | b'/' | b','));
    if fits {
        return Some(text.to_owned());
    }
    let (what, database) = match whose {
        Account::User => ("user", "passwd"),
        Account::Group => ("group", "group"),
    };
    value.refuse(
        ErrorKind::BadForm,
        format!("\"{}\" is not the name of a {what}", text.escape_debug()),
        format!(
            "write 1 to 32 visible characters without \":\", \"/\" or \",\"; `getent {database}` lists \
             them"
        ),
    )
}

/// Characters that a name for people may have, so that it fits on a line of output.
const MAX_NAME: usize = 63;

/// A name that only people read, of a site, a tier, a region, a tag or a profile; `what` is which.
pub(super) fn for_people<'d>(value: Value<'d>, what: &str) -> Option<Found<&'d str>> {
    let name = value.found_text()?;
    let length = name.value.chars().count();
    if (1..=MAX_NAME).contains(&length) && !name.value.contains(char::is_control) {
        return Some(name);
    }
    value.refuse(
        ErrorKind::BadForm,
        format!(
            "\"{}\" can't be the name of a {what}",
            name.value.escape_debug()
        ),
        format!("write 1 to {MAX_NAME} characters, no control characters"),
    )
}

/// A network interface's name, as the kernel allows it (`dev_valid_name` in net/core/dev.c).
pub(super) fn interface(value: Value<'_>) -> Option<Found<String>> {
    let text = value.text()?;
    let valid = (1..=15).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.contains(['/', ':', '\0'])
        && !text.contains(char::is_whitespace);
    if valid {
        return Some(value.found(text.to_owned()));
    }
    value.refuse(
        ErrorKind::BadForm,
        format!(
            "\"{}\" is not the name of a network interface",
            text.escape_debug()
        ),
        "write 1 to 15 characters without \"/\", \":\" or white space, like \"eth0\"; `ip link` \
         lists them",
    )
}
