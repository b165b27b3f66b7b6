//! Sizes and permissions.

use super::*;

fn sized(bytes: usize, token: u64) -> Publication {
    Publication { payload: vec![b'x'; bytes].into(), ..event("", token) }
}

#[tokio::test]
async fn oversize_is_refused_here_and_the_connection_lives() {
    let Some((broker, _dir)) = broker_with(&lines(&["max_packet_size 20000"])) else { return };
    let mut board = Board::start(settings(broker.port()));
    let (max_packet_out, _) = board.wait_connected().await;
    assert_eq!(max_packet_out, 20_000);
    board.handle.publish(sized(30_000, 1));
    board.handle.publish(sized(2 << 20, 2));
    board.handle.publish(sized(19_000, 3));
    board.handle.sequence(vec![vec![kept("head/1/0", "ok")], vec![kept("head", vec![0; 30_000])]], Some(4));
    for token in [1, 2, 4] {
        let reason = board.wait_refused(token).await;
        assert!(reason.starts_with("too_large:"), "{reason}");
    }
    board.wait_acked(3).await;
    let stats = board.handle.stats();
    assert!(stats.connected && stats.reconnects == 0 && stats.refused == 3, "{stats:?}");
}

#[tokio::test]
async fn messages_over_rumqttc_default_come_in_and_go_out() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let mut board = Board::connected(settings(broker.port())).await;
    operator.publish("graft/d1/cmd/head", vec![b'y'; 900_000], false).await.unwrap();
    let command = board.wait_command().await;
    assert_eq!(command.payload.len(), 900_000);
    board.handle.ack(command.ack);
    board.handle.publish(sized(1_000_000, 1));
    board.wait_acked(1).await;
    operator.wait_for(0, LONG, "the large event", |m| m.payload.len() == 1_000_000).await.unwrap();
    // What is over our announced limit is not sent to us, and does not cost the connection.
    operator.publish("graft/d1/cmd/head", vec![b'y'; 1_100_000], false).await.unwrap();
    operator.publish("graft/d1/cmd/head", "small", false).await.unwrap();
    assert_eq!(board.wait_command().await.payload, "small");
    assert_eq!(board.handle.stats().reconnects, 0);
}

#[tokio::test]
async fn a_message_the_broker_cannot_take_is_found_and_left_out() {
    // mosquitto does not announce this limit; it answers PUBACK 149, which rumqttc cannot read.
    let Some((broker, _dir)) = broker_with(&lines(&["message_size_limit 5000"])) else { return };
    let mut operator = operator(&broker).await;
    let mut board = Board::connected(settings(broker.port())).await;
    for token in 0..10 {
        board.handle.publish(sized(if token == 4 { 6000 } else { 100 }, token));
    }
    board.handle.publish(held("graft/d1/state", vec![b's'; 6000]));
    board.handle.publish(held("graft/d1/info", "i"));
    let reason = board.wait_refused(4).await;
    assert!(reason.starts_with("too_large:"), "{reason}");
    for token in (0..10).filter(|token| *token != 4) {
        board.wait_acked(token).await;
    }
    assert_eq!(operator.retained("info", LONG).await.unwrap(), "i");
    board.handle.publish(sized(1, 11));
    board.wait_acked(11).await;
    let stats = board.handle.stats();
    assert_eq!(stats.refused, 2);
    assert!(stats.reconnects <= 4, "{stats:?}");
}

#[tokio::test]
async fn what_the_broker_forbids_is_told() {
    let Some((_, dir)) = broker() else { return };
    let acl = dir.path().join("acl");
    std::fs::write(&acl, "topic readwrite graft/d1/#\ntopic deny graft/d1/event\n").unwrap();
    let options = lines(&[&format!("acl_file {}", acl.display())]);
    let broker = Broker::start_with(dir.path(), &options).unwrap();
    let mut board = Board::connected(settings(broker.port())).await;
    board.handle.publish(event("x", 1));
    let reason = board.wait_refused(1).await;
    assert!(reason.starts_with("denied:"), "{reason}");
    board.handle.publish(Publication { topic: "graft/d1/state".into(), ..event("x", 2) });
    board.wait_acked(2).await;
    assert!(board.handle.stats().connected);
}

#[tokio::test]
async fn a_probe_tells_the_limits_and_throws_nobody_out() {
    let Some((broker, _dir)) = broker_with(&lines(&["max_packet_size 100000"])) else { return };
    let board = Board::connected(settings(broker.port())).await;
    let probe = probe(&settings(broker.port()), "graft/d1/doctor", 64 << 10).await.unwrap();
    assert_eq!((probe.packet, probe.retain), (Some(100_000), true));
    assert!(board.handle.stats().connected && board.handle.stats().reconnects == 0);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let why = super::super::probe(&settings(unused), "graft/d1/doctor", 64 << 10).await.unwrap_err();
    assert!(why.contains(&unused.to_string()), "{why}");
}
