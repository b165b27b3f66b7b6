//! Samples whose embeddings were made by another backbone or another preprocessing are embedded anew
//! from their stored crops, in the background, so that labels outlive a change of backbone.

use crate::daemon::access::Access;
use crate::daemon::event::Done;
use crate::daemon::frames::{NotEmbedded, Shows};
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
        let mut embed = |picture, shown| match access.embed(picture, Shows::Part(shown))? {
            // Another backbone took over: its own turn embeds the rest.
            Ok(embedded) if embedded.key != *key => None,
            Ok(embedded) => Some(Ok(embedded.embedding)),
            Err(error) => Some(Err(error)),
        };
        let done = embed_stale(&access.store, key, &mut embed, &mut |_, _| ControlFlow::Continue(()));
        let Some(Embeddings { made, aside }) = done.filter(|done| done.made + done.aside > 0) else { return };
        tracing::info!(samples = made, aside, "stored crops were embedded anew for this backbone");
        if let Some(view) = access.store.ask(Question::Dataset) {
            access.inbox.done(Done::Labels(labels::Done::Reembedded { made, aside, view }));
        }
    }
}

/// Makes an embedding of a stored picture that shows this part of its frame; `None` ends the work.
pub type Embed<'a> = dyn FnMut(Box<Rgb>, Option<[f64; 4]>) -> Option<Result<Vec<f32>, NotEmbedded>> + 'a;

/// What became of stored pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Embeddings {
    /// So many were embedded.
    pub made: usize,
    /// So many show another part of the frame than is looked at.
    pub aside: usize,
}

/// Embeds every live sample that has no embedding of this name yet; `progress` gets done and total, and may end it.
/// How many were embedded; `None` when it was ended, or the daemon does.
pub fn embed_stale(
    store: &StoreClient,
    key: &Arc<str>,
    embed: &mut Embed<'_>,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Option<Embeddings> {
    let stale = match store.ask(|to| Question::Stale(Arc::clone(key), to))? {
        Ok(stale) => stale,
        Err(error) => {
            tracing::warn!(%error, "old samples could not be listed");
            return None;
        }
    };
    let mut done = Embeddings::default();
    for (at, id) in stale.iter().enumerate() {
        if progress(at, stale.len()).is_break() {
            return None;
        }
        match one(store, *id, key, embed)? {
            Ok(()) => done.made += 1,
            Err(NotEmbedded::OtherPart) => done.aside += 1,
            Err(NotEmbedded::Failed(error)) => {
                tracing::warn!(sample = id, error, "a sample could not be embedded anew");
            }
        }
    }
    Some(done)
}

fn one(
    store: &StoreClient,
    id: i64,
    key: &Arc<str>,
    embed: &mut Embed<'_>,
) -> Option<Result<(), NotEmbedded>> {
    let (image, shown) = match store.ask(|to| Question::Image(id, to))? {
        Ok(found) => found,
        Err(error) => return Some(Err(NotEmbedded::Failed(error.to_string()))),
    };
    let picture = match camera::decode_image(&image) {
        Ok(picture) => Box::new(picture),
        Err(error) => return Some(Err(NotEmbedded::Failed(error.to_string()))),
    };
    let embedding = match embed(picture, shown)? {
        Ok(embedding) => embedding,
        Err(error) => return Some(Err(error)),
    };
    let stored = match store.ask(|to| Question::PutEmbedding(id, Arc::clone(key), embedding, to))? {
        // It was deleted meanwhile.
        Err(StoreError::NotFound(_)) => Ok(()),
        other => other,
    };
    Some(stored.map_err(|e| NotEmbedded::Failed(e.to_string())))
}
