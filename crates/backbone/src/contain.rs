//! Errors and panics of tract as errors of this crate.

use graft_base::contain::contain;
use tract_onnx::prelude::TractResult;

use super::BackboneError;

/// Runs `work` of tract, which `step` names in the error.
pub(super) fn contained<T>(
    step: &'static str,
    work: impl FnOnce() -> TractResult<T>,
) -> Result<T, BackboneError> {
    match contain(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(BackboneError::Tract { step, reason: short(&format!("{error:#}")) }),
        Err(panic) => Err(BackboneError::Panicked { step, reason: short(&panic) }),
    }
}

/// The first line, at most 300 characters: tract's reasons may hold whole tensors.
pub(super) fn short(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_reason() {
        let refused = contained::<()>("test", || panic!("seven {}", 7)).unwrap_err();
        assert!(
            matches!(&refused, BackboneError::Panicked { reason, .. } if reason == "seven 7"),
            "{refused}"
        );
        assert_eq!(contained("test", || Ok(3)).unwrap(), 3);
    }
}
