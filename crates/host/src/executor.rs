//! Carries out what the machine decides: files, engines, messages. Decides nothing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::decide::{EngineEnd, Group, HostAction, HostEvent, Task};
use crate::engine;
use crate::job::{Job, Phase};
use crate::settings::Settings;
use crate::storage::Storage;
use crate::{job_folder, now_ms, random_token, validity, verify};
use graft_mqtt::{self as mqtt, Publication};
use graft_wire::backbone_manifest::BackboneManifest;
use graft_wire::command::{Backbone, Command, Envelope, Offload, Outcome};
use graft_wire::offload::{Claim, Offer, hex_of};
use graft_wire::timestamp::rfc3339;
use graft_wire::{Key, Topics};

/// Seconds after which a command to a board is worthless.
const COMMAND_EXPIRY_S: u32 = 60;

/// What the machine's actions are carried out with.
pub(crate) struct Executor {
    settings: Settings,
    key: Key,
    storage: Arc<Storage>,
    mqtt: mqtt::Handle,
    url: String,
    /// Engines that run. Dropped, each is killed.
    engines: HashMap<Task, engine::Running>,
    events: mpsc::Sender<HostEvent>,
}

impl Executor {
    /// `url` is the address that boards are told; answers of work beside the loop go to `events`.
    pub(crate) fn new(
        settings: Settings,
        key: Key,
        storage: Arc<Storage>,
        mqtt: mqtt::Handle,
        url: String,
        events: mpsc::Sender<HostEvent>,
    ) -> Self {
        Self { settings, key, storage, mqtt, url, engines: HashMap::new(), events }
    }

    /// An engine ended by itself. A child of it may be left: its process group is killed with the handle.
    pub(crate) fn engine_ended(&mut self, task: &Task, end: &EngineEnd) {
        if self.engines.remove(task).is_some()
            && let EngineEnd::Failed(reason) = end
        {
            tracing::warn!(job = task.job, reason, "the engine failed");
        }
    }

    /// Kills every engine.
    pub(crate) fn stop_engines(&mut self) {
        self.engines.clear();
    }

    /// Carries out one action. Gives what came of it, where that is known at once; work beside the loop answers later.
    pub(crate) fn carry_out(&mut self, action: HostAction) -> Option<HostEvent> {
        match action {
            HostAction::Take { task, device, offer } => return Some(self.take(task, device, *offer)),
            HostAction::Record { task, job } => return Some(self.record(task, *job)),
            HostAction::Remove { job, why } => {
                tracing::info!(job, "over: {why}");
                self.storage.records().remove(&job);
            }
            HostAction::Claim { job, until_ms } => self.claim(&job, until_ms),
            HostAction::Send { device, message } => self.send(&device, message),
            HostAction::LogUnsuitable { job, why } => {
                tracing::warn!(job, "an offer is left alone: {why}");
            }
            HostAction::CheckFiles { task, job } => self.check_files(task, *job),
            HostAction::PrepareFolder { task, job } => self.prepare_folder(task, *job),
            HostAction::StartEngine { task, device } => return Some(self.start_engine(task, &device)),
            HostAction::StopEngine { task } => {
                tracing::info!(job = task.job, "the engine is stopped");
                self.engines.remove(&task);
            }
            HostAction::Verify { task, job } => self.verify(task, *job),
            HostAction::Sign { task, manifest } => return Some(self.sign(task, *manifest)),
            HostAction::ReadGroups => return Some(self.read_groups()),
            HostAction::RecordMember { group, version, device, member } => {
                let (state, reason) = (member.state.as_str(), member.reason.as_deref());
                tracing::info!(group, device, state, reason, "the backbone of a group");
                if let Err(error) = self.storage.fleet().record(&group, version, &device, member) {
                    tracing::error!(error = format!("{error:#}"), "how far a group is could not be written");
                }
            }
            HostAction::Apply { device, group, token, manifest, sent } => {
                let id = format!("{}:{group}:{}:{sent}", self.settings.id, manifest.version);
                let apply = Backbone::Apply { url: self.url.clone(), token, manifest };
                self.publish(&device, Some(id), Command::Backbone(apply));
            }
            HostAction::Sweep => self.sweep(),
        }
        None
    }

