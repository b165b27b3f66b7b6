//! From settings to the components of a running daemon.

use super::Daemon;
use super::adapt::{self, Adapt};
use super::board::{BoardMonitor, gpio};
use super::clock::Clock;
use super::commands::Commands;
use super::effects::{Effects, Live, LiveParts};
use super::event::{Beginning, Inbox};
use super::frames::{Network, Observation, Order};
use super::inference::{CropSettings, Inference};
use super::jobs::Jobs;
use super::kept;
use super::labels::Labels;
use super::labels::dataset::DatasetView;
use super::offload::Offload;
use super::pair::Pair;
use super::pair::configured::{self, AtStart, Configured};
use super::watch::Watch;
use crate::board::Board;
use crate::config::Settings;
use anyhow::Result;
use graft_base::{key_file, systemd};
use graft_camera::Slot;
use graft_control::{Control, Event, Hold, JobIds, Wanted};
use graft_store::{Limits, Opened, Store, StoreError};
use graft_wire::{Key, Topics};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, channel};
use tokio::sync::mpsc;

/// A start that cannot succeed without a person; `graft` exits with the code of its kind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that cannot work together with what is there (78).
    #[error("{0}")]
    Config(String),
    /// State folder, socket or key cannot be used (74).
    #[error("{0}")]
    Io(String),
}

/// A daemon that only has to be run.
pub struct Started {
    /// The components.
    pub daemon: Daemon,
    /// The clocks.
    pub clock: Clock,
    /// The inference thread's side.
    pub inference: Inference,
    /// What has to be told once the loop turns.
    pub beginning: Beginning,
}

fn config(error: String) -> StartError {
    StartError::Config(error)
}

fn read(error: StoreError) -> StartError {
    StartError::Io(format!("the store cannot be read: {error}"))
}

/// Opens what has to be there and puts it together; nothing runs yet but the threads of store and trainer.
///
/// # Errors
/// [`StartError`], or the system gives no thread.
pub fn assemble(
    settings: Settings,
    inbox: &Inbox,
    observations: mpsc::Sender<Observation>,
) -> Result<Started> {
    let clock = Clock::new()?;
    let topics = Topics::new(&settings.mqtt.base, &settings.device.id).map_err(|e| config(e.to_string()))?;
    let mut store = open_store(&settings)?;
    let key = key_file::load_or_make(&settings.store.dir.join("device.key"))
        .map_err(|e| StartError::Io(format!("{e:#}")))?;
    let found = Found::read(&mut store, &settings, &Arc::new(key), &clock)?;
    let job_ids = JobIds::new(found.next_job);
    let lamp = gpio::watch(&settings.gpio, inbox).map_err(config)?;
    let board = Board::below(&settings.sources.surroundings.system);
    let (orders, order_inbox) = channel();
    let network =
        Network { backbone: found.pair.backbone, key: Arc::clone(&found.pair.provenance.embeddings) };
    let inference = inference(&settings, network, order_inbox, inbox.clone(), observations);
    let uptime = clock.read().uptime;
    let beginning = Beginning {
        head_taken_back: found.heads.taken_back.clone(),
        pair_rolled_back: found.pair.rolled_back,
    };
    let on = found.pair.probation.as_ref();
    let (boot_id, camera) = (&clock.boot_id, settings.camera.source.as_str());
    let pair = Pair::new(&settings, uptime, &found.line, found.pair.provenance, on, found.floors);
    let parts = LiveParts {
        inbox: inbox.clone(),
        orders,
        slot: Arc::clone(&inference.slot),
        inference_turns: Arc::clone(&inference.turns),
        inference_failures: Arc::clone(&inference.failures),
        board: board.clone(),
        lamp,
        state: settings.store.dir.clone(),
        preview: Arc::clone(&inference.preview),
    };
    let live = Live::new(parts, store, settings.learn.nice)?;
    let daemon = Daemon {
        commands: Commands::new(vec![settings.mqtt.base.clone()]),
        labels: Labels::new(&settings, boot_id, found.dataset),
        watch: Watch::new(board.name(), camera, boot_id, found.drift),
        adapt: Adapt::new(found.control, found.heads, found.findings),
        pair,
        offload: Offload::default(),
        jobs: found.jobs,
        board: BoardMonitor::new(systemd::watchdog_interval()),
        effects: Effects::live(live, topics, job_ids),
        settings: Arc::new(settings),
    };
    Ok(Started { daemon, clock, inference, beginning })
}

