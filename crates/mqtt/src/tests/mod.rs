//! The session against a real mosquitto, some of it through a proxy that cuts.

mod broken;
mod chaos;
mod limits;
mod secured;
mod talking;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use graft_testing::broker::{self, Broker, Options};
use graft_testing::operator::{Message, Operator};
use graft_testing::skip;

use super::handle::start_with;
use super::reconnect::ReconnectDelay;
use super::{Handle, Incoming, Publication, Report, Settings, Tls, probe};

/// For what surely comes, on a machine that is busy.
const LONG: Duration = Duration::from_secs(30);
const ROOT: &str = "graft/d1";
const AVAILABILITY: &str = "graft/d1/availability";

/// A broker in a folder of its own, or a word on why the test does nothing.
fn broker_with(options: &Options) -> Option<(Broker, TempDir)> {
    if broker::find().is_none() {
        skip("mosquitto", "mosquitto is not installed (sudo apt install mosquitto)");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    Some((Broker::start_with(dir.path(), options).unwrap(), dir))
}

fn broker() -> Option<(Broker, TempDir)> {
    broker_with(&Options::default())
}

fn lines(lines: &[&str]) -> Options {
    Options { lines: lines.iter().map(ToString::to_string).collect(), ..Options::default() }
}

fn settings(port: u16) -> Settings {
    Settings { port, client_id: "graft-d1".into(), ..Settings::default() }
}

/// A session and what it reports.
struct Board {
    handle: Handle,
    reports: mpsc::Receiver<Report>,
    /// Answers seen while waiting for something else.
    acked: Vec<u64>,
    refused: Vec<(u64, String)>,
}

impl Board {
    fn start(settings: Settings) -> Self {
        let (tx, reports) = mpsc::channel(16);
        let will = (AVAILABILITY.into(), Bytes::from_static(b"offline"));
        let subscriptions = vec![format!("{ROOT}/cmd/+")];
        let handle = start_with(
            settings,
            will,
            Bytes::from_static(b"online"),
            subscriptions,
            tx,
            ReconnectDelay::short(),
        );
        Self { handle, reports, acked: Vec::new(), refused: Vec::new() }
    }

    async fn connected(settings: Settings) -> Self {
        let mut board = Self::start(settings);
        board.wait_connected().await;
        board
    }

    async fn next(&mut self) -> Report {
        let report = timeout(2 * LONG, self.reports.recv()).await.expect("no report came").unwrap();
        match &report {
            Report::Acked(token) => self.acked.push(*token),
            Report::Refused { token, reason } => self.refused.push((*token, reason.clone())),
            _ => {}
        }
        report
    }

    async fn wait_connected(&mut self) -> (usize, bool) {
        loop {
            match self.next().await {
                Report::Connected { max_packet_out, session_present } => {
                    return (max_packet_out, session_present);
                }
                Report::Disconnected { reason } => eprintln!("not connected: {reason}"),
                _ => {}
            }
        }
    }

    async fn wait_disconnected(&mut self) -> String {
        loop {
            if let Report::Disconnected { reason } = self.next().await {
                return reason;
            }
        }
    }

    async fn wait_command(&mut self) -> Incoming {
        loop {
            if let Report::Command(incoming) = self.next().await {
                return incoming;
            }
        }
    }

    async fn wait_acked(&mut self, token: u64) {
        while !self.acked.contains(&token) {
            assert!(!self.refused.iter().any(|(refused, _)| *refused == token), "{:?}", self.refused);
            self.next().await;
        }
    }

    async fn wait_refused(&mut self, token: u64) -> String {
        loop {
            if let Some((_, reason)) = self.refused.iter().find(|(refused, _)| *refused == token) {
                return reason.clone();
            }
            assert!(!self.acked.contains(&token));
            self.next().await;
        }
    }
}

async fn operator(broker: &Broker) -> Operator {
    Operator::connect("127.0.0.1", broker.port(), ROOT).await.unwrap()
}

fn event(text: &str, token: u64) -> Publication {
    Publication {
        topic: format!("{ROOT}/event"),
        payload: text.to_owned().into(),
        qos1: true,
        token: Some(token),
        ..Publication::default()
    }
}

fn kept(topic: &str, payload: impl Into<Bytes>) -> Publication {
    let topic = format!("{ROOT}/{topic}");
    Publication { topic, payload: payload.into(), retain: true, ..event("", 0) }
}

fn says(text: &'static str) -> impl Fn(&Message) -> bool {
    move |message| message.topic == AVAILABILITY && message.payload == text
}

/// Forwards connections to a port, and cuts them or falls silent on demand.
struct Proxy {
    port: u16,
    cuts: watch::Sender<u32>,
    silences: watch::Sender<u32>,
    accepted: Arc<AtomicUsize>,
}

impl Proxy {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, cut) = watch::channel(0);
        let (silences, silence) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (mut cut, mut silence) = (cut.clone(), silence.clone());
                cut.mark_unchanged();
                silence.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                        // Both ends stay open, and nothing moves any more.
                        _ = silence.changed() => drop(cut.changed().await),
                    }
                });
            }
        });
        Self { port, cuts, silences, accepted }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    fn fall_silent(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }
}

/// A run of `openssl`, or nothing where it is not installed.
fn openssl(dir: &std::path::Path, arguments: &str) -> Option<()> {
    match std::process::Command::new("openssl").args(arguments.split_whitespace()).current_dir(dir).output() {
        Ok(output) => {
            assert!(
                output.status.success(),
                "openssl {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(())
        }
        Err(_) => {
            skip("openssl", "openssl is not installed (sudo apt install openssl)");
            None
        }
    }
}
