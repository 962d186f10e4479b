//! On a simulated clock, with sites that live in memory; and once on real sockets.

use std::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;
use tokio::time::sleep;

use super::{simulated::*, *};
use crate::config::{HttpProbe, ProbeKind};
use crate::{
    config::Probe,
    probe::schedule::{DOWN_PLACES, LIVING_PLACES},
};

const FAST: Manner = Manner::AnswersAfter(Duration::from_millis(20));
const SLOW: Manner = Manner::AnswersAfter(Duration::from_millis(150));

/// Lets the faster of two sites die after `lives`, and says when it was out of the ranking.
async fn time_to_leave(probe: &Probe, dies_as: Manner, lives: Duration) -> Duration {
    let mut config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    config.probe = probe.clone();
    let mut rig = rig(vec![config], &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)], 8);
    assert_eq!(rig.ranking().await, (0, vec![0, 1]));
    sleep(lives).await;
    assert!(
        rig.no_ranking_waits(),
        "the ranking changed while both lived"
    );
    rig.set("192.0.2.1", dies_as);
    let death = Instant::now();
    assert_eq!(rig.ranking().await, (0, vec![1]));
    let took = death.elapsed();
    // And it is named in no ranking after that.
    sleep(5 * probe.interval).await;
    assert!(
        rig.no_ranking_waits(),
        "the ranking changed after the site was out"
    );
    rig.end().await;
    took
}

