//! Cuts rows of pixels into spans.

/// Pixels of a row that are computed together. The last span of a row may overlap the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) width: u32,
}

/// The cheapest cut of `width` pixels into spans of these widths, the last of which is 1. The last span is moved back
/// where it would stand out, so that some pixels are computed twice.
pub(super) fn cut(width: usize, tiles: &[usize]) -> Vec<Span> {
    // Narrow tiles wait for their own sums, and each tile costs something by itself.
    let cost = |tile: usize| tile.max(4) + 1;
    let mut best = vec![(0, 0); width + 1];
    for left in 1..=width {
        let whole = |tile: &&usize| **tile <= width;
        let of = |tile: &usize| (cost(*tile) + best[left.saturating_sub(*tile)].0, *tile);
        best[left] = tiles.iter().filter(whole).map(of).min().unwrap_or((left * cost(1), 1));
    }
    let mut spans = Vec::new();
    let mut start = 0;
    while start < width {
        let tile = best[width - start].1;
        spans.push(Span { start: start.min(width - tile) as u32, width: tile as u32 });
        start += tile;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_covered_by_known_widths() {
        for tiles in [&[14, 8, 7, 4, 1][..], &[6, 5, 4, 3, 2, 1], &[4, 1]] {
            for width in 1..260 {
                let mut next = 0;
                for span in cut(width, tiles) {
                    assert!(tiles.contains(&(span.width as usize)));
                    assert!(span.start <= next && span.start + span.width <= width as u32);
                    next = span.start + span.width;
                }
                assert_eq!(next, width as u32);
            }
        }
        assert_eq!(cut(56, &[14, 8, 7, 4, 1]).len(), 4);
    }
}
