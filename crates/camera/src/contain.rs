//! Keeps a panic inside a foreign decoder or driver binding from ending the camera thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic inside becomes an error text. For calls into outside crates on untrusted bytes only: our own
/// code does not panic. Values that `work` borrowed mutably must not be used after an error.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|cause| {
        let text = cause
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| cause.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Err(format!("the decoder failed inside ({text})"))
    })
}

#[cfg(test)]
mod tests {
    use super::contained;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(contained(|| Ok(3)), Ok(3));
        let result: Result<(), String> = contained(|| panic!("index {}", 7));
        assert!(result.unwrap_err().contains("index 7"));
    }
}
