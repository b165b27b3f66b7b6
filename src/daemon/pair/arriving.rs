//! The long parts of a backbone's arrival, on a niced thread: its files are fetched, looked at in a child process and
//! loaded, and every sample is embedded.

use super::configured::Configured;
use super::files::{self, Files};
use super::reembed::{Embeddings, embed_stale};
use super::tasks::{Done, Ready, Source, Stop};
use crate::config::Settings;
use crate::daemon::access::Access;
use crate::daemon::adapt::trainer::nice;
use crate::daemon::cancel::Cancel;
use crate::daemon::event;
use crate::daemon::frames::{LoadedNetwork, NotEmbedded};
use crate::daemon::offload::dataset;
use crate::daemon::provenance::Provenance;
use graft_backbone::admission::{self, Admission, Refusal};
use graft_backbone::fetch::{self, FetchError};
use graft_backbone::{Backbone, Card, Crop};
use graft_base::whole_file;
use graft_control::JobId;
use graft_control::backoff::Backoff;
use graft_wire::{BackboneManifest, Code, Error, Key};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A host that cannot be reached is tried so often.
const TRIES: u32 = 6;
/// Bounds of the waits between the tries.
const WAITS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(32)];

/// A backbone that arrives.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// The job that it is judged under.
    pub job: JobId,
    /// Its id in the store.
    pub row: i64,
    /// What it is.
    pub manifest: Box<BackboneManifest>,
    /// Where its files are.
    pub source: Source,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The device's key.
    pub key: Arc<Key>,
    /// How pictures are fed to the backbone in use.
    pub present: Card,
    /// Ends it.
    pub cancel: Cancel,
}

impl Arriving {
    /// Works, and tells the loop how it ended.
    pub fn run(self, access: &Access) {
        nice(self.settings.learn.nice);
        let row = self.row;
        let done = match (Work { of: self, access }).ready() {
            Ok(ready) => Done::Arrived(row, Box::new(ready)),
            Err(stop) => Done::Stopped(row, stop),
        };
        access.inbox.done(event::Done::Pair(done));
    }
}

/// The work on one arrival.
struct Work<'a> {
    of: Arriving,
    access: &'a Access,
}

