//! Looks that take too long for the store's thread or need the backbone: what a picture shows, and which samples are like
//! another.

use super::tasks::{answer_json, refusal};
use crate::config::Sources;
use crate::daemon::access::Access;
use crate::daemon::adapt::draft::row_version;
use crate::daemon::event::{Done, Ticket};
use crate::daemon::frames::{ActiveHead, Shows};
use crate::daemon::labels::burst::cosine;
use crate::daemon::store_error::store_error;
use crate::daemon::store_thread::Question;
use bytes::Bytes;
use graft_base::child::Child;
use graft_camera::{self as camera, ImageError};
use graft_store::Labelled;
use graft_wire::messages::NoLabel;
use graft_wire::{Code, Error};
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of what the doctor says.
const MAX_DOCTOR: u64 = 1 << 20;
/// Time for it to end, once it has said all.
const DOCTOR_WAIT: Duration = Duration::from_secs(5);
/// Samples told of each class.
const NEAREST: usize = 6;

/// A look for somebody who waits.
#[derive(Clone, Debug)]
pub struct Look {
    /// Where the answer goes.
    pub ticket: Ticket,
    /// At what.
    pub at: LookAt,
}

/// At what.
#[derive(Clone, Debug)]
pub enum LookAt {
    /// What the head says of a picture file.
    Picture(Bytes),
    /// Everything that has to be well, as `graft doctor` sees it, for the daemon at this socket.
    Doctor(Sources, PathBuf),
    /// The samples nearest to this one.
    Near {
        /// The sample.
        sample: i64,
        /// Names its embeddings.
        key: Arc<str>,
        /// The head in use.
        head: Option<ActiveHead>,
    },
}

impl Look {
    /// Looks and answers.
    pub fn run(self, access: &Access) {
        let found = match self.at {
            LookAt::Picture(bytes) => picture(access, &bytes),
            LookAt::Doctor(sources, socket) => doctor(&sources, &socket),
            LookAt::Near { sample, key, head } => near(access, sample, key, head.as_ref()),
        };
        let answer = found.map_or_else(|error| refusal(&error), |found| answer_json(&found));
        access.inbox.done(Done::Answer(self.ticket, answer));
    }
}

fn stopping() -> Error {
    Error::internal("the daemon is stopping")
}

fn picture(access: &Access, bytes: &[u8]) -> Result<Value, Error> {
    let rgb = camera::decode_image(bytes).map_err(|error| {
        let code = match error {
            ImageError::TooLarge(_) => Code::TooLarge,
            _ => Code::BadRequest,
        };
        Error::new(code, error.to_string())
    })?;
    let embedded = access.embed(Box::new(rgb), Shows::Frame).ok_or_else(stopping)?;
    let embedded = embedded.map_err(|error| Error::internal(error.to_string()))?;
    let Some((active, said)) = embedded.said else {
        return Ok(json!({"label": null, "why": NoLabel::NoHead, "score": null, "unknown": null, "top": [],
            "head": 0}));
    };
    let label = active.class(said.class).filter(|_| !said.is_unknown());
    let unknown = active.head.reject.as_ref().map(|_| said.unknown);
    let mut answer = json!({"label": label, "score": said.confidence, "unknown": unknown,
        "top": active.likeliest(&said), "head": active.version});
    if label.is_none() {
        answer["why"] = json!(NoLabel::Unknown);
    }
    Ok(answer)
}

