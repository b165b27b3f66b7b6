//! Each job is moved on by what it waits for: files, the engine, a look at its result, the board.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::book::{Job, Phase};
use super::desk::Desk;
use super::engine::{self, End, Said};
use super::run::Host;
use super::{folder, life, now_ms, verify};
use graft_wire::backbone_manifest::BackboneManifest;
use graft_wire::command::{Command, Offload, Outcome};
use graft_wire::offload::{Dataset, OfferState, hex_of};
use graft_wire::timestamp::parse_rfc3339;

/// A claim that got no answer is made again.
const CLAIM_EVERY: Duration = Duration::from_secs(20);
/// Signs of life, four in a lease.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// New figures are told at most so often.
const FIGURES_EVERY: Duration = Duration::from_secs(2);
/// Results and releases are said again until the board has cleared or changed its offer.
const REPEAT_EVERY: Duration = Duration::from_secs(30);
/// A job whose offer is not to be seen for so long after a connect is over.
pub(super) const UNSEEN: Duration = Duration::from_secs(180);
/// An engine that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(900);
/// The engine is started so often, if it breaks.
const TRIES: u32 = 3;

/// Work on a job beside the loop.
pub(super) enum Work {
    /// It is looked which files are missing.
    Checking,
    /// Its folder is laid out.
    Laying,
    /// The engine is at work.
    Training { _engine: engine::Running, line: engine::Line, heard: Instant, device: String },
    /// Its result is looked at.
    Verifying,
    /// The engine broke; it is started again then.
    Resting(Instant),
}

/// A result to be signed, or how its job is given back: what the check refuses would fail elsewhere too, what could not be
/// kept here need not.
type Verdict = Result<BackboneManifest, (Outcome, anyhow::Error)>;

/// What work beside the loop came to.
pub(super) enum Came {
    Files(Result<Option<usize>>),
    Folder(Result<()>),
    Verified(Box<Verdict>),
}

impl Host {
    /// Moves one job on.
    pub(super) fn step(&mut self, name: &str) {
        let Some(job) = self.desk.book().get(name).cloned() else { return };
        let Some(offer) = self.offers.get(name).cloned() else {
            if self.connected.is_some_and(|since| since.elapsed() > UNSEEN) {
                self.end(name, "its offer is gone");
            }
            return self.work_on(name, &job);
        };
        if parse_rfc3339(&offer.expires).is_some_and(|end| now_ms() > end) {
            return self.end(name, "its offer has expired");
        }
        if offer.dataset.digest != job.offer.dataset.digest {
            return self.end(name, "the board offers other samples under its name");
        }
        let ours = offer.state == OfferState::Claimed && offer.host.as_ref() == Some(&self.settings.id);
        if offer.state == OfferState::Claimed && !ours {
            return self.end(name, "another host has it");
        }
        if !ours {
            match &job.phase {
                Phase::Released { outcome: Outcome::Retry, .. } => {
                    self.avoid.insert(name.to_owned(), Instant::now());
                    return self.end(name, "it is offered again");
                }
                // The board may offer again what cannot be done; we know.
                Phase::Released { .. } => return,
                _ if self.due("claim", name, CLAIM_EVERY) => self.claim(&job),
                _ => {}
            }
            return self.work_on(name, &job);
        }
        match &job.phase {
            Phase::Returned { manifest } if self.due("result", name, REPEAT_EVERY) => {
                let (job, host) = (job.offer.job.clone(), self.settings.id.clone());
                let result = Offload::Result { job, host, manifest: manifest.clone() };
                self.send_named(name, Command::Offload(result));
            }
            Phase::Released { outcome, reason } if self.due("release", name, REPEAT_EVERY) => {
                let release = Offload::Release {
                    job: job.offer.job.clone(),
                    host: self.settings.id.clone(),
                    outcome: *outcome,
                    reason: Some(reason.clone()),
                };
                self.send_named(name, Command::Offload(release));
            }
            phase if phase.is_active() && self.due("beat", name, BEAT_EVERY) => self.beat(name),
            _ => {}
        }
        self.work_on(name, &job);
    }

