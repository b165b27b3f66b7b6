//! The task that keeps the connection up and moves the outbox over it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::Event;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::mqttbytes::valid_filter;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, info, warn};

use super::connection::{Link, LinkEvent};
use super::outbox::Outbox;
use super::reason::{Cause, Kind, TakeoverDetector, puback_text};
use super::reconnect::ReconnectDelay;
use super::traffic::{Traffic, filter, incoming, limits, silence_limit};
use super::{Report, Settings};

/// Availability is published once more this long after a connect.
const REPEAT_AFTER: Duration = Duration::from_secs(5);
/// How long [`super::Handle::close`] waits for acknowledgements.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// How long the broker may take to close its side after our DISCONNECT.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Messages kept until the subscriptions are in place: more than the broker may send unacknowledged.
const EARLY: usize = 64;
/// Stands for "never" in a select.
const FAR: Duration = Duration::from_secs(365 * 86_400);

/// What handle, session and forwarder share.
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    /// The session looks at the outbox.
    pub wake: Notify,
    /// The forwarder looks at the reports.
    reported: Notify,
    /// Counts rounds of the session's loop.
    pub turns: AtomicU64,
}

impl Shared {
    pub fn new(outbox: Outbox) -> Self {
        Self {
            outbox: Mutex::new(outbox),
            wake: Notify::new(),
            reported: Notify::new(),
            turns: AtomicU64::new(0),
        }
    }

    /// Locks the outbox; never held over an await.
    pub fn with<R>(&self, change: impl FnOnce(&mut Outbox) -> R) -> R {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut outbox);
        if !outbox.reports.is_empty() || outbox.ended {
            self.reported.notify_one();
        }
        result
    }

    /// Ends the session at once.
    pub fn abandon(&self) {
        self.with(|outbox| outbox.abandoned = true);
        self.wake.notify_one();
    }
}

/// Hands reports to the daemon at its own speed.
pub(super) async fn forward(shared: Arc<Shared>, tx: mpsc::Sender<Report>) {
    loop {
        let (report, ended) = shared.with(|outbox| (outbox.reports.pop_front(), outbox.ended));
        match report {
            Some(report) => {
                if tx.send(report).await.is_err() {
                    return shared.abandon();
                }
            }
            None if ended => return,
            None => shared.reported.notified().await,
        }
    }
}

/// Everything that does not change from one connection to the next.
pub(super) struct Session {
    shared: Arc<Shared>,
    settings: Settings,
    will: (String, Bytes),
    subscriptions: Vec<String>,
}

/// How a connection ended.
enum End {
    /// The daemon closed it.
    Closed,
    Lost(Cause),
}

impl Session {
    pub fn new(
        shared: Arc<Shared>,
        settings: Settings,
        will: (String, Bytes),
        subscriptions: Vec<String>,
    ) -> Self {
        Self { shared, settings, will, subscriptions }
    }

