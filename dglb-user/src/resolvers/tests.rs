//! resolv.conf(5) in all its forms, and files that change, vanish and come back.

use std::fs;

use super::*;

fn addresses<const N: usize>(texts: [&str; N]) -> Vec<IpAddr> {
    texts.map(|text| text.parse().unwrap()).to_vec()
}

#[test]
fn nameserver_lines_are_read_as_resolv_conf_5_says() {
    let parsed = ResolvConf::parse(
        b"# comment\n; nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\n\
          nameserver\t192.0.2.2  \nnameserver 192.0.2.3;x\nnameserver 192.0.2.1 # again\r\n\
          options ndots:2\nnameserver 192.0.2.4",
    );
    let listed = addresses(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    assert_eq!(
        parsed,
        ResolvConf {
            resolvers: listed,
            ..ResolvConf::default()
        }
    );
    assert_eq!(parsed.complaints().count(), 0);
}

#[test]
fn what_cannot_be_announced_is_ignored_with_a_reason() {
    let parsed = ResolvConf::parse(
        b" nameserver 192.0.2.9\nnameserver: 192.0.2.9\nnameserver192.0.2.9\nNAMESERVER 192.0.2.9\n\
          nameserver 127.0.0.53\nnameserver 0.0.0.0\nnameserver ::1\nnameserver 2001:db8::53\n\
          nameserver fe80::1%eth0\nnameserver 192.0.2\nnameserver resolver.example\nnameserver \n\
          nameserver\nnameserver 224.0.0.1\nnameserver \xff\xfe\n",
    );
    assert_eq!(
        parsed,
        ResolvConf {
            resolvers: addresses(["2001:db8::53"]),
            loopback: vec!["127.0.0.53".into(), "0.0.0.0".into(), "::1".into()],
            link_local: vec!["fe80::1%eth0".into()],
            unreadable: vec![10, 11, 12, 13, 14, 15],
        }
    );
    let complaints: Vec<_> = parsed.complaints().collect();
    assert!(complaints[0].starts_with("127.0.0.53, 0.0.0.0, ::1 ignored: a loopback address is"));
    assert!(complaints[1].starts_with("fe80::1%eth0 ignored: from a link-local address"));
    assert!(complaints[2].starts_with("line 10 ignored"));
    // Three lines stand for many.
    assert_eq!(complaints.len(), 5);
}

struct Fixture {
    directory: tempfile::TempDir,
    list: watch::Receiver<Vec<IpAddr>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fixture {
    async fn new(content: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("resolv.conf");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let stop = CancellationToken::new();
        let (list, task) = follow(&ResolverSource::ResolvConf(path), stop.clone()).await;
        Self {
            directory,
            list,
            stop,
            task,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("resolv.conf")
    }

    async fn expect(&mut self, wanted: Vec<IpAddr>) {
        let seen = self.list.wait_for(|list| *list == wanted);
        tokio::time::timeout(Duration::from_secs(60), seen)
            .await
            .unwrap()
            .unwrap();
    }

    /// Several looks later nothing has changed.
    async fn expect_still(&mut self, wanted: Vec<IpAddr>) {
        self.list.mark_unchanged();
        sleep(LOOK_EVERY * 3).await;
        assert!(!self.list.has_changed().unwrap());
        assert_eq!(*self.list.borrow(), wanted);
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_list_is_there_at_once_and_changes_follow() {
    let mut fixture = Fixture::new(Some("nameserver 192.0.2.1\n")).await;
    assert_eq!(*fixture.list.borrow(), addresses(["192.0.2.1"]));
    fs::write(
        fixture.path(),
        "nameserver 192.0.2.1\nnameserver 192.0.2.2\n",
    )
    .unwrap();
    fixture.expect(addresses(["192.0.2.1", "192.0.2.2"])).await;
    // As most programs write it: another file renamed over it.
    let other = fixture.directory.path().join("other");
    fs::write(&other, "nameserver 192.0.2.3\n").unwrap();
    fs::rename(other, fixture.path()).unwrap();
    fixture.expect(addresses(["192.0.2.3"])).await;
    fs::write(fixture.path(), "search example\n").unwrap();
    fixture.expect(vec![]).await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_comment_changed_is_no_change() {
    let mut fixture = Fixture::new(Some("nameserver 192.0.2.1\n")).await;
    fs::write(fixture.path(), "# new\nnameserver 192.0.2.1\n").unwrap();
    fixture.expect_still(addresses(["192.0.2.1"])).await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_it_cannot_be_read_the_last_list_is_kept() {
    let mut fixture = Fixture::new(Some("nameserver 192.0.2.1\n")).await;
    fs::remove_file(fixture.path()).unwrap();
    fixture.expect_still(addresses(["192.0.2.1"])).await;
    fs::create_dir(fixture.path()).unwrap();
    fixture.expect_still(addresses(["192.0.2.1"])).await;
    fs::remove_dir(fixture.path()).unwrap();
    fs::write(fixture.path(), vec![b'\n'; 70_000]).unwrap();
    fixture.expect_still(addresses(["192.0.2.1"])).await;
    fs::write(fixture.path(), "nameserver 192.0.2.2\n").unwrap();
    fixture.expect(addresses(["192.0.2.2"])).await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_missing_at_the_start_is_taken_when_it_comes() {
    let mut fixture = Fixture::new(None).await;
    fixture.expect_still(vec![]).await;
    fs::write(fixture.path(), "nameserver 192.0.2.1\n").unwrap();
    fixture.expect(addresses(["192.0.2.1"])).await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_list_in_the_configuration_stays() {
    let listed = addresses(["192.0.2.1", "192.0.2.2"]);
    let stop = CancellationToken::new();
    let (mut list, task) = follow(&ResolverSource::Listed(listed.clone()), stop.clone()).await;
    assert_eq!(*list.borrow(), listed);
    let changed = tokio::time::timeout(Duration::from_secs(3600), list.changed()).await;
    assert!(changed.is_err(), "{changed:?}");
    stop.cancel();
    task.await.unwrap();
}
