//! Files that take long enough to make them on a thread of their own: heads in other formats, and the sums over this
//! board's samples for `graft host merge`.

use super::tasks::refusal;
use crate::daemon::access::Access;
use crate::daemon::adapt::draft::row_version;
use crate::daemon::event::{Done, Ticket};
use crate::daemon::provenance::Provenance;
use crate::daemon::store_error::store_error;
use crate::daemon::store_thread::Question;
use crate::web::Answer;
use graft_backbone::export;
use graft_control::Version;
use graft_learn::Statistics;
use graft_store::Labelled;
use graft_wire::{Code, Error, HeadFile, StatisticsFile, StatisticsMeta};
use std::sync::Arc;

/// A file for somebody who waits.
#[derive(Clone, Debug)]
pub struct FileExport {
    /// Where the answer goes.
    pub ticket: Ticket,
    /// Which file.
    pub what: ExportedFile,
    /// The backbone in use.
    pub from: Arc<Provenance>,
}

/// Which file.
#[derive(Clone, Debug)]
pub enum ExportedFile {
    /// A head in this format.
    Head(Version, String),
    /// The statistics of every sample that has an embedding of the backbone in use.
    Statistics,
}

impl FileExport {
    /// Makes it and answers.
    pub fn run(self, access: &Access) {
        let answer = match self.make(access) {
            Ok(file) => Answer::bytes("application/octet-stream", file),
            Err(error) => refusal(&error),
        };
        access.inbox.done(Done::Answer(self.ticket, answer));
    }

    fn make(&self, access: &Access) -> Result<Vec<u8>, Error> {
        let stopping = || Error::internal("the daemon is stopping");
        match &self.what {
            ExportedFile::Head(version, format) => {
                let version = row_version(*version);
                let file = access.store.ask(|to| Question::HeadFile(version, to)).ok_or_else(stopping)?;
                convert(file.map_err(|e| store_error(&e))?, format, &self.from)
            }
            ExportedFile::Statistics => {
                let embeddings = Arc::clone(&self.from.embeddings);
                let labelled =
                    access.store.ask(|to| Question::Snapshot(embeddings, to)).ok_or_else(stopping)?;
                sums(*labelled.map_err(|e| store_error(&e))?, &self.from)
            }
        }
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
            export::merged_onnx(&bytes, &from.card, from.roi, &parts)
        }
        other => {
            let message =
                format!("there is no format {other:?}; there are safetensors, onnx and merged-onnx");
            return Err(Error::bad_request("/format", message));
        }
    };
    made.map_err(|e| Error::internal(e.to_string()))
}

fn sums(labelled: Labelled, from: &Provenance) -> Result<Vec<u8>, Error> {
    if labelled.missing > 0 {
        let message = format!("{} samples are still being embedded; ask again in a moment", labelled.missing);
        return Err(Error::new(Code::Busy, message));
    }
    if labelled.ids.is_empty() {
        return Err(Error::new(Code::NotEnoughData, "there are no samples to make statistics of"));
    }
    let internal = |e: &dyn std::fmt::Display| Error::internal(e.to_string());
    let statistics = Statistics::of(&labelled.snapshot).map_err(|e| internal(&e))?;
    let meta = StatisticsMeta {
        device: from.device.clone(),
        rev: labelled.rev,
        classes: labelled.classes,
        backbone: from.backbone.clone(),
        tensor: from.tensor.clone(),
        preprocess: from.preprocess.clone(),
    };
    StatisticsFile { statistics, meta }.encode().map_err(|e| internal(&e))
}
