//! What operators, and the sites themselves, order.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drained_site_leaves_at_once_and_comes_back_when_its_time_is_over() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let said = world
        .order(Some(OverrideKind::Drained), Some(60 * SECOND))
        .await;
    assert!(
        matches!(&said, Reply::Done(text) if text.contains("new discs")),
        "{said:?}"
    );
    world.watch(10 * MS).await;
    assert_eq!(world.answered(0), [1]);
    let view = &world.sites().await[0];
    assert_eq!(view.state, State::Drained);
    assert_eq!(
        view.overridden.as_ref().map(|order| order.reason.as_str()),
        Some("new discs")
    );
    world.watch(62 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
    assert!(
        matches!(world.order(None, None).await, Reply::Error(_)),
        "nothing is left to take back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_forced_site_is_what_the_operator_says() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.order(Some(OverrideKind::Down), None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [1]);
    world.set(TWO[0], Manner::Refuses);
    world.set(TWO[1], Manner::Refuses);
    world.watch(60 * SECOND).await;
    world.order(Some(OverrideKind::Up), None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [0]);
    world.order(None, None).await;
    world.watch(SECOND).await;
    assert_eq!(world.answered(0), [0, 1], "all down: all sites");
}

#[tokio::test(start_paused = true)]
async fn a_site_may_ask_to_be_drained() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Drains);
    world.watch(20 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
    assert_eq!(
        world.sites().await[0].reason.as_deref(),
        Some("reported by the site")
    );
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(20 * SECOND).await;
    assert_eq!(world.answered(0), [0]);
}
