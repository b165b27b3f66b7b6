//! The pair that serves: which backbone is loaded at the start, how another one takes its place between two frames, and
//! the way back. Backbone and head change in one transaction of the store (`store::pairs`); this file carries that out.

use super::heads::{self, Draft};
use super::inference::{ActiveHead, Eye, Order};
use super::proof::load_known;
use super::provenance::Provenance;
use super::{Daemon, Input};
use crate::config::Settings;
use graft_backbone::{self as backbone, Backbone, Card, admission};
use graft_control::probation::{self, Baseline, ProbationPolicy};
use graft_control::{Event, Origin, Token};
use graft_store::{Pair, Stage, Store, StoreError, Tx};
use graft_wire::messages::EventType;
use graft_wire::{Code, Error, HeadFile, Key, digest};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// State keys of the store: the pair on probation, the configured backbone when the active pair was promoted, and the
/// configured backbone that was admitted last.
pub const PROBATION: &str = "probation";
const CONFIGURED: &str = "configured_backbone";
const ADMITTED: &str = "admitted_backbone";
/// The embeddings of the pair before.
pub const EMBEDDED_BEFORE: &str = "embedded_before";

/// A pair on probation, as the store remembers it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OnProbation {
    /// Starts in a row that did not end well, this one included.
    pub starts: u32,
    /// Share of frames that the pair before called unknown.
    pub unknown: Option<f64>,
    /// Milliseconds a frame may take.
    pub frame_ms: Option<f64>,
}

impl OnProbation {
    /// From the store.
    pub fn read(store: &mut Store) -> Result<Option<Self>, StoreError> {
        Ok(store.get_state(PROBATION)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// For the store.
    pub fn to_json(&self) -> String {
        graft_wire::messages::to_json(self)
    }

    /// What the pair is measured by.
    pub fn baseline(&self) -> Baseline {
        Baseline { unknown: self.unknown, frame_ms: self.frame_ms }
    }
}

/// How the pair changes with a head that is being stored.
#[derive(Clone, Debug)]
pub enum PairChange {
    /// A new backbone was judged: it serves on probation, or is refused.
    Judged {
        /// What it is measured by.
        trial: OnProbation,
        /// Digest of the configured backbone, see [`Configured::digest`].
        configured: String,
        /// Names the embeddings of the backbone that it takes the place of.
        before: Arc<str>,
    },
    /// Back to the pair before, and why.
    Back(String),
}

impl PairChange {
    /// Writes it, before the head is promoted. `row` is the backbone that serves from then on.
    pub fn carry_out(
        &self,
        tx: &Tx<'_>,
        row: Option<i64>,
        promote: bool,
        gate: &str,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        match (self, row) {
            (Self::Judged { trial, configured, before }, Some(id)) if promote => {
                tx.promote_backbone(row)?;
                tx.set_stage(id, Stage::Promoted, gate, now_ms)?;
                tx.put_state(CONFIGURED, configured)?;
                tx.put_state(EMBEDDED_BEFORE, before)?;
                tx.put_state(PROBATION, &trial.to_json())
            }
            (Self::Judged { .. }, Some(id)) => tx.set_stage(id, Stage::Refused, gate, now_ms),
            (Self::Judged { .. }, None) => {
                Err(StoreError::Invalid("the configured backbone is not judged".into()))
            }
            (Self::Back(reason), _) => {
                let left = tx.pairs()?.active.backbone;
                tx.promote_backbone(row)?;
                // What was left is not a way back.
                tx.forget_previous()?;
                tx.drop_state(PROBATION)?;
                left.map_or(Ok(()), |id| tx.set_stage(id, Stage::RolledBack, reason, now_ms))
            }
        }
    }
}

/// A backbone that takes the active one's place once its head is stored.
pub struct Incoming {
    /// The round or restoring that brings its head.
    pub origin: Origin,
    /// What it is.
    pub provenance: Provenance,
    /// The network.
    pub eye: Box<Eye>,
    /// What the store is told.
    pub change: PairChange,
    /// Bursts (by number) that it was trained on.
    pub taught: Arc<HashSet<u64>>,
}

/// The configured backbone: its file, and its card as the configuration wants it.
pub struct Configured {
    file: Option<PathBuf>,
    card: Card,
    /// Digest of file and card together: another one means that somebody chose another backbone.
    pub digest: String,
}

impl Configured {
    /// Reads what the settings name; the network itself is not loaded yet.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn read(settings: &Settings) -> Result<Self, String> {
        let config = |e: &dyn std::fmt::Display| format!("the backbone cannot be used: {e}");
        let (bytes, mut card) = match &settings.backbone.file {
            None => {
                let (bytes, card) = backbone::tiny();
                (bytes.to_vec(), card)
            }
            Some(file) => {
                let (card, warning) = match &settings.backbone.card {
                    Some(path) => (Card::read(path).map_err(|e| config(&e))?, None),
                    None => Card::for_file(file).map_err(|e| config(&e))?,
                };
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
                (backbone::read_file(file).map_err(|e| config(&e))?, card)
            }
        };
        if let Some(features) = &settings.backbone.features {
            card.features = Some(features.clone());
        }
        let digest = digest::sha256(format!("{}\n{}", digest::sha256(&bytes), card.to_toml()).as_bytes());
        Ok(Self { file: settings.backbone.file.clone(), card, digest })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.card.name
    }

    /// Loads it. A file that was not looked at before is looked at by a child process first.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn load(&self, store: &mut Store) -> Result<Backbone, String> {
        let store_fault = |e: StoreError| format!("the backbone cannot be used: {e}");
        let mut proof = None;
        if self.file.is_some()
            && store.get_state(ADMITTED).map_err(store_fault)?.as_deref() != Some(self.digest.as_str())
        {
            proof = self.admit()?;
            store.put_state(ADMITTED, &self.digest).map_err(store_fault)?;
        }
        load_known(store, &self.digest, proof, |proof| self.open(proof))
    }

