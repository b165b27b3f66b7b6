//! One connection's packets: the outbox's publications as rumqttc's requests, rumqttc's events as ours.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Filter, Publish, RetainForwardRule};
use tokio::time::Instant;
use tracing::warn;

use super::connection::REQUESTS;
use super::outbox::{Limits, Outbox};
use super::reason::Cause;
use super::{Ack, Incoming};

/// What belongs to one connection.
pub(super) struct Traffic {
    pub number: u64,
    pub client: AsyncClient,
    /// Requests in rumqttc's channel.
    pub outstanding: usize,
    /// Tickets of QoS 1 publications in that channel, which have no packet id yet; they get theirs in this order.
    pub unnumbered: VecDeque<u64>,
    /// Tickets of the unacknowledged ones by packet id.
    pub in_flight: HashMap<u16, u64>,
    pub limits: Option<(Limits, bool)>,
    /// Commands that the broker had kept for us: they come before it accepts our subscriptions.
    pub early: Vec<Incoming>,
    /// How long the broker may be silent.
    pub silence: Duration,
    /// When the subscriptions were accepted.
    pub ready: Option<Instant>,
}

impl Traffic {
    pub fn new(number: u64, client: AsyncClient, silence: Duration) -> Self {
        let (unnumbered, in_flight) = (VecDeque::new(), HashMap::new());
        Self {
            number,
            client,
            outstanding: 0,
            unnumbered,
            in_flight,
            limits: None,
            early: Vec::new(),
            silence,
            ready: None,
        }
    }

    /// Hands over what may go, keeping half of the library's channel free so that a send always succeeds.
    pub fn pump(&mut self, outbox: &mut Outbox) {
        while self.outstanding < REQUESTS / 2 {
            if let Some(ack) = outbox.acks.pop_front() {
                let publish = Publish { pkid: ack.pkid, qos: QoS::AtLeastOnce, ..Publish::default() };
                if ack.connection == self.number && self.client.try_ack(&publish).is_ok() {
                    self.outstanding += 1;
                }
                continue;
            }
            let Some(next) = outbox.next(std::time::Instant::now()) else { return };
            // The topic was checked, so it can only be that the connection has ended. What is in flight goes
            // back to its place when that is heard.
            if !send(&self.client, next.packet) {
                self.outstanding = REQUESTS;
                return;
            }
            self.outstanding += 1;
            self.unnumbered.extend(next.ticket);
        }
    }

    pub fn sent(&mut self, outgoing: &Outgoing) {
        match outgoing {
            Outgoing::Publish(pkid) => {
                if *pkid != 0
                    && let Some(ticket) = self.unnumbered.pop_front()
                {
                    self.in_flight.insert(*pkid, ticket);
                }
            }
            Outgoing::Subscribe(_) | Outgoing::PubAck(_) => {}
            _ => return,
        }
        self.outstanding = self.outstanding.saturating_sub(1);
    }
}

fn send(client: &AsyncClient, packet: Publish) -> bool {
    // It was made from a `String`.
    let topic = String::from_utf8_lossy(&packet.topic).into_owned();
    match packet.properties {
        Some(properties) => {
            client.try_publish_with_properties(topic, packet.qos, packet.retain, packet.payload, properties)
        }
        None => client.try_publish(topic, packet.qos, packet.retain, packet.payload),
    }
    .is_ok()
}

pub(super) fn limits(connack: &ConnAck) -> Result<(Limits, bool), Cause> {
    let properties = connack.properties.as_ref();
    let receive_max = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
    if receive_max == 0 || properties.and_then(|p| p.max_packet_size) == Some(0) {
        return Err(Cause::lost("the broker announces a limit of 0, which MQTT 5 forbids"));
    }
    if properties.and_then(|p| p.max_qos) == Some(0) {
        return Err(Cause::lost(
            "the broker offers QoS 0 only, but commands and heads need QoS 1: use another broker",
        ));
    }
    let retain = properties.and_then(|p| p.retain_available) != Some(0);
    if !retain {
        warn!("the broker keeps no retained messages: late subscribers will not see state and heads");
    }
    let packet = properties.and_then(|p| p.max_packet_size).map_or(usize::MAX, |bytes| bytes as usize);
    Ok((Limits { packet, receive_max, retain }, connack.session_present))
}

