use super::*;
use crate::{Kind, Settings, open};
use std::time::{Duration, Instant};

fn scene(seed: u64, shift: f64) -> Scene {
    Scene::new(PatternSettings { seed, shift, hold_frames: 5, ..Default::default() })
}

fn mean(picture: &Rgb) -> [f64; 3] {
    let mut sums = [0u64; 3];
    for pixel in picture.bytes.chunks_exact(3) {
        for (sum, &value) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(value);
        }
    }
    sums.map(|sum| sum as f64 * 3.0 / picture.bytes.len() as f64)
}

#[test]
fn the_same_number_gives_the_same_picture_and_frames_move() {
    let (one, two) = (scene(3, 0.0), scene(3, 0.0));
    assert_eq!(one.render(77), two.render(77));
    assert_ne!(one.render(77), one.render(78));
    assert_ne!(one.render(77), scene(4, 0.0).render(77));
    assert_ne!(one.render(77), scene(3, 0.5).render(77));
}

#[test]
fn every_class_appears_once_in_each_block_and_stays_for_its_frames() {
    let scene = scene(9, 0.0);
    let mut orders = std::collections::BTreeSet::new();
    for block in 0..20 {
        let classes: Vec<usize> = (0..4).map(|i| scene.truth((block * 4 + i) * 5)).collect();
        let mut sorted = classes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3]);
        orders.insert(classes);
    }
    assert!(orders.len() > 5, "the order changes from block to block");
    for n in 0..100 {
        assert_eq!(scene.truth(n), scene.truth(n / 5 * 5));
    }
}

/// The shortcut that would make the demo worthless: telling the classes by colour or brightness alone.
#[test]
fn mean_colour_does_not_give_the_class_away() {
    let scene = scene(5, 0.0);
    let seen: Vec<(usize, [f64; 3])> =
        (0..160).map(|i| (scene.truth(i * 5 + 2), mean(&scene.render(i * 5 + 2)))).collect();
    let centre = |class: usize, without: usize| {
        let mut sum = [0.0; 3];
        let mut count = 0.0;
        for (i, (other, colour)) in seen.iter().enumerate() {
            if *other == class && i != without {
                sum = [0, 1, 2].map(|c| sum[c] + colour[c]);
                count += 1.0;
            }
        }
        sum.map(|value| value / count)
    };
    let right = seen
        .iter()
        .enumerate()
        .filter(|(i, (class, colour))| {
            let distance = |other: usize| {
                let centre = centre(other, *i);
                (0..3).map(|c| (centre[c] - colour[c]).powi(2)).sum::<f64>()
            };
            (0..4).min_by(|&a, &b| distance(a).total_cmp(&distance(b))) == Some(*class)
        })
        .count();
    let rate = right as f64 / seen.len() as f64;
    assert!(rate < 0.45, "nearest mean colour is right in {rate} of the appearances; chance is 0.25");
}

#[test]
fn objects_show_and_stay_in_the_picture() {
    for shift in [0.0, 0.5, 1.0] {
        let scene = scene(11, shift);
        for n in 0..60 {
            let picture = scene.render(n);
            assert_eq!((picture.width, picture.height, picture.bytes.len()), (320, 240, 320 * 240 * 3));
            let level = mean(&picture).iter().sum::<f64>() / 3.0;
            assert!((25.0..235.0).contains(&level), "frame {n}, shift {shift}: mean {level}");
        }
    }
    let odd = Scene::new(PatternSettings {
        width: 1,
        height: 99_999,
        shift: f64::NAN,
        hold_frames: 0,
        ..Default::default()
    });
    assert_eq!((odd.settings().width, odd.settings().height, odd.settings().hold_frames), (16, 4096, 1));
    odd.render(u64::MAX);
}

#[test]
fn the_source_numbers_its_frames_as_the_scene_does() {
    let settings = Settings { source: Kind::Pattern, fps: Some(0.0), seed: 4, ..Default::default() };
    let mut source = open(&settings).unwrap();
    assert!(source.lossless());
    let scene = Scene::new(PatternSettings { seed: 4, ..Default::default() });
    for id in 1..=3 {
        let frame = source.next().unwrap();
        assert_eq!(frame.id, id);
        assert_eq!(frame.bytes[..], scene.render(id).bytes[..]);
    }
}

/// Writes a contact sheet to look at: `GRAFT_SHEET=file.png cargo test --lib sheet -- --ignored`.
#[test]
#[ignore = "writes a picture for people to look at"]
fn sheet() {
    let path = std::env::var("GRAFT_SHEET").unwrap_or_else(|_| "sheet.png".into());
    let mut sheet = image::RgbImage::new(4 * 320, 6 * 240);
    let scenes = [scene(1, 0.0), scene(1, 0.0), scene(1, 0.0), scene(1, 0.0), scene(1, 0.5), scene(1, 1.0)];
    let start = Instant::now();
    for (row, scene) in scenes.iter().enumerate() {
        for column in 0..4u64 {
            let picture = scene.render((row as u64 * 4 + column) * 5 + column);
            let tile = image::RgbImage::from_raw(320, 240, picture.bytes).unwrap();
            image::imageops::replace(&mut sheet, &tile, 320 * column as i64, 240 * row as i64);
        }
    }
    let spent: Duration = start.elapsed() / 24;
    eprintln!("{spent:?} a frame");
    sheet.save(&path).unwrap();
}
