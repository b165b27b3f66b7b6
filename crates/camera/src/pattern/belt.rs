//! The belt under the objects: a tile of texture that repeats without a seam.

use super::dice::{Dice, mix, step};
use std::f32::consts::TAU;

/// Side of the tile in pixels, a power of two.
pub(super) const TILE: usize = 256;

/// Draws the tile: relative brightness around 0, deviation about 1. `shift` 0 is woven rubber, 1 is coarse slanted
/// planks.
pub(super) fn tile(seed: u64, shift: f32) -> Vec<f32> {
    let coarse = Noise::new(seed, 1, 8, 8);
    let middle = Noise::new(seed, 2, 32, 32);
    let fine = Noise::new(seed, 3, 128, 128);
    let wood = Noise::new(seed, 4, 6, 64);
    let mut grain = Dice::new(seed, 5);
    let mut tile = Vec::with_capacity(TILE * TILE);
    for y in 0..TILE {
        for x in 0..TILE {
            let (u, v) = (x as f32 / TILE as f32, y as f32 / TILE as f32);
            let weave = (TAU * (32.0 * u + 16.0 * v)).sin() * (TAU * (16.0 * v - 32.0 * u)).sin();
            let rubber = 0.9 * coarse.at(u, v)
                + 0.7 * middle.at(u, v)
                + 0.7 * fine.at(u, v)
                + 0.55 * weave
                + 0.35 * grain.normal();
            let slant = (5.0 * v + u).fract();
            let joint = step(0.05, 0.0, slant) + step(0.95, 1.0, slant);
            let planks = 0.8 * coarse.at(u, v) + 1.5 * wood.at(u, v) - 2.4 * joint + 0.25 * grain.normal();
            tile.push(mix(rubber, planks, shift));
        }
    }
    tile
}

/// Smooth noise on a grid that wraps around.
struct Noise {
    across: usize,
    down: usize,
    values: Vec<f32>,
}

impl Noise {
    fn new(seed: u64, stream: u64, across: usize, down: usize) -> Self {
        let mut dice = Dice::new(seed, stream);
        Self { across, down, values: (0..across * down).map(|_| dice.between(-1.0, 1.0)).collect() }
    }

    /// `u`, `v` in 0..1.
    fn at(&self, u: f32, v: f32) -> f32 {
        let (x, y) = (u * self.across as f32, v * self.down as f32);
        let (x0, y0) = (x as usize % self.across, y as usize % self.down);
        let (x1, y1) = ((x0 + 1) % self.across, (y0 + 1) % self.down);
        let (fx, fy) = (step(0.0, 1.0, x.fract()), step(0.0, 1.0, y.fract()));
        let value = |x: usize, y: usize| self.values[y * self.across + x];
        mix(mix(value(x0, y0), value(x1, y0), fx), mix(value(x0, y1), value(x1, y1), fx), fy)
    }
}
