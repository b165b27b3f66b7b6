//! The machine by transcripts, and what holds for any sequence of events.

mod failures;
mod jobs;
mod properties;
mod rollout;

use super::event::EngineFigures;
use super::*;
use crate::group::{Assignment, Member, Progress};
use crate::job::Phase;
use graft_wire::BackboneManifest;
use graft_wire::backbone_manifest::BackboneFiles;
use graft_wire::command::{Offload, Outcome};
use graft_wire::digest::sha256;
use graft_wire::messages::Schema1;
use graft_wire::offload::{Blob, Offer, OfferState, OfferedBackbone, OfferedDataset, Recipe};
use graft_wire::timestamp::rfc3339;
use std::collections::BTreeMap;

/// Milliseconds since 1970 at second 0 of a test.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// Seconds after which the offers of the tests expire.
const EXPIRES: u64 = 100_000;

fn at(second: u64) -> Now {
    Now { uptime: Duration::from_secs(second), wall_ms: EPOCH_MS + 1000 * second as i64 }
}

fn policy(devices: &[&str]) -> Policy {
    let devices = devices.iter().map(|device| (*device).to_owned()).collect();
    Policy { host: "gpu-1".into(), devices, boards: Vec::new(), max_job_bytes: 1000 }
}

/// An offer of a job, claimed by `host` where there is one.
fn offer(job: &str, host: Option<&str>) -> Offer {
    Offer {
        schema: Schema1,
        job: job.into(),
        recipe: Recipe::default(),
        backbone: OfferedBackbone {
            name: "tiny".into(),
            digest: sha256(b"onnx"),
            size: 4,
            tensor: "features".into(),
        },
        dataset: OfferedDataset { rev: 1, digest: sha256(b"list"), samples: 12, classes: 2, bytes: 900 },
        state: if host.is_some() { OfferState::Claimed } else { OfferState::Offered },
        host: host.map(Into::into),
        expires: rfc3339(EPOCH_MS + 1000 * EXPIRES as i64),
    }
}

fn job(name: &str, phase: Phase) -> Job {
    let (device, id) = name.split_once('.').unwrap();
    Job { device: device.into(), offer: offer(id, None), token: "secret".into(), phase, attempts: 0 }
}

fn manifest(version: u64, onnx: &str) -> BackboneManifest {
    BackboneManifest {
        schema: Schema1,
        line: "tiny".into(),
        version,
        device: Some("cam-1".into()),
        group: None,
        job: Some("16".into()),
        base: sha256(b"onnx"),
        files: BackboneFiles {
            onnx: Blob::of(onnx.as_bytes()),
            card: Blob::of(b"card"),
            head: Blob::of(b"head"),
            golden: Blob::of(b"golden"),
        },
        tensor: "features".into(),
        width: 64,
        classes: vec!["ok".into(), "bad".into()],
        recipe: Recipe::default(),
        metrics: BTreeMap::new(),
        created: String::new(),
        expires: String::new(),
        key_id: String::new(),
        sig: String::new(),
    }
}

/// The task of an action that is answered.
fn task_of(action: &HostAction) -> Option<&Task> {
    match action {
        HostAction::Take { task, .. }
        | HostAction::Record { task, .. }
        | HostAction::CheckFiles { task, .. }
        | HostAction::PrepareFolder { task, .. }
        | HostAction::StartEngine { task, .. }
        | HostAction::Verify { task, .. }
        | HostAction::Sign { task, .. } => Some(task),
        _ => None,
    }
}

/// What the executor answers to an action, if it works, or if it does not.
fn answer(action: &HostAction, works: bool) -> Option<HostEvent> {
    let task = task_of(action)?.clone();
    let failure = || "the disk is full".to_owned();
    let result = if works { Ok(()) } else { Err(failure()) };
    Some(match action {
        HostAction::Take { device, offer, .. } => {
            let job = Job {
                device: device.clone(),
                offer: (**offer).clone(),
                token: "secret".into(),
                phase: Phase::Receiving,
                attempts: 0,
            };
            HostEvent::Taken { task, result: result.map(|()| Box::new(job)) }
        }
        HostAction::Record { .. } => HostEvent::Recorded { task, result },
        HostAction::CheckFiles { .. } => HostEvent::FilesChecked { task, missing: result.map(|()| Some(0)) },
        HostAction::PrepareFolder { .. } => HostEvent::FolderPrepared { task, result },
        HostAction::StartEngine { .. } => {
            let end = if works { EngineEnd::Done } else { EngineEnd::Failed("out of memory".into()) };
            HostEvent::EngineEnded { task, end }
        }
        HostAction::Verify { .. } => {
            let result =
                if works { Ok(Box::new(manifest(1, "new"))) } else { Err((Outcome::Failed, failure())) };
            HostEvent::Verified { task, result }
        }
        HostAction::Sign { manifest, .. } => {
            HostEvent::Signed { task, result: result.map(|()| manifest.clone()) }
        }
        _ => return None,
    })
}

/// One line about a job.
fn phase_line(job: &Job) -> String {
    match &job.phase {
        Phase::Returned { manifest } => format!("returned, version {}", manifest.version),
        Phase::Released { outcome, reason } => format!("released, {}: {reason}", outcome.as_str()),
        phase => format!("{}, {} failed", phase.word(), job.attempts),
    }
}

