//! What is read over HTTP. Nothing here changes anything.

pub mod export;
pub mod looks;
pub mod tasks;

use self::export::{ExportedFile, FileExport};
use self::looks::{Look, LookAt};
use self::tasks::{Task, answer_json, refusal};
use super::background::Background;
use super::context::Context;
use super::effects::{Effect, Effects};
use super::event::Ticket;
use super::jobs::Jobs;
use super::offload::Offload;
use super::store_thread::StoreTask;
use super::watch::{Parts, Watch};
use crate::web::{Answer, View};
use graft_control::Hold;
use graft_wire::{Code, Error};
use serde_json::{Value, json};
use std::sync::Arc;

/// The components that are components at.
pub struct Components<'a> {
    /// Adaptation, samples and budget.
    pub parts: Parts<'a>,
    /// What is seen of the camera.
    pub watch: &'a Watch,
    /// The job that is offered.
    pub offload: &'a Offload,
    /// All jobs.
    pub jobs: &'a Jobs,
}

/// Answers a look.
pub fn answer(cx: &Context, view: View, ticket: Ticket, at: &Components<'_>, fx: &mut Effects) {
    let now = match view {
        View::Status => Ok(answer_json(&status(cx, at, fx))),
        View::Dataset => Ok(answer_json(&json!(at.parts.labels.dataset().to_state()))),
        View::Config => Ok(answer_json(&cx.settings.effective.with_origins())),
        View::Jobs => Ok(answer_json(&json!({"jobs": at.jobs.newest_first().collect::<Vec<_>>()}))),
        View::Job(id) => match at.jobs.get(&id) {
            Some(job) => Ok(answer_json(&json!(job))),
            None => Err(Error::not_found(format_args!("job {id}"))),
        },
        View::Metrics => at.watch.metrics(cx, &at.parts, fx),
        View::Ready => Ok(readiness(cx)),
        View::Region => Ok(answer_json(&region(cx, at))),
        View::Beginning => Ok(beginning(cx, at)),
        View::Offload => Ok(answer_json(&offload(cx, at))),
        View::Frame => match at.parts.labels.newest_crop(cx.now.at) {
            Some(picture) => return fx.send(Effect::AnswerCrop(ticket, picture)),
            None => {
                let message = "there is no frame of the last 2 seconds; see `graft status`";
                Err(Error::new(Code::Camera, message))
            }
        },
        View::Samples { class, limit, offset } => {
            return fx.store(StoreTask::View(Task::Samples { class, limit, offset }, ticket));
        }
        View::Bursts { class, limit, offset } => {
            return fx.store(StoreTask::View(Task::Bursts { class, limit, offset }, ticket));
        }
        View::HeldOut => return fx.store(StoreTask::View(Task::HeldOut, ticket)),
        View::Ring => {
            let frames = at.parts.labels.kept_frames(cx.now.at);
            return fx.store(StoreTask::View(Task::Ring(frames), ticket));
        }
        View::RingImage(frame) => match at.parts.labels.kept_crop(frame) {
            Some(picture) => return fx.send(Effect::AnswerCrop(ticket, picture)),
            None => Err(Error::not_found(format_args!(
                "frame {frame} of the last {} s",
                cx.settings.capture.ring_s
            ))),
        },
        View::Predict(bytes) => {
            let at = LookAt::Picture(bytes);
            return fx.start(Background::Look(Look { ticket, at }));
        }
        View::Doctor => {
            let at = LookAt::Doctor(cx.settings.sources.clone(), cx.settings.socket.path.clone());
            return fx.start(Background::Look(Look { ticket, at }));
        }
        View::Near(sample) => {
            let (key, head) = (Arc::clone(&cx.backbone.embeddings), at.parts.adapt.active().cloned());
            let at = LookAt::Near { sample, key, head };
            return fx.start(Background::Look(Look { ticket, at }));
        }
        View::SampleImage(id) => return fx.store(StoreTask::View(Task::SampleImage(id), ticket)),
        View::Backbones => return fx.store(StoreTask::View(Task::Backbones, ticket)),
        View::Heads => return fx.store(StoreTask::View(Task::Heads, ticket)),
        View::Head(version) => return fx.store(StoreTask::View(Task::Head(version), ticket)),
        View::Statistics => return export(cx, ticket, ExportedFile::Statistics, fx),
        View::HeadFile { version, format } => match version.or(cx.active) {
            Some(version) => return export(cx, ticket, ExportedFile::Head(version, format), fx),
            None => {
                let message = "there is no head yet: label samples, then train";
                Err(Error::new(Code::NotFound, message))
            }
        },
    };
    fx.answer(ticket, now.unwrap_or_else(|error| refusal(&error)));
}

