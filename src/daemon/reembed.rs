//! Samples whose embeddings were made by another backbone or another preprocessing are embedded anew
//! from their stored crops, in the background, so that labels outlive a change of backbone.

use super::inference::Order;
use super::samples::DatasetView;
use super::worker::Asker;
use super::{Daemon, Input};
use graft_base::frame::Rgb;
use graft_camera as camera;
use graft_store::{Store, StoreError};
use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};

impl Daemon {
    /// Begins it for the backbone in use, if there is anything to do: between two frames, by the inference thread.
    pub(super) fn reembed(&self) {
        let (store, orders, inbox) = (self.store.asker(), self.orders.clone(), self.inbox.clone());
        let key = Arc::clone(&self.provenance.embeddings);
        let spawned = std::thread::Builder::new().name("reembed".into()).spawn(move || {
            let mut embed = |picture| {
                let (answer, result) = mpsc::channel();
                orders.send(Order::Embed { picture, crop: true, answer }).ok()?;
                match result.recv().ok()? {
                    // Another backbone took over: its own turn embeds the rest.
                    Ok(embedded) if embedded.key != key => None,
                    Ok(embedded) => Some(Ok(embedded.embedding)),
                    Err(error) => Some(Err(error)),
                }
            };
            let done = embed_stale(&store, &key, &mut embed, &mut |_, _| ControlFlow::Continue(()));
            let Some(done) = done.filter(|done| *done > 0) else { return };
            tracing::info!(samples = done, "stored crops were embedded anew for this backbone");
            let view = store.ask(DatasetView::read);
            let _ = inbox.send(Input::Continue(Box::new(move |daemon| {
                if let Some(view) = view {
                    daemon.samples_changed(view, done);
                }
            })));
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "old samples cannot be embedded anew: no thread");
        }
    }
}

/// Makes an embedding of a stored crop; `None` ends the work.
pub type Embed<'a> = dyn FnMut(Box<Rgb>) -> Option<Result<Vec<f32>, String>> + 'a;

/// Embeds every live sample that has no embedding of this name yet; `progress` gets done and total, and may end it.
/// How many were embedded; `None` when it was ended, or the daemon does.
pub fn embed_stale(
    store: &Asker<Store>,
    key: &Arc<str>,
    embed: &mut Embed<'_>,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Option<usize> {
    let of = Arc::clone(key);
    let stale = match store.ask(move |store| store.stale(&of))? {
        Ok(stale) => stale,
        Err(error) => {
            tracing::warn!(%error, "old samples could not be listed");
            return None;
        }
    };
    let mut done = 0;
    for (at, id) in stale.iter().enumerate() {
        if progress(at, stale.len()).is_break() {
            return None;
        }
        match one(store, *id, key, embed)? {
            Ok(()) => done += 1,
            Err(error) => tracing::warn!(sample = id, error, "a sample could not be embedded anew"),
        }
    }
    Some(done)
}

fn one(store: &Asker<Store>, id: i64, key: &Arc<str>, embed: &mut Embed<'_>) -> Option<Result<(), String>> {
    let image = match store.ask(move |store| store.image(id))? {
        Ok(image) => image,
        Err(error) => return Some(Err(error.to_string())),
    };
    let picture = match camera::decode_image(&image) {
        Ok(picture) => Box::new(picture),
        Err(error) => return Some(Err(error.to_string())),
    };
    let embedding = match embed(picture)? {
        Ok(embedding) => embedding,
        Err(error) => return Some(Err(error)),
    };
    let key = Arc::clone(key);
    let stored = store.ask(move |store| match store.put_embedding(id, &key, &embedding) {
        // It was deleted meanwhile.
        Err(StoreError::NotFound(_)) => Ok(()),
        other => other,
    })?;
    Some(stored.map_err(|e| e.to_string()))
}
