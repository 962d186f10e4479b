//! Measurements that are never the same: who is answered must not follow each of them.

use proptest::prelude::*;

use super::*;
use crate::config::Filter;

/// How often what is answered changes in a day, with two equal sites of so much jitter.
async fn changes_in_a_day(noise: Noise, mean: Duration, seed: u64) -> usize {
    let manners = TWO.map(|address| (address, Manner::Noisy(mean, noise)));
    let mut world = start(vec![service("www.example.com", &TWO)], &manners);
    world.sites.lock().unwrap().random = seed;
    world.first().await;
    let changes = world.watch(86_400 * SECOND).await;
    let probes = world.probes(TWO[0]).len();
    assert!((8_640..10_000).contains(&probes), "{probes}");
    changes
}

#[tokio::test(start_paused = true)]
async fn a_day_of_normal_noise_makes_ten_changes_at_most() {
    let changes = changes_in_a_day(Noise::Normal, 20 * MS, 1).await;
    assert!(changes <= 10, "{changes} changes");
}

#[tokio::test(start_paused = true)]
async fn a_day_of_uniform_noise_makes_ten_changes_at_most() {
    let changes = changes_in_a_day(Noise::Uniform, 150 * MS, 2).await;
    assert!(changes <= 10, "{changes} changes");
}

#[tokio::test(start_paused = true)]
async fn noise_does_not_hide_that_a_site_became_slower() {
    let manners = TWO.map(|address| (address, Manner::Noisy(20 * MS, Noise::Normal)));
    let mut world = start(vec![service("www.example.com", &TWO)], &manners);
    world.first().await;
    world.watch(1000 * SECOND).await;
    let present = world.answered(0)[0];
    world.set(TWO[present], Manner::Noisy(60 * MS, Noise::Normal));
    world.watch(300 * SECOND).await;
    assert_eq!(world.answered(0), [1 - present]);
}

/// A site that dies and comes back, again and again: it may be answered while it lives, and leaves in time
/// each time.
#[tokio::test(start_paused = true)]
async fn a_site_that_flaps_moves_clients_twice_a_time_at_most() {
    let config = service("www.example.com", &TWO);
    let limit = formula(&config) + 20 * MS;
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    world.watch(200 * SECOND).await;
    let selection = |world: &World| world.serving[&0].v4.selection.clone();
    let mut moves = 0;
    let mut before = selection(&world);
    for _ in 0..20 {
        for (manner, length) in [
            (Manner::Hangs, 60 * SECOND),
            (Manner::Answers(10 * MS), 90 * SECOND),
        ] {
            world.set(TWO[0], manner);
            let begin = Instant::now();
            while begin.elapsed() < length {
                world.watch(SECOND).await;
                moves += usize::from(selection(&world) != before);
                before = selection(&world);
                if manner == Manner::Hangs && begin.elapsed() > limit {
                    assert_eq!(world.answered(0), [1]);
                }
            }
        }
    }
    assert!((20..=40).contains(&moves), "{moves} moves in 20 times");
}

#[tokio::test(start_paused = true)]
async fn a_site_of_which_every_other_probe_fails_is_degraded_and_stays_out_where_that_matters() {
    let mut config = service("www.example.com", &TWO);
    config.policy.filters = vec![Filter::Healthy];
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    world.watch(200 * SECOND).await;
    world.set(TWO[0], Manner::Alternates);
    world.watch(120 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
    let view = world.sites().await.remove(0);
    assert_eq!(view.state, State::Degraded);
    assert!(view.loss_percent > 30.0, "{}", view.loss_percent);
    assert!(
        view.reason.is_some_and(|reason| reason.contains("fail")),
        "why is told"
    );
    assert_eq!(world.watch(3600 * SECOND).await, 0);
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(1000 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_site_that_dies_leaves_in_time_at_every_pace(
        interval_ms in 500_u64..20_000,
        timeout_ms in 200_u64..8_000,
        retry_ms in 10_u64..5_000,
        fall in 1_u32..6,
        vantages in 1_u32..400,
        lives_ms in 1_u64..60_000,
        hangs: bool,
    ) {
        let millis = Duration::from_millis;
        let mut config = service("www.example.com", &TWO);
        config.probe.interval = millis(interval_ms);
        config.probe.timeout = millis(timeout_ms);
        config.probe.retry = millis(retry_ms);
        config.probe.fall = fall;
        config.vantages = vantages;
        // Timers end up to a millisecond late, two of them a probe.
        let limit = formula(&config) + 2 * (fall + 1) * MS;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = start(vec![config], &near_and_far());
            world.first().await;
            world.watch(millis(lives_ms)).await;
            assert_eq!(world.answered(0), [0]);
            world.set(TWO[0], if hangs { Manner::Hangs } else { Manner::Refuses });
            world.watch(limit).await;
            assert_eq!(world.answered(0), [1]);
            for _ in 0..30 {
                world.watch(SECOND).await;
                assert_eq!(world.answered(0), [1], "it is named again");
            }
            assert_eq!(world.sites.lock().unwrap().overlaps, 0);
        });
    }
}
