use super::*;
use crate::daemon::frames::{ActiveHead, SeenFrame};
use graft_backbone::{self as backbone, Backbone};
use graft_base::frame::Rgb;
use graft_camera::FrameCheck;
use graft_camera::pattern::{CLASSES, PatternSettings, Scene as Pattern};
use graft_learn::{Alone, Options, Snapshot, train};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Frames of one appearance in the drawn scene, a second apart.
const HOLD: u32 = 5;
const SLICE: Duration = Duration::from_secs(2);
const NEAR: f32 = 0.98;

/// A frame of the drawn scene as the backbone saw it.
#[derive(Clone)]
struct Shown {
    class: usize,
    appearance: u64,
    glance: FrameCheck,
    embedding: Arc<[f32]>,
}

/// A board in a box: backbone, drawn scene, clock.
struct Rig {
    backbone: Backbone,
    start: Instant,
    frames: u64,
}

impl Rig {
    fn new() -> Self {
        let (bytes, card) = backbone::tiny();
        Self { backbone: Backbone::from_bytes(bytes, &card).unwrap(), start: Instant::now(), frames: 0 }
    }

    fn show(&mut self, picture: &Rgb) -> Shown {
        let embedding = self.backbone.embed(picture, None).unwrap().into();
        Shown { class: 0, appearance: 0, glance: FrameCheck::of(picture), embedding }
    }

    fn play(&mut self, pattern: &Pattern, appearances: Range<u64>) -> Vec<Shown> {
        let hold = u64::from(pattern.settings().hold_frames);
        (appearances.start * hold..appearances.end * hold)
            .map(|n| {
                let (class, appearance) = (pattern.truth(n), pattern.appearance(n));
                Shown { class, appearance, ..self.show(&pattern.render(n)) }
            })
            .collect()
    }

    /// The frame as the inference thread tells of it.
    fn observe(&mut self, shown: &Shown, active: &ActiveHead) -> Observation {
        self.frames += 1;
        Observation {
            size: [4, 3],
            glance: shown.glance,
            prediction: Some((active.clone(), active.head.predict(&shown.embedding))),
            seen: SeenFrame {
                frame: self.frames,
                taken: self.start + Duration::from_secs(self.frames),
                wall_ms: 0,
                name: None,
                picture: Default::default(),
                embedding: shown.embedding.clone(),
                key: Arc::from(""),
                sample: None,
                shown: None,
            },
            kept: false,
            reused: false,
            infer_ms: 0.0,
            age_ms: 0.0,
        }
    }

    /// The verdicts that are told, each once until another comes.
    fn watch(&mut self, scene: &mut Scene, frames: &[Shown], active: &ActiveHead) -> Vec<DriftVerdict> {
        let mut told = Vec::new();
        for shown in frames {
            let observation = self.observe(shown, active);
            let verdict = scene.see(&observation, SLICE, NEAR).and_then(|look| scene.verdict(&look));
            told.extend(verdict.filter(|verdict| told.last() != Some(verdict)));
        }
        told
    }
}

/// A head for some of the classes.
fn taught(frames: &[Shown], classes: &[usize]) -> ActiveHead {
    let mut snapshot = Snapshot::new(frames[0].embedding.len(), classes.len());
    for shown in frames {
        if let Some(class) = classes.iter().position(|&class| class == shown.class) {
            snapshot.push(&shown.embedding, class as u32, shown.appearance).unwrap();
        }
    }
    let options = Options { bootstrap: 0, ..Options::default() };
    let round = train(&snapshot, &options, &Alone, &mut |_| ControlFlow::Continue(())).unwrap();
    let names = classes.iter().map(|&class| Some(CLASSES[class].to_owned())).collect();
    ActiveHead {
        version: 1,
        head: Arc::new(round.head),
        classes: names,
        ids: (1..=classes.len() as i64).collect(),
    }
}

fn pattern(shift: f64) -> Pattern {
    Pattern::new(PatternSettings {
        width: 160,
        height: 120,
        hold_frames: HOLD,
        shift,
        ..PatternSettings::default()
    })
}

