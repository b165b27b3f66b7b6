//! The long parts of a backbone's way, on a niced thread: fetched, looked at in a child process, loaded, samples embedded.

use super::{Source, Stop, TRIES};
use crate::config::Settings;
use crate::daemon::files::{self, Files};
use crate::daemon::inference::Eye;
use crate::daemon::offload::dataset;
use crate::daemon::pair::Configured;
use crate::daemon::provenance::{self, Provenance};
use crate::daemon::reembed::embed_stale;
use crate::daemon::trainer::{Cancel, nice};
use crate::daemon::worker::Asker;
use crate::daemon::{Daemon, Input};
use graft_backbone::Backbone;
use graft_backbone::admission::{self, Admission, Refusal};
use graft_backbone::fetch::{self, FetchError};
use graft_base::whole_file;
use graft_control::JobId;
use graft_store::Store;
use graft_wire::{BackboneManifest, Code, Error, Key};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// A backbone that may be judged.
pub struct Ready {
    /// The child's word.
    pub admission: Admission,
    /// What it is here.
    pub provenance: Provenance,
    /// The network.
    pub eye: Box<Eye>,
    /// Digest of the configured backbone.
    pub configured: String,
    /// Bursts (by number) that it was trained on.
    pub taught: HashSet<u64>,
}

/// The long way, on its own thread.
pub struct Way {
    pub job: JobId,
    pub row: i64,
    pub manifest: BackboneManifest,
    pub source: Source,
    pub settings: Settings,
    pub key: Arc<Key>,
    pub preprocess: String,
    pub store: Asker<Store>,
    pub inbox: UnboundedSender<Input>,
    pub cancel: Cancel,
}

impl Way {
    /// Walks it, and tells the loop how it ended.
    pub fn run(self) {
        nice(self.settings.learn.nice);
        let row = self.row;
        match self.walk() {
            Ok(ready) => self.then(move |daemon| daemon.arrived(row, ready)),
            Err(stop) => self.then(move |daemon| daemon.arrival_stops(row, stop)),
        }
    }

    fn then(&self, then: impl FnOnce(&mut Daemon) + Send + 'static) {
        let _ = self.inbox.send(Input::Continue(Box::new(then)));
    }

    fn go_on(&self) -> Result<(), Stop> {
        if self.cancel.0.load(Ordering::Relaxed) {
            return Err(Stop::Broke(Error::new(Code::Canceled, "cancelled; the active pair stays")));
        }
        Ok(())
    }

    fn progress(&self, step: &'static str, done: usize, total: usize) {
        let job = self.job;
        self.then(move |daemon| daemon.job_progress(job, step, done, total));
    }

    fn walk(&self) -> Result<Box<Ready>, Stop> {
        let here = Files::of_manifest(&self.settings.store.dir, &self.manifest);
        self.fetch(&here)?;
        let row = self.row;
        self.then(move |daemon| daemon.fetched(row));
        self.progress("admit", 0, 0);
        let admission = self.admit(&here)?;
        self.go_on()?;
        let ours = |why: String| Stop::Broke(Error::internal(why));
        let refused = |e: graft_backbone::BackboneError| Refusal::new(e.reason(), e.to_string());
        let card = here.card().map_err(|e| Refusal::new("bad_card", e))?;
        let mut backbone = Backbone::load_again(&here.onnx, &card, admission.inspection.proof.as_deref())
            .map_err(refused)?;
        let provenance =
            Provenance::of(&backbone, &self.settings, &self.key, Some(here.onnx.clone()), Some(self.row));
        let configured = Configured::read(&self.settings).map_err(ours)?.digest;
        self.embed(&mut backbone, &provenance.embeddings)?;
        let taught =
            if self.source.own { dataset::taught(&self.settings, self.job) } else { Ok(HashSet::new()) };
        let eye = Box::new(Eye { backbone, key: Arc::clone(&provenance.embeddings) });
        let taught = taught.map_err(ours)?;
        Ok(Box::new(Ready { admission, provenance, eye, configured, taught }))
    }

    fn fetch(&self, here: &Files) -> Result<(), Stop> {
        let broke = |e: &dyn std::fmt::Display| {
            Stop::Broke(Error::new(Code::DiskFull, format!("the backbone cannot be stored: {e}")))
        };
        std::fs::create_dir_all(files::folder(&self.settings.store.dir)).map_err(|e| broke(&e))?;
        whole_file::write(&here.result.manifest, self.manifest.to_json().as_bytes(), 0o600)
            .map_err(|e| broke(&e))?;
        let (mut before, total) = (0, self.manifest.files.bytes());
        for (name, blob, path) in here.wanted(&self.manifest) {
            let url = format!("{}/v1/blobs/{}", self.source.url.trim_end_matches('/'), blob.hex());
            let wanted = fetch::Wanted {
                name,
                sha256: blob.hex(),
                bytes: blob.size,
                urls: &[url],
                token: Some(&self.source.token),
                ca_file: self.settings.offload.ca_file.as_deref(),
            };
            let mut tries = 0;
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
                        std::thread::sleep(Duration::from_secs(1 << tries));
                    }
                }
            }
            before += blob.size;
        }
        Ok(())
    }

    /// The child's word, and whether it is the backbone that the manifest speaks of.
    fn admit(&self, here: &Files) -> Result<Admission, Refusal> {
        let question = admission::Question {
            card: Some(&here.card),
            result: Some(&here.result),
            ..admission::Question::of(&here.onnx)
        };
        let admission = admission::ask(Path::new(admission::PROGRAM), &question)?;
        let found = &admission.inspection;
        let (width, tensor) = (self.manifest.width as usize, &self.manifest.tensor);
        if found.width != width || found.identity.tensor != *tensor {
            let (seen, cut) = (found.width, &found.identity.tensor);
            let message =
                format!("it is cut at {cut} with {seen} numbers, its manifest says {tensor} with {width}");
            return Err(Refusal::new("wrong_interface", message));
        }
        let preprocess = provenance::preprocess(&found.identity.preprocess, self.settings.backbone.roi);
        if preprocess != self.preprocess {
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
            let mut embed = |picture: Box<graft_base::frame::Rgb>| {
                Some(backbone.embed_crop(&picture).map_err(|e| e.to_string()))
            };
            let mut progress = |done: usize, total: usize| {
                if done.is_multiple_of(16) {
                    self.progress("embed", done, total);
                }
                if self.go_on().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            match embed_stale(&self.store, key, &mut embed, &mut progress) {
                Some(0) => return Ok(()),
                Some(_) => {}
                None => {
                    self.go_on()?;
                    return Err(Stop::Broke(Error::internal("the samples could not be embedded anew")));
                }
            }
        }
    }
}
