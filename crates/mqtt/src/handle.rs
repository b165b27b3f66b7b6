//! What the daemon holds of the session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::outbox::Outbox;
use super::reconnect::ReconnectDelay;
use super::session::{self, Session, Shared};
use super::{Ack, Publication, Report, Settings, Stats};

/// Commands the session. Cheap to clone; when the last one is dropped without [`Handle::close`] the connection
/// is cut, and the broker publishes the will.
#[derive(Clone)]
pub struct Handle {
    /// `None`: MQTT is switched off and everything here does nothing.
    on: Option<Arc<On>>,
}

struct On {
    shared: Arc<Shared>,
    offline: Bytes,
    ended: watch::Receiver<()>,
}

impl Drop for On {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// Starts the session on the current tokio runtime and returns at once; it connects, and connects again, for
/// ever.
///
/// `will` is the availability topic with its `offline` payload, `online` what is published there while
/// connected. Subscriptions are made at QoS 1 at every connect. With `settings.enabled = false` nothing is
/// started. A daemon that receives nothing from `tx` stops hearing commands, but never loses the connection.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(
    settings: Settings,
    will: (String, Bytes),
    online: Bytes,
    subscriptions: Vec<String>,
    tx: mpsc::Sender<Report>,
) -> Handle {
    let longest = Duration::from_secs(u64::from(settings.reconnect_max_s.max(1)));
    start_with(settings, will, online, subscriptions, tx, ReconnectDelay::new(longest))
}

pub(super) fn start_with(
    settings: Settings,
    will: (String, Bytes),
    online: Bytes,
    subscriptions: Vec<String>,
    tx: mpsc::Sender<Report>,
    delay: ReconnectDelay,
) -> Handle {
    if !settings.enabled {
        return Handle::off();
    }
    let mut outbox = Outbox::new(settings.max_packet_out as usize, &will.0);
    let availability = Publication {
        topic: will.0.clone(),
        payload: online,
        retain: true,
        qos1: true,
        ..Default::default()
    };
    outbox.retain(availability, Instant::now());
    let shared = Arc::new(Shared::new(outbox));
    let (alive, ended) = watch::channel(());
    let offline = will.1.clone();
    let session = Session::new(Arc::clone(&shared), settings, will, subscriptions);
    tokio::spawn(session::forward(Arc::clone(&shared), tx));
    tokio::spawn(async move {
        session.run(delay).await;
        drop(alive);
    });
    Handle { on: Some(Arc::new(On { shared, offline, ended })) }
}

impl Handle {
    /// A handle without a session: everything is silently dropped, nothing is reported.
    pub fn off() -> Self {
        Self { on: None }
    }

    /// Sets what a topic shall hold at the broker. Only the newest payload is sent, again at every connect.
    pub fn retain(&self, topic: impl Into<String>, payload: impl Into<Bytes>) {
        let (topic, payload) = (topic.into(), payload.into());
        let publication = Publication { topic, payload, retain: true, qos1: true, ..Default::default() };
        self.with(|outbox| outbox.retain(publication, Instant::now()));
    }

    /// Empties a topic at the broker (a retained message without payload); it is not published again.
    pub fn clear(&self, topic: impl Into<String>) {
        self.retain(topic, Bytes::new());
    }

    /// Sends one message. QoS 0: kept while offline, the oldest of 256 dropped first. QoS 1: kept until the
    /// broker has it; beyond 1,024 messages or 8 MiB it is refused (`queue_full`). QoS 1 with `retain` is
    /// [`Handle::retain`] with an expiry and a token.
    pub fn publish(&self, publication: Publication) {
        self.with(|outbox| outbox.publish(publication, Instant::now()));
    }

    /// Publishes stages one after the other, each when the one before is fully acknowledged, all at QoS 1;
    /// `token` is reported once at the end. A lost connection starts it again at the first stage. What a
    /// finished sequence left retained is published again, in the same order, at every connect, until another
    /// sequence, [`Handle::retain`] or [`Handle::clear`] takes over the topic.
    pub fn sequence(&self, stages: Vec<Vec<Publication>>, token: Option<u64>) {
        self.with(|outbox| outbox.sequence(stages, token));
    }

    /// Tells the broker that a message is taken care of and need not be sent again.
    pub fn ack(&self, ack: Ack) {
        if ack.pkid != 0 {
            self.with(|outbox| outbox.acks.push_back(ack));
        }
    }

    /// Counters, and whether we are connected.
    pub fn stats(&self) -> Stats {
        self.on.as_ref().map(|on| on.shared.with(|outbox| outbox.stats)).unwrap_or_default()
    }

    /// Turns of the session's loop so far: they go on as long as it is alive and [`Handle::poke`]d.
    pub fn turns(&self) -> u64 {
        self.on.as_ref().map_or(0, |on| on.shared.turns.load(Ordering::Relaxed))
    }

    /// Makes the session's loop turn once.
    pub fn poke(&self) {
        self.with(|_| {});
    }

    /// Publishes `offline`, gives queued QoS 1 messages two seconds, disconnects cleanly and ends the session.
    /// Where that fails the connection is cut instead, and the broker publishes the will.
    pub async fn close(&self) {
        let Some(on) = &self.on else { return };
        self.with(|outbox| outbox.close(on.offline.clone(), Instant::now()));
        // An error is what we wait for: the session has ended and dropped its side.
        let _ = on.ended.clone().changed().await;
    }

    fn with(&self, change: impl FnOnce(&mut Outbox)) {
        if let Some(on) = &self.on {
            on.shared.with(change);
            on.shared.wake.notify_one();
        }
    }
}
