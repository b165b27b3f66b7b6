//! What happens when connections, brokers and peers break.

use super::*;
use rumqttc::v5::MqttOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn retained_topics_come_back_to_a_broker_that_lost_everything() {
    let Some((mut broker, dir)) = broker() else { return };
    let port = broker.port();
    let mut board = Board::connected(settings(port)).await;
    board.handle.retain("graft/d1/info", "i");
    board.handle.retain("graft/d1/state", "s1");
    board.handle.sequence(vec![vec![kept("head/2/0", "w")], vec![kept("head", "m2")]], Some(1));
    board.wait_acked(1).await;
    broker.kill();
    board.wait_disconnected().await;
    board.handle.retain("graft/d1/state", "s2");
    let broker = Broker::start_with(dir.path(), &Options { port: Some(port), ..Options::default() }).unwrap();
    let mut operator = operator(&broker).await;
    for (topic, payload) in
        [("info", "i"), ("state", "s2"), ("head/2/0", "w"), ("head", "m2"), ("availability", "online")]
    {
        assert_eq!(operator.retained(topic, LONG).await.unwrap(), payload, "{topic}");
    }
    let (_, session_present) = board.wait_connected().await;
    assert!(!session_present);
    assert_eq!(board.handle.stats().reconnects, 1);
}

#[tokio::test]
async fn i8_commands_are_delivered_again_until_acknowledged() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let proxy = Proxy::to(broker.port()).await;
    let mut board = Board::connected(settings(proxy.port)).await;
    operator.publish("graft/d1/cmd/label", "one", false).await.unwrap();
    let first = board.wait_command().await;
    proxy.cut();
    let (_, session_present) = board.wait_connected().await;
    assert!(session_present);
    let again = board.wait_command().await;
    assert_eq!(&again.payload[..], b"one");
    // The right to acknowledge went with the first connection; giving it back does no harm.
    board.handle.ack(first.ack);
    board.handle.ack(again.ack);
    // The acknowledgement went out before what is acknowledged here.
    board.handle.publish(event("mark", 1));
    board.wait_acked(1).await;
    proxy.cut();
    board.wait_connected().await;
    operator.publish("graft/d1/cmd/label", "two", false).await.unwrap();
    assert_eq!(board.wait_command().await.payload, "two");
}

#[tokio::test]
async fn commands_given_while_away_are_kept_for_us() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let board = Board::connected(settings(broker.port())).await;
    drop(board);
    operator.wait_for(0, LONG, "the will", says("offline")).await.unwrap();
    operator.publish("graft/d1/cmd/mode", "adapt", false).await.unwrap();
    let mut board = Board::start(settings(broker.port()));
    assert_eq!(board.wait_command().await.payload, "adapt");
}

#[tokio::test]
async fn what_is_published_offline_arrives_later() {
    let Some((mut broker, dir)) = broker() else { return };
    let port = broker.port();
    broker.kill();
    let mut board = Board::start(settings(port));
    let reason = board.wait_disconnected().await;
    assert!(reason.contains("nothing listens") && reason.contains(&port.to_string()), "{reason}");
    for token in 0..50 {
        board.handle.publish(event(&token.to_string(), token));
    }
    let broker = Broker::start_with(dir.path(), &Options { port: Some(port), ..Options::default() }).unwrap();
    let mut operator = operator(&broker).await;
    board.wait_acked(49).await;
    // The operator may have come after the first of them.
    let last = |message: &Message| message.payload == "late";
    board.handle.publish(event("late", 50));
    operator.wait_for(0, LONG, "the last event", last).await.unwrap();
    assert_eq!(board.acked, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_with_our_id_is_named_and_not_fought() {
    let Some((broker, _dir)) = broker() else { return };
    let mut board = Board::start(settings(broker.port()));
    let mut said = String::new();
    for _ in 0..4 {
        board.wait_connected().await;
        let rival = MqttOptions::new("graft-d1", "127.0.0.1", broker.port());
        let rival = Operator::connect_with(rival, ROOT).await.unwrap();
        said = board.wait_disconnected().await;
        drop(rival);
    }
    // This mosquitto does not say why it closes; the pattern does.
    assert!(said.contains("\"graft-d1\"") && said.contains("mqtt.client_id"), "{said}");
}

#[tokio::test]
async fn f10_a_half_open_connection_is_noticed() {
    let Some((broker, _dir)) = broker() else { return };
    let proxy = Proxy::to(broker.port()).await;
    let mut board = Board::connected(Settings { keep_alive_s: 5, ..settings(proxy.port) }).await;
    proxy.fall_silent();
    board.handle.publish(event("into the void", 1));
    assert!(!board.wait_disconnected().await.is_empty());
    board.wait_acked(1).await;
}

#[tokio::test]
async fn our_own_late_will_does_not_last() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let board = Board::connected(settings(broker.port())).await;
    operator.wait_for(0, LONG, "online", says("online")).await.unwrap();
    let from = operator.now();
    operator.publish(AVAILABILITY, "offline", true).await.unwrap();
    operator.wait_for(from, LONG, "online again", says("online")).await.unwrap();
    assert!(board.handle.stats().connected);
}

/// A broker that accepts and then says `after`.
async fn false_broker(after: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let after = after.clone();
            tokio::spawn(async move {
                let mut connect = [0; 512];
                if stream.read(&mut connect).await.is_ok() && stream.write_all(&after).await.is_ok() {
                    // Open for as long as the client may want to read more, then closed.
                    let more = async { while stream.read(&mut connect).await.is_ok_and(|n| n > 0) {} };
                    let _ = timeout(Duration::from_millis(300), more).await;
                }
            });
        }
    });
    port
}

const CONNACK: [u8; 5] = [0x20, 3, 0, 0, 0];

#[tokio::test]
async fn i19_nonsense_from_a_broker_ends_the_connection_alone() {
    let after = |bytes: &[u8]| [&CONNACK, bytes].concat();
    let cases = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![0x20, 3, 0, 0x87, 0],
        after(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff]),
        after(&[0x30, 0xff, 0xff, 0xff, 0x7f]),
        after(&[0x32, 5, 0xff, 0xff, 1, 2, 3]),
        after(&[0x40, 2, 0, 9]),
        after(&[0x40, 3, 0, 1, 0x95]),
        after(&[0x62, 1, 0]),
        after(&[0xe0, 0]),
        after(&[0xe0, 2, 0x8e, 0]),
        after(&[0xf0, 2, 0, 0]),
        [&[0x20, 6, 0, 0, 3, 0x21, 0, 0][..]].concat(),
        [&[0x20, 5, 0, 0, 2, 0x24, 0][..]].concat(),
    ];
    for bytes in cases {
        let port = false_broker(bytes.clone()).await;
        let mut board = Board::start(settings(port));
        let reason = board.wait_disconnected().await;
        assert!(!reason.is_empty() && !reason.contains('\n'), "{bytes:?}: {reason}");
        // The session itself lives and ends properly.
        board.handle.close().await;
    }
}

#[tokio::test]
async fn closing_does_not_wait_for_a_broker_that_is_not_ready() {
    // It accepts the connection and then says no more, not even that we are subscribed.
    let port = false_broker(CONNACK.to_vec()).await;
    let board = Board::start(settings(port));
    board.handle.close().await;
    assert!(!board.handle.stats().connected);
}
