use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fields::MAX_VERSION;
use crate::head_file::HeadMeta;
use crate::keys::{KeyError, PublicKey};
use graft_learn::Head;

fn key(byte: u8) -> Key {
    Key::from_seed(&mut [byte; 32])
}

fn head_file(version: u64) -> HeadFile {
    let metrics =
        json!({"accuracy": {"value": 0.9482431, "low": 0.91, "high": 0.98}, "samples": 244, "note": "x"});
    HeadFile {
        head: Head::random(2, 4, 1),
        meta: HeadMeta {
            dtype: Dtype::F32,
            classes: vec!["ok".into(), "scratched".into()],
            backbone: BackboneRef { name: "tiny".into(), digest: sha256(b"backbone") },
            tensor: "features".into(),
            preprocess: sha256(b"preprocess"),
            pictures: None,
            snapshot: sha256(b"snapshot"),
            method: "ridge".into(),
            metrics: metrics.as_object().unwrap().clone(),
            parent: Some(sha256(b"parent")),
            restored_from: Some(3),
            device: "cam-1".into(),
            version,
            created: "2026-03-01T12:00:00.000Z".into(),
        },
    }
}

fn manifest() -> (Vec<u8>, Manifest) {
    let file = head_file(7).encode().unwrap();
    let mut manifest = Manifest::signed(&file, Some("https://host/heads/7".into()), &key(1)).unwrap();
    manifest.expires = Some("2027-03-01T12:00:00Z".into());
    manifest.sign(&key(1)).unwrap();
    (file, manifest)
}

fn refusal(manifest: &Manifest, expected: &Expected<'_>) -> String {
    manifest.verify(&key(1).public(), expected).unwrap_err().reason()
}

#[test]
fn a_signed_manifest_verifies_and_opens_its_file() {
    let (file, manifest) = manifest();
    let (backbone, preprocess) = (sha256(b"backbone"), sha256(b"preprocess"));
    let expected = Expected {
        device: Some("cam-1"),
        backbone: Some(&backbone),
        tensor: Some("features"),
        preprocess: Some(&preprocess),
        floor: Some(6),
        max_jump: Some(100),
        max_bytes: Some(file.len() as u64),
        now_ms: Some(1_772_366_400_000),
    };
    manifest.verify(&key(1).public(), &expected).unwrap();
    assert_eq!(manifest.open(&file).unwrap().meta.classes, manifest.classes);
    assert_eq!(manifest.metrics["accuracy"], 0.948243);
    assert_eq!(manifest.metrics["accuracy_low"], 0.91);
    assert_eq!(manifest.metrics.len(), 4);
}

#[test]
fn each_expectation_has_its_own_refusal() {
    let (_, m) = manifest();
    let other = sha256(b"other");
    let none = Expected::default();
    let cases = [
        (Expected { device: Some("cam-2"), ..none }, "wrong_device"),
        (Expected { backbone: Some(&other), ..none }, "wrong_backbone"),
        (Expected { tensor: Some("logits"), ..none }, "wrong_tensor"),
        (Expected { preprocess: Some(&other), ..none }, "wrong_preprocess"),
        (Expected { floor: Some(7), ..none }, "not_newer"),
        (Expected { floor: Some(u64::MAX), ..none }, "not_newer"),
        (Expected { floor: Some(1), max_jump: Some(5), ..none }, "fast_forward"),
        (Expected { max_bytes: Some(10), ..none }, "over_budget"),
        (Expected { now_ms: Some(1_900_000_000_000), ..none }, "expired"),
    ];
    for (expected, reason) in cases {
        assert_eq!(refusal(&m, &expected), reason);
    }
    m.verify(&key(1).public(), &none).unwrap();
    assert_eq!(m.verify(&key(2).public(), &none).unwrap_err().reason(), "unknown_key");
}

/// Each leaf of `value` by its path.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &format!("{path}/{k}"), found)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| leaves(v, &format!("{path}/{i}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Other values that are well-formed in the place of `value`.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(n) if n.is_f64() => {
            vec![json!(0.5), json!(-0.948243), json!(n.as_f64().unwrap() + 1e-6)]
        }
        Value::Number(n) => {
            vec![json!(n.as_u64().unwrap() + 1), json!(n.as_u64().unwrap().saturating_sub(1))]
        }
        Value::String(s) if s.starts_with("sha256:") => vec![sha256(b"forged").into(), Value::Null],
        Value::String(s) if s.ends_with('Z') => vec!["2030-01-01T00:00:00Z".into(), Value::Null],
        Value::String(s) if s.starts_with("https:") => vec!["https://evil/7".into(), Value::Null],
        Value::String(s) => vec![format!("{s}x").into(), s[1..].into(), format!("{s}\nx").into()],
        _ => vec![Value::Null],
    }
}

