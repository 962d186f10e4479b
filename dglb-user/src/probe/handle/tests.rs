//! With scripts in the place of the probing process: they can be as wrong as we like. The real one is
//! started by the test in `dglb-user/tests/`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use super::*;
use crate::probe::{
    failure::{Failure, MAX_TEXT},
    message::{SiteLoad, Success},
};

/// Never reached by a test that passes.
const AMPLE: Duration = Duration::from_secs(60);

const DONE: &str =
    r#"{"done":{"target":7,"started_ns":1,"ended_ns":2,"outcome":{"Err":"refused"}}}"#;

/// A program that does what `script` says; its standard input is the socket, and so is descriptor 3.
struct Script {
    program: Program,
    _directory: TempDir,
}

impl Script {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("script");
        // The octet that comes with the ICMP sockets is no line.
        let text = format!(
            "#!/bin/bash\ncd {}\nread -rN1 -u0\nexec 3>&0\n{script}\n",
            directory.path().display()
        );
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        Self {
            program: Program {
                path,
                user: "nobody".into(),
                concurrency: 1,
                ca_file: None,
            },
            _directory: directory,
        }
    }

    fn start(&self, patience: Duration) -> Handle {
        start_with(self.program.clone(), patience, CancellationToken::new())
    }
}

async fn next(handle: &mut Handle) -> FromProber {
    let next = timeout(AMPLE, handle.results.recv()).await;
    next.expect("in time").expect("it runs")
}

