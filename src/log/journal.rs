//! Events in systemd's journal, with their fields.
//!
//! The format is <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: one datagram an entry; a field is its name, a line's end,
//! the length of its value (eight bytes, little-endian), the value, a line's end.

use std::fmt::Debug;
use std::io;
use std::os::unix::net::UnixDatagram;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of a value at most; the datagram as a whole must stay below some 200 KiB.
const LONGEST: usize = 16 << 10;
/// The fields that tell why; an event has one of them at most.
const REASONS: [&str; 3] = ["error", "reason", "why"];

/// Sends each event to the journal, its fields as `GRAFT_…`.
pub struct Journal(UnixDatagram);

impl Journal {
    /// # Errors
    /// No journal listens.
    pub fn open() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // An empty entry is thrown away.
        socket.send_to(&[], SOCKET)?;
        Ok(Self(socket))
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // An entry that the journal does not take is lost: there is no other place to say so.
        let _ = self.0.send_to(&datagram(event), SOCKET);
    }
}

/// What is sent of an event.
fn datagram(event: &Event<'_>) -> Vec<u8> {
    let metadata = event.metadata();
    let mut entry = Entry::default();
    entry.put("PRIORITY", priority(*metadata.level()));
    entry.put("SYSLOG_IDENTIFIER", "graft");
    entry.put("TARGET", metadata.target());
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        entry.put("CODE_FILE", file);
        entry.put("CODE_LINE", &line.to_string());
    }
    event.record(&mut entry);
    let message = whole(std::mem::take(&mut entry.message), &entry.reason);
    entry.put("MESSAGE", &message);
    entry.bytes
}

/// As syslog counts them: 3 an error, 7 for those who look for one.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

/// The message with its reason: `journalctl` shows the message and no other field.
fn whole(message: String, reason: &str) -> String {
    if message.contains(reason) { message } else { format!("{message}: {reason}") }
}

/// An entry in the making.
#[derive(Default)]
struct Entry {
    bytes: Vec<u8>,
    message: String,
    reason: String,
}

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(LONGEST)];
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        if REASONS.contains(&field.name()) {
            value.clone_into(&mut self.reason);
        }
        // The journal takes capitals, digits and underscores.
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = field.name().chars().map(allowed).collect();
        self.put(&format!("GRAFT_{name}"), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    /// Keeps what would have been sent.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            *self.0.lock().unwrap() = datagram(event);
        }
    }

    /// The fields of the entry that this logs.
    fn entry(log: impl FnOnce()) -> Vec<(String, String)> {
        let kept = Kept::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(kept.clone()), log);
        let bytes = kept.0.lock().unwrap().clone();
        let (mut rest, mut fields) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let (name, after) = (&rest[..end], &rest[end + 1..]);
            let length = usize::try_from(u64::from_le_bytes(after[..8].try_into().unwrap())).unwrap();
            let value = &after[8..8 + length];
            assert_eq!(after[8 + length], b'\n');
            rest = &after[9 + length..];
            fields.push([name, value].map(|text| String::from_utf8(text.to_vec()).unwrap()).into());
        }
        fields
    }

    fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn fields_are_sent_as_the_journal_reads_them() {
        let fields = entry(|| tracing::warn!(port = 1883, client.id = "a\nb", "the broker\nis away"));
        assert_eq!(value(&fields, "PRIORITY"), Some("4"));
        assert_eq!(value(&fields, "MESSAGE"), Some("the broker\nis away"));
        assert_eq!(value(&fields, "GRAFT_PORT"), Some("1883"));
        assert_eq!(value(&fields, "GRAFT_CLIENT_ID"), Some("a\nb"));
        assert_eq!(value(&fields, "CODE_FILE"), Some(file!()));
    }

    #[test]
    fn the_reason_stands_in_the_message_once() {
        let error = std::io::Error::other("no space left");
        let fields = entry(|| tracing::error!(%error, "an event could not be stored"));
        assert_eq!(value(&fields, "MESSAGE"), Some("an event could not be stored: no space left"));
        assert_eq!(value(&fields, "GRAFT_ERROR"), Some("no space left"));
        let fields = entry(|| tracing::error!(%error, "not stored: no space left; free some"));
        assert_eq!(value(&fields, "MESSAGE"), Some("not stored: no space left; free some"));
        let fields = entry(|| tracing::warn!(reason = "bad password", wait_ms = 5, "no connection"));
        assert_eq!(value(&fields, "MESSAGE"), Some("no connection: bad password"));
        let fields = entry(|| tracing::info!("ready"));
        assert_eq!(value(&fields, "MESSAGE"), Some("ready"));
    }

    #[test]
    fn a_long_value_is_cut_between_two_letters() {
        let fields = entry(|| tracing::info!(text = "ü".repeat(LONGEST), "x{}", "ü".repeat(LONGEST)));
        assert_eq!(value(&fields, "GRAFT_TEXT").map(str::len), Some(LONGEST));
        assert_eq!(value(&fields, "MESSAGE").map(str::len), Some(LONGEST - 1));
    }
}
