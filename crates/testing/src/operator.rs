//! A small client for the other side: gives commands, waits for replies, reads what is retained.
//!
//! It works with any MQTT 5 broker. It uses the tokio runtime it was connected on, which has to keep
//! turning for it to stay connected.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Messages kept for [`Operator::wait_for`].
const KEPT: usize = 4096;
const MAX_PACKET: u32 = 16 << 20;

/// Why the operator got no answer.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No connection, or it is gone.
    #[error("no connection to the broker at {at}: {reason}")]
    Broker {
        /// `host:port`.
        at: String,
        reason: String,
    },
    /// Nothing came in time.
    #[error("nothing came in {seconds} s: {what}")]
    TimedOut {
        /// How long it was waited for.
        seconds: f32,
        /// What it was waited for.
        what: String,
    },
    /// The answer is not JSON.
    #[error("the reply to {op} is not JSON: {text}")]
    NotJson {
        op: String,
        /// The beginning of the answer.
        text: String,
    },
}

/// A message as the operator saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts all messages from 1.
    pub number: u64,
    /// Where it was published.
    pub topic: String,
    pub payload: Bytes,
    /// With the retain flag.
    pub retain: bool,
    /// Correlation data, on replies.
    pub correlation: Option<Bytes>,
}

#[derive(Default)]
struct Seen {
    messages: BTreeMap<u64, Message>,
    count: u64,
    retained: HashMap<String, Bytes>,
    subscribed: bool,
    lost: Option<String>,
}

/// Someone who commands one device: subscribed to everything below its root.
pub struct Operator {
    client: AsyncClient,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Receiver<u64>,
    driver: JoinHandle<()>,
    root: String,
    id: String,
    at: String,
}

impl Operator {
    /// Connects and subscribes to `{root}/#`, where `root` is `base/device`.
    ///
    /// # Errors
    /// [`OperatorError::Broker`] when the broker cannot be reached or refuses.
    pub async fn connect(host: &str, port: u16, root: &str) -> Result<Self, OperatorError> {
        let id = format!("operator-{:012x}", fastrand::u64(..1 << 48));
        Self::connect_with(MqttOptions::new(id, host, port), root).await
    }