/// Fewer bursts than this give no verdict.
const LEAST: usize = 8;
const ALL: [usize; 4] = [0, 1, 2, 3];

#[test]
fn drawn_scenes_get_the_verdict_that_is_true() {
    let mut rig = Rig::new();
    let lesson = rig.play(&pattern(0.0), 0..60);
    let later = rig.play(&pattern(0.0), 100..160);
    let elsewhere = rig.play(&pattern(0.9), 100..140);
    let all = taught(&lesson, &ALL);
    let mut scene = Scene::default();
    let same = rig.watch(&mut scene, &later, &all);
    println!("same: {same:?} {:?}", scene.assessment);
    assert_eq!(same, [DriftVerdict::Same]);
    let mut scene = Scene::default();
    let place = rig.watch(&mut scene, &elsewhere, &all);
    println!("other belt, light and paint: {place:?} {:?}", scene.assessment);
    assert_eq!(place.last(), Some(&DriftVerdict::NewPlace));
    let mut found = 0;
    for left_out in ALL {
        let others: Vec<usize> = ALL.into_iter().filter(|&class| class != left_out).collect();
        let mut scene = Scene::default();
        let class = rig.watch(&mut scene, &later, &taught(&lesson, &others));
        println!("{} was not taught: {class:?} {:?}", CLASSES[left_out], scene.assessment);
        found += usize::from(class.contains(&DriftVerdict::NewClass));
        assert!(!class.contains(&DriftVerdict::NewPlace));
    }
    println!("a class that was not taught was noticed in {found} of 4 cases");
    // Nuts and washers look alike to the small backbone.
    assert!(found >= 2);
}

#[test]
fn a_covered_blinded_or_frozen_camera_is_told_and_forgotten() {
    let mut rig = Rig::new();
    let lesson = rig.play(&pattern(0.0), 0..40);
    let (before, after) = lesson.split_at(20 * HOLD as usize);
    let active = taught(&lesson, &ALL);
    let mut white = Rgb::black(160, 120);
    white.bytes.fill(255);
    for (picture, fault) in [
        (Rgb::black(160, 120), CameraFault::Black),
        (white, CameraFault::Saturated),
        (pattern(0.0).render(7), CameraFault::Frozen),
    ] {
        let still = rig.show(&picture);
        let mut scene = Scene::default();
        assert_eq!(rig.watch(&mut scene, before, &active), [DriftVerdict::Same]);
        let bursts = scene.window.len();
        // A moment of it is nothing.
        for (frames, told) in [(8, false), (20, true)] {
            let looks: Vec<Look> = (0..frames)
                .filter_map(|_| {
                    let observation = rig.observe(&still, &active);
                    scene.see(&observation, SLICE, NEAR)
                })
                .filter(|look| matches!(look, Look::Fault(_)))
                .collect();
            assert_eq!(!looks.is_empty(), told, "{fault:?}");
            assert!(looks.iter().all(|look| *look == Look::Fault(fault)), "{looks:?}");
        }
        assert!(scene.window.len() <= bursts + 1, "a fault is no burst");
        assert_eq!(rig.watch(&mut scene, after, &active).last(), Some(&DriftVerdict::Same), "{fault:?}");
    }
}

#[test]
fn a_scene_at_rest_is_one_burst_and_another_head_starts_anew() {
    let mut rig = Rig::new();
    let active = taught(&rig.play(&pattern(0.0), 0..40), &ALL);
    let rest = Pattern::new(PatternSettings { hold_frames: 60, ..pattern(0.0).settings().clone() });
    let frames = rig.play(&rest, 1..2);
    let mut scene = Scene::default();
    rig.watch(&mut scene, &frames, &active);
    println!("a scene at rest for a minute: {} bursts", scene.window.len());
    assert!((1..LEAST).contains(&scene.window.len()));
    let next = ActiveHead { version: 2, ..active };
    rig.watch(&mut scene, &frames[..1], &next);
    assert!(scene.window.is_empty() && scene.head == 2);
}