    /// Does what the phase of a job asks for, where nothing is under way.
    pub(super) fn work_on(&mut self, name: &str, job: &Job) {
        match self.work.get(name) {
            Some(Work::Resting(until)) if Instant::now() >= *until => {}
            Some(Work::Training { heard, .. }) if heard.elapsed() > SILENCE => {
                tracing::warn!(job = name, "the engine says nothing any more and is ended");
                self.work.remove(name);
                return self.broke(name, "the engine said nothing for a quarter of an hour".into());
            }
            Some(_) => return,
            None => {}
        }
        match job.phase {
            // Files that came while we were away are looked at once.
            Phase::Receiving if !self.said.contains_key(&("checked", name.to_owned())) => {
                self.check_files(name)
            }
            Phase::Training => self.lay_out(name, job.clone()),
            Phase::Verifying => self.verify(name, job.clone()),
            _ => {}
        }
    }

    /// Looks which files of a job are missing.
    pub(super) fn check_files(&mut self, name: &str) {
        let Some(job) = self.desk.book().get(name).cloned().filter(|job| job.phase == Phase::Receiving)
        else {
            return;
        };
        self.said.insert(("checked", name.to_owned()), Instant::now());
        self.work.insert(name.to_owned(), Work::Checking);
        let (desk, tx, name) = (Arc::clone(&self.desk), self.came_tx.clone(), name.to_owned());
        tokio::spawn(async move {
            let missing = desk.missing(&job).await.map(|missing| missing.map(|list| list.len()));
            let _ = tx.send((name, Came::Files(missing))).await;
        });
    }

    pub(super) fn lay_out(&mut self, name: &str, job: Job) {
        let Some(dataset) = self.desk.book().dataset(name) else {
            return self.release(name, Outcome::Retry, "the list of files is gone".into());
        };
        self.work.insert(name.to_owned(), Work::Laying);
        let (path, engine) = (self.settings.job_folder(name).join("work"), self.settings.engine.clone());
        let (desk, tx, name) = (Arc::clone(&self.desk), self.came_tx.clone(), name.to_owned());
        tokio::spawn(async move {
            let laid = folder::lay_out(&path, &job, &dataset, &desk.blobs, &engine).await;
            let _ = tx.send((name, Came::Folder(laid))).await;
        });
    }

    pub(super) fn train(&mut self, name: &str) {
        let busy: Vec<&String> = self
            .work
            .values()
            .filter_map(|work| match work {
                Work::Training { device, .. } => Some(device),
                _ => None,
            })
            .collect();
        let free = self.settings.engine.devices.iter().find(|d| !busy.contains(d));
        // There are never more jobs than devices; if so, it waits for its turn.
        let Some(device) = free.cloned() else {
            self.work.insert(name.to_owned(), Work::Resting(Instant::now() + BEAT_EVERY));
            return;
        };
        let path = self.settings.job_folder(name).join("work");
        match engine::start(&self.settings.engine, &path, &device, name.to_owned(), self.engine_tx.clone()) {
            Ok(engine) => {
                tracing::info!(job = name, device, "training");
                let (line, heard) = (engine::Line::default(), Instant::now());
                self.work.insert(name.to_owned(), Work::Training { _engine: engine, line, heard, device });
                self.beat(name);
            }
            Err(error) => self.broke(name, format!("{error:#}")),
        }
    }

    pub(super) fn engine_said(&mut self, name: &str, said: Said) {
        let Some(Work::Training { line, heard, .. }) = self.work.get_mut(name) else { return };
        match said {
            Said::Progress(new) => {
                *line = new;
                *heard = Instant::now();
                if self.due("figures", name, FIGURES_EVERY) {
                    self.beat(name);
                }
            }
            Said::Ended(end) => {
                self.work.remove(name);
                match end {
                    End::Done => self.advance(name, Phase::Verifying),
                    End::NoImprovement => {
                        let reason = "nothing that was trained is better than the head alone".to_owned();
                        self.release(name, Outcome::NoImprovement, reason);
                    }
                    End::BadJob(why) => self.release(name, Outcome::Failed, why),
                    End::Broke(why) => self.broke(name, why),
                }
            }
        }
    }

