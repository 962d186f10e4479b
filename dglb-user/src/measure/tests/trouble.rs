//! Channels that nobody empties, probes that get lost: the engine goes on.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_publisher_that_takes_nothing_stops_no_probe_and_is_told_the_newest_later() {
    let mut world = start(
        (0..200)
            .map(|number| alike(&format!("s{number}.example.com")))
            .collect(),
        &near_and_far(),
    );
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    // The channel holds 64 events.
    sleep(100 * SECOND).await;
    let before = world.probes(TWO[1]).len();
    world.set(TWO[0], Manner::Answers(10 * MS));
    sleep(100 * SECOND).await;
    assert!(world.probes(TWO[1]).len() >= before + 10);
    let mut told = vec![0; 200];
    while let Ok(event) = world.events.try_recv() {
        let Event::Serve {
            service, serving, ..
        } = event
        else {
            panic!("{event:?}");
        };
        told[service] += 1;
        world.serving.insert(service, serving);
        tokio::task::yield_now().await;
    }
    world.watch(SECOND).await;
    for service in 0..200 {
        assert_eq!(world.answered(service), [0], "{service}");
    }
    assert!(told.iter().all(|times| *times <= 2), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_takes_no_orders_stops_no_answer() {
    let (event_sender, _events) = mpsc::channel(64);
    let (orders, mut orders_receiver) = mpsc::channel(3);
    let (results, results_receiver) = mpsc::channel(16);
    let (commands, commands_receiver) = mpsc::channel(8);
    let (_asked, asked_receiver) = mpsc::channel(8);
    let (first_sender, first) = oneshot::channel();
    let stop = CancellationToken::new();
    results.try_send(FromProber::Up).expect("room");
    let addresses: Vec<String> = (1..=20).map(|last| format!("192.0.2.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let engine = tokio::spawn(run(Inputs {
        dns_lb: dns_lb(vec![service("www.example.com", &addresses)], 64),
        location: None,
        events: event_sender,
        orders,
        results: results_receiver,
        commands: commands_receiver,
        asked: asked_receiver,
        first: first_sender,
        carried: Carried::default(),
        timings: crate::timings::Timings::default(),
        stop: stop.clone(),
    }));
    // The start does not wait for ever…
    assert_eq!(first.await.expect("told").len(), 1);
    let (reply, said) = oneshot::channel();
    let request = Request::Sites { service: None };
    commands
        .send(Command { request, reply })
        .await
        .expect("it runs");
    assert!(matches!(said.await, Ok(Reply::Sites(_))));
    // …and all is ordered, once, when there is room again: one place after the other.
    let (mut defined, mut probed) = (BTreeSet::new(), Vec::new());
    while let Ok(Some(order)) = timeout(SECOND, orders_receiver.recv()).await {
        match order {
            ToProber::Define { target, .. } => assert!(defined.insert(target)),
            ToProber::Probe { target } => probed.push(target),
            ToProber::Forget { target } => panic!("{target} is not to be forgotten"),
        }
    }
    assert_eq!(probed, (0..20).collect::<Vec<u32>>());
    assert_eq!(defined.len(), 20);
    stop.cancel();
    engine.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_lost_probe_is_given_up_and_its_site_probed_again() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(60 * SECOND).await;
    world.set(TWO[0], Manner::IsLost);
    assert_eq!(world.watch(60 * SECOND).await, 0, "its state stays");
    let view = world.sites().await.remove(0);
    assert_eq!(view.state, State::Up);
    // Ten seconds of pause, two of timeout, ten of patience, and up to one until it is looked.
    let given_up = view.failures["local"];
    assert!((2..=3).contains(&given_up), "{given_up}");
    world.set(TWO[0], Manner::Refuses);
    world.watch(60 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
}

#[tokio::test(start_paused = true)]
async fn probes_under_way_when_the_process_ends_count_for_nothing() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(60 * SECOND).await;
    world.set(TWO[0], Manner::Hangs);
    // Each time that a probe hangs the process dies, and another one comes.
    for _ in 0..20 {
        let before = world.probes(TWO[0]).len();
        while world.probes(TWO[0]).len() == before {
            world.watch(10 * MS).await;
        }
        let reason = "signal: 9 (SIGKILL)".into();
        let down = FromProber::Down { reason };
        world.results.send(down).await.expect("it runs");
        world.results.send(FromProber::Up).await.expect("it runs");
        // What the process said before its end and nobody read.
        world.sites.lock().unwrap().running.clear();
    }
    let Reply::Sites(sites) = world.ask(Request::Sites { service: None }).await else {
        panic!("no sites");
    };
    assert_eq!(sites.prober.restarts, 20);
    assert_eq!(sites.sites[0].state, State::Up);
    assert!(sites.prober.running);
}

#[tokio::test(start_paused = true)]
async fn trouble_of_this_host_takes_no_site_away() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::CannotBeAsked);
    world.set(TWO[1], Manner::CannotBeAsked);
    assert_eq!(world.watch(600 * SECOND).await, 0);
    assert_eq!(world.answered(0), [0]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_probing_process_is_survived_and_told() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let reason = "signal: 9 (SIGKILL)".to_owned();
    world
        .results
        .send(FromProber::Down {
            reason: reason.clone(),
        })
        .await
        .expect("it runs");
    world.set(TWO[0], Manner::Refuses);
    assert_eq!(world.watch(300 * SECOND).await, 0, "states stay");
    let before = world.probes(TWO[0]).len();
    let Reply::Sites(sites) = world.ask(Request::Sites { service: None }).await else {
        panic!("no sites");
    };
    assert!(!sites.prober.running && sites.prober.reason == Some(reason));
    world.results.send(FromProber::Up).await.expect("it runs");
    world.watch(30 * SECOND).await;
    assert!(world.probes(TWO[0]).len() > before);
    assert_eq!(world.answered(0), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_ordered_is_not_believed() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(SECOND).await;
    for target in [0, 0, 0, 0, 7, u32::MAX] {
        let done = FromProber::Done {
            target,
            started_ns: 0,
            ended_ns: 0,
            outcome: Err(Failure::Refused),
        };
        world.results.send(done).await.expect("it runs");
    }
    world.watch(100 * MS).await;
    assert_eq!(world.answered(0), [0]);
    assert!(world.sites().await[0].failures.is_empty());
}
