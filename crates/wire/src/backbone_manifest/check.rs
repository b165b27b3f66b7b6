//! Whether a backbone's manifest is well-formed, whether it is to be trusted, and whether a file is one it
//! describes. Each way to fail has its own reason.

use super::BackboneManifest;
use crate::command::is_job_id;
use crate::digest::sha256;
use crate::error::{Code, Error};
use crate::fields::{self, BadField, Malformed};
use crate::head_file::{HeadFileError, MAX_CLASSES, MAX_WIDTH};
use crate::keys::{KeyError, PublicKey};
use crate::offload::Blob;
use crate::timestamp::parse_rfc3339;
use crate::topic::is_device_id;

/// What a board wants of a backbone. What is `None` is not asked for, but for the time.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'e> {
    /// The board's own id.
    pub device: &'e str,
    /// The group it belongs to, if any.
    pub group: Option<&'e str>,
    /// The job that a result has to belong to; for a backbone of a group there is none.
    pub job: Option<&'e str>,
    /// Digest of the ONNX file that was sent with that job.
    pub base: Option<&'e str>,
    /// The line of the board's own backbone.
    pub line: &'e str,
    /// The highest version of that line that was taken on from this key; only higher ones are taken.
    pub floor: u64,
    /// How far above the floor a version may be, so that one forged or faulty version cannot shut out all
    /// later ones.
    pub max_jump: u64,
    /// The room there is for its files, in bytes.
    pub max_bytes: u64,
    /// The time in milliseconds since 1970. While the clock cannot be trusted nothing is taken on.
    pub now_ms: Option<i64>,
}

