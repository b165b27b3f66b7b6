//! Whatever happens, what was promised holds.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever happens to the connection, each QoS 1 token is answered exactly once, and in order within the
    /// queue; retained topics end with their newest payload.
    #[test]
    fn each_token_is_answered_once(steps in prop::collection::vec(0u8..8, 1..200)) {
        let (mut outbox, now) = outbox();
        let mut in_flight: VecDeque<(String, u64)> = VecDeque::new();
        let mut broker: BTreeMap<String, String> = BTreeMap::new();
        let (mut given, mut connected) = (0, false);
        let ack = |outbox: &mut Outbox, broker: &mut BTreeMap<String, String>, (text, ticket): (String, u64)| {
            let (topic, payload) = text.split_once('=').unwrap();
            broker.insert(topic.into(), payload.into());
            outbox.acked(ticket);
        };
        let mut answers = Vec::new();
        for step in steps.into_iter().chain([3, 4]) {
            match step {
                0 | 1 => {
                    outbox.publish(q1("e", given), now);
                    given += 1;
                }
                2 => {
                    outbox.sequence(vec![vec![retained("d/h/0", "p")], vec![retained("d/h", "m")]], Some(given));
                    given += 1;
                }
                3 if connected => {
                    outbox.disconnected(true);
                    in_flight.clear();
                    connected = false;
                }
                4 if !connected => {
                    outbox.connected(LIMITS, true);
                    connected = true;
                }
                5 => {
                    in_flight.extend(send(&mut outbox, now).into_iter().filter_map(|(text, t)| Some((text, t?))));
                }
                6 => {
                    if let Some(first) = in_flight.pop_front() {
                        ack(&mut outbox, &mut broker, first);
                    }
                }
                7 => {
                    outbox.publish(Publication { token: Some(given), ..retained("d/s", &given.to_string()) }, now);
                    given += 1;
                }
                _ => {}
            }
        }
        loop {
            in_flight.extend(send(&mut outbox, now).into_iter().filter_map(|(text, t)| Some((text, t?))));
            let Some(first) = in_flight.pop_front() else { break };
            ack(&mut outbox, &mut broker, first);
        }
        for report in std::mem::take(&mut outbox.reports) {
            match report {
                Report::Acked(token) | Report::Refused { token, .. } => answers.push(token),
                _ => {}
            }
        }
        answers.sort_unstable();
        prop_assert_eq!(answers, (0..given).collect::<Vec<_>>());
        prop_assert!(outbox.is_drained() && outbox.flight_bytes == 0 && outbox.queue_bytes == 0);
        let newest = outbox.retained.iter().find(|kept| kept.waiting.publication.topic == "d/s");
        let newest = newest.map(|kept| String::from_utf8_lossy(&kept.waiting.publication.payload).into_owned());
        prop_assert_eq!(broker.get("d/s").cloned(), newest);
    }
}