fn member_line(member: &Member) -> String {
    let Member { sent, state, job, reason } = member;
    format!("{}, sent {sent}, job {job:?}, reason {reason:?}", state.as_str())
}

fn show_action(action: &HostAction) -> String {
    match action {
        HostAction::Take { task, .. } => format!("Take {task:?}"),
        HostAction::Record { task, job } => format!("Record {task:?}: {}", phase_line(job)),
        HostAction::Claim { job, until_ms } => {
            format!("Claim {} until {} s", job.name(), (until_ms - EPOCH_MS) / 1000)
        }
        HostAction::Send { device, message } => match message {
            Offload::Progress(p) => format!("Send {device}: progress, {} {}/{}", p.stage, p.step, p.steps),
            Offload::Result { manifest, .. } => {
                format!("Send {device}: result, version {}", manifest.version)
            }
            Offload::Release { outcome, reason, .. } => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("Send {device}: release, {}: {reason}", outcome.as_str())
            }
            other => format!("Send {device}: {other:?}"),
        },
        HostAction::CheckFiles { task, .. } => format!("CheckFiles {task:?}"),
        HostAction::PrepareFolder { task, .. } => format!("PrepareFolder {task:?}"),
        HostAction::Verify { task, .. } => format!("Verify {task:?}"),
        HostAction::Sign { task, .. } => format!("Sign {task:?}"),
        HostAction::Apply { device, group, manifest, sent, .. } => {
            format!("Apply {device}: group {group}, version {}, sent {sent}", manifest.version)
        }
        HostAction::RecordMember { group, version, device, member } => {
            format!("RecordMember {group} {version} {device}: {}", member_line(member))
        }
        other => format!("{other:?}"),
    }
}

fn show_event(event: &HostEvent) -> String {
    match event {
        HostEvent::OfferSeen { device, offer } => {
            let host = offer.host.as_deref().map_or("nobody", |host| host);
            format!("OfferSeen {device}.{}, {:?}, host {host}", offer.job, offer.state)
        }
        HostEvent::Taken { task, result } => format!("Taken {task:?} {:?}", result.as_ref().map(|_| ())),
        HostEvent::Verified { task, result } => {
            format!("Verified {task:?} {:?}", result.as_ref().map(|_| ()))
        }
        HostEvent::Signed { task, result } => format!("Signed {task:?} {:?}", result.as_ref().map(|_| ())),
        HostEvent::EngineProgress { task, figures } => {
            format!("EngineProgress {task:?} {} {}/{}", figures.stage, figures.step, figures.steps)
        }
        HostEvent::GroupsRead(groups) => {
            let line = |group: &Group| format!("{} {}", group.name, group.assignment.version);
            format!("GroupsRead {:?}", groups.iter().map(line).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

/// A machine with the transcript of what went in and what came out, and the actions that await an answer.
struct Script {
    machine: Machine,
    text: String,
    open: Vec<HostAction>,
}

impl Script {
    fn new(devices: &[&str], jobs: Vec<Job>) -> Self {
        Self { machine: Machine::new(policy(devices), jobs), text: String::new(), open: Vec::new() }
    }

    fn event(&mut self, second: u64, event: HostEvent) {
        self.text += &format!("{second:>4} s  {}\n", show_event(&event));
        for action in self.machine.handle(at(second), event) {
            // Each first tick asks for these; see the tests that are about them.
            if !matches!(action, HostAction::ReadGroups | HostAction::Sweep) {
                self.text += &format!("          -> {}\n", show_action(&action));
            }
            if task_of(&action).is_some() {
                self.open.push(action);
            }
        }
    }

    fn tick(&mut self, second: u64) {
        self.event(second, HostEvent::Tick);
    }

    /// The offer of job 16 of a board, claimed by `host` where there is one.
    fn offered(&mut self, second: u64, device: &str, host: Option<&str>) {
        let offer = Box::new(offer("16", host));
        self.event(second, HostEvent::OfferSeen { device: device.into(), offer });
    }

    fn cleared(&mut self, second: u64, device: &str) {
        self.event(second, HostEvent::OfferCleared { device: device.into(), job: "16".into() });
    }

    /// The task that was asked for last.
    fn task(&self) -> Task {
        self.open.last().and_then(task_of).unwrap().clone()
    }

    /// The task that was asked for last succeeds.
    fn works(&mut self, second: u64) {
        let action = self.open.pop().unwrap();
        self.event(second, answer(&action, true).unwrap());
    }

    /// The task that was asked for last fails.
    fn fails(&mut self, second: u64) {
        let action = self.open.pop().unwrap();
        self.event(second, answer(&action, false).unwrap());
    }

    fn engine_ends(&mut self, second: u64, end: EngineEnd) {
        let task = self.task();
        self.open.pop();
        self.event(second, HostEvent::EngineEnded { task, end });
    }

    /// A job of cam-1 whose engine was asked for, with an empty transcript.
    fn training() -> Self {
        let mut script = Self::new(&["cpu"], vec![job("cam-1.16", Phase::Training)]);
        script.event(0, HostEvent::Connected);
        script.offered(0, "cam-1", Some("gpu-1"));
        script.tick(0);
        script.works(0);
        script.text.clear();
        script
    }

    fn expect(&self, expected: &str) {
        assert_eq!(self.text, expected, "the transcript was\n{}", self.text);
    }
}
