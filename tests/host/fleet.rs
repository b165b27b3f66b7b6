//! One backbone for a group of boards; one head from the statistics of several.

use super::kit::{Engine, Kit};
use super::{Host, Played, until};
use crate::support::{Board, PATIENCE, block_on, broker};
use graft_learn::{Snapshot, Statistics};
use graft_testing::operator::{Message, Operator};
use graft_wire::command::{Backbone, Command as Order};
use graft_wire::messages::BackboneRef;
use graft_wire::{HeadFile, Manifest, Op, StatisticsFile, StatisticsMeta};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A board of a group, as it shows itself.
async fn shows(operator: &mut Operator, device: &str, digest: &str) {
    let info = json!({"api": 1, "version": "x", "device": device, "group": "line-3", "board": "x", "ops": [],
        "limits": {"command_bytes": 1, "part_bytes": 1, "head_bytes": 1, "classes": 1, "frame_seconds": 1, "remembered_ids": 1},
        "backbone": {"name": "tiny", "digest": digest}, "key_id": "x", "public_key": "x"});
    operator.publish(&format!("graft/{device}/info"), info.to_string(), true).await.unwrap();
    operator.publish(&format!("graft/{device}/availability"), "online", true).await.unwrap();
}

/// The order that a board of the group gets; with the id of the command.
async fn order(operator: &mut Operator) -> (Value, Backbone) {
    let is_it = |m: &Message| m.topic.ends_with("/cmd/backbone");
    let found = operator.wait_for(0, PATIENCE, "the backbone of the group", is_it).await.unwrap();
    let id = serde_json::from_slice::<Value>(&found.payload).unwrap()["id"].clone();
    match graft_wire::parse(Op::Backbone, &found.payload).unwrap().command {
        Order::Backbone(order) => (id, order),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_group_gets_a_backbone_and_each_board_decides_for_itself() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let mut host =
            Host::new(dir.path(), "gpu-1", &broker, &kit.engine(&Engine { steps: 1, pause: 0.05, exit: 0 }));
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;
        board.send(&claim, &kit).await;
        let made = board.result().await;
        board.clear().await;

        let mut willing = Operator::connect("127.0.0.1", broker.port(), "graft/cam-2").await.unwrap();
        let mut other = Operator::connect("127.0.0.1", broker.port(), "graft/cam-3").await.unwrap();
        shows(&mut willing, "cam-2", &graft_wire::digest::sha256(b"older")).await;
        let assigned = host.command().args(["host", "assign", "1", "--group", "line-3"]).output().unwrap();
        assert!(assigned.status.success(), "{}", String::from_utf8_lossy(&assigned.stderr));
        let (id, apply) = order(&mut willing).await;
        let Backbone::Apply { url, token, manifest } = apply else { panic!("{apply:?}") };
        assert_eq!(
            (manifest.version, manifest.group.as_deref(), &manifest.device),
            (2, Some("line-3"), &None)
        );
        assert_eq!(manifest.files, made.files);
        let files = graft_wire::offload::Claim { url, token, ..claim };
        let path = format!("/v1/blobs/{}", manifest.files.onnx.hex());
        let (status, _, bytes) = super::kit::raw(&files, "GET", &path, &[], Vec::new()).await;
        assert_eq!((status, bytes.len() as u64), (200, manifest.files.onnx.size));
        let reply = json!({"id": id, "status": "accepted", "job": "7"}).to_string();
        willing.publish("graft/cam-2/reply/backbone", reply, false).await.unwrap();
        shows(&mut willing, "cam-2", &manifest.files.onnx.digest).await;
        // A board that comes online later, and whose gate says no.
        shows(&mut other, "cam-3", &graft_wire::digest::sha256(b"older")).await;
        let (id, _) = order(&mut other).await;
        let reply = json!({"id": id, "status": "accepted", "job": "3"}).to_string();
        other.publish("graft/cam-3/reply/backbone", reply, false).await.unwrap();
        let devices = |host: &Host| host.json(&["status"])["groups"]["line-3"]["devices"].clone();
        until("the board to take the job", || devices(&host)["cam-3"]["is"] == "accepted").await;
        let ended = json!({"schema": 1, "id": "3", "op": "backbone", "status": "successful",
            "result": {"version": 9, "promoted": false, "reason": "it is worse here"}});
        other.publish("graft/cam-3/job/3", ended.to_string(), true).await.unwrap();
        until("both answers to be noted", || {
            let devices = devices(&host);
            devices["cam-2"]["is"] == "applied" && devices["cam-3"]["is"] == "refused"
        })
        .await;
        assert_eq!(devices(&host)["cam-3"]["reason"], "it is worse here");
        let unknown = host.command().args(["host", "assign", "9", "--group", "line-3"]).output().unwrap();
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("no version 9"));
    });
}

/// Samples of one board: `(embedding, class)`.
fn board(dice: &mut fastrand::Rng, samples: usize, classes: &[u32]) -> Vec<(Vec<f32>, u32)> {
    (0..samples)
        .map(|_| {
            let class = classes[dice.usize(..classes.len())];
            let embedding = (0..24).map(|i| dice.f32() + if i == class { 1.0 } else { 0.0 }).collect();
            (embedding, class)
        })
        .collect()
}

