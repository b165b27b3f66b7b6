use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::sha256;
use crate::messages::BackboneRef;

fn meta(classes: &[&str]) -> HeadMeta {
    let metrics = json!({"accuracy": {"value": 0.948, "low": 0.91, "high": 0.98}, "samples": 244});
    HeadMeta {
        dtype: Dtype::F32,
        classes: classes.iter().map(|c| (*c).to_owned()).collect(),
        backbone: BackboneRef { name: "tiny".into(), digest: sha256(b"backbone") },
        tensor: "features".into(),
        preprocess: sha256(b"preprocess"),
        pictures: None,
        snapshot: sha256(b"snapshot"),
        method: "ridge".into(),
        metrics: metrics.as_object().unwrap().clone(),
        parent: Some(sha256(b"parent")),
        restored_from: None,
        device: "cam-1".into(),
        version: 7,
        created: "2026-03-01T12:00:00.000Z".into(),
    }
}

fn small() -> HeadFile {
    HeadFile { head: Head::random(2, 5, 1), meta: meta(&["ok", "Schraube fehlt"]) }
}

/// A safetensors file with this header and so many bytes behind it.
fn raw(header: &str, bytes: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// `file` with `from` in its header replaced by `to`, which has the same length.
fn patched(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = file.windows(from.len()).position(|w| w == from.as_bytes()).expect("the header has it");
    let mut file = file.to_vec();
    file[at..at + to.len()].copy_from_slice(to.as_bytes());
    file
}

#[test]
fn a_head_comes_back_bit_for_bit_and_files_are_reproducible() {
    let file = small();
    let bytes = file.encode().unwrap();
    assert_eq!(bytes, file.encode().unwrap());
    let read = HeadFile::decode(&bytes).unwrap();
    assert_eq!(read.meta, file.meta);
    assert_eq!(read.head.weight, file.head.weight);
    assert_eq!(read.head.bias, file.head.bias);
    assert_eq!(read.head.temperature, file.head.temperature);
    assert_eq!(read.encode().unwrap(), bytes);
}

/// A head with the tensors of an unknown score, of two classes and width 5.
fn with_reject() -> HeadFile {
    let tensor = |name: &str, shape: &[usize], first: f32| {
        let len = shape.iter().product::<usize>();
        (name.to_owned(), shape.to_vec(), (0..len).map(|i| first + i as f32).collect::<Vec<f32>>())
    };
    let tensors = [
        tensor("present", &[2], 0.0),
        tensor("means", &[2, 5], 0.5),
        tensor("within", &[2, 2], 1.5),
        tensor("centres", &[2, 2], 2.5),
        tensor("whole", &[2, 2], 3.5),
        tensor("centre", &[2], 4.5),
        tensor("scale", &[4], 5.5),
        tensor("usual_bursts", &[2], 1.0),
        tensor("usual_confidence", &[3], 0.5),
        tensor("usual_unknown", &[3], 0.0),
    ];
    let mut file = small();
    file.head.reject = Some(Reject::from_tensors(&tensors, 5, 2).unwrap());
    file
}

#[test]
fn the_unknown_score_travels_with_the_head() {
    for dtype in [Dtype::F32, Dtype::F16] {
        let mut file = with_reject();
        file.meta.dtype = dtype;
        let bytes = file.encode().unwrap();
        let read = HeadFile::decode(&bytes).unwrap();
        assert_eq!(read.head.reject, file.head.reject);
        assert!(HeadFile::decode(&patched(&bytes, "reject.means", "reject.meant")).is_err());
        let error = HeadFile::decode(&patched(&bytes, "reject.centre\"", "reject_centre\"")).unwrap_err();
        assert!(error.to_string().contains("not known"), "{error}");
    }
}

#[test]
fn a_tensor_too_many_is_refused() {
    let file = with_reject();
    let bytes = file.encode().unwrap();
    for name in ["reject.more", "other"] {
        let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
        let copy = tensors.iter().find(|(name, _)| name == "reject.scale").unwrap().1.clone();
        tensors.push((name.to_owned(), copy));
        let plain = safetensors::serialize(tensors, None).unwrap();
        let error = HeadFile::decode(&metadata::insert(&plain, &file.meta).unwrap()).unwrap_err();
        assert_eq!(error, HeadFileError::Tensor(name.to_owned(), "is not known".to_owned()));
    }
}

#[test]
fn the_reference_reader_reads_it() {
    let bytes = small().encode().unwrap();
    let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    assert_eq!(header.metadata().as_ref().unwrap()["version"], "7");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("weight").unwrap().shape(), [2, 5]);
    assert_eq!(tensors.tensor("bias").unwrap().shape(), [2]);
}