#[test]
fn tampering_with_any_field_breaks_it() {
    let (_, m) = manifest();
    let value = serde_json::to_value(&m).unwrap();
    let mut paths = Vec::new();
    leaves(&value, "", &mut paths);
    assert!(paths.len() > 28, "{paths:?}");
    for path in paths {
        let original = value.pointer(&path).unwrap().clone();
        for other in others(&original).into_iter().filter(|o| *o != original) {
            let mut forged = value.clone();
            *forged.pointer_mut(&path).unwrap() = other.clone();
            let trusted = Manifest::from_json(forged.to_string().as_bytes())
                .and_then(|m| m.verify(&key(1).public(), &Expected::default()));
            assert!(trusted.is_err(), "{path} = {other} was taken");
        }
    }
}

#[test]
fn removing_adding_or_reordering_breaks_it() {
    let (_, m) = manifest();
    let public = key(1).public();
    let mut swapped = m.clone();
    swapped.classes.swap(0, 1);
    let mut longer = m.clone();
    longer.classes.push("third".into());
    let mut joined = m.clone();
    joined.classes = vec!["ok\nscratched".into()];
    let mut fewer = m.clone();
    fewer.metrics.remove("accuracy");
    let mut more = m.clone();
    more.metrics.insert("accuracy_2".into(), 1.0);
    let mut finer = m.clone();
    finer.metrics.insert("accuracy".into(), 0.948_243_000_1);
    for forged in [&swapped, &longer, &joined, &fewer, &more, &finer] {
        assert!(forged.verify(&public, &Expected::default()).is_err());
    }
    let value = serde_json::to_value(&m).unwrap();
    for field in value.as_object().unwrap().keys() {
        let mut forged = value.clone();
        forged.as_object_mut().unwrap().remove(field);
        let trusted = Manifest::from_json(forged.to_string().as_bytes())
            .and_then(|m| m.verify(&public, &Expected::default()));
        assert!(trusted.is_err(), "without {field} it was taken");
    }
}