/// How long the broker may be silent: two and a half times what is between two pings, which the broker may
/// have set otherwise than we asked.
pub(super) fn silence_limit(asked_s: u16, connack: Option<&ConnAck>) -> Duration {
    let set_s = connack.and_then(|connack| connack.properties.as_ref()).and_then(|p| p.server_keep_alive);
    Duration::from_secs(u64::from(set_s.unwrap_or(0).max(asked_s))) * 5 / 2
}

pub(super) fn filter(topic: &String) -> Filter {
    let mut filter = Filter::new(topic, QoS::AtLeastOnce);
    // So that a retained command is known for one even when it is delivered live, and is not delivered
    // again at every reconnect.
    filter.preserve_retain = true;
    filter.retain_forward_rule = RetainForwardRule::OnNewSubscribe;
    filter
}

pub(super) fn incoming(publish: Publish, connection: u64) -> Incoming {
    let pkid = if publish.qos == QoS::AtMostOnce { 0 } else { publish.pkid };
    let properties = publish.properties.unwrap_or_default();
    Incoming {
        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
        payload: publish.payload,
        retain: publish.retain,
        response_topic: properties.response_topic,
        correlation: properties.correlation_data,
        expiry_s: properties.message_expiry_interval,
        ack: Ack { connection, pkid },
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rumqttc::v5::MqttOptions;
    use rumqttc::v5::mqttbytes::v5::Packet;

    use super::*;
    use crate::{Publication, Report};

    /// The driver task may be gone before the session has heard of it.
    #[test]
    fn what_is_handed_to_a_dead_connection_is_kept() {
        let (client, event_loop) = AsyncClient::new(MqttOptions::new("id", "h", 1), REQUESTS);
        drop(event_loop);
        let mut outbox = Outbox::new(1 << 20, "a");
        let now = std::time::Instant::now();
        let publication =
            Publication { topic: "e".into(), qos1: true, token: Some(1), ..Publication::default() };
        outbox.publish(publication, now);
        let limits = Limits { packet: 1 << 20, receive_max: 20, retain: true };
        outbox.connected(limits, false);
        Traffic::new(1, client, Duration::ZERO).pump(&mut outbox);
        outbox.disconnected(true);
        assert!(!outbox.reports.iter().any(|report| matches!(report, Report::Refused { .. })));
        outbox.connected(limits, false);
        let ticket = outbox.next(now + Duration::from_secs(1)).and_then(|next| next.ticket);
        assert!(ticket.is_some());
    }

    /// Another message may have the same packet id by now.
    #[test]
    fn i8_an_acknowledgement_is_worth_nothing_on_another_connection() {
        let (client, _turning) = AsyncClient::new(MqttOptions::new("id", "h", 1), REQUESTS);
        let mut outbox = Outbox::new(1 << 20, "a");
        outbox.acks.extend([Ack { connection: 1, pkid: 5 }, Ack { connection: 2, pkid: 6 }]);
        let mut traffic = Traffic::new(2, client, Duration::ZERO);
        traffic.pump(&mut outbox);
        assert_eq!((traffic.outstanding, outbox.acks.len()), (1, 0));
    }

    fn connack(properties: &[u8]) -> ConnAck {
        let length = properties.len() as u8;
        let mut bytes = BytesMut::from(&[&[0x20, 3 + length, 0, 0, length], properties].concat()[..]);
        match Packet::read(&mut bytes, None).unwrap() {
            Packet::ConnAck(connack) => connack,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_broker_may_want_fewer_pings() {
        assert_eq!(silence_limit(30, None), Duration::from_secs(75));
        assert_eq!(silence_limit(30, Some(&connack(&[]))), Duration::from_secs(75));
        assert_eq!(silence_limit(30, Some(&connack(&[0x13, 0, 10]))), Duration::from_secs(75));
        assert_eq!(silence_limit(30, Some(&connack(&[0x13, 1, 0]))), Duration::from_secs(640));
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let with = |properties: &[u8]| limits(&connack(properties));
        assert!(with(&[0x21, 0, 0]).is_err(), "receive maximum");
        assert!(with(&[0x27, 0, 0, 0, 0]).is_err(), "maximum packet size");
        assert!(with(&[0x24, 0]).unwrap_err().text.contains("QoS 1"));
        let (found, _) = with(&[0x27, 0, 0, 0, 9, 0x25, 0]).unwrap();
        assert_eq!((found.packet, found.receive_max, found.retain), (9, u16::MAX, false));
    }
}
