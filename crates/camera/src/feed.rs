//! A reading thread for sources whose reads block: frames come out of a channel, so that waiting has a limit.

use super::CameraError;
use super::stream::picture::Picture;
use graft_base::frame::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The receiving end; dropping it makes the thread end at its next frame or look-up.
#[derive(Debug)]
pub(super) struct Feed {
    frames: Receiver<Result<Frame, CameraError>>,
    quit: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Feeder {
    frames: SyncSender<Result<Frame, CameraError>>,
    quit: Arc<AtomicBool>,
    id: u64,
}

/// What a wait for a frame gave.
#[derive(Debug)]
pub(super) enum Received {
    Frame(Frame),
    NotYet,
    /// The reading thread is through, without an error.
    Over,
}

impl Feed {
    /// Starts the thread. An error that `read` returns is the last thing that comes out.
    pub fn start(
        name: &str,
        read: impl FnOnce(Feeder) -> Result<(), CameraError> + Send + 'static,
    ) -> Result<Self, CameraError> {
        // One frame of room: the reader is then never more than two frames ahead of the supervision.
        let (sender, frames) = sync_channel(1);
        let quit = Arc::new(AtomicBool::new(false));
        let feeder = Feeder { frames: sender.clone(), quit: quit.clone(), id: 0 };
        let work = move || {
            if let Err(error) = read(feeder) {
                // Nobody listens any more: the error does not matter.
                let _ = sender.send(Err(error));
            }
        };
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| CameraError::lost(format!("no thread for the camera: {error}")))?;
        Ok(Self { frames, quit, thread })
    }

    /// Waits for a frame.
    pub fn wait(&self, limit: Duration) -> Result<Received, CameraError> {
        match self.frames.recv_timeout(limit) {
            Ok(frame) => frame.map(Received::Frame),
            Err(RecvTimeoutError::Timeout) => Ok(Received::NotYet),
            Err(RecvTimeoutError::Disconnected) => Ok(Received::Over),
        }
    }

    /// Whether the thread has ended.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
    }
}

impl Feeder {
    /// Hands a picture on as a frame taken now. False: nobody wants it any more.
    pub fn give(&mut self, picture: Picture) -> bool {
        self.id += 1;
        !self.is_unwanted() && self.frames.send(Ok(picture.frame(self.id))).is_ok()
    }

    /// Whether the receiving end is gone.
    pub fn is_unwanted(&self) -> bool {
        self.quit.load(Ordering::Relaxed)
    }
}
