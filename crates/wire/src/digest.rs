//! Digests as they are written everywhere: `sha256:` and 64 lower-case hex digits.

use sha2::{Digest, Sha256};

/// The pattern of a digest, for schemas.
pub const PATTERN: &str = "^sha256:[0-9a-f]{64}$";

/// `sha256:<hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Whether `text` is written as a digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_the_published_one() {
        let digest = sha256(b"");
        assert_eq!(digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(is_digest(&digest));
    }

    #[test]
    fn other_spellings_are_no_digests() {
        let good = sha256(b"x");
        for bad in [&good[7..], &good.to_uppercase(), &format!("{good}0"), "sha256:", "", "sha512:00"] {
            assert!(!is_digest(bad), "{bad}");
        }
    }
}
