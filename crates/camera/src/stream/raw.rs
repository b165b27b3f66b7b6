//! Raw frames of a declared size and layout, one after the other.

use super::picture::Picture;
use crate::settings::size_allowed;
use crate::yuv::packed_size;
use graft_base::frame::PixelFormat;

/// Cuts a stream into frames of the same number of bytes.
#[derive(Debug)]
pub(crate) struct RawFrames {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
    size: usize,
    buffer: Vec<u8>,
}

impl RawFrames {
    /// For frames without padding.
    pub fn new(format: PixelFormat, width: u32, height: u32) -> Result<Self, String> {
        if width == 0 || height == 0 || !size_allowed(width, height) {
            return Err("raw frames need camera.width and camera.height as the command writes them".into());
        }
        let (size, stride) = packed_size(format, width, height).ok_or("JPEG frames have no fixed size")?;
        Ok(Self { format, width, height, stride, size, buffer: Vec::new() })
    }

    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next(&mut self) -> Option<Picture> {
        if self.buffer.len() < self.size {
            return None;
        }
        let rest = self.buffer.split_off(self.size);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        Some(Picture {
            width: self.width,
            height: self.height,
            stride: self.stride,
            format: self.format,
            bytes,
        })
    }
}
