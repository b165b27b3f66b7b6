//! The one place that waits: everything that happens becomes an [`Event`] here.

use super::Daemon;
use super::clock::Clock;
use super::effects::{Effects, Live};
use super::event::{Event, Inbox};
use super::frames::Observation;
use super::start::{StartError, Started, assemble};
use crate::config::Settings;
use crate::web;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use graft_base::systemd;
use graft_camera as camera;
use graft_mqtt as mqtt;
use graft_wire::messages::{OFFLINE, ONLINE};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;

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
    let signals = Signals::new()?;
    #[expect(clippy::disallowed_methods, reason = "the loop sends to itself: a full queue would lock it up")]
    let (queue, told) = mpsc::unbounded_channel();
    let inbox = Inbox::new(queue);
    let (observations, observed) = mpsc::channel(16);
    let Started { mut daemon, clock, inference, beginning } = assemble(settings, &inbox, observations)?;
    let socket = daemon.settings.socket.path.clone();
    let listener = listen(&daemon.settings)?;
    let inference = std::thread::Builder::new().name("inference".into()).spawn(move || inference.run())?;
    let threads = Threads::start(&daemon.settings, world(&mut daemon.effects)?, &inbox, inference)?;
    let (requests, requested) = mpsc::channel(64);
    web::tidy(&daemon.settings.store.dir);
    let backend = world(&mut daemon.effects)?.backend(requests);
    serve_figures(&daemon.settings, backend.clone()).await?;
    serve_page(&daemon.settings, backend.clone()).await?;
    let (closing, closed) = oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(listener, backend, async {
        let _ = closed.await;
    }));
    let reported = connect(&mut daemon)?;
    daemon.handle(clock.read(), Event::Begin(beginning));
    tracing::info!(
        device = daemon.effects.topics().device(),
        backbone = daemon.pair.backbone().backbone.name,
        socket = %socket.display(),
        "graft is ready: {}",
        daemon.status_line()
    );
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut waiting = Waiting { signals, told, reported, requested, observed, tick };
    turn(&mut daemon, &clock, &mut waiting, &threads).await?;
    drop(waiting);
    stop(daemon, &clock, threads, closing, server).await;
    let _ = std::fs::remove_file(socket);
    Ok(())
}

/// Everything that the loop waits for.
struct Waiting {
    signals: Signals,
    told: mpsc::UnboundedReceiver<Event>,
    reported: mpsc::Receiver<mqtt::Report>,
    requested: mpsc::Receiver<web::Request>,
    observed: mpsc::Receiver<Observation>,
    tick: Interval,
}

impl Waiting {
    /// The next event; `None`: the daemon is to stop.
    async fn next(&mut self, live: &mut Live) -> Option<Event> {
        Some(tokio::select! {
            biased;
            _ = self.signals.terminate.recv() => return None,
            _ = self.signals.interrupt.recv() => return None,
            _ = self.signals.hangup.recv() => Event::Reload,
            Some(event) = self.told.recv() => event,
            Some(report) = self.reported.recv() => live.report(report),
            Some(request) = self.requested.recv() => live.request(request),
            Some(observation) = self.observed.recv() => Event::Observed(Box::new(observation)),
            _ = self.tick.tick() => Event::Tick,
        })
    }
}

/// The loop: waits, reads the clock, dispatches.
async fn turn(daemon: &mut Daemon, clock: &Clock, waiting: &mut Waiting, threads: &Threads) -> Result<()> {
    while let Some(event) = waiting.next(world(&mut daemon.effects)?).await {
        if matches!(event, Event::Tick) {
            threads.check(world(&mut daemon.effects)?)?;
        }
        daemon.handle(clock.read(), event);
    }
    Ok(())
}

