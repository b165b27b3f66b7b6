mod promises;

use std::time::Duration;

use super::*;

const LIMITS: Limits = Limits { packet: 1 << 20, receive_max: 20, retain: true };

fn outbox() -> (Outbox, Instant) {
    let now = Instant::now();
    let mut outbox = Outbox::new(1 << 20, "d/availability");
    outbox.retain(retained("d/availability", "online"), now);
    (outbox, now)
}

fn connect(outbox: &mut Outbox) {
    outbox.connected(LIMITS, false);
    outbox.reports.clear();
}

fn retained(topic: &str, payload: &str) -> Publication {
    Publication {
        topic: topic.into(),
        payload: payload.to_owned().into(),
        retain: true,
        qos1: true,
        ..q0("")
    }
}

fn q0(topic: &str) -> Publication {
    Publication { topic: topic.into(), ..Publication::default() }
}

fn q1(topic: &str, token: u64) -> Publication {
    Publication { qos1: true, token: Some(token), ..q0(topic) }
}

/// Sends what may be sent and tells `topic=payload` with the tickets.
fn send(outbox: &mut Outbox, now: Instant) -> Vec<(String, Option<u64>)> {
    std::iter::from_fn(|| outbox.next(now))
        .map(|next| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (format!("{}={}", text(&next.packet.topic), text(&next.packet.payload)), next.ticket)
        })
        .collect()
}

/// Sends and acknowledges until nothing is left; the order in which things went out.
fn drain(outbox: &mut Outbox, now: Instant) -> Vec<String> {
    let mut order = Vec::new();
    loop {
        let sent = send(outbox, now);
        if sent.is_empty() {
            return order;
        }
        for (text, ticket) in sent {
            order.push(text);
            ticket.into_iter().for_each(|ticket| outbox.acked(ticket));
        }
    }
}

fn tokens(outbox: &mut Outbox) -> Vec<String> {
    std::mem::take(&mut outbox.reports)
        .into_iter()
        .map(|report| match report {
            Report::Acked(token) => format!("acked {token}"),
            Report::Refused { token, reason } => {
                format!("refused {token} {}", reason.split(':').next().unwrap_or_default())
            }
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn retained_topics_go_out_at_every_connect_and_availability_last() {
    let (mut outbox, now) = outbox();
    outbox.retain(retained("d/info", "1"), now);
    outbox.retain(retained("d/state", "1"), now);
    for _ in 0..2 {
        connect(&mut outbox);
        assert_eq!(drain(&mut outbox, now), ["d/info=1", "d/state=1", "d/availability=online"]);
        outbox.disconnected(true);
    }
}

#[test]
fn a_retained_topic_is_coalesced_to_its_newest_payload() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    drain(&mut outbox, now);
    outbox.publish(Publication { token: Some(1), ..retained("d/state", "1") }, now);
    let first = send(&mut outbox, now);
    for payload in ["2", "3"] {
        outbox.retain(retained("d/state", payload), now);
    }
    // The one on its way is waited for: two of one topic could overtake each other.
    assert_eq!(send(&mut outbox, now), []);
    outbox.acked(first[0].1.unwrap());
    assert_eq!(tokens(&mut outbox), ["acked 1"]);
    assert_eq!(drain(&mut outbox, now), ["d/state=3"]);
}

#[test]
fn a_cleared_topic_is_sent_once_and_forgotten() {
    let (mut outbox, now) = outbox();
    outbox.retain(retained("d/job/1", "x"), now);
    outbox.retain(retained("d/job/1", ""), now);
    connect(&mut outbox);
    assert_eq!(drain(&mut outbox, now), ["d/job/1=", "d/availability=online"]);
    outbox.disconnected(true);
    connect(&mut outbox);
    assert_eq!(drain(&mut outbox, now), ["d/availability=online"]);
}

#[test]
fn i15_offline_telemetry_drops_the_oldest_and_stale_ones() {
    let (mut outbox, now) = outbox();
    for n in 0..300 {
        outbox.publish(q0(&format!("t/{n}")), now);
    }
    outbox.publish(Publication { expiry_s: Some(10), ..q0("t/stale") }, now);
    assert_eq!(outbox.stats.dropped, 45);
    connect(&mut outbox);
    let order = drain(&mut outbox, now + Duration::from_secs(11));
    assert_eq!(order.iter().filter(|text| text.starts_with("t/")).count(), 255);
    assert_eq!(order.iter().find(|text| text.starts_with("t/")).unwrap(), "t/45=");
    assert_eq!(outbox.stats.dropped, 46);
}

#[test]
fn i15_the_queue_is_bounded_and_says_so() {
    let (mut outbox, now) = outbox();
    for token in 0..1025 {
        outbox.publish(q1("e", token), now);
    }
    assert_eq!(tokens(&mut outbox), ["refused 1024 queue_full"]);
    let (mut outbox, _) = self::outbox();
    let big = Publication { payload: vec![0; 1_000_000].into(), ..q1("e", 1) };
    for _ in 0..9 {
        outbox.publish(big.clone(), now);
    }
    assert_eq!(tokens(&mut outbox), ["refused 1 queue_full"]);
}

#[test]
fn unacknowledged_messages_come_again_in_order() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    drain(&mut outbox, now);
    for token in 0..5 {
        outbox.publish(q1(&format!("e/{token}"), token), now);
    }
    let sent = send(&mut outbox, now);
    outbox.acked(sent[1].1.unwrap());
    outbox.disconnected(true);
    // A late word about the old connection changes nothing.
    outbox.acked(sent[0].1.unwrap());
    outbox.reports.clear();
    connect(&mut outbox);
    let order = drain(&mut outbox, now);
    assert_eq!(order[1..], ["e/0=", "e/2=", "e/3=", "e/4="]);
    assert_eq!(tokens(&mut outbox), ["acked 0", "acked 2", "acked 3", "acked 4"]);
}

#[test]
fn the_window_counts_from_the_oldest_unacknowledged() {
    for (receive_max, window) in [(1, 1), (2, 1), (3, 2), (10, 9), (u16::MAX, 16)] {
        let (mut outbox, now) = outbox();
        outbox.connected(Limits { receive_max, ..LIMITS }, false);
        drain(&mut outbox, now);
        for token in 0..100 {
            outbox.publish(q1("e", token), now);
        }
        let sent = send(&mut outbox, now);
        assert_eq!(sent.len(), window, "receive maximum {receive_max}");
        // Acknowledging all but the oldest makes no room: its packet id would come round again.
        for (_, ticket) in &sent[1..] {
            outbox.acked(ticket.unwrap());
        }
        assert_eq!(send(&mut outbox, now).len(), 0);
        outbox.acked(sent[0].1.unwrap());
        assert_eq!(send(&mut outbox, now).len(), window);
    }
}

#[test]
fn big_packets_are_limited_by_bytes() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    drain(&mut outbox, now);
    for token in 0..8 {
        outbox.publish(Publication { payload: vec![0; 100_000].into(), ..q1("e", token) }, now);
    }
    assert_eq!(send(&mut outbox, now).len(), 2);
}

