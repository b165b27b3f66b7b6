//! Sets that need nothing from outside: clustered numbers, and the built-in scene through the built-in backbone.

use super::set::{Picture, Set};
use crate::bench::sets::synthetic;
use anyhow::{Context, Result};
use graft_backbone as backbone;
use graft_base::frame::Rgb;
use graft_camera::pattern::{CLASSES, PatternSettings, Scene};

/// Numbers as a backbone might give them, in bursts of ten near-copies.
const BURST: usize = 10;
/// Bursts of each class that may be taught; as many judge.
const BURSTS: usize = 16;
/// Appearances of each thing of the scene that may be taught; as many judge.
const APPEARANCES: usize = 12;
/// Frames of one appearance that are looked at.
const FRAMES: u64 = 5;
/// How much light is left in the dark.
const DARK: f32 = 0.4;

/// Three classes in 64 numbers.
pub fn numbers(seed: u64) -> Set {
    let classes = 3;
    let snapshot = synthetic(2 * BURSTS * BURST * classes, 64, classes, seed);
    let picture = |(label, burst): (&u32, &u64)| Picture {
        class: Some(*label as usize),
        group: *burst,
        judges: *burst >= (BURSTS * classes) as u64,
    };
    Set {
        name: "numbers".into(),
        backbone: "drawn".into(),
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        width: snapshot.width,
        values: snapshot.embeddings.iter().map(|value| value.to_f32()).collect(),
        pictures: snapshot.labels.iter().zip(&snapshot.bursts).map(picture).collect(),
        dark: false,
        rate: None,
    }
}

/// The scene of the demo through the built-in backbone, in full and in less light.
///
/// # Errors
/// When the backbone fails.
pub fn scene() -> Result<Set> {
    let (bytes, card) = backbone::tiny();
    let mut network = backbone::Backbone::from_bytes(bytes, &card).context("the built-in backbone")?;
    let settings = PatternSettings::default();
    let (step, hold) = (u64::from(settings.hold_frames) / FRAMES, u64::from(settings.hold_frames));
    let rate = settings.fps / step as f64;
    let scene = Scene::new(settings);
    let taught = (APPEARANCES * CLASSES.len()) as u64;
    let (mut values, mut dark, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for frame in (0..2 * taught * hold).step_by(step as usize) {
        let mut picture = scene.render(frame);
        values.extend(network.embed(&picture, None)?);
        darken(&mut picture);
        dark.extend(network.embed(&picture, None)?);
        let group = scene.appearance(frame);
        pictures.push(Picture { class: Some(scene.truth(frame)), group, judges: group >= taught });
    }
    let width = network.width();
    values.append(&mut dark);
    Ok(Set {
        name: "scene".into(),
        backbone: "tiny".into(),
        classes: CLASSES.map(str::to_owned).to_vec(),
        width,
        values,
        pictures,
        dark: true,
        rate: Some(rate),
    })
}

/// Takes light away, as a lamp that is switched off does.
pub fn darken(picture: &mut Rgb) {
    picture.bytes.iter_mut().for_each(|value| *value = (f32::from(*value) * DARK) as u8);
}
