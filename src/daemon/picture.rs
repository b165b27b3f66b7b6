//! The picture of a kept frame, which is encoded after the frame's prediction went out: nobody who waits for a prediction
//! waits for a JPEG.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// A crop as JPEG, here or soon; by default none, which is empty.
#[derive(Clone, Default)]
pub struct Picture(Option<Arc<OnceLock<Vec<u8>>>>);

/// The duty to make a picture. Dropped without having been kept, it leaves an empty one, which no store takes.
#[derive(Debug)]
pub struct Promise(Arc<OnceLock<Vec<u8>>>);

impl Picture {
    /// A picture that is not there yet.
    pub fn promised() -> (Self, Promise) {
        let place = Arc::default();
        (Self(Some(Arc::clone(&place))), Promise(place))
    }

    /// The bytes; waits until they are there, some milliseconds at most. Empty where nobody made them.
    /// Never to be called on the loop's thread: the store's thread, or one of its own, waits.
    pub fn wait(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |place| place.wait())
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Picture" } else { "NoPicture" })
    }
}

impl From<Vec<u8>> for Picture {
    fn from(jpeg: Vec<u8>) -> Self {
        Self(Some(Arc::new(jpeg.into())))
    }
}

impl Promise {
    /// Hands the bytes over.
    pub fn keep(self, jpeg: Vec<u8>) {
        // Only the promise sets it, and it is gone after this.
        let _ = self.0.set(jpeg);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.get_or_init(Vec::new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_early_waits_and_a_broken_promise_is_an_empty_picture() {
        let (picture, promise) = Picture::promised();
        let asked = std::thread::spawn({
            let picture = picture.clone();
            move || picture.wait().to_vec()
        });
        promise.keep(vec![1, 2]);
        assert_eq!((asked.join().unwrap(), picture.wait()), (vec![1, 2], &[1, 2][..]));
        let (picture, promise) = Picture::promised();
        drop(promise);
        assert!(picture.wait().is_empty());
        assert_eq!((Picture::from(vec![3]).wait(), Picture::default().wait()), (&[3][..], &[][..]));
    }
}
