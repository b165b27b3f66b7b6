//! Labels: the frames of the last half minute, the commands that make samples of them, captures, the samples as they are
//! stored, and their export and import.

pub mod burst;
pub mod dataset;
pub mod import;
mod ring;
pub mod tasks;
mod transfer;

use self::burst::{Bursts, Recording};
use self::dataset::{DatasetView, KeptFrame};
use self::ring::{Missing, Ring};
use self::tasks::{CaptureEnd, ChangeOrder, Changed, Done, Edit, FrameSample, Task};
use self::transfer::Transfers;
use super::context::{Asked, Context};
use super::effects::Effects;
use super::event::Note;
use super::frames::{Observation, SeenFrame};
use super::picture::Picture;
use super::store_error::{is_disk, store_error};
use super::store_thread::StoreTask;
use crate::config::Settings;
use graft_camera as camera;
use graft_control::{Hold, JobId, Readiness, Token};
use graft_store::{NewSample, StoreError};
use graft_wire::command::Chosen;
use graft_wire::messages::EventType;
use graft_wire::{Code, Error, Reply, command};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What labels are told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The camera opened, was lost, or ended.
    Camera(camera::Status),
    /// A frame was predicted.
    Observed(Box<Observation>),
    /// `cmd/label`.
    Label(Asked, command::Label),
    /// `cmd/capture`.
    Capture(Asked, command::Capture),
    /// `cmd/dataset`.
    Dataset(Asked, command::Dataset),
    /// The export or import of this job is to end.
    CancelTransfer(Token, JobId),
    /// Time passed.
    Tick,
    /// The daemon stops.
    Stop,
    /// Background work is done.
    Done(Done),
}

/// Frames and samples of one camera.
pub struct Labels {
    ring: Ring,
    bursts: Bursts,
    recording: Option<Recording>,
    last_class: Option<String>,
    dataset: DatasetView,
    /// The camera as it describes itself.
    camera: String,
    transfers: Transfers,
}

impl Labels {
    /// With nothing seen yet. `boot_id` is new at each start: no burst has the name of an earlier one.
    pub fn new(settings: &Settings, boot_id: &str, dataset: DatasetView) -> Self {
        let capture = &settings.capture;
        let most = (capture.ring_s * capture.ring_hz * 1.2).ceil() as usize + 1;
        Self {
            ring: Ring::new(Duration::from_secs_f64(capture.ring_s), most),
            bursts: Bursts::new(boot_id.to_owned(), Duration::from_secs_f64(capture.burst_gap_s)),
            recording: None,
            last_class: None,
            dataset,
            camera: String::new(),
            transfers: Transfers::default(),
        }
    }

    /// The stored samples as they were seen last.
    pub fn dataset(&self) -> &DatasetView {
        &self.dataset
    }

    /// Whether a capture runs.
    pub fn records(&self) -> bool {
        self.recording.is_some()
    }

    /// The running capture, as `graft status` shows it.
    pub fn capture_json(&self) -> Value {
        self.recording.as_ref().map_or(Value::Null, Recording::facts)
    }

    /// The newest crop, if it is fresh.
    pub fn newest_crop(&self, now: Instant) -> Option<Picture> {
        self.ring.find(now, None).ok().map(|seen| seen.picture.clone())
    }

    /// The frames that can still be labelled, oldest first.
    pub fn kept_frames(&self, now: Instant) -> Vec<KeptFrame> {
        self.ring.iter().map(|seen| KeptFrame::of(seen, now)).collect()
    }

    /// The crop of a frame that is kept.
    pub fn kept_crop(&self, frame: u64) -> Option<Picture> {
        self.ring.iter().find(|seen| seen.frame == frame).map(|seen| seen.picture.clone())
    }

    /// The one way in.
    pub fn handle(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        let recorded = self.records();
        self.take(cx, input, fx);
        if recorded != self.records() {
            fx.tell(Note::Labelling(!recorded));
        }
    }

