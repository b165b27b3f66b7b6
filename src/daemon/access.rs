//! What a background thread is given: the store's answers, the inference thread's embeddings, the loop's inbox.

use super::event::Inbox;
use super::frames::{Embedded, NotEmbedded, Order, Shows};
use super::store_thread::StoreClient;
use graft_base::frame::Rgb;
use std::sync::mpsc;

/// Of one background thread.
#[derive(Clone, Debug)]
pub struct Access {
    /// Asks the store's thread.
    pub store: StoreClient,
    /// Orders for the inference thread.
    pub orders: mpsc::Sender<Order>,
    /// Tells the loop.
    pub inbox: Inbox,
}

impl Access {
    /// Has the inference thread embed a picture between two frames, and waits. `None`: the daemon is stopping.
    pub fn embed(&self, picture: Box<Rgb>, shows: Shows) -> Option<Result<Embedded, NotEmbedded>> {
        let (answer, result) = mpsc::channel();
        self.orders.send(Order::Embed { picture, shows, answer }).ok()?;
        result.recv().ok()
    }
}
