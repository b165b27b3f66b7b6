use super::*;
use crate::daemon::frames::LoadedNetwork;
use crate::daemon::testing;
use allocation_counter::measure;
use graft_backbone as backbone;
use graft_backbone::Backbone;
use graft_base::frame::PixelFormat;
use graft_camera::pattern::{PatternSettings, Scene};
use graft_control::Origin;
use graft_learn::Head;
use std::time::SystemTime;

fn thread(change_gate: f32) -> (Inference, queue::Receiver<Observation>, mpsc::Sender<Order>) {
    let (orders, inbox) = mpsc::channel();
    let (observations, observed) = queue::channel(16);
    let (bytes, card) = backbone::tiny();
    let backbone = Backbone::from_bytes(bytes, &card).unwrap();
    let crops =
        CropSettings { roi: None, max_side: 320, jpeg_quality: 90, keep_hz: 4.0, max_hz: None, change_gate };
    let inference = Inference {
        network: Network { backbone, key: Arc::from("k") },
        slot: Arc::default(),
        orders: inbox,
        inbox: testing::inbox().0,
        observations,
        failures: Arc::default(),
        preview: Arc::default(),
        turns: Arc::default(),
        crops,
        threads: 1,
    };
    (inference, observed, orders)
}

fn frame(picture: &Rgb, start: Instant, ms: u64) -> Frame {
    Frame {
        id: ms,
        width: picture.width,
        height: picture.height,
        stride: 3 * picture.width,
        format: PixelFormat::Rgb8,
        bytes: picture.bytes.as_slice().into(),
        taken: start + Duration::from_millis(ms),
        wall: SystemTime::now(),
        name: None,
    }
}

fn head(backbone: &Backbone) -> ActiveHead {
    let classes = ["a", "b"].map(|name| Some(name.to_owned()));
    let head = Head::random(2, backbone.width(), 1).into();
    ActiveHead { version: 1, head, classes: classes.into(), ids: [1, 2].into() }
}

/// Every pixel a level or two up or down.
fn noisy(picture: &Rgb, seed: u64) -> Rgb {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut noisy = picture.clone();
    noisy.bytes.iter_mut().for_each(|byte| *byte = byte.saturating_add(random.u8(..3)));
    noisy
}

#[test]
fn a_scene_at_rest_is_embedded_every_two_seconds_and_each_change_at_once() {
    let (mut inference, ..) = thread(3.0);
    let scene = Scene::new(PatternSettings { hold_frames: 1, ..PatternSettings::default() });
    let [one, other] = [1, 2].map(|n| scene.render(n));
    let (start, mut memory) = (Instant::now(), Memory::default());
    let mut see = |inference: &mut Inference, picture: &Rgb, ms| {
        let (seen, promise) = inference.observe(&frame(picture, start, ms), &mut memory, true).unwrap();
        promise.unwrap().keep(inference.crop_jpeg(&memory.rgb));
        (seen.reused, seen.seen.embedding, seen.seen.picture)
    };
    let (reused, first, _) = see(&mut inference, &one, 0);
    assert!(!reused);
    for ms in [100, 1000, 1900] {
        let picture = noisy(&one, ms);
        let (reused, embedding, jpeg) = see(&mut inference, &picture, ms);
        assert!(reused && Arc::ptr_eq(&embedding, &first));
        // What a label would keep is the frame that was named, not the one that was embedded.
        let own = inference.network.backbone.crop_image(&picture, None, 320);
        assert_eq!(jpeg.wait(), camera::encode_jpeg(&own, 90));
    }
    // An outside picture in between changes nothing.
    inference.embed_picture(&other, Shows::Frame).unwrap();
    assert!(see(&mut inference, &one, 1950).0);
    assert!(!see(&mut inference, &one, 2000).0, "an embedding is as old as a label may be at most");
    let (reused, changed, _) = see(&mut inference, &other, 2100);
    assert!(!reused && changed != first);
    assert!(!see(&mut inference, &one, 2200).0, "what is compared is the last one, not any");
    let (mut off, ..) = thread(0.0);
    let mut memory = Memory::default();
    let both = [0, 100].map(|ms| off.observe(&frame(&one, start, ms), &mut memory, false).unwrap().0.reused);
    assert_eq!(both, [false, false]);
}

#[test]
fn the_whole_picture_is_encoded_ten_times_a_second_and_only_while_somebody_looks() {
    let (inference, ..) = thread(0.0);
    let (start, mut memory) = (Instant::now(), Memory { rgb: Rgb::black(1280, 720), ..Memory::default() });
    inference.show(start, &mut memory);
    assert!(memory.shown.is_none(), "nobody looks");
    let mut viewer = inference.preview.join(1).unwrap();
    let mut shown = |ms| {
        inference.show(start + Duration::from_millis(ms), &mut memory);
        let fresh = viewer.pictures.has_changed().unwrap();
        viewer.pictures.mark_unchanged();
        fresh
    };
    assert_eq!([0, 50, 100, 140, 205].map(&mut shown), [true, false, true, false, true]);
    let picture = camera::decode_image(&viewer.pictures.borrow()).unwrap();
    assert_eq!((picture.width, picture.height), (640, 360));
}

