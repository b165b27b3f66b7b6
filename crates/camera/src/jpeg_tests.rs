use super::*;
use proptest::prelude::*;

/// A smooth picture with colour in it.
fn picture(width: u32, height: u32) -> Rgb {
    let mut picture = Rgb::black(width, height);
    for (i, value) in picture.bytes.iter_mut().enumerate() {
        let (x, y, c) = (i / 3 % width as usize, i / 3 / width as usize, i % 3);
        *value = (40 + 60 * c + (x * (3 - c) + y * c) % 90) as u8;
    }
    picture
}

fn mean_difference(a: &Rgb, b: &Rgb) -> f64 {
    let sum: u64 = a.bytes.iter().zip(&b.bytes).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    sum as f64 / a.bytes.len() as f64
}

/// The file without its Huffman tables, as USB cameras send it.
fn without_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    let mut at = 2;
    loop {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]])) + 2;
        if jpeg[at + 1] == 0xDA {
            out.extend_from_slice(&jpeg[at..]);
            return out;
        }
        if jpeg[at + 1] != 0xC4 {
            out.extend_from_slice(&jpeg[at..at + length]);
        }
        at += length;
    }
}

#[test]
fn what_was_encoded_comes_back() {
    for (width, height) in [(64, 48), (17, 33), (1, 1)] {
        for (quality, limit) in [(SAMPLE_QUALITY, 2.0), (70, 6.0)] {
            let original = picture(width, height);
            let jpeg = encode_jpeg(&original, quality);
            assert_eq!(dimensions(&jpeg), Some((width, height)));
            let mut back = Rgb::default();
            decode_jpeg(&jpeg, &mut back).unwrap();
            assert!(mean_difference(&original, &back) < limit, "{width} x {height} at {quality}");
        }
    }
}

#[test]
fn a_frame_without_huffman_tables_decodes_the_same() {
    let jpeg = encode_jpeg(&picture(48, 32), 80);
    let bare = without_tables(&jpeg);
    assert!(bare.len() + 400 < jpeg.len());
    let (mut whole, mut repaired) = (Rgb::default(), Rgb::default());
    decode_jpeg(&jpeg, &mut whole).unwrap();
    decode_jpeg(&bare, &mut repaired).unwrap();
    assert_eq!(whole, repaired);
    assert!(add_missing_tables(&jpeg).is_none());
}

#[test]
fn a_picture_that_cannot_be_encoded_gives_nothing() {
    assert!(encode_jpeg(&Rgb::default(), 90).is_empty());
    assert!(encode_jpeg(&Rgb { width: 2, height: 2, bytes: vec![0; 11] }, 90).is_empty());
    assert!(encode_jpeg(&Rgb { width: 70_000, height: 1, bytes: vec![0; 210_000] }, 90).is_empty());
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut jpeg = encode_jpeg(&picture(16, 16), 80);
    let at = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[at + 5..at + 9].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    let mut out = Rgb::default();
    let text = decode_jpeg(&jpeg, &mut out).unwrap_err();
    assert!(text.contains("65535 x 65535"), "{text}");
    assert_eq!(out.bytes.capacity(), 0, "nothing was allocated");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode_jpeg(&bytes, &mut Rgb::default());
        bytes.splice(0..0, [0xFF, 0xD8]);
        let _ = decode_jpeg(&bytes, &mut Rgb::default());
    }

    /// Cut and damaged files, headers and scans alike.
    #[test]
    fn damaged_files_never_panic(
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(), quality in 60u8..100,
    ) {
        let mut jpeg = encode_jpeg(&picture(40, 24), quality);
        for (index, value) in at {
            let index = index.index(jpeg.len());
            jpeg[index] = value;
        }
        jpeg.truncate(cut.index(jpeg.len() * 2).max(2));
        // A damaged size may be large but allowed; keep the test quick.
        if dimensions(&jpeg).is_none_or(|(width, height)| width * height < 1 << 20) {
            let _ = decode_jpeg(&jpeg, &mut Rgb::default());
        }
    }
}
