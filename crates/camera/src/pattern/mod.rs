//! A small shop floor: parts on a conveyor belt under changing light, drawn from a frame number.
//!
//! Made for the demo, for tests and as a camera where there is none. Every appearance of an object is a natural burst:
//! new pose, metal, light, stains and noise. The classes differ in shape; metal, light and stains are drawn without
//! looking at the class, so mean colour says next to nothing.

mod bands;
mod belt;
mod dice;
mod look;
mod paint;
mod shapes;
mod source;

pub use source::PatternSource;

use dice::Dice;
use graft_base::frame::Rgb;
use look::Look;
use shapes::Shape;

/// The classes of the scene; [`Scene::truth`] gives an index into this.
pub const CLASSES: [&str; 4] = ["bolt", "empty", "nut", "washer"];

/// Which scene is drawn, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct PatternSettings {
    /// Width in pixels, 16 to 4096.
    pub width: u32,
    /// Height in pixels, 16 to 4096.
    pub height: u32,
    /// Frames per second when played as a camera; 0 is as fast as they are consumed.
    pub fps: f64,
    /// Another seed is another endless scene.
    pub seed: u64,
    /// Frames for which one object stays; at least 1.
    pub hold_frames: u32,
    /// How far the look has moved from the usual one: up to 1 another belt, paint instead of metal; from there to 2,
    /// bands of lines turn into their negative, wherever they lie, which no backbone has seen.
    pub shift: f64,
}

impl Default for PatternSettings {
    fn default() -> Self {
        Self { width: 320, height: 240, fps: 15.0, seed: 1, hold_frames: 45, shift: 0.0 }
    }
}

/// A deterministic scene: the same settings and frame number give the same picture. On another kind of processor, whose
/// sine may differ in its last bit, a pixel may differ by a level.
#[derive(Debug)]
pub struct Scene {
    settings: PatternSettings,
    tile: Vec<f32>,
    noise: Vec<f32>,
}

/// Length of the noise table, a power of two.
const NOISE: usize = 1 << 14;

impl Scene {
    /// Prepares the scene; settings out of their bounds are clamped to them.
    pub fn new(settings: PatternSettings) -> Self {
        let settings = PatternSettings {
            width: settings.width.clamp(16, 4096),
            height: settings.height.clamp(16, 4096),
            hold_frames: settings.hold_frames.max(1),
            shift: if settings.shift.is_finite() { settings.shift.clamp(0.0, 2.0) } else { 0.0 },
            ..settings
        };
        let mut dice = Dice::new(settings.seed, 7);
        Self {
            tile: belt::tile(settings.seed, look_shift(settings.shift)),
            noise: (0..NOISE).map(|_| dice.normal()).collect(),
            settings,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &PatternSettings {
        &self.settings
    }

    /// Number of the appearance (burst) that frame `n` belongs to.
    pub fn appearance(&self, n: u64) -> u64 {
        n / u64::from(self.settings.hold_frames)
    }

    /// Class of frame `n`, an index into [`CLASSES`]. Each run of `CLASSES.len()` appearances shows every class once.
    pub fn truth(&self, n: u64) -> usize {
        let appearance = self.appearance(n);
        let count = CLASSES.len();
        let mut order = [0; CLASSES.len()];
        for (i, class) in order.iter_mut().enumerate() {
            *class = i;
        }
        let mut dice = Dice::new(self.settings.seed, (appearance / count as u64).wrapping_mul(2) + 1);
        for last in (1..count).rev() {
            order.swap(last, dice.below(last + 1));
        }
        order[(appearance % count as u64) as usize]
    }

    /// Draws frame `n`.
    pub fn render(&self, n: u64) -> Rgb {
        let settings = &self.settings;
        let shape = match CLASSES[self.truth(n)] {
            "bolt" => Some(Shape::Bolt),
            "nut" => Some(Shape::Nut),
            "washer" => Some(Shape::Washer),
            _ => None,
        };
        let short = settings.width.min(settings.height) as f32;
        let wide = [settings.width as f32 / short, settings.height as f32 / short];
        let look = Look::draw(settings.seed, self.appearance(n), shape, look_shift(settings.shift), wide);
        let hold = u64::from(settings.hold_frames);
        let moment = look.moment((n % hold) as f32 / hold as f32, n);
        let noise_seed = Dice::new(settings.seed ^ 0x4E01, n).word();
        let mut picture = paint::paint(self, &look, &moment, noise_seed);
        if settings.shift > 1.0 {
            let phase = Dice::new(settings.seed ^ 0xBA2D, self.appearance(n)).unit();
            bands::turn(&mut picture, settings.shift as f32 - 1.0, phase);
        }
        picture
    }
}

/// The part of the shift that belongs to belt and things.
fn look_shift(shift: f64) -> f32 {
    shift.min(1.0) as f32
}

#[cfg(test)]
mod tests;