#[test]
fn a_sequence_waits_for_each_stage_and_starts_again_after_a_break() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    drain(&mut outbox, now);
    let stages = vec![
        vec![retained("d/head/2/0", "a"), retained("d/head/2/1", "b")],
        vec![],
        vec![retained("d/head", "manifest 2")],
        vec![retained("d/head/1/0", "")],
    ];
    outbox.sequence(stages, Some(7));
    let parts = send(&mut outbox, now);
    assert_eq!(parts.len(), 2);
    outbox.acked(parts[1].1.unwrap());
    assert_eq!(send(&mut outbox, now), []);
    outbox.acked(parts[0].1.unwrap());
    assert_eq!(send(&mut outbox, now)[0].0, "d/head=manifest 2");
    outbox.disconnected(true);
    connect(&mut outbox);
    let order = drain(&mut outbox, now);
    assert_eq!(
        order[1..],
        ["d/head/2/0=a", "d/head/2/1=b", "d/head=manifest 2", "d/head/1/0="],
        "availability comes before the sequence"
    );
    assert_eq!(tokens(&mut outbox), ["acked 7"]);
}

#[test]
fn finished_sequences_stand_until_something_newer_takes_their_topics() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    let head = |version: u64| {
        vec![
            vec![retained(&format!("d/head/{version}/0"), "w")],
            vec![retained("d/head", &format!("m{version}"))],
            vec![retained(&format!("d/head/{}/0", version.wrapping_sub(2)), "")],
        ]
    };
    for version in 3..=5 {
        outbox.sequence(head(version), None);
    }
    drain(&mut outbox, now);
    outbox.disconnected(true);
    connect(&mut outbox);
    let order = drain(&mut outbox, now);
    assert_eq!(
        order[1..],
        ["d/head/4/0=w", "d/head/5/0=w", "d/head=m5"],
        "current and previous, nothing cleared"
    );
    // A topic that is cleared by hand does not come back, not even from a repeat that has begun.
    outbox.disconnected(true);
    connect(&mut outbox);
    let sent = send(&mut outbox, now);
    assert_eq!(sent.len(), 2, "availability and the first part");
    outbox.retain(retained("d/head/5/0", ""), now);
    sent.iter().for_each(|(_, ticket)| outbox.acked(ticket.unwrap()));
    assert_eq!(drain(&mut outbox, now), ["d/head/5/0=", "d/head=m5"]);
}