    pub async fn run(self, mut delay: ReconnectDelay) {
        let at = format!("{}:{}", self.settings.host, self.settings.port);
        let (mut last_reason, mut takeovers) = (String::new(), TakeoverDetector::default());
        for number in 1.. {
            if self.shared.with(|outbox| outbox.closing || outbox.abandoned) {
                break;
            }
            let mut ready = None;
            let end = self.connection(number, &mut ready).await;
            let lasted = ready.map(|since: Instant| since.elapsed());
            let End::Lost(cause) = end else { break };
            let cause = takeovers.classify(cause, lasted, &at, &self.settings.client_id);
            let is_news = lasted.is_some() || last_reason != cause.text;
            self.shared.with(|outbox| {
                if cause.kind == Kind::Rejected {
                    outbox.publication_rejected(&cause.text);
                }
                outbox.disconnected(self.settings.session_expiry_s > 0);
                if is_news {
                    outbox.reports.push_back(Report::Disconnected { reason: cause.text.clone() });
                }
            });
            let wait = delay.after(lasted, cause.kind == Kind::TakenOver, fastrand::f64());
            match cause.kind {
                _ if !is_news => {}
                Kind::TakenOver => {
                    error!(reason = cause.text, wait_ms = wait.as_millis(), "MQTT session taken over")
                }
                _ => warn!(reason = cause.text, wait_ms = wait.as_millis(), "MQTT disconnected"),
            }
            last_reason = cause.text;
            let woken = async {
                while !self.shared.with(|outbox| outbox.closing || outbox.abandoned) {
                    self.shared.wake.notified().await;
                    self.shared.turns.fetch_add(1, Ordering::Relaxed);
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = woken => {}
            }
        }
        self.shared.with(|outbox| {
            outbox.disconnected(false);
            outbox.ended = true;
        });
    }

    /// One connection from CONNECT to its end. `ready` tells since when it was fit for use, if ever.
    async fn connection(&self, number: u64, ready: &mut Option<Instant>) -> End {
        let mut link = match Link::open(&self.settings, &self.settings.client_id, &self.will) {
            Ok(link) => link,
            Err(cause) => return End::Lost(cause),
        };
        // rumqttc does not look at the clock while it writes into a dead connection, so we do.
        let silence = silence_limit(self.settings.keep_alive_s, None);
        let mut traffic = Traffic::new(number, link.client.clone(), silence);
        let mut silent_until = Instant::now() + silence.max(Duration::from_secs(30));
        let mut repeat_at = Instant::now() + FAR;
        let mut close_by = None;
        loop {
            self.shared.turns.fetch_add(1, Ordering::Relaxed);
            let (closing, abandoned) = self.shared.with(|outbox| (outbox.closing, outbox.abandoned));
            if abandoned || (closing && traffic.ready.is_none()) {
                return End::Closed;
            }
            if traffic.ready.is_some() {
                self.shared.with(|outbox| traffic.pump(outbox));
            }
            if closing {
                let until = *close_by.get_or_insert_with(|| Instant::now() + CLOSE_LIMIT);
                let (announced, drained) =
                    self.shared.with(|outbox| (outbox.availability_is_done(), outbox.is_drained()));
                if announced && (drained || Instant::now() >= until) {
                    disconnect(link).await;
                    return End::Closed;
                } else if Instant::now() >= until {
                    return End::Closed;
                }
            }
            tokio::select! {
                event = link.next() => {
                    let event = match event {
                        LinkEvent::Lost(cause) => return End::Lost(cause),
                        LinkEvent::Event(event) => *event,
                    };
                    let is_sign_of_life = matches!(event, Event::Incoming(_));
                    if let Err(cause) = self.event(event, &mut traffic) {
                        return End::Lost(cause);
                    }
                    if is_sign_of_life {
                        silent_until = Instant::now() + traffic.silence;
                    }
                    if ready.is_none() && traffic.ready.is_some() {
                        *ready = traffic.ready;
                        repeat_at = Instant::now() + REPEAT_AFTER;
                    }
                }
                () = self.shared.wake.notified() => {}
                () = sleep_until(repeat_at) => {
                    repeat_at = Instant::now() + FAR;
                    self.shared.with(Outbox::repeat_availability);
                }
                () = sleep_until(silent_until) => {
                    return End::Lost(Cause::lost("the broker has not been heard of for too long"));
                }
                () = sleep_until(close_by.unwrap_or(repeat_at)), if close_by.is_some() => {}
            }
        }
    }

    fn event(&self, event: Event, traffic: &mut Traffic) -> Result<(), Cause> {
        match event {
            Event::Outgoing(outgoing) => traffic.sent(&outgoing),
            Event::Incoming(Packet::ConnAck(connack)) => {
                traffic.limits = Some(limits(&connack)?);
                traffic.silence = silence_limit(self.settings.keep_alive_s, Some(&connack));
                let filters: Vec<_> = self.subscriptions.iter().map(filter).collect();
                if filters.is_empty() {
                    self.ready(traffic);
                } else if let Some(bad) = filters.iter().find(|filter| !valid_filter(&filter.path)) {
                    return Err(Cause::lost(format!(
                        "cannot subscribe to {:?}: not a topic filter",
                        bad.path
                    )));
                } else if traffic.client.try_subscribe_many(filters).is_ok() {
                    traffic.outstanding += 1;
                }
                // Otherwise the connection has ended already, which the next event says.
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                for (code, topic) in suback.return_codes.iter().zip(&self.subscriptions) {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        error!(
                            topic,
                            ?code,
                            "the broker refuses the subscription: no commands will come in; check its access rules"
                        );
                    }
                }
                if traffic.ready.is_none() {
                    self.ready(traffic);
                }
            }
            Event::Incoming(Packet::PubAck(puback)) => {
                if let Some(ticket) = traffic.in_flight.remove(&puback.pkid) {
                    self.shared.with(|outbox| match puback.reason {
                        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => outbox.acked(ticket),
                        reason => outbox.refused(ticket, &puback_text(reason)),
                    });
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let incoming = incoming(publish, traffic.number);
                if traffic.ready.is_some() {
                    self.shared.with(|outbox| outbox.incoming(incoming));
                } else if traffic.early.len() < EARLY {
                    traffic.early.push(incoming);
                }
            }
            Event::Incoming(_) => {}
        }
        Ok(())
    }

    fn ready(&self, traffic: &mut Traffic) {
        let Some((limits, session_present)) = traffic.limits else { return };
        traffic.ready = Some(Instant::now());
        info!(host = self.settings.host, port = self.settings.port, session_present, "MQTT connected");
        self.shared.with(|outbox| {
            outbox.connected(limits, session_present);
            traffic.early.drain(..).for_each(|incoming| outbox.incoming(incoming));
        });
    }
}

/// DISCONNECT, and time for the broker to read it: closing at once could reset the connection under it.
pub(super) async fn disconnect(mut link: Link) {
    if link.client.try_disconnect().is_ok() {
        let gone = async { while !matches!(link.next().await, LinkEvent::Lost(_)) {} };
        // Whether the broker was fast enough makes no difference any more.
        let _ = timeout(DISCONNECT_LIMIT, gone).await;
    }
}