    fn take(&mut self, cx: &Context, input: Input, fx: &mut Effects) {
        match input {
            Input::Camera(camera::Status::Open(description)) => self.camera = description,
            // Now, not when it is back: the first frame may be there by then.
            Input::Camera(camera::Status::Lost(_)) => self.ring.clear(),
            Input::Camera(camera::Status::Ended) => {}
            Input::Observed(observation) => self.observed(cx, observation.seen, fx),
            Input::Label(asked, label) => self.label_command(cx, asked, label, fx),
            Input::Capture(asked, capture) => self.capture_command(cx, asked, capture, fx),
            Input::Dataset(asked, dataset) => self.dataset_command(cx, asked, dataset, fx),
            Input::CancelTransfer(token, job) => {
                self.transfers.cancel();
                fx.finish(token, Ok(Reply::accepted(None, job.to_string())));
            }
            // A capture whose time is over ends, whether frames come or not.
            Input::Tick => {
                if let Some(recording) = self.recording.take_if(|recording| recording.over(cx.now.at)) {
                    self.end_recording(&recording, None, fx);
                }
            }
            Input::Stop => self.transfers.cancel(),
            Input::Done(done) => self.done(cx, done, fx),
        }
    }

    /// Offers a frame to the running capture, and keeps it for labels.
    fn observed(&mut self, cx: &Context, seen: SeenFrame, fx: &mut Effects) {
        let wanted = self.recording.as_mut().is_some_and(|r| r.wants(seen.taken, &seen.embedding));
        if let Some(recording) = self.recording.as_ref().filter(|_| wanted) {
            let (class, burst, by) = (&recording.class, &recording.burst, &recording.by);
            let sample = self.sample(&seen, class, burst, by);
            fx.store(StoreTask::Labels(Task::Keep(Box::new(sample), cx.now.wall_ms)));
            if let Some(recording) = self.recording.take_if(|recording| recording.full()) {
                self.end_recording(&recording, None, fx);
            }
        }
        self.ring.push(seen);
    }

    fn sample(&self, seen: &SeenFrame, class: &str, burst: &str, by: &str) -> FrameSample {
        let camera = &self.camera;
        let sample = NewSample {
            class: class.to_owned(),
            burst: burst.to_owned(),
            jpeg: Vec::new(),
            embedding: seen.embedding.to_vec(),
            backbone: seen.key.to_string(),
            frame: seen.frame,
            taken_ms: seen.wall_ms,
            source: seen.name.as_deref().map_or_else(|| camera.clone(), |name| format!("{camera} {name}")),
            by: by.to_owned(),
            roi: seen.shown,
        };
        FrameSample { sample, picture: seen.picture.clone() }
    }

    fn frame(&self, cx: &Context, frame: Option<u64>) -> Result<SeenFrame, Error> {
        match self.ring.find(cx.now.at, frame) {
            Ok(seen) => Ok(seen.clone()),
            Err(Missing::NoFreshFrame) => Err(Error::new(
                Code::Camera,
                "there is no frame of the last 2 seconds: the camera gives none; see `graft status`",
            )),
            Err(Missing::NotKept { oldest, newest }) => {
                let wanted = frame.unwrap_or_default();
                let message = format!(
                    "frame {wanted} is not kept: frames {oldest} to {newest} are, at most {} a second",
                    cx.settings.capture.ring_hz
                );
                Err(Error::new(Code::NotFound, message).with("oldest", oldest).with("newest", newest))
            }
        }
    }

    fn label_command(&mut self, cx: &Context, asked: Asked, label: command::Label, fx: &mut Effects) {
        let chosen = match label.chosen() {
            Ok(chosen) => chosen.unwrap_or(Chosen::Samples(Vec::new())),
            Err(error) => return fx.finish(asked.token, Err(error)),
        };
        let edit = match label {
            command::Label::Set { class, frame, burst } => {
                return self.label_frame(cx, asked, class.as_str(), frame, burst, fx);
            }
            command::Label::Relabel { class, .. } => Edit::Relabel(chosen, class.as_str().to_owned()),
            command::Label::Delete { .. } => Edit::Delete(chosen),
            command::Label::Undo => Edit::Undo,
        };
        change(cx, asked, Some(EventType::Labelled), edit, fx);
    }

