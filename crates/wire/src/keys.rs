//! Ed25519 keys: a device signs its heads, others pin its public key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::digest::hex;

/// Why a key or a signature was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64 of the right length.
    #[error(
        "a public key is 32 bytes in base64 (44 characters, ending in '='); see public_key in the info topic"
    )]
    Text,
    /// Not a point of the curve, or one that would accept forged signatures.
    #[error("that is no usable Ed25519 public key")]
    Weak,
    /// The signature is not base64 of 64 bytes.
    #[error("a signature is 64 bytes in base64 (88 characters)")]
    SignatureText,
    /// The signature is not one of this key over these bytes.
    #[error("the signature is not one of this key over this statement")]
    Forged,
}

/// The secret key of a device. Wiped from memory when dropped; never printed.
pub struct Key(SigningKey);

impl Key {
    /// The key of a seed of 32 random bytes. The seed is overwritten with zeros.
    pub fn from_seed(seed: &mut [u8; 32]) -> Self {
        let key = Self(SigningKey::from_bytes(seed));
        seed.fill(0);
        // Keeps the compiler from leaving the overwriting out.
        std::hint::black_box(seed);
        key
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Short name of the key, see [`PublicKey::id`].
    pub fn id(&self) -> String {
        self.public().id()
    }

    /// Signature over `statement`, base64.
    pub fn sign(&self, statement: &[u8]) -> String {
        STANDARD.encode(self.0.sign(statement).to_bytes())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

/// The public key of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes: [u8; 32] =
            STANDARD.decode(text.trim()).ok().and_then(|b| b.try_into().ok()).ok_or(KeyError::Text)?;
        Self::from_bytes(&bytes)
    }

    /// Reads 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Base64 of the 32 bytes.
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0.as_bytes())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Short name of the key: the first 16 hex digits of the SHA-256 of its 32 bytes. For telling keys
    /// apart, not for trusting them.
    pub fn id(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes())[..8])
    }

    /// Checks a base64 signature over `statement` by the strict rules (no small-order or non-canonical parts).
    pub fn verify(&self, statement: &[u8], signature: &str) -> Result<(), KeyError> {
        let bytes: [u8; 64] =
            STANDARD.decode(signature).ok().and_then(|b| b.try_into().ok()).ok_or(KeyError::SignatureText)?;
        self.0.verify_strict(statement, &Signature::from_bytes(&bytes)).map_err(|_| KeyError::Forged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Key {
        Key::from_seed(&mut [byte; 32])
    }

    #[test]
    fn the_rfc_8032_vector_comes_out() {
        // RFC 8032, 7.1, test 1: empty message.
        let mut seed = [0; 32];
        let text = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        for (i, byte) in seed.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
        }
        let key = Key::from_seed(&mut seed);
        assert_eq!(seed, [0; 32]);
        assert_eq!(
            hex(key.public().as_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = STANDARD.decode(key.sign(b"")).unwrap();
        assert_eq!(
            hex(&signature),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b\
             d25bf5f0595bbe24655141438e7a100b"
        );
    }

    #[test]
    fn signatures_bind_key_and_statement() {
        let (ours, other) = (key(1), key(2));
        let signature = ours.sign(b"statement");
        assert_eq!(ours.public().verify(b"statement", &signature), Ok(()));
        assert_eq!(ours.public().verify(b"statemenT", &signature), Err(KeyError::Forged));
        assert_eq!(other.public().verify(b"statement", &signature), Err(KeyError::Forged));
        assert_eq!(ours.public().verify(b"statement", "AAAA"), Err(KeyError::SignatureText));
    }

    #[test]
    fn a_non_canonical_signature_is_refused() {
        // s + the group order signs the same statement by the loose rules.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let ours = key(1);
        let mut bytes = STANDARD.decode(ours.sign(b"x")).unwrap();
        let mut carry = 0u16;
        for i in 0..32 {
            let sum = u16::from(bytes[32 + i]) + u16::from(ORDER[i]) + carry;
            bytes[32 + i] = sum as u8;
            carry = sum >> 8;
        }
        assert_eq!(ours.public().verify(b"x", &STANDARD.encode(bytes)), Err(KeyError::Forged));
    }

    #[test]
    fn public_keys_survive_base64_and_weak_ones_do_not() {
        let public = key(7).public();
        assert_eq!(PublicKey::from_base64(&public.base64()), Ok(public));
        assert_eq!(public.id().len(), 16);
        assert_eq!(PublicKey::from_base64("abc"), Err(KeyError::Text));
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(KeyError::Weak));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(format!("{:?}", key(1)).len() < 30);
    }
}
