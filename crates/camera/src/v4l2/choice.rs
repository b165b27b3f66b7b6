//! Which of the formats that a device offers is asked for.

use crate::StreamFormat;
use crate::settings::size_allowed;
use graft_base::frame::PixelFormat;

/// A four character code.
pub(super) type Code = [u8; 4];

/// Size asked for when the settings name none: enough for every backbone, and uncompressed at full rate over USB 2.
pub(super) const USUAL_SIZE: (u32, u32) = (640, 480);

/// The codes that can be read, the easiest to read first.
const CODES: [(Code, PixelFormat); 7] = [
    (*b"YUYV", PixelFormat::Yuyv),
    (*b"NV12", PixelFormat::Nv12),
    (*b"YU12", PixelFormat::I420),
    (*b"RGB3", PixelFormat::Rgb8),
    (*b"MJPG", PixelFormat::Jpeg),
    (*b"JPEG", PixelFormat::Jpeg),
    (*b"GREY", PixelFormat::Gray8),
];

/// One format that a device offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub code: Code,
    pub sizes: Sizes,
}

/// The sizes of one format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// The driver does not say.
    Unknown,
    List(Vec<(u32, u32)>),
    /// Smallest, largest, step.
    Range([u32; 3], [u32; 3]),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub code: Code,
    pub width: u32,
    pub height: u32,
}

/// How the bytes of this code are laid out; None: it cannot be read.
pub(super) fn layout(code: Code) -> Option<PixelFormat> {
    CODES.iter().find(|(other, _)| *other == code).map(|(_, format)| *format)
}

/// Whether this is the unprocessed mosaic of a sensor: 8 to 16 bits, plain, packed or compressed.
pub(super) fn is_bayer(code: Code) -> bool {
    let plain = [*b"BA81", *b"GBRG", *b"GRBG", *b"RGGB", *b"BYR2"];
    let order = [&code[..2], &code[1..2]];
    plain.contains(&code)
        || ([*b"BG", *b"GB", *b"BA", *b"RG", *b"GR"].iter().any(|two| order[0] == two)
            && matches!(&code[2..], b"10" | b"12" | b"14" | b"16"))
        || (code[0] == b'p' && matches!(code[1], b'B' | b'G' | b'g' | b'R'))
        || matches!(&code[..3], b"bBA" | b"bGA" | b"bgA" | b"bRA" | b"aBA" | b"aGA" | b"agA" | b"aRA")
        || (code[..2] == *b"PC" && code[3].is_ascii_alphanumeric())
}

/// A code as people write it.
pub(super) fn name(code: Code) -> String {
    code.iter()
        .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' })
        .collect::<String>()
        .trim()
        .into()
}

/// Picks the offer nearest to the wanted size; among equals, uncompressed up to 640 x 480 and compressed above, where
/// USB 2 carries raw frames at a few a second only.
pub(super) fn choose(
    offers: &[Offer],
    format: StreamFormat,
    width: u32,
    height: u32,
) -> Result<Choice, String> {
    let wanted = if width == 0 { USUAL_SIZE } else { (width, height) };
    let large = u64::from(wanted.0) * u64::from(wanted.1) > u64::from(USUAL_SIZE.0) * u64::from(USUAL_SIZE.1);
    let fits = |code: Code| match (format, layout(code)) {
        (_, None) => false,
        (StreamFormat::Auto, Some(_)) => true,
        (StreamFormat::Mjpeg, Some(layout)) => layout == PixelFormat::Jpeg,
        (StreamFormat::Rgb24, Some(layout)) => layout == PixelFormat::Rgb8,
        (StreamFormat::Yuyv, Some(layout)) => layout == PixelFormat::Yuyv,
        (StreamFormat::Nv12, Some(layout)) => layout == PixelFormat::Nv12,
        (StreamFormat::I420, Some(layout)) => layout == PixelFormat::I420,
        (StreamFormat::Gray, Some(layout)) => layout == PixelFormat::Gray8,
        (StreamFormat::Y4m, Some(_)) => false,
    };
    let rank = |code: Code| {
        let place = CODES.iter().position(|(other, _)| *other == code).unwrap_or(CODES.len());
        let jpeg = layout(code) == Some(PixelFormat::Jpeg);
        // Colour before gray, and JPEG first when large.
        if large && jpeg { 0 } else { place + 1 }
    };
    offers
        .iter()
        .filter(|offer| fits(offer.code))
        .filter_map(|offer| {
            let (width, height) = nearest(&offer.sizes, wanted)?;
            let distance = width.abs_diff(wanted.0) + height.abs_diff(wanted.1);
            Some(((distance, rank(offer.code)), Choice { code: offer.code, width, height }))
        })
        .min_by_key(|(key, _)| *key)
        .map(|(_, choice)| choice)
        .ok_or_else(|| refusal(offers, format))
}

fn refusal(offers: &[Offer], format: StreamFormat) -> String {
    let names: Vec<String> = offers.iter().map(|offer| name(offer.code)).collect();
    let offered = if names.is_empty() { "nothing".into() } else { names.join(", ") };
    if !offers.is_empty() && offers.iter().all(|offer| is_bayer(offer.code)) {
        return format!("it gives only unprocessed sensor frames ({offered})");
    }
    if format == StreamFormat::Auto {
        return format!("it offers {offered}; none of these can be read here");
    }
    let format = format!("{format:?}").to_lowercase();
    format!("it offers {offered}, not camera.format = \"{format}\"; set camera.format = \"auto\"")
}