    fn label_frame(
        &mut self,
        cx: &Context,
        asked: Asked,
        class: &str,
        frame: Option<u64>,
        burst: Option<String>,
        fx: &mut Effects,
    ) {
        let seen = match self.frame(cx, frame) {
            Ok(seen) => seen,
            Err(error) => return fx.finish(asked.token, Err(error)),
        };
        let burst = burst.unwrap_or_else(|| self.bursts.of(class, seen.taken));
        let frame = Box::new(self.sample(&seen, class, &burst, &asked.by.to_string()));
        let edit = Edit::Label { frame, earlier: seen.sample };
        change(cx, asked, Some(EventType::Labelled), edit, fx);
    }

    fn capture_command(&mut self, cx: &Context, asked: Asked, capture: command::Capture, fx: &mut Effects) {
        match capture {
            command::Capture::Start { class, hz, seconds, max, burst } => {
                if let Some(recording) = &self.recording {
                    let message = format!("a capture of {:?} is running; stop it first", recording.class);
                    return fx.finish(asked.token, Err(Error::new(Code::Busy, message)));
                }
                if let Err(error) = self.frame(cx, None) {
                    return fx.finish(asked.token, Err(error));
                }
                let burst = burst.unwrap_or_else(|| self.bursts.fresh());
                let class = class.as_str().to_owned();
                let set = &cx.settings.capture;
                let recording = Recording::new(
                    asked.token,
                    class.clone(),
                    burst.clone(),
                    asked.by.to_string(),
                    hz.unwrap_or(set.hz),
                    max.unwrap_or(if seconds.is_some() { u32::MAX } else { set.max }),
                    set.skip_above,
                );
                let until = seconds.map(|seconds| cx.now.at + Duration::from_secs_f64(seconds));
                self.recording = Some(recording.until(until));
                // The class is there before the first frame, and before the answer.
                change(cx, asked, None, Edit::Capture { class, burst }, fx);
            }
            command::Capture::Stop => match self.recording.take() {
                Some(recording) => self.end_recording(&recording, Some(asked.token), fx),
                None => {
                    let error = Error::new(Code::NotFound, "no capture is running");
                    fx.finish(asked.token, Err(error));
                }
            },
            command::Capture::Snap { class } => {
                match class.map(|c| c.as_str().to_owned()).or_else(|| self.last_class.clone()) {
                    Some(class) => self.label_frame(cx, asked, &class, None, None, fx),
                    None => {
                        let message = "name a class: there was no capture yet to take it from";
                        fx.finish(asked.token, Err(Error::bad_request("/class", message)));
                    }
                }
            }
        }
    }

    /// Tells how a capture went, once all that it kept is on disk.
    fn end_recording(&mut self, recording: &Recording, token: Option<Token>, fx: &mut Effects) {
        self.last_class = Some(recording.class.clone());
        fx.store(StoreTask::Labels(Task::EndCapture(CaptureEnd { facts: recording.facts(), token })));
    }

    fn dataset_command(&mut self, cx: &Context, asked: Asked, dataset: command::Dataset, fx: &mut Effects) {
        use command::Dataset;
        let token = asked.token;
        let edit = match dataset {
            Dataset::Export { path } => return self.transfers.export(cx, &asked, path, fx),
            Dataset::Import { path } => return self.transfers.import(cx, &asked, path, fx),
            Dataset::Clear => Edit::Clear,
            Dataset::AddClass { class } => Edit::AddClass(class.as_str().to_owned()),
            Dataset::RenameClass { class, to } => {
                Edit::RenameClass(class.as_str().to_owned(), to.as_str().to_owned())
            }
            Dataset::RemoveClass { class, dry_run } => {
                Edit::RemoveClass { class: class.as_str().to_owned(), dry_run }
            }
            Dataset::Seal => {
                self.bursts.seal();
                return fx.finish(token, Ok(Reply::ok(None)));
            }
            Dataset::Suspects { limit } => {
                return fx.store(StoreTask::Labels(Task::Suspects(token, limit as usize)));
            }
            Dataset::List { class, limit, offset } => {
                let class = class.map(|c| c.as_str().to_owned());
                let (limit, offset) = (limit as usize, offset as usize);
                return fx.store(StoreTask::Labels(Task::List { token, class, limit, offset }));
            }
        };
        change(cx, asked, None, edit, fx);
    }

