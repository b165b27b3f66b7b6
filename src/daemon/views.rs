//! What is read over HTTP. Nothing here changes anything.

use super::Daemon;
use super::heads::row_digest;
use super::provenance::Provenance;
use super::samples::store_error;
use crate::web::{Answer, View};
use bytes::Bytes;
use graft_backbone::export;
use graft_store::{Filter, HeadRow, SampleRow, Store, StoreError};
use graft_wire::{Code, Error, HeadFile, timestamp};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::sync::oneshot;

/// Heads listed at most.
const HEADS: usize = 100;

fn answer_json(value: &Value) -> Answer {
    Answer { status: 200, content_type: "application/json", body: Bytes::from(value.to_string()) }
}

pub(super) fn refusal(error: &Error) -> Answer {
    Answer::error(error)
}

/// A sample as it is listed.
pub fn sample_json(row: &SampleRow) -> Value {
    json!({"id": row.id, "class": row.class, "burst": row.burst, "sha256": row.sha256, "bytes": row.bytes,
        "frame": row.frame, "taken": timestamp::rfc3339(row.taken_ms), "source": row.source, "by": row.by})
}

/// Samples, newest first.
pub fn samples(
    store: &mut Store,
    class: Option<String>,
    limit: usize,
    offset: usize,
) -> Result<Value, StoreError> {
    let filter = Filter { class, newest_first: true, ..Filter::default() };
    let rows = store.samples(&filter, limit, offset)?;
    Ok(json!({"samples": rows.iter().map(sample_json).collect::<Vec<_>>(), "rev": store.rev()?}))
}

fn head(row: &HeadRow, active: Option<i64>, whole: bool) -> Value {
    let metrics: Value = serde_json::from_str(&row.metrics).unwrap_or_default();
    let mut value = json!({
        "version": row.version,
        "active": active == Some(row.version),
        "digest": row_digest(row),
        "bytes": row.bytes,
        "method": row.method,
        "classes": row.classes,
        "accuracy": metrics.get("accuracy"),
        "gate": row.gate,
        "promoted": row.promoted_ms.map(timestamp::rfc3339),
        "published": row.published_ms.map(timestamp::rfc3339),
        "created": timestamp::rfc3339(row.created_ms),
        "restored_from": row.restored_from,
        "has_file": row.has_file,
    });
    if whole {
        value["metrics"] = metrics;
        value["manifest"] = serde_json::from_str(&row.manifest).unwrap_or_default();
        value["backbone"] = row.backbone.clone().into();
        value["snapshot"] = row.snapshot.clone().into();
    }
    value
}

fn heads(store: &mut Store) -> Result<Value, StoreError> {
    let serving = store.serving()?;
    let rows: Vec<Value> = store.heads(HEADS)?.iter().map(|row| head(row, serving.active, false)).collect();
    Ok(
        json!({"heads": rows, "active": serving.active, "previous": serving.previous, "pinned": serving.pinned}),
    )
}

impl Daemon {
    pub(super) fn view(&mut self, view: View, reply: oneshot::Sender<Answer>) {
        let now = match view {
            View::Status => Ok(answer_json(&self.status())),
            View::Dataset => Ok(answer_json(&json!(self.dataset.to_state()))),
            View::Config => Ok(answer_json(&self.settings.effective.with_origins())),
            View::Jobs => Ok(answer_json(&json!({"jobs": self.jobs.newest_first().collect::<Vec<_>>()}))),
            View::Job(id) => match self.jobs.get(&id) {
                Some(job) => Ok(answer_json(&json!(job))),
                None => Err(Error::not_found(format_args!("job {id}"))),
            },
            View::Frame => self.newest_crop(),
            View::Metrics => self.metrics(),
            View::Ready => Ok(self.readiness()),
            View::Samples { class, limit, offset } => {
                return self.read(reply, move |store| samples(store, class, limit, offset));
            }
            View::Backbones => return self.read(reply, super::backbones::list),
            View::Offload => Ok(answer_json(&self.offload_view())),
            View::Heads => return self.read(reply, heads),
            View::Head(version) => {
                return self.read(reply, move |store| {
                    let row = store.head(i64::try_from(version).unwrap_or(i64::MAX))?;
                    Ok(head(&row, store.serving()?.active, true))
                });
            }
            View::SampleImage(id) => {
                return self.store_then(
                    move |store| store.image(id),
                    move |_, image| {
                        let _ = reply.send(match image {
                            Ok(jpeg) => Answer { status: 200, content_type: "image/jpeg", body: jpeg.into() },
                            Err(error) => refusal(&store_error(&error)),
                        });
                    },
                );
            }
            View::Statistics => {
                self.statistics_file(reply);
                return;
            }
            View::HeadFile { version, format } => return self.head_file(version, &format, reply),
        };
        let _ = reply.send(now.unwrap_or_else(|error| refusal(&error)));
    }

