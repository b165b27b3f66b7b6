//! Byte streams into pictures, whatever reads the bytes. Pure: bytes are pushed in, pictures taken out.

pub(super) mod avi;
pub(super) mod mjpeg;
pub(super) mod picture;
pub(super) mod raw;
pub(super) mod y4m;

use super::StreamFormat;
use graft_base::frame::PixelFormat;
use mjpeg::Splitter;
use picture::Picture;
use raw::RawFrames;
use y4m::Y4m;

/// Finds the pictures in a stream of MJPEG, Y4M or declared raw frames.
#[derive(Debug)]
pub(super) enum Demux {
    /// Not enough bytes seen yet.
    Unknown(Vec<u8>),
    Mjpeg(Splitter),
    Y4m(Y4m),
    Raw(RawFrames),
}

/// What a Y4M stream begins with.
const Y4M_MAGIC: &[u8] = b"YUV4MPEG2";
/// How many bytes of something else may come before the first JPEG.
const MAX_NOISE: usize = 64 << 10;

impl Demux {
    /// For a declared format; `width` and `height` matter for raw ones.
    pub fn new(format: StreamFormat, width: u32, height: u32) -> Result<Self, String> {
        let layout = match format {
            StreamFormat::Auto => return Ok(Self::Unknown(Vec::new())),
            StreamFormat::Mjpeg => return Ok(Self::Mjpeg(Splitter::default())),
            StreamFormat::Y4m => return Ok(Self::Y4m(Y4m::default())),
            StreamFormat::Rgb24 => PixelFormat::Rgb8,
            StreamFormat::Yuyv => PixelFormat::Yuyv,
            StreamFormat::Nv12 => PixelFormat::Nv12,
            StreamFormat::I420 => PixelFormat::I420,
            StreamFormat::Gray => PixelFormat::Gray8,
        };
        RawFrames::new(layout, width, height).map(Self::Raw)
    }

    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Unknown(seen) => seen.extend_from_slice(bytes),
            Self::Mjpeg(splitter) => splitter.push(bytes),
            Self::Y4m(y4m) => y4m.push(bytes),
            Self::Raw(raw) => raw.push(bytes),
        }
    }

    /// The next whole picture among the bytes pushed so far.
    ///
    /// # Errors
    /// A text when the stream is of no known kind or damaged beyond repair.
    pub fn next(&mut self) -> Result<Option<Picture>, String> {
        if let Self::Unknown(seen) = self {
            let seen = std::mem::take(seen);
            match recognise(&seen)? {
                Some(mut known) => {
                    known.push(&seen);
                    *self = known;
                }
                None => {
                    *self = Self::Unknown(seen);
                    return Ok(None);
                }
            }
        }
        match self {
            Self::Unknown(_) => Ok(None),
            Self::Mjpeg(splitter) => Ok(splitter.next()),
            Self::Y4m(y4m) => y4m.next(),
            Self::Raw(raw) => Ok(raw.next()),
        }
    }

    /// What was found, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "nothing yet",
            Self::Mjpeg(_) => "MJPEG",
            Self::Y4m(_) => "Y4M",
            Self::Raw(_) => "raw frames",
        }
    }
}

/// The kind of stream that begins with these bytes; None: too few to tell.
fn recognise(seen: &[u8]) -> Result<Option<Demux>, String> {
    if seen.starts_with(Y4M_MAGIC) {
        return Ok(Some(Demux::Y4m(Y4m::default())));
    }
    if seen.len() < Y4M_MAGIC.len() && Y4M_MAGIC.starts_with(seen) {
        return Ok(None);
    }
    if seen.windows(3).any(|three| three == [0xFF, 0xD8, 0xFF]) {
        return Ok(Some(Demux::Mjpeg(Splitter::default())));
    }
    if seen.len() < MAX_NOISE {
        return Ok(None);
    }
    Err("the stream is neither MJPEG nor Y4M; for raw frames set camera.format, camera.width and camera.height".into())
}

#[cfg(test)]
mod tests;
