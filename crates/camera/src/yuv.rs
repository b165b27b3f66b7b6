//! Frames of every pixel format to RGB.
//!
//! YUV is BT.601, limited range (luma 16..=235) unless a stream says otherwise; chroma is repeated, not interpolated.
//! Coefficients: ITU-R BT.601-7, section 2.5. What cameras give is converted by the crate `yuv`, within two levels of the
//! exact value; rarer layouts of recordings are converted here.

use super::CameraError;
use super::jpeg;
use super::settings::{MAX_SIDE, size_allowed};
use ::yuv::{
    YuvBiPlanarImage, YuvConversionMode, YuvError, YuvPlanarImage, YuvRange, YuvStandardMatrix,
    yuv_nv12_to_rgb, yuv420_to_rgb, yuv422_to_rgb,
};
use graft_base::frame::{Frame, PixelFormat, Rgb};

/// Decodes a frame into `out`, whose memory is used again.
///
/// # Errors
/// [`CameraError::Broken`] when the bytes are too few for the size and stride, or no decodable JPEG.
pub fn to_rgb(frame: &Frame, out: &mut Rgb) -> Result<(), CameraError> {
    let (width, height) = (frame.width, frame.height);
    if frame.format == PixelFormat::Jpeg {
        return jpeg::decode_jpeg(&frame.bytes, out).map_err(CameraError::Broken);
    }
    let layout = Layout::of(frame)?;
    resize(out, width, height)?;
    let bytes = &frame.bytes[..];
    let stride = frame.stride as usize;
    let rows = out.bytes.chunks_exact_mut(3 * width as usize).enumerate();
    match frame.format {
        PixelFormat::Rgb8 => rows.for_each(|(y, row)| {
            row.copy_from_slice(&bytes[y * stride..][..row.len()]);
        }),
        PixelFormat::Gray8 => rows.for_each(|(y, row)| {
            let gray = &bytes[y * stride..][..width as usize];
            row.chunks_exact_mut(3).zip(gray).for_each(|(pixel, &level)| pixel.fill(level));
        }),
        PixelFormat::Yuyv => packed(bytes, stride, out)?,
        PixelFormat::Nv12 | PixelFormat::I420 => {
            let luma = &bytes[..layout.second];
            let interleaved = frame.format == PixelFormat::Nv12;
            let (u, v) =
                if interleaved { (layout.second, layout.second + 1) } else { (layout.second, layout.third) };
            let chroma_rows = height.div_ceil(2) as usize * layout.chroma_stride;
            let Some(last) = bytes.get(layout.third..layout.third + chroma_rows) else {
                // The last row lacks its padding, which the library wants of all rows alike.
                let planes = Planes {
                    luma,
                    luma_stride: stride,
                    u: &bytes[u..],
                    v: &bytes[v..],
                    chroma_stride: layout.chroma_stride,
                    chroma_step: if interleaved { 2 } else { 1 },
                    halved: (true, true),
                    range: Range::LIMITED,
                };
                planes.fill(out);
                return Ok(());
            };
            let chroma_stride = layout.chroma_stride as u32;
            let done = if interleaved {
                let image = YuvBiPlanarImage {
                    y_plane: luma,
                    y_stride: frame.stride,
                    uv_plane: last,
                    uv_stride: chroma_stride,
                    width,
                    height,
                };
                yuv_nv12_to_rgb(
                    &image,
                    &mut out.bytes,
                    3 * width,
                    LIMITED,
                    BT601,
                    YuvConversionMode::Balanced,
                )
            } else {
                let first = &bytes[layout.second..layout.third];
                let image = planar(luma, frame.stride, [first, last], chroma_stride, (width, height));
                yuv420_to_rgb(&image, &mut out.bytes, 3 * width, LIMITED, BT601)
            };
            done.map_err(refused)?;
        }
        PixelFormat::Jpeg => {}
    }
    Ok(())
}

const LIMITED: YuvRange = YuvRange::Limited;
const BT601: YuvStandardMatrix = YuvStandardMatrix::Bt601;

