//! Whether a manifest is well-formed, whether it is to be trusted, and whether a file is the one it
//! describes. Each way to fail has its own reason.

use super::{Manifest, figures};
use crate::digest::{is_digest, sha256};
use crate::error::{Code, Error};
use crate::fields::{self, BadField, Malformed, is_line};
use crate::head_file::{self, HeadFile, HeadFileError};
use crate::keys::{KeyError, PublicKey};
use crate::parts::{self, PartError};
use crate::timestamp::parse_rfc3339;
use crate::topic::is_device_id;

/// What a receiver expects of a head. What is `None` is not asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected<'e> {
    /// The device the head is from.
    pub device: Option<&'e str>,
    /// Digest of the receiver's own backbone.
    pub backbone: Option<&'e str>,
    /// The receiver's own cut tensor.
    pub tensor: Option<&'e str>,
    /// Digest of the receiver's own preprocessing.
    pub preprocess: Option<&'e str>,
    /// The highest version taken on so far; only higher ones are taken.
    pub floor: Option<u64>,
    /// How far above the floor a version may be, so that one forged or faulty version cannot shut out
    /// all later ones.
    pub max_jump: Option<u64>,
    /// The largest file that is wanted, in bytes.
    pub max_bytes: Option<u64>,
    /// The time in milliseconds since 1970; `None` while the clock cannot be trusted.
    pub now_ms: Option<i64>,
}

/// Why a manifest, or the file it describes, was refused.
#[expect(missing_docs, reason = "the error texts name the fields")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ManifestError {
    /// Not well-formed by itself.
    #[error(transparent)]
    Form(#[from] Malformed),
    /// The list of parts, or a part.
    #[error("the list of parts is wrong: {0}")]
    Parts(#[from] PartError),
    /// Another key than the pinned one.
    #[error(
        "the manifest is signed by key {found}, the pinned key is {pinned}; if the device got a new key, pin that"
    )]
    UnknownKey { found: String, pinned: String },
    /// Forged, or changed since it was signed.
    #[error("the signature of the manifest is refused: {0}")]
    Signature(KeyError),
    /// Made by another device.
    #[error("the head is from device {found}, expected is {expected}")]
    WrongDevice { found: String, expected: String },
    /// Made for another backbone.
    #[error("the head belongs to backbone {found}, this one is {expected}")]
    WrongBackbone { found: String, expected: String },
    /// Made for another cut of the backbone.
    #[error("the head belongs to the tensor {found} of the backbone, this one is cut at {expected}")]
    WrongTensor { found: String, expected: String },
    /// Made for other preprocessing.
    #[error("the head belongs to preprocessing {found}, this one is {expected}")]
    WrongPreprocess { found: String, expected: String },
    /// Not above the version taken on last.
    #[error(
        "version {version} is not above {floor}, which was taken on already; a roll back comes as a new version"
    )]
    NotNewer { version: u64, floor: u64 },
    /// Too far above the version taken on last.
    #[error(
        "version {version} is more than {max_jump} above {floor}; that is no version this device would come to"
    )]
    FastForward { version: u64, floor: u64, max_jump: u64 },
    /// Past its time.
    #[error("the manifest expired at {0}")]
    Expired(String),
    /// Larger than the receiver wants.
    #[error("the head has {size} bytes, wanted are at most {max}")]
    OverBudget { size: u64, max: u64 },
    /// The file has another size.
    #[error("the file has {found} bytes, the manifest says {listed}")]
    SizeMismatch { listed: u64, found: u64 },
    /// The file has another digest.
    #[error("the file does not have the digest of the manifest")]
    DigestMismatch,
    /// The file is no head file.
    #[error("{0}")]
    File(HeadFileError),
    /// The file says something else than the manifest.
    #[error("manifest and head file do not belong together: {0} differs")]
    Mixed(&'static str),
}

impl ManifestError {
    /// One word for the reason, for logs and programs.
    pub fn reason(&self) -> String {
        let word = match self {
            Self::Form(form) => return form.reason(),
            Self::Parts(e) => match e {
                PartError::Count(_) => "part_count",
                PartError::Order(_) => "part_order",
                PartError::Listed(..) => "part_size",
                PartError::TooLarge(_) => "file_too_large",
                PartError::Missing(_) => "part_missing",
                PartError::Length { .. } => "part_length",
                PartError::Digest(_) => "part_digest",
            },
            Self::Signature(_) => "bad_signature",
            Self::File(e) => match e {
                HeadFileError::TooLarge(_) => "file_too_large",
                HeadFileError::Broken(_) => "file_broken",
                HeadFileError::Format(_) => "file_format",
                HeadFileError::Meta(..) => "file_metadata",
                HeadFileError::Tensor(..) => "file_tensor",
                HeadFileError::NonFinite(..) => "file_not_finite",
            },
            other => other.into(),
        };
        word.to_owned()
    }

    /// The code of the interface for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Form(form) => form.code(),
            Self::OverBudget { .. }
            | Self::Parts(PartError::TooLarge(_))
            | Self::File(HeadFileError::TooLarge(_)) => Code::TooLarge,
            Self::UnknownKey { .. } | Self::Signature(_) => Code::BadSignature,
            Self::Parts(PartError::Missing(_)) => Code::NotFound,
            Self::SizeMismatch { .. }
            | Self::DigestMismatch
            | Self::Parts(PartError::Length { .. } | PartError::Digest(_)) => Code::DigestMismatch,
            Self::Expired(_) => Code::Expired,
            _ => Code::Incompatible,
        }
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        Self::new(error.code(), error.to_string()).with("reason", error.reason())
    }
}

