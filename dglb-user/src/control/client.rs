//! The commands' end of the control socket.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use super::{
    MAX_REPLY,
    protocol::{Reply, Request},
};
use crate::{
    config::Node,
    name::{NameError, OwnerName},
};

/// How long the daemon may take, longer than it gives its own handler.
const PATIENCE: Duration = Duration::from_secs(75);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers at the socket.
    #[error("no daemon of {node} runs, or it is still starting: {path} is not answered (`dglb run` starts it)", path = path.display())]
    NoDaemon {
        /// The node's name.
        node: String,
        /// Of the socket.
        path: PathBuf,
    },
    /// The socket is not this user's to open.
    #[error("{path}: no rights: run as {who}", path = path.display())]
    NoRights {
        /// Of the socket.
        path: PathBuf,
        /// Who has them.
        who: String,
    },
    /// The daemon says why not.
    #[error("{0}")]
    Refused(String),
    /// The daemon says something that this command does not understand.
    #[error("the daemon at {path} answers what this command (dglb {version}) does not understand: {what}; is it of another version?", path = path.display(), version = env!("CARGO_PKG_VERSION"))]
    NotUnderstood {
        /// Of the socket.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The connection failed.
    #[error("{path}: the daemon can't be asked: {source}", path = path.display())]
    Failed {
        /// Of the socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Asks the daemon of `node`.
///
/// # Errors
/// [`AskError`]; what the daemon refuses is [`AskError::Refused`], never a [`Reply::Error`].
pub fn ask(node: &Node, request: &Request) -> Result<Reply, AskError> {
    let path = super::path(node);
    let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NoDaemon {
            node: node.name.clone(),
            path: path.clone(),
        },
        io::ErrorKind::PermissionDenied => AskError::NoRights {
            path: path.clone(),
            who: match &node.control_group {
                Some(group) => format!("root, or as a member of the group \"{group}\""),
                None => "root (node.control_group names a group that may too)".to_owned(),
            },
        },
        _ => AskError::Failed {
            path: path.clone(),
            source,
        },
    })?;
    let said = converse(stream, request).map_err(|source| AskError::Failed {
        path: path.clone(),
        source,
    })?;
    let not_understood = |what: String| AskError::NotUnderstood {
        path: path.clone(),
        what,
    };
    if said.is_empty() {
        return Err(not_understood("nothing at all".to_owned()));
    }
    match serde_json::from_slice(&said) {
        Ok(Reply::Error(words)) => Err(AskError::Refused(words)),
        Ok(reply) => Ok(reply),
        Err(error) => Err(not_understood(error.to_string())),
    }
}

fn converse(mut stream: UnixStream, request: &Request) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // It may have answered and closed without reading all: what it said counts.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut said = Vec::new();
    match stream.take(MAX_REPLY).read_to_end(&mut said) {
        // Closed with part of the request unread (ECONNRESET), and a whole line said before.
        Err(error) if said.last() != Some(&b'\n') => Err(error),
        _ => Ok(said),
    }
}

/// A balanced name as requests have it: small letters, without the dot at the end.
///
/// # Errors
/// It is no name.
pub fn service(text: Option<&str>) -> Result<Option<String>, NameError> {
    let name = text.map(str::parse::<OwnerName>).transpose()?;
    Ok(name.map(|name| name.without_dot()))
}

/// For a reply that is none to what was asked.
pub fn unexpected(node: &Node, reply: &Reply) -> AskError {
    let kind = match reply {
        Reply::Status(_) => "a status",
        Reply::Sites(_) => "sites",
        Reply::Explain(_) => "an explanation",
        Reply::History(_) => "a history",
        Reply::Done(_) => "that it is done",
        Reply::Error(_) => "an error",
    };
    AskError::NotUnderstood {
        path: super::path(node),
        what: format!("{kind}, which was not asked for"),
    }
}

/// For a reply of the right kind with something else in it.
pub fn not_understood(node: &Node, what: &serde_json::Error) -> AskError {
    AskError::NotUnderstood {
        path: super::path(node),
        what: what.to_string(),
    }
}