#[test]
fn malformed_manifests_are_refused_by_reason() {
    let (_, m) = manifest();
    let text = m.to_json();
    let reason = |text: &str| Manifest::from_json(text.as_bytes()).unwrap_err().reason();
    assert_eq!(reason(&text.replacen('{', r#"{"extra":1,"#, 1)), "unknown_field");
    assert_eq!(reason(&text.replacen('{', r#"{"device":"cam-1","#, 1)), "malformed");
    assert_eq!(reason(&text.replace(r#""schema":1"#, r#""schema":2"#)), "malformed");
    assert_eq!(reason(&text[..text.len() - 1]), "malformed");
    assert_eq!(reason(&" ".repeat(MAX_BYTES + 1)), "manifest_too_large");
    assert_eq!(Manifest::from_json(&[0xff]).unwrap_err().reason(), "malformed");

    let broken = |change: &dyn Fn(&mut Manifest)| {
        let mut m = m.clone();
        change(&mut m);
        // Signed by the right key: the form alone has to refuse it.
        m.sign(&key(1)).unwrap_err().reason()
    };
    assert_eq!(broken(&|m| m.version = 0), "bad_version");
    assert_eq!(broken(&|m| m.version = 1 << 63), "bad_version");
    assert_eq!(broken(&|m| m.restored_from = Some(7)), "bad_restored_from");
    assert_eq!(broken(&|m| m.device = "../x".into()), "bad_device");
    assert_eq!(broken(&|m| m.tensor = "a\nversion 9".into()), "bad_tensor");
    assert_eq!(broken(&|m| m.digest = m.digest.to_uppercase()), "bad_digest");
    assert_eq!(broken(&|m| m.backbone.digest.clear()), "bad_backbone");
    assert_eq!(broken(&|m| m.classes.clear()), "bad_classes");
    assert_eq!(broken(&|m| m.classes[0] = "../etc".into()), "bad_classes");
    assert_eq!(broken(&|m| m.url = Some("file:///etc/passwd".into())), "bad_url");
    assert_eq!(broken(&|m| m.expires = Some("never".into())), "bad_expires");
    assert_eq!(broken(&|m| m.created = "now".into()), "bad_created");
    assert_eq!(broken(&|m| *m.metrics.entry("x".into()).or_default() = f64::NAN), "bad_metrics");
    assert_eq!(broken(&|m| *m.metrics.entry("a b".into()).or_default() = 1.0), "bad_metrics");
    assert_eq!(broken(&|m| m.size += 1), "bad_size");
    assert_eq!(broken(&|m| m.size = u64::MAX), "bad_size");
    assert_eq!(broken(&|m| m.parts.clear()), "part_count");
    assert_eq!(broken(&|m| m.parts[0].n = 1), "part_order");
    assert_eq!(broken(&|m| m.parts[0].len = u32::MAX), "part_size");
    assert_eq!(broken(&|m| m.parts[0].sha256 = "x".into()), "bad_parts");
}

#[test]
fn another_file_is_not_opened() {
    let (file, m) = manifest();
    let reason = |file: &[u8]| m.open(file).unwrap_err().reason();
    assert_eq!(reason(&file[..file.len() - 1]), "size_mismatch");
    let mut flipped = file.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(reason(&flipped), "digest_mismatch");

    // A manifest that was honestly signed, but over another head's file.
    let file = head_file(8).encode().unwrap();
    let mut mixed = m.clone();
    (mixed.parts, mixed.size, mixed.digest) =
        (parts::split(&file).unwrap().0, file.len() as u64, sha256(&file));
    mixed.sign(&key(1)).unwrap();
    assert_eq!(mixed.open(&file).unwrap_err(), ManifestError::Mixed("version"));
    let mut mixed = m.clone();
    mixed.classes[0] = "fine".into();
    let (file, _) = manifest();
    assert_eq!(mixed.open(&file).unwrap_err(), ManifestError::Mixed("classes"));

    let junk = b"not a head file at all";
    let mut junk_manifest = m;
    (junk_manifest.parts, junk_manifest.size) = (parts::split(junk).unwrap().0, junk.len() as u64);
    junk_manifest.digest = sha256(junk);
    assert_eq!(junk_manifest.open(junk).unwrap_err().reason(), "file_broken");
    assert!(Manifest::signed(junk, None, &key(1)).is_err());
}

#[test]
fn a_signature_of_another_key_is_refused_even_under_the_right_name() {
    let (_, mut m) = manifest();
    m.sig = key(2).sign(m.statement().as_bytes());
    assert_eq!(refusal(&m, &Expected::default()), "bad_signature");
    m.sig.clear();
    assert_eq!(
        m.verify(&key(1).public(), &Expected::default()),
        Err(ManifestError::Signature(KeyError::SignatureText))
    );
}

#[test]
fn refusals_become_errors_of_the_interface() {
    let error = crate::Error::from(ManifestError::DigestMismatch);
    assert_eq!(error.code.as_str(), "digest_mismatch");
    assert_eq!(error.detail["reason"], "digest_mismatch");
    assert_eq!(ManifestError::NotNewer { version: 1, floor: 2 }.code().as_str(), "incompatible");
}

#[test]
fn statements_end_every_line_and_have_no_other() {
    let (_, m) = manifest();
    let statement = m.statement();
    assert!(statement.starts_with("graft-head-v1\ndevice cam-1\nversion 7\n"));
    assert!(statement.ends_with(&format!("key_id {}\n", m.key_id)));
    assert_eq!(statement.lines().count(), 22 + m.metrics.len() + m.parts.len());
}

proptest! {
    #[test]
    fn manifests_survive_json(version in 1u64..=MAX_VERSION, accuracy in 0.0f64..=1.0, name in "[a-z0-9]{1,9}") {
        let mut file = head_file(version);
        file.meta.restored_from = None;
        file.meta.device = name;
        file.meta.metrics.insert("accuracy".into(), json!(accuracy));
        let bytes = file.encode().unwrap();
        let manifest = Manifest::signed(&bytes, None, &key(9)).unwrap();
        let read = Manifest::from_json(manifest.to_json().as_bytes()).unwrap();
        prop_assert_eq!(&read, &manifest);
        let public = PublicKey::from_base64(&key(9).public().base64()).unwrap();
        prop_assert_eq!(read.verify(&public, &Expected::default()), Ok(()));
        prop_assert!(read.open(&bytes).is_ok());
    }

    #[test]
    fn arbitrary_text_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Manifest::from_json(&bytes);
    }
}
