use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::digest::sha256;
use crate::keys::{KeyError, PublicKey};

const NOW: i64 = 1_772_366_400_000;

fn key(byte: u8) -> Key {
    Key::from_seed(&mut [byte; 32])
}

fn pinned() -> [PublicKey; 2] {
    [key(2).public(), key(1).public()]
}

fn wanted(base: &str) -> Wanted<'_> {
    Wanted {
        device: "cam-1",
        group: Some("line-3"),
        job: Some("16"),
        base: Some(base),
        line: "tiny",
        floor: 2,
        max_jump: 1000,
        max_bytes: 1 << 20,
        now_ms: Some(NOW),
    }
}

fn safetensors(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (
            *name,
            ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F32, shape.to_vec(), bytes).unwrap(),
        )
    });
    ::safetensors::serialize(views, None).unwrap()
}

/// A fine-tuned backbone: for that device, or for a group where it is empty.
fn example_backbone(device: &str) -> BackboneManifest {
    let own = !device.is_empty();
    let mut manifest = BackboneManifest {
        schema: Schema1,
        line: "tiny".into(),
        version: 3,
        device: own.then(|| device.to_owned()),
        group: (!own).then(|| "line-3".to_owned()),
        job: own.then(|| "16".to_owned()),
        base: sha256(b"example backbone"),
        files: BackboneFiles {
            onnx: Blob::of(b"example onnx"),
            card: Blob::of(b"example card"),
            head: Blob::of(b"example head"),
            golden: Blob::of(b"example golden vectors"),
        },
        tensor: "features".into(),
        width: 64,
        classes: vec!["ok".into(), "scratched".into()],
        recipe: Recipe { train: crate::offload::Train::Gradual, norm: None },
        metrics: BTreeMap::from([("accuracy".to_owned(), 0.96875)]),
        created: "2026-03-01T12:20:00.000Z".into(),
        expires: "2026-03-31T12:20:00.000Z".into(),
        key_id: String::new(),
        sig: String::new(),
    };
    manifest.sign(&key(1)).unwrap();
    manifest
}

fn head(width: usize, first: f32) -> Vec<u8> {
    let mut weight = vec![0.5; 2 * width];
    weight[0] = first;
    safetensors(&[("weight", &[2, width], weight), ("bias", &[2], vec![0.1, -0.1])])
}

fn golden(count: usize) -> Vec<u8> {
    safetensors(&[
        ("inputs", &[count, 3, 4, 4], vec![0.25; count * 48]),
        ("embeddings", &[count, 64], vec![0.5; count * 64]),
        ("logits", &[count, 2], vec![1.0; count * 2]),
    ])
}

fn manifest() -> BackboneManifest {
    let mut manifest = example_backbone("cam-1");
    manifest.files.head = Blob::of(&head(64, 0.5));
    manifest.files.golden = Blob::of(&golden(8));
    manifest.sign(&key(1)).unwrap();
    manifest
}

/// What comes of a manifest as a board reads it: from JSON to the last check.
fn read(json: &str, wanted: &Wanted<'_>) -> Result<(), BackboneManifestError> {
    BackboneManifest::from_json(json.as_bytes())?.verify(&pinned(), wanted)
}

#[test]
fn a_signed_manifest_is_taken_and_its_tensors_are_read() {
    let manifest = manifest();
    read(&manifest.to_json(), &wanted(&manifest.base)).unwrap();
    BackboneManifest::is_file("head", &manifest.files.head, &head(64, 0.5)).unwrap();
    assert_eq!(TunedHead::read(&head(64, 0.5), &manifest).unwrap().weight.len(), 128);
    let vectors = Golden::read(&golden(8), &manifest).unwrap();
    assert_eq!((vectors.count, vectors.shape, vectors.logits.len()), (8, [3, 4, 4], 16));

    let mut fleet = example_backbone("");
    fleet.sign(&key(2)).unwrap();
    read(&fleet.to_json(), &Wanted { job: None, base: None, ..wanted("") }).unwrap();
}

