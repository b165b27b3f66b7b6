//! Single changes, each in a transaction of its own.

use super::{Added, Change, NewHead, NewSample, Serving, Store, StoreError};

/// Writes `Store::name(args)` as one transaction around `Tx::name(args)`.
macro_rules! in_own_transaction {
    ($($(#[$meta:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        impl Store {
            $(
                #[doc = concat!("[`Tx::", stringify!($name), "`](super::Tx::", stringify!($name), ") in a transaction of its own: on disk when it returns.")]
                ///
                /// # Errors
                /// Its errors, or the failure of the commit.
                pub fn $name(&mut self, $($arg: $type),*) -> Result<$out, StoreError> {
                    self.transaction(|tx| tx.$name($($arg),*))
                }
            )*
        }
    };
}

in_own_transaction! {
    add_samples(samples: &[NewSample], now_ms: i64) -> Added;
    relabel(ids: &[i64], class: &str, now_ms: i64) -> Change;
    delete(ids: &[i64], now_ms: i64) -> Change;
    clear(now_ms: i64) -> Change;
    undo(now_ms: i64) -> Change;
    add_class(name: &str, now_ms: i64) -> Change;
    ensure_class(name: &str, now_ms: i64) -> Option<Change>;
    rename_class(from: &str, to: &str, now_ms: i64) -> Change;
    remove_class(name: &str, dry_run: bool, now_ms: i64) -> Change;
    put_embedding(id: i64, digest: &str, embedding: &[f32]) -> ();
    forget_backbone(digest: &str) -> usize;
    next_head_version() -> i64;
    put_head(head: &NewHead, now_ms: i64) -> ();
    set_active(version: i64, now_ms: i64) -> Serving;
    promote(head: &NewHead, now_ms: i64) -> Serving;
    pin(version: Option<i64>) -> Serving;
    set_published(version: i64, now_ms: i64) -> ();
    put_state(key: &str, value: &str) -> ();
    drop_state(key: &str) -> ();
    remember_reply(id: &str, reply: &str) -> ();
    replace_reply(id: &str, reply: &str) -> ();
    push(topic: &str, payload: &[u8], retain: bool) -> i64;
    done(seq: i64) -> ();
}
