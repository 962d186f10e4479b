//! Both ends over a real socket.

use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    client::{self, AskError},
    protocol::{Reply, Request},
    server::{self, BindError, Peer},
};
use crate::{
    config::{Config, Node},
    policy::OverrideKind,
};

/// A node whose socket stands in a directory of its own.
fn node() -> (Node, TempDir) {
    let text = include_str!("../../../docs/examples/dns-b.toml");
    let config = Config::from_text("node.toml", text).expect("an example");
    let directory = tempfile::tempdir().expect("a directory");
    let mut node = config.node;
    node.run_dir = directory.path().join("run");
    (node, directory)
}

type Asked = Arc<Mutex<Vec<(Request, Peer)>>>;

/// A daemon that says what it was asked, and puts it down.
async fn daemon(node: &Node, stop: &CancellationToken) -> (JoinHandle<()>, Asked) {
    let asked = Asked::default();
    let bound = server::bind(node).expect("a socket");
    let told = Arc::clone(&asked);
    let handle = move |request: Request, peer| {
        told.lock().expect("no panic").push((request.clone(), peer));
        async move {
            match request {
                Request::Reload => Reply::Error("dglb.toml:3: node.name: empty".to_owned()),
                other => Reply::Done(other.to_string()),
            }
        }
    };
    let served = bound.serve(handle, stop.clone());
    let task = tokio::spawn(async move { served.await.expect("it serves") });
    // On this one thread it listens now.
    tokio::task::yield_now().await;
    (task, asked)
}

/// Asks from another thread, as commands do from another process.
async fn ask(node: &Node, request: Request) -> Result<Reply, AskError> {
    let node = node.clone();
    tokio::task::spawn_blocking(move || client::ask(&node, &request))
        .await
        .expect("no panic")
}

/// Says octets and gives what comes back.
async fn say(node: &Node, octets: Vec<u8>) -> String {
    let path = super::path(node);
    let said = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).expect("connected");
        stream.write_all(&octets).expect("written");
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        String::from_utf8(said).expect("text")
    });
    said.await.expect("no panic")
}

fn drain(reason: &str, for_: Option<Duration>) -> Request {
    Request::Override {
        site: "tokyo".to_owned(),
        service: Some("www.foo.com".to_owned()),
        kind: Some(OverrideKind::Drained),
        reason: reason.to_owned(),
        for_,
    }
}

#[tokio::test]
async fn a_request_gets_its_reply_and_the_peer_is_known() {
    let (node, _directory) = node();
    let stop = CancellationToken::new();
    let (task, asked) = daemon(&node, &stop).await;
    let request = drain("new disks", Some(Duration::from_secs(7200)));
    let reply = ask(&node, request.clone()).await.expect("a reply");
    let words = "drain tokyo of www.foo.com for 2h: new disks";
    assert_eq!(reply, Reply::Done(words.to_owned()));
    let own = Peer {
        uid: rustix::process::geteuid().as_raw(),
        pid: Some(std::process::id() as i32),
    };
    assert_eq!(*asked.lock().expect("no panic"), [(request, own)]);

    let refused = ask(&node, Request::Reload).await.expect_err("refused");
    assert!(matches!(&refused, AskError::Refused(words) if words.contains("node.name: empty")));

    stop.cancel();
    task.await.expect("it ends");
    assert!(!super::path(&node).exists());
}