    fn take(&self, task: Task, device: String, offer: Offer) -> HostEvent {
        let (recipe, samples) = (offer.recipe.to_string(), offer.dataset.samples);
        let taken = random_token().and_then(|token| {
            let job = Job { device, offer, token, phase: Phase::Receiving, attempts: 0 };
            self.storage.records().put(job.clone())?;
            Ok(Box::new(job))
        });
        match &taken {
            Ok(_) => tracing::info!(job = task.job, recipe, samples, "claimed"),
            Err(error) => tracing::error!(error = format!("{error:#}"), "an offer could not be taken"),
        }
        HostEvent::Taken { task, result: taken.map_err(text) }
    }

    fn record(&self, task: Task, job: Job) -> HostEvent {
        match &job.phase {
            Phase::Released { outcome, reason } => {
                tracing::warn!(job = task.job, outcome = outcome.as_str(), reason, "given back");
            }
            phase => tracing::info!(job = task.job, phase = phase.word(), attempts = job.attempts, "goes on"),
        }
        let written = self.storage.records().put(job);
        if let Err(error) = &written {
            tracing::error!(
                job = task.job,
                error = format!("{error:#}"),
                "a job's state could not be written"
            );
        }
        HostEvent::Recorded { task, result: written.map_err(text) }
    }

    fn claim(&self, job: &Job, until_ms: i64) {
        let mut claim = Claim {
            job: job.offer.job.clone(),
            host: self.settings.id.clone(),
            url: self.url.clone(),
            token: job.token.clone(),
            until: rfc3339(until_ms),
            key_id: String::new(),
            sig: String::new(),
        };
        match claim.sign(&job.device, &self.key) {
            Ok(()) => self.send(&job.device, Offload::Claim(claim)),
            Err(error) => tracing::error!(%error, "a claim cannot be signed; see http.url"),
        }
    }

    /// Sends a message about a job; all but progress with an id, under which a refusal comes back.
    fn send(&self, device: &str, message: Offload) {
        let about = match &message {
            Offload::Claim(Claim { job, .. })
            | Offload::Result { job, .. }
            | Offload::Release { job, .. }
            | Offload::Cancel { job: Some(job) } => Some(job),
            Offload::Progress(_) | Offload::Start { .. } | Offload::Cancel { job: None } => None,
        };
        let id = about.map(|job| format!("{}:{device}.{job}:{:08x}", self.settings.id, fastrand::u32(..)));
        self.publish(device, id, Command::Offload(message));
    }

    fn publish(&self, device: &str, id: Option<String>, command: Command) {
        let topics = match Topics::new(&self.settings.base, device) {
            Ok(topics) => topics,
            Err(error) => return tracing::error!(device, %error, "a board cannot be sent a command"),
        };
        let topic = topics.cmd(command.op());
        let envelope = Envelope { id, ..Envelope::bare(command) };
        self.mqtt.publish(Publication {
            topic,
            payload: Bytes::from(envelope.to_value().to_string()),
            qos1: true,
            expiry_s: Some(COMMAND_EXPIRY_S),
            ..Publication::default()
        });
    }

    fn check_files(&self, task: Task, job: Job) {
        let storage = Arc::clone(&self.storage);
        self.answer_later(async move {
            let missing = storage.missing(&job).await.map(|missing| missing.map(|list| list.len()));
            if let Err(error) = &missing {
                tracing::error!(job = task.job, error = format!("{error:#}"), "files could not be checked");
            }
            HostEvent::FilesChecked { task, missing: missing.map_err(text) }
        });
    }

    fn prepare_folder(&self, task: Task, job: Job) {
        let (path, engine) = (self.work_folder(&task), self.settings.engine.clone());
        let storage = Arc::clone(&self.storage);
        self.answer_later(async move {
            let result = match storage.dataset(&task.job) {
                Ok(dataset) => job_folder::prepare(&path, &job, &dataset, &storage.blobs, &engine).await,
                Err(error) => Err(error),
            };
            HostEvent::FolderPrepared { task, result: result.map_err(text) }
        });
    }

