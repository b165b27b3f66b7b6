//! The loop: offers come in, each job is moved on by what it waits for, boards are told.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::advance::{Came, Work};
use super::blobs::Blobs;
use super::book::Book;
use super::desk::Desk;
use super::engine::Said;
use super::fleet::Fleet;
use super::settings::Settings;
use super::{http, key};
use graft_mqtt::{self as mqtt, Publication};
use graft_wire::command::Envelope;
use graft_wire::messages::Info;
use graft_wire::offload::Offer;
use graft_wire::{Key, Topics};

/// The loop looks around this often.
const TICK: Duration = Duration::from_millis(500);
/// Old pictures are swept so often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// A board as it showed itself.
#[derive(Default)]
pub(super) struct Board {
    pub(super) online: bool,
    pub(super) info: Option<Info>,
}

/// The host.
pub(super) struct Host {
    pub(super) settings: Settings,
    pub(super) key: Key,
    pub(super) desk: Arc<Desk>,
    pub(super) mqtt: mqtt::Handle,
    /// What boards are told to reach us at.
    pub(super) url: String,
    /// Offers as they stand at the broker, by job name.
    pub(super) offers: HashMap<String, Offer>,
    pub(super) boards: HashMap<String, Board>,
    /// Work under way, by job name.
    pub(super) work: HashMap<String, Work>,
    /// When something was last said about a job, or to a board of a group: kind and name.
    pub(super) said: HashMap<(&'static str, String), Instant>,
    /// Jobs that are left to others for now.
    pub(super) avoid: HashMap<String, Instant>,
    pub(super) connected: Option<Instant>,
    pub(super) engine_tx: mpsc::Sender<(String, Said)>,
    pub(super) came_tx: mpsc::Sender<(String, Came)>,
}

/// Runs the host until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: settings, folder, key, address.
pub fn run(settings: Settings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    mqtt::use_ring();
    let key = key(&settings.dir)?;
    let lock = File::create(settings.dir.join("lock"))?;
    if lock.try_lock().is_err() {
        bail!("a host runs in {} already; give each its own dir", settings.dir.display());
    }
    let url = match settings.store.url.as_str() {
        "" => settings.dir.join("blobs").display().to_string(),
        url => url.to_owned(),
    };
    let (ready, mut readied) = mpsc::channel(64);
    let (engine_tx, mut engine_rx) = mpsc::channel(64);
    let (came_tx, mut came) = mpsc::channel(64);
    let desk = Arc::new(Desk::new(
        Book::open(&settings.dir)?,
        Fleet::open(&settings.dir)?,
        Blobs::open(&url)?,
        (settings.store.quota_bytes(), settings.offers.max_bytes()),
        ready,
    ));
    let server = http::listen(&settings, Arc::clone(&desk)).await?;
    let url = settings.url(server.address.port());
    let topic = |rest: &str| format!("{}/{rest}", settings.base);
    let availability = format!("{}-hosts/{}/availability", settings.base, settings.id);
    let (reports, mut reported) = mpsc::channel(256);
    let mut session = settings.mqtt.clone();
    // All that counts is retained, and comes with each subscription: the broker need not keep anything for us.
    session.session_expiry_s = 0;
    if session.client_id.is_empty() {
        session.client_id = format!("graft-host-{}", settings.id);
    }
    let mqtt = mqtt::start(
        session,
        (availability, Bytes::from_static(b"offline")),
        Bytes::from_static(b"online"),
        ["+/offload/+", "+/info", "+/availability", "+/job/+", "+/reply/offload", "+/reply/backbone"]
            .map(topic)
            .into(),
        reports,
    );
    tracing::info!(id = settings.id, url, key = key.public().base64(), "graft host is ready");
    graft_base::systemd::ready(&format!("at {url}"));
    let mut host = Host {
        settings,
        key,
        desk,
        mqtt,
        url,
        offers: HashMap::new(),
        boards: HashMap::new(),
        work: HashMap::new(),
        said: HashMap::new(),
        avoid: HashMap::new(),
        connected: None,
        engine_tx,
        came_tx,
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(report) = reported.recv() => host.hear(report),
            Some(name) = readied.recv() => host.check_files(&name),
            Some((name, said)) = engine_rx.recv() => host.engine_said(&name, said),
            Some((name, came)) = came.recv() => host.take(&name, came),
            _ = tick.tick() => host.look_around(),
        }
    }
    graft_base::systemd::stopping();
    // Engines are ended with their handles; each goes on from its last checkpoint at the next start.
    host.work.clear();
    server.stop();
    host.mqtt.close().await;
    drop(lock);
    Ok(())
}

impl Host {
    /// Whether this is due again, and if so, that it is done now.
    pub(super) fn due(&mut self, kind: &'static str, name: &str, every: Duration) -> bool {
        let key = (kind, name.to_owned());
        let due = self.said.get(&key).is_none_or(|at| at.elapsed() >= every);
        if due {
            self.said.insert(key, Instant::now());
        }
        due
    }

    fn look_around(&mut self) {
        let names: Vec<String> = self.desk.book().jobs().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.step(&name);
        }
        self.claim_more();
        self.reconcile();
        if self.due("sweep", "", SWEEP_EVERY) {
            self.sweep();
        }
    }

    /// Sends a command to a board; it is worthless after a minute.
    pub(super) fn send(&self, device: &str, envelope: Envelope) {
        let Ok(topics) = Topics::new(&self.settings.base, device) else { return };
        self.mqtt.publish(Publication {
            topic: topics.cmd(envelope.command.op()),
            payload: Bytes::from(envelope.to_value().to_string()),
            qos1: true,
            expiry_s: Some(60),
            ..Publication::default()
        });
    }

    /// Deletes what nobody needs.
    pub(super) fn sweep(&self) {
        let (desk, keep) = (Arc::clone(&self.desk), self.settings.store.keep());
        tokio::spawn(async move {
            let needed = desk.needed();
            match desk.blobs.sweep(keep, |name| needed.contains(name)).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "files that no job needs were deleted"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the store could not be swept"),
            }
        });
    }
}