/// Asks a child of our own: what it looks at may hang.
fn doctor(sources: &Sources, socket: &Path) -> Result<Value, Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::internal(format!("graft doctor cannot be run: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(|e| failed(&e))?);
    command.args(sources.file.iter().flat_map(|file| ["--config".as_ref(), file.as_os_str()]));
    command.args(sources.set.iter().flat_map(|set| ["--set", set.as_str()]));
    command.args(["--json", "--socket"]).arg(socket).arg("doctor").env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Child::start(&mut command).map_err(|e| failed(&e))?;
    let mut said = Vec::new();
    let read = child.take_stdout().map(|stdout| stdout.take(MAX_DOCTOR).read_to_end(&mut said));
    read.transpose().map_err(|e| failed(&e))?;
    let ended = child.wait(DOCTOR_WAIT).map_err(|e| failed(&e))?;
    if ended.is_none() {
        return Err(Error::new(Code::Timeout, "graft doctor does not come to an end"));
    }
    serde_json::from_slice(&said).map_err(|e| failed(&e))
}

fn near(access: &Access, sample: i64, key: Arc<str>, head: Option<&ActiveHead>) -> Result<Value, Error> {
    let labelled = access.store.ask(|to| Question::Snapshot(key, to)).ok_or_else(stopping)?;
    let labelled = *labelled.map_err(|e| store_error(&e))?;
    let Some(row) = labelled.ids.iter().position(|id| *id == sample) else {
        let message = format!("sample {sample} is not there, or has no embedding of the backbone in use yet");
        return Err(Error::new(Code::NotFound, message));
    };
    let own = labelled.snapshot.labels[row];
    let said = said(access, &labelled, row, head)?;
    let of = said.filter(|said| *said != own).map(|said| {
        let class = labelled.classes.get(said as usize);
        json!({"class": class, "samples": nearest(&labelled, row, said)})
    });
    Ok(json!({"class": labelled.classes.get(own as usize), "own": nearest(&labelled, row, own), "said": of}))
}

/// The class that a head says which had not seen the sample's burst; of a newer sample, what the head in use says.
fn said(
    access: &Access,
    labelled: &Labelled,
    row: usize,
    head: Option<&ActiveHead>,
) -> Result<Option<u32>, Error> {
    let Some(head) = head else { return Ok(None) };
    let version = row_version(head.version);
    let held_out = access.store.ask(|to| Question::HeldOut(version, to)).ok_or_else(stopping)?;
    let held_out = held_out.map_err(|e| store_error(&e))?.into_iter();
    let named = held_out.filter(|(id, _)| *id == labelled.ids[row]).map(|(_, class)| class).next();
    let named = named.or_else(|| {
        let embedding: Vec<f32> = labelled.snapshot.row(row).iter().map(|v| v.to_f32()).collect();
        head.class(head.predict(&embedding).class).map(str::to_owned)
    });
    Ok(named.and_then(|name| labelled.classes.iter().position(|class| *class == name)).map(|at| at as u32))
}

/// The samples of a class that are most like this one, of other bursts: those of its own burst are alike anyway.
fn nearest(labelled: &Labelled, row: usize, class: u32) -> Vec<Value> {
    let set = &labelled.snapshot;
    let this: Vec<f32> = set.row(row).iter().map(|v| v.to_f32()).collect();
    let others = (0..set.len()).filter(|at| set.labels[*at] == class && set.bursts[*at] != set.bursts[row]);
    let mut other = Vec::with_capacity(this.len());
    let mut alike = |at| {
        other.clear();
        other.extend(set.row(at).iter().map(|v| v.to_f32()));
        cosine(&this, &other)
    };
    let mut found: Vec<(f32, i64)> = others.map(|at| (alike(at), labelled.ids[at])).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.truncate(NEAREST);
    found.into_iter().map(|(similarity, id)| json!({"id": id, "similarity": similarity})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use graft_learn::Snapshot;

    #[test]
    fn the_nearest_samples_are_of_the_class_and_of_other_bursts() {
        let mut snapshot = Snapshot::new(2, 2);
        for (embedding, label, burst) in [
            ([1.0, 0.0], 0, 1),
            ([1.0, 0.1], 0, 1),
            ([0.5, 0.5], 0, 2),
            ([2.0, 0.2], 0, 3),
            ([1.0, 0.0], 1, 4),
            ([0.0, 0.0], 0, 5),
        ] {
            snapshot.push(&embedding, label, burst).unwrap();
        }
        let labelled = Labelled {
            snapshot,
            ids: (10..16).collect(),
            classes: vec!["a".into(), "b".into()],
            class_ids: vec![1, 2],
            missing: 0,
            rev: 1,
            digest: String::new(),
        };
        let ids = |class| {
            let found = nearest(&labelled, 0, class);
            found.iter().map(|one| one["id"].as_i64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((ids(0), ids(1)), (vec![13, 12, 15], vec![14]));
    }
}
