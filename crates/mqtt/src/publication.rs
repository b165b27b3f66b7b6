//! One message to be sent, and its exact size on the wire.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

/// A message to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Where, without wildcards.
    pub topic: String,
    /// What. Empty together with `retain` clears the topic at the broker.
    pub payload: Bytes,
    /// The broker keeps it for later subscribers. Together with `qos1` it is treated like
    /// [`Handle::retain`](super::Handle::retain): published again at every connect until replaced or cleared.
    pub retain: bool,
    /// At least once (acknowledged by the broker) rather than at most once.
    pub qos1: bool,
    /// Life of the message in seconds. Time spent in our own queue counts.
    pub expiry_s: Option<u32>,
    /// MQTT 5 correlation data, for replies.
    pub correlation: Option<Bytes>,
    /// To be told the outcome by [`Report::Acked`](super::Report::Acked) or
    /// [`Report::Refused`](super::Report::Refused); QoS 1 only.
    pub token: Option<u64>,
}

impl Publication {
    /// Why this can never be sent, if so: `word: explanation`.
    pub(super) fn fault(&self, limit: usize) -> Option<String> {
        if self.topic.is_empty() || self.topic.len() > 65_535 {
            return Some(format!("bad_topic: a topic has 1 to 65535 bytes, this one {}", self.topic.len()));
        }
        if self.topic.contains(['+', '#', '\0']) {
            return Some(format!("bad_topic: {:?} contains a wildcard or a NUL", self.topic));
        }
        if self.correlation.as_ref().is_some_and(|data| data.len() > 65_535) {
            return Some("bad_topic: correlation data is longer than 65535 bytes".into());
        }
        // The payload alone is compared first: a packet beyond MQTT's own limit has no size at all.
        if self.payload.len() > limit {
            return Some(too_large(&self.topic, self.payload.len(), limit));
        }
        let size = self.size();
        (size > limit).then(|| too_large(&self.topic, size, limit))
    }

    /// Bytes of the PUBLISH packet.
    pub(super) fn size(&self) -> usize {
        let mut packet = self.packet(self.expiry_s);
        // A packet id adds two bytes, but is only known later.
        packet.pkid = u16::from(self.qos1);
        packet.size()
    }

    pub(super) fn packet(&self, expiry_s: Option<u32>) -> Publish {
        let properties = (expiry_s.is_some() || self.correlation.is_some()).then(|| PublishProperties {
            message_expiry_interval: expiry_s,
            correlation_data: self.correlation.clone(),
            ..PublishProperties::default()
        });
        let qos = if self.qos1 { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let mut packet = Publish::new(self.topic.clone(), qos, self.payload.clone(), properties);
        packet.retain = self.retain;
        packet
    }
}

fn too_large(topic: &str, size: usize, limit: usize) -> String {
    format!(
        "too_large: the packet for {topic} would have {size} bytes, at most {limit} are allowed \
         (the smaller of mqtt.max_packet_out and the broker's limit)"
    )
}

/// The expiry of the message has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expired;

/// A publication that waits to be sent, and since when.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub publication: Publication,
    pub since: Instant,
}

impl Waiting {
    /// What is left of its life; `None` = unlimited.
    pub fn expiry_left_s(&self, now: Instant) -> Result<Option<u32>, Expired> {
        let Some(life_s) = self.publication.expiry_s else { return Ok(None) };
        let waited = now.saturating_duration_since(self.since);
        let left = Duration::from_secs(u64::from(life_s)).saturating_sub(waited);
        if left.is_zero() {
            return Err(Expired);
        }
        // A whole second at least: 0 would mean "expires at once" to some brokers and "never" to others.
        Ok(Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    #[test]
    fn size_is_that_of_the_written_packet() {
        for payload in [0, 1, 100, 127, 128, 16_300, 16_400, 70_000] {
            for (qos1, expiry_s, correlation) in
                [(false, None, None), (true, None, None), (true, Some(60), Some(Bytes::from_static(b"c")))]
            {
                let publication = Publication {
                    topic: "graft/line-3/state".into(),
                    payload: vec![7; payload].into(),
                    qos1,
                    expiry_s,
                    correlation,
                    ..Publication::default()
                };
                let mut packet = publication.packet(publication.expiry_s);
                packet.pkid = 900;
                let mut written = BytesMut::new();
                packet.write(&mut written).unwrap();
                assert_eq!(publication.size(), written.len());
                assert_eq!(publication.fault(written.len()), None);
                assert!(publication.fault(written.len() - 1).unwrap().starts_with("too_large:"));
            }
        }
    }

    #[test]
    fn bad_topics_are_named() {
        for topic in ["", "a/+/b", "a/#", "a\0b"] {
            let publication = Publication { topic: topic.into(), ..Publication::default() };
            assert!(publication.fault(1 << 20).unwrap().starts_with("bad_topic:"), "{topic:?}");
        }
    }

    #[test]
    fn waiting_counts_against_the_expiry() {
        let since = Instant::now();
        let publication = Publication { expiry_s: Some(10), ..Publication::default() };
        let waiting = Waiting { publication, since };
        assert_eq!(waiting.expiry_left_s(since), Ok(Some(10)));
        assert_eq!(waiting.expiry_left_s(since + Duration::from_millis(9_500)), Ok(Some(1)));
        assert_eq!(waiting.expiry_left_s(since + Duration::from_secs(10)), Err(Expired));
        let for_ever = Waiting { publication: Publication::default(), since };
        assert_eq!(for_ever.expiry_left_s(since + Duration::from_secs(1 << 20)), Ok(None));
    }
}