/// Why a manifest, or a file it describes, was refused.
#[expect(missing_docs, reason = "the error texts name the fields")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum BackboneManifestError {
    /// Not well-formed by itself.
    #[error(transparent)]
    Form(#[from] Malformed),
    /// No pinned key of that name.
    #[error(
        "the manifest is signed by key {0}, which is not among offload.host_keys; \
         pin what `graft host keys` prints on the host, if this is your host"
    )]
    UnknownKey(String),
    /// Forged, or changed since it was signed.
    #[error("the signature of the manifest is refused: {0}")]
    Signature(KeyError),
    /// For another device.
    #[error("the backbone is for device {found}, this is {wanted}")]
    WrongDevice { found: String, wanted: String },
    /// For a group the device is not of.
    #[error("the backbone is for the group {0}, and this device is not of it")]
    WrongGroup(String),
    /// The result of another job.
    #[error("the backbone is the result of job {found}, wanted is that of {wanted}")]
    WrongJob { found: String, wanted: String },
    /// Trained from another file than was sent.
    #[error("the backbone was trained from {found}, the job sent {wanted}")]
    WrongBase { found: String, wanted: String },
    /// Of another line than the board's own backbone.
    #[error("the backbone continues {found}, the one here is of the line {wanted}")]
    WrongLine { found: String, wanted: String },
    /// The version taken on last, once more.
    #[error("version {0} was taken on already; it is not taken on twice")]
    Replayed(u64),
    /// Below the version taken on last.
    #[error("version {version} is older than {floor}, which was taken on already; to go back, roll back")]
    Older { version: u64, floor: u64 },
    /// Too far above the version taken on last.
    #[error("version {version} is more than {max_jump} above {floor}; no host comes that far at once")]
    FastForward { version: u64, floor: u64, max_jump: u64 },
    /// Past its time.
    #[error("the manifest expired at {0}")]
    Expired(String),
    /// The board does not know the time.
    #[error("this device does not know the time yet, so it cannot tell whether the manifest has expired")]
    NoTime,
    /// Larger than there is room for.
    #[error("its files have {bytes} bytes, there is room for {max}")]
    OverBudget { bytes: u64, max: u64 },
    /// The file has another size.
    #[error("the file {name} has {found} bytes, the manifest says {listed}")]
    SizeMismatch { name: &'static str, listed: u64, found: u64 },
    /// The file has another digest.
    #[error("the file {0} does not have the digest of the manifest")]
    DigestMismatch(&'static str),
    /// A tensor file that cannot be read.
    #[error("{0}")]
    Tensors(HeadFileError),
}

impl BackboneManifestError {
    /// One word for the reason, for logs and programs.
    pub fn reason(&self) -> String {
        let word = match self {
            Self::Form(form) => return form.reason(),
            Self::Signature(KeyError::SignatureText) => "bad_signature_text",
            Self::Signature(_) => "bad_signature",
            Self::Older { .. } => "older_version",
            Self::Tensors(e) => match e {
                HeadFileError::TooLarge(_) => "tensors_too_large",
                HeadFileError::NonFinite(..) => "not_finite",
                HeadFileError::Tensor(..) => "wrong_shape",
                _ => "tensors_broken",
            },
            other => other.into(),
        };
        word.to_owned()
    }

    /// The code of the interface for it.
    pub fn code(&self) -> Code {
        match self {
            Self::Form(form) => form.code(),
            Self::Tensors(HeadFileError::TooLarge(_)) => Code::TooLarge,
            Self::OverBudget { .. } => Code::DiskFull,
            Self::UnknownKey(_) | Self::Signature(_) => Code::BadSignature,
            Self::SizeMismatch { .. } | Self::DigestMismatch(_) => Code::DigestMismatch,
            Self::Expired(_) | Self::NoTime => Code::Expired,
            _ => Code::Incompatible,
        }
    }
}

impl From<BackboneManifestError> for Error {
    fn from(error: BackboneManifestError) -> Self {
        Self::new(error.code(), error.to_string()).with("reason", error.reason())
    }
}

impl BackboneManifest {
    /// Whether every field is well-formed by itself: bounds, alphabets, fields that belong together.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), BackboneManifestError> {
        Ok(self.check_fields().map_err(Malformed::from)?)
    }

    fn check_fields(&self) -> Result<(), BadField> {
        let line = is_backbone_line(&self.line);
        fields::rule(line, "line", "takes 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or digit first")?;
        fields::version(self.version)?;
        let ids = [&self.device, &self.group].into_iter().flatten().all(|id| is_device_id(id));
        fields::rule(ids, "device", "or group takes 1 to 64 of a-z, 0-9 and '-'")?;
        let one = self.device.is_some() != self.group.is_some();
        fields::rule(one, "target", "is not one device and not one group")?;
        let job = self.job.as_deref().is_none_or(is_job_id) && self.job.is_some() == self.device.is_some();
        fields::rule(job, "job", "belongs to a backbone for one device, and is its job id")?;
        fields::digest("base", &self.base)?;
        let files = self.files.named().iter().all(|(_, blob)| blob.is_well_formed());
        fields::rule(files, "files", "has a file with no sha256 digest or no size")?;
        fields::line("tensor", &self.tensor)?;
        let width = (1..=MAX_WIDTH as u64).contains(&self.width);
        fields::rule(width, "width", "is not from 1 to 65536")?;
        let count = (2..=MAX_CLASSES).contains(&self.classes.len());
        fields::rule(count, "classes", "takes 2 to 10000 class names")?;
        fields::class_names(&self.classes)?;
        fields::metrics(&self.metrics)?;
        fields::time("created", &self.created)?;
        fields::time("expires", &self.expires)?;
        fields::key_id(&self.key_id)
    }

    /// Whether this manifest is well-formed, signed by one of the `pinned` keys, and what the board wants.
    ///
    /// # Errors
    /// The first thing that is wrong: form, then signature, then whom and what it is for.
    pub fn verify(&self, pinned: &[PublicKey], wanted: &Wanted<'_>) -> Result<(), BackboneManifestError> {
        self.check()?;
        let key = pinned
            .iter()
            .find(|key| key.id() == self.key_id)
            .ok_or_else(|| BackboneManifestError::UnknownKey(self.key_id.clone()))?;
        key.verify(self.statement().as_bytes(), &self.sig).map_err(BackboneManifestError::Signature)?;
        self.is_meant(wanted)?;
        self.is_timely(wanted)?;
        let bytes = self.files.bytes();
        match bytes > wanted.max_bytes {
            true => Err(BackboneManifestError::OverBudget { bytes, max: wanted.max_bytes }),
            false => Ok(()),
        }
    }

    /// Whether it is for this board, this job and this line.
    fn is_meant(&self, wanted: &Wanted<'_>) -> Result<(), BackboneManifestError> {
        if let Some(device) = self.device.as_deref().filter(|device| *device != wanted.device) {
            let (found, wanted) = (device.to_owned(), wanted.device.to_owned());
            return Err(BackboneManifestError::WrongDevice { found, wanted });
        }
        if let Some(group) = self.group.as_deref().filter(|group| Some(*group) != wanted.group) {
            return Err(BackboneManifestError::WrongGroup(group.to_owned()));
        }
        if self.job.as_deref() != wanted.job {
            let said = |job: Option<&str>| job.unwrap_or("no job").to_owned();
            let (found, wanted) = (said(self.job.as_deref()), said(wanted.job));
            return Err(BackboneManifestError::WrongJob { found, wanted });
        }
        if let Some(base) = wanted.base.filter(|base| *base != self.base) {
            let (found, wanted) = (self.base.clone(), base.to_owned());
            return Err(BackboneManifestError::WrongBase { found, wanted });
        }
        if self.line != wanted.line {
            let (found, wanted) = (self.line.clone(), wanted.line.to_owned());
            return Err(BackboneManifestError::WrongLine { found, wanted });
        }
        Ok(())
    }

    /// Whether it is newer than what was taken on, and not past its time.
    fn is_timely(&self, wanted: &Wanted<'_>) -> Result<(), BackboneManifestError> {
        let (version, floor, max_jump) = (self.version, wanted.floor, wanted.max_jump);
        if version == floor {
            return Err(BackboneManifestError::Replayed(version));
        }
        if version < floor {
            return Err(BackboneManifestError::Older { version, floor });
        }
        if version - floor > max_jump {
            return Err(BackboneManifestError::FastForward { version, floor, max_jump });
        }
        match (wanted.now_ms, parse_rfc3339(&self.expires)) {
            (None, _) => Err(BackboneManifestError::NoTime),
            (Some(now), Some(end)) if now <= end => Ok(()),
            _ => Err(BackboneManifestError::Expired(self.expires.clone())),
        }
    }

    /// Whether `bytes` are the file `name` of the manifest, whose blob is `blob`.
    ///
    /// # Errors
    /// Another size or digest.
    pub fn is_file(name: &'static str, blob: &Blob, bytes: &[u8]) -> Result<(), BackboneManifestError> {
        let found = bytes.len() as u64;
        if found != blob.size {
            return Err(BackboneManifestError::SizeMismatch { name, listed: blob.size, found });
        }
        match sha256(bytes) == blob.digest {
            true => Ok(()),
            false => Err(BackboneManifestError::DigestMismatch(name)),
        }
    }
}

/// Whether `text` may name a line of backbones: it becomes part of names of files.
pub fn is_backbone_line(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        && text.bytes().next().is_some_and(plain)
}
