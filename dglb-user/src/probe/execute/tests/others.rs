//! TCP, ICMP, commands.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::TcpListener;

use super::{Outcome, get};
use crate::probe::{
    descriptors,
    execute::{Executor, Preparer, icmp::Pinger},
    failure::Failure,
    spec::{Kind, Spec},
};

const AMPLE_MS: u32 = 60_000;

fn spec(address: IpAddr, timeout_ms: u32, kind: Kind) -> Spec {
    Spec {
        address,
        timeout_ms,
        kind,
    }
}

#[tokio::test]
async fn a_tcp_connection_is_a_success_over_both_families() {
    for address in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ] {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let success = get(spec(address, AMPLE_MS, Kind::Tcp { port }))
            .await
            .expect("connected");
        assert!(success.times.connect_us.is_some());
        drop(listener);
        let outcome = get(spec(address, AMPLE_MS, Kind::Tcp { port })).await;
        assert_eq!(outcome, Err(Failure::Refused));
    }
}

async fn ping(address: &str, timeout_ms: u32) -> Outcome {
    let [v4, v6] = descriptors::open();
    let executor = Executor::new(None, Pinger::new(v4, v6).expect("a runtime"));
    let spec = spec(address.parse().unwrap(), timeout_ms, Kind::Icmp);
    executor.execute(&Preparer::default().prepare(spec)).await
}

#[tokio::test]
async fn an_echo_comes_back_over_both_families() {
    for address in ["127.0.0.1", "::1"] {
        let outcome = ping(address, AMPLE_MS).await;
        if !rustix::process::geteuid().is_root() {
            assert!(matches!(outcome, Err(Failure::Local(_))), "{outcome:?}");
            continue;
        }
        let times = outcome.expect(address).times;
        assert!(times.connect_us.expect("a round trip") <= times.total_us);
    }
}

#[tokio::test]
async fn without_sockets_an_echo_is_trouble_of_this_host() {
    let outcome = get(spec(Ipv4Addr::LOCALHOST.into(), AMPLE_MS, Kind::Icmp)).await;
    assert!(matches!(outcome, Err(Failure::Local(text)) if text.contains("CAP_NET_RAW")));
}

async fn command(words: &[&str], timeout_ms: u32) -> Outcome {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    get(spec(
        Ipv4Addr::LOCALHOST.into(),
        timeout_ms,
        Kind::Command(words),
    ))
    .await
}

#[tokio::test]
async fn a_command_s_exit_code_decides() {
    assert!(command(&["/bin/true"], AMPLE_MS).await.is_ok());
    let failed = |text: &str| Err(Failure::Command(text.into()));
    assert_eq!(
        command(&["/bin/false"], AMPLE_MS).await,
        failed("exit code 1")
    );
    assert_eq!(
        command(&["/bin/sh", "-c", "exit 42"], AMPLE_MS).await,
        failed("exit code 42")
    );
    assert_eq!(
        command(&["/bin/sh", "-c", "kill -9 $$"], AMPLE_MS).await,
        failed("signal 9")
    );
    let absent = command(&["/nowhere/check"], AMPLE_MS).await;
    assert!(matches!(absent, Err(Failure::Local(text)) if text.contains("/nowhere/check")));
}

#[tokio::test]
async fn a_command_sees_no_environment_and_no_shell_and_may_say_what_it_likes() {
    let script = "test -z \"$HOME\" && test -n \"$PATH\" && ! read line && yes | head -c 100000";
    assert!(command(&["/bin/sh", "-c", script], AMPLE_MS).await.is_ok());
    assert!(
        command(&["/bin/test", "$HOME", "=", "$HOME"], AMPLE_MS)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("children");
    let script = format!("sleep 1000 & echo $! > {}; wait", mark.display());
    let outcome = command(&["/bin/sh", "-c", &script], 700).await;
    assert_eq!(outcome, Err(Failure::TimedOut));
    let child: String = std::fs::read_to_string(&mark).expect("it was started");
    let status = std::path::PathBuf::from(format!("/proc/{}/stat", child.trim()));
    // A killed process may be a zombie until it is reaped.
    loop {
        match std::fs::read_to_string(&status) {
            Ok(stat) if !stat.contains(") Z") => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            Ok(_) | Err(_) => break,
        }
    }
}
