//! Bands of lines that show the negative: the far end of the shift.

use super::dice::mix;
use graft_base::frame::Rgb;

/// Bands and the gaps between them, counted over the shorter side.
const STRIPES: f32 = 30.0;

/// Turns every other band towards its negative by `strength` (0 to 1); `phase` (0 to 1) says where the first one begins.
pub(super) fn turn(picture: &mut Rgb, strength: f32, phase: f32) {
    let lines = picture.width.min(picture.height) as f32 / STRIPES;
    let row = 3 * picture.width as usize;
    for (y, line) in picture.bytes.chunks_exact_mut(row).enumerate() {
        if (y as f32 / lines + 2.0 * phase) as u32 % 2 == 1 {
            line.iter_mut()
                .for_each(|value| *value = mix(f32::from(*value), 255.0 - f32::from(*value), strength) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_band_is_the_negative() {
        let mut picture = Rgb::black(60, 90);
        turn(&mut picture, 1.0, 0.0);
        let lines: Vec<u8> = picture.bytes.chunks_exact(180).map(|line| line[0]).collect();
        assert_eq!(lines[..8], [0, 0, 255, 255, 0, 0, 255, 255][..], "{lines:?}");
    }
}
