//! The sums over this board's samples as a file, for `graft host merge`. Only made when somebody on the board asks.

use super::Daemon;
use super::provenance::Provenance;
use super::samples::store_error;
use crate::web::Answer;
use bytes::Bytes;
use graft_learn::Statistics;
use graft_store::Labelled;
use graft_wire::{Code, Error, StatisticsFile, StatisticsMeta};
use tokio::sync::oneshot;

impl Daemon {
    /// Answers with the statistics of every sample that has an embedding of the backbone in use.
    pub(super) fn statistics_file(&self, reply: oneshot::Sender<Answer>) {
        let from = self.provenance.clone();
        let embeddings = from.embeddings.clone();
        self.store_then(
            move |store| store.snapshot(&embeddings),
            move |_, labelled| {
                // Sums over thousands of samples take long enough to make them elsewhere.
                tokio::task::spawn_blocking(move || {
                    let made =
                        labelled.map_err(|e| store_error(&e)).and_then(|labelled| sums(labelled, &from));
                    let _ = reply.send(match made {
                        Ok(file) => Answer::bytes("application/octet-stream", Bytes::from(file)),
                        Err(error) => super::views::refusal(&error),
                    });
                });
            },
        );
    }
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
