//! One picture of a stream.

use graft_base::frame::{Frame, PixelFormat};
use std::time::{Instant, SystemTime};

/// One picture as it came out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub width: u32,
    pub height: u32,
    pub stride: u32,
    pub format: PixelFormat,
    pub bytes: Vec<u8>,
}

impl Picture {
    /// The picture as a frame taken now.
    pub fn frame(self, id: u64) -> Frame {
        Frame {
            id,
            width: self.width,
            height: self.height,
            stride: self.stride,
            format: self.format,
            bytes: self.bytes.into(),
            taken: Instant::now(),
            wall: SystemTime::now(),
            name: None,
        }
    }

    /// A JPEG file as a picture, if it says how large it is.
    pub fn jpeg(bytes: Vec<u8>) -> Option<Self> {
        let (width, height) = crate::jpeg::dimensions(&bytes)?;
        Some(Self { width, height, stride: 0, format: PixelFormat::Jpeg, bytes })
    }
}