    fn done(&mut self, cx: &Context, done: Done, fx: &mut Effects) {
        match done {
            Done::Changed(token, result) => match *result {
                Ok(changed) => self.changed(cx, token, changed, fx),
                Err(error) => {
                    // A capture that was refused does not run.
                    self.recording.take_if(|recording| recording.token == token);
                    disk_is(cx, !is_disk(&error), fx);
                    fx.finish(token, Err(store_error(&error)));
                }
            },
            Done::Kept(Ok((fresh, view))) => self.samples_changed(view, fresh, fx),
            Done::Kept(Err(error)) => {
                disk_is(cx, !is_disk(&error), fx);
                self.recording = None;
                let error = store_error(&error);
                fx.event(&cx.now, EventType::Error, |e| e.because(error));
            }
            Done::CaptureEnded(CaptureEnd { mut facts, token }) => {
                let readiness = Readiness { labelling: self.records(), ..cx.readiness.clone() };
                let waits = readiness.waits_for(&self.dataset.tallies(), Duration::ZERO);
                facts["waiting_for"] = waits.map(|waits| waits.to_string()).into();
                if let Value::Object(data) = facts.clone() {
                    fx.event(&cx.now, EventType::Captured, |mut e| {
                        e.data = data;
                        e
                    });
                }
                if let Some(token) = token {
                    fx.finish(token, Ok(Reply::with(None, facts)));
                }
            }
            Done::Listed(token, rows) => {
                let reply = rows.map(|rows| Reply::with(None, rows)).map_err(|e| store_error(&e));
                fx.finish(token, reply);
            }
            Done::Exported { job, dir, result } => {
                self.transfers.over();
                fx.tell(Note::Job(job, transfer::exported(&dir, result)));
            }
            Done::Imported { job, result, view } => {
                self.transfers.over();
                if let Some(view) = view {
                    let added = result.as_ref().as_ref().map_or(0, |done| done.added);
                    self.samples_changed(view, added, fx);
                }
                fx.tell(Note::Job(job, transfer::imported(*result)));
            }
            Done::Reembedded { made, aside, view } => {
                self.dataset.aside = aside;
                self.samples_changed(view, made, fx);
                if let Some(error) = dataset::set_aside(aside) {
                    fx.event(&cx.now, EventType::Error, |e| e.with("set_aside", aside).because(error));
                }
            }
        }
    }

    /// A command changed the samples; its reply is on disk with that.
    fn changed(&mut self, cx: &Context, token: Token, changed: Changed, fx: &mut Effects) {
        let Changed { reply, data, touched, event, view } = changed;
        disk_is(cx, true, fx);
        self.samples_changed(view, touched, fx);
        if let (Some(frame), Some(sample)) = (data["frame"].as_u64(), data["sample"].as_i64()) {
            self.ring.labelled(frame, sample);
        }
        if let (Some(kind), Value::Object(data)) = (event, data) {
            fx.event(&cx.now, kind, |mut e| {
                e.data = data;
                e
            });
        }
        fx.tell(Note::Answered(token, reply));
    }

    /// The samples are others now.
    fn samples_changed(&mut self, view: Result<DatasetView, StoreError>, touched: usize, fx: &mut Effects) {
        match view {
            Ok(view) => {
                fx.tell(Note::Samples { touched, classes: view.classes.clone() });
                self.dataset = DatasetView { aside: self.dataset.aside, ..view };
            }
            Err(error) => tracing::warn!(%error, "the samples could not be counted"),
        }
    }
}

/// Changes the stored samples in one transaction together with the reply, then answers.
fn change(cx: &Context, asked: Asked, event: Option<EventType>, edit: Edit, fx: &mut Effects) {
    let Asked { token, id, if_rev, .. } = asked;
    let (now_ms, readiness) = (cx.now.wall_ms, cx.readiness.clone());
    let order = ChangeOrder { token, id, if_rev, event, now_ms, readiness, edit };
    fx.store(StoreTask::Labels(Task::Change(Box::new(order))));
}

/// Tells whether the disk takes samples, where that has changed.
fn disk_is(cx: &Context, well: bool, fx: &mut Effects) {
    if well == cx.holds.contains(&Hold::DiskLow) {
        fx.changed();
        fx.tell(Note::Hold(Hold::DiskLow, !well));
    }
}

#[cfg(test)]
mod tests;
