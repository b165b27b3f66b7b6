//! AVI files with MJPEG in them, read from front to back: no index is needed, so a recording that was cut off by a
//! power failure plays as far as it goes. Format: Microsoft's AVI RIFF file reference, with OpenDML's further parts.

use crate::jpeg::MAX_JPEG;
use std::io::{self, Read};

/// What the headers say about the first MJPEG stream.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Video {
    stream: u8,
    fps: Option<f64>,
}

/// Why a file gives no more frames.
#[derive(Debug)]
pub(crate) enum AviError {
    Io(io::Error),
    /// No MJPEG in it; the text says what is.
    Unsupported(String),
}

impl From<io::Error> for AviError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the frames of a file one after the other.
#[derive(Debug)]
pub(crate) struct Avi<R> {
    reader: R,
    video: Option<Video>,
    /// Headers seen so far, while they are read.
    streams: u8,
    pending: Option<StreamHeader>,
    other: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct StreamHeader {
    is_video: bool,
    fps: Option<f64>,
}

/// Longest header chunk that is kept.
const MAX_HEADER: usize = 4096;

impl<R: Read> Avi<R> {
    /// Reads the headers up to the first frame.
    pub fn open(reader: R) -> Result<Self, AviError> {
        let mut avi = Self { reader, video: None, streams: 0, pending: None, other: None };
        let mut start = [0; 12];
        avi.reader.read_exact(&mut start)?;
        if &start[..4] != b"RIFF" || &start[8..] != b"AVI " {
            return Err(AviError::Unsupported("not an AVI file".into()));
        }
        Ok(avi)
    }

    /// Frames per second as the file has it, once the first frame was read.
    pub fn fps(&self) -> Option<f64> {
        self.video.and_then(|video| video.fps)
    }

    /// The bytes of the next frame; None at the end, also at a torn one.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, AviError> {
        loop {
            let Some((id, size)) = self.chunk_header()? else { return Ok(None) };
            match &id {
                // Lists are entered by reading on: only what lies in them matters.
                b"RIFF" => {
                    if self.body(4)?.is_none() {
                        return Ok(None);
                    }
                }
                b"LIST" => match self.body(4)?.as_deref() {
                    None => return Ok(None),
                    Some(b"movi") if self.video.is_none() => {
                        let what = self.other.take().unwrap_or_else(|| "no video".into());
                        return Err(AviError::Unsupported(format!("this AVI file holds {what}, not MJPEG")));
                    }
                    Some(b"hdrl" | b"movi" | b"rec ") => {}
                    Some(b"strl") => self.pending = None,
                    Some(_) => {
                        if !self.skip(size.saturating_sub(4))? {
                            return Ok(None);
                        }
                    }
                },
                b"strh" | b"strf" if size as usize <= MAX_HEADER => {
                    let Some(body) = self.padded(size)? else { return Ok(None) };
                    if &id == b"strh" { self.stream_header(&body) } else { self.stream_format(&body) }
                }
                [tens, ones, b'd', b'c' | b'b'] if self.is_wanted(*tens, *ones) => {
                    if size as usize > MAX_JPEG {
                        if !self.skip(size)? {
                            return Ok(None);
                        }
                        continue;
                    }
                    match self.padded(size)? {
                        None => return Ok(None),
                        // An empty chunk repeats the last frame.
                        Some(body) if body.is_empty() => {}
                        Some(body) => return Ok(Some(body)),
                    }
                }
                id if id.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => {
                    if !self.skip(size)? {
                        return Ok(None);
                    }
                }
                // Zeros after the last frame of a recording that was cut off, or rubbish.
                _ => return Ok(None),
            }
        }
    }

    fn is_wanted(&self, tens: u8, ones: u8) -> bool {
        let number = |digit: u8| char::from(digit).to_digit(10);
        let stream = number(tens).zip(number(ones)).map(|(tens, ones)| tens * 10 + ones);
        stream.is_some() && stream == self.video.map(|video| u32::from(video.stream))
    }

    fn stream_header(&mut self, body: &[u8]) {
        let number = |at: usize| {
            body.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        };
        let fps = number(24).zip(number(20)).map(|(rate, scale)| f64::from(rate) / f64::from(scale));
        let fps = fps.filter(|fps| fps.is_finite() && (0.001..=1000.0).contains(fps));
        self.pending = Some(StreamHeader { is_video: body.starts_with(b"vids"), fps });
    }

    fn stream_format(&mut self, body: &[u8]) {
        let stream = self.streams;
        self.streams = self.streams.saturating_add(1);
        let Some(header) = self.pending.take().filter(|header| header.is_video) else { return };
        let compression = body.get(16..20).unwrap_or(b"????");
        if compression.eq_ignore_ascii_case(b"MJPG") && stream < 100 {
            self.video.get_or_insert(Video { stream, fps: header.fps });
        } else {
            self.other = Some(format!("video coded as {:?}", String::from_utf8_lossy(compression)));
        }
    }

    /// The id and size of the next chunk; None at the end.
    fn chunk_header(&mut self) -> io::Result<Option<([u8; 4], u32)>> {
        let Some(head) = self.body(8)? else { return Ok(None) };
        let (id, size) = head.split_at(4);
        Ok(Some(([id[0], id[1], id[2], id[3]], u32::from_le_bytes([size[0], size[1], size[2], size[3]]))))
    }

    /// Exactly so many bytes (callers keep `size` small); None when the file ends before.
    fn body(&mut self, size: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(size as u64).read_to_end(&mut bytes)?;
        Ok((bytes.len() == size).then_some(bytes))
    }

    /// A chunk's body; chunks are padded to an even length.
    fn padded(&mut self, size: u32) -> io::Result<Option<Vec<u8>>> {
        let body = self.body(size as usize)?;
        if body.is_some() && size % 2 == 1 {
            self.body(1)?;
        }
        Ok(body)
    }

    /// Passes over a chunk; false when the file ends before.
    fn skip(&mut self, size: u32) -> io::Result<bool> {
        let size = u64::from(size) + u64::from(size % 2);
        Ok(io::copy(&mut self.reader.by_ref().take(size), &mut io::sink())? == size)
    }
}