fn export(cx: &Context, ticket: Ticket, what: ExportedFile, fx: &mut Effects) {
    let from = Arc::clone(&cx.backbone);
    fx.start(Background::Export(FileExport { ticket, what, from }));
}

/// The state, and what only people on the board need to know.
fn status(cx: &Context, at: &Components<'_>, fx: &Effects) -> Value {
    let mut status = json!(at.watch.state(cx, &at.parts));
    let counters = fx.counters();
    status["device"] = fx.topics().device().into();
    status["version"] = env!("CARGO_PKG_VERSION").into();
    status["camera"] = json!(at.watch.camera());
    status["key_id"] = cx.backbone.key.id().into();
    status["public_key"] = cx.backbone.key.public().base64().into();
    status["mqtt"] = counters.mqtt.map_or(Value::Null, |stats| {
        let session = &cx.settings.mqtt.session;
        json!({"connected": stats.connected, "host": session.host, "port": session.port,
            "dropped": stats.dropped, "refused": stats.refused})
    });
    status["frame"] = at.watch.newest_frame().map_or(Value::Null, |newest| {
        let age = cx.now.at.saturating_duration_since(newest.taken).as_millis();
        json!({"id": newest.frame, "age_ms": u64::try_from(age).unwrap_or(u64::MAX)})
    });
    status["frames"] = json!({"received": counters.received, "dropped": counters.dropped});
    status["capture"] = at.parts.labels.capture_json();
    status
}

/// The part of the frame that the network looks at.
fn region(cx: &Context, at: &Components<'_>) -> Value {
    let set = &cx.settings.backbone;
    let newest = at.watch.newest_frame();
    let shows = newest.and_then(|newest| newest.shown);
    let [_, _, w, h] = shows.unwrap_or([0.0, 0.0, 1.0, 1.0]);
    json!({
        "frame": newest.map(|newest| json!({"width": newest.size[0], "height": newest.size[1]})),
        "region": set.roi, "crop": set.crop, "shows": shows, "part": newest.map(|_| w * h),
        "changeable": false,
    })
}

/// What whoever begins to watch is told first, in the form of what follows.
fn beginning(cx: &Context, at: &Components<'_>) -> Answer {
    let state = json!(at.watch.state(cx, &at.parts));
    let label = Value::from(at.watch.label());
    let lines = [("state", state), ("label", label)];
    let text: String =
        lines.map(|(kind, data)| format!("{{\"type\":\"{kind}\",\"data\":{data}}}\n")).concat();
    Answer { status: 200, content_type: "application/x-ndjson", body: text.into() }
}

/// `/readyz`: 200 while frames come and are predicted, 503 with the reason otherwise.
fn readiness(cx: &Context) -> Answer {
    let camera = !cx.holds.contains(&Hold::CameraLost);
    let body = json!({"ready": camera, "camera": camera, "backbone": true, "head": cx.active});
    Answer::json_with(if camera { 200 } else { 503 }, &body)
}

/// For `graft offload status`.
fn offload(cx: &Context, at: &Components<'_>) -> Value {
    let job = cx.offered.or(cx.arrival).and_then(|job| at.jobs.get(&job.to_string()).cloned());
    let offload = &cx.settings.offload;
    json!({"offered": at.offload.offer_json(), "job": job, "host_keys": offload.host_keys.len(),
        "automatic": offload.automatic})
}