    /// Has a child process look at the file; gives its [`Backbone::proof`].
    fn admit(&self) -> Result<Option<String>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        let question =
            admission::Question { features: self.card.features.as_deref(), ..admission::Question::of(file) };
        let asked = admission::ask(Path::new(admission::PROGRAM), &question);
        asked
            .map(|admission| admission.inspection.proof)
            .map_err(|e| format!("the backbone cannot be used: {e}"))
    }

    fn open(&self, proof: Option<&str>) -> Result<Backbone, String> {
        let loaded = match &self.file {
            None => Backbone::from_bytes(backbone::tiny().0, &self.card),
            Some(file) => Backbone::load_again(file, &self.card, proof),
        };
        loaded.map_err(|e| format!("the backbone cannot be used: {e}"))
    }
}

/// The configured network, for a look at it: no store is touched.
///
/// # Errors
/// What is wrong, for people.
pub fn load_backbone(settings: &Settings) -> Result<Backbone, String> {
    let configured = Configured::read(settings)?;
    let proof = configured.admit()?;
    configured.open(proof.as_deref())
}

/// Loads the backbone of a pair.
fn load(
    pair: Pair,
    store: &mut Store,
    settings: &Settings,
    key: &Arc<Key>,
) -> Result<(Backbone, Provenance), String> {
    let Some(id) = pair.backbone else {
        let configured = Configured::read(settings)?;
        let loaded = configured.load(store)?;
        let from = Provenance::of(&loaded, settings, key, configured.file, None);
        return Ok((loaded, from));
    };
    let row = store.backbone(id).map_err(|e| e.to_string())?;
    let files = super::files::Files::of(&settings.store.dir, &row.manifest)?;
    let card = files.card()?;
    let loaded = load_known(store, &format!("row {id}"), None, |proof| {
        Backbone::load_again(&files.onnx, &card, proof).map_err(|e| e.to_string())
    })?;
    let from = Provenance::of(&loaded, settings, key, Some(files.onnx), Some(id));
    Ok((loaded, from))
}

/// What serves at the start, and why it is not what served at the end, if it is not.
pub struct AtStart {
    /// The network.
    pub backbone: Backbone,
    /// What it is.
    pub provenance: Provenance,
    /// The pair before came back.
    pub rolled_back: Option<String>,
    /// It is on probation.
    pub probation: Option<OnProbation>,
}

