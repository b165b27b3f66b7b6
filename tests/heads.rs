//! Heads on their way out of the board: over MQTT in parts, as files, as ONNX.

use crate::service::{label_truth, published_head, scene};
use crate::support::{Board, PATIENCE, block_on, body, broker, operator, order};
use graft_backbone::Backbone;
use graft_camera::pattern::CLASSES;
use graft_learn::Head;
use graft_testing::operator::Message;
use graft_testing::skip;
use serde_json::json;
use std::process::Command;

/// A head of 1280 x 100 is over 64 KiB, over rumqttc's default limit and over one part.
#[test]
fn a_head_of_1280_by_100_goes_through_the_broker_whole() {
    let Some(shared) = crate::shared() else {
        return skip("shared", "the backbone of width 1280 is not here (GRAFT_SHARED)");
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let onnx = shared.join("models/mobilenetv2_1.0_224_imagenet.onnx");
    board.set("backbone.file", onnx.to_str().unwrap());
    board.set("camera.fps", "2");
    // A hundred classes of two pictures each: pieces of photographs.
    let photos = shared.join("data/hymenoptera/train/ants");
    let mut names: Vec<_> = std::fs::read_dir(photos).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let folder = board.path("hundred");
    for (class, photo) in names.iter().take(100).enumerate() {
        let picture = graft_camera::read_image(photo).unwrap();
        let class = folder.join(format!("class {class:03}"));
        std::fs::create_dir_all(&class).unwrap();
        for half in 0..2u32 {
            let width = picture.width / 2;
            let mut piece = graft_base::frame::Rgb::black(width, picture.height);
            for y in 0..picture.height as usize {
                let from = 3 * (y * picture.width as usize + (half * width) as usize);
                let to = 3 * y * width as usize;
                let row = 3 * width as usize;
                piece.bytes[to..to + row].copy_from_slice(&picture.bytes[from..from + row]);
            }
            std::fs::write(class.join(format!("{half}.jpg")), graft_camera::encode_jpeg(&piece, 90)).unwrap();
        }
    }
    board.start();
    board.json(&["dataset", "import", "--wait", folder.to_str().unwrap()]);
    let version = {
        board.json(&["train", "--wait"]);
        board.json(&["status"])["head"]["version"].as_u64()
    };
    // Whether such a head passes the gate is not the question here; a kept one can be applied.
    let heads = board.json(&["head", "list"]);
    let newest = heads["heads"][0]["version"].as_u64().unwrap();
    let version = version.unwrap_or_else(|| {
        board.json(&["head", "apply", &newest.to_string()])["data"]["version"].as_u64().unwrap()
    });
    block_on(async {
        let mut operator = operator(&broker).await;
        let (manifest, file) = published_head(&mut operator, version).await;
        assert_eq!((file.head.classes, file.head.width), (100, 1280));
        assert!(manifest.size > 512_000 && manifest.parts.len() > 8, "{} bytes", manifest.size);
        println!("{} bytes in {} parts read back", manifest.size, manifest.parts.len());
    });
}

/// The scene's crops and what the head said of them, from a board that has been taught.
fn taught(board: &mut Board, broker: &graft_testing::broker::Broker) -> u64 {
    board.start();
    block_on(async {
        let mut operator = operator(broker).await;
        for class in CLASSES {
            order(&mut operator, "dataset", json!({"action": "add_class", "class": class})).await;
        }
        label_truth(&mut operator, 2).await;
        let from = operator.now();
        order(&mut operator, "train", json!({"action": "start", "method": "ridge"})).await;
        let applied = |m: &Message| m.topic.ends_with("/event") && body(m)["type"] == "head_applied";
        let event = operator.wait_for(from, PATIENCE, "a head", applied).await.unwrap();
        body(&event)["data"]["version"].as_u64().unwrap()
    })
}

#[test]
fn exported_heads_say_what_the_daemon_says() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    taught(&mut board, &broker);
    let file = |name: &str| dir.path().join(name).display().to_string();
    for (format, name) in [("safetensors", "h.safetensors"), ("onnx", "h.onnx"), ("merged-onnx", "m.onnx")] {
        let output = board.cli(&["head", "export", "--format", format, "--out", &file(name)]);
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let key = board.json(&["status"])["public_key"].as_str().unwrap().to_owned();
    let output = board.cli(&["head", "verify", &file("h.safetensors")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(key.len(), 44);

    // The daemon's own answer, by the same room that it uses.
    let head: Head =
        graft_wire::HeadFile::decode(&std::fs::read(file("h.safetensors")).unwrap()).unwrap().head;
    let (bytes, card) = graft_backbone::tiny();
    let card = graft_backbone::Card { crop: graft_backbone::Crop::Stretch, ..card };
    let mut backbone = Backbone::from_bytes(bytes, &card).unwrap();
    let scene = scene();
    let mut expected = Vec::new();
    let mut pixels = Vec::new();
    for n in [3u64, 47, 88, 131] {
        let picture = scene.render(n);
        let mut logits = vec![0.0; head.classes];
        head.logits(&backbone.embed(&picture, None).unwrap(), &mut logits);
        expected.push(logits);
        pixels.push(backbone.pixels(&picture, None).unwrap());
    }
    let python = "import onnxruntime, numpy, json, sys\n\
        s = onnxruntime.InferenceSession(sys.argv[1])\n\
        n = s.get_inputs()[0].name\n\
        for row in json.load(open(sys.argv[2])):\n\
        \x20   x = numpy.array(row, dtype=numpy.float32).reshape(1, 3, 96, 96)\n\
        \x20   print(json.dumps([float(v) for v in s.run(['logits'], {n: x})[0][0]]))\n";
    std::fs::write(dir.path().join("pixels.json"), serde_json::to_string(&pixels).unwrap()).unwrap();
    if !Command::new("python3").args(["-c", "import onnxruntime"]).output().is_ok_and(|o| o.status.success())
    {
        return skip("onnxruntime", "onnxruntime is not installed (python3 -m pip install onnxruntime)");
    }
    let output =
        Command::new("python3").args(["-c", python, &file("m.onnx"), &file("pixels.json")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for (line, expected) in text.lines().zip(&expected) {
        let logits: Vec<f32> = serde_json::from_str(line).unwrap();
        for (a, b) in logits.iter().zip(expected) {
            assert!((a - b).abs() <= 1e-3 * (1.0 + b.abs()), "{logits:?} {expected:?}");
        }
    }
    assert_eq!(text.lines().count(), expected.len());
}

/// Three runs that end early with a new head, and the fourth goes back to the head before; an orderly stop is none.
#[test]
fn a_head_with_which_the_daemon_keeps_ending_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    let first = taught(&mut board, &broker);
    board.json(&["train", "--wait"]);
    let serving = |board: &Board| board.json(&["status"])["head"]["version"].as_u64().unwrap();
    let second = serving(&board);
    assert!(second > first, "the second round's head is in use: {}", board.log());
    // One start that ended well sets the count back.
    board.kill();
    board.start();
    board.stop();
    for _ in 0..3 {
        board.start();
        assert_eq!(serving(&board), second);
        board.kill();
    }
    board.start();
    let third = serving(&board);
    let head = board.json(&["head", "show", &third.to_string()]);
    assert!(third > second && head["restored_from"] == first, "{head}");
    let log = board.log();
    assert!(log.contains("rolled_back") && log.contains("is taken back: the daemon ended 3 times"), "{log}");
    // What comes back has served before: it is not taken back in its turn.
    for _ in 0..4 {
        board.kill();
        board.start();
    }
    assert_eq!(serving(&board), third);
}
