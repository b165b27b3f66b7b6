use super::avi::{Avi, AviError};
use super::*;
use crate::jpeg::MAX_JPEG;
use crate::tests::{avi_file, gray_frame, jpegs};
use crate::to_rgb;
use graft_base::frame::Rgb;
use proptest::prelude::*;

/// Pushes the stream in pieces of these lengths, over and over, and collects what comes out.
fn all(demux: &mut Demux, stream: &[u8], pieces: &[usize]) -> Result<Vec<Picture>, String> {
    let mut found = Vec::new();
    let mut rest = stream;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at((*piece).clamp(1, rest.len().max(1)).min(rest.len()));
        demux.push(now);
        while let Some(picture) = demux.next()? {
            found.push(picture);
        }
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    Ok(found)
}

fn auto() -> Demux {
    Demux::new(StreamFormat::Auto, 0, 0).unwrap()
}

/// A JPEG with another JPEG in an APP1 segment, as a camera's thumbnail.
fn with_thumbnail(jpeg: &[u8], thumbnail: &[u8]) -> Vec<u8> {
    let mut out = jpeg[..2].to_vec();
    out.extend_from_slice(&[0xFF, 0xE1]);
    out.extend_from_slice(&(thumbnail.len() as u16 + 2).to_be_bytes());
    out.extend_from_slice(thumbnail);
    out.extend_from_slice(&jpeg[2..]);
    out
}

fn y4m(header: &str, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("YUV4MPEG2 {header}\n").into_bytes();
    for frame in frames {
        out.extend_from_slice(b"FRAME Ip\n");
        out.extend_from_slice(frame);
    }
    out
}

fn rgb(picture: Picture) -> Rgb {
    let mut out = Rgb::default();
    let frame = picture.frame(1);
    to_rgb(&frame, &mut out).unwrap();
    out
}

#[test]
fn a_thumbnail_is_not_a_frame() {
    let files = jpegs(2);
    let nested = with_thumbnail(&files[0], &files[1]);
    let found = all(&mut auto(), &[nested.clone(), files[1].clone()].concat(), &[1000]).unwrap();
    assert_eq!(found.iter().map(|p| &p.bytes).collect::<Vec<_>>(), [&nested, &files[1]]);
    assert_eq!((found[0].width, found[0].height, found[0].format), (24, 16, PixelFormat::Jpeg));
}

#[test]
fn a_cut_off_file_costs_only_itself() {
    let files = jpegs(3);
    let after = files[2].repeat(70_000 / files[2].len() + 2);
    for cut in 2..files[1].len() {
        let stream = [&files[0][..], b"\r\n--x\r\n", &files[1][..cut], &after].concat();
        let found = all(&mut auto(), &stream, &[4096]).unwrap();
        assert_eq!(found[0].bytes, files[0]);
        assert_eq!(found.last().unwrap().bytes, files[2], "cut at {cut}");
        // A cut inside a segment's length may swallow up to 64 KiB of what follows.
        let merged = found[1..].iter().filter(|picture| picture.bytes != files[2]).count();
        assert!(merged <= 1, "cut at {cut}: {merged} files that were never sent");
    }
}

#[test]
fn an_endless_file_is_given_up() {
    let mut splitter = Splitter::default();
    splitter.push(&jpegs(1)[0]);
    let head = splitter.next().unwrap().bytes;
    splitter.push(&head[..head.len() - 2]);
    for _ in 0..300 {
        splitter.push(&[0x55; 64 << 10]);
        assert!(splitter.next().is_none());
        assert!(splitter.held() <= MAX_JPEG);
    }
    splitter.push(&[&head[..], &head].concat());
    assert_eq!(splitter.next().unwrap().bytes, head, "the stream goes on after it");
}

#[test]
fn y4m_in_all_its_layouts() {
    // 3 x 2, luma 81, u 90, v 240: red in BT.601.
    let red = |chroma: usize| [vec![81; 6], vec![90; chroma], vec![240; chroma]].concat();
    for (layout, chroma) in [("C420jpeg", 2), ("C422", 4), ("C444", 6), ("", 2), ("XCOLORRANGE=LIMITED", 2)] {
        let stream = y4m(&format!("W3 H2 F30000:1001 Ip A1:1 {layout}"), &[red(chroma), red(chroma)]);
        for piece in [1, 7, 1000] {
            let mut demux = auto();
            let found = all(&mut demux, &stream, &[piece]).unwrap();
            assert_eq!(found.len(), 2, "{layout}");
            let Demux::Y4m(y4m) = &demux else { panic!("{layout}") };
            assert!((y4m.header().unwrap().fps.unwrap() - 29.97).abs() < 0.01);
            for picture in found {
                let picture = rgb(picture);
                assert_eq!((picture.width, picture.height), (3, 2));
                for pixel in picture.bytes.chunks(3) {
                    assert!(pixel[0] >= 253 && pixel[1] <= 2 && pixel[2] <= 2, "{layout}: {pixel:?}");
                }
            }
        }
    }
    let mono = all(&mut auto(), &y4m("W2 H1 Cmono", &[vec![16, 235]]), &[5]).unwrap();
    assert_eq!(rgb(mono[0].clone()).bytes, [0, 0, 0, 255, 255, 255]);
    let full = all(&mut auto(), &y4m("W2 H1 Cmono XCOLORRANGE=FULL", &[vec![16, 235]]), &[5]).unwrap();
    assert_eq!(rgb(full[0].clone()).bytes, [16, 16, 16, 235, 235, 235]);
}

