//! What works on a good connection.

use super::*;
use serde_json::json;

#[tokio::test]
async fn availability_is_online_then_offline_at_close() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let board = Board::connected(settings(broker.port())).await;
    operator.wait_for(0, LONG, "online", says("online")).await.unwrap();
    board.handle.publish(event("last words", 1));
    board.handle.close().await;
    operator.wait_for(0, LONG, "offline", says("offline")).await.unwrap();
    assert!(operator.messages().iter().any(|message| message.payload == "last words"));
    assert_eq!(operator.messages().iter().filter(|m| says("offline")(m)).count(), 1, "the will came as well");
    assert!(broker.log().contains("Client graft-d1 disconnected."), "{}", broker.log());
    assert!(!board.handle.stats().connected);
}

#[tokio::test]
async fn the_will_speaks_when_the_daemon_cannot() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let board = Board::connected(settings(broker.port())).await;
    operator.wait_for(0, LONG, "online", says("online")).await.unwrap();
    drop(board);
    let will = operator.wait_for(0, LONG, "the will", says("offline")).await.unwrap();
    assert_eq!(will.topic, AVAILABILITY);
    let mut late = super::operator(&broker).await;
    assert_eq!(late.retained("availability", LONG).await.unwrap(), "offline", "the will is retained");
}

#[tokio::test]
async fn commands_are_answered_on_their_response_topic() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let mut board = Board::connected(settings(broker.port())).await;
    let answering = async {
        let command = board.wait_command().await;
        assert_eq!((command.topic.as_str(), command.retain), ("graft/d1/cmd/mode", false));
        assert_eq!(command.payload, "adapt");
        assert!(command.expiry_s.is_some_and(|left| left <= 60));
        board.handle.publish(Publication {
            topic: command.response_topic.unwrap(),
            correlation: command.correlation,
            ..event(r#"{"status":"ok"}"#, 1)
        });
        board.handle.ack(command.ack);
    };
    let body = json!("adapt");
    let (reply, ()) = tokio::join!(operator.command("mode", &body, LONG), answering);
    assert_eq!(reply.unwrap(), json!({"status": "ok"}));
}

#[tokio::test]
async fn a_reply_that_does_not_come_is_told() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let error = operator.command("mode", &json!("x"), Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("the reply to mode"), "{error}");
}

#[tokio::test]
async fn retained_commands_are_known_for_what_they_are() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    operator.publish("graft/d1/cmd/train", "before", true).await.unwrap();
    operator.retained("cmd/train", LONG).await.unwrap();
    let mut board = Board::start(settings(broker.port()));
    let command = board.wait_command().await;
    assert!(command.retain && command.payload == "before");
    board.handle.ack(command.ack);
    operator.publish("graft/d1/cmd/train", "live", true).await.unwrap();
    let command = board.wait_command().await;
    assert!(command.retain && command.payload == "live", "{command:?}");
    board.handle.ack(command.ack);
    operator.publish("graft/d1/cmd/train", "plain", false).await.unwrap();
    assert!(!board.wait_command().await.retain);
}

#[tokio::test]
async fn a_large_head_goes_in_parts_and_in_order() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let mut board = Board::connected(settings(broker.port())).await;
    board.handle.retain("graft/d1/head/1/0", "old");
    operator.retained("head/1/0", LONG).await.unwrap();
    let part = |n: u8| kept(&format!("head/2/{n}"), vec![n; 64 << 10]);
    let stages = vec![(0..8).map(part).collect(), vec![kept("head", "manifest")], vec![kept("head/1/0", "")]];
    board.handle.sequence(stages, Some(9));
    board.wait_acked(9).await;
    let cleared = |m: &Message| m.topic == "graft/d1/head/1/0" && m.payload.is_empty();
    operator.wait_for(0, LONG, "the old part to be cleared", cleared).await.unwrap();
    let order: Vec<_> = operator.messages().into_iter().filter(|m| m.topic.contains("/head")).collect();
    let manifest = order.iter().position(|m| m.topic == "graft/d1/head").unwrap();
    assert_eq!(order[..manifest].iter().filter(|m| m.topic.contains("/head/2/")).count(), 8);
    let mut late = super::operator(&broker).await;
    for n in 0..8u8 {
        assert_eq!(late.retained(&format!("head/2/{n}"), LONG).await.unwrap(), vec![n; 64 << 10]);
    }
    assert_eq!(late.holds("head/1/0"), None);
}

#[tokio::test]
async fn a_handle_that_is_off_does_nothing() {
    let mut board = Board::start(Settings { enabled: false, ..Settings::default() });
    board.handle.publish(event("x", 1));
    board.handle.sequence(vec![], Some(2));
    board.handle.close().await;
    assert!(board.reports.recv().await.is_none());
    assert_eq!(board.handle.stats(), Default::default());
}

#[tokio::test]
async fn a_busy_daemon_does_not_lose_the_connection() {
    let Some((broker, _dir)) = broker() else { return };
    let mut operator = operator(&broker).await;
    let mut board = Board::connected(settings(broker.port())).await;
    // Far more than the broker may send unacknowledged, and more than fits the channel of reports.
    for n in 0..100 {
        operator.publish("graft/d1/cmd/label", n.to_string(), false).await.unwrap();
    }
    for n in 0..100 {
        let command = board.wait_command().await;
        assert_eq!(command.payload, n.to_string());
        board.handle.ack(command.ack);
    }
    assert!(board.handle.stats().connected);
    assert_eq!(board.handle.stats().reconnects, 0);
}

/// The watchdog's view: a session turns when it is poked, connected or not, and nothing else counts for it.
#[tokio::test]
async fn a_session_turns_while_it_is_alive() {
    let turned = async |handle: &Handle, before: u64| {
        handle.poke();
        assert_eq!(handle.turns(), before, "a turn without the session's doing");
        let moved = async {
            while handle.turns() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, moved).await.expect("the session stands still");
    };
    // Nobody listens there: it waits for its next attempt.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut lost = Board::start(settings(unused));
    lost.wait_disconnected().await;
    turned(&lost.handle, lost.handle.turns()).await;
    let Some((broker, _dir)) = broker() else { return };
    let board = Board::connected(settings(broker.port())).await;
    // What the connection itself still has to say comes first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    turned(&board.handle, board.handle.turns()).await;
    board.handle.close().await;
    let ended = board.handle.turns();
    board.handle.poke();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(board.handle.turns(), ended);
}
