//! Commands that change the stored samples. Effect and remembered reply are one transaction: what was
//! answered `ok` is on disk.

use super::Daemon;
use super::burst::Recording;
use super::ring::{Missing, Seen};
use graft_control::{ClassTally, Event, Hold, Token};
use graft_store::{Change, ClassCount, NewSample, Store, StoreError, Tx};
use graft_wire::messages::{DatasetState, EventType};
use graft_wire::{Code, Error, Reply, command};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The stored samples as the daemon last saw them.
#[derive(Clone, Debug, Default)]
pub struct DatasetView {
    /// Revision.
    pub rev: i64,
    /// Classes in their order.
    pub classes: Vec<ClassCount>,
    /// Bytes of the images.
    pub bytes: u64,
}

impl DatasetView {
    /// Reads it.
    pub fn read(store: &mut Store) -> Result<Self, StoreError> {
        let counts = store.counts()?;
        Ok(Self { rev: counts.rev, classes: store.classes()?, bytes: counts.image_bytes })
    }

    /// Live samples.
    pub fn samples(&self) -> usize {
        self.classes.iter().map(|c| c.samples).sum()
    }

    /// For the state machine.
    pub fn tallies(&self) -> Vec<ClassTally> {
        self.classes.iter().map(|c| ClassTally { samples: c.samples, bursts: c.bursts }).collect()
    }

    /// For the `state` message.
    pub fn to_state(&self) -> DatasetState {
        DatasetState {
            rev: self.rev,
            classes: self.classes.iter().map(|c| c.name.clone()).collect(),
            counts: self.classes.iter().map(|c| (c.name.clone(), c.samples as u64)).collect(),
            bursts: self.classes.iter().map(|c| (c.name.clone(), c.bursts as u64)).collect(),
            review: 0,
            bytes: self.bytes,
        }
    }
}

/// A store's failure as commands are told of it.
pub fn store_error(error: &StoreError) -> Error {
    let code = match error {
        StoreError::Full { .. } | StoreError::Io { .. } => Code::DiskFull,
        StoreError::Locked(_) => Code::Busy,
        StoreError::NotFound(_) => Code::NotFound,
        StoreError::Conflict(_) => Code::Conflict,
        StoreError::Invalid(_) => Code::BadRequest,
        StoreError::Corrupt(_) | StoreError::Newer { .. } => Code::Internal,
    };
    let mut answer = Error::new(code, error.to_string());
    answer.retryable = error.retryable();
    answer
}

/// What a change came to: the answer's data, and how many samples it touched.
type Changed = (Value, usize);

fn told(change: &Change) -> Changed {
    (json!({"rev": change.rev, "affected": change.affected, "text": change.text}), change.affected)
}

impl Daemon {
    /// Changes the stored samples in one transaction together with the reply, then answers.
    pub(super) fn change(
        &mut self,
        token: Token,
        if_rev: Option<i64>,
        event: Option<EventType>,
        work: impl FnOnce(&Tx<'_>, i64) -> Result<Changed, StoreError> + Send + 'static,
    ) {
        let id = self.pending.get(token).and_then(|w| w.id.clone());
        let now_ms = self.clock.wall_ms();
        self.store_then(
            move |store| {
                let (reply, data, touched) = store.transaction(|tx| {
                    if let Some(rev) = if_rev {
                        tx.expect_rev(rev)?;
                    }
                    let (data, touched) = work(tx, now_ms)?;
                    let reply = Reply::with(id.clone(), data.clone()).to_json();
                    if let Some(id) = &id {
                        tx.remember_reply(id, &reply)?;
                    }
                    Ok((reply, data, touched))
                })?;
                Ok((reply, data, touched, DatasetView::read(store)))
            },
            move |daemon, result| match result {
                Ok((reply, data, touched, view)) => {
                    daemon.disk_is(true);
                    daemon.samples_changed(view, touched);
                    if let (Some(frame), Some(sample)) = (data["frame"].as_u64(), data["sample"].as_i64()) {
                        daemon.ring.labelled(frame, sample);
                    }
                    if let (Some(kind), Value::Object(data)) = (event, data) {
                        daemon.event(kind, |mut e| {
                            e.data = data;
                            e
                        });
                    }
                    daemon.answer_known(token, &reply);
                }
                Err(error) => {
                    // A capture that was refused does not run.
                    daemon.recording.take_if(|recording| recording.token == token);
                    daemon.disk_is(!matches!(error, StoreError::Full { .. } | StoreError::Io { .. }));
                    daemon.finish(token, Err(store_error(&error)));
                }
            },
        );
    }

    /// The samples are others now.
    pub(super) fn samples_changed(&mut self, view: Result<DatasetView, StoreError>, touched: usize) {
        match view {
            Ok(view) => {
                self.dataset = view;
                self.state_changed = true;
                self.stand_in();
                self.control(Event::Samples { changed: touched, classes: self.dataset.tallies() });
            }
            Err(error) => tracing::warn!(%error, "the samples could not be counted"),
        }
    }

    fn disk_is(&mut self, well: bool) {
        if well != self.control.holds().contains(&Hold::DiskLow) {
            return;
        }
        self.state_changed = true;
        self.control(if well { Event::Released(Hold::DiskLow) } else { Event::Held(Hold::DiskLow) });
    }

    fn sample(&self, seen: &Seen, class: &str, burst: &str, by: &str) -> NewSample {
        let camera = self.camera.as_ref().map_or("", |c| c.description.as_str());
        NewSample {
            class: class.to_owned(),
            burst: burst.to_owned(),
            jpeg: seen.picture.jpeg().to_vec(),
            embedding: seen.embedding.to_vec(),
            backbone: seen.key.to_string(),
            frame: seen.frame,
            taken_ms: seen.wall_ms,
            source: seen.name.as_deref().map_or_else(|| camera.to_owned(), |name| format!("{camera} {name}")),
            by: by.to_owned(),
            roi: self.settings.backbone.roi,
        }
    }

    fn frame(&self, frame: Option<u64>) -> Result<Seen, Error> {
        match self.ring.find(Instant::now(), frame) {
            Ok(seen) => Ok(seen.clone()),
            Err(Missing::NoFreshFrame) => Err(Error::new(
                Code::Camera,
                "there is no frame of the last 2 seconds: the camera gives none; see `graft status`",
            )),
            Err(Missing::NotKept { oldest, newest }) => {
                let wanted = frame.unwrap_or_default();
                let message = format!(
                    "frame {wanted} is not kept: frames {oldest} to {newest} are, at most {} a second",
                    self.settings.capture.ring_hz
                );
                Err(Error::new(Code::NotFound, message).with("oldest", oldest).with("newest", newest))
            }
        }
    }

    fn asked_by(&self, token: Token) -> &'static str {
        self.pending.get(token).map_or("", |w| w.by)
    }