/// The offered size nearest to the wanted one; None: no usable size.
fn nearest(sizes: &Sizes, wanted: (u32, u32)) -> Option<(u32, u32)> {
    match sizes {
        Sizes::Unknown => Some(wanted),
        Sizes::List(list) => list
            .iter()
            .filter(|(width, height)| *width > 0 && *height > 0 && size_allowed(*width, *height))
            .min_by_key(|(width, height)| width.abs_diff(wanted.0).saturating_add(height.abs_diff(wanted.1)))
            .copied(),
        Sizes::Range(across, down) => {
            let fit = |wanted: u32, [least, most, step]: [u32; 3]| {
                let most = most.max(least);
                let inside = wanted.clamp(least, most) - least;
                least + inside - inside % step.max(1)
            };
            let (width, height) = (fit(wanted.0, *across), fit(wanted.1, *down));
            (width > 0 && height > 0 && size_allowed(width, height)).then_some((width, height))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn webcam() -> Vec<Offer> {
        let sizes = |list: &[(u32, u32)]| Sizes::List(list.to_vec());
        vec![
            Offer { code: *b"MJPG", sizes: sizes(&[(1920, 1080), (1280, 720), (640, 480), (320, 240)]) },
            Offer { code: *b"YUYV", sizes: sizes(&[(640, 480), (1280, 720), (320, 240)]) },
            Offer { code: *b"H264", sizes: sizes(&[(800, 600)]) },
        ]
    }

    fn pick(offers: &[Offer], format: StreamFormat, width: u32, height: u32) -> (String, u32, u32) {
        let choice = choose(offers, format, width, height).unwrap();
        (name(choice.code), choice.width, choice.height)
    }

    #[test]
    fn small_is_raw_large_is_compressed_and_size_comes_first() {
        use StreamFormat::{Auto, Mjpeg, Yuyv};
        let cases = [
            (Auto, 0, 0, ("YUYV", 640, 480)),
            (Auto, 1280, 720, ("MJPG", 1280, 720)),
            (Auto, 1920, 1080, ("MJPG", 1920, 1080)),
            (Auto, 800, 600, ("YUYV", 640, 480)),
            (Yuyv, 1920, 1080, ("YUYV", 1280, 720)),
            (Mjpeg, 0, 0, ("MJPG", 640, 480)),
        ];
        for (format, width, height, (code, w, h)) in cases {
            let picked = pick(&webcam(), format, width, height);
            let wanted = (code.to_string(), w, h);
            // 800 x 600 counts as large, so the compressed one of two equal sizes wins.
            let wanted = if width == 800 { ("MJPG".to_string(), w, h) } else { wanted };
            assert_eq!(picked, wanted, "{format:?} {width} x {height}");
        }
    }

    #[test]
    fn ranges_keep_their_steps() {
        let range = |least, most, step| Sizes::Range([least, most, step], [least, most, step]);
        let offer = [Offer { code: *b"NV12", sizes: range(16, 4096, 16) }];
        assert_eq!(pick(&offer, StreamFormat::Auto, 650, 490), ("NV12".into(), 640, 480));
        let fixed = [Offer { code: *b"NV12", sizes: range(64, 64, 0) }];
        assert_eq!(pick(&fixed, StreamFormat::Auto, 0, 0), ("NV12".into(), 64, 64));
    }

    #[test]
    fn refusals_say_what_is_there() {
        let refused = |codes: &[&Code], format| {
            let offers: Vec<Offer> =
                codes.iter().map(|code| Offer { code: **code, sizes: Sizes::Unknown }).collect();
            choose(&offers, format, 0, 0).unwrap_err()
        };
        assert!(refused(&[b"pRAA", b"RG10", b"BA81"], StreamFormat::Auto).contains("unprocessed"));
        assert!(refused(&[b"H264"], StreamFormat::Auto).contains("H264"));
        assert!(refused(&[b"YUYV"], StreamFormat::Mjpeg).contains("camera.format"));
        assert!(refused(&[], StreamFormat::Auto).contains("nothing"));
    }

    #[test]
    fn sensor_mosaics_are_told_from_pictures() {
        for code in [
            b"BA81", b"GBRG", b"RGGB", b"BG10", b"BA10", b"RG12", b"pBAA", b"pgAA", b"pRCC", b"BYR2", b"PC1R",
        ] {
            assert!(is_bayer(*code), "{}", name(*code));
        }
        for (code, _) in CODES {
            assert!(!is_bayer(code), "{}", name(code));
        }
        for code in [b"H264", b"RGBP", b"BGR3", b"Y10 ", b"GREY", b"NV16", b"BA24"] {
            assert!(!is_bayer(*code), "{}", name(*code));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_driver_says_never_panics(
            codes in proptest::collection::vec(prop_oneof![
                prop::sample::select(CODES.iter().map(|(code, _)| *code).collect::<Vec<_>>()), any::<Code>(),
            ], 0..6),
            across in any::<[u32; 3]>(), down in any::<[u32; 3]>(),
            list in proptest::collection::vec(any::<(u32, u32)>(), 0..4),
            width in 0u32..5000, height in 1u32..5000,
        ) {
            for sizes in [Sizes::Unknown, Sizes::Range(across, down), Sizes::List(list)] {
                let offers: Vec<Offer> = codes.iter().map(|&code| Offer { code, sizes: sizes.clone() }).collect();
                if let Ok(choice) = choose(&offers, StreamFormat::Auto, width, height) {
                    prop_assert!(size_allowed(choice.width, choice.height) && layout(choice.code).is_some());
                }
            }
        }
    }
}