#[test]
fn f16_halves_the_weights_and_keeps_three_digits() {
    let mut file = HeadFile { head: Head::random(10, 1280, 3), meta: meta(&["x"; 0]) };
    file.meta.classes = (0..10).map(|i| format!("class {i}")).collect();
    let full = file.encode().unwrap();
    file.meta.dtype = Dtype::F16;
    let half = file.encode().unwrap();
    let saved = full.len() - half.len();
    assert!((25_000..26_000).contains(&saved), "{saved}");
    let read = HeadFile::decode(&half).unwrap();
    assert_eq!(read.meta.dtype, Dtype::F16);
    for (a, b) in read.head.weight.iter().zip(&file.head.weight) {
        assert!((a - b).abs() <= b.abs() * 0.001 + 1e-7, "{a} {b}");
    }
    // What was rounded once stays as it is.
    assert_eq!(read.encode().unwrap(), half);
    file.head.weight[0] = 70_000.0;
    assert!(matches!(file.encode(), Err(HeadFileError::NonFinite(name, _)) if name == "weight"));
}

#[test]
fn a_cut_is_noticed_at_every_byte() {
    let bytes = small().encode().unwrap();
    for length in 0..bytes.len() {
        assert!(HeadFile::decode(&bytes[..length]).is_err(), "cut to {length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(HeadFile::decode(&longer).is_err());
}

#[test]
fn figures_that_are_not_finite_are_refused_both_ways() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut file = small();
        file.head.weight[3] = bad;
        assert!(matches!(file.encode(), Err(HeadFileError::NonFinite(name, _)) if name == "weight"));
        let mut file = small();
        file.head.temperature = bad;
        assert!(file.encode().is_err());
        // The last tensor of the file is weight: its last figure ends the file.
        let mut bytes = small().encode().unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&bad.to_le_bytes());
        assert!(matches!(HeadFile::decode(&bytes), Err(HeadFileError::NonFinite(..))));
    }
    let mut file = small();
    file.head.temperature = 0.0;
    assert!(matches!(file.encode(), Err(HeadFileError::Tensor(name, _)) if name == "temperature"));
}