impl Manifest {
    /// Whether every field is well-formed by itself: bounds, alphabets, lengths that add up.
    pub fn check(&self) -> Result<(), ManifestError> {
        self.check_fields().map_err(Malformed::from)?;
        let listed = parts::check(&self.parts)? as u64;
        let sum = fields::rule(listed == self.size, "size", "is not the sum of the parts");
        Ok(sum.map_err(Malformed::from)?)
    }

    fn check_fields(&self) -> Result<(), BadField> {
        fields::rule(is_device_id(&self.device), "device", "is no device id")?;
        fields::version(self.version)?;
        let restored = self.restored_from.is_none_or(|from| (1..self.version).contains(&from));
        fields::rule(restored, "restored_from", "is not an earlier version")?;
        if let Some(parent) = &self.parent {
            fields::digest("parent", parent)?;
        }
        fields::digest("digest", &self.digest)?;
        let backbone = is_digest(&self.backbone.digest) && is_line(&self.backbone.name);
        fields::rule(backbone, "backbone", "has no name of one line, or no sha256 digest")?;
        fields::digest("preprocess", &self.preprocess)?;
        fields::line("tensor", &self.tensor)?;
        fields::line("snapshot", &self.snapshot)?;
        fields::line("method", &self.method)?;
        let count = (1..=head_file::MAX_CLASSES).contains(&self.classes.len());
        fields::rule(count, "classes", "has no name, or more than 10000")?;
        fields::class_names(&self.classes)?;
        fields::time("created", &self.created)?;
        if let Some(expires) = &self.expires {
            fields::time("expires", expires)?;
        }
        let url = self.url.as_deref().is_none_or(is_url);
        fields::rule(url, "url", "is no http or https address of at most 2048 plain characters")?;
        fields::metrics(&self.metrics)?;
        let small = self.size <= head_file::MAX_BYTES as u64;
        fields::rule(small, "size", "is over the limit of a head file")?;
        let parts = self.parts.iter().all(|part| is_digest(&part.sha256));
        fields::rule(parts, "parts", "has a part with no sha256 digest")?;
        fields::key_id(&self.key_id)
    }

    /// Whether this manifest is well-formed, signed by `pinned`, and what the receiver expects.
    pub fn verify(&self, pinned: &PublicKey, expected: &Expected<'_>) -> Result<(), ManifestError> {
        self.check()?;
        if self.key_id != pinned.id() {
            return Err(ManifestError::UnknownKey { found: self.key_id.clone(), pinned: pinned.id() });
        }
        pinned.verify(self.statement().as_bytes(), &self.sig).map_err(ManifestError::Signature)?;
        self.meets(expected)
    }

    fn meets(&self, expected: &Expected<'_>) -> Result<(), ManifestError> {
        let differs = |found: &str, wanted: Option<&str>| {
            wanted.filter(|wanted| *wanted != found).map(|wanted| (found.to_owned(), wanted.to_owned()))
        };
        if let Some((found, expected)) = differs(&self.device, expected.device) {
            return Err(ManifestError::WrongDevice { found, expected });
        }
        if let Some((found, expected)) = differs(&self.backbone.digest, expected.backbone) {
            return Err(ManifestError::WrongBackbone { found, expected });
        }
        if let Some((found, expected)) = differs(&self.tensor, expected.tensor) {
            return Err(ManifestError::WrongTensor { found, expected });
        }
        if let Some((found, expected)) = differs(&self.preprocess, expected.preprocess) {
            return Err(ManifestError::WrongPreprocess { found, expected });
        }
        if let Some(floor) = expected.floor {
            let version = self.version;
            if version <= floor {
                return Err(ManifestError::NotNewer { version, floor });
            }
            if let Some(max_jump) = expected.max_jump
                && version - floor > max_jump
            {
                return Err(ManifestError::FastForward { version, floor, max_jump });
            }
        }
        if let Some(max) = expected.max_bytes
            && self.size > max
        {
            return Err(ManifestError::OverBudget { size: self.size, max });
        }
        match (expected.now_ms, &self.expires) {
            (Some(now), Some(end)) if parse_rfc3339(end).is_none_or(|end| now > end) => {
                Err(ManifestError::Expired(end.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether `file` is the head file this manifest describes; gives it read. The manifest itself must
    /// have passed [`Manifest::verify`].
    pub fn open(&self, file: &[u8]) -> Result<HeadFile, ManifestError> {
        if file.len() as u64 != self.size {
            return Err(ManifestError::SizeMismatch { listed: self.size, found: file.len() as u64 });
        }
        if sha256(file) != self.digest {
            return Err(ManifestError::DigestMismatch);
        }
        let read = HeadFile::decode(file).map_err(ManifestError::File)?;
        let meta = &read.meta;
        for (field, same) in [
            ("device", meta.device == self.device),
            ("version", meta.version == self.version),
            ("restored_from", meta.restored_from == self.restored_from),
            ("parent", meta.parent == self.parent),
            ("dtype", meta.dtype == self.dtype),
            ("backbone", meta.backbone == self.backbone),
            ("tensor", meta.tensor == self.tensor),
            ("preprocess", meta.preprocess == self.preprocess),
            ("classes", meta.classes == self.classes),
            ("snapshot", meta.snapshot == self.snapshot),
            ("method", meta.method == self.method),
            ("created", meta.created == self.created),
            ("metrics", figures(&meta.metrics) == self.metrics),
        ] {
            if !same {
                return Err(ManifestError::Mixed(field));
            }
        }
        Ok(read)
    }
}

/// An `http` or `https` address in plain characters.
pub(crate) fn is_url(text: &str) -> bool {
    text.len() <= 2048
        && (text.starts_with("https://") || text.starts_with("http://"))
        && text.bytes().all(|b| b.is_ascii_graphic())
}
