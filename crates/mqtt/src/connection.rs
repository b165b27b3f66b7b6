//! One connection: options for rumqttc, and the task that runs its event loop.
//!
//! Every attempt gets a new event loop. What rumqttc carries from one connection to the next (pending packets,
//! collisions, packet ids) is where its known bugs are, and our outbox knows better what is still to be sent.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::NetworkOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::reason::{Cause, cause};
use super::{Settings, Tls, tls};

/// Requests that may wait in rumqttc's own channel. The session stays below it, so a send never fails for
/// lack of room.
pub(super) const REQUESTS: usize = 128;
/// Commands that the broker may send before we acknowledge the first.
const RECEIVE_MAX: u16 = 32;
/// Size of rumqttc's ring of packet ids; more than our own window.
const PACKET_IDS: u16 = 100;
/// Between two pings, whatever the broker says.
const SHORTEST_KEEP_ALIVE: Duration = Duration::from_secs(5);
const CONNECT_S: u64 = 20;

/// What the driver task reports.
#[derive(Debug)]
pub(super) enum LinkEvent {
    Event(Box<Event>),
    Lost(Cause),
}

/// A connection being made or in use. Dropping it cuts the connection, so that the will is published.
pub(super) struct Link {
    pub client: AsyncClient,
    events: mpsc::Receiver<LinkEvent>,
    driver: JoinHandle<()>,
}

impl Link {
    pub fn open(settings: &Settings, client_id: &str, will: &(String, Bytes)) -> Result<Self, Cause> {
        let options = options(settings, client_id, will).map_err(Cause::lost)?;
        let at = format!("{}:{}", settings.host, settings.port);
        let (client, event_loop) = AsyncClient::new(options, REQUESTS);
        let (sender, events) = mpsc::channel(64);
        let driver = tokio::spawn(drive(event_loop, sender, at, client_id.to_owned()));
        Ok(Self { client, events, driver })
    }

    /// Cancel safe.
    pub async fn next(&mut self) -> LinkEvent {
        match self.events.recv().await {
            Some(event) => event,
            // The task ended without a report: it panicked inside the library.
            None => LinkEvent::Lost(Cause::lost("the MQTT library failed on what the broker sent")),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Runs the event loop in a task of its own: `poll` loses packets when it is cancelled, and a panic on a
/// malformed packet ends this task alone.
async fn drive(mut event_loop: EventLoop, sender: mpsc::Sender<LinkEvent>, at: String, client_id: String) {
    loop {
        match event_loop.poll().await {
            Ok(event) => {
                // A broker may switch pings off, which rumqttc takes for "ping without end".
                if event_loop.options.keep_alive() < SHORTEST_KEEP_ALIVE {
                    event_loop.options.set_keep_alive(SHORTEST_KEEP_ALIVE);
                }
                if sender.send(LinkEvent::Event(Box::new(event))).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Acknowledgements that came in the same read as the fault are still worth having.
                for event in std::mem::take(&mut event_loop.state.events) {
                    if sender.send(LinkEvent::Event(Box::new(event))).await.is_err() {
                        return;
                    }
                }
                // The receiver may be gone.
                let _ = sender.send(LinkEvent::Lost(cause(&error, &at, &client_id))).await;
                return;
            }
        }
    }
}

fn options(settings: &Settings, client_id: &str, will: &(String, Bytes)) -> Result<MqttOptions, String> {
    settings.check()?;
    // The broker would make one up: a session that nobody comes back to.
    if client_id.is_empty() {
        return Err("there is no MQTT client id: set mqtt.client_id".into());
    }
    // rumqttc joins host and port with a colon, so an IPv6 address needs its brackets.
    let is_bare_v6 = settings.host.contains(':') && !settings.host.starts_with('[');
    let host = if is_bare_v6 { format!("[{}]", settings.host) } else { settings.host.clone() };
    let mut options = MqttOptions::new(client_id, host, settings.port);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_connection_timeout(CONNECT_S)
        .set_keep_alive(Duration::from_secs(u64::from(settings.keep_alive_s)))
        .set_manual_acks(true)
        .set_clean_start(settings.session_expiry_s == 0)
        .set_session_expiry_interval(Some(settings.session_expiry_s))
        .set_max_packet_size(Some(settings.max_packet_in))
        .set_receive_maximum(Some(RECEIVE_MAX))
        .set_outgoing_inflight_upper_limit(PACKET_IDS)
        .set_last_will(LastWill::new(&will.0, will.1.clone(), QoS::AtLeastOnce, true, None));
    if !settings.username.is_empty() {
        let password = match &settings.password_file {
            Some(path) => password(path)?,
            None => String::new(),
        };
        options.set_credentials(&settings.username, password);
    }
    if settings.tls == Tls::On {
        options.set_transport(tls::transport(settings)?);
    }
    Ok(options)
}

/// The first line of the file.
pub(super) fn password(path: &Path) -> Result<String, String> {
    let fault = |text: String| format!("mqtt.password_file {}: {text}", path.display());
    let file = std::fs::File::open(path).map_err(|error| fault(error.to_string()))?;
    let mut line = String::new();
    BufReader::new(file.take(4096)).read_line(&mut line).map_err(|error| fault(error.to_string()))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() { Err(fault("its first line is empty".into())) } else { Ok(line.to_owned()) }
}
