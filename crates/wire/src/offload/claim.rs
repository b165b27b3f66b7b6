//! A host's claim: the signed promise under which a board sends its pictures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::is_job_id;
use crate::command::rules::{As, HostId, JobId, Text, Time, Token, Url, is_token};
use crate::digest::sha256;
use crate::error::{Code, Error};
use crate::fields::{self, BadField};
use crate::keys::{Key, KeyError, PublicKey};
use crate::manifest::is_url;
use crate::timestamp::parse_rfc3339;
use crate::topic::is_device_id;

/// A claim, as the fields of `cmd/offload` `claim` give it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Claim {
    /// The job.
    #[serde(with = "As::<JobId>")]
    pub job: String,
    /// The host's id.
    #[serde(with = "As::<HostId>")]
    pub host: String,
    /// Where the host listens, like `https://10.0.0.7:8443`.
    #[serde(with = "As::<Url>")]
    pub url: String,
    /// The bearer token of this job and this claim. Its digest is what is signed.
    #[serde(with = "As::<Token>")]
    pub token: String,
    /// After this time the claim is not to be accepted.
    #[serde(with = "As::<Time>")]
    pub until: String,
    /// Short name of the key that signed it.
    #[serde(with = "As::<Text<16>>")]
    pub key_id: String,
    /// Base64 Ed25519 signature over the claim's statement, see docs/reference/offload.md.
    #[serde(with = "As::<Text<128>>")]
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

impl From<BadField> for ClaimError {
    fn from(BadField(field, why): BadField) -> Self {
        Self::Field(field, why)
    }
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
        fields::rule(is_job_id(&self.job), "job", "is no job id")?;
        fields::rule(is_device_id(&self.host), "host", "takes 1 to 64 of a-z, 0-9 and '-'")?;
        let url = is_url(&self.url);
        fields::rule(url, "url", "is no http or https address of at most 2048 plain characters")?;
        fields::rule(is_token(&self.token), "token", "takes 32 to 128 letters and digits")?;
        Ok(fields::time("until", &self.until)?)
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
