//! What several tests of this room need.

use super::encode_jpeg;
use graft_base::frame::{Frame, PixelFormat, Rgb};
use std::time::{Instant, SystemTime};

/// A 2 x 2 gray frame with this id.
pub fn gray_frame(id: u64) -> Frame {
    Frame {
        id,
        width: 2,
        height: 2,
        stride: 2,
        format: PixelFormat::Gray8,
        bytes: vec![7; 4].into(),
        taken: Instant::now(),
        wall: SystemTime::now(),
        name: None,
    }
}

/// Different small JPEG files, 24 x 16.
pub fn jpegs(count: u8) -> Vec<Vec<u8>> {
    let file = |i: u8| {
        let mut picture = Rgb::black(24, 16);
        for (at, value) in picture.bytes.iter_mut().enumerate() {
            *value = (at as u8).wrapping_mul(i.wrapping_mul(2) + 3);
        }
        encode_jpeg(&picture, 75)
    };
    (0..count).map(file).collect()
}

/// An AVI file without an index, 12.5 frames a second, with a sound stream and odd-sized chunks.
pub fn avi_file(frames: &[Vec<u8>], coding: &[u8; 4]) -> Vec<u8> {
    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }
    fn list(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        chunk(b"LIST", &[&kind[..], body].concat())
    }
    let numbers = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let sound = [chunk(b"strh", &[&b"auds"[..], &[0; 52]].concat()), chunk(b"strf", &[0; 18])].concat();
    let header = [&b"vids"[..], coding, &numbers(&[0, 0, 0, 2, 25, 0, 0, 0, 0, 0, 0, 0])].concat();
    let format = [&numbers(&[40, 24, 16, 0x0018_0001])[..], coding, &numbers(&[0, 0, 0, 0, 0])].concat();
    let video = [chunk(b"strh", &header), chunk(b"strf", &format)].concat();
    let head = [chunk(b"avih", &[0; 56]), list(b"strl", &sound), list(b"strl", &video)].concat();
    let mut movie = Vec::new();
    for frame in frames {
        movie.extend(chunk(b"00wb", &[1; 33]));
        movie.extend(list(b"rec ", &chunk(b"01dc", frame)));
        movie.extend(chunk(b"01dc", b""));
    }
    let body =
        [&b"AVI "[..], &list(b"hdrl", &head), &chunk(b"JUNK", &[9; 41]), &list(b"movi", &movie)].concat();
    chunk(b"RIFF", &body)
}
