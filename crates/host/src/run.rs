//! The loop: what comes in goes to the machine, what it decides to the executor.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::blobs::Blobs;
use crate::decide::{HostEvent, Machine, Now, Policy};
use crate::executor::Executor;
use crate::fleet::Fleet;
use crate::job::Job;
use crate::records::Records;
use crate::settings::Settings;
use crate::storage::{Limits, Storage};
use crate::{http, incoming, key, now_ms};
use graft_mqtt::{self as mqtt, Report};

/// How often time passes for the machine.
const TICK: Duration = Duration::from_millis(500);

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
    let (events, mut incoming_events) = mpsc::channel(64);
    let (storage, jobs) = open_storage(&settings, events.clone())?;
    let server = http::listen(&settings, Arc::clone(&storage)).await?;
    let url = settings.url(server.address.port());
    let (reports, mut reported) = mpsc::channel(256);
    let mqtt = start_session(&settings, reports);
    tracing::info!(id = settings.id, url, key = key.public().base64(), "graft host is ready");
    graft_base::systemd::ready(&format!("at {url}"));
    let machine = Machine::new(policy(&settings), jobs);
    let (base, id) = (settings.base.clone(), settings.id.clone());
    let executor = Executor::new(settings, key, storage, mqtt.clone(), url, events);
    let mut host = Host { machine, executor, mqtt, base, id, started: Instant::now() };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(report) = reported.recv() => host.report(report),
            Some(event) = incoming_events.recv() => host.handle(event),
            _ = tick.tick() => host.handle(HostEvent::Tick),
        }
    }
    graft_base::systemd::stopping();
    // Each engine goes on from its last checkpoint at the next start.
    host.executor.stop_engines();
    server.stop();
    host.mqtt.close().await;
    drop(lock);
    Ok(())
}

/// What is on disk; with the jobs among it.
fn open_storage(settings: &Settings, events: mpsc::Sender<HostEvent>) -> Result<(Arc<Storage>, Vec<Job>)> {
    let url = match settings.store.url.as_str() {
        "" => settings.dir.join("blobs").display().to_string(),
        url => url.to_owned(),
    };
    let records = Records::open(&settings.dir)?;
    let jobs = records.jobs().map(|(_, job)| job.clone()).collect();
    let limits =
        Limits { quota_bytes: settings.store.quota_bytes(), max_job_bytes: settings.offers.max_bytes() };
    let storage = Storage::new(records, Fleet::open(&settings.dir)?, Blobs::open(&url)?, limits, events);
    Ok((Arc::new(storage), jobs))
}

fn start_session(settings: &Settings, reports: mpsc::Sender<Report>) -> mqtt::Handle {
    let availability = format!("{}-hosts/{}/availability", settings.base, settings.id);
    let mut session = settings.mqtt.clone();
    // All that counts is retained, and comes with each subscription: the broker need not keep anything for us.
    session.session_expiry_s = 0;
    if session.client_id.is_empty() {
        session.client_id = format!("graft-host-{}", settings.id);
    }
    mqtt::start(
        session,
        (availability, Bytes::from_static(b"offline")),
        Bytes::from_static(b"online"),
        incoming::SUBSCRIPTIONS.map(|rest| format!("{}/{rest}", settings.base)).into(),
        reports,
    )
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        host: settings.id.clone(),
        devices: settings.engine.devices.clone(),
        boards: settings.offers.devices.clone(),
        max_job_bytes: settings.offers.max_bytes(),
    }
}

/// The machine with its executor.
struct Host {
    machine: Machine,
    executor: Executor,
    mqtt: mqtt::Handle,
    /// Topic base.
    base: String,
    /// Id of this host.
    id: String,
    started: Instant,
}

impl Host {
    /// Takes in what the MQTT session says.
    fn report(&mut self, report: Report) {
        match report {
            Report::Connected { .. } => {
                tracing::info!("connected to the broker");
                self.handle(HostEvent::Connected);
            }
            Report::Disconnected { reason } => {
                tracing::warn!(reason, "not connected to the broker");
                self.handle(HostEvent::Disconnected);
            }
            Report::Command(message) => {
                if let Some(event) = incoming::read(&self.base, &self.id, &message.topic, &message.payload) {
                    self.handle(event);
                }
                // What it changed here is on disk, or comes again with the next connect.
                self.mqtt.ack(message.ack);
            }
            Report::Acked(_) | Report::Refused { .. } => {}
        }
    }

    /// Gives an event to the machine, carries out what it decides, and gives it what comes of that at once.
    fn handle(&mut self, event: HostEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            if let HostEvent::EngineEnded { task, end } = &event {
                self.executor.engine_ended(task, end);
            }
            let now = Now { uptime: self.started.elapsed(), wall_ms: now_ms() };
            for action in self.machine.handle(now, event) {
                events.extend(self.executor.carry_out(action));
            }
        }
    }
}
