//! `graft head verify`: is this the head that the device signed? Needs no daemon.

use crate::cli::client::word;
use crate::cli::files::read;
use crate::cli::output::Output;
use crate::cli::{NotVerified, Usage};
use anyhow::Result;
use clap::Args;
use graft_wire::manifest::{Expected, Manifest};
use graft_wire::{HeadFile, PublicKey, head_file};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Check a head against its manifest and the device's public key, without a daemon
///
/// Give the manifest (JSON) and the head file, or its parts in their order. A head file alone is checked for being
/// whole and sound, but who made it is not known then.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Manifest, head file, or parts of the head file in their order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Public key of the device: base64, or a file that holds it (`public_key` in `graft status --json`)
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Also demand that it is a head of this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
}

pub(super) fn verify(args: &VerifyArgs, output: Output) -> Result<()> {
    let told = check(args)?;
    output.show(&told, |told| {
        let part = |pointer: &str| word(told, pointer);
        let signed = match told.get("signed") {
            Some(Value::Bool(true)) => format!("signed by key {}", part("/key_id")),
            _ => "signature not checked: pass the manifest and --key".to_owned(),
        };
        let file = if told.get("file") == Some(&Value::Bool(true)) {
            "file ok"
        } else {
            "manifest ok, no head file given"
        };
        format!(
            "{file}: head {} of device {}, {}\n{signed}",
            part("/version"),
            part("/device"),
            part("/digest")
        )
    })
}

fn check(args: &VerifyArgs) -> Result<Value> {
    let (mut manifest, mut file) = (None, Vec::new());
    for path in &args.files {
        let bytes = read(path, head_file::MAX_BYTES as u64)?;
        match Manifest::from_json(&bytes) {
            Ok(read) if manifest.is_none() => manifest = Some(read),
            Ok(_) => return Err(Usage(format!("{}: a second manifest; give one", path.display())).into()),
            Err(why) if is_json(&bytes) => {
                return Err(NotVerified(format!("{}: {why}", path.display())).into());
            }
            Err(_) if file.len() + bytes.len() > head_file::MAX_BYTES => {
                return Err(NotVerified(format!("over {} bytes: no head file", head_file::MAX_BYTES)).into());
            }
            Err(_) => file.extend(bytes),
        }
    }
    let refused = |why: String| anyhow::Error::from(NotVerified(why));
    let Some(manifest) = manifest else {
        let head = HeadFile::decode(&file).map_err(|e| refused(e.to_string()))?;
        if args.device.as_deref().is_some_and(|device| device != head.meta.device) {
            return Err(refused(format!("it is a head of device {}", head.meta.device)));
        }
        if args.key.is_some() {
            return Err(Usage("a head file holds no signature; give its manifest, too".into()).into());
        }
        let digest = graft_wire::digest::sha256(&file);
        return Ok(
            json!({"signed": false, "file": true, "version": head.meta.version, "device": head.meta.device,
            "digest": digest, "classes": head.meta.classes}),
        );
    };
    let Some(key) = &args.key else {
        return Err(
            Usage("give --key: the public key of the device, from a source that you trust".into()).into()
        );
    };
    let expected = Expected { device: args.device.as_deref(), ..Expected::default() };
    manifest.verify(&public_key(key)?, &expected).map_err(|e| refused(e.to_string()))?;
    if !file.is_empty() {
        manifest.open(&file).map_err(|e| refused(e.to_string()))?;
    }
    Ok(
        json!({"signed": true, "file": !file.is_empty(), "version": manifest.version, "device": manifest.device,
        "digest": manifest.digest, "classes": manifest.classes, "key_id": manifest.key_id}),
    )
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Base64 as given, or the text of a file.
fn public_key(key: &str) -> Result<PublicKey> {
    let text = match Path::new(key).is_file() {
        true => String::from_utf8_lossy(&read(Path::new(key), 4096)?).into_owned(),
        false => key.to_owned(),
    };
    PublicKey::from_base64(&text).map_err(|e| Usage(format!("--key: {e}")).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit_code;
    use graft_learn::Head;
    use graft_wire::digest::sha256;
    use graft_wire::messages::BackboneRef;
    use graft_wire::{Dtype, HeadMeta, Key, parts};

    /// A head file of over one part, and its manifest.
    fn head(key: &Key) -> (Vec<u8>, String) {
        let meta = HeadMeta {
            dtype: Dtype::F32,
            classes: vec!["ok".into(), "bad".into()],
            backbone: BackboneRef { name: "tiny".into(), digest: sha256(b"b") },
            tensor: "features".into(),
            preprocess: sha256(b"p"),
            pictures: None,
            snapshot: sha256(b"s"),
            method: "ridge".into(),
            metrics: serde_json::Map::new(),
            parent: None,
            restored_from: None,
            device: "cam-1".into(),
            version: 7,
            created: "2026-03-01T12:00:00.000Z".into(),
        };
        let file = HeadFile { head: Head::random(2, 10_000, 1), meta }.encode().unwrap();
        let manifest = Manifest::signed(&file, None, key).unwrap().to_json();
        (file, manifest)
    }

    #[test]
    fn only_what_the_device_signed_passes() {
        let (key, other) = (Key::from_seed(&mut [7; 32]), Key::from_seed(&mut [8; 32]));
        let (file, manifest) = head(&key);
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        put("m.json", manifest.as_bytes());
        put("forged.json", manifest.replace("cam-1", "cam-2").as_bytes());
        put("h", &file);
        let mut broken = file.clone();
        broken[file.len() - 1] ^= 1;
        put("broken", &broken);
        let (list, bytes) = parts::split(&file).unwrap();
        assert_eq!(list.len(), 2);
        put("part0", bytes[0]);
        put("part1", bytes[1]);
        put("key", key.public().base64().as_bytes());
        let try_it = |files: &[&str], key: Option<String>, device: Option<&str>| {
            let files = files.iter().map(|name| folder.path().join(name)).collect();
            check(&VerifyArgs { files, key, device: device.map(str::to_owned) })
        };
        let good = Some(key.public().base64());
        let by_file = folder.path().join("key").to_str().map(str::to_owned);
        for (files, key) in [
            (vec!["m.json", "h"], good.clone()),
            (vec!["part0", "part1", "m.json"], good.clone()),
            (vec!["m.json", "h"], by_file),
        ] {
            let told = try_it(&files, key, Some("cam-1")).unwrap();
            assert_eq!(
                (&told["signed"], &told["file"], &told["version"]),
                (&json!(true), &json!(true), &json!(7))
            );
        }
        assert_eq!(try_it(&["h"], None, None).unwrap()["signed"], json!(false));
        assert_eq!(try_it(&["m.json"], good.clone(), None).unwrap()["file"], json!(false));
        type Case<'a> = (&'a [&'a str], Option<String>, Option<&'a str>, u8);
        let cases: [Case; 9] = [
            (&["m.json", "h"], Some(other.public().base64()), None, 7),
            (&["m.json", "broken"], good.clone(), None, 7),
            (&["m.json", "part0"], good.clone(), None, 7),
            (&["forged.json", "h"], good.clone(), None, 7),
            (&["m.json", "h"], good.clone(), Some("cam-2"), 7),
            (&["part1"], None, None, 7),
            (&["m.json", "h"], None, None, 2),
            (&["h"], good.clone(), None, 2),
            (&["m.json", "h"], Some("nonsense".into()), None, 2),
        ];
        for (files, key, device, code) in cases {
            assert_eq!(exit_code(&try_it(files, key, device).unwrap_err()), code, "{files:?}");
        }
    }
}
