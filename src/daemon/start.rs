//! From settings to a running daemon and, at the end, back to silence.

use super::clock::Clock;
use super::heartbeat::Heartbeat;
use super::inference::{CropSettings, Eye, Inference, Order};
use super::samples::DatasetView;
use super::worker::Worker;
use super::{
    Daemon, Input, backbones, budget, burst, commands, drift, findings, gpio, heads, jobs, metrics, pair,
    predictions, ring, state, trainer, trial,
};
use crate::board::Board;
use crate::config::Settings;
use crate::web;
use anyhow::{Result, ensure};
use bytes::Bytes;
use graft_base::key_file;
use graft_base::systemd;
use graft_camera::{self as camera, Slot};
use graft_control::{Control, Event, Hold, Wanted};
use graft_mqtt as mqtt;
use graft_store::{Limits, Opened, Store};
use graft_wire::Topics;
use graft_wire::messages::{CameraFacts, OFFLINE, ONLINE};
use std::collections::VecDeque;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc};

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

/// The loop looks around this often when nothing happens.
const TICK: Duration = Duration::from_millis(250);
/// A clean stop takes no longer than this.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`] when it cannot start; anything else when it cannot go on.
pub fn run(settings: Settings) -> Result<()> {
    crate::log::start(&settings.log.level);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<()> {
    // Signals first: one that comes during the start must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    #[expect(clippy::disallowed_methods, reason = "the loop sends to itself: a full queue would lock it up")]
    let (inbox, mut inputs) = mpsc::unbounded_channel();
    let (observations, mut observed) = mpsc::channel(16);
    let stop = Arc::new(AtomicBool::new(false));

    let (mut daemon, inference, rolled_back) = assemble(settings, inbox.clone(), observations)?;
    let socket = &daemon.settings.socket;
    let listener = web::listen(&socket.path)
        .and_then(|listener| {
            std::fs::set_permissions(&socket.path, Permissions::from_mode(socket.mode))?;
            Ok(listener)
        })
        .map_err(|e| StartError::Io(e.to_string()))?;
    let inference = std::thread::Builder::new().name("inference".into()).spawn(move || inference.run())?;
    let camera = {
        let (settings, slot, stop, inbox) =
            (daemon.settings.camera.clone(), Arc::clone(&daemon.slot), Arc::clone(&stop), inbox.clone());
        std::thread::Builder::new().name("camera".into()).spawn(move || {
            camera::run(settings, slot, stop, move |status| {
                let _ = inbox.send(Input::Camera(status));
            });
        })?
    };
    let nice = daemon.settings.learn.nice;
    daemon.trainer.tell(move |()| trainer::nice(nice));
    let (requests, mut requested) = mpsc::channel(64);
    let (closing, closed) = tokio::sync::oneshot::channel::<()>();
    if let Some(at) = daemon.settings.metrics.listen {
        let listener = tokio::net::TcpListener::bind(at)
            .await
            .map_err(|e| StartError::Config(format!("metrics.listen = {at} cannot be used: {e}")))?;
        // It ends with the runtime: nobody waits for the end of a scrape.
        tokio::spawn(web::serve_figures(listener, requests.clone(), std::future::pending()));
    }
    let server = tokio::spawn(web::serve(listener, requests, daemon.watchers.clone(), async {
        let _ = closed.await;
    }));
    let (reports, mut reported) = mpsc::channel(256);
    daemon.mqtt = daemon.settings.mqtt.session.enabled.then(|| {
        let mut session = daemon.settings.mqtt.session.clone();
        if session.client_id.is_empty() {
            // The same at each start: the broker keeps the commands of a restart under it.
            session.client_id = format!("graft-{}", daemon.topics.device());
        }
        mqtt::start(
            session,
            (daemon.topics.availability(), Bytes::from_static(OFFLINE.as_bytes())),
            Bytes::from_static(ONLINE.as_bytes()),
            vec![daemon.topics.cmd_filter()],
            reports,
        )
    });
    daemon.send_outbox();
    daemon.begin(rolled_back);
    systemd::ready(&daemon.status_line());
    tracing::info!(
        device = daemon.topics.device(),
        backbone = daemon.provenance.backbone.name,
        socket = %daemon.settings.socket.path.display(),
        "graft is ready: {}",
        daemon.status_line()
    );

    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => daemon.reload(),
            Some(input) = inputs.recv() => daemon.handle(input),
            Some(report) = reported.recv() => daemon.handle(Input::Mqtt(report)),
            Some(request) = requested.recv() => daemon.handle(Input::Web(request)),
            Some(observation) = observed.recv() => daemon.observed(observation),
            _ = tick.tick() => {
                // A thread that ended by itself is a fault: a fresh start is better than half a daemon.
                ensure!(!inference.is_finished(), "the inference thread ended");
                ensure!(!camera.is_finished(), "the camera thread ended");
                ensure!(daemon.store.alive() && daemon.trainer.alive(), "the store's or the trainer's thread ended");
                daemon.control(Event::Tick);
                daemon.tick_pulse();
                daemon.offload_tick();
                daemon.probation_tick();
                daemon.maintain();
                daemon.look_at_budget();
                daemon.beat();
                daemon.light();
                daemon.trial_tick();
                daemon.recording_tick();
            }
        }
    }

    systemd::stopping();
    tracing::info!("stopping");
    let hurry = std::thread::spawn(|| {
        std::thread::sleep(STOP_WITHIN);
        tracing::warn!("something does not stop: ending without it");
        #[expect(
            clippy::disallowed_methods,
            reason = "what is acknowledged is on disk; a hanging driver must not keep us"
        )]
        std::process::exit(0);
    });
    stop.store(true, Ordering::Relaxed);
    daemon.slot.close();
    if let Some(training) = &daemon.training {
        training.cancel.now();
    }
    daemon.transfer_cancel.now();
    daemon.stop_backbones();
    daemon.stop_trial();
    let _ = daemon.orders.send(Order::Stop);
    let _ = closing.send(());
    let _ = server.await;
    if let Some(mqtt) = daemon.mqtt.take() {
        mqtt.close().await;
    }
    let socket = daemon.settings.socket.path.clone();
    drop(inputs);
    let _ = tokio::task::spawn_blocking(move || {
        let _ = inference.join();
        let _ = camera.join();
        // The store's thread finishes what it was given, then closes the database.
        drop(daemon);
    })
    .await;
    let _ = std::fs::remove_file(socket);
    drop(hurry);
    Ok(())
}