#[test]
fn hostile_headers_are_refused_without_adding_their_offsets_up() {
    // Tensors that end where 64 bits end: adding the length of the header goes over.
    let huge = 1u64 << 60;
    let tensors: Vec<String> = (0..16u64)
        .map(|i| {
            let from = i * huge;
            let to = if i == 15 { u64::MAX - 4 } else { from + huge };
            format!(r#""t{i:02}":{{"dtype":"U8","shape":[{}],"data_offsets":[{from},{to}]}}"#, to - from)
        })
        .collect();
    let overflowing = format!("{{{}}}", tensors.join(","));
    // Refused before the safetensors reader sees it, which would panic where overflow is checked.
    let error = HeadFile::decode(&raw(&overflowing, 16)).unwrap_err().to_string();
    assert!(error.contains("its header cannot be read"), "{error}");
    let headers = [
        overflowing,
        r#"{"weight":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#.into(),
        r#"{"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[16,0]}}"#.into(),
        r#"{"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,1000]}}"#.into(),
        r#"{"weight":{"dtype":"F99","shape":[2,2],"data_offsets":[0,16]}}"#.into(),
        "{}".into(),
        "[]".into(),
        String::new(),
        "[".repeat(100_000),
    ];
    for header in headers {
        assert!(HeadFile::decode(&raw(&header, 16)).is_err(), "{:.80}", header);
    }
    for length in [u64::MAX, u64::MAX - 7, 1 << 40, 5 << 20] {
        let mut file = length.to_le_bytes().to_vec();
        file.resize(64, b' ');
        assert!(matches!(HeadFile::decode(&file), Err(HeadFileError::Broken(_))));
    }
    assert_eq!(HeadFile::decode(&vec![0; MAX_BYTES + 1]).err(), Some(HeadFileError::TooLarge(MAX_BYTES + 1)));
}

#[test]
fn each_wrong_entry_is_named() {
    let bytes = small().encode().unwrap();
    let cases = [
        ("graft-head/1", "graft-head/9", "graft-head/9"),
        ("\"format\"", "\"farmot\"", "format"),
        ("\"version\":\"7\"", "\"version\":\"0\"", "version"),
        ("\"version\":\"7\"", "\"version\":\"x\"", "version"),
        ("\"device\":\"cam-1\"", "\"device\":\"CAM-1\"", "device"),
        ("2026-03-01T12", "2026-13-01T12", "created"),
        ("\"tensor\"", "\"tinsor\"", "tensor"),
        ("backbone_digest\":\"sha256", "backbone_digest\":\"sha512", "backbone_digest"),
        ("\"weight\"", "\"wait!!\"", "weight"),
        ("\"bias\"", "\"bios\"", "bias"),
        ("\"temperature\"", "\"temperament\"", "temperature"),
        ("\"shape\":[2,5]", "\"shape\":[5,2]", "classes"),
    ];
    for (from, to, says) in cases {
        let error = HeadFile::decode(&patched(&bytes, from, to)).expect_err(to);
        assert!(error.to_string().contains(says), "{to}: {error}");
    }
    assert_eq!(HeadFile::decode(&patched(&bytes, "\"parent\"", "\"parrot\"")).unwrap().meta.parent, None);
}

#[test]
fn class_lists_have_to_fit() {
    let mut file = small();
    for classes in [vec!["a"], vec!["a", "a"], vec!["a", "b/c"], vec!["a", " b"], vec!["a", "unknown"]] {
        file.meta.classes = classes.into_iter().map(str::to_owned).collect();
        assert!(matches!(file.encode(), Err(HeadFileError::Meta("classes", _))));
    }
    let wide = HeadFile { head: Head { width: MAX_WIDTH + 1, ..small().head }, meta: small().meta };
    assert!(matches!(wide.encode(), Err(HeadFileError::Tensor(..))));
    let mut short = small();
    short.head.bias.pop();
    assert!(matches!(short.encode(), Err(HeadFileError::Tensor(name, _)) if name == "bias"));
}

proptest! {
    #[test]
    fn any_head_survives(classes in 1usize..6, width in 1usize..40, seed: u64, half: bool, version in 1u64..1 << 53) {
        let mut file = HeadFile { head: Head::random(classes, width, seed), meta: meta(&[]) };
        file.meta.classes = (0..classes).map(|i| format!("犬 {i}")).collect();
        file.meta.version = version;
        file.meta.dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let bytes = file.encode().unwrap();
        let read = HeadFile::decode(&bytes).unwrap();
        prop_assert_eq!(&read.meta, &file.meta);
        prop_assert_eq!(read.encode().unwrap(), bytes);
    }

    #[test]
    fn broken_files_never_panic(at in any::<prop::sample::Index>(), byte: u8, more in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut bytes = small().encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = HeadFile::decode(&bytes);
        bytes.truncate(at);
        bytes.extend(more);
        let _ = HeadFile::decode(&bytes);
    }

    #[test]
    fn arbitrary_headers_never_panic(
        name in "(weight|bias|temperature|reject.mean|x)", shape in prop::collection::vec(any::<u64>(), 0..4),
        from in 0u64..64, to: u64, bytes in 0usize..128,
    ) {
        let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{from},{to}]}}}}"#);
        let _ = HeadFile::decode(&raw(&header, bytes));
    }
}
