//! A thread that owns one thing and does what it is told, in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

type Task<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Hands tasks to the thread. Dropping it ends the thread once all tasks are done.
pub struct Worker<T> {
    tasks: Option<mpsc::Sender<Task<T>>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Counts tasks done, and the steps that long ones tell of.
    turns: Arc<AtomicU64>,
}

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread with the thing that it owns from now on.
    pub fn spawn(name: &str, mut owned: T) -> std::io::Result<Self> {
        let (tasks, inbox) = mpsc::channel::<Task<T>>();
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            for task in inbox {
                task(&mut owned);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread), turns })
    }

    /// Queues a task. Tasks run one after the other, in this order.
    pub fn tell(&self, task: impl FnOnce(&mut T) + Send + 'static) {
        if let Some(tasks) = &self.tasks {
            // The thread ends only with this sender, so the task is never lost.
            let _ = tasks.send(Box::new(task));
        }
    }

    /// The thread's counter of progress, for long tasks to add their steps to.
    pub fn turns(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.turns)
    }

    /// Whether the thread still takes tasks.
    pub fn alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// A second way in, for a thread that has to wait for answers. The worker lives as long as it.
    pub fn asker(&self) -> Asker<T> {
        Asker { tasks: self.tasks.clone() }
    }
}

/// Waits for the worker's answers. Never to be used on the loop's thread.
pub struct Asker<T> {
    tasks: Option<mpsc::Sender<Task<T>>>,
}

impl<T: 'static> Asker<T> {
    /// Runs a task and waits for its result; `None` when the worker has ended.
    pub fn ask<R: Send + 'static>(&self, task: impl FnOnce(&mut T) -> R + Send + 'static) -> Option<R> {
        let (answer, result) = mpsc::channel();
        let task: Task<T> = Box::new(move |owned| {
            let _ = answer.send(task(owned));
        });
        self.tasks.as_ref()?.send(task).ok()?;
        result.recv().ok()
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.tasks.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
