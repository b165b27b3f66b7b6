//! `cmd/backbone`, probation, and the housekeeping of backbones that came from a host.

use super::arrival::{Source, floor_key};
use super::offload::dataset;
use super::pair::{EMBEDDED_BEFORE, OnProbation, PROBATION, PairChange};
use super::{Daemon, files};
use crate::config::Settings;
use graft_control::probation::{Baseline, Probation, ProbationPolicy, Sentence};
use graft_control::{Answer, JobId, Origin, Token};
use graft_store::{BackboneRow, Stage, Store, StoreError};
use graft_wire::{BackboneManifest, Code, Error, Reply, command, timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

/// State key of the store: the last version taken on, by key and line.
const FLOORS: &str = "backbone_floors";
/// Frames by which the pair in use is known.
const FRAMES: usize = 512;
/// With fewer nothing is said of it.
const ENOUGH: usize = 20;
/// A frame may take so many times as long with a new backbone.
const SLOWER: f64 = 3.0;

/// What the frames of the pair in use are like.
#[derive(Default)]
pub struct Usual(VecDeque<(bool, f32)>);

impl Usual {
    fn frame(&mut self, unknown: bool, frame_ms: f32) {
        if self.0.len() == FRAMES {
            self.0.pop_front();
        }
        self.0.push_back((unknown, frame_ms));
    }

    /// What a new pair is measured by; `most_ms` is what people set.
    pub fn baseline(&self, most_ms: Option<f64>) -> Baseline {
        let known = self.0.len() >= ENOUGH;
        let unknown =
            self.0.iter().filter(|(unknown, _)| *unknown).count() as f64 / self.0.len().max(1) as f64;
        let mut times: Vec<f32> = self.0.iter().map(|(_, ms)| *ms).collect();
        times.sort_by(f32::total_cmp);
        let median = times.get(times.len() / 2).map(|ms| f64::from(*ms) * SLOWER);
        Baseline { unknown: known.then_some(unknown), frame_ms: most_ms.or(median.filter(|_| known)) }
    }
}

/// The last versions taken on.
pub fn read_floors(store: &mut Store) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(store.get_state(FLOORS)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Probation as the settings want it.
pub fn probation(settings: &Settings, on: &OnProbation, now: Duration) -> Probation {
    let usual = ProbationPolicy::default();
    let length = Duration::from_secs_f64(settings.offload.probation_s);
    let (settle, window) = (usual.settle.min(length), usual.window.min(length));
    Probation::new(ProbationPolicy { length, settle, window, ..usual }, on.baseline(), now)
}

impl Daemon {
    pub(super) fn backbone_command(&mut self, token: Token, command: command::Backbone) {
        match command {
            command::Backbone::Rollback => match self.incoming.is_some() || self.rollback_due.is_some() {
                true => self.finish(token, Err(Error::new(Code::Busy, "the pair is changing; try again"))),
                false => self.roll_back_pair(token, "on request".into()),
            },
            command::Backbone::Apply { url, token: secret, manifest } => {
                if let Err(error) = self.check_manifest(&manifest, None, None) {
                    return self.finish(token, Err(error));
                }
                let job = self.control.new_job();
                let by = self.asked_by(token);
                let source = Source { job, url, token: secret, own: false };
                self.job_begins(job, "backbone", "fetch", &by);
                self.receive(*manifest, source, move |daemon, taken| match taken {
                    Ok(()) => daemon.finish(token, Ok(Reply::accepted(None, job.to_string()))),
                    Err(error) => {
                        daemon.job_fails(job, error.clone());
                        daemon.finish(token, Err(error));
                    }
                });
            }
        }
    }

    /// A restoring that is answered with a no brings no backbone.
    pub(super) fn restore_answered(&mut self, token: Token, answer: &Answer) {
        if !matches!(answer, Answer::Busy(_) | Answer::Failed(_)) {
            return;
        }
        let ours = |origin: Origin| matches!(origin, Origin::Restore(of, _) if of == token);
        let Some(incoming) = self.incoming.take_if(|incoming| ours(incoming.origin)) else { return };
        match (answer, incoming.change) {
            // Nobody asks again for what the daemon itself wants.
            (Answer::Busy(_), PairChange::Back(reason)) if token == 0 => self.rollback_due = Some(reason),
            (Answer::Failed(why), _) => tracing::error!(why, "the pair before could not come back"),
            _ => {}
        }
    }

    /// One frame was predicted.
    pub(super) fn watch_frame(&mut self, unknown: bool, frame_ms: f32) {
        match &mut self.probation {
            Some(probation) => probation.frame(unknown, f64::from(frame_ms)),
            None => self.usual.frame(unknown, frame_ms),
        }
    }

    /// A pair goes on probation.
    pub(super) fn watch_pair(&mut self, trial: &OnProbation) {
        self.usual = Usual::default();
        self.probation = Some(probation(&self.settings, trial, self.clock.now()));
    }

    /// Time passed.
    pub(super) fn probation_tick(&mut self) {
        if self.incoming.is_none()
            && self.control.job().is_none()
            && let Some(reason) = self.rollback_due.take()
        {
            return self.roll_back_pair(0, reason);
        }
        let now = self.clock.now();
        match self.probation.as_mut().and_then(|probation| probation.tick(now)) {
            None => {}
            Some(Sentence::Settled) => self.forgive_starts(),
            Some(Sentence::Confirm) => self.confirm_pair(),
            Some(Sentence::RollBack(reason)) => {
                tracing::warn!(reason, "the new pair does not stand its probation");
                self.probation = None;
                self.rollback_due = Some(reason);
            }
        }
    }

    /// The starts so far were good ones.
    pub(super) fn forgive_starts(&self) {
        self.store_or_warn("the good starts of a pair", |store| match OnProbation::read(store)? {
            Some(on) => store.put_state(PROBATION, &OnProbation { starts: 0, ..on }.to_json()),
            None => Ok(()),
        });
    }

    /// The pair has stood: its version is the floor from now on.
    fn confirm_pair(&mut self) {
        self.probation = None;
        let Some(row) = self.provenance.row else { return };
        let mut floors = self.floors.clone();
        let now_ms = self.clock.wall_ms();
        self.store_then(
            move |store| {
                let manifest = BackboneManifest::from_json(store.backbone(row)?.manifest.as_bytes())
                    .map_err(|e| StoreError::Corrupt(e.to_string()))?;
                let floor = floors.entry(floor_key(&manifest)).or_default();
                *floor = manifest.version.max(*floor);
                store.transaction(|tx| {
                    tx.set_stage(row, Stage::Confirmed, "stood its probation", now_ms)?;
                    tx.put_state(FLOORS, &graft_wire::messages::to_json(&floors))?;
                    tx.drop_state(PROBATION)
                })?;
                Ok(floors)
            },
            |daemon, confirmed| match confirmed {
                Ok(floors) => {
                    tracing::info!(
                        backbone = daemon.provenance.backbone.name,
                        "the pair has stood its probation"
                    );
                    daemon.floors = floors;
                }
                // It stays on probation in the store: the next start begins it again.
                Err(error) => tracing::error!(%error, "the end of a probation could not be stored"),
            },
        );
    }

    pub(super) fn is_offload_job(&self, job: JobId) -> bool {
        self.arrival.as_ref().is_some_and(|arrival| arrival.job == job) || self.offered_job() == Some(job)
    }

    /// The daemon stops in order: that is no failed start, and nothing goes on.
    pub(super) fn stop_backbones(&self) {
        if self.probation.is_some() {
            self.forgive_starts();
        }
        if let Some(arrival) = &self.arrival {
            arrival.cancel.now();
        }
        self.stop_feed();
    }

    /// Nothing is on its way any more: the files of jobs that are over go.
    pub(super) fn arrival_over(&mut self) {
        let root = dataset::root(&self.settings.store.dir);
        let kept = [self.offered_job(), self.arrival.as_ref().map(|arrival| arrival.job)];
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            let job = entry.file_name().to_string_lossy().parse::<JobId>().ok();
            if !kept.contains(&job)
                && let Err(error) = std::fs::remove_dir_all(entry.path())
            {
                tracing::warn!(%error, "the files of an old job could not be removed");
            }
        }
        self.tidy_backbones();
    }

    /// Removes files and embeddings of backbones that nothing needs.
    pub(super) fn tidy_backbones(&self) {
        let state = self.settings.store.dir.clone();
        let here = self.provenance.embeddings.to_string();
        let busy = self.arrival.is_some();
        self.store_or_warn("the end of old backbones", move |store| {
            let pairs = store.pairs()?;
            let serving: HashSet<i64> = [Some(pairs.active), pairs.previous]
                .into_iter()
                .flatten()
                .filter_map(|pair| pair.backbone)
                .collect();
            let needed = |row: &BackboneRow| serving.contains(&row.id) || row.stage == Stage::Pending;
            let rows = store.backbones(1000)?;
            files::keep_only(
                &state,
                &rows.into_iter().filter(needed).map(|row| row.manifest).collect::<Vec<_>>(),
            );
            // Those of the pair before would be wanted at a roll back.
            let before = store.get_state(EMBEDDED_BEFORE)?.filter(|_| pairs.previous.is_some());
            let kept = |digest: &String| busy || *digest == here || Some(digest) == before.as_ref();
            for digest in store.embedded_by()?.into_iter().filter(|digest| !kept(digest)) {
                store.forget_backbone(&digest)?;
            }
            Ok(())
        });
    }
}

/// For `graft backbone list`.
pub fn list(store: &mut Store) -> Result<Value, StoreError> {
    let pairs = store.pairs()?;
    let probation = OnProbation::read(store)?.is_some();
    let slot = |id: Option<i64>| {
        if pairs.active.backbone == id {
            "active"
        } else if pairs.previous.is_some_and(|pair| pair.backbone == id) {
            "previous"
        } else {
            ""
        }
    };
    let rows = store.backbones(100)?;
    let listed = rows.iter().map(|row| {
        let manifest = BackboneManifest::from_json(row.manifest.as_bytes()).ok();
        json!({"id": row.id, "line": manifest.as_ref().map(|m| m.line.clone()), "version": row.version,
            "digest": row.digest, "recipe": manifest.as_ref().map(|m| m.recipe),
            "metrics": manifest.map(|m| m.metrics), "stage": row.stage.as_str(), "reason": row.reason,
            "slot": slot(Some(row.id)), "created": timestamp::rfc3339(row.created_ms),
            "changed": timestamp::rfc3339(row.changed_ms)})
    });
    Ok(json!({"backbones": listed.collect::<Vec<_>>(), "configured": slot(None), "probation": probation}))
}