    fn read(
        &self,
        reply: oneshot::Sender<Answer>,
        task: impl FnOnce(&mut Store) -> Result<Value, StoreError> + Send + 'static,
    ) {
        self.store_then(task, move |_, result| {
            let _ = reply.send(match result {
                Ok(value) => answer_json(&value),
                Err(error) => refusal(&store_error(&error)),
            });
        });
    }

    /// The state, and what only people on the board need to know.
    fn status(&self) -> Value {
        let mut status = json!(self.state());
        status["device"] = self.topics.device().into();
        status["version"] = env!("CARGO_PKG_VERSION").into();
        status["camera"] = json!(self.camera);
        status["key_id"] = self.provenance.key.id().into();
        status["public_key"] = self.provenance.key.public().base64().into();
        status["mqtt"] = self.mqtt.as_ref().map_or(Value::Null, |mqtt| {
            let stats = mqtt.stats();
            json!({"connected": stats.connected, "host": self.settings.mqtt.session.host,
                "port": self.settings.mqtt.session.port, "dropped": stats.dropped, "refused": stats.refused})
        });
        let frame = self.newest_frame;
        status["frame"] = frame.map_or(Value::Null, |(id, taken)| {
            json!({"id": id, "age_ms": u64::try_from(taken.elapsed().as_millis()).unwrap_or(u64::MAX)})
        });
        status["frames"] = json!({"received": self.slot.received(), "dropped": self.slot.drops()});
        status["capture"] = self.recording.as_ref().map_or(Value::Null, |recording| {
            let (kept, skipped) = recording.counts();
            json!({"class": recording.class, "burst": recording.burst, "kept": kept, "skipped": skipped})
        });
        status
    }

    fn newest_crop(&self) -> Result<Answer, Error> {
        match self.ring.find(Instant::now(), None) {
            Ok(seen) => Ok(Answer {
                status: 200,
                content_type: "image/jpeg",
                body: Bytes::copy_from_slice(seen.picture.jpeg()),
            }),
            Err(_) => {
                Err(Error::new(Code::Camera, "there is no frame of the last 2 seconds; see `graft status`"))
            }
        }
    }

    fn head_file(&mut self, version: Option<u64>, format: &str, reply: oneshot::Sender<Answer>) {
        let Some(version) = version.or(self.control.active()) else {
            let _ = reply.send(refusal(&Error::new(
                Code::NotFound,
                "there is no head yet: label samples, then train",
            )));
            return;
        };
        let format = format.to_owned();
        let from = self.provenance.clone();
        self.store_then(
            move |store| store.head_file(i64::try_from(version).unwrap_or(i64::MAX)),
            move |_, file| {
                // Writing an ONNX file of some megabytes takes long enough to do it elsewhere.
                tokio::task::spawn_blocking(move || {
                    let made =
                        file.map_err(|e| store_error(&e)).and_then(|file| convert(file, &format, &from));
                    let _ = reply.send(match made {
                        Ok(body) => Answer {
                            status: 200,
                            content_type: "application/octet-stream",
                            body: body.into(),
                        },
                        Err(error) => refusal(&error),
                    });
                });
            },
        );
    }
}

/// A stored head in the wanted format.
fn convert(file: Vec<u8>, format: &str, from: &Provenance) -> Result<Vec<u8>, Error> {
    if format == "safetensors" {
        return Ok(file);
    }
    let HeadFile { head, meta } = HeadFile::decode(&file).map_err(|e| Error::internal(e.to_string()))?;
    let parts = export::HeadParts {
        weight: &head.weight,
        bias: &head.bias,
        temperature: head.temperature,
        classes: &meta.classes,
    };
    let made = match format {
        "onnx" => export::head_onnx(&parts),
        "merged-onnx" => {
            let bytes = from.onnx().map_err(Error::internal)?;
            export::merged_onnx(&bytes, &from.card, &parts)
        }
        other => {
            let message =
                format!("there is no format {other:?}; there are safetensors, onnx and merged-onnx");
            return Err(Error::bad_request("/format", message));
        }
    };
    made.map_err(|e| Error::internal(e.to_string()))
}
