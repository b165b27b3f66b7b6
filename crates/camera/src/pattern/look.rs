//! Everything that is drawn by lot for one appearance of an object, and how it changes over its frames.

use super::dice::{Dice, mix};
use super::shapes::{Form, Shape};
use std::f32::consts::{PI, TAU};

/// Bare and plated metals, red-green-blue. None gives its class away.
const METALS: [[f32; 3]; 5] = [
    [168.0, 172.0, 178.0],
    [190.0, 160.0, 98.0],
    [46.0, 47.0, 52.0],
    [204.0, 205.0, 204.0],
    [170.0, 116.0, 88.0],
];
/// Paints of the shifted look.
const PAINTS: [[f32; 3]; 4] =
    [[38.0, 58.0, 118.0], [124.0, 36.0, 30.0], [28.0, 84.0, 60.0], [44.0, 44.0, 50.0]];

/// A dark or bright spot on the belt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// Centre and radius, as fractions of the picture's shorter side, from the picture's centre.
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    /// Added to the brightness, relative.
    pub tone: f32,
    /// Width of its edge relative to its radius.
    pub softness: f32,
}

/// One appearance: an object, its way over the belt, the light.
#[derive(Clone, Debug)]
pub(super) struct Look {
    shape: Option<Shape>,
    proportion: f32,
    tint: [f32; 3],
    place: [f32; 2],
    travel: f32,
    angle: f32,
    turn: f32,
    size: f32,
    growth: f32,
    light_angle: f32,
    brightness: f32,
    warmth: f32,
    gradient: [f32; 2],
    shade: [f32; 5],
    phase: f32,
    contrast: f32,
    pub spots: Vec<Spot>,
    /// How much of a pixel is taken from its four neighbours, each.
    pub blur: f32,
    /// Deviation of the sensor noise, of 255.
    pub noise: f32,
    /// Where on the belt this appearance starts, in shorter sides.
    pub belt: [f32; 2],
}

/// The look of one frame.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub form: Option<Form>,
    /// Centre in shorter sides from the picture's centre.
    pub centre: [f32; 2],
    /// Sine and cosine of the object's angle.
    pub turn: [f32; 2],
    /// Object unit in shorter sides.
    pub unit: f32,
    pub tint: [f32; 3],
    /// Red, green, blue gain of the light.
    pub gains: [f32; 3],
    /// Brightness change across and down, per shorter side.
    pub gradient: [f32; 2],
    /// The moving shadow: direction (2), place, half width, depth.
    pub shadow: [f32; 5],
    /// Towards the light in picture coordinates.
    pub light: [f32; 2],
    /// How far the belt has moved, in shorter sides.
    pub belt: [f32; 2],
}

impl Look {
    /// Draws an appearance; `wide` is the picture's longer side over its shorter one.
    pub fn draw(seed: u64, appearance: u64, shape: Option<Shape>, shift: f32, wide: [f32; 2]) -> Self {
        let mut dice = Dice::new(seed, appearance.wrapping_add(1000));
        let metal = METALS[dice.below(METALS.len())];
        let paint = PAINTS[dice.below(PAINTS.len())];
        let tone = dice.between(0.88, 1.12);
        let size = dice.between(0.24, 0.33);
        let travel = 0.24 * wide[0].min(1.4);
        let room = |wide: f32, reach: f32| (0.5 * wide - reach).max(0.0);
        let reach = size * if shape == Some(Shape::Bolt) { 1.25 } else { 1.0 };
        let across = room(wide[0], reach + 0.5 * travel);
        let down = room(wide[1], reach);
        let mut spots = Vec::new();
        for _ in 0..dice.below(4) {
            spots.push(Spot {
                x: dice.between(-0.5, 0.5) * wide[0],
                y: dice.between(-0.5, 0.5) * wide[1],
                radius: dice.between(0.05, 0.25),
                tone: if dice.unit() < 0.6 { dice.between(-0.32, -0.12) } else { dice.between(0.12, 0.4) },
                softness: dice.between(0.3, 0.9),
            });
        }
        for _ in 0..3 + dice.below(9) {
            spots.push(Spot {
                x: dice.between(-0.6, 0.6) * wide[0],
                y: dice.between(-0.5, 0.5) * wide[1],
                radius: dice.between(0.004, 0.012),
                tone: if dice.unit() < 0.5 { dice.between(0.3, 0.9) } else { dice.between(-0.6, -0.3) },
                softness: 0.6,
            });
        }
        let shade_angle = dice.between(0.0, TAU);
        Self {
            shape,
            proportion: dice.unit(),
            tint: [0, 1, 2].map(|c| mix(metal[c] * tone, paint[c] * tone, shift)),
            place: [dice.between(-across, across), dice.between(-down, down)],
            travel,
            angle: dice.between(0.0, TAU),
            turn: dice.between(-0.6, 0.6),
            size,
            growth: dice.between(-0.08, 0.08),
            light_angle: dice.between(-PI, 0.0),
            brightness: dice.between(0.72, 1.22),
            warmth: dice.between(-0.11, 0.11),
            gradient: [dice.between(-0.25, 0.25), dice.between(-0.25, 0.25)],
            shade: [
                shade_angle.cos(),
                shade_angle.sin(),
                dice.between(-0.7, 0.7),
                dice.between(0.1, 0.35),
                dice.between(0.0, 0.42) * mix(1.0, 1.3, shift),
            ],
            phase: dice.between(0.0, TAU),
            contrast: mix(1.0, 0.6, shift),
            spots,
            blur: dice.between(0.04, 0.13),
            noise: dice.between(2.0, 4.5),
            belt: [dice.unit(), dice.unit()],
        }
    }

    /// The look at `part` (0..1) of the appearance, `n` frames after the scene's first one.
    pub fn moment(&self, part: f32, n: u64) -> Moment {
        // 2^16 frames, over an hour, before the slow drifts repeat: enough, and exact in f32.
        let time = (n % (1 << 16)) as f32;
        let drift =
            0.07 * (TAU * time / 1024.0 + self.phase).sin() + 0.03 * (TAU * time / 128.0 + self.phase).sin();
        let brightness = self.brightness * (1.0 + drift);
        let warmth = self.warmth + 0.03 * (TAU * time / 512.0).sin();
        let (sin, cos) = (self.angle + self.turn * (part - 0.5)).sin_cos();
        let (light_y, light_x) = self.light_angle.sin_cos();
        let form = self.shape.map(|shape| Form {
            shape,
            proportion: self.proportion,
            light: [light_x * cos + light_y * sin, light_y * cos - light_x * sin],
            contrast: self.contrast,
        });
        let along = self.travel * (part - 0.5);
        let sway = 0.004 * (time * 0.9 + self.phase).sin();
        let [dx, dy, place, width, depth] = self.shade;
        Moment {
            form,
            centre: [self.place[0] + along, self.place[1] + sway],
            turn: [sin, cos],
            unit: self.size * (1.0 + self.growth * (part - 0.5)),
            tint: self.tint,
            gains: [brightness * (1.0 + warmth), brightness, brightness * (1.0 - warmth)],
            gradient: self.gradient,
            shadow: [dx, dy, place + 0.5 * (part - 0.5), width, depth],
            light: [light_x, light_y],
            belt: [self.belt[0] - along, self.belt[1] - sway],
        }
    }
}