#[tokio::test(start_paused = true)]
async fn a_dead_site_leaves_within_the_formula_at_every_phase() {
    let probe = service("www.example.com", &[]).probe;
    assert_eq!(formula(&probe), Duration::from_secs(18));
    for dies_as in [Manner::Refuses, Manner::Hangs] {
        let mut longest = Duration::ZERO;
        // 83 and 10,000 have no common factor: the phases are many.
        for step in 0..260 {
            let took = time_to_leave(&probe, dies_as, 7_000 * MS + 83 * step * MS).await;
            assert!(
                took <= formula(&probe) + timer_slack(&probe),
                "{dies_as:?}, step {step}: {took:?}"
            );
            // Three failures, and the pauses between them.
            assert!(
                took >= 2 * probe.retry.mul_f64(0.9),
                "{dies_as:?}, step {step}: {took:?}"
            );
            longest = longest.max(took);
        }
        // The phases reach the formula's worst case but for the jitter, and the timeouts if refused.
        let timeouts = if dies_as == Manner::Hangs {
            3 * probe.timeout
        } else {
            Duration::ZERO
        };
        assert!(
            longest >= (probe.interval + 2 * probe.retry).mul_f64(0.9) + timeouts - 300 * MS,
            "{longest:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_dead_site_leaves_within_the_formula_at_every_pace(
        interval in 200u32..20_000,
        timeout in 200u32..20_000,
        retry in 10u32..5_000,
        fall in 1u32..6,
        lives in 1u32..60_000,
        hangs: bool,
    ) {
        let mut probe = service("www.example.com", &[]).probe;
        (probe.interval, probe.timeout, probe.retry) = (interval * MS, timeout * MS, retry * MS);
        probe.fall = fall;
        let dies_as = if hangs { Manner::Hangs } else { Manner::Refuses };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let took = runtime.block_on(time_to_leave(&probe, dies_as, lives * MS));
        prop_assert!(took <= formula(&probe) + timer_slack(&probe), "{:?}", took);
    }
}

#[tokio::test(start_paused = true)]
async fn many_hanging_sites_do_not_delay_the_living() {
    let addresses: Vec<_> = (0..2000)
        .map(|index| format!("198.18.{}.{}", index / 250, index % 250))
        .collect();
    let mut dead: Vec<_> = addresses.iter().map(String::as_str).collect();
    let mut manners: Vec<_> = dead
        .iter()
        .map(|address| (*address, Manner::Hangs))
        .collect();
    let mut living = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    living.probe.interval = 3_000 * MS;
    manners.extend([("192.0.2.1", FAST), ("192.0.2.2", SLOW)]);
    let herd = service("herd.example.com", &std::mem::take(&mut dead));
    let mut rig = rig(vec![herd, living.clone()], &manners, 8);
    // The living have their ranking while most of the herd is still in its first round…
    rig.ranking().await;
    rig.ranking().await;
    sleep(Duration::from_secs(60)).await;
    assert!(rig.no_ranking_waits());
    rig.set("192.0.2.1", Manner::Hangs);
    let death = Instant::now();
    // …and the formula holds for them while the herd has every place that it may have.
    assert_eq!(rig.ranking().await, (1, vec![1]));
    assert!(death.elapsed() <= formula(&living.probe) + timer_slack(&living.probe));
    assert!(rig.world.lock().unwrap().most_running <= LIVING_PLACES + DOWN_PLACES);
    assert!(
        rig.report.borrow().longest_wait_ms > 1_000,
        "the herd itself must wait"
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_round_is_at_once_within_the_places_and_ends() {
    let addresses: Vec<_> = (0..1000)
        .map(|index| format!("198.18.{}.{}", index / 250, index % 250))
        .collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let manners: Vec<_> = addresses
        .iter()
        .map(|address| (*address, Manner::Hangs))
        .collect();
    let config = service("www.example.com", &addresses);
    let start = Instant::now();
    let mut rig = rig(vec![config.clone()], &manners, 1);
    within_a_day(&mut rig.first_round).await.unwrap();
    let rounds = 1000_u32.div_ceil(LIVING_PLACES as u32);
    assert!(start.elapsed() <= rounds * (config.probe.timeout + MS));
    assert!(rig.world.lock().unwrap().most_running <= LIVING_PLACES + DOWN_PLACES);
    // The first ranking is in the channel by then, and all are down.
    let Ok(Event::Ranking {
        service: 0,
        ranking,
    }) = rig.events.try_recv()
    else {
        panic!()
    };
    assert!(ranking.is_empty());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_round_ends_only_when_the_last_target_has_a_result() {
    let services = vec![
        service("a.example.com", &["192.0.2.1"]),
        service("b.example.com", &["192.0.2.2"]),
    ];
    let mut rig = rig(
        services,
        &[("192.0.2.1", FAST), ("192.0.2.2", Manner::Hangs)],
        8,
    );
    assert_eq!(rig.ranking().await, (0, vec![0]));
    sleep(1_900 * MS).await;
    assert!(rig.first_round.try_recv().is_err() && rig.no_ranking_waits());
    assert_eq!(rig.ranking().await, (1, vec![]));
    within_a_day(&mut rig.first_round).await.unwrap();
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn shared_targets_are_probed_once() {
    let mut services: Vec<_> = (0..50)
        .map(|_| service("www.example.com", &["192.0.2.1", "192.0.2.2"]))
        .collect();
    services[7].probe.kind = ProbeKind::Http(HttpProbe::new("other.example.com", "/other"));
    services[7].sites.truncate(1);
    services[7].sites[0].ipv4 = Some(Ipv4Addr::new(192, 0, 2, 3));
    let manners = [
        ("192.0.2.1", FAST),
        ("192.0.2.2", SLOW),
        ("192.0.2.3", FAST),
    ];
    let mut rig = rig(services, &manners, 64);
    for _ in 0..50 {
        let (service, ranking) = rig.ranking().await;
        assert_eq!(ranking, if service == 7 { vec![0] } else { vec![0, 1] });
    }
    sleep(Duration::from_secs(100)).await;
    // One at the start, and ten to twelve after: pauses are 9 to 10 s.
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert!(
            (10..=12).contains(&rig.seen(address)),
            "{address}: {}",
            rig.seen(address)
        );
    }
    // What happens to it, happens to all its services.
    rig.set("192.0.2.1", Manner::Refuses);
    for _ in 0..49 {
        let (service, ranking) = rig.ranking().await;
        assert!(service != 7 && ranking == [1]);
    }
    assert!(rig.no_ranking_waits());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_changes_nothing() {
    let config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    let mut rig = rig(vec![config], &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)], 8);
    rig.ranking().await;
    let failed = |rig: &Rig| rig.report.borrow().services[0].sites[0].failures.refused;
    for round in 1..=20 {
        rig.set("192.0.2.1", Manner::Refuses);
        while failed(&rig) < 2 * round {
            within_a_day(rig.report.changed()).await.unwrap();
        }
        rig.set("192.0.2.1", FAST);
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(failed(&rig), 40);
    assert!(rig.no_ranking_waits());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_order_follows_the_times_but_not_at_once() {
    let config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    let mut rig = rig(vec![config], &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)], 8);
    assert_eq!(rig.ranking().await, (0, vec![0, 1]));
    // A twentieth slower than the other: within the margin.
    rig.set("192.0.2.1", Manner::AnswersAfter(157 * MS));
    sleep(Duration::from_secs(600)).await;
    assert!(rig.no_ranking_waits());
    // A third slower: its smoothed time needs some probes to say so.
    rig.set("192.0.2.1", Manner::AnswersAfter(200 * MS));
    let slower = Instant::now();
    assert_eq!(rig.ranking().await, (0, vec![1, 0]));
    assert!(slower.elapsed() < Duration::from_secs(60));
    sleep(Duration::from_secs(600)).await;
    assert!(rig.no_ranking_waits());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_of_this_host_takes_no_site_away() {
    let config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    let mut rig = rig(
        vec![config.clone()],
        &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)],
        8,
    );
    rig.ranking().await;
    rig.set("192.0.2.1", Manner::CannotBeAsked);
    rig.set("192.0.2.2", Manner::CannotBeAsked);
    sleep(Duration::from_secs(100)).await;
    assert!(rig.no_ranking_waits());
    let failures = rig.report.borrow().services[0].sites[0].failures;
    assert!(failures.local >= 9, "{failures:?}");
    // When it is over, a dead site is noticed as ever.
    rig.set("192.0.2.1", Manner::Hangs);
    let death = Instant::now();
    assert_eq!(rig.ranking().await, (0, vec![1]));
    assert!(death.elapsed() <= formula(&config.probe) + timer_slack(&config.probe));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn all_down_is_an_empty_ranking_and_the_way_back_needs_rise() {
    let config = service("www.example.com", &["192.0.2.1"]);
    let mut rig = rig(vec![config], &[("192.0.2.1", FAST)], 8);
    assert_eq!(rig.ranking().await, (0, vec![0]));
    rig.set("192.0.2.1", Manner::Hangs);
    assert_eq!(rig.ranking().await, (0, vec![]));
    rig.set("192.0.2.1", FAST);
    let back = Instant::now();
    assert_eq!(rig.ranking().await, (0, vec![0]));
    // Two successes, an interval apart.
    assert!(back.elapsed() >= Duration::from_secs(9));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_does_not_listen_stops_no_probe_and_gets_the_newest() {
    let config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    let services = vec![config.clone(), config];
    let mut rig = rig(services, &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)], 1);
    sleep(Duration::from_secs(60)).await;
    assert!(
        rig.first_round.try_recv().is_err(),
        "one ranking does not fit into the channel"
    );
    rig.set("192.0.2.1", Manner::Hangs);
    sleep(Duration::from_secs(60)).await;
    assert!(rig.seen("192.0.2.2") > 10);
    // The one in the channel is old; what waited behind it is new.
    assert_eq!(rig.ranking().await, (0, vec![0, 1]));
    assert_eq!(rig.ranking().await, (1, vec![1]));
    assert_eq!(rig.ranking().await, (0, vec![1]));
    within_a_day(&mut rig.first_round).await.unwrap();
    assert!(rig.no_ranking_waits());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn sites_without_an_ipv4_address_are_unknown_and_last() {
    let mut mixed = service("a.example.com", &["192.0.2.9", "192.0.2.1"]);
    mixed.sites[0].ipv4 = None;
    let mut v6_only = service("b.example.com", &["192.0.2.9"]);
    v6_only.sites[0].ipv4 = None;
    let mut rig = rig(vec![mixed, v6_only], &[("192.0.2.1", SLOW)], 8);
    assert_eq!(rig.ranking().await, (1, vec![0]));
    assert_eq!(rig.ranking().await, (0, vec![1, 0]));
    assert_eq!(
        rig.report.borrow().services[0].sites[0].state,
        State::Unknown
    );
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn without_services_the_first_round_is_done_at_once() {
    let mut rig = rig(vec![], &[], 1);
    within_a_day(&mut rig.first_round).await.unwrap();
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_asked_and_when_nobody_listens() {
    let config = service("www.example.com", &["192.0.2.1"]);
    let stopped = rig(vec![config.clone()], &[("192.0.2.1", Manner::Hangs)], 1);
    stopped.stop.cancel();
    within_a_day(stopped.task).await.unwrap();
    assert!(stopped.first_round.await.is_err(), "it did not complete");

    let deserted = rig(vec![config], &[("192.0.2.1", Manner::Hangs)], 1);
    drop(deserted.events);
    within_a_day(deserted.task).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_report_says_what_happened() {
    let config = service("www.example.com", &["192.0.2.1", "192.0.2.2"]);
    let mut rig = rig(vec![config], &[("192.0.2.1", FAST), ("192.0.2.2", SLOW)], 8);
    rig.ranking().await;
    let before = rig.report.borrow().clone();
    assert_eq!(before.services[0].ranking, [0, 1]);
    assert_eq!(before.services[0].sites[0].smoothed_ms, Some(20.0));
    assert_eq!(before.services[0].sites[1].smoothed_ms, Some(150.0));
    assert!(
        before.services[0]
            .sites
            .iter()
            .all(|site| site.since.is_some() && site.successes == 1)
    );

    rig.set("192.0.2.1", Manner::Hangs);
    rig.ranking().await;
    // The report is written right after the ranking.
    rig.report
        .wait_for(|report| report.services[0].sites[0].state == State::Down)
        .await
        .unwrap();
    let after = rig.report.borrow().clone();
    let site = &after.services[0].sites[0];
    assert_eq!(
        (site.smoothed_ms, site.last_failure),
        (None, Some(Failure::TimedOut))
    );
    assert_eq!(
        site.failures,
        FailureCounts {
            timed_out: 3,
            ..FailureCounts::default()
        }
    );
    assert_eq!(after.services[0].ranking, [1]);
    assert_eq!(
        after.services[0].sites[1].since,
        before.services[0].sites[1].since
    );
    rig.end().await;
}

#[tokio::test]
async fn on_real_sockets_a_dead_site_leaves_and_comes_back() {
    let (first, second) = two_listeners().await;
    let port = first.local_addr().unwrap().port();
    let address = |listener: &tokio::net::TcpListener| listener.local_addr().unwrap();
    let (first_address, _) = (address(&first), address(&second));
    let mut config = service("www.example.com", &["127.77.0.1", "127.77.0.2"]);
    let mut http = HttpProbe::new("www.example.com", "/");
    http.port = port;
    config.probe.kind = ProbeKind::Http(http);
    (config.probe.interval, config.probe.retry) = (50 * MS, 20 * MS);
    config.probe.timeout = Duration::from_secs(30);

    let (sender, mut events) = mpsc::channel(8);
    let (signal, first_round) = oneshot::channel();
    let stop = CancellationToken::new();
    let reporter = watch::Sender::new(Report::default());
    let prober = tokio::spawn(run(
        vec![config],
        sender,
        signal,
        reporter.clone(),
        stop.clone(),
    ));
    let serving = tokio::spawn(serve(first));
    tokio::spawn(serve(second));
    tokio::time::timeout(Duration::from_secs(60), first_round)
        .await
        .unwrap()
        .unwrap();
    wait_for(&mut events, |ranking| ranking.len() == 2).await;

    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    wait_for(&mut events, |ranking| ranking == [1]).await;
    let reason = reporter.borrow().services[0].sites[0].last_failure;
    assert!(
        matches!(reason, Some(Failure::Refused | Failure::Reset)),
        "{reason:?}"
    );

    tokio::spawn(serve(
        tokio::net::TcpListener::bind(first_address).await.unwrap(),
    ));
    wait_for(&mut events, |ranking| ranking.len() == 2).await;
    stop.cancel();
    prober.await.unwrap();
}

/// Two listeners on one port, at the addresses of the test above.
async fn two_listeners() -> (tokio::net::TcpListener, tokio::net::TcpListener) {
    use tokio::net::TcpListener;
    for _ in 0..100 {
        let first = TcpListener::bind("127.77.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let second = SocketAddrV4::new(Ipv4Addr::new(127, 77, 0, 2), port);
        if let Ok(second) = TcpListener::bind(second).await {
            return (first, second);
        }
    }
    panic!("no port is free on both addresses");
}

async fn serve(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(response).await.unwrap();
    }
}

/// Waits for a ranking; others may come before, as real times wander.
async fn wait_for(events: &mut mpsc::Receiver<Event>, wanted: impl Fn(&[usize]) -> bool) {
    let search = async {
        loop {
            match events.recv().await.expect("the prober runs") {
                Event::Ranking { ranking, .. } if wanted(&ranking) => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .expect("the ranking came");
}