/// The attacks of issue 4 that can be told without running the network, each refused with its own reason.
#[test]
fn every_attack_has_its_own_reason() {
    let good = manifest();
    let want = wanted(&good.base);
    let other = crate::digest::sha256(b"other");
    let text = good.to_json();
    let resigned = |change: &dyn Fn(&mut BackboneManifest)| {
        let mut forged = good.clone();
        change(&mut forged);
        forged.key_id = key(1).id();
        forged.sig = key(1).sign(forged.statement().as_bytes());
        read(&forged.to_json(), &want).unwrap_err().reason()
    };
    let changed = |change: &dyn Fn(&mut BackboneManifest)| {
        let mut forged = good.clone();
        change(&mut forged);
        read(&forged.to_json(), &want).unwrap_err().reason()
    };
    let instead = |wanted: &Wanted<'_>| read(&text, wanted).unwrap_err().reason();
    let file =
        |name, blob: &Blob, bytes: &[u8]| BackboneManifest::is_file(name, blob, bytes).unwrap_err().reason();
    let mut foreign = good.clone();
    foreign.sign(&key(3)).unwrap();
    let mut fleet = example_backbone("");
    fleet.group = Some("line-4".into());
    fleet.sign(&key(1)).unwrap();
    let fleet_wanted = Wanted { job: None, base: None, ..want };

    let refused = [
        ("a bad signature", changed(&|m| m.metrics.clear()), "bad_signature"),
        ("no signature", changed(&|m| m.sig.clear()), "bad_signature_text"),
        ("a key that is not pinned", read(&foreign.to_json(), &want).unwrap_err().reason(), "unknown_key"),
        ("a replay", instead(&Wanted { floor: 3, ..want }), "replayed"),
        ("an older version", instead(&Wanted { floor: 9, ..want }), "older_version"),
        ("a version of far ahead", resigned(&|m| m.version = 1 << 40), "fast_forward"),
        ("a version that JSON cannot say", resigned(&|m| m.version = 1 << 63), "bad_version"),
        ("another device", resigned(&|m| m.device = Some("cam-2".into())), "wrong_device"),
        ("another group", read(&fleet.to_json(), &fleet_wanted).unwrap_err().reason(), "wrong_group"),
        ("a device and a group", resigned(&|m| m.group = Some("line-3".into())), "bad_target"),
        ("another job", resigned(&|m| m.job = Some("15".into())), "wrong_job"),
        ("another base", resigned(&|m| m.base.clone_from(&other)), "wrong_base"),
        ("another line", resigned(&|m| m.line = "mobilenet".into()), "wrong_line"),
        ("a path in a name", resigned(&|m| m.line = "../../etc/passwd".into()), "bad_line"),
        ("past its time", instead(&Wanted { now_ms: Some(i64::MAX), ..want }), "expired"),
        ("no time to tell", instead(&Wanted { now_ms: None, ..want }), "no_time"),
        ("larger than the quota", resigned(&|m| m.files.onnx.size = 1 << 40), "over_budget"),
        ("a file without digest", resigned(&|m| m.files.onnx.digest = "sha256:..".into()), "bad_files"),
        (
            "a field of nobody",
            read(&text.replacen('{', r#"{"url":1,"#, 1), &want).unwrap_err().reason(),
            "unknown_field",
        ),
        ("a manifest cut short", read(&text[..text.len() - 9], &want).unwrap_err().reason(), "malformed"),
        ("endless data", read(&" ".repeat(MAX_BYTES + 1), &want).unwrap_err().reason(), "manifest_too_large"),
        ("a file cut short", file("head", &good.files.head, &head(64, 0.5)[1..]), "size_mismatch"),
        ("a file of another result", file("head", &good.files.head, &head(64, 0.25)), "digest_mismatch"),
        (
            "a weight that is no number",
            TunedHead::read(&head(64, f32::NAN), &good).unwrap_err().reason(),
            "not_finite",
        ),
        ("a wrong shape", TunedHead::read(&head(32, 0.5), &good).unwrap_err().reason(), "wrong_shape"),
        (
            "tensors cut short",
            TunedHead::read(&head(64, 0.5)[..40], &good).unwrap_err().reason(),
            "tensors_broken",
        ),
    ];
    for (attack, found, reason) in &refused {
        assert_eq!(found, reason, "{attack}");
    }
    let reasons: BTreeSet<_> = refused.iter().map(|(.., reason)| reason).collect();
    assert_eq!(reasons.len(), refused.len(), "two attacks share a reason");
    assert!(reasons.len() >= 24);
}

#[test]
fn malformed_fields_are_refused_even_when_signed() {
    type Change = fn(&mut BackboneManifest);
    let cases: [(Change, &str); 9] = [
        (|m| m.version = 0, "bad_version"),
        (|m| m.device = Some("../x".into()), "bad_device"),
        (|m| m.job = None, "bad_job"),
        (|m| m.tensor = "a\nversion 9".into(), "bad_tensor"),
        (|m| m.width = 0, "bad_width"),
        (|m| m.classes[0] = "../etc".into(), "bad_classes"),
        (|m| m.metrics = [("x".to_owned(), f64::INFINITY)].into(), "bad_metrics"),
        (|m| m.created = "now".into(), "bad_created"),
        (|m| m.expires = "never".into(), "bad_expires"),
    ];
    for (change, reason) in cases {
        let mut bad = manifest();
        change(&mut bad);
        assert_eq!(bad.sign(&key(1)).unwrap_err().reason(), reason);
    }
    let few = Golden::read(&golden(7), &manifest()).unwrap_err();
    assert_eq!(few.reason(), "wrong_shape");
    assert!(few.to_string().contains("7 inputs"), "{few}");
}

/// Each leaf of `value` by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{path}/{k}"), found)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{path}/{i}"), found))
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn tampering_with_any_field_breaks_it() {
    let manifest = manifest();
    let value = serde_json::to_value(&manifest).unwrap();
    let mut paths = Vec::new();
    leaves(&value, "", &mut paths);
    assert!(paths.len() > 20, "{paths:?}");
    let other = |value: &Value| match value {
        Value::Number(n) if n.is_f64() => json!(0.5),
        Value::Number(n) => json!(n.as_u64().unwrap() + 1),
        Value::String(s) if s.starts_with("sha256:") => json!(crate::digest::sha256(b"forged")),
        Value::String(s) if s.ends_with('Z') => json!("2030-01-01T00:00:00Z"),
        Value::String(s) if s == "gradual" => json!("full"),
        Value::String(s) => json!(format!("{s}x")),
        _ => json!("x"),
    };
    for path in paths {
        let mut forged = value.clone();
        let at = forged.pointer_mut(&path).unwrap();
        *at = other(at);
        // The same wishes, but for what the forged field itself is compared with.
        let taken = BackboneManifest::from_json(forged.to_string().as_bytes()).and_then(|m| {
            let key = pinned()[1];
            key.verify(m.statement().as_bytes(), &m.sig).map_err(BackboneManifestError::Signature)?;
            if m.key_id == key.id() {
                Ok(())
            } else {
                Err(BackboneManifestError::Signature(KeyError::Forged))
            }
        });
        assert!(taken.is_err(), "{path} was taken");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = BackboneManifest::from_json(&bytes);
        let _ = TunedHead::read(&bytes, &manifest());
        let _ = Golden::read(&bytes, &manifest());
    }
}
