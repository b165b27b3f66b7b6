//! A host's claim: the signed promise under which a board sends its pictures.

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::is_job_id;
use crate::digest::sha256;
use crate::error::{Code, Error};
use crate::keys::{Key, KeyError, PublicKey};
use crate::manifest::is_url;
use crate::timestamp::parse_rfc3339;
use crate::topic::is_device_id;

/// A claim, as the fields of `cmd/offload` `claim` give it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Claim {
    /// The job.
    #[schemars(regex(pattern = "^[A-Za-z0-9-]{1,64}$"))]
    pub job: String,
    /// The host's id.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,64}$"))]
    pub host: String,
    /// Where the host listens, like `https://10.0.0.7:8443`.
    pub url: String,
    /// The bearer token of this job and this claim. Its digest is what is signed.
    pub token: String,
    /// After this time the claim is not to be accepted.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
    /// Short name of the key that signed it.
    pub key_id: String,
    /// Base64 Ed25519 signature over the claim's statement, see docs/reference/offload.md.
    pub sig: String,
}

/// Why a claim was refused.
#[expect(missing_docs, reason = "the error texts name the fields")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A field that is not well-formed.
    #[error("the field {0} of the claim {1}")]
    Field(&'static str, &'static str),
    /// No pinned key of that name.
    #[error(
        "the claim is signed by key {0}, which is not among offload.host_keys; \
         pin what `graft host keys` prints on the host, if this is your host"
    )]
    UnknownKey(String),
    /// Forged, or made for another device or job.
    #[error("the signature of the claim is refused: {0}")]
    Signature(KeyError),
    /// Too late, or the board does not know the time.
    #[error("the claim was good until {until}; {why}")]
    Expired { until: String, why: &'static str },
}

impl Claim {
    /// Signs it for `device`; `key_id` and `sig` are set.
    ///
    /// # Errors
    /// When a field is not well-formed.
    pub fn sign(&mut self, device: &str, key: &Key) -> Result<(), ClaimError> {
        self.key_id = key.id();
        self.check()?;
        self.sig = key.sign(self.statement(device).as_bytes());
        Ok(())
    }

    /// The signed text: one field a line, each line ended by a line feed. The token stands in it by its
    /// digest, so that a statement may be shown and logged.
    pub fn statement(&self, device: &str) -> String {
        format!(
            "graft-claim-v1\ndevice {device}\njob {}\nhost {}\nurl {}\ntoken {}\nuntil {}\nkey_id {}\n",
            self.job,
            self.host,
            self.url,
            sha256(self.token.as_bytes()),
            self.until,
            self.key_id
        )
    }

    /// Whether every field is well-formed by itself.
    ///
    /// # Errors
    /// The first field that is not.
    pub fn check(&self) -> Result<(), ClaimError> {
        let wrong = |field, why| Err(ClaimError::Field(field, why));
        if !is_job_id(&self.job) {
            return wrong("job", "is no job id");
        }
        if !is_device_id(&self.host) {
            return wrong("host", "takes 1 to 64 of a-z, 0-9 and '-'");
        }
        if !is_url(&self.url) {
            return wrong("url", "is no http or https address of at most 2048 plain characters");
        }
        if !(32..=128).contains(&self.token.len()) || !self.token.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return wrong("token", "takes 32 to 128 letters and digits");
        }
        if parse_rfc3339(&self.until).is_none() {
            return wrong("until", "is no time like 2026-03-01T12:00:00Z");
        }
        Ok(())
    }

    /// Whether one of the `pinned` keys made this claim for `device`, and whether it is in time.
    /// `now_ms` is `None` while the clock cannot be trusted; then no claim is good, as it could be an old one.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, device: &str, pinned: &[PublicKey], now_ms: Option<i64>) -> Result<(), ClaimError> {
        self.check()?;
        let key = pinned
            .iter()
            .find(|key| key.id() == self.key_id)
            .ok_or_else(|| ClaimError::UnknownKey(self.key_id.chars().take(32).collect()))?;
        key.verify(self.statement(device).as_bytes(), &self.sig).map_err(ClaimError::Signature)?;
        let late = |why| Err(ClaimError::Expired { until: self.until.clone(), why });
        match (now_ms, parse_rfc3339(&self.until)) {
            (None, _) => late("this device does not know the time yet"),
            (Some(now), Some(until)) if now <= until => Ok(()),
            _ => late("that is over"),
        }
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        let (code, reason) = match &error {
            ClaimError::Field(..) => (Code::BadRequest, "malformed"),
            ClaimError::UnknownKey(_) => (Code::BadSignature, "unknown_key"),
            ClaimError::Signature(_) => (Code::BadSignature, "bad_signature"),
            ClaimError::Expired { .. } => (Code::Expired, "expired"),
        };
        Self::new(code, error.to_string()).with("reason", reason)
    }
}