#[test]
fn a_merged_head_is_that_of_all_samples_in_one_place() {
    let dir = TempDir::new().unwrap();
    let mut dice = fastrand::Rng::with_seed(7);
    let names = ["bolt", "nut", "washer"];
    // Each board knows some of the classes, in an order of its own.
    let boards: [(&str, [u32; 2], usize); 3] =
        [("cam-1", [0, 1], 60), ("cam-2", [2, 0], 45), ("cam-3", [1, 2], 80)];
    let mut pooled = Snapshot::new(24, 3);
    let mut arguments = Vec::new();
    for (device, classes, samples) in boards {
        let mut own = Snapshot::new(24, 2);
        for (embedding, class) in board(&mut dice, samples, &classes) {
            pooled.push(&embedding, class, 0).unwrap();
            own.push(&embedding, classes.iter().position(|c| *c == class).unwrap() as u32, 0).unwrap();
        }
        let meta = StatisticsMeta {
            device: device.into(),
            rev: 1,
            classes: classes.map(|c| names[c as usize].to_owned()).to_vec(),
            backbone: BackboneRef { name: "tiny".into(), digest: graft_wire::digest::sha256(b"tiny") },
            tensor: "features".into(),
            preprocess: graft_wire::digest::sha256(b"preprocess"),
        };
        let path = dir.path().join(device);
        std::fs::write(
            &path,
            StatisticsFile { statistics: Statistics::of(&own).unwrap(), meta }.encode().unwrap(),
        )
        .unwrap();
        arguments.push(path);
    }
    let out = dir.path().join("fleet.safetensors");
    let graft = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_graft"));
        std::fs::write(dir.path().join("host.toml"), format!("id = \"gpu-1\"\ndir = {:?}\n", dir.path()))
            .unwrap();
        command.arg("--config").arg(dir.path().join("host.toml"));
        command
    };
    let merged = graft()
        .args(["host", "merge", "--lambda", "0.02", "--out"])
        .arg(&out)
        .args(&arguments)
        .output()
        .unwrap();
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    let HeadFile { head, meta } = HeadFile::decode(&std::fs::read(&out).unwrap()).unwrap();
    let whole = Statistics::of(&pooled).unwrap().ridge(0.02).unwrap();
    assert_eq!(meta.classes, names);
    assert_eq!(meta.metrics["samples"], 185);
    let off = head.weight.iter().zip(&whole.weight).chain(head.bias.iter().zip(&whole.bias));
    let off = off.map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    assert!(off <= 1e-6, "{off}");
    let manifest = Manifest::from_json(&std::fs::read(out.with_extension("json")).unwrap()).unwrap();
    manifest.open(&std::fs::read(&out).unwrap()).unwrap();

    // The same board twice, and a board with another backbone.
    let twice = graft()
        .args(["host", "merge", "--out"])
        .arg(&out)
        .args([&arguments[0], &arguments[0]])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&twice.stderr).contains("counts once"));
    let mut strange = StatisticsFile::decode(&std::fs::read(&arguments[1]).unwrap()).unwrap();
    strange.meta.backbone.digest = graft_wire::digest::sha256(b"another");
    std::fs::write(&arguments[1], strange.encode().unwrap()).unwrap();
    let mixed = graft().args(["host", "merge", "--out"]).arg(&out).args(&arguments).output().unwrap();
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("different embeddings"));
}

#[test]
fn a_board_writes_the_sums_over_its_samples() {
    let kit_dir = TempDir::new().unwrap();
    let kit = Kit::new(kit_dir.path());
    let mut board = Board::new();
    let pictures = board.path("pictures");
    let dataset = kit.dataset("board");
    for sample in &dataset.samples {
        let folder = pictures.join(&sample.class);
        std::fs::create_dir_all(&folder).unwrap();
        let name = graft_wire::offload::hex_of(&sample.digest);
        std::fs::write(folder.join(format!("{name}.jpg")), kit.blob(name)).unwrap();
    }
    board.start();
    let out = board.path("sums");
    let refused = board.cli(&["dataset", "statistics", "--out", out.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(6), "without samples: {refused:?}");
    board.json(&["dataset", "import", "--wait", pictures.to_str().unwrap()]);
    board.json(&["dataset", "statistics", "--out", out.to_str().unwrap()]);
    let StatisticsFile { statistics, meta } = StatisticsFile::decode(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((meta.device.as_str(), statistics.counts()), ("board", &[6, 6][..]));
    let (onnx, card) = graft_backbone::tiny();
    let mut net = graft_backbone::Backbone::from_bytes(onnx, &card).unwrap();
    let mut own = Snapshot::new(net.width(), 2);
    for sample in &dataset.samples {
        let jpeg = kit.blob(graft_wire::offload::hex_of(&sample.digest));
        let embedding = net.embed_crop(&graft_camera::decode_image(jpeg).unwrap()).unwrap();
        own.push(&embedding, meta.classes.iter().position(|c| *c == sample.class).unwrap() as u32, 0)
            .unwrap();
    }
    let own = Statistics::of(&own).unwrap();
    // The board keeps embeddings as 16-bit floats.
    for (class, _) in meta.classes.iter().enumerate() {
        let (a, b) = (statistics.mean(class).unwrap(), own.mean(class).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 0.05 * b.abs().max(1.0)), "{a:?} {b:?}");
    }
}
