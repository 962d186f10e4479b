//! What people ask and order.

use super::*;
use crate::config::Family;
use crate::control::protocol::{Explanation, History};

async fn explain(world: &World, family: Family) -> Explanation {
    let request = Request::Explain {
        name: "www.example.com".into(),
        family,
        vantage: 0,
    };
    match world.ask(request).await {
        Reply::Explain(explanation) => explanation,
        other => panic!("{other:?}"),
    }
}

async fn history(world: &World, site: &str, service: Option<&str>) -> Result<Vec<History>, String> {
    let request = Request::History {
        site: site.into(),
        service: service.map(str::to_owned),
    };
    match world.ask(request).await {
        Reply::History(history) => Ok(history),
        Reply::Error(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_family_is_measured_chosen_and_explained_for_itself() {
    let mut config = service("www.example.com", &TWO);
    let v6 = ["2001:db8::1", "2001:db8::2"];
    for (site, v6) in config.sites.iter_mut().zip(v6) {
        site.ipv6 = v6.parse().ok();
    }
    let mut manners = near_and_far().to_vec();
    manners.extend([
        (v6[0], Manner::Answers(90 * MS)),
        (v6[1], Manner::Answers(9 * MS)),
    ]);
    let mut world = start(vec![config], &manners);
    world.first().await;
    assert_eq!(world.answered(0), [0]);
    assert_eq!(world.serving[&0].v6.selection, Selection::List(vec![1]));
    world.set(TWO[0], Manner::Refuses);
    world.watch(60 * SECOND).await;
    assert_eq!(world.answered(0), [1]);
    assert_eq!(world.serving[&0].v6.selection, Selection::List(vec![1]));
    let [v4, v6] = [
        explain(&world, Family::Ipv4).await,
        explain(&world, Family::Ipv6).await,
    ];
    assert_eq!(v4.answer, [(TWO[1].parse().unwrap(), 100.0)]);
    assert_eq!(v6.answer, [("2001:db8::2".parse().unwrap(), 100.0)]);
    let removed = v4
        .candidates
        .iter()
        .find(|candidate| candidate.site == "site-192.0.2.1")
        .expect("all are told");
    assert_eq!(removed.state, State::Down);
    assert!(removed.removed_by.is_some() && removed.share_percent == 0.0);
    let sites = world.sites().await;
    assert_eq!(sites.len(), 4);
    let ranks: Vec<_> = sites.iter().map(|site| site.rank).collect();
    assert_eq!(ranks, [None, Some(2), Some(1), Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn to_explain_changes_nothing() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(100 * SECOND).await;
    let first = explain(&world, Family::Ipv4).await;
    assert_eq!(explain(&world, Family::Ipv4).await, first);
    assert_eq!(world.watch(100 * SECOND).await, 0);
}

#[tokio::test(start_paused = true)]
async fn many_sites_are_listed_all_and_in_order() {
    let services = (0..1001).map(|number| {
        let addresses = [format!("10.0.{}.{}", number / 250, number % 250)];
        let mut service = service(&format!("s{number}.example.com"), &[&addresses[0]]);
        service.probe.interval = 600 * SECOND;
        service
    });
    let mut world = start(services.collect(), &[]);
    world.first().await;
    let names: Vec<_> = world
        .sites()
        .await
        .into_iter()
        .map(|site| site.service)
        .collect();
    let expected: Vec<_> = (0..1001)
        .map(|number| format!("s{number}.example.com"))
        .collect();
    assert_eq!(names, expected);
}

#[tokio::test(start_paused = true)]
async fn a_history_is_that_of_the_service_s_own_patience() {
    let mut world = start(hasty_and_patient(), &near_and_far());
    world.first().await;
    world.set(TWO[0], Manner::Refuses);
    let before = world.probes(TWO[0]).len();
    while world.probes(TWO[0]).len() < before + 2 {
        world.watch(100 * MS).await;
    }
    world.set(TWO[0], Manner::Answers(10 * MS));
    world.watch(100 * SECOND).await;
    let history = history(&world, "site-192.0.2.1", None)
        .await
        .expect("known");
    let states = |index: usize| -> Vec<State> {
        let history: &History = &history[index];
        history.changes.iter().map(|change| change.state).collect()
    };
    assert_eq!(states(0), [State::Up, State::Down, State::Up]);
    assert_eq!(states(1), [State::Up]);
    let failed: u32 = history[1].spans.iter().map(|span| span.failed).sum();
    assert_eq!(failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_history_of_very_many_is_refused_and_of_one_of_them_told() {
    let services = (0..100).map(|number| {
        let mut service = service(&format!("s{number}.example.com"), &TWO);
        service.sites[0].name = "frankfurt".into();
        service
    });
    let mut world = start(services.collect(), &near_and_far());
    world.first().await;
    let error = history(&world, "frankfurt", None)
        .await
        .expect_err("too many");
    assert!(
        error.contains("100 services") && error.contains("--service") && error.contains("s0."),
        "{error}"
    );
    let one = history(&world, "frankfurt", Some("s7.example.com.")).await;
    assert_eq!(one.expect("known").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_after_a_drain_is_that_of_the_drained_service_alone() {
    let mut services = Vec::new();
    for name in ["a.example.com", "b.example.com"] {
        let mut service = alike(name);
        service.policy.ramp = 100 * SECOND;
        services.push(service);
    }
    let mut world = start(services, &near_and_far());
    world.first().await;
    world.watch(300 * SECOND).await;
    let request = |kind, for_| Request::Override {
        site: "site-192.0.2.1".into(),
        service: Some("a.example.com".into()),
        kind,
        reason: "work".into(),
        for_,
    };
    for (for_, taken_back) in [(None, true), (Some(60 * SECOND), false)] {
        world.ask(request(Some(OverrideKind::Drained), for_)).await;
        world.watch(50 * SECOND).await;
        assert_eq!(world.answered(0), [1]);
        assert_eq!(world.answered(1), [0]);
        if taken_back {
            world.ask(request(None, None)).await;
        }
        world.watch(13 * SECOND).await;
        assert_eq!(
            world.answered(0),
            [0, 1],
            "a part of it, taken back: {taken_back}"
        );
        assert_eq!(world.answered(1), [0]);
        world.watch(200 * SECOND).await;
        assert_eq!(world.answered(0), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_s_own_drain_is_told_with_its_time_and_in_its_history() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    world.watch(1000 * SECOND).await;
    let up_since = world.sites().await[0].since.expect("it is up");
    world.set(TWO[0], Manner::Drains);
    world.watch(20 * SECOND).await;
    let drained_since = world.sites().await[0].since.expect("it is drained");
    assert!(drained_since > up_since + 900 * SECOND);
    let history = history(&world, "site-192.0.2.1", None)
        .await
        .expect("known");
    let last = history[0].changes.last().expect("a change");
    assert_eq!((last.state, last.at), (State::Drained, drained_since));
    assert_eq!(
        history[0].spans.last().expect("a span").state,
        State::Drained
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told_with_what_is() {
    let mut world = start(vec![service("www.example.com", &TWO)], &near_and_far());
    world.first().await;
    let site = || "berlin".to_owned();
    for request in [
        Request::Sites {
            service: Some("nope.example.com".into()),
        },
        Request::History {
            site: site(),
            service: None,
        },
        Request::Override {
            site: site(),
            service: None,
            kind: Some(OverrideKind::Drained),
            reason: "x".into(),
            for_: None,
        },
    ] {
        match world.ask(request).await {
            Reply::Error(text) => assert!(
                text.contains("www.example.com") || text.contains("site-192.0.2.1"),
                "{text}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let request = Request::History {
        site: "site-192.0.2.1".into(),
        service: None,
    };
    let Reply::History(history) = world.ask(request).await else {
        panic!("no history");
    };
    assert_eq!(history[0].changes[0].state, State::Up);
    assert!(
        history[0].spans[0].probes > 0 && SystemTime::now() > history[0].changes[0].at - SECOND
    );
}
