//! Which backbone is loaded: the configured one, one that a host sent, and at the start the one before it where the
//! active one fails.

use super::change::PairChange;
use super::files::Files;
use crate::config::Settings;
use crate::daemon::adapt::draft::{self, Draft, Stored};
use crate::daemon::kept::{self, Json, PairProbation};
use crate::daemon::provenance::Provenance;
use graft_backbone::{self as backbone, Backbone, Card, admission};
use graft_control::probation::{ProbationPolicy, StartProbation};
use graft_store::{Pair, Store, StoreError};
use graft_wire::{HeadFile, Key, digest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        let card = settings.backbone.as_set(card);
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
            && kept::ADMITTED_BACKBONE.get(store).map_err(store_fault)?.as_deref()
                != Some(self.digest.as_str())
        {
            proof = self.admit()?;
            kept::ADMITTED_BACKBONE.put(store, &self.digest).map_err(store_fault)?;
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
///
/// # Errors
/// What is wrong, for people.
pub fn load(
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
    let files = Files::of(&settings.store.dir, &row.manifest)?;
    let card = settings.backbone.as_set(files.card()?);
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
    pub probation: Option<PairProbation>,
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
        && kept::CONFIGURED_BACKBONE.get(store).map_err(text)?.is_some_and(|then| then != configured.digest)
    {
        tracing::warn!("another backbone was configured: it takes the place of the one that a host had sent");
        store
            .transaction(|tx| {
                tx.clear_pairs()?;
                kept::PAIR_PROBATION.drop_in(tx)
            })
            .map_err(text)?;
        pairs = store.pairs().map_err(text)?;
    }
    let mut probation = kept::PAIR_PROBATION.get(store).map_err(text)?.map(|on| on.0);
    let mut failure = None;
    if let Some(on) = &mut probation {
        match StartProbation::count(&ProbationPolicy::default(), on.starts) {
            Ok(starts) => {
                on.starts = starts;
                // On disk before the backbone is touched: it may be what ends us.
                kept::PAIR_PROBATION.put(store, &Json(on.clone())).map_err(text)?;
            }
            Err(why) => failure = Some(why),
        }
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
        let stored = Stored::read(store, head)?;
        let file = HeadFile::decode(&stored.file).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let change = PairChange::Back(reason.clone());
        let draft = Draft::restored(file, stored, head.unsigned_abs(), Some(change));
        store.transaction(|tx| draft::store(tx, &provenance, draft, now_ms))
    })();
    restored.map_err(|e| format!("the pair before cannot come back: {e}"))?;
    Ok(AtStart { backbone, provenance, rolled_back: Some(reason), probation: None })
}

/// Loads the backbone `name` with what is known of it: `found` just now, or by an earlier start.
///
/// # Errors
/// What is wrong, for people.
fn load_known(
    store: &mut Store,
    name: &str,
    found: Option<String>,
    load: impl FnOnce(Option<&str>) -> Result<Backbone, String>,
) -> Result<Backbone, String> {
    let fault = |e: StoreError| format!("the backbone cannot be used: {e}");
    let kept = kept::BACKBONE_PROOF.get(store).map_err(fault)?;
    let of_this = kept.as_deref().and_then(|kept| kept.strip_prefix(name)?.strip_prefix(' '));
    let backbone = load(found.as_deref().or(of_this))?;
    if let Some(proof) = backbone.proof().filter(|proof| of_this != Some(*proof)) {
        kept::BACKBONE_PROOF.put(store, &format!("{name} {proof}")).map_err(fault)?;
    }
    Ok(backbone)
}
