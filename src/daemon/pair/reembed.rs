//! Samples whose embeddings were made by another backbone or another preprocessing are embedded anew
//! from their stored crops, in the background, so that labels outlive a change of backbone.

use crate::daemon::access::Access;
use crate::daemon::event::Done;
use crate::daemon::labels::tasks as labels;
use crate::daemon::store_thread::{Question, StoreClient};
use graft_base::frame::Rgb;
use graft_camera as camera;
use graft_store::StoreError;
use std::ops::ControlFlow;
use std::sync::Arc;

/// For the backbone in use, by the inference thread between two frames.
#[derive(Clone, Debug)]
pub struct Reembedding {
    /// Names the embeddings of the backbone in use.
    pub key: Arc<str>,
}

impl Reembedding {
    /// Works until every sample has its embedding.
    pub fn run(self, access: &Access) {
        let key = &self.key;
        let mut embed = |picture| match access.embed(picture, true)? {
            // Another backbone took over: its own turn embeds the rest.
            Ok(embedded) if embedded.key != *key => None,
            Ok(embedded) => Some(Ok(embedded.embedding)),
            Err(error) => Some(Err(error)),
        };
        let done = embed_stale(&access.store, key, &mut embed, &mut |_, _| ControlFlow::Continue(()));
        let Some(done) = done.filter(|done| *done > 0) else { return };
        tracing::info!(samples = done, "stored crops were embedded anew for this backbone");
        if let Some(view) = access.store.ask(Question::Dataset) {
            access.inbox.done(Done::Labels(labels::Done::Reembedded(done, view)));
        }
    }
}

/// Makes an embedding of a stored crop; `None` ends the work.
pub type Embed<'a> = dyn FnMut(Box<Rgb>) -> Option<Result<Vec<f32>, String>> + 'a;

/// Embeds every live sample that has no embedding of this name yet; `progress` gets done and total, and may end it.
/// How many were embedded; `None` when it was ended, or the daemon does.
pub fn embed_stale(
    store: &StoreClient,
    key: &Arc<str>,
    embed: &mut Embed<'_>,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Option<usize> {
    let stale = match store.ask(|to| Question::Stale(Arc::clone(key), to))? {
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

fn one(store: &StoreClient, id: i64, key: &Arc<str>, embed: &mut Embed<'_>) -> Option<Result<(), String>> {
    let image = match store.ask(|to| Question::Image(id, to))? {
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
    let stored = match store.ask(|to| Question::PutEmbedding(id, Arc::clone(key), embedding, to))? {
        // It was deleted meanwhile.
        Err(StoreError::NotFound(_)) => Ok(()),
        other => other,
    };
    Some(stored.map_err(|e| e.to_string()))
}
