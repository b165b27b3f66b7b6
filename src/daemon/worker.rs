//! A thread that carries out orders of one closed kind, in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

/// Hands orders to the thread. Dropping it ends the thread once all orders are carried out.
#[derive(Debug)]
pub struct Worker<O> {
    orders: Option<mpsc::Sender<O>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Counts orders carried out, and the steps that long ones tell of.
    turns: Arc<AtomicU64>,
}

impl<O: Send + 'static> Worker<O> {
    /// Starts the thread. `turns` counts its progress.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn(
        name: &str,
        turns: Arc<AtomicU64>,
        mut carry_out: impl FnMut(O) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<O>();
        let counted = Arc::clone(&turns);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            for order in inbox {
                carry_out(order);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread), turns })
    }

    /// Queues an order. Orders are carried out one after the other, in this order.
    pub fn tell(&self, order: O) {
        if let Some(orders) = &self.orders {
            // The thread ends only with this sender, so the order is never lost.
            let _ = orders.send(order);
        }
    }

    /// How many turns the thread has made.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether the thread still takes orders.
    pub fn alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// A second way in, for other threads. The worker lives as long as it.
    pub fn sender(&self) -> Option<mpsc::Sender<O>> {
        self.orders.clone()
    }
}

impl<O> Drop for Worker<O> {
    fn drop(&mut self) {
        self.orders.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
