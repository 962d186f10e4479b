//! How soon what a site does is seen in the answers.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_first_answers_are_told_when_all_is_measured() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    let begin = Instant::now();
    world.first().await;
    assert_eq!(world.answered(0), [0]);
    assert!(begin.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_ten_seconds_for_what_can_t_be_measured_and_no_more() {
    let manners = [
        (TWO[0], Manner::CannotBeAsked),
        (TWO[1], Manner::CannotBeAsked),
    ];
    let mut world = start(vec![service("www.example.com", &TWO)], &manners);
    let begin = Instant::now();
    world.first().await;
    assert_eq!(begin.elapsed().as_secs(), 10);
    assert_eq!(world.sites().await[0].state, State::Unknown);
    assert_eq!(
        world.answered(0),
        [0],
        "what the policy says of unknown sites"
    );
}

#[tokio::test(start_paused = true)]
async fn a_site_that_dies_is_in_no_answer_after_the_formula() {
    for (interval, timeout, retry, fall, manner) in [
        (10, 2, 1, 3, Manner::Hangs),
        (10, 2, 1, 3, Manner::Refuses),
        (30, 5, 2, 1, Manner::Hangs),
        (5, 1, 1, 5, Manner::Hangs),
    ] {
        for after_ms in [0, 777, 3_100, 9_900] {
            let mut config = service("www.example.com", &TWO);
            config.probe.interval = interval * SECOND;
            config.probe.timeout = timeout * SECOND;
            config.probe.retry = retry * SECOND;
            config.probe.fall = fall;
            let limit = formula(&config);
            let mut world = start(vec![config], &near_and_far());
            world.first().await;
            world.watch(100 * SECOND + after_ms * MS).await;
            assert_eq!(world.answered(0), [0]);
            world.set(TWO[0], manner);
            // Timers end up to a millisecond late, two of them a probe.
            world.watch(limit + 2 * (fall + 1) * MS).await;
            assert_eq!(
                world.answered(0),
                [1],
                "{interval} {timeout} {retry} {fall} {after_ms}"
            );
            for _ in 0..50 {
                world.watch(SECOND).await;
                assert_eq!(world.answered(0), [1], "it is named again");
            }
            assert_eq!(world.sites.lock().unwrap().overlaps, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_s_budget_slows_its_probes_and_the_formula_holds_for_that() {
    let mut config = service("www.example.com", &TWO);
    // 600 vantages, 20 probes a second for all of them: one each 30 seconds.
    config.vantages = 600;
    assert_eq!(config.effective_interval(), 30 * SECOND);
    let limit = formula(&config);
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    world.watch(600 * SECOND).await;
    let probes = world.probes(TWO[0]).len();
    assert!(
        (20..=24).contains(&probes),
        "{probes} probes in ten minutes"
    );
    world.set(TWO[0], Manner::Hangs);
    world.watch(limit + 8 * MS).await;
    assert_eq!(world.answered(0), [1]);
    assert!((world.sites().await[0].interval_s - 30.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_lost_probe_and_a_slow_one_move_nobody_but_shorten_the_ttl() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(200 * SECOND).await;
    world.set(TWO[0], Manner::Refuses);
    let before = world.probes(TWO[0]).len();
    while world.probes(TWO[0]).len() == before {
        world.watch(50 * MS).await;
    }
    assert_eq!((world.answered(0), world.serving[&0].v4.ttl), (vec![0], 40));
    world.set(TWO[0], Manner::Answers(1500 * MS));
    world.watch(3 * SECOND).await;
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(100 * SECOND).await;
    assert_eq!((world.answered(0), world.serving[&0].v4.ttl), (vec![0], 60));
    let sites = world.sites().await;
    assert_eq!(sites[0].failures["refused"], 1);
}

#[tokio::test(start_paused = true)]
async fn that_a_site_is_back_is_confirmed_quickly() {
    let mut config = service("www.example.com", &TWO);
    config.probe.interval = 60 * SECOND;
    let mut world = start(vec![config], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    world.watch(150 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
    world.set(TWO[0], Manner::Answers(10 * MS));
    let before = world.probes(TWO[0]).len();
    world.watch(61 * SECOND + 100 * MS).await;
    assert_eq!(world.answered(0), [0], "interval + retry");
    assert!(world.probes(TWO[0]).len() >= before + 2);
}
