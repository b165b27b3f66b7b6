use super::*;
use crate::tests::gray_frame;
use proptest::prelude::*;

fn frame(format: PixelFormat, width: u32, height: u32, stride: u32, bytes: Vec<u8>) -> Frame {
    Frame { format, width, height, stride, bytes: bytes.into(), ..gray_frame(1) }
}

/// BT.601 limited range in floating point.
fn reference(y: u8, u: u8, v: u8) -> [f64; 3] {
    // Below black is black.
    let (y, u, v) = (f64::from(y.max(16)) - 16.0, f64::from(u) - 128.0, f64::from(v) - 128.0);
    let y = y * 255.0 / 219.0;
    let (u, v) = (u * 255.0 / 112.0 / 2.0, v * 255.0 / 112.0 / 2.0);
    [y + 1.402 * v, y - 0.344_136 * u - 0.714_136 * v, y + 1.772 * u]
}

fn near(actual: &[u8], wanted: [f64; 3], by: f64) -> bool {
    actual.iter().zip(wanted).all(|(&a, w)| (f64::from(a) - w.clamp(0.0, 255.0)).abs() <= by)
}

#[test]
fn all_luma_and_chroma_values_agree_with_the_float_formula() {
    for y in 0..=255 {
        for (u, v) in [(128, 128), (0, 255), (255, 0), (16, 240), (90, 34), (200, 110), (255, 255), (0, 0)] {
            let mut pixel = [0; 3];
            Range::LIMITED.pixel(y, Range::LIMITED.chroma(u, v), &mut pixel);
            assert!(
                near(&pixel, reference(y, u, v), 0.75),
                "{y} {u} {v}: {pixel:?} {:?}",
                reference(y, u, v)
            );
        }
    }
    let mut pixel = [0; 3];
    Range::FULL.pixel(200, Range::FULL.chroma(128, 128), &mut pixel);
    assert_eq!(pixel, [200; 3]);
}

proptest! {
    /// Every raw layout, odd sizes and padded rows included, gives what indexing by hand gives.
    #[test]
    fn layouts_agree_with_indexing(
        width in prop_oneof![1u32..9, 60u32..140], height in 1u32..7, pad in 0u32..5, seed in any::<u64>(), kind in 0..5usize,
    ) {
        use PixelFormat::{Gray8, I420, Nv12, Rgb8, Yuyv};
        let format = [Rgb8, Gray8, Yuyv, Nv12, I420][kind];
        let (_, row) = packed_size(format, width, height).unwrap();
        let stride = row + pad;
        let mut rng = fastrand::Rng::with_seed(seed);
        let bytes: Vec<u8> = (0..stride as usize * height as usize * 3).map(|_| rng.u8(..)).collect();
        let (s, h) = (stride as usize, height as usize);
        let mut out = Rgb::default();
        to_rgb(&frame(format, width, height, stride, bytes.clone()), &mut out).unwrap();
        for y in 0..h {
            for x in 0..width as usize {
                let got = &out.bytes[3 * (y * width as usize + x)..][..3];
                let wanted = match format {
                    Rgb8 => [0, 1, 2].map(|c| f64::from(bytes[y * s + 3 * x + c])),
                    Gray8 => [f64::from(bytes[y * s + x]); 3],
                    Yuyv => {
                        let quad = &bytes[y * s + 4 * (x / 2)..];
                        reference(quad[2 * (x % 2)], quad[1], quad[3])
                    }
                    Nv12 => {
                        let c = s.next_multiple_of(2);
                        let at = s * h + c * (y / 2) + 2 * (x / 2);
                        reference(bytes[y * s + x], bytes[at], bytes[at + 1])
                    }
                    _ => {
                        let c = s.div_ceil(2);
                        let at = s * h + c * (y / 2) + x / 2;
                        reference(bytes[y * s + x], bytes[at], bytes[at + c * h.div_ceil(2)])
                    }
                };
                prop_assert!(near(got, wanted, 1.6), "{format:?} {x},{y}: {got:?} {wanted:?}");
            }
        }
    }

    /// Any size, stride and bytes: an answer, never a panic.
    #[test]
    fn arbitrary_frames_never_panic(
        width in prop_oneof![0u32..40, any::<u32>()], height in prop_oneof![0u32..40, any::<u32>()],
        stride in prop_oneof![0u32..200, any::<u32>()], kind in 0..6usize,
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        use PixelFormat::{Gray8, I420, Jpeg, Nv12, Rgb8, Yuyv};
        let format = [Rgb8, Gray8, Yuyv, Nv12, I420, Jpeg][kind];
        let _ = to_rgb(&frame(format, width, height, stride, bytes), &mut Rgb::default());
    }
}

#[test]
fn one_byte_less_than_needed_is_refused() {
    use PixelFormat::{Gray8, I420, Nv12, Rgb8, Yuyv};
    for format in [Rgb8, Gray8, Yuyv, Nv12, I420] {
        for (width, height) in [(5, 3), (4, 4), (1, 1)] {
            let (bytes, stride) = packed_size(format, width, height).unwrap();
            let mut out = Rgb::default();
            to_rgb(&frame(format, width, height, stride, vec![0; bytes]), &mut out).unwrap();
            assert_eq!(out.bytes.len(), 3 * width as usize * height as usize);
            let short = frame(format, width, height, stride, vec![0; bytes - 1]);
            assert!(matches!(to_rgb(&short, &mut out), Err(CameraError::Broken(_))), "{format:?}");
            let narrow = frame(format, width, height, stride - 1, vec![0; bytes]);
            assert!(to_rgb(&narrow, &mut out).is_err(), "{format:?}");
        }
    }
}