    fn start_engine(&mut self, task: Task, device: &str) -> HostEvent {
        let (settings, path) = (&self.settings.engine, self.work_folder(&task));
        match engine::start(settings, &path, device, task.clone(), self.events.clone()) {
            Ok(running) => {
                tracing::info!(job = task.job, device, "training");
                self.engines.insert(task.clone(), running);
                HostEvent::EngineStarted { task }
            }
            Err(error) => {
                let reason = text(error);
                tracing::warn!(job = task.job, reason, "the engine could not be started");
                HostEvent::EngineEnded { task, end: EngineEnd::Failed(reason) }
            }
        }
    }

    fn verify(&self, task: Task, job: Job) {
        let (path, storage) = (self.work_folder(&task), Arc::clone(&self.storage));
        self.answer_later(async move {
            let result = verified(path, job, &storage).await;
            let result = result.map(Box::new).map_err(|(outcome, error)| (outcome, text(error)));
            HostEvent::Verified { task, result }
        });
    }

    fn sign(&self, task: Task, manifest: BackboneManifest) -> HostEvent {
        let (created, expires) = validity(&self.settings, now_ms());
        let manifest = BackboneManifest { created, expires, ..manifest };
        let signed = self.storage.fleet().add(manifest, &self.key);
        if let Ok(BackboneManifest { line, version, .. }) = &signed {
            tracing::info!(job = task.job, line, version, "a result");
        }
        HostEvent::Signed { task, result: signed.map(Box::new).map_err(text) }
    }

    fn read_groups(&self) -> HostEvent {
        let mut fleet = self.storage.fleet();
        fleet.reload();
        let groups = fleet.assigned().map(|(name, assignment, manifest, progress)| Group {
            name: name.clone(),
            assignment: assignment.clone(),
            manifest: manifest.clone(),
            progress: progress.clone(),
        });
        HostEvent::GroupsRead(groups.collect())
    }

    fn sweep(&self) {
        let (storage, keep) = (Arc::clone(&self.storage), self.settings.store.keep());
        tokio::spawn(async move {
            let needed = storage.needed();
            match storage.blobs.sweep(keep, |name| needed.contains(name)).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "files that no job needs were deleted"),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the store could not be swept"),
            }
        });
    }

    /// The folder of a job in which the engine works.
    fn work_folder(&self, task: &Task) -> PathBuf {
        self.storage.records().folder(&task.job).join("work")
    }

    fn answer_later(&self, work: impl Future<Output = HostEvent> + Send + 'static) {
        let events = self.events.clone();
        // The channel is closed once the host stops.
        tokio::spawn(async move { events.send(work.await).await });
    }
}

fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}

/// Verifies a result and puts its files into the store. What the check refuses would fail elsewhere too; what could not
/// be read or kept here need not.
async fn verified(
    path: PathBuf,
    job: Job,
    storage: &Storage,
) -> Result<BackboneManifest, (Outcome, anyhow::Error)> {
    let retry = |error| (Outcome::Retry, error);
    let dataset = storage.dataset(&job.name()).map_err(retry)?;
    let out = path.join("out");
    let line = job.offer.backbone.name.clone();
    let manifest = tokio::task::spawn_blocking(move || {
        verify::verify(&path, &dataset, &job.device, &job.offer.job, &line)
    })
    .await
    .map_err(|error| retry(anyhow::Error::new(error).context("the check of a result broke")))?
    .map_err(|error| (Outcome::Failed, error))?;
    for ((_, blob), name) in manifest.files.named().into_iter().zip([
        "backbone.onnx",
        "backbone.toml",
        "head.safetensors",
        "golden.safetensors",
    ]) {
        storage.blobs.keep(hex_of(&blob.digest), &out.join(name)).await.map_err(retry)?;
    }
    Ok(manifest)
}