async fn reason(handle: &mut Handle) -> String {
    match next(handle).await {
        FromProber::Down { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn results_are_passed_on_and_its_end_is_told_and_another_one_is_started() {
    let script = Script::new(&format!("echo >&3; echo '{DONE}' >&3; exit 3"));
    let mut handle = script.start(AMPLE);
    for _ in 0..2 {
        assert_eq!(next(&mut handle).await, FromProber::Up);
        let done = FromProber::Done {
            target: 7,
            started_ns: 1,
            ended_ns: 2,
            outcome: Err(Failure::Refused),
        };
        assert_eq!(next(&mut handle).await, done);
        assert_eq!(reason(&mut handle).await, "exit status: 3");
    }
}

#[tokio::test]
async fn one_that_is_killed_is_another_one_soon() {
    let script = Script::new("echo >&3; kill -9 $$");
    let mut handle = script.start(AMPLE);
    for _ in 0..2 {
        assert_eq!(next(&mut handle).await, FromProber::Up);
        let reason = reason(&mut handle).await;
        assert!(reason.contains("signal: 9"), "{reason}");
    }
}

#[tokio::test]
async fn one_that_ends_before_a_sign_of_life_was_never_up() {
    let script = Script::new("exit 1");
    let mut handle = script.start(AMPLE);
    assert_eq!(reason(&mut handle).await, "exit status: 1");
    assert_eq!(reason(&mut handle).await, "exit status: 1");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told() {
    let mut script = Script::new("");
    script.program.path = "/nowhere/dglb".into();
    let mut handle = script.start(AMPLE);
    let reason = reason(&mut handle).await;
    assert!(
        reason.contains("/nowhere/dglb can't be started"),
        "{reason}"
    );
}

/// Whoever talks rubbish is ended though it would go on.
#[tokio::test]
async fn rubbish_ends_it() {
    let long = "x".repeat(MAX_LINE + 1);
    let text = "x".repeat(MAX_TEXT + 1);
    for (line, said) in [
        ("hello", "expected value"),
        ("{}", "expected value"),
        (r#"{"boast":{"target":7}}"#, "unknown variant"),
        (r#"{"done":{"target":7}}"#, "missing field"),
        (
            r#"{"done":{"target":-7,"started_ns":1,"ended_ns":2,"outcome":{"Err":"refused"}}}"#,
            "invalid value",
        ),
        (r#""up""#, "up or down"),
        (r#"{"down":{"reason":"x"}}"#, "up or down"),
        (
            r#"{"done":{"target":7,"started_ns":3,"ended_ns":2,"outcome":{"Err":"refused"}}}"#,
            "before it began",
        ),
        (
            r#"{"done":{"target":7,"started_ns":1,"ended_ns":2,"outcome":{"Ok":{"times":{"total_us":1},"load":{"load":-1}}}}}"#,
            "can't be",
        ),
        (
            &format!(
                r#"{{"done":{{"target":7,"started_ns":1,"ended_ns":2,"outcome":{{"Err":{{"tls":"{text}"}}}}}}}}"#
            ),
            "can't be",
        ),
        (&long, "max line length"),
        ("\u{1b}[31m", "expected value"),
    ] {
        let script = Script::new("echo >&3; cat rubbish >&3; exec sleep 1000");
        let directory = script.program.path.parent().expect("its directory");
        fs::write(directory.join("rubbish"), format!("{line}\n")).expect("written");
        let mut handle = script.start(AMPLE);
        assert_eq!(next(&mut handle).await, FromProber::Up);
        let reason = reason(&mut handle).await;
        let begin = &line[..line.len().min(60)];
        assert!(
            reason.contains("it said what it can't") && reason.contains(said),
            "{reason}, of {begin:?}"
        );
    }
}

#[tokio::test]
async fn rubbish_from_the_first_word_on_is_never_up() {
    let script = Script::new("exec yes rubbish >&3");
    let mut handle = script.start(AMPLE);
    for _ in 0..2 {
        let reason = reason(&mut handle).await;
        assert!(reason.contains("it said what it can't"), "{reason}");
    }
}

#[tokio::test]
async fn one_that_is_stuck_is_ended() {
    let script = Script::new("exec sleep 1000");
    let mut handle = script.start(Duration::from_millis(500));
    assert_eq!(reason(&mut handle).await, "it has said nothing for 500ms");
    let script = Script::new("echo >&3; exec sleep 1000");
    let mut handle = script.start(Duration::from_secs(2));
    assert_eq!(next(&mut handle).await, FromProber::Up);
    assert_eq!(reason(&mut handle).await, "it has said nothing for 2s");
}

/// Also one that neither reads nor ends by itself.
#[tokio::test]
async fn a_stop_kills_and_reaps_it() {
    let script = Script::new("trap '' TERM; echo $$ > id; echo >&3; while :; do sleep 1; done");
    let stop = CancellationToken::new();
    let mut handle = start_with(script.program.clone(), AMPLE, stop.clone());
    assert_eq!(next(&mut handle).await, FromProber::Up);
    let directory = script.program.path.parent().expect("its directory");
    let id = fs::read_to_string(directory.join("id")).expect("it was written before");
    let entry = PathBuf::from(format!("/proc/{}", id.trim()));
    assert!(entry.exists());
    stop.cancel();
    timeout(AMPLE, handle.task)
        .await
        .expect("in time")
        .expect("it ends");
    assert!(!entry.exists(), "it would be there, as a zombie at least");
}

/// Nobody takes results and the process takes no orders: nothing is lost, and it goes on when somebody does.
#[tokio::test]
async fn full_in_both_directions_it_goes_on_when_results_are_taken() {
    const RESULTS: usize = 20_000;
    let script = Script::new(&format!(
        "echo >&3; yes '{DONE}' | head -n {RESULTS} >&3; while read -r line; do echo >&3; done; exec sleep 1000"
    ));
    let mut handle = script.start(AMPLE);
    assert_eq!(next(&mut handle).await, FromProber::Up);
    // More than channel and socket hold, while no result is taken.
    let orders = handle.orders.clone();
    let ordering = tokio::spawn(async move {
        for target in 0..50_000 {
            orders
                .send(ToProber::Probe { target })
                .await
                .expect("it runs");
        }
    });
    while handle.results.len() < UNDER_WAY || handle.orders.capacity() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..RESULTS {
        assert!(matches!(
            next(&mut handle).await,
            FromProber::Done { target: 7, .. }
        ));
    }
    timeout(AMPLE, ordering)
        .await
        .expect("in time")
        .expect("all were taken");
}

/// What was ordered of one that is gone is not done by the next, though its end was not known then.
#[tokio::test]
async fn orders_for_the_dead_are_forgotten() {
    // The first ends at once; the second repeats what it is told.
    let script = Script::new(
        "echo >&3; if [ ! -e second ]; then touch second; exit 0; fi
         while read -r line; do echo \"$line\" > told; echo >&3; done",
    );
    let mut handle = script.start(AMPLE);
    assert_eq!(next(&mut handle).await, FromProber::Up);
    // Its end lies in the channel; whoever gives orders has not looked yet, for longer than the pause.
    while handle.results.is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(5 * FIRST_PAUSE).await;
    handle
        .orders
        .send(ToProber::Probe { target: 1 })
        .await
        .expect("it runs");
    assert_eq!(reason(&mut handle).await, "exit status: 0");
    assert_eq!(next(&mut handle).await, FromProber::Up);
    handle
        .orders
        .send(ToProber::Probe { target: 2 })
        .await
        .expect("it runs");
    let told = script.program.path.with_file_name("told");
    let told = timeout(AMPLE, async {
        loop {
            match fs::read_to_string(&told) {
                Ok(told) if told.ends_with('\n') => return told,
                Ok(_) | Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let told = told.await.expect("in time");
    assert_eq!(
        told, "{\"probe\":{\"target\":2}}\n",
        "the first that it was told"
    );
}

#[test]
fn what_the_process_says_is_understood() {
    let success = Success {
        load: Some(SiteLoad {
            load: Some(0.0),
            ..SiteLoad::default()
        }),
        ..Success::default()
    };
    for outcome in [Ok(success), Err(Failure::Tls("no".into()).bounded())] {
        let done = FromProber::Done {
            target: u32::MAX,
            started_ns: 5,
            ended_ns: 5,
            outcome,
        };
        let line = serde_json::to_string(&done).expect("JSON");
        assert_eq!(understood(&line), Ok(done));
    }
}