fn open_store(settings: &Settings) -> Result<Store, StartError> {
    let set = &settings.store;
    let limits = Limits { quota_bytes: set.quota_bytes, free_floor_bytes: set.free_floor_bytes };
    let (mut store, opened) = Store::open(&set.dir, limits).map_err(|e| StartError::Io(e.to_string()))?;
    if let Opened::MovedAside { path, reason, samples_saved, head_saved } = &opened {
        tracing::error!(path = %path.display(), reason, samples_saved, head_saved, "the database was damaged and moved aside");
        store.rescue_told().map_err(|e| StartError::Io(e.to_string()))?;
    }
    Ok(store)
}

/// What an earlier start left in the store.
struct Found {
    /// The name of the configured backbone.
    line: String,
    pair: AtStart,
    heads: adapt::at_start::Heads,
    control: Control,
    next_job: u64,
    jobs: Jobs,
    dataset: DatasetView,
    findings: kept::Findings,
    drift: Option<graft_wire::messages::DriftState>,
    floors: super::pair::tasks::Floors,
}

impl Found {
    fn read(
        store: &mut Store,
        settings: &Settings,
        key: &Arc<Key>,
        clock: &Clock,
    ) -> Result<Self, StartError> {
        let now = clock.read();
        let line = Configured::read(settings).map_err(config)?.name().to_owned();
        let pair = configured::at_start(store, settings, key, now.wall_ms).map_err(config)?;
        let wanted = kept::WANTED.get(store).map_err(read)?.unwrap_or(Wanted::Infer);
        let next_job = kept::JOB.get(store).map_err(read)?.map_or(1, |job| job + 1);
        let jobs = kept::JOBS.get(store).map_err(read)?.map_or_else(Vec::new, |kept| kept.0);
        let jobs = Jobs::after(jobs, now.wall_ms);
        let trained_rev = kept::TRAINED_REV.get(store).map_err(read)?;
        let pinned = store.serving().map_err(read)?.pinned.is_some();
        let heads = adapt::at_start::heads(store, &pair.provenance, now.uptime, now.wall_ms).map_err(read)?;
        let dataset = DatasetView::read(store).map_err(read)?;
        let findings = kept::FINDINGS.get(store).map_err(read)?.map(|found| found.0);
        let active = heads.loaded.as_ref().map(|(head, _)| head.version);
        let mut control = Control::new(settings.policy(), wanted, active, pinned);
        // Samples that no round has seen yet, because the last start ended before it.
        let unseen = if trained_rev == Some(dataset.rev) { 0 } else { dataset.samples() };
        let samples = Event::Samples { changed: unseen, classes: dataset.tallies() };
        let mut no_round = JobIds::new(next_job);
        for event in [samples, Event::Held(Hold::CameraLost)] {
            control.handle(now.uptime, event, &mut no_round);
        }
        Ok(Self {
            line,
            pair,
            heads,
            control,
            next_job,
            jobs,
            dataset,
            findings: findings.unwrap_or_default(),
            drift: kept::DRIFT.get(store).map_err(read)?.map(|told| told.0),
            floors: kept::BACKBONE_FLOORS.get(store).map_err(read)?.map(|on| on.0).unwrap_or_default(),
        })
    }
}

fn inference(
    settings: &Settings,
    network: Network,
    orders: Receiver<Order>,
    inbox: Inbox,
    observations: mpsc::Sender<Observation>,
) -> Inference {
    let capture = &settings.capture;
    Inference {
        network,
        slot: Arc::new(Slot::new()),
        orders,
        inbox,
        observations,
        preview: Arc::default(),
        failures: Arc::new(AtomicU64::new(0)),
        turns: Arc::new(AtomicU64::new(0)),
        crops: CropSettings {
            roi: settings.backbone.roi,
            max_side: capture.crop_px,
            jpeg_quality: capture.jpeg_quality,
            keep_hz: capture.ring_hz,
            max_hz: settings.backbone.max_hz,
            change_gate: settings.backbone.change_gate,
        },
        threads: settings.backbone.threads.into(),
    }
}
