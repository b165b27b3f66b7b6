//! YUV4MPEG2: a text header, then uncompressed planes. 8 bits, 4:2:0, 4:2:2, 4:4:4 and mono, interlaced ones as they
//! come. Format: yuv4mpeg(5) of the mjpegtools.

use super::picture::Picture;
use crate::settings::size_allowed;
use crate::yuv::{Planes, Range, resize};
use graft_base::frame::{PixelFormat, Rgb};

/// Longest header line that is read.
const MAX_LINE: usize = 4096;

/// The header of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub width: u32,
    pub height: u32,
    /// Frames per second; None when the stream says 0:0.
    pub fps: Option<f64>,
    chroma: Chroma,
    range: Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    Mono,
    Quarter,
    Half,
    Full,
}

#[derive(Debug, Default)]
pub(crate) struct Y4m {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are used up.
    used: usize,
    header: Option<Header>,
    /// Whether the line before the next frame's bytes has been read.
    in_frame: bool,
}

impl Y4m {
    /// Adds bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The header, once it has been read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The next whole picture.
    pub fn next(&mut self) -> Result<Option<Picture>, String> {
        let header = match &self.header {
            Some(header) => header.clone(),
            None => {
                let Some(line) = self.line()? else { return Ok(None) };
                let header = Header::parse(&line)?;
                self.header = Some(header.clone());
                header
            }
        };
        if !self.in_frame {
            let Some(line) = self.line()? else { return Ok(None) };
            if line != "FRAME" && !line.starts_with("FRAME ") {
                return Err("the Y4M stream is damaged: a frame does not begin where it should".into());
            }
            self.in_frame = true;
        }
        let size = header.frame_size();
        let Some(bytes) = self.buffer[self.used..].get(..size) else { return Ok(None) };
        let picture = header.picture(bytes)?;
        self.used += size;
        self.in_frame = false;
        Ok(Some(picture))
    }

    /// The next line without its end; None: not all of it is there.
    fn line(&mut self) -> Result<Option<String>, String> {
        let rest = &self.buffer[self.used..];
        let Some(end) = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n') else {
            return if rest.len() >= MAX_LINE { Err("no Y4M header found".into()) } else { Ok(None) };
        };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.used += end + 1;
        Ok(Some(line))
    }
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("YUV4MPEG2") {
            return Err("not a Y4M stream: it does not begin with YUV4MPEG2".into());
        }
        let (mut width, mut height, mut fps) = (0, 0, None);
        let (mut chroma, mut range) = (Chroma::Quarter, Range::LIMITED);
        for word in words {
            let Some((tag, value)) = word.split_at_checked(1) else { continue };
            match tag {
                "W" => width = value.parse().unwrap_or(0),
                "H" => height = value.parse().unwrap_or(0),
                "F" => fps = ratio(value),
                "C" => chroma = Chroma::parse(value)?,
                "X" if value == "COLORRANGE=FULL" => range = Range::FULL,
                _ => {}
            }
        }
        if width == 0 || height == 0 || !size_allowed(width, height) {
            return Err(format!("a Y4M stream of {width} x {height} is not possible here"));
        }
        Ok(Self { width, height, fps, chroma, range })
    }

    /// Width and height of a chroma plane.
    fn chroma_size(&self) -> (usize, usize) {
        let (width, height) = (self.width as usize, self.height as usize);
        match self.chroma {
            Chroma::Mono => (0, 0),
            Chroma::Quarter => (width.div_ceil(2), height.div_ceil(2)),
            Chroma::Half => (width.div_ceil(2), height),
            Chroma::Full => (width, height),
        }
    }

    fn frame_size(&self) -> usize {
        let (across, down) = self.chroma_size();
        self.width as usize * self.height as usize + 2 * across * down
    }

    /// `bytes` are one whole frame.
    fn picture(&self, bytes: &[u8]) -> Result<Picture, String> {
        let (width, height) = (self.width, self.height);
        if self.chroma == Chroma::Quarter && self.range == Range::LIMITED {
            return Ok(Picture {
                width,
                height,
                stride: width,
                format: PixelFormat::I420,
                bytes: bytes.to_vec(),
            });
        }
        if self.chroma == Chroma::Mono && self.range == Range::FULL {
            return Ok(Picture {
                width,
                height,
                stride: width,
                format: PixelFormat::Gray8,
                bytes: bytes.to_vec(),
            });
        }
        // The other layouts have no pixel format of their own.
        let (luma, chroma) = bytes.split_at(width as usize * height as usize);
        let (across, down) = self.chroma_size();
        // One row of no colour serves all rows of mono: its stride is 0.
        let neutral = if self.chroma == Chroma::Mono { vec![128; width as usize] } else { Vec::new() };
        let (u, v) = match self.chroma {
            Chroma::Mono => (&neutral[..], &neutral[..]),
            _ => chroma.split_at(across * down),
        };
        let mut out = Rgb::default();
        resize(&mut out, width, height).map_err(|error| error.to_string())?;
        let planes = Planes {
            luma,
            luma_stride: width as usize,
            u,
            v,
            chroma_stride: across,
            chroma_step: 1,
            halved: (matches!(self.chroma, Chroma::Quarter | Chroma::Half), self.chroma == Chroma::Quarter),
            range: self.range,
        };
        planes.fill(&mut out);
        Ok(Picture { width, height, stride: 3 * width, format: PixelFormat::Rgb8, bytes: out.bytes })
    }
}

impl Chroma {
    fn parse(value: &str) -> Result<Self, String> {
        match value {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Self::Quarter),
            "422" => Ok(Self::Half),
            "444" => Ok(Self::Full),
            "mono" => Ok(Self::Mono),
            other => Err(format!(
                "Y4M with chroma {other:?} is not read, only 8-bit 420, 422, 444 and mono; add -pix_fmt yuv420p to ffmpeg"
            )),
        }
    }
}

/// `num:den` as a rate; None when it makes no sense.
fn ratio(value: &str) -> Option<f64> {
    let (top, bottom) = value.split_once(':')?;
    let rate = top.parse::<u32>().ok()? as f64 / bottom.parse::<u32>().ok()? as f64;
    (rate.is_finite() && rate > 0.0 && rate <= 1000.0).then_some(rate)
}
