//! When targets are probed.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_thousand_that_never_answer_do_not_delay_the_others() {
    let hanging: Vec<String> = (0..1000)
        .map(|n| format!("10.0.{}.{}", n / 250, n % 250))
        .collect();
    let addresses: Vec<&str> = hanging.iter().map(String::as_str).collect();
    let mut silent = service("silent.example.com", &addresses);
    silent.probe.interval = 10 * SECOND;
    let living = service("www.example.com", &TWO);
    let mut manners = near_and_far().to_vec();
    manners.extend(addresses.iter().map(|address| (*address, Manner::Hangs)));
    let mut world = start_with(
        dns_lb(vec![silent, living], 256),
        &manners,
        Carried::default(),
    );
    world.first().await;
    world.watch(60 * SECOND).await;
    let from = world.probes(TWO[0]).len();
    world.watch(600 * SECOND).await;
    let probes = world.probes(TWO[0]);
    for pair in probes[from..].windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause <= 10 * SECOND + 20 * MS, "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_long_dead_are_probed_less_often_and_found_when_they_are_back() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(3600 * SECOND).await;
    let probes = world.probes(TWO[0]);
    let last = probes[probes.len() - 1] - probes[probes.len() - 2];
    assert!((71 * SECOND..=81 * SECOND).contains(&last), "{last:?}");
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(100 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_probed_slowly_until_somebody_does() {
    let mut config = service("www.example.com", &TWO);
    config.probe.idle_after = Some(60 * SECOND);
    config.probe.idle_interval = 300 * SECOND;
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    let mut is_watched = false;
    let end = Instant::now() + 1200 * SECOND;
    while let Ok(Some(event)) = timeout(
        end.saturating_duration_since(Instant::now()),
        world.events.recv(),
    )
    .await
    {
        is_watched |= matches!(event, Event::Watch { service: 0 });
    }
    assert!(is_watched, "the next query is to be told");
    let idle = world.probes(TWO[0]).len();
    assert!(idle <= 14, "{idle} probes in 20 minutes");
    let last = world.probes(TWO[0])[idle - 1].elapsed();
    world.asked.send(Asked(0)).await.expect("it runs");
    // Ten seconds after the last one, or at once.
    world
        .watch((10 * SECOND).saturating_sub(last) + SECOND)
        .await;
    assert_eq!(world.probes(TWO[0]).len(), idle + 1, "{last:?}");
    world.watch(50 * SECOND).await;
    assert!(world.probes(TWO[0]).len() >= idle + 5, "and often again");
}

#[tokio::test(start_paused = true)]
async fn a_query_has_an_old_measurement_made_anew() {
    let mut config = service("www.example.com", &TWO);
    config.probe.interval = 600 * SECOND;
    config.probe.max_age = Some(30 * SECOND);
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    // The second probe comes at any time within the interval.
    world.watch(600 * SECOND).await;
    loop {
        let probes = world.probes(TWO[0]);
        if probes[probes.len() - 1].elapsed() > 60 * SECOND {
            break;
        }
        world.watch(10 * SECOND).await;
    }
    let before = world.probes(TWO[0]).len();
    world.asked.send(Asked(0)).await.expect("it runs");
    world.watch(SECOND).await;
    assert_eq!(world.probes(TWO[0]).len(), before + 1);
    world.asked.send(Asked(0)).await.expect("it runs");
    world.watch(SECOND).await;
    assert_eq!(world.probes(TWO[0]).len(), before + 1, "it is fresh now");
}

#[tokio::test(start_paused = true)]
async fn one_target_serves_all_who_ask_for_the_same_with_patience_of_their_own() {
    let mut world = start(hasty_and_patient(), &near_and_far());
    world.first().await;
    world.watch(100 * SECOND).await;
    let count = world.probes(TWO[0]).len();
    assert!((10..=13).contains(&count), "{count} probes in 100 s");
    world.set(TWO[0], Manner::Refuses);
    while world.answered(0) == [0] {
        world.watch(100 * MS).await;
    }
    assert_eq!(world.answered(1), [0]);
    world.watch(5 * SECOND).await;
    assert_eq!(world.answered(1), [1]);
}
