//! V4L2 capture devices: USB cameras, HDMI grabbers, v4l2loopback. Single-planar memory-mapped streaming.
//!
//! The driver binding is behind the cargo feature `v4l`; what needs no driver (choosing a format, explaining an
//! error) is always built and tested.

#[cfg(feature = "v4l")]
mod capture;
#[cfg_attr(not(feature = "v4l"), allow(dead_code))]
mod choice;
mod controls;
#[cfg(feature = "v4l")]
mod device;
#[cfg_attr(not(feature = "v4l"), allow(dead_code))]
mod errors;
mod listing;

pub use controls::{Control, controls};
pub use errors::NodeKind;
pub use listing::{DeviceListing, list};

use super::{CameraError, Settings, Source};

/// Opens the device, negotiates a format and starts the stream.
#[cfg(feature = "v4l")]
pub(super) fn open(settings: &Settings) -> Result<Box<dyn Source>, CameraError> {
    Ok(Box::new(capture::V4l2Source::open(settings)?))
}

/// Without the feature: says so.
#[cfg(not(feature = "v4l"))]
pub(super) fn open(settings: &Settings) -> Result<Box<dyn Source>, CameraError> {
    Err(CameraError::settings(format!(
        "this build has no V4L2 support, so {} cannot be opened; build with --features v4l, or set camera.source = \
         \"pipe\" and camera.command = \"ffmpeg -loglevel error -f v4l2 -i {} -f mjpeg -q:v 3 -\"",
        settings.device, settings.device
    )))
}