#[test]
fn an_empty_sequence_is_done_at_once() {
    let (mut outbox, _) = outbox();
    outbox.sequence(vec![vec![], vec![]], Some(3));
    assert_eq!(tokens(&mut outbox), ["acked 3"]);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let (mut outbox, now) = outbox();
    let big = |topic: &str| Publication { payload: vec![0; 2000].into(), token: Some(1), ..q1(topic, 1) };
    let stages = vec![vec![retained("d/head/1/0", "small")], vec![big("d/head")]];
    outbox.publish(big("e"), now);
    outbox.publish(Publication { retain: true, token: Some(2), ..big("d/state") }, now);
    outbox.sequence(stages, Some(3));
    outbox.publish(Publication { qos1: false, ..big("t") }, now);
    outbox.publish(q1("small", 4), now);
    outbox.connected(Limits { packet: 1000, ..LIMITS }, false);
    outbox.reports.clear();
    // Not one part of the sequence either.
    assert_eq!(drain(&mut outbox, now), ["d/availability=online", "small="]);
    let mut said = tokens(&mut outbox);
    said.sort();
    assert_eq!(
        said,
        [
            "acked 4",
            "refused 1 too_large",
            "refused 1 too_large",
            "refused 2 too_large",
            "refused 3 too_large"
        ]
    );
    // Beyond our own limit there is no need to wait for a broker.
    outbox.publish(Publication { payload: vec![0; 1 << 20].into(), ..q1("e", 5) }, now);
    assert_eq!(tokens(&mut outbox), ["refused 5 too_large"]);
}

#[test]
fn a_rejected_publication_is_found_by_sending_one_at_a_time() {
    let (mut outbox, now) = outbox();
    for token in 0..4 {
        outbox.publish(q1(&format!("e/{token}"), token), now);
    }
    let mut connections = 0;
    loop {
        connections += 1;
        assert!(connections < 5, "the rejected publication is sent again for ever");
        connect(&mut outbox);
        let mut broken = false;
        loop {
            let sent = send(&mut outbox, now);
            if sent.is_empty() {
                break;
            }
            if sent.iter().any(|(text, _)| text == "e/2=") {
                outbox.publication_rejected("too_large: said the broker");
                broken = true;
                break;
            }
            sent.iter().for_each(|(_, ticket)| outbox.acked(ticket.unwrap()));
        }
        outbox.disconnected(true);
        if !broken {
            break;
        }
    }
    assert_eq!(connections, 3, "one that broke in the crowd, one that broke alone, one that is good");
    assert!(!outbox.one_at_a_time);
}

#[test]
fn a_refused_retained_topic_is_tried_again_only_with_a_new_payload() {
    let (mut outbox, now) = outbox();
    connect(&mut outbox);
    drain(&mut outbox, now);
    outbox.publish(Publication { token: Some(1), ..retained("d/state", "bad") }, now);
    let ticket = send(&mut outbox, now)[0].1.unwrap();
    outbox.refused(ticket, "denied: no");
    assert_eq!(tokens(&mut outbox), ["refused 1 denied"]);
    outbox.disconnected(true);
    connect(&mut outbox);
    assert_eq!(drain(&mut outbox, now), ["d/availability=online"]);
    outbox.retain(retained("d/state", "good"), now);
    assert_eq!(drain(&mut outbox, now), ["d/state=good"]);
}

#[test]
fn brokers_without_retained_messages_get_plain_ones() {
    let (mut outbox, now) = outbox();
    outbox.connected(Limits { retain: false, ..LIMITS }, false);
    assert!(!outbox.next(now).unwrap().packet.retain);
}

#[test]
fn undelivered_commands_of_a_lost_connection_are_left_to_the_broker() {
    let (mut outbox, _) = outbox();
    let command = |pkid| Incoming {
        topic: "c".into(),
        payload: Bytes::new(),
        retain: false,
        response_topic: None,
        correlation: None,
        expiry_s: None,
        ack: Ack { connection: 1, pkid },
    };
    outbox.incoming(command(0));
    outbox.incoming(command(1));
    outbox.disconnected(true);
    assert_eq!(outbox.reports.len(), 1, "the one at QoS 0 does not come again");
    for _ in 0..2 * INCOMING {
        outbox.incoming(command(0));
    }
    assert_eq!(outbox.reports.len(), INCOMING);
}
