//! Cameras: one [`Source`] trait, six kinds of source, and the supervision that keeps one open for ever.
//!
//! Everything a camera, a file or a peer sends is untrusted: sizes are checked before memory is taken, and a broken
//! frame is an error, never a panic.
#![forbid(unsafe_code)]

mod directory;
mod error;
mod feed;
mod frame_check;
mod http;
mod jpeg;
mod pace;
pub mod pattern;
mod pipe;
mod redact;
mod settings;
mod slot;
mod still;
mod stream;
mod supervise;
mod v4l2;
mod video_file;
mod yuv;

pub use self::yuv::to_rgb;
pub use error::CameraError;
pub use frame_check::FrameCheck;
pub use jpeg::{SAMPLE_QUALITY, encode_jpeg};
pub use settings::{Kind, Settings, StreamFormat, Timeouts};
pub use slot::Slot;
pub use still::{ImageError, decode_image, read_image};
pub use supervise::{Status, run};
pub use v4l2::{Control, DeviceListing, NodeKind, controls, list};

use graft_base::frame::Frame;
use std::time::{Duration, Instant};

/// Something that gives frames.
pub trait Source: Send {
    /// One line for people: what it is and what was negotiated. Holds no password.
    fn describe(&self) -> String;

    /// Waits at most about `limit` for the next frame. `Ok(None)`: none yet, ask again.
    ///
    /// # Errors
    /// [`CameraError::Ended`] at the end of a recording, [`CameraError::Lost`] when the camera is gone. After an
    /// error the source is dropped, except after [`CameraError::Broken`].
    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError>;

    /// How long it may stay silent.
    fn timeouts(&self) -> Timeouts {
        Timeouts::default()
    }

    /// Whether frames wait for their consumer instead of being dropped when a newer one comes.
    fn lossless(&self) -> bool {
        false
    }

    /// The next frame; blocks as long as [`Source::timeouts`] allows between frames.
    ///
    /// # Errors
    /// As [`Source::poll`], and [`CameraError::TimedOut`].
    fn next(&mut self) -> Result<Frame, CameraError> {
        let deadline = Instant::now() + self.timeouts().between;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            if let Some(frame) = self.poll(rest.min(Duration::from_millis(100)))? {
                return Ok(frame);
            }
            if rest.is_zero() {
                return Err(CameraError::TimedOut);
            }
        }
    }
}

/// Opens the source that the settings name. Cheap; slow steps (name lookup, connecting) happen in the first polls.
///
/// # Errors
/// [`CameraError::Settings`] when the settings cannot work, [`CameraError::Lost`] when the camera is not there.
pub fn open(settings: &Settings) -> Result<Box<dyn Source>, CameraError> {
    settings.check()?;
    match settings.source {
        Kind::Pattern => Ok(Box::new(pattern::PatternSource::new(settings))),
        Kind::Directory => Ok(Box::new(directory::DirectorySource::open(settings)?)),
        Kind::VideoFile => Ok(Box::new(video_file::VideoFileSource::open(settings)?)),
        Kind::Pipe => Ok(Box::new(pipe::PipeSource::open(settings)?)),
        Kind::HttpMjpeg => Ok(Box::new(http::HttpSource::open(settings)?)),
        Kind::V4l2 => v4l2::open(settings),
    }
}

#[cfg(test)]
mod tests;
