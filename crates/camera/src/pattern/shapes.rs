//! The objects: how far a point is from the outline, and how bright the surface is there.
//!
//! Coordinates are the object's own: its outline reaches about 1 from the centre, x to the right, y down.

use super::dice::step;

/// What lies on the belt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bolt,
    Nut,
    Washer,
}

/// A point of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Distance from the outline in object units, negative inside.
    pub distance: f32,
    /// Brightness of the surface, 1 for a flat face in even light.
    pub shade: f32,
}

/// What differs from one object to the next of its class, and where the light comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub shape: Shape,
    /// Hole of nuts and washers, thickness and length of bolts: 0..1.
    pub proportion: f32,
    /// Towards the light, in object coordinates, length 1.
    pub light: [f32; 2],
    /// How strongly faces differ, 1 for bare metal.
    pub contrast: f32,
}

impl Form {
    /// Radius of a circle around the centre that holds the whole object.
    pub fn reach(&self) -> f32 {
        match self.shape {
            Shape::Bolt => 1.42,
            _ => 1.08,
        }
    }

    pub fn distance(&self, x: f32, y: f32) -> f32 {
        match self.shape {
            Shape::Washer => {
                let radius = (x * x + y * y).sqrt();
                (radius - 1.0).max(self.hole() - radius)
            }
            Shape::Nut => hexagon(x, y).0.max(self.hole() - (x * x + y * y).sqrt()),
            Shape::Bolt => {
                let (shank, tip, head) = self.bolt();
                let taper = (x - tip + 0.12).max(0.0) * 0.7;
                let shank_distance = (y.abs() - shank + taper).max(x - tip).max(-0.8 - x);
                let head_distance = (y.abs() - head).max(x + 0.74).max(-1.2 - x);
                shank_distance.min(head_distance)
            }
        }
    }

    pub fn at(&self, x: f32, y: f32) -> Point {
        let distance = self.distance(x, y);
        let relief = match self.shape {
            Shape::Washer => self.washer_relief(x, y),
            Shape::Nut => self.nut_relief(x, y),
            Shape::Bolt => self.bolt_relief(x, y),
        };
        Point { distance, shade: 1.0 + self.contrast * relief }
    }

    fn hole(&self) -> f32 {
        match self.shape {
            Shape::Nut => 0.36 + 0.12 * self.proportion,
            _ => 0.40 + 0.18 * self.proportion,
        }
    }

    /// Half the shank's thickness, where it ends, half the head's height.
    fn bolt(&self) -> (f32, f32, f32) {
        (0.2 + 0.07 * self.proportion, 1.3 - 0.3 * self.proportion, 0.5 + 0.06 * self.proportion)
    }

    fn facing(&self, x: f32, y: f32) -> f32 {
        x * self.light[0] + y * self.light[1]
    }

    /// Flat ring, turned on a lathe: a highlight across, bevels at both edges.
    fn washer_relief(&self, x: f32, y: f32) -> f32 {
        let radius = (x * x + y * y).sqrt().max(1e-3);
        let facing = self.facing(x, y) / radius;
        let outer = step(0.90, 0.99, radius);
        let inner = step(self.hole() + 0.09, self.hole() + 0.01, radius);
        let lathe = 0.2 * (2.0 * facing * facing - 1.0) + 0.04 * (radius * 70.0).sin();
        lathe * (1.0 - outer - inner) + 0.5 * facing * (outer - inner)
    }

    /// Hexagon with rounded-off corners, a countersink and a threaded hole.
    fn nut_relief(&self, x: f32, y: f32) -> f32 {
        let radius = (x * x + y * y).sqrt().max(1e-3);
        let facing = self.facing(x, y) / radius;
        let (edge, normal) = hexagon(x, y);
        let corner = step(0.86, 0.92, radius);
        let bevel = step(-0.08, 0.0, edge) * (1.0 - corner);
        let sink_end = self.hole() + 0.2;
        let sink = step(sink_end, sink_end - 0.03, radius);
        let thread = step(self.hole() + 0.12, self.hole() + 0.1, radius);
        let face = 0.08 * self.facing(x, y);
        face * (1.0 - sink) - 0.3 * corner
            + 0.45 * corner * facing
            + 0.5 * bevel * self.facing(normal[0], normal[1])
            - sink * (1.0 - thread) * (0.1 + 0.4 * facing)
            - thread * (0.45 + 0.3 * facing + 0.12 * (radius * 130.0).sin())
    }

    /// A hexagonal head from the side, three faces showing, and a threaded shank.
    fn bolt_relief(&self, x: f32, y: f32) -> f32 {
        let (shank, tip, head) = self.bolt();
        let across = self.light[1];
        if x < -0.74 {
            let face = y / (0.5 * head);
            let facing = if face < -1.0 {
                -across
            } else if face > 1.0 {
                across
            } else {
                0.35
            };
            let seam = step(0.08, 0.0, (face.abs() - 1.0).abs());
            let rounding = step(-1.1, -1.2, x);
            let washer_face = step(-0.80, -0.77, x);
            return 0.3 * facing - 0.22 * seam - 0.3 * rounding * (1.0 + self.light[0]) * 0.6
                + 0.2 * washer_face;
        }
        let roll = (y / shank).clamp(-1.0, 1.0);
        let up = (1.0 - roll * roll).sqrt();
        let body =
            0.62 * up + 0.45 * roll * across - 0.35 + 0.5 * step(0.8, 1.0, up * 0.75 + roll * across * 0.66);
        let threaded = step(-0.42, -0.36, x) * step(tip + 0.02, tip - 0.05, x);
        let under_head = step(-0.66, -0.74, x);
        body + threaded * 0.28 * ((x + 0.12 * roll) * 58.0).sin() - 0.35 * under_head
    }
}

/// Distance from a hexagon of apothem 0.88, and the outward normal of its nearest side.
fn hexagon(x: f32, y: f32) -> (f32, [f32; 2]) {
    const SIDES: [[f32; 2]; 3] = [[1.0, 0.0], [0.5, 0.866_025_4], [-0.5, 0.866_025_4]];
    let mut best = (f32::MIN, [0.0, 0.0]);
    for [nx, ny] in SIDES {
        let along = x * nx + y * ny;
        if along.abs() > best.0 {
            best = (along.abs(), [nx * along.signum(), ny * along.signum()]);
        }
    }
    (best.0 - 0.88, best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_are_where_they_should_be() {
        let form = |shape| Form { shape, proportion: 0.5, light: [0.0, -1.0], contrast: 1.0 };
        let inside = |shape, x, y| form(shape).distance(x, y) < 0.0;
        for shape in [Shape::Nut, Shape::Washer] {
            assert!(!inside(shape, 0.0, 0.0), "{shape:?} has a hole");
            assert!(inside(shape, 0.0, 0.8));
        }
        assert!(inside(Shape::Bolt, 0.0, 0.0) && inside(Shape::Bolt, -1.0, 0.45));
        assert!(!inside(Shape::Bolt, 0.5, 0.45));
        assert!(!inside(Shape::Nut, 0.97, 0.0) && inside(Shape::Nut, 0.0, 0.97), "sides and corners");
        for shape in [Shape::Bolt, Shape::Nut, Shape::Washer] {
            let form = form(shape);
            for step in 0..64 {
                let (y, x) = (step as f32 * std::f32::consts::TAU / 64.0).sin_cos();
                let reach = form.reach();
                assert!(form.distance(x * reach, y * reach) > 0.0);
                assert!(form.at(x * 0.7, y * 0.7).shade.is_finite());
            }
        }
    }
}
