//! Keeps tract's panics inside this room.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use tract_onnx::prelude::TractResult;

use super::BackboneError;

thread_local! {
    /// Is this thread inside [`contained`]?
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static QUIET: Once = Once::new();

/// Runs something of tract so that a panic becomes an error, and is not printed as the daemon's own.
pub(super) fn contained<T>(
    step: &'static str,
    work: impl FnOnce() -> TractResult<T>,
) -> Result<T, BackboneError> {
    QUIET.call_once(|| {
        let earlier = take_hook();
        set_hook(Box::new(move |panic| {
            if !INSIDE.get() {
                earlier(panic);
            }
        }));
    });
    let outer = INSIDE.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    INSIDE.set(outer);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(BackboneError::Tract { step, reason: short(&format!("{error:#}")) }),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(BackboneError::Panicked { step, reason: short(text) })
        }
    }
}

/// The first line, bounded: tract's reasons may hold whole tensors.
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
        assert!(!INSIDE.get());
        assert_eq!(contained("test", || Ok(3)).unwrap(), 3);
    }
}
