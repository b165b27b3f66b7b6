//! Samples whose embeddings were made by another backbone or another preprocessing are embedded anew
//! from their stored crops, in the background, so that labels outlive a change of backbone.

use super::inference::Order;
use super::samples::DatasetView;
use super::worker::Asker;
use super::{Daemon, Input};
use crate::camera;
use crate::store::{Store, StoreError};
use std::sync::mpsc;

impl Daemon {
    /// Begins it, if there is anything to do.
    pub(super) fn reembed(&self) {
        let (store, orders, inbox) = (self.store.asker(), self.orders.clone(), self.inbox.clone());
        let work = Reembedding { store, orders, key: self.embedding_key.clone() };
        let spawned = std::thread::Builder::new().name("reembed".into()).spawn(move || {
            let Some(done) = work.run().filter(|done| *done > 0) else { return };
            tracing::info!(samples = done, "stored crops were embedded anew for this backbone");
            let view = work.store.ask(DatasetView::read);
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

struct Reembedding {
    store: Asker<Store>,
    orders: mpsc::Sender<Order>,
    key: String,
}

impl Reembedding {
    /// How many were embedded; `None` when the daemon ended meanwhile.
    fn run(&self) -> Option<usize> {
        let key = self.key.clone();
        let stale = match self.store.ask(move |store| store.stale(&key))? {
            Ok(stale) => stale,
            Err(error) => {
                tracing::warn!(%error, "old samples could not be listed");
                return None;
            }
        };
        let mut done = 0;
        for id in stale {
            match self.one(id)? {
                Ok(()) => done += 1,
                Err(error) => tracing::warn!(sample = id, error, "a sample could not be embedded anew"),
            }
        }
        Some(done)
    }

    fn one(&self, id: i64) -> Option<Result<(), String>> {
        let image = match self.store.ask(move |store| store.image(id))? {
            Ok(image) => image,
            Err(error) => return Some(Err(error.to_string())),
        };
        let picture = match camera::decode_image(&image) {
            Ok(picture) => Box::new(picture),
            Err(error) => return Some(Err(error.to_string())),
        };
        let (answer, result) = mpsc::channel();
        self.orders.send(Order::Embed { picture, crop: true, answer }).ok()?;
        let embedded = match result.recv().ok()? {
            Ok(embedded) => embedded,
            Err(error) => return Some(Err(error)),
        };
        let key = self.key.clone();
        let stored =
            self.store.ask(move |store| match store.put_embedding(id, &key, &embedded.embedding) {
                // It was deleted meanwhile.
                Err(StoreError::NotFound(_)) => Ok(()),
                other => other,
            })?;
        Some(stored.map_err(|e| e.to_string()))
    }
}
