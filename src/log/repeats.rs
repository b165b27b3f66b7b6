//! The same complaint once a minute: what repeats is counted and told of in one line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// How long a complaint stands for its repetitions.
const WINDOW: Duration = Duration::from_secs(60);
/// Different complaints remembered at most; what comes beyond is logged each time.
const MOST: usize = 256;
/// Said by this module itself.
const OWN: &str = module_path!();

/// Lets warnings and errors through once a minute each; everything else always.
pub struct Repeats;

/// When each complaint was last let through, and how often it was held back since.
static SEEN: Mutex<Option<Seen>> = Mutex::new(None);

#[derive(Default)]
struct Seen(HashMap<String, (Instant, u64)>);

impl Seen {
    /// Whether this complaint is to be logged now.
    fn passes(&mut self, text: String, now: Instant) -> bool {
        let full = self.0.len() >= MOST;
        match self.0.entry(text) {
            Entry::Occupied(mut seen) => {
                seen.get_mut().1 += 1;
                false
            }
            Entry::Vacant(new) if !full => {
                new.insert((now, 0));
                true
            }
            Entry::Vacant(_) => true,
        }
    }

    /// Takes out the complaints whose minute is over; those that repeated, with their counts.
    fn over(&mut self, now: Instant) -> Vec<(String, u64)> {
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= WINDOW;
        self.0
            .extract_if(|_, (at, _)| is_over(at))
            .map(|(text, (_, count))| (text, count))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}

fn with<R>(look: impl FnOnce(&mut Seen) -> R) -> R {
    look(SEEN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// Says what was held back in the last minute. To be called now and then.
pub fn tell() {
    for (text, times) in with(|seen| seen.over(Instant::now())) {
        tracing::warn!(target: OWN, times, "repeated within a minute: {text}");
    }
}

/// The message and all fields in one line.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let name = if field.name() == "message" { "" } else { field.name() };
        let equals = if name.is_empty() { "" } else { "=" };
        // Writing into a text cannot fail.
        let _ = write!(self.0, "{name}{equals}{value:?} ");
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == OWN {
            return true;
        }
        let mut text = Text::default();
        event.record(&mut text);
        with(|seen| seen.passes(text.0, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_passes_once_a_minute_and_its_repetitions_are_counted() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(seen.passes("camera lost".into(), at(0)));
        assert!(!seen.passes("camera lost".into(), at(10)));
        assert!(!seen.passes("camera lost".into(), at(59)));
        assert!(seen.passes("broker lost".into(), at(30)));
        assert!(seen.over(at(59)).is_empty());
        assert_eq!(seen.over(at(60)), [("camera lost".to_owned(), 2)]);
        assert!(seen.passes("camera lost".into(), at(61)), "a new minute");
        assert!(seen.over(at(90)).is_empty(), "once only is not told of again");
    }

    #[test]
    fn many_different_complaints_take_no_memory() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        assert!((0..10 * MOST).all(|number| seen.passes(format!("fault {number}"), now)));
        assert!(seen.0.len() <= MOST);
    }
}
