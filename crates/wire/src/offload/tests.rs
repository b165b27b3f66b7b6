use serde_json::json;

use super::*;
use crate::digest::sha256;
use crate::error::Error;
use crate::keys::Key;
use crate::messages::Schema1;

fn key(byte: u8) -> Key {
    Key::from_seed(&mut [byte; 32])
}

const NOW: i64 = 1_772_366_400_000;

fn claim() -> Claim {
    let mut claim = Claim {
        job: "16".into(),
        host: "gpu-1".into(),
        url: "http://127.0.0.1:8443".into(),
        token: "t".repeat(43),
        until: "2026-03-01T12:05:00Z".into(),
        key_id: String::new(),
        sig: String::new(),
    };
    claim.sign("cam-1", &key(1)).unwrap();
    claim
}

fn reason(claim: &Claim, device: &str, now_ms: Option<i64>) -> String {
    let pinned = [key(2).public(), key(1).public()];
    let error = Error::from(claim.verify(device, &pinned, now_ms).unwrap_err());
    error.detail["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_claim_is_good_for_one_device_job_place_token_and_time() {
    let good = claim();
    good.verify("cam-1", &[key(2).public(), key(1).public()], Some(NOW)).unwrap();
    assert_eq!(reason(&good, "cam-2", Some(NOW)), "bad_signature");
    assert_eq!(reason(&good, "cam-1", Some(NOW + 600_000)), "expired");
    assert_eq!(reason(&good, "cam-1", None), "expired");
    let changes: [fn(&mut Claim); 5] = [
        |c| c.job = "17".into(),
        |c| c.host = "gpu-2".into(),
        |c| c.url = "http://127.0.0.2:8443".into(),
        |c| c.token = "u".repeat(43),
        |c| c.until = "2036-03-01T12:05:00Z".into(),
    ];
    for change in changes {
        let mut forged = claim();
        change(&mut forged);
        assert_eq!(reason(&forged, "cam-1", Some(NOW)), "bad_signature", "{forged:?}");
    }
    let mut other = claim();
    other.sign("cam-1", &key(3)).unwrap();
    assert_eq!(reason(&other, "cam-1", Some(NOW)), "unknown_key");
    other.token = "short".into();
    assert_eq!(reason(&other, "cam-1", Some(NOW)), "malformed");
    assert!(!good.statement("cam-1").contains(&good.token), "the token stands in the statement");
}

#[test]
fn recipes_have_one_spelling_each() {
    for word in [
        "auto",
        "head",
        "partial:1",
        "partial:64+live",
        "gradual+frozen",
        "full",
        "full+live",
        "scratch+plain",
    ] {
        let recipe: Recipe = word.parse().unwrap();
        assert_eq!(recipe.to_string(), word);
        assert_eq!(serde_json::to_value(recipe).unwrap(), json!(word));
        assert_eq!(serde_json::from_value::<Recipe>(json!(word)).unwrap(), recipe);
    }
    for word in [
        "",
        "Auto",
        "partial",
        "partial:",
        "partial:0",
        "partial:01",
        "partial:+1",
        "partial:65",
        "../x",
        "full+",
        "full+Live",
        "+live",
        "full+live+live",
    ] {
        assert!(word.parse::<Recipe>().is_err(), "{word}");
    }
}

fn dataset() -> Dataset {
    let sample = |n: u8, class: &str, split| Sample {
        digest: sha256(&[n]),
        size: 10,
        class: class.into(),
        burst: format!("b-{n}"),
        split,
    };
    Dataset {
        schema: Schema1,
        device: "cam-1".into(),
        rev: 7,
        classes: vec!["ok".into(), "bad".into()],
        backbone: Blob::of(b"onnx"),
        card: Blob::of(b"card"),
        head: None,
        samples: vec![
            sample(1, "ok", Split::Train),
            sample(2, "bad", Split::Val),
            sample(1, "ok", Split::Train),
        ],
    }
}

#[test]
fn a_dataset_lists_each_file_once() {
    let read = Dataset::from_json(dataset().to_json().as_bytes()).unwrap();
    assert_eq!(read, dataset());
    let blobs = read.blobs();
    assert_eq!(blobs.len(), 4);
    assert_eq!(blobs[0], Blob::of(b"onnx"));
    assert_eq!(blobs[0].hex().len(), 64);
}

#[test]
fn malformed_datasets_are_refused() {
    let changes: [fn(&mut Dataset); 9] = [
        |d| d.device = "../cam".into(),
        |d| d.classes[0] = "a/b".into(),
        |d| d.classes[1] = "ok".into(),
        |d| d.classes.truncate(1),
        |d| d.backbone.size = 0,
        |d| d.card.digest = "sha256:../../etc/passwd".into(),
        |d| d.samples[0].class = "third".into(),
        |d| d.samples[2].size = 11,
        |d| d.samples[1].burst = "a\nb".into(),
    ];
    for change in changes {
        let mut bad = dataset();
        change(&mut bad);
        assert!(Dataset::from_json(bad.to_json().as_bytes()).is_err(), "{bad:?}");
    }
    let text = dataset().to_json();
    assert!(Dataset::from_json(text.replacen('{', r#"{"path":"x","#, 1).as_bytes()).is_err());
    assert!(Dataset::from_json(&text.as_bytes()[..text.len() - 1]).is_err());
}