/// Loads the pair that serves, or the one before it where that one fails.
///
/// # Errors
/// What is wrong, for people: no pair can be loaded, or the store fails.
pub fn at_start(
    store: &mut Store,
    settings: &Settings,
    key: &Arc<Key>,
    now_ms: i64,
) -> Result<AtStart, String> {
    let text = |e: StoreError| format!("the store cannot be read: {e}");
    let mut pairs = store.pairs().map_err(text)?;
    if pairs.active.backbone.is_some()
        && let Ok(configured) = Configured::read(settings)
        && store.get_state(CONFIGURED).map_err(text)?.is_some_and(|then| then != configured.digest)
    {
        tracing::warn!("another backbone was configured: it takes the place of the one that a host had sent");
        store
            .transaction(|tx| {
                tx.clear_pairs()?;
                tx.drop_state(PROBATION)
            })
            .map_err(text)?;
        pairs = store.pairs().map_err(text)?;
    }
    let mut probation = OnProbation::read(store).map_err(text)?;
    let mut failure = None;
    if let Some(on) = &mut probation {
        failure = probation::fails(&ProbationPolicy::default(), on.starts);
        on.starts += 1;
        // On disk before the backbone is touched: it may be what ends us.
        store.put_state(PROBATION, &on.to_json()).map_err(text)?;
    }
    if failure.is_none() {
        match load(pairs.active, store, settings, key) {
            Ok((backbone, provenance)) => {
                return Ok(AtStart { backbone, provenance, rolled_back: None, probation });
            }
            Err(error) if pairs.active.backbone.is_none() => return Err(error),
            Err(error) => failure = Some(error),
        }
    }
    let reason = failure.unwrap_or_default();
    let (Some(previous), Some(head)) = (pairs.previous, pairs.previous.and_then(|p| p.head)) else {
        return Err(format!("{reason}; and there is no pair before it to go back to"));
    };
    tracing::error!(reason, "the active pair fails: the one before it comes back");
    let (backbone, provenance) = load(previous, store, settings, key)?;
    let restored = (|| {
        let file =
            HeadFile::decode(&store.head_file(head)?).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let held_out = store.held_out(head)?;
        let change = PairChange::Back(reason.clone());
        let draft = Draft::restored(file, held_out, head.unsigned_abs(), Some(change));
        store.transaction(|tx| heads::store_draft(tx, &provenance, draft, now_ms))
    })();
    restored.map_err(|e| format!("the pair before cannot come back: {e}"))?;
    Ok(AtStart { backbone, provenance, rolled_back: Some(reason), probation: None })
}

impl Daemon {
    /// The backbone that comes with this head.
    pub(super) fn incoming_of(&self, origin: Origin) -> Option<&Incoming> {
        self.incoming.as_ref().filter(|incoming| incoming.origin == origin)
    }

    /// Uses a backbone and its head from the next frame on, then calls back.
    pub(super) fn install_pair(
        &mut self,
        incoming: Incoming,
        active: ActiveHead,
        then: impl FnOnce(&mut Daemon) + Send + 'static,
    ) {
        self.provenance = incoming.provenance;
        self.active = Some(active.clone());
        self.state_changed = true;
        let inbox = self.inbox.clone();
        let change = incoming.change;
        let done = Box::new(move || {
            let _ = inbox.send(Input::Continue(Box::new(move |daemon| {
                daemon.pair_installed(change);
                then(daemon);
            })));
        });
        let _ = self.orders.send(Order::InstallPair(incoming.eye, Some(active), done));
    }

    fn pair_installed(&mut self, change: PairChange) {
        self.say_info();
        // Samples that were labelled meanwhile have embeddings of the other backbone.
        self.reembed();
        let backbone = self.provenance.backbone.clone();
        match change {
            PairChange::Judged { trial, .. } => {
                self.watch_pair(&trial);
                self.event(EventType::BackboneApplied, |e| {
                    e.with("name", backbone.name).with("digest", backbone.digest)
                });
            }
            PairChange::Back(reason) => {
                self.probation = None;
                self.backbone_rolled_back(reason);
            }
        }
        self.arrival_over();
    }

    /// Tells that the pair before serves again.
    pub(super) fn backbone_rolled_back(&mut self, reason: String) {
        let backbone = self.provenance.backbone.clone();
        let error = Error::new(Code::Regression, reason);
        self.event(EventType::RolledBack, |e| {
            e.with("name", backbone.name).with("digest", backbone.digest).because(error)
        });
    }

    /// `backbone rollback`, or on its own: loads the pair before, then restores its head.
    pub(super) fn roll_back_pair(&mut self, token: Token, reason: String) {
        let (settings, key) = (self.settings.clone(), Arc::clone(&self.provenance.key));
        self.store_then(
            move |store| {
                let pairs = store.pairs()?;
                Ok((pairs.previous.zip(pairs.previous.and_then(|p| p.head)))
                    .map(|(pair, head)| (load(pair, store, &settings, &key), head.unsigned_abs())))
            },
            move |daemon, found| match found {
                Ok(Some((Ok((backbone, provenance)), head))) => {
                    let origin = Origin::Restore(token, head);
                    let eye = Box::new(Eye { backbone, key: Arc::clone(&provenance.embeddings) });
                    let change = PairChange::Back(reason);
                    daemon.incoming =
                        Some(Incoming { origin, provenance, eye, change, taught: Arc::default() });
                    daemon.control(Event::Restore(token, head));
                }
                Ok(Some((Err(error), _))) => {
                    tracing::error!(error, "the pair before cannot be loaded");
                    daemon.finish(token, Err(Error::internal(error)));
                }
                Ok(None) => {
                    let message = "there is no earlier backbone to go back to";
                    daemon.finish(token, Err(Error::new(Code::NotFound, message)));
                }
                Err(error) => daemon.finish(token, Err(super::samples::store_error(&error))),
            },
        );
    }
}
