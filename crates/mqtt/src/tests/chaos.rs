//! F10: a connection that is cut at random.

use std::collections::BTreeSet;

use super::*;
use tokio::time::sleep;

const CUTS: usize = 20;

#[tokio::test]
async fn f10_cuts_lose_nothing_that_was_promised() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let proxy = Proxy::to(broker.port()).await;
    let mut board = Board::connected(settings(proxy.port)).await;
    let handle = board.handle.clone();
    let mut random = fastrand::Rng::with_seed(7);
    let mut commands = BTreeSet::new();
    let (mut given, mut ordered, mut cuts, mut sequences) = (0u64, 0u64, 0, 0);
    while cuts < CUTS {
        // Some work, then a cut at no particular point of it.
        for _ in 0..random.u64(1..30) {
            given += 1;
            match random.u8(..10) {
                0 => handle.publish(Publication { token: Some(given), ..kept("state", given.to_string()) }),
                1 if given % 3 == 0 && sequences < 12 => {
                    sequences += 1;
                    let parts =
                        (0..4).map(|n| kept(&format!("head/{given}/{n}"), vec![n; 64 << 10])).collect();
                    let manifest = vec![kept("head", given.to_string())];
                    handle.sequence(vec![parts, manifest], Some(given));
                }
                _ => handle.publish(event(&given.to_string(), given)),
            }
        }
        ordered += 1;
        operator.publish("graft/d1/cmd/label", ordered.to_string(), false).await.unwrap();
        let until = sleep(Duration::from_millis(random.u64(1..150)));
        tokio::pin!(until);
        loop {
            tokio::select! {
                report = board.next() => {
                    if let Report::Command(incoming) = report {
                        commands.insert(String::from_utf8_lossy(&incoming.payload).into_owned());
                        handle.ack(incoming.ack);
                    }
                }
                () = &mut until => break,
            }
        }
        if handle.stats().connected {
            proxy.cut();
            cuts += 1;
        }
    }
    // Each promise is kept, and none twice.
    while board.acked.len() < given as usize || commands.len() < ordered as usize {
        let Ok(report) = timeout(LONG, board.next()).await else {
            let missing: Vec<_> = (1..=given).filter(|token| !board.acked.contains(token)).collect();
            let lost: Vec<_> = (1..=ordered).filter(|n| !commands.contains(&n.to_string())).collect();
            panic!(
                "tokens {missing:?} and commands {lost:?} are missing, {:?} {:?}",
                handle.stats(),
                board.refused
            );
        };
        if let Report::Command(incoming) = report {
            commands.insert(String::from_utf8_lossy(&incoming.payload).into_owned());
            handle.ack(incoming.ack);
        }
    }
    let once: BTreeSet<_> = board.acked.iter().copied().collect();
    assert_eq!((once.len(), board.acked.len()), (given as usize, given as usize));
    assert!(board.refused.is_empty(), "{:?}", board.refused);
    assert!(handle.stats().reconnects as usize >= CUTS / 2, "{:?}", handle.stats());
    assert!(proxy.accepted.load(Ordering::Relaxed) > CUTS / 2);
    // The end state at the broker, seen by somebody new.
    handle.publish(held("graft/d1/info", "end"));
    operator.wait_for(0, LONG, "the end", |m| m.payload == "end").await.unwrap();
    let seen: BTreeSet<_> = operator
        .messages()
        .iter()
        .filter(|m| m.topic.ends_with("/event"))
        .map(|m| m.payload.clone())
        .collect();
    let mut late = super::operator(&broker).await;
    assert_eq!(late.retained("info", LONG).await.unwrap(), "end");
    assert_eq!(late.retained("availability", LONG).await.unwrap(), "online");
    for topic in ["state", "head"] {
        let newest: u64 =
            String::from_utf8_lossy(&late.retained(topic, LONG).await.unwrap()).parse().unwrap();
        assert!(newest <= given);
        if topic == "head" {
            for n in 0..4u8 {
                let part = late.retained(&format!("head/{newest}/{n}"), LONG).await.unwrap();
                assert_eq!(part, vec![n; 64 << 10]);
            }
        }
    }
    assert!(seen.len() > 100, "{} events", seen.len());
}
