//! Camera images as plain values: raw frames and decoded pictures.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// How the bytes of a [`Frame`] are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// 3 bytes a pixel: red, green, blue.
    Rgb8,
    /// 1 byte a pixel: luminance.
    Gray8,
    /// Packed 4:2:2, `Y0 U Y1 V`.
    Yuyv,
    /// Planar Y, then interleaved UV at half resolution.
    Nv12,
    /// Planar Y, U, V, chroma at half resolution.
    I420,
    Jpeg,
}

/// One camera image: where it came from, when it was taken, and its bytes as the camera gave them.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Counts the frames of one source from 1, frames that were never looked at included.
    pub id: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next of the first plane; 0 for [`PixelFormat::Jpeg`].
    pub stride: u32,
    /// Layout of [`Frame::bytes`].
    pub format: PixelFormat,
    pub bytes: Arc<[u8]>,
    /// When it was taken, for durations (never jumps).
    pub taken: Instant,
    /// When it was taken, for people.
    pub wall: SystemTime,
    /// The file it was read from, where it was one.
    pub name: Option<Arc<str>>,
}

/// A decoded picture, 8-bit RGB, rows without padding: `bytes.len() == 3 * width * height`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rgb {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[height, width, 3]`.
    pub bytes: Vec<u8>,
}

impl Rgb {
    pub fn black(width: u32, height: u32) -> Self {
        Self { width, height, bytes: vec![0; width as usize * height as usize * 3] }
    }
}
