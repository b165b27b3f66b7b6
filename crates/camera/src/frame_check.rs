//! A cheap check of a picture: whether it is black or saturated, and whether it differs from the last one.

use graft_base::frame::Rgb;

/// How many pixels are looked at, about.
const PIXELS: usize = 4096;
/// A channel below this is dark, one above [`BRIGHT`] is at its end.
const DARK: u8 = 20;
const BRIGHT: u8 = 250;
/// This part of the pixels makes the picture dark or bright as a whole.
const NEARLY_ALL: f32 = 0.98;

/// What the check of a picture found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameCheck {
    /// Nearly every pixel is black: a covered lens, no light, a dead sensor.
    pub black: bool,
    /// Nearly every pixel is at the end of its range: blinded, or exposed wrongly.
    pub saturated: bool,
    /// Equal for two equal pictures and hardly ever otherwise: noise changes some pixel of every frame.
    pub fingerprint: u64,
}

impl FrameCheck {
    /// Checks a few thousand pixels, spread over the picture.
    pub fn of(picture: &Rgb) -> Self {
        // An odd step does not keep to one column.
        let step = (picture.bytes.len() / 3 / PIXELS).max(1) | 1;
        let (mut dark, mut bright, mut all) = (0u32, 0u32, 0u32);
        let mut fingerprint = 0xcbf2_9ce4_8422_2325u64;
        for pixel in picture.bytes.as_chunks::<3>().0.iter().step_by(step) {
            dark += u32::from(pixel.iter().all(|&value| value < DARK));
            bright += u32::from(pixel.iter().all(|&value| value > BRIGHT));
            all += 1;
            // FNV-1a's step, for three bytes at once: each step is one to one, so a single other pixel gives another fingerprint.
            let [red, green, blue] = pixel.map(u64::from);
            fingerprint = (fingerprint ^ (red << 16 | green << 8 | blue)).wrapping_mul(0x0100_0000_01b3);
        }
        let nearly_all = |count: u32| all > 0 && count as f32 >= NEARLY_ALL * all as f32;
        Self { black: nearly_all(dark), saturated: nearly_all(bright), fingerprint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::{PatternSettings, Scene};

    #[test]
    fn a_scene_is_neither_dark_nor_bright_and_never_the_same_twice() {
        let scene = Scene::new(PatternSettings::default());
        let [first, again, next] = [3, 3, 4].map(|n| FrameCheck::of(&scene.render(n)));
        assert!(!first.black && !first.saturated);
        assert_eq!(first, again);
        assert_ne!(first.fingerprint, next.fingerprint);
    }

    #[test]
    fn black_and_white_are_told_through_a_little_noise() {
        let filled = |value: u8| {
            let mut picture = Rgb::black(160, 120);
            picture.bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = value ^ (at % 4) as u8);
            FrameCheck::of(&picture)
        };
        assert!(filled(8).black && !filled(8).saturated);
        assert!(filled(252).saturated && !filled(252).black);
        assert!(!filled(128).black && !filled(128).saturated);
        assert!(!FrameCheck::of(&Rgb::default()).black);
    }
}
