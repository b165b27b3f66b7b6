//! Kills, lost leases, damaged files: a job ends well all the same, once.

use super::jobs::alive;
use super::kit::{Engine, Kit, put};
use super::{Host, Played, until};
use crate::support::{block_on, broker};
use std::time::Duration;
use tempfile::TempDir;

#[test]
fn a_host_that_is_killed_at_any_point_goes_on() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    let rounds = if crate::full() { 12 } else { 2 };
    let mut dice = fastrand::Rng::with_seed(4);
    block_on(async {
        for round in 0..rounds {
            let id: &'static str = Box::leak(format!("gpu-{round}").into_boxed_str());
            let mut host =
                Host::new(dir.path(), id, &broker, &kit.engine(&Engine { steps: 6, pause: 0.1, exit: 0 }));
            // A host that comes back is reached at the same place.
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            host.set(format!("http.listen=127.0.0.1:{port}"));
            host.start();
            let mut board = Played::offer(&broker, "cam-1", &round.to_string(), &kit).await;
            let claim = board.claimed_by(&host).await;
            host.kill();
            host.start();
            let mut names = Vec::new();
            until("the host to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
            names.extend(board.list(&claim).await);
            for (at, name) in names.iter().enumerate() {
                let bytes = kit.blob(name);
                if at == dice.usize(..names.len()) || at + 1 == names.len() {
                    assert_eq!(put(&claim, name, 0, bytes, bytes.len() / 2).await.0, 202);
                    host.kill();
                    host.start();
                    until("the host to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
                        .await;
                    assert_eq!(put(&claim, name, bytes.len() / 2, bytes, bytes.len()).await.0, 201);
                } else {
                    assert_eq!(put(&claim, name, 0, bytes, bytes.len()).await.0, 201);
                }
            }
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(dice.u64(50..900))).await;
                host.kill();
                host.start();
            }
            let manifest = board.result().await;
            manifest.check().unwrap();
            // Killed with the result out: the same one is said again, under the same version.
            host.kill();
            // What it said before does not count, and an offer that is cleared before it listens is missed for minutes.
            board.heard = board.operator.now();
            host.start();
            assert_eq!(board.result().await, manifest);
            // It worked on from its checkpoint: not one engine began anew.
            let steps = host.dir.join(format!("jobs/cam-1.{round}/work/steps"));
            assert_eq!(std::fs::read_to_string(steps).unwrap().trim(), "6");
            board.clear().await;
            until("the job's files to go", || host.jobs() == 0).await;
        }
    });
}

#[test]
fn an_engine_that_is_killed_is_started_again_and_a_left_over_one_is_ended() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let mut host =
            Host::new(dir.path(), "gpu-1", &broker, &kit.engine(&Engine { steps: 40, pause: 0.1, exit: 0 }));
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;
        board.send(&claim, &kit).await;
        let pid_file = host.dir.join("jobs/cam-1.16/work/engine.pid");
        let pid = |not: u32| {
            let read = std::fs::read_to_string(&pid_file).ok().and_then(|text| text.parse::<u32>().ok());
            read.filter(|pid| *pid != not)
        };
        until("the engine to start", || pid(0).is_some()).await;
        let first = pid(0).unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(first as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        until("another engine to start", || pid(first).is_some()).await;
        let second = pid(first).unwrap();
        // The host goes without a word; its engine is still there when it comes back.
        host.kill();
        assert!(alive(second));
        host.start();
        until("a third engine to start", || pid(second).is_some()).await;
        assert!(!alive(second), "two engines write one folder");
        board.result().await;
    });
}

#[test]
fn two_hosts_share_the_offers_and_one_takes_over_from_the_other() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    let engine = kit.engine(&Engine { steps: 10, pause: 0.1, exit: 0 });
    let shared = dir.path().join("bucket").display().to_string();
    block_on(async {
        let mut hosts = ["gpu-1", "gpu-2"].map(|id| {
            let mut host = Host::new(dir.path(), id, &broker, &engine);
            host.set(format!("store.url={shared}"));
            host.set("store.keep_hours=24");
            host.start();
            host
        });
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claim().await;
        let first = usize::from(claim.host == "gpu-2");
        claim.verify("cam-1", &[hosts[first].key()], Some(super::now_ms())).unwrap();
        board.accept(&claim.host).await;
        until("the other to step back", || hosts[1 - first].jobs() == 0).await;
        board.send(&claim, &kit).await;
        board.progress("gradual").await;
        // The first one is gone; its lease ends, and the board offers the job again.
        hosts[first].kill();
        board.offer_again().await;
        let second = board.claimed_by(&hosts[1 - first]).await;
        assert_ne!(second.token, claim.token);
        assert_eq!(
            board.list(&second).await,
            [""; 0],
            "what the first one got is in the store that they share"
        );
        let manifest = board.result().await;
        assert_eq!(manifest.key_id, hosts[1 - first].key().id());
        // The first one comes back, and sees that it has lost the job.
        hosts[first].start();
        until("the first to give up", || hosts[first].jobs() == 0).await;
    });
}