#[test]
fn a_new_backbone_embeds_what_the_old_one_had_seen() {
    let (mut inference, mut observed, orders) = thread(3.0);
    let (slot, other) = (Arc::clone(&inference.slot), thread(3.0).0.network);
    let (inbox, mut told) = testing::inbox();
    inference.inbox = inbox;
    let picture = Rgb::black(64, 48);
    let (start, running) = (Instant::now(), std::thread::spawn(move || inference.run()));
    let mut see = |ms| {
        slot.put(frame(&picture, start, ms));
        observed.blocking_recv().unwrap().reused
    };
    assert_eq!([see(0), see(100)], [false, true]);
    let head = head(&other.backbone);
    let network = LoadedNetwork::new(other.backbone, other.key);
    let then = Installed { origin: Origin::Round(1), version: 1, change: None };
    orders.send(Order::InstallPair { network, head, then }).unwrap();
    // The order is taken before the next frame, or before the one after it.
    assert!([200, 300].map(&mut see).contains(&false));
    assert!(see(400));
    let told = told.blocking_recv();
    assert!(matches!(told, Some(Event::Done(Done::Installed(Installed { version: 1, .. })))), "{told:?}");
    orders.send(Order::Stop).unwrap();
    running.join().unwrap();
}

#[test]
fn frames_that_come_too_soon_are_not_looked_at() {
    let (mut inference, mut observed, orders) = thread(0.0);
    inference.crops.max_hz = Some(5.0);
    let slot = Arc::clone(&inference.slot);
    let (picture, start) = (Rgb::black(64, 48), Instant::now());
    let running = std::thread::spawn(move || inference.run());
    for ms in (0..1000).step_by(100) {
        let put = slot.put_wait(frame(&picture, start, ms), Duration::from_secs(30));
        assert!(put.is_none());
    }
    assert!(slot.put_wait(frame(&picture, start, 5000), Duration::from_secs(30)).is_none());
    let seen: Vec<u64> = std::iter::from_fn(|| observed.blocking_recv())
        .map(|observation| observation.seen.frame)
        .take_while(|frame| *frame < 5000)
        .collect();
    assert_eq!(seen, [0, 200, 400, 600, 800]);
    assert_eq!(slot.drops(), 5);
    orders.send(Order::Stop).unwrap();
    running.join().unwrap();
}

/// Less than the smallest picture on the way takes, the network's of 96 × 96 pixels.
const SMALL: u64 = 8 << 10;

/// From camera frame to prediction nothing is allocated but what is handed on (the embedding once as it comes out and once
/// as it is shared, and the small vectors of a prediction) and what tract and the resizer take for themselves.
#[test]
fn a_frame_allocates_what_it_hands_on() {
    let (mut inference, ..) = thread(3.0);
    let scene = Scene::new(PatternSettings { width: 640, height: 480, ..PatternSettings::default() });
    let (start, mut memory) = (Instant::now(), Memory::default());
    memory.active = Some(head(&inference.network.backbone));
    let frames: Vec<Frame> = (0..4).map(|n| frame(&scene.render(n), start, 10 * n)).collect();
    let mut last = Default::default();
    for frame in &frames {
        let mut observation = None;
        last = measure(|| observation = Some(inference.observe(frame, &mut memory, false)));
        assert!(!observation.unwrap().unwrap().0.reused);
    }
    let backbone = &mut inference.network.backbone;
    let (pixels, embedding) = (vec![0.5; 3 * 96 * 96], vec![0.0; backbone.width()]);
    let tract = measure(|| drop(backbone.embed_pixels(&pixels).unwrap()));
    // What the resizer computes of its filter, and the pixels.
    let resized = measure(|| drop(backbone.pixels(&memory.rgb, None).unwrap()));
    let pixels = 4 * pixels.len() as u64;
    let prediction = measure(|| drop(memory.active.as_ref().unwrap().head.predict(&embedding))).count_total;
    let wanted = tract.count_total + resized.count_total - 1 + prediction + 1;
    assert_eq!(last.count_total, wanted, "{last:?} {tract:?} {resized:?}");
    assert!(last.bytes_total < tract.bytes_total + resized.bytes_total - pixels + SMALL, "{last:?}");
    let again = frame(&scene.render(3), start, 40);
    let mut reused = false;
    let info = measure(|| reused = inference.observe(&again, &mut memory, false).unwrap().0.reused);
    assert!(reused);
    assert_eq!(info.count_total, resized.count_total - 1 + prediction, "{info:?}");
}