    /// [`Operator::connect`] with these options, a client identifier of one's own among them.
    ///
    /// # Errors
    /// As [`Operator::connect`].
    pub async fn connect_with(mut options: MqttOptions, root: &str) -> Result<Self, OperatorError> {
        let (host, port) = options.broker_address();
        let (id, at) = (options.client_id(), format!("{host}:{port}"));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network).set_max_packet_size(Some(MAX_PACKET)).set_clean_start(true);
        let (client, turning) = AsyncClient::new(options, 64);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (sender, changed) = watch::channel(0);
        let driver =
            tokio::spawn(drive(turning, client.clone(), format!("{root}/#"), Arc::clone(&seen), sender));
        let mut operator = Self { client, seen, changed, driver, root: root.into(), id, at };
        let what = format!("a subscription at {}", operator.at);
        operator.wait(Duration::from_secs(20), &what, |seen| seen.subscribed.then_some(())).await?;
        Ok(operator)
    }

    /// The number of the newest message: what comes later has a higher one.
    pub fn now(&self) -> u64 {
        self.seen().count
    }

    /// Sends a command to `{root}/cmd/{op}` with a response topic of its own, and waits for the reply.
    ///
    /// # Errors
    /// No reply in time, a lost connection, or a reply that is not JSON. A reply that says `error` is not an
    /// error here.
    pub async fn command(&mut self, op: &str, body: &Value, wait: Duration) -> Result<Value, OperatorError> {
        let body = match body {
            Value::String(word) => word.clone().into_bytes(),
            body => body.to_string().into_bytes(),
        };
        let reply = self.command_bytes(op, body, wait).await?;
        serde_json::from_slice(&reply).map_err(|_| OperatorError::NotJson {
            op: op.into(),
            text: String::from_utf8_lossy(&reply).chars().take(200).collect(),
        })
    }

    /// [`Operator::command`] with any bytes as the body, and the bare reply.
    ///
    /// # Errors
    /// No reply in time, or a lost connection.
    pub async fn command_bytes(
        &mut self,
        op: &str,
        body: impl Into<Bytes>,
        wait: Duration,
    ) -> Result<Bytes, OperatorError> {
        let correlation = Bytes::from(format!("{:016x}", fastrand::u64(..)));
        let from = self.now();
        let properties = PublishProperties {
            message_expiry_interval: Some(60),
            response_topic: Some(format!("{}/reply/{}", self.root, self.id)),
            correlation_data: Some(correlation.clone()),
            ..PublishProperties::default()
        };
        let topic = format!("{}/cmd/{op}", self.root);
        let own = topic.clone();
        self.client
            .publish_with_properties(topic, QoS::AtLeastOnce, false, body, properties)
            .await
            .map_err(|error| OperatorError::Broker { at: self.at.clone(), reason: error.to_string() })?;
        let what = format!("the reply to {op}");
        // We hear our own command too; the device may answer on a topic of its own choice.
        let is_reply = |m: &Message| m.topic != own && m.correlation.as_ref() == Some(&correlation);
        let found = self.wait(wait, &what, |seen| {
            seen.messages.range(from + 1..).map(|(_, message)| message).find(|m| is_reply(m)).cloned()
        });
        let reply = found.await?.payload;
        Ok(reply)
    }

    /// Publishes anything anywhere, at QoS 1.
    ///
    /// # Errors
    /// A lost connection.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<(), OperatorError> {
        let sent = self.client.publish(topic, QoS::AtLeastOnce, retain, payload.into()).await;
        sent.map_err(|error| OperatorError::Broker { at: self.at.clone(), reason: error.to_string() })
    }

    /// The first message after `from` (see [`Operator::now`]; 0 = from the beginning) that `wanted` accepts.
    ///
    /// # Errors
    /// Nothing in time, or a lost connection.
    pub async fn wait_for(
        &mut self,
        from: u64,
        wait: Duration,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Result<Message, OperatorError> {
        self.wait(wait, what, |seen| {
            seen.messages.range(from + 1..).map(|(_, message)| message).find(|m| wanted(m)).cloned()
        })
        .await
    }

    /// What `{root}/{topic}` holds: the newest message there that was not a clearing one. Waits until there
    /// is one.
    ///
    /// # Errors
    /// Nothing in time, or a lost connection.
    pub async fn retained(&mut self, topic: &str, wait: Duration) -> Result<Bytes, OperatorError> {
        let topic = format!("{}/{topic}", self.root);
        self.wait(wait, &topic.clone(), |seen| seen.retained.get(&topic).cloned()).await
    }

    /// What `{root}/{topic}` holds now, without waiting.
    pub fn holds(&self, topic: &str) -> Option<Bytes> {
        self.seen().retained.get(&format!("{}/{topic}", self.root)).cloned()
    }

    /// All messages that are still kept, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.seen().messages.values().cloned().collect()
    }

    pub async fn close(mut self) {
        if self.client.disconnect().await.is_ok() {
            let gone = async { while self.changed.changed().await.is_ok() {} };
            let _ = timeout(Duration::from_secs(2), gone).await;
        }
    }

    async fn wait<T>(
        &mut self,
        wait: Duration,
        what: &str,
        look: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, OperatorError> {
        let at = self.at.clone();
        let (seen, changed) = (&self.seen, &mut self.changed);
        let found = timeout(wait, async {
            loop {
                changed.borrow_and_update();
                {
                    let seen = lock(seen);
                    if let Some(found) = look(&seen) {
                        return Ok(found);
                    }
                    if let Some(reason) = &seen.lost {
                        return Err(OperatorError::Broker { at: at.clone(), reason: reason.clone() });
                    }
                }
                if changed.changed().await.is_err() {
                    let reason = "the connection was closed".into();
                    return Err(OperatorError::Broker { at: at.clone(), reason });
                }
            }
        });
        found.await.unwrap_or_else(|_| {
            Err(OperatorError::TimedOut { seconds: wait.as_secs_f32(), what: what.into() })
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn drive(
    mut turning: EventLoop,
    client: AsyncClient,
    filter: String,
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
) {
    let mut turns = 0;
    loop {
        let event = turning.poll().await;
        {
            let mut seen = lock(&seen);
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    if let Err(error) = client.try_subscribe(&filter, QoS::AtLeastOnce) {
                        seen.lost = Some(error.to_string());
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => seen.subscribed = true,
                Ok(Event::Incoming(Packet::Publish(publish))) => seen.take(publish),
                Ok(_) => continue,
                Err(error) => seen.lost = Some(error.to_string()),
            }
        }
        turns += 1;
        changed.send_replace(turns);
        if lock(&seen).lost.is_some() {
            return;
        }
    }
}

impl Seen {
    fn take(&mut self, publish: Publish) {
        self.count += 1;
        let message = Message {
            number: self.count,
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retain: publish.retain,
            correlation: publish.properties.and_then(|properties| properties.correlation_data),
        };
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(message.topic.clone(), message.payload.clone());
        }
        self.messages.insert(message.number, message);
        while self.messages.len() > KEPT {
            self.messages.pop_first();
        }
    }
}