    /// The engine broke: it gets another try, and goes on from its checkpoint.
    pub(super) fn broke(&mut self, name: &str, why: String) {
        let Some(mut job) = self.desk.book().get(name).cloned() else { return };
        job.attempts += 1;
        tracing::warn!(job = name, attempt = job.attempts, why, "the engine broke");
        if job.attempts >= TRIES {
            return self.release(name, Outcome::Retry, why);
        }
        let rest = Duration::from_secs(2u64.pow(job.attempts));
        if let Err(error) = self.desk.book().put(job) {
            tracing::error!(error = format!("{error:#}"), "a job's state could not be written");
        }
        self.work.insert(name.to_owned(), Work::Resting(Instant::now() + rest));
    }

    pub(super) fn verify(&mut self, name: &str, job: Job) {
        let Some(dataset) = self.desk.book().dataset(name) else {
            return self.release(name, Outcome::Retry, "the list of files is gone".into());
        };
        self.work.insert(name.to_owned(), Work::Verifying);
        let path = self.settings.job_folder(name).join("work");
        let (desk, tx, name) = (Arc::clone(&self.desk), self.came_tx.clone(), name.to_owned());
        tokio::spawn(async move {
            let verified = verified(path, dataset, job, &desk).await;
            let _ = tx.send((name, Came::Verified(Box::new(verified)))).await;
        });
    }

    /// Takes what work beside the loop came to.
    pub(super) fn take(&mut self, name: &str, came: Came) {
        self.work.remove(name);
        if self.desk.book().get(name).is_none() {
            return;
        }
        match came {
            Came::Files(Ok(Some(0))) => self.advance(name, Phase::Training),
            Came::Files(Ok(_)) => {}
            Came::Files(Err(error)) => {
                tracing::error!(job = name, error = format!("{error:#}"), "files not looked at")
            }
            Came::Folder(Ok(())) => self.train(name),
            Came::Folder(Err(error)) => self.release(name, Outcome::Retry, format!("{error:#}")),
            Came::Verified(verified) => {
                let life = life(&self.settings);
                let signed = verified.and_then(|manifest| {
                    let manifest =
                        BackboneManifest { created: life.created, expires: life.expires, ..manifest };
                    self.desk.fleet().add(manifest, &self.key).map_err(|error| (Outcome::Retry, error))
                });
                match signed {
                    Ok(manifest) => {
                        tracing::info!(
                            job = name,
                            line = manifest.line,
                            version = manifest.version,
                            "a result"
                        );
                        self.advance(name, Phase::Returned { manifest: Box::new(manifest) });
                    }
                    Err((outcome, error)) => self.release(name, outcome, format!("{error:#}")),
                }
            }
        }
    }

    pub(super) fn advance(&mut self, name: &str, phase: Phase) {
        if let Err(error) = self.desk.book().advance(name, phase) {
            tracing::error!(job = name, error = format!("{error:#}"), "a job's state could not be written");
            return;
        }
        self.step(name);
    }

    pub(super) fn release(&mut self, name: &str, outcome: Outcome, reason: String) {
        tracing::warn!(job = name, outcome = outcome.as_str(), reason, "given back");
        let reason: String =
            reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect();
        self.work.remove(name);
        self.advance(name, Phase::Released { outcome, reason });
    }

    /// The job is over for us: engine, files and state go.
    pub(super) fn end(&mut self, name: &str, why: &str) {
        tracing::info!(job = name, "over: {why}");
        self.work.remove(name);
        self.said.retain(|(_, of), _| of != name);
        self.desk.book().remove(name);
    }
}

/// Looks at a result and puts its files into the store.
async fn verified(path: std::path::PathBuf, dataset: Dataset, job: Job, desk: &Desk) -> Verdict {
    let out = path.join("out");
    let line = job.offer.backbone.name.clone();
    let manifest = tokio::task::spawn_blocking(move || {
        verify::verify(&path, &dataset, &job.device, &job.offer.job, &line)
    })
    .await
    .map_err(|error| (Outcome::Retry, anyhow::Error::new(error).context("the check of a result broke")))?
    .map_err(|error| (Outcome::Failed, error))?;
    for ((_, blob), name) in manifest.files.named().into_iter().zip([
        "backbone.onnx",
        "backbone.toml",
        "head.safetensors",
        "golden.safetensors",
    ]) {
        let kept = desk.blobs.keep(hex_of(&blob.digest), &out.join(name)).await;
        kept.map_err(|error| (Outcome::Retry, error))?;
    }
    Ok(manifest)
}
