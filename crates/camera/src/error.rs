//! What can go wrong with a camera, in words that say what to do.

use super::redact::redact;
use graft_base::contain::contain;

/// Why a source has no frame to give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CameraError {
    /// A recording has been played to its end.
    #[error("the recording is over; set camera.repeat = true to play it again and again")]
    Ended,
    /// The source is there but silent.
    #[error("no frame arrived in time; check the camera's cable and power, or raise camera.timeout_s")]
    TimedOut,
    /// The source is gone or cannot be opened; opening it again later may work.
    #[error("{0}")]
    Lost(String),
    /// The settings cannot work, whatever the camera does.
    #[error("{0}")]
    Settings(String),
    /// One frame cannot be decoded; the next one may be fine.
    #[error("broken frame, skipped: {0}")]
    Broken(String),
}

impl CameraError {
    /// A [`CameraError::Lost`] whose text holds no password of a URL.
    pub(super) fn lost(text: impl AsRef<str>) -> Self {
        Self::Lost(redact(text.as_ref()))
    }

    /// A [`CameraError::Settings`] whose text holds no password of a URL.
    pub(super) fn settings(text: impl AsRef<str>) -> Self {
        Self::Settings(redact(text.as_ref()))
    }
}

/// Runs a third-party decoder on untrusted bytes; a panic inside becomes an error text.
pub(super) fn contained<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    contain(decode).unwrap_or_else(|panic| Err(format!("the decoder failed inside ({panic})")))
}
