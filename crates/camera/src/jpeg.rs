//! JPEG in and out.

use super::error::contained;
use super::settings::{MAX_PIXELS, MAX_SIDE, size_allowed};
use graft_base::frame::Rgb;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Quality for stored crops: at and over 90 chroma keeps its full resolution, so that an embedding made again from
/// the stored crop stays close to the first one.
pub const SAMPLE_QUALITY: u8 = 92;

/// Largest JPEG that is looked at, in bytes.
pub(super) const MAX_JPEG: usize = 16 << 20;

/// Writes a picture as a baseline JPEG file; `quality` 1..=100, chroma at full resolution (4:4:4) from 90 on, else
/// halved (4:2:0). Empty when the picture has no pixels, is over 65 535 on a side, or its bytes do not fit its size.
pub fn encode_jpeg(picture: &Rgb, quality: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let (Ok(width), Ok(height)) = (u16::try_from(picture.width), u16::try_from(picture.height)) else {
        return out;
    };
    if picture.bytes.len() != 3 * usize::from(width) * usize::from(height) || picture.bytes.is_empty() {
        return out;
    }
    let quality = quality.clamp(1, 100);
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(if quality >= 90 {
        jpeg_encoder::SamplingFactor::F_1_1
    } else {
        jpeg_encoder::SamplingFactor::F_2_2
    });
    match encoder.encode(&picture.bytes, width, height, jpeg_encoder::ColorType::Rgb) {
        Ok(()) => out,
        Err(_) => Vec::new(),
    }
}

/// Width and height from the frame header, without decoding. None: no JPEG, or no size in it.
pub(super) fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut found = None;
    segments(bytes, |marker, body| {
        let start_of_frame = matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        if start_of_frame && body.len() >= 5 {
            let number = |at: usize| u32::from(u16::from_be_bytes([body[at], body[at + 1]]));
            found = Some((number(3), number(1)));
        }
        !start_of_frame
    });
    found.filter(|&(width, height)| width > 0 && height > 0)
}

/// Walks the header segments up to the first scan and calls `visit(marker, body)` until it returns false.
fn segments(bytes: &[u8], mut visit: impl FnMut(u8, &[u8]) -> bool) {
    let Some(mut rest) = bytes.strip_prefix(&[0xFF, 0xD8]) else { return };
    loop {
        let [0xFF, marker, tail @ ..] = rest else { return };
        match *marker {
            0xFF => rest = &rest[1..],
            0x01 | 0xD0..=0xD7 => rest = tail,
            0xD8 | 0xD9 => return,
            marker => {
                let [high, low, ..] = *tail else { return };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(body) = tail.get(2..length) else { return };
                if !visit(marker, body) || marker == 0xDA {
                    return;
                }
                rest = &tail[length..];
            }
        }
    }
}

/// Decodes one JPEG into `out`, whose memory is used again. The size is checked before anything is decoded. Gray,
/// YCbCr and CMYK files give RGB; EXIF orientation is not applied.
pub(super) fn decode_jpeg(bytes: &[u8], out: &mut Rgb) -> Result<(), String> {
    if bytes.len() > MAX_JPEG {
        return Err(format!("a JPEG of {} bytes is over the limit of {MAX_JPEG}", bytes.len()));
    }
    let (width, height) = dimensions(bytes).ok_or("not a JPEG, or its header is cut off")?;
    if !size_allowed(width, height) {
        return Err(format!(
            "a JPEG of {width} x {height} is over the limit of {MAX_SIDE} a side and {} megapixels",
            MAX_PIXELS / 1_000_000
        ));
    }
    let repaired = add_missing_tables(bytes);
    let bytes = repaired.as_deref().unwrap_or(bytes);
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    contained(|| {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        decoder.decode_headers().map_err(|error| error.to_string())?;
        if decoder.dimensions() != Some((width as usize, height as usize)) {
            return Err("two different sizes in one JPEG".into());
        }
        out.width = width;
        out.height = height;
        out.bytes.resize(3 * width as usize * height as usize, 0);
        if decoder.output_buffer_size() != Some(out.bytes.len()) {
            return Err("a JPEG with an unusual number of channels".into());
        }
        decoder.decode_into(&mut out.bytes).map_err(|error| error.to_string())
    })
}

/// USB cameras leave the Huffman tables out of their frames, as AVI does: the standard ones are meant.
fn add_missing_tables(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut has_tables, mut has_scan) = (false, false);
    segments(bytes, |marker, _| {
        has_tables |= marker == 0xC4;
        has_scan |= marker == 0xDA;
        !has_tables
    });
    if has_tables || !has_scan {
        return None;
    }
    let mut whole = Vec::with_capacity(bytes.len() + 432);
    whole.extend_from_slice(&bytes[..2]);
    for (class, counts, values) in STANDARD_TABLES {
        whole.extend_from_slice(&[0xFF, 0xC4]);
        // 2 length bytes, 1 class byte, 16 counts, at most 162 values.
        whole.extend_from_slice(&((19 + values.len()) as u16).to_be_bytes());
        whole.push(class);
        whole.extend_from_slice(&counts);
        whole.extend_from_slice(values);
    }
    whole.extend_from_slice(&bytes[2..]);
    Some(whole)
}

/// ITU-T T.81, tables K.3 to K.6: (class and slot, codes of each length, values).
const STANDARD_TABLES: [(u8, [u8; 16], &[u8]); 4] = [
    (0x00, [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x10, [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &AC_LUMA),
    (0x01, [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (0x11, [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &AC_CHROMA),
];

#[rustfmt::skip]
const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[rustfmt::skip]
const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
#[path = "jpeg_tests.rs"]
mod tests;
