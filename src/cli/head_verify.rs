//! `graft head verify`: is this the head that the device signed? Needs no daemon.

use super::head_export::read;
use super::output::Output;
use super::{NotVerified, Usage};
use crate::wire::manifest::{Expected, Manifest};
use crate::wire::{HeadFile, PublicKey, head_file};
use anyhow::Result;
use clap::Args;
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

/// Runs it.
pub(super) fn verify(args: &VerifyArgs, output: Output) -> Result<()> {
    let told = check(args)?;
    output.show(&told, |told| {
        let part = |pointer: &str| super::client::word(told, pointer);
        let signed = match told.get("signed") {
            Some(Value::Bool(true)) => format!("signed by key {}", part("/key_id")),
            _ => "NOT signed: give its manifest and --key to know who made it".to_owned(),
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
        let digest = crate::wire::digest::sha256(&file);
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