fn planar<'a>(
    y_plane: &'a [u8],
    y_stride: u32,
    [u_plane, v_plane]: [&'a [u8]; 2],
    chroma_stride: u32,
    (width, height): (u32, u32),
) -> YuvPlanarImage<'a, u8> {
    let (u_stride, v_stride) = (chroma_stride, chroma_stride);
    YuvPlanarImage { y_plane, y_stride, u_plane, u_stride, v_plane, v_stride, width, height }
}

/// Packed 4:2:2, a few rows at a time taken apart into planes: what the library makes of packed ones directly is further
/// from the exact value.
fn packed(bytes: &[u8], stride: usize, out: &mut Rgb) -> Result<(), CameraError> {
    const SIDE: usize = MAX_SIDE as usize;
    let (mut y, mut u, mut v) = ([0; SIDE], [0; SIDE / 2], [0; SIDE / 2]);
    let pairs = out.width.div_ceil(2) as usize;
    let row = 3 * out.width as usize;
    let strip = SIDE / (2 * pairs);
    let mut from = bytes.chunks(stride);
    for out_rows in out.bytes.chunks_mut(strip * row) {
        let height = out_rows.len() / row;
        let lumas = y.as_chunks_mut::<2>().0.chunks_exact_mut(pairs);
        let chromas = u.chunks_exact_mut(pairs).zip(v.chunks_exact_mut(pairs));
        for ((luma, (u, v)), packed) in lumas.zip(chromas).zip(from.by_ref().take(height)) {
            for (((luma, u), v), quad) in luma.iter_mut().zip(u).zip(v).zip(packed.as_chunks::<4>().0) {
                (*luma, *u, *v) = ([quad[0], quad[2]], quad[1], quad[3]);
            }
        }
        let (lumas, chromas) = (2 * pairs * height, pairs * height);
        let size = (out.width, height as u32);
        let image = planar(&y[..lumas], 2 * pairs as u32, [&u[..chromas], &v[..chromas]], pairs as u32, size);
        yuv422_to_rgb(&image, out_rows, row as u32, LIMITED, BT601).map_err(refused)?;
    }
    Ok(())
}

/// Sizes were checked before: this does not happen.
fn refused(error: YuvError) -> CameraError {
    CameraError::Broken(error.to_string())
}

/// Makes `out` a picture of this size, whatever it holds, and refuses sizes over the limits.
pub(super) fn resize(out: &mut Rgb, width: u32, height: u32) -> Result<(), CameraError> {
    if width == 0 || height == 0 || !size_allowed(width, height) {
        return Err(CameraError::Broken(format!("a size of {width} x {height} is not possible here")));
    }
    out.width = width;
    out.height = height;
    out.bytes.resize(3 * width as usize * height as usize, 0);
    Ok(())
}

/// Where the planes of a raw frame lie, checked against its bytes.
struct Layout {
    second: usize,
    third: usize,
    chroma_stride: usize,
}

impl Layout {
    fn of(frame: &Frame) -> Result<Self, CameraError> {
        let (width, height, stride) = (frame.width as usize, frame.height as usize, frame.stride as usize);
        if width == 0 || height == 0 || !size_allowed(frame.width, frame.height) || stride > 1 << 20 {
            return Err(CameraError::Broken(format!(
                "a frame of {width} x {height} with {stride} bytes a row is not possible here"
            )));
        }
        // No overflow below: sides are at most 2^14, the stride at most 2^20.
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let row = match frame.format {
            PixelFormat::Rgb8 => 3 * width,
            PixelFormat::Yuyv => 4 * half_width,
            _ => width,
        };
        let second = stride * height;
        let (chroma_stride, third, needed) = match frame.format {
            PixelFormat::Nv12 => {
                let chroma_stride = stride.next_multiple_of(2);
                (chroma_stride, second, second + chroma_stride * (half_height - 1) + 2 * half_width)
            }
            PixelFormat::I420 => {
                let chroma_stride = stride.div_ceil(2);
                let third = second + chroma_stride * half_height;
                (chroma_stride, third, third + chroma_stride * (half_height - 1) + half_width)
            }
            _ => (0, second, stride * (height - 1) + row),
        };
        if stride < row || frame.bytes.len() < needed {
            return Err(CameraError::Broken(format!(
                "{} bytes with {stride} a row are too few for {width} x {height} {:?} ({needed} with at least {row} a \
                 row); check the camera's width, height and format",
                frame.bytes.len(),
                frame.format
            )));
        }
        Ok(Self { second, third, chroma_stride })
    }
}

