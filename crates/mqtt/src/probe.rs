//! One connection to ask a broker what it can, for `graft doctor`: its limits, and a message there and back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use tokio::time::timeout;

use super::connection::{Link, LinkEvent};
use super::session::disconnect;
use super::traffic::limits;
use super::{Settings, traffic};

/// For all of it.
const WAIT: Duration = Duration::from_secs(25);

/// What a broker told and showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Largest packet it takes, in bytes; `None`: it names no limit.
    pub packet: Option<usize>,
    /// Unacknowledged messages that it takes.
    pub receive_max: u16,
    /// Whether it keeps retained messages.
    pub retain: bool,
    /// How long the message took there and back, QoS 1.
    pub round_trip: Duration,
}

/// Connects under an id of its own, so that a running daemon is not thrown out, subscribes to `topic`, sends
/// `bytes` zero bytes there and waits until they are back.
///
/// # Errors
/// What is wrong and what to do, for people.
pub async fn probe(settings: &Settings, topic: &str, bytes: usize) -> Result<Probe, String> {
    let asked = timeout(WAIT, ask(settings, topic, bytes));
    asked.await.unwrap_or_else(|_| {
        Err(format!(
            "a message of {bytes} bytes to {topic} did not come back within {} s: allow this user to write and read \
             below its own topics in the broker's access rules, and check its message size limit",
            WAIT.as_secs()
        ))
    })
}

async fn ask(settings: &Settings, topic: &str, bytes: usize) -> Result<Probe, String> {
    let id = format!("graft-doctor-{:012x}", fastrand::u64(..1 << 48));
    let settings = Settings { session_expiry_s: 0, ..settings.clone() };
    // The will goes to the same topic, where nobody listens.
    let will = (topic.to_owned(), Bytes::new());
    let mut link = Link::open(&settings, &id, &will).map_err(|cause| cause.text)?;
    let (mut known, mut sent) = (None, Instant::now());
    loop {
        let event = match link.next().await {
            LinkEvent::Lost(cause) => return Err(cause.text),
            LinkEvent::Event(event) => *event,
        };
        let gone = "the connection ended while it was being tried";
        match event {
            Event::Incoming(Packet::ConnAck(connack)) => {
                known = Some(limits(&connack).map_err(|cause| cause.text)?.0);
                let filter = traffic::filter(&topic.to_owned());
                link.client.try_subscribe_many([filter]).map_err(|_| gone)?;
            }
            Event::Incoming(Packet::SubAck(_)) => {
                sent = Instant::now();
                let payload = vec![0; bytes];
                link.client.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|_| gone)?;
            }
            Event::Incoming(Packet::Publish(publish)) if publish.payload.len() == bytes => {
                let round_trip = sent.elapsed();
                disconnect(link).await;
                let Some(limits) = known else { return Err(gone.into()) };
                let packet = (limits.packet != usize::MAX).then_some(limits.packet);
                return Ok(Probe {
                    packet,
                    receive_max: limits.receive_max,
                    retain: limits.retain,
                    round_trip,
                });
            }
            _ => {}
        }
    }
}
