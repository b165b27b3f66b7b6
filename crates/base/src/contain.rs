//! Turns a panic in a third-party decoder, driver binding or network engine into an error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`contain`].
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `work`. For calls into outside crates on untrusted bytes only: our own code does not panic. Values that `work`
/// borrowed mutably must not be used after an error.
///
/// # Errors
/// The message of the panic, which is not printed.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
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
    outcome.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        assert_eq!(contain(|| 3), Ok(3));
        assert_eq!(contain::<()>(|| panic!("index {}", 7)), Err("index 7".into()));
        assert_eq!(contain::<()>(|| panic!("plain")), Err("plain".into()));
        assert!(!INSIDE.get());
    }
}
