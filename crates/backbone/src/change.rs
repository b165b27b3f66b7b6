//! Whether a crop still shows what was embedded last.

/// Side of the tiles that are compared, in pixels: something small fills a good part of one.
const TILE: usize = 8;

/// Do two squares of RGB bytes, `size` pixels a side, differ in some tile by more than `levels` of 255 on average? Noise
/// moves the mean over a tile's differences by little; a thing that moves, however small, fills a tile or two.
pub(super) fn differ(before: &[u8], now: &[u8], size: usize, levels: f32) -> bool {
    if before.len() != now.len() {
        return true;
    }
    let (row, tile) = (3 * size, 3 * TILE);
    before.chunks(TILE * row).zip(now.chunks(TILE * row)).any(|(before, now)| {
        (0..row).step_by(tile).any(|left| {
            let right = (left + tile).min(row);
            let lines = before.chunks_exact(row).zip(now.chunks_exact(row));
            let sum: u32 = lines.map(|(before, now)| distance(&before[left..right], &now[left..right])).sum();
            sum as f32 > levels * (before.len() / row * (right - left)) as f32
        })
    })
}

fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As written out, tile by tile, for sizes that are no multiple of a tile too.
        #[test]
        fn a_tile_is_its_mean(size in 1usize..40, seed in any::<u64>(), levels in 0f32..8.0) {
            let mut random = fastrand::Rng::with_seed(seed);
            let before: Vec<u8> = (0..3 * size * size).map(|_| random.u8(..)).collect();
            let now: Vec<u8> = before.iter().map(|b| b.saturating_add(random.u8(..12))).collect();
            let mut wanted = false;
            for (top, left) in (0..size).step_by(TILE).flat_map(|y| (0..size).step_by(TILE).map(move |x| (y, x))) {
                let (mut sum, mut count) = (0.0, 0.0);
                for y in top..(top + TILE).min(size) {
                    for at in 3 * (y * size + left)..3 * (y * size + (left + TILE).min(size)) {
                        (sum, count) = (sum + f32::from(now[at] - before[at]), count + 1.0);
                    }
                }
                wanted |= sum > levels * count;
            }
            prop_assert_eq!(differ(&before, &now, size, levels), wanted);
        }
    }

    #[test]
    fn noise_is_no_change_and_a_small_thing_is_one() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut noisy = || (0..3 * 64 * 64).map(|_| 100 + random.u8(..5)).collect::<Vec<u8>>();
        let (before, mut now) = (noisy(), noisy());
        assert!(!differ(&before, &now, 64, 3.0));
        // Four pixels a side, across the corners of four tiles.
        (30..34).for_each(|y| now[3 * (y * 64 + 30)..][..12].fill(200));
        assert!(differ(&before, &now, 64, 3.0));
        assert!(differ(&before, &before[3..], 64, 3.0), "another size is another picture");
    }
}