fn world(effects: &mut Effects) -> Result<&mut Live> {
    effects.world().context("the daemon has no way out")
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// The threads of camera and inference.
struct Threads {
    inference: JoinHandle<()>,
    camera: JoinHandle<()>,
    /// Ends the camera.
    stop: Arc<AtomicBool>,
}

impl Threads {
    fn start(settings: &Settings, live: &Live, inbox: &Inbox, inference: JoinHandle<()>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (settings, slot) = (settings.camera.clone(), Arc::clone(live.slot()));
        let (ends, inbox) = (Arc::clone(&stop), inbox.clone());
        let camera = std::thread::Builder::new().name("camera".into()).spawn(move || {
            camera::run(settings, slot, ends, move |status| inbox.send(Event::Camera(status)));
        })?;
        Ok(Self { inference, camera, stop })
    }

    /// A thread that ended by itself is a fault: a fresh start is better than half a daemon.
    fn check(&self, live: &Live) -> Result<()> {
        ensure!(!self.inference.is_finished(), "the inference thread ended");
        ensure!(!self.camera.is_finished(), "the camera thread ended");
        ensure!(live.alive(), "the store's or the trainer's thread ended");
        Ok(())
    }
}

fn listen(settings: &Settings) -> Result<UnixListener> {
    let socket = &settings.socket;
    let listener = web::listen(&socket.path).and_then(|listener| {
        std::fs::set_permissions(&socket.path, Permissions::from_mode(socket.mode))?;
        Ok(listener)
    });
    Ok(listener.map_err(|e| StartError::Io(e.to_string()))?)
}

async fn serve_figures(settings: &Settings, backend: web::Backend) -> Result<()> {
    let Some(at) = settings.metrics.listen else { return Ok(()) };
    let listener = tokio::net::TcpListener::bind(at)
        .await
        .map_err(|e| StartError::Config(format!("metrics.listen = {at} cannot be used: {e}")))?;
    // It ends with the runtime: nobody waits for the end of a scrape.
    tokio::spawn(web::serve_figures(listener, backend, std::future::pending()));
    Ok(())
}

/// Serves the page, where there is to be one. A default port that another program has is no reason to stand still.
async fn serve_page(settings: &Settings, backend: web::Backend) -> Result<()> {
    let set = &settings.web;
    let Some(listen) = set.listen else { return Ok(()) };
    let files = set.cert_file.clone().zip(set.key_file.clone());
    let certificate = web::certificate_of(&settings.store.dir, files, &set.hosts).0;
    let page = web::PageSettings {
        listen,
        hosts: set.hosts.clone(),
        certificate: set.encrypts(listen).then_some(certificate),
        state: settings.store.dir.clone(),
        device: settings.device.id.clone(),
    };
    match web::Page::open(page).await {
        Ok(page) => {
            tracing::info!("the page is at {}", page.address());
            // It ends with the runtime: a browser asks again.
            tokio::spawn(page.serve(backend, std::future::pending()));
            Ok(())
        }
        Err(error @ web::PageError::Port { .. }) if settings.effective.is_default("web.listen") => {
            tracing::warn!("there is no page: {error}; set web.listen to another port");
            Ok(())
        }
        Err(error @ (web::PageError::Tokens(_) | web::PageError::Tls(web::TlsError::Io { .. }))) => {
            Err(StartError::Io(error.to_string()).into())
        }
        Err(error) => Err(StartError::Config(error.to_string()).into()),
    }
}

/// Starts the session with the broker, where there is to be one.
fn connect(daemon: &mut Daemon) -> Result<mpsc::Receiver<mqtt::Report>> {
    let (reports, reported) = mpsc::channel(256);
    let mut session = daemon.settings.mqtt.session.clone();
    if session.client_id.is_empty() {
        // The same at each start: the broker keeps the commands of a restart under it.
        session.client_id = format!("graft-{}", daemon.effects.topics().device());
    }
    if session.enabled {
        let topics = daemon.effects.topics();
        let will = (topics.availability().name, Bytes::from_static(OFFLINE.as_bytes()));
        let commands = vec![topics.cmd_filter()];
        let online = Bytes::from_static(ONLINE.as_bytes());
        let handle = mqtt::start(session, will, online, commands, reports);
        world(&mut daemon.effects)?.connect(handle);
    }
    Ok(reported)
}

/// Ends everything in order, or at once after a while.
async fn stop(
    mut daemon: Daemon,
    clock: &Clock,
    threads: Threads,
    closing: oneshot::Sender<()>,
    server: tokio::task::JoinHandle<()>,
) {
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
    threads.stop.store(true, Ordering::Relaxed);
    daemon.handle(clock.read(), Event::Stop);
    let session = daemon.effects.world().and_then(Live::stop);
    let _ = closing.send(());
    let _ = server.await;
    if let Some(session) = session {
        session.close().await;
    }
    let _ = tokio::task::spawn_blocking(move || {
        let _ = threads.inference.join();
        let _ = threads.camera.join();
        // The store's thread finishes what it was given, then closes the database.
        drop(daemon);
    })
    .await;
    drop(hurry);
}