impl Work<'_> {
    fn go_on(&self) -> Result<(), Stop> {
        if self.of.cancel.asked() {
            return Err(Stop::Broke(Error::new(Code::Canceled, "cancelled; the active pair stays")));
        }
        Ok(())
    }

    fn progress(&self, step: &'static str, done: usize, total: usize) {
        self.access.inbox.progress(self.of.job, step, done, total);
    }

    fn ready(&self) -> Result<Ready, Stop> {
        let Arriving { settings, manifest, row, .. } = &self.of;
        let here = Files::of_manifest(&settings.store.dir, manifest);
        self.fetch(&here)?;
        self.access.inbox.done(event::Done::Pair(Done::Fetched(*row)));
        self.progress("admit", 0, 0);
        let admission = self.admit(&here)?;
        self.go_on()?;
        let ours = |why: String| Stop::Broke(Error::internal(why));
        let refused = |e: graft_backbone::BackboneError| Refusal::new(e.reason(), e.to_string());
        let card = here.card().map_err(|e| Refusal::new("bad_card", e))?;
        let card = settings.backbone.as_set(card);
        let proof = admission.inspection.proof.as_deref();
        let mut backbone = Backbone::load_again(&here.onnx, &card, proof).map_err(refused)?;
        let provenance =
            Provenance::of(&backbone, settings, &self.of.key, Some(here.onnx.clone()), Some(*row));
        let configured = Configured::read(settings).map_err(ours)?.digest;
        self.embed(&mut backbone, &provenance.embeddings)?;
        let taught = match self.of.source.own {
            true => dataset::taught(settings, self.of.job).map_err(ours)?,
            false => HashSet::new(),
        };
        let network = LoadedNetwork::new(backbone, Arc::clone(&provenance.embeddings));
        let provenance = Arc::new(provenance);
        Ok(Ready { admission, provenance, network, configured, taught: Arc::new(taught) })
    }

    fn fetch(&self, here: &Files) -> Result<(), Stop> {
        let broke = |e: &dyn std::fmt::Display| {
            Stop::Broke(Error::new(Code::DiskFull, format!("the backbone cannot be stored: {e}")))
        };
        std::fs::create_dir_all(files::folder(&self.of.settings.store.dir)).map_err(|e| broke(&e))?;
        whole_file::write(&here.result.manifest, self.of.manifest.to_json().as_bytes(), 0o600)
            .map_err(|e| broke(&e))?;
        let (mut before, total) = (0, self.of.manifest.files.bytes());
        for (name, blob, path) in here.wanted(&self.of.manifest) {
            let url = format!("{}/v1/blobs/{}", self.of.source.url.trim_end_matches('/'), blob.hex());
            let wanted = fetch::Wanted {
                name,
                sha256: blob.hex(),
                bytes: blob.size,
                urls: &[url],
                token: Some(&self.of.source.token),
                ca_file: self.of.settings.offload.ca_file.as_deref(),
            };
            let mut tries = 0;
            let mut backoff = Backoff::new(WAITS[0], WAITS[1]);
            loop {
                self.go_on()?;
                let mut told = 0;
                let mut progress = |done: u64, _| {
                    if done >= told + (1 << 20) {
                        told = done;
                        self.progress("fetch", (before + done) as usize, total as usize);
                    }
                };
                match fetch::fetch_file(&wanted, path, &mut progress) {
                    Ok(()) => break,
                    Err(error @ FetchError::WrongDigest { .. }) => {
                        return Err(Refusal::new("digest_mismatch", error.to_string()).into());
                    }
                    Err(error @ FetchError::File { .. }) => return Err(broke(&error)),
                    Err(error) => {
                        tries += 1;
                        if tries >= TRIES {
                            return Err(Stop::Unreachable(error.to_string()));
                        }
                        std::thread::sleep(backoff.wait(fastrand::f64()));
                    }
                }
            }
            before += blob.size;
        }
        Ok(())
    }

    /// What the child process found, and whether it is the backbone that the manifest describes.
    fn admit(&self, here: &Files) -> Result<Admission, Refusal> {
        let question = admission::Question {
            card: Some(&here.card),
            result: Some(&here.result),
            ..admission::Question::of(&here.onnx)
        };
        let admission = admission::ask(Path::new(admission::PROGRAM), &question)?;
        let found = &admission.inspection;
        let (width, tensor) = (self.of.manifest.width as usize, &self.of.manifest.tensor);
        if found.width != width || found.identity.tensor != *tensor {
            let (seen, cut) = (found.width, &found.identity.tensor);
            let message =
                format!("it is cut at {cut} with {seen} numbers, its manifest says {tensor} with {width}");
            return Err(Refusal::new("wrong_interface", message));
        }
        // Crop and region are this board's, whatever the card says.
        let card = here.card().map_err(|e| Refusal::new("bad_card", e))?;
        let card = self.of.settings.backbone.as_set(card);
        let fed = |card: &Card| {
            let resize = if card.crop == Crop::Center { card.resize } else { card.size };
            (card.size, resize, card.mean, card.std)
        };
        if fed(&card) != fed(&self.of.present) {
            return Err(Refusal::new(
                "wrong_preprocess",
                "its card prepares pictures otherwise than the present backbone's does",
            ));
        }
        Ok(admission)
    }

    fn embed(&self, backbone: &mut Backbone, key: &Arc<str>) -> Result<(), Stop> {
        // Samples that come meanwhile have their turn in the next pass.
        loop {
            let roi = self.of.settings.backbone.roi;
            let mut embed = |picture: Box<graft_base::frame::Rgb>, shown: Option<[f64; 4]>| {
                let embedded = backbone.embed_shown(&picture, shown, roi);
                let embedded = embedded.map_err(|e| NotEmbedded::Failed(e.to_string()));
                Some(embedded.and_then(|embedding| embedding.ok_or(NotEmbedded::OtherPart)))
            };
            let mut progress = |done: usize, total: usize| {
                if done.is_multiple_of(16) {
                    self.progress("embed", done, total);
                }
                if self.go_on().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            match embed_stale(&self.access.store, key, &mut embed, &mut progress) {
                Some(Embeddings { made: 0, .. }) => return Ok(()),
                Some(_) => {}
                None => {
                    self.go_on()?;
                    return Err(Stop::Broke(Error::internal("the samples could not be embedded anew")));
                }
            }
        }
    }
}