    pub(super) fn label_command(&mut self, token: Token, if_rev: Option<i64>, label: command::Label) {
        match label {
            command::Label::Set { class, frame, burst } => {
                self.label_frame(token, if_rev, class.as_str(), frame, burst)
            }
            command::Label::Relabel { sample, class } => {
                let class = class.as_str().to_owned();
                self.change(token, if_rev, Some(EventType::Labelled), move |tx, now_ms| {
                    tx.ensure_class(&class, now_ms)?;
                    tx.relabel(&[sample], &class, now_ms).map(|c| told(&c))
                });
            }
            command::Label::Delete { sample } => {
                self.change(token, if_rev, Some(EventType::Labelled), move |tx, now_ms| {
                    tx.delete(&[sample], now_ms).map(|c| told(&c))
                });
            }
            command::Label::Undo => {
                self.change(token, if_rev, Some(EventType::Labelled), |tx, now_ms| {
                    tx.undo(now_ms).map(|c| told(&c))
                });
            }
        }
    }

    fn label_frame(
        &mut self,
        token: Token,
        if_rev: Option<i64>,
        class: &str,
        frame: Option<u64>,
        burst: Option<String>,
    ) {
        let seen = match self.frame(frame) {
            Ok(seen) => seen,
            Err(error) => return self.finish(token, Err(error)),
        };
        let burst = burst.unwrap_or_else(|| self.bursts.of(class, seen.taken));
        let sample = self.sample(&seen, class, &burst, self.asked_by(token));
        let earlier = seen.sample;
        self.change(token, if_rev, Some(EventType::Labelled), move |tx, now_ms| {
            tx.ensure_class(&sample.class, now_ms)?;
            let (class, frame) = (sample.class.clone(), sample.frame);
            let told = |id: i64, rev: i64| json!({"sample": id, "class": class, "frame": frame, "burst": burst, "rev": rev});
            // A second label of one frame corrects the first: one picture never teaches two classes.
            if let Some(id) = earlier {
                match tx.relabel(&[id], &class, now_ms) {
                    Ok(change) => return Ok((told(id, change.rev), change.affected)),
                    Err(StoreError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let added = tx.add_samples(&[sample], now_ms)?;
            let id = added.ids.first().copied().unwrap_or_default();
            Ok((told(id, added.rev), added.fresh))
        });
    }

    pub(super) fn capture_command(&mut self, token: Token, if_rev: Option<i64>, capture: command::Capture) {
        match capture {
            command::Capture::Start { class, hz, seconds, max, burst } => {
                if let Some(recording) = &self.recording {
                    let message = format!("a capture of {:?} is running; stop it first", recording.class);
                    return self.finish(token, Err(Error::new(Code::Busy, message)));
                }
                if let Err(error) = self.frame(None) {
                    return self.finish(token, Err(error));
                }
                let burst = burst.unwrap_or_else(|| self.bursts.fresh());
                let class = class.as_str().to_owned();
                let by = self.asked_by(token).to_owned();
                let usual = &self.settings.capture;
                let most = max.unwrap_or(if seconds.is_some() { u32::MAX } else { usual.max });
                let (hz, skip) = (hz.unwrap_or(usual.hz), usual.skip_above);
                let until = seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
                let recording = Recording::new(token, class.clone(), burst.clone(), by, hz, most, skip);
                self.recording = Some(recording.until(until));
                // The class is there before the first frame, and before the answer.
                self.change(token, if_rev, None, move |tx, now_ms| {
                    tx.ensure_class(&class, now_ms)?;
                    Ok((json!({"class": class, "burst": burst}), 0))
                });
            }
            command::Capture::Stop => match self.recording.take() {
                Some(recording) => self.end_recording(recording, Some(token)),
                None => self.finish(token, Err(Error::new(Code::NotFound, "no capture is running"))),
            },
            command::Capture::Snap { class } => {
                match class.map(|c| c.as_str().to_owned()).or_else(|| self.last_class.clone()) {
                    Some(class) => self.label_frame(token, if_rev, &class, None, None),
                    None => {
                        let error = Error::bad_request(
                            "/class",
                            "name a class: there was no capture yet to take it from",
                        );
                        self.finish(token, Err(error));
                    }
                }
            }
        }
    }

    /// Offers a frame to the running capture.
    pub(super) fn record(&mut self, seen: &Seen) {
        let Some(recording) = &mut self.recording else { return };
        if !recording.wants(seen.taken, &seen.embedding) {
            return;
        }
        let (class, burst, by) = (recording.class.clone(), recording.burst.clone(), recording.by.clone());
        let sample = self.sample(seen, &class, &burst, &by);
        let now_ms = self.clock.wall_ms();
        self.store_then(
            move |store| {
                let added = store.transaction(|tx| {
                    tx.ensure_class(&sample.class, now_ms)?;
                    tx.add_samples(&[sample], now_ms)
                })?;
                Ok((added.fresh, DatasetView::read(store)))
            },
            |daemon, result| match result {
                Ok((fresh, view)) => daemon.samples_changed(view, fresh),
                Err(error) => {
                    daemon.disk_is(!matches!(error, StoreError::Full { .. } | StoreError::Io { .. }));
                    daemon.recording = None;
                    let error = store_error(&error);
                    daemon.event(EventType::Error, |e| e.because(error));
                }
            },
        );
        if self.recording.as_ref().is_some_and(Recording::full)
            && let Some(recording) = self.recording.take()
        {
            self.end_recording(recording, None);
        }
    }

    /// Ends a capture whose time is over, whether frames come or not.
    pub(super) fn recording_tick(&mut self) {
        let now = Instant::now();
        if let Some(recording) = self.recording.take_if(|recording| recording.over(now)) {
            self.end_recording(recording, None);
        }
    }

    /// Tells how a capture went, once all that it kept is on disk.
    fn end_recording(&mut self, recording: Recording, token: Option<Token>) {
        let (kept, skipped) = recording.counts();
        self.last_class = Some(recording.class.clone());
        let data =
            json!({"class": recording.class, "burst": recording.burst, "kept": kept, "skipped": skipped});
        self.store_then(
            |_| Ok(()),
            move |daemon, _| {
                if let Value::Object(facts) = data.clone() {
                    daemon.event(EventType::Captured, |mut e| {
                        e.data = facts;
                        e
                    });
                }
                if let Some(token) = token {
                    daemon.finish(token, Ok(Reply::with(None, data)));
                }
            },
        );
    }

    pub(super) fn dataset_command(&mut self, token: Token, if_rev: Option<i64>, dataset: command::Dataset) {
        use command::Dataset;
        match dataset {
            Dataset::Export { path } => self.export(token, path),
            Dataset::Import { path } => self.import(token, path),
            Dataset::Clear => self.change(token, if_rev, None, |tx, now| tx.clear(now).map(|c| told(&c))),
            Dataset::AddClass { class } => self.change(token, if_rev, None, move |tx, now| {
                tx.add_class(class.as_str(), now).map(|c| (told(&c).0, 0))
            }),
            Dataset::RenameClass { class, to } => self.change(token, if_rev, None, move |tx, now| {
                tx.rename_class(class.as_str(), to.as_str(), now).map(|c| told(&c))
            }),
            Dataset::RemoveClass { class, dry_run } => self.change(token, if_rev, None, move |tx, now| {
                let change = tx.remove_class(class.as_str(), dry_run, now)?;
                let (mut data, touched) = told(&change);
                data["dry_run"] = dry_run.into();
                Ok((data, if dry_run { 0 } else { touched }))
            }),
            Dataset::Seal => {
                self.bursts.seal();
                self.finish(token, Ok(Reply::ok(None)));
            }
            Dataset::Suspects { limit } => self.list_suspects(token, limit),
            Dataset::List { class, limit, offset } => {
                let class = class.map(|c| c.as_str().to_owned());
                self.store_then(
                    move |store| super::views::samples(store, class, limit as usize, offset as usize),
                    move |daemon, rows| {
                        let reply = rows.map(|rows| Reply::with(None, rows)).map_err(|e| store_error(&e));
                        daemon.finish(token, reply);
                    },
                );
            }
        }
    }
}