#[tokio::test]
async fn nobody_there_is_said_in_words() {
    let (node, _directory) = node();
    let error = ask(&node, Request::Status).await.expect_err("nobody");
    assert!(
        error.to_string().contains("`dglb run` starts it"),
        "{error}"
    );
    // Bound, but the node is not in service yet.
    let bound = server::bind(&node).expect("a socket");
    let error = ask(&node, Request::Status).await.expect_err("nobody yet");
    assert!(matches!(error, AskError::NoDaemon { .. }), "{error}");
    drop(bound);
    assert!(!super::path(&node).exists(), "it goes with who bound it");
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_in_nobody_s_way() {
    let (node, _directory) = node();
    std::fs::create_dir_all(&node.run_dir).expect("made");
    let left = std::os::unix::net::UnixListener::bind(super::path(&node)).expect("bound");
    server::remove_left(&node);
    assert!(super::path(&node).exists(), "that of a living one stays");
    drop(left);
    let bound = server::bind(&node).expect("taken over");
    drop(bound);
    let left = std::os::unix::net::UnixListener::bind(super::path(&node)).expect("bound");
    drop(left);
    server::remove_left(&node);
    assert!(!super::path(&node).exists());
}

#[tokio::test]
async fn the_socket_is_root_s_or_the_group_s_from_its_first_moment() {
    let (mut node, _directory) = node();
    let mode = |node: &Node| {
        let metadata = std::fs::metadata(super::path(node)).expect("there");
        metadata.permissions().mode() & 0o777
    };
    let bound = server::bind(&node).expect("a socket");
    assert_eq!(mode(&node), 0o600);
    drop(bound);

    node.control_group = Some("no-such-group".to_owned());
    let error = server::bind(&node).expect_err("unknown");
    assert!(matches!(&error, BindError::NoGroup(name) if name == "no-such-group"));
    assert!(error.to_string().contains("groupadd"), "{error}");
    assert!(!super::path(&node).exists());

    // The own group: it may be given to a file by anybody.
    let own = nix::unistd::Group::from_gid(nix::unistd::getegid());
    let own = own.expect("looked up").expect("this process has a group");
    node.control_group = Some(own.name);
    let bound = server::bind(&node).expect("a socket");
    assert_eq!(mode(&node), 0o660);
    drop(bound);
}

#[tokio::test]
async fn what_is_not_understood_is_answered_in_words() {
    let (node, _directory) = node();
    let stop = CancellationToken::new();
    let (_task, asked) = daemon(&node, &stop).await;
    for (said, expected) in [
        (&b"{\"command\":\"dance\"}\n"[..], "unknown variant `dance`"),
        (b"not json\n", "does not understand"),
        (b"\n", "does not understand"),
        (b"{\"command\":\"override\"}\n", "missing field `site`"),
    ] {
        let reply = say(&node, said.to_vec()).await;
        assert!(reply.starts_with("{\"error\":"), "{reply}");
        assert!(
            reply.contains(expected) && reply.ends_with("}\n"),
            "{reply}"
        );
    }
    let endless = say(&node, vec![b' '; super::MAX_REQUEST]).await;
    assert!(endless.contains("at most 65536 octets"), "{endless}");
    for (request, expected) in [
        (drain("", None), "needs a reason"),
        (drain("a\u{1b}[2Jb", None), "control characters"),
        (drain(&"x".repeat(201), None), "201 characters"),
        (drain("x", Some(Duration::ZERO)), "from 1s"),
        (drain("x", Some(Duration::MAX)), "to 366days"),
    ] {
        let error = ask(&node, request).await.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(asked.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_reply_of_another_version_is_said_to_be_one() {
    let (node, _directory) = node();
    for said in ["{\"rainbow\":1}\n", "not json\n", ""] {
        std::fs::create_dir_all(&node.run_dir).expect("made");
        let path = super::path(&node);
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let other = tokio::task::spawn_blocking(move || {
            let (mut stream, _) = listener.accept().expect("somebody");
            stream.write_all(said.as_bytes()).expect("written");
        });
        let error = ask(&node, Request::Status).await.expect_err("nonsense");
        other.await.expect("no panic");
        std::fs::remove_file(path).expect("removed");
        let is_understood = matches!(error, AskError::NotUnderstood { .. })
            // Nothing was said and the request was not read.
            || matches!(error, AskError::Failed { .. }) && said.is_empty();
        assert!(is_understood, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_told_so_and_holds_no_place_for_long() {
    let (node, _directory) = node();
    let stop = CancellationToken::new();
    let (_task, _) = daemon(&node, &stop).await;
    // More than have a place at once: the last ones wait for the patience with the first to be over.
    let mut silent = Vec::new();
    for _ in 0..40 {
        let connected = tokio::net::UnixStream::connect(super::path(&node)).await;
        silent.push(connected.expect("connected"));
    }
    for mut stream in silent {
        let mut said = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said)
            .await
            .expect("told");
        assert!(said.contains("no request came within 5 s"), "{said}");
    }
}