/// Opens what has to be there and puts it together; nothing runs yet but the store's thread.
fn assemble(
    settings: Settings,
    inbox: mpsc::UnboundedSender<Input>,
    observations: mpsc::Sender<super::inference::Observation>,
) -> Result<(Daemon, Inference, Option<String>)> {
    let clock = Clock::new()?;
    let topics = Topics::new(&settings.mqtt.base, &settings.device.id)
        .map_err(|e| StartError::Config(e.to_string()))?;
    let limits =
        Limits { quota_bytes: settings.store.quota_bytes, free_floor_bytes: settings.store.free_floor_bytes };
    let (mut store, opened) =
        Store::open(&settings.store.dir, limits).map_err(|e| StartError::Io(e.to_string()))?;
    if let Opened::MovedAside { path, reason, samples_saved, head_saved } = &opened {
        tracing::error!(path = %path.display(), reason, samples_saved, head_saved, "the database was damaged and moved aside");
        store.rescue_told().map_err(|e| StartError::Io(e.to_string()))?;
    }
    let key = key_file::load_or_make(&settings.store.dir.join("device.key"))
        .map_err(|e| StartError::Io(format!("{e:#}")))?;
    let key = Arc::new(key);
    let config = |e: String| StartError::Config(e);
    let line = pair::Configured::read(&settings).map_err(config)?.name().to_owned();
    let pair::AtStart { backbone, provenance, rolled_back, probation } =
        pair::at_start(&mut store, &settings, &key, clock.wall_ms()).map_err(config)?;
    let read = |e: graft_store::StoreError| StartError::Io(format!("the store cannot be read: {e}"));
    let wanted =
        store.get_state("wanted").map_err(read)?.and_then(|w| Wanted::parse(&w)).unwrap_or(Wanted::Infer);
    let next_job = store
        .get_state("job")
        .map_err(read)?
        .and_then(|job| job.parse::<u64>().ok())
        .map_or(1, |job| job + 1);
    let trained_rev = store.get_state("trained_rev").map_err(read)?.and_then(|rev| rev.parse::<i64>().ok());
    let serving = store.serving().map_err(read)?;
    let (trial, to_serve) = trial::at_start(&mut store, &provenance, clock.wall_ms()).map_err(read)?;
    if let Some(reason) = trial.taken_back {
        // Told first of all, once the loop turns.
        let _ = inbox.send(Input::Continue(Box::new(move |daemon| daemon.head_taken_back(reason))));
    }
    let dataset = DatasetView::read(&mut store).map_err(read)?;
    let findings = findings::Findings::read(&mut store).map_err(read)?;
    let drifted = store.get_state(drift::KEY).map_err(read)?;
    let scene = drift::Scene::after(drifted.as_deref());
    let mut loaded = None;
    if let Some(version) = to_serve {
        match store
            .head_file(version)
            .map_err(|e| e.to_string())
            .and_then(|file| heads::load(&file, &provenance))
        {
            Ok(head) => loaded = Some(head),
            Err(error) => tracing::error!(version, error, "the active head cannot be used"),
        }
    }
    let (active, head_state) = loaded.unzip();
    let mut control = Control::new(
        settings.policy(),
        wanted,
        active.as_ref().map(|a: &super::inference::ActiveHead| a.version),
        serving.pinned.is_some(),
        next_job,
    );
    // Samples that no round has seen yet, because the last start ended before it.
    let unseen = if trained_rev == Some(dataset.rev) { 0 } else { dataset.samples() };
    control.handle(clock.now(), Event::Samples { changed: unseen, classes: dataset.tallies() });
    control.handle(clock.now(), Event::Held(Hold::CameraLost));

    let slot = Arc::new(Slot::new());
    let turns = Arc::new(AtomicU64::new(0));
    let failures = Arc::new(AtomicU64::new(0));
    let (orders, order_inbox) = std::sync::mpsc::channel();
    let capture = &settings.capture;
    let inference = Inference {
        slot: Arc::clone(&slot),
        orders: order_inbox,
        observations,
        failures: Arc::clone(&failures),
        turns: Arc::clone(&turns),
        crops: CropSettings {
            roi: settings.backbone.roi,
            max_side: capture.crop_px,
            jpeg_quality: capture.jpeg_quality,
            keep_hz: capture.ring_hz,
            max_hz: settings.backbone.max_hz,
            change_gate: settings.backbone.change_gate,
        },
        eye: Eye { backbone, key: Arc::clone(&provenance.embeddings) },
        threads: settings.backbone.threads.into(),
    };
    let lamp = gpio::watch(&settings.gpio, &inbox).map_err(StartError::Config)?;
    let most = (capture.ring_s * capture.ring_hz * 1.2).ceil() as usize + 1;
    let daemon = Daemon {
        response_prefixes: vec![settings.mqtt.base.clone()],
        line,
        incoming: None,
        arrival: None,
        floors: backbones::read_floors(&mut store).map_err(read)?,
        probation: probation.map(|on| backbones::probation(&settings, &on, clock.now())),
        usual: backbones::Usual::default(),
        rollback_due: None,
        offload: None,
        feeds: 0,
        ring: ring::Ring::new(Duration::from_secs_f64(capture.ring_s), most),
        bursts: burst::Bursts::new(clock.boot_id.clone(), Duration::from_secs_f64(capture.burst_gap_s)),
        store: Worker::spawn("store", store)?,
        trainer: Worker::spawn("train", ())?,
        camera: Some(CameraFacts {
            source: settings.camera.source.as_str().into(),
            description: String::new(),
            width: None,
            height: None,
        }),
        board: Board::below(&settings.sources.surroundings.system),
        settings,
        trial: trial.running.then(|| clock.now()),
        clock,
        topics,
        provenance,
        control,
        queue: VecDeque::new(),
        handling: false,
        inbox,
        orders,
        turns,
        failures,
        tally: metrics::Tally::default(),
        budget: budget::Budget::default(),
        heartbeat: Heartbeat::new(systemd::watchdog_interval()),
        lamp,
        slot,
        mqtt: None,
        watchers: broadcast::channel(256).0,
        pulse: state::Pulse::default(),
        vote: predictions::Vote::default(),
        last_prediction: None,
        maintained: None,
        state_changed: true,
        newest_frame: None,
        recording: None,
        last_class: None,
        dataset,
        active,
        head_state,
        training: None,
        transfer_cancel: trainer::Cancel::default(),
        pending: commands::Pending::default(),
        persist_error: None,
        jobs: jobs::Jobs::default(),
        findings,
        scene,
    };
    Ok((daemon, inference, rolled_back))
}