/// Coefficients in 16.16 fixed point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    offset: i32,
    luma: i32,
    red_v: i32,
    green_u: i32,
    green_v: i32,
    blue_u: i32,
}

impl Range {
    /// Luma 16..=235, chroma 16..=240.
    pub const LIMITED: Self =
        Self { offset: 16, luma: 76_309, red_v: 104_597, green_u: 25_675, green_v: 53_279, blue_u: 132_201 };
    /// All of 0..=255.
    pub const FULL: Self =
        Self { offset: 0, luma: 65_536, red_v: 91_881, green_u: 22_554, green_v: 46_802, blue_u: 116_130 };

    /// What a pair of chroma values adds to red, green and blue.
    fn chroma(self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [self.red_v * v, -self.green_u * u - self.green_v * v, self.blue_u * u]
    }

    fn pixel(self, luma: u8, chroma: [i32; 3], out: &mut [u8]) {
        // Below black is black.
        let base = (i32::from(luma) - self.offset).max(0) * self.luma + (1 << 15);
        for (value, add) in out.iter_mut().zip(chroma) {
            *value = ((base + add) >> 16).clamp(0, 255) as u8;
        }
    }
}

/// The planes of a planar or half-planar YUV picture.
pub(super) struct Planes<'a> {
    pub luma: &'a [u8],
    pub luma_stride: usize,
    pub u: &'a [u8],
    pub v: &'a [u8],
    pub chroma_stride: usize,
    /// Bytes from one chroma value to the next of the same plane.
    pub chroma_step: usize,
    /// Whether chroma is at half resolution: (across, down).
    pub halved: (bool, bool),
    pub range: Range,
}

impl Planes<'_> {
    /// Fills `out`, whose size must be set and whose planes must be long enough (checked by the callers).
    pub fn fill(&self, out: &mut Rgb) {
        let width = out.width as usize;
        let group = if self.halved.0 { 2 } else { 1 };
        for (y, row) in out.bytes.chunks_exact_mut(3 * width).enumerate() {
            let luma = &self.luma[y * self.luma_stride..][..width];
            let start = self.chroma_stride * if self.halved.1 { y / 2 } else { y };
            let us = self.u[start..].iter().step_by(self.chroma_step);
            let vs = self.v[start..].iter().step_by(self.chroma_step);
            let groups = row.chunks_mut(3 * group).zip(luma.chunks(group));
            for ((pixels, lumas), (&u, &v)) in groups.zip(us.zip(vs)) {
                let chroma = self.range.chroma(u, v);
                for (pixel, &luma) in pixels.chunks_exact_mut(3).zip(lumas) {
                    self.range.pixel(luma, chroma, pixel);
                }
            }
        }
    }
}

/// Bytes of one raw frame without padding, and its stride. None for JPEG.
pub(super) fn packed_size(format: PixelFormat, width: u32, height: u32) -> Option<(usize, u32)> {
    let (w, h) = (u64::from(width), u64::from(height));
    let chroma = w.div_ceil(2) * h.div_ceil(2) * 2;
    let (bytes, stride) = match format {
        PixelFormat::Rgb8 => (3 * w * h, 3 * w),
        PixelFormat::Gray8 => (w * h, w),
        PixelFormat::Yuyv => (4 * w.div_ceil(2) * h, 4 * w.div_ceil(2)),
        PixelFormat::Nv12 | PixelFormat::I420 => (w * h + chroma, w),
        PixelFormat::Jpeg => return None,
    };
    Some((usize::try_from(bytes).ok()?, u32::try_from(stride).ok()?))
}

#[cfg(test)]
#[path = "yuv_tests.rs"]
mod tests;
