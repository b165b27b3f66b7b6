//! Puts one frame together: belt, spots, shadow, object, light, lens and sensor.

use super::belt::TILE;
use super::dice::{mix, step};
use super::look::{Look, Moment};
use super::{NOISE, Scene};
use graft_base::frame::Rgb;

/// Rubber and wood.
const BELTS: [[f32; 3]; 2] = [[88.0, 97.0, 92.0], [198.0, 172.0, 136.0]];

pub(super) fn paint(scene: &Scene, look: &Look, moment: &Moment, noise_seed: u64) -> Rgb {
    let (width, height) = (scene.settings.width as usize, scene.settings.height as usize);
    let mut canvas = vec![0.0f32; width * height * 3];
    let frame = Canvas { scene, moment, width, height, short: width.min(height) as f32 };
    frame.belt(look, &mut canvas);
    frame.object(&mut canvas);
    frame.light(&mut canvas);
    frame.sensor(look, noise_seed, &canvas)
}

struct Canvas<'a> {
    scene: &'a Scene,
    moment: &'a Moment,
    width: usize,
    height: usize,
    /// Pixels of the shorter side.
    short: f32,
}

impl Canvas<'_> {
    /// Pixel position in shorter sides from the centre.
    fn place(&self, x: usize, y: usize) -> [f32; 2] {
        [
            (x as f32 + 0.5 - 0.5 * self.width as f32) / self.short,
            (y as f32 + 0.5 - 0.5 * self.height as f32) / self.short,
        ]
    }

    /// The pixels of a circle's bounding box: (x range, y range).
    fn bounds(&self, centre: [f32; 2], radius: f32) -> [std::ops::Range<usize>; 2] {
        let range = |centre: f32, pixels: usize| {
            let middle = centre * self.short + 0.5 * pixels as f32;
            let low = (middle - radius * self.short).floor().clamp(0.0, pixels as f32) as usize;
            let high = (middle + radius * self.short).ceil().clamp(0.0, pixels as f32) as usize;
            low..high
        };
        [range(centre[0], self.width), range(centre[1], self.height)]
    }

    /// Textured belt with its spots; the texture is drawn for 240 lines and grows with the picture.
    fn belt(&self, look: &Look, canvas: &mut [f32]) {
        let shift = super::look_shift(self.scene.settings.shift);
        let base = [0, 1, 2].map(|c| mix(BELTS[0][c], BELTS[1][c], shift));
        let depth = mix(0.085, 0.12, shift);
        let zoom = 240.0 / self.short;
        let wrap = |offset: f32| (offset * 240.0).rem_euclid(TILE as f32);
        let [left, top] = self.moment.belt.map(wrap);
        for (y, row) in canvas.chunks_exact_mut(3 * self.width).enumerate() {
            let line = (y as f32 * zoom + top) as usize % TILE * TILE;
            let tile = &self.scene.tile[line..line + TILE];
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                // Between two texels, so that the belt glides instead of hopping from pixel to pixel.
                let at = x as f32 * zoom + left;
                let (index, part) = (at as usize, at.fract());
                let texel = mix(tile[index % TILE], tile[(index + 1) % TILE], part);
                let level = 1.0 + depth * texel;
                for (value, base) in pixel.iter_mut().zip(base) {
                    *value = base * level;
                }
            }
        }
        let moved = [self.moment.belt[0] - look.belt[0], self.moment.belt[1] - look.belt[1]];
        for spot in &look.spots {
            let centre = [spot.x - moved[0], spot.y - moved[1]];
            let [xs, ys] = self.bounds(centre, spot.radius);
            for y in ys {
                for x in xs.clone() {
                    let [px, py] = self.place(x, y);
                    let away = ((px - centre[0]).hypot(py - centre[1])) / spot.radius;
                    let level = 1.0 + spot.tone * step(1.0, 1.0 - spot.softness, away);
                    for value in &mut canvas[3 * (y * self.width + x)..][..3] {
                        *value *= level;
                    }
                }
            }
        }
    }

    /// The object and the shadow it casts.
    fn object(&self, canvas: &mut [f32]) {
        let Some(form) = &self.moment.form else { return };
        let moment = self.moment;
        let reach = form.reach() * moment.unit + 0.06;
        let [xs, ys] = self.bounds(moment.centre, reach);
        let pixel_size = 1.0 / (self.short * moment.unit);
        let [sin, cos] = moment.turn;
        for y in ys {
            for x in xs.clone() {
                let [px, py] = self.place(x, y);
                let own = |dx: f32, dy: f32| {
                    let (dx, dy) = (dx / moment.unit, dy / moment.unit);
                    (dx * cos + dy * sin, dy * cos - dx * sin)
                };
                let (dx, dy) = (px - moment.centre[0], py - moment.centre[1]);
                let (u, v) = own(dx, dy);
                if u * u + v * v > (form.reach() + 0.3) * (form.reach() + 0.3) {
                    continue;
                }
                let pixel = &mut canvas[3 * (y * self.width + x)..][..3];
                let point = form.at(u, v);
                let cover = (0.5 - point.distance / pixel_size).clamp(0.0, 1.0);
                if cover < 1.0 {
                    let (u, v) = own(dx + 0.025 * moment.light[0], dy + 0.025 * moment.light[1]);
                    let dark = 1.0 - 0.55 * step(0.11, -0.09, form.distance(u, v));
                    pixel.iter_mut().for_each(|value| *value *= dark);
                }
                if cover > 0.0 {
                    for (value, tint) in pixel.iter_mut().zip(moment.tint) {
                        // Highlights are white whatever the metal.
                        let lit = tint * point.shade + 70.0 * (point.shade - 1.25).max(0.0);
                        *value = mix(*value, lit.max(6.0), cover);
                    }
                }
            }
        }
    }

    /// Lamp, its fall-off and the shadow that wanders through the picture.
    fn light(&self, canvas: &mut [f32]) {
        let moment = self.moment;
        let [dx, dy, place, half_width, depth] = moment.shadow;
        for (y, row) in canvas.chunks_exact_mut(3 * self.width).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let [px, py] = self.place(x, y);
                let lamp =
                    1.0 + moment.gradient[0] * px + moment.gradient[1] * py - 0.18 * (px * px + py * py);
                let across = (px * dx + py * dy - place).abs();
                let level = lamp * (1.0 - depth * step(half_width + 0.12, half_width - 0.06, across));
                for (value, gain) in pixel.iter_mut().zip(moment.gains) {
                    *value *= gain * level;
                }
            }
        }
    }

    /// A slightly soft lens, photon and read-out noise, eight bits.
    fn sensor(&self, look: &Look, noise_seed: u64, canvas: &[f32]) -> Rgb {
        let mut picture = Rgb::black(self.width as u32, self.height as u32);
        let line = 3 * self.width;
        let (side, centre) = (look.blur, 1.0 - 4.0 * look.blur);
        let mut seed = noise_seed;
        for (y, out) in picture.bytes.chunks_exact_mut(line).enumerate() {
            let row = |y: usize| &canvas[y * line..(y + 1) * line];
            let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(self.height - 1)));
            seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let noise_start = (seed >> 40) as usize;
            for (i, value) in out.iter_mut().enumerate() {
                let left = here[if i >= 3 { i - 3 } else { i }];
                let right = here[if i + 3 < line { i + 3 } else { i }];
                let level = centre * here[i] + side * (left + right + above[i] + below[i]);
                // Deviation grows with the signal, as photon noise does; a straight line is close enough.
                let deviation = look.noise * (0.55 + level * 0.0045);
                let noise = self.scene.noise[(noise_start + i) & (NOISE - 1)];
                *value = (level + deviation * noise).clamp(0.0, 255.0) as u8;
            }
        }
        picture
    }
}