#[test]
fn y4m_that_cannot_be_read_says_why() {
    let fails = |stream: &[u8]| all(&mut auto(), stream, &[4096]).unwrap_err();
    assert!(fails(&y4m("W4 H4 C420p10", &[])).contains("pix_fmt"));
    assert!(fails(&y4m("W70000 H4", &[])).contains("70000"));
    assert!(fails(&y4m("H4", &[])).contains("0 x 4"));
    assert!(fails(b"YUV4MPEG2 W1 H1 Cmono\nFRAME\nxFRUME\ny").contains("damaged"));
    assert!(fails(&[b"YUV4MPEG2 ", &[b'x'; 5000][..]].concat()).contains("header"));
}

#[test]
fn raw_frames_are_cut_by_their_size() {
    let mut demux = Demux::new(StreamFormat::Nv12, 3, 3).unwrap();
    let found = all(&mut demux, &(0..40).collect::<Vec<u8>>(), &[7]).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].bytes, (17..34).collect::<Vec<u8>>());
    assert!(Demux::new(StreamFormat::Gray, 0, 0).unwrap_err().contains("camera.width"));
}

#[test]
fn text_is_no_stream() {
    let text = b"Usage: some-camera [options]\n".repeat(3000);
    assert!(all(&mut auto(), &text, &[4096]).unwrap_err().contains("camera.format"));
}

#[test]
fn avi_frames_come_out_and_a_torn_file_plays_as_far_as_it_goes() {
    let files = jpegs(4);
    let avi = avi_file(&files, b"MJPG");
    let read = |bytes: &[u8]| {
        let mut avi = Avi::open(bytes).unwrap();
        let mut found = Vec::new();
        while let Some(frame) = avi.next().unwrap() {
            found.push(frame);
        }
        (found, avi.fps())
    };
    assert_eq!(read(&avi), (files.clone(), Some(12.5)));
    let (found, _) = read(&avi[..avi.len() - 30]);
    assert_eq!(found, files[..3]);
    let (found, _) = read(&[&avi[..], &[0; 64]].concat());
    assert_eq!(found.len(), 4, "zeros after the end");
    let other = Avi::open(&avi_file(&files, b"H264")[..]).unwrap().next().unwrap_err();
    assert!(matches!(other, AviError::Unsupported(text) if text.contains("H264")));
    assert!(Avi::open(&b"RIFF____WAVE"[..]).is_err());
}

proptest! {
    /// However the stream is cut into pieces, the same pictures come out.
    #[test]
    fn pieces_do_not_matter(pieces in proptest::collection::vec(1usize..300, 1..20), junk in "[a-z\r\n-]{0,40}") {
        let files = jpegs(3);
        let stream = files.iter().fold(Vec::new(), |all, file| [&all[..], junk.as_bytes(), file].concat());
        let found = all(&mut auto(), &stream, &pieces).unwrap();
        prop_assert_eq!(found.iter().map(|picture| &picture.bytes).collect::<Vec<_>>(), files.iter().collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_streams_never_panic(
        start in prop::sample::select(vec![
            &b""[..], b"\xFF\xD8\xFF\xE0", b"YUV4MPEG2 W4 H3\nFRAME\n", b"YUV4MPEG2 W", b"\xFF\xD8\xFF\xDA\0\x02",
        ]),
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xFF), Just(0xD8), Just(0xD9)], 0..600),
        pieces in proptest::collection::vec(1usize..64, 1..8),
    ) {
        if let Ok(found) = all(&mut auto(), &[start, &bytes].concat(), &pieces) {
            for picture in found {
                let _ = to_rgb(&picture.frame(1), &mut Rgb::default());
            }
        }
    }

    #[test]
    fn damaged_avi_never_panics(
        hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut avi = avi_file(&jpegs(2), b"MJPG");
        for (index, value) in hits {
            let index = index.index(avi.len());
            avi[index] = value;
        }
        avi.truncate(cut.index(avi.len() * 2));
        if let Ok(mut avi) = Avi::open(&avi[..]) {
            while let Ok(Some(_)) = avi.next() {}
        }
    }

    #[test]
    fn arbitrary_avi_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(mut avi) = Avi::open(&[b"RIFF\0\0\0\0AVI ", &bytes[..]].concat()[..]) {
            while let Ok(Some(_)) = avi.next() {}
        }
    }
}

#[test]
fn a_picture_becomes_a_frame() {
    let picture = Picture { width: 2, height: 2, stride: 2, format: PixelFormat::Gray8, bytes: vec![7; 4] };
    let (frame, other) = (picture.frame(8), gray_frame(8));
    assert_eq!((frame.id, &frame.bytes[..], frame.format), (8, &other.bytes[..], other.format));
}
