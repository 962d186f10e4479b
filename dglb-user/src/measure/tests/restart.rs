//! What one engine leaves to the next: by the store, or by hand at a reload.

use super::*;
use crate::config::Overflow;

fn open(directory: &tempfile::TempDir) -> Store {
    loop {
        // The thread that writes may hold the file for a moment.
        match Store::open(directory.path(), "lb1") {
            Ok(store) => return store,
            Err(StoreError::InUse(_)) => std::thread::sleep(MS),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_is_on_the_disk_when_its_operator_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let carried = Carried::of(Some(open(&directory)));
    let mut world = start_with(config(), &near_and_far(), carried);
    world.first().await;
    let said = world
        .order(Some(OverrideKind::Drained), Some(3600 * SECOND))
        .await;
    assert!(matches!(said, Reply::Done(_)), "{said:?}");
    world.engine.abort();
    let _ = world.engine.await;
    let carried = Carried::of(Some(open(&directory)));
    let mut world = start_with(config(), &near_and_far(), carried);
    world.first().await;
    assert_eq!(world.answered(0), [1]);
    let order = world.sites().await.remove(0).overridden.expect("drained");
    assert_eq!(
        (order.kind, order.reason.as_str()),
        (OverrideKind::Drained, "new discs")
    );
    assert!(order.until.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_taken_back_finds_all_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let before = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let other = || dns_lb(vec![service("other.example.com", &["192.0.2.9"])], 64);
    let carried = Carried::of(Some(open(&directory)));
    let mut world = start_with(before(), &near_and_far(), carried);
    world.first().await;
    world.set(TWO[1], Manner::Refuses);
    world.watch(100 * SECOND).await;
    let views = world.sites().await;
    let carried = world.end().await;
    let mut world = start_with(other(), &[("192.0.2.9", Manner::Answers(MS))], carried);
    world.first().await;
    let carried = world.end().await;
    // Nobody could be probed: what is known is from before.
    let manners = TWO.map(|address| (address, Manner::CannotBeAsked));
    let begin = Instant::now();
    let mut world = start_with(before(), &manners, carried);
    world.first().await;
    assert!(begin.elapsed() < SECOND);
    for (before, after) in views.iter().zip(&world.sites().await) {
        assert_eq!(before.latency_ms, after.latency_ms);
        assert_eq!((before.state, &before.reason), (after.state, &after.reason));
        assert_eq!(before.successes, after.successes);
    }
}

/// The shares of the sites, percent.
async fn shares(world: &World) -> Vec<f64> {
    let sites = world.sites().await;
    let shares = sites.iter().map(|site| site.share_percent.round());
    shares.collect()
}

#[tokio::test(start_paused = true)]
async fn an_overflow_goes_on_after_a_reload() {
    let mut config = service("www.example.com", &TWO);
    config.policy.overflow = Some(Overflow {
        from: 80.0,
        full: 100.0,
        step: 10.0,
    });
    let config = || dns_lb(vec![config.clone()], 64);
    let manners = [
        (TWO[0], Manner::Loaded(95.0)),
        (TWO[1], Manner::Answers(80 * MS)),
    ];
    let mut world = start_with(config(), &manners, Carried::default());
    world.first().await;
    // Long enough for a clock that begins anew to be far behind.
    world.watch(20 * 3600 * SECOND).await;
    assert_eq!(shares(&world).await, [30.0, 70.0]);
    let carried = world.end().await;
    let manners = [
        (TWO[0], Manner::Loaded(10.0)),
        (TWO[1], Manner::Answers(80 * MS)),
    ];
    let mut world = start_with(config(), &manners, carried);
    world.first().await;
    assert_eq!(shares(&world).await, [30.0, 70.0], "as it was");
    world.watch(600 * SECOND).await;
    assert_eq!(shares(&world).await, [100.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_that_is_over_does_not_begin_anew_with_a_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = service("www.example.com", &TWO);
    config.policy.ramp = 600 * SECOND;
    let config = || dns_lb(vec![config.clone()], 64);
    let carried = Carried::of(Some(open(&directory)));
    let mut world = start_with(config(), &near_and_far(), carried);
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(60 * SECOND).await;
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(120 * SECOND).await;
    let part = shares(&world).await[0];
    assert!((10.0..=40.0).contains(&part), "{part} %");
    world.watch(700 * SECOND).await;
    assert_eq!(shares(&world).await, [100.0, 0.0]);
    drop(world.end().await);
    let carried = Carried::of(Some(open(&directory)));
    let mut world = start_with(config(), &near_and_far(), carried);
    world.first().await;
    // The system's clock did not go on by as much as the paused one: it came back a few seconds ago, for all that
    // this engine can know.
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [0, 1]);
    drop(world.end().await);
}

#[tokio::test(start_paused = true)]
async fn state_and_orders_survive_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Carried::of(Some(Store::open(directory.path(), "lb1").expect("opened")));
    let config = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let mut world = start_with(config(), &near_and_far(), open());
    world.first().await;
    world.set(TWO[1], Manner::Refuses);
    world.watch(60 * SECOND).await;
    world.order(Some(OverrideKind::Drained), None).await;
    world.watch(SECOND).await;
    let before = world.sites().await;
    drop(world.end().await);

    // Nobody can be probed at the next start: all that is known is from before.
    let mut world = start_with(config(), &[], open());
    let begin = Instant::now();
    world
        .results
        .send(FromProber::Down {
            reason: "test".into(),
        })
        .await
        .expect("it runs");
    world.first().await;
    assert!(begin.elapsed() < SECOND, "what is known is served at once");
    let after = world.sites().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.latency_ms, after.latency_ms);
        assert_eq!((before.state, &before.reason), (after.state, &after.reason));
        assert_eq!(before.overridden, after.overridden);
    }
    assert_eq!(after[0].state, State::Drained);
    assert_eq!(after[1].state, State::Down);
}

#[tokio::test(start_paused = true)]
async fn a_state_survives_an_end_that_nobody_announced() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Carried::of(Some(Store::open(directory.path(), "lb1").expect("opened")));
    let config = || dns_lb(vec![service("www.example.com", &TWO)], 64);
    let mut world = start_with(config(), &near_and_far(), open());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(60 * SECOND).await;
    // What is written is written by threads that the paused clock does not know.
    for _ in 0..50 {
        world.watch(SECOND).await;
        tokio::task::spawn_blocking(|| std::thread::sleep(MS))
            .await
            .expect("a thread");
    }
    world.engine.abort();
    let _ = world.engine.await;
    let mut world = loop {
        // The thread that writes may hold the file for a moment.
        match Store::open(directory.path(), "lb1") {
            Ok(store) => break start_with(config(), &[], Carried::of(Some(store))),
            Err(StoreError::InUse(_)) => std::thread::sleep(MS),
            Err(error) => panic!("{error}"),
        }
    };
    world
        .results
        .send(FromProber::Down {
            reason: "test".into(),
        })
        .await
        .expect("it runs");
    world.first().await;
    assert_eq!(world.answered(0), [1]);
    assert_eq!(world.sites().await[0].state, State::Down);
}

#[tokio::test(start_paused = true)]
async fn the_next_configuration_begins_with_what_is_known() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(100 * SECOND).await;
    let before = world.sites().await;
    let carried = world.end().await;
    let mut other = service("www.example.com", &["192.0.2.1", "192.0.2.3"]);
    other.policy = Policy {
        all_down: AllDown::Servfail,
        ..Policy::default()
    };
    let manners = [
        (TWO[0], Manner::Refuses),
        ("192.0.2.3", Manner::Answers(MS)),
    ];
    let mut world = start_with(dns_lb(vec![other], 64), &manners, carried);
    world.first().await;
    let after = world.sites().await;
    assert_eq!(after[0].latency_ms, before[0].latency_ms);
    assert_eq!(after[0].successes, before[0].successes);
    assert_eq!(world.answered(0), [1]);
}
