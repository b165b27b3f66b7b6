//! Topic names as a type. The tree is `{base}/{device}/…`; the device writes everything except
//! `cmd/…`, and reads only that.

use super::command::Op;

/// Most levels of a base: together with the deepest topic (`head/<version>/<n>` under the device) this
/// stays within the seven slashes that the strictest known broker allows.
const BASE_LEVELS: usize = 4;
const BASE_BYTES: usize = 128;
const RESPONSE_BYTES: usize = 512;

/// Why a base or a device id was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The base is not usable as the start of a topic name.
    #[error("topic base {0:?} is not usable: {1}; use something like `graft` or `site/line-3`")]
    Base(String, &'static str),
    /// The device id breaks the alphabet or the length.
    #[error("device id {0:?} is not usable: it takes 1 to 64 of a-z, 0-9 and '-'")]
    Device(String),
}

/// The topics of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    root: String,
    device: String,
}

impl Topics {
    /// Checks both names. `base` may have levels (`site/line-3`) but no wildcards.
    pub fn new(base: &str, device: &str) -> Result<Self, TopicError> {
        let refuse = |why| Err(TopicError::Base(base.chars().take(BASE_BYTES).collect(), why));
        if base.is_empty() {
            return refuse("it is empty");
        }
        if base.len() > BASE_BYTES {
            return refuse("it is longer than 128 bytes");
        }
        if base.contains(['+', '#']) {
            return refuse("it holds a wildcard (+ or #)");
        }
        if base.starts_with('$') {
            return refuse("names starting with $ belong to the broker");
        }
        if base.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        if base.split('/').any(str::is_empty) {
            return refuse("it has an empty level (a slash at an end, or two in a row)");
        }
        if base.split('/').count() > BASE_LEVELS {
            return refuse("it has more than 4 levels");
        }
        if !is_device_id(device) {
            return Err(TopicError::Device(device.chars().take(80).collect()));
        }
        Ok(Self { root: format!("{base}/{device}"), device: device.to_owned() })
    }

    /// `{base}/{device}`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The device id.
    pub fn device(&self) -> &str {
        &self.device
    }

    fn under(&self, rest: &str) -> String {
        format!("{}/{rest}", self.root)
    }

    /// `online` or `offline`; the last will. Retained.
    pub fn availability(&self) -> String {
        self.under("availability")
    }

    /// What the device is and can do. Retained.
    pub fn info(&self) -> String {
        self.under("info")
    }

    /// What it is doing. Retained.
    pub fn state(&self) -> String {
        self.under("state")
    }

    /// Figures for graphs, every half minute.
    pub fn stats(&self) -> String {
        self.under("stats")
    }

    /// The agreed class name as plain text. Retained.
    pub fn label(&self) -> String {
        self.under("label")
    }

    /// Predictions at a limited rate.
    pub fn prediction(&self) -> String {
        self.under("prediction")
    }

    /// Things that happened.
    pub fn event(&self) -> String {
        self.under("event")
    }

    /// The signed manifest of the active head. Retained.
    pub fn head(&self) -> String {
        self.under("head")
    }

    /// Part `n` (from 0) of the head file of `version`. Retained.
    pub fn head_part(&self, version: u64, n: u32) -> String {
        self.under(&format!("head/{version}/{n}"))
    }

    /// The progress of one job. Retained until it is cleared.
    pub fn job(&self, id: &str) -> String {
        self.under(&format!("job/{id}"))
    }

    /// A job that waits for a training host, or that one has. Retained until it ended.
    pub fn offload(&self, job: &str) -> String {
        self.under(&format!("offload/{job}"))
    }

    /// Where replies go that named no response topic.
    pub fn reply(&self, op: Op) -> String {
        self.under(&format!("reply/{}", op.as_str()))
    }

    /// Where the command `op` is heard.
    pub fn cmd(&self, op: Op) -> String {
        self.under(&format!("cmd/{}", op.as_str()))
    }

    /// The one subscription of the device.
    pub fn cmd_filter(&self) -> String {
        self.under("cmd/+")
    }

    /// The word after `cmd/`, known or not, if `topic` is a command topic of this device.
    pub fn cmd_word<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let word = topic.strip_prefix(self.root.as_str())?.strip_prefix("/cmd/")?;
        (!word.is_empty() && !word.contains('/')).then_some(word)
    }

    /// The command that `topic` carries; `None` for other topics and for words that are no command.
    pub fn parse_cmd(&self, topic: &str) -> Option<Op> {
        Op::parse(self.cmd_word(topic)?)
    }

    /// Whether a reply may go to the MQTT 5 response topic a request named: a plain topic name under
    /// one of `prefixes` (whole levels), never a command topic of this device.
    pub fn allows_response(&self, topic: &str, prefixes: &[String]) -> bool {
        let plain = !topic.is_empty()
            && topic.len() <= RESPONSE_BYTES
            && !topic.starts_with('$')
            && !topic.contains(['+', '#'])
            && !topic.chars().any(char::is_control);
        let own_command = topic
            .strip_prefix(self.root.as_str())
            .is_some_and(|rest| rest == "/cmd" || rest.starts_with("/cmd/"));
        plain
            && !own_command
            && prefixes.iter().any(|prefix| {
                let prefix = prefix.trim_end_matches('/');
                !prefix.is_empty()
                    && topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }
}

/// Whether `text` is a device id: 1 to 64 of `a-z`, `0-9` and `-`.
pub fn is_device_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_hang_under_base_and_device() {
        let t = Topics::new("site/line-3", "cam-1").unwrap();
        assert_eq!(t.root(), "site/line-3/cam-1");
        assert_eq!(t.availability(), "site/line-3/cam-1/availability");
        assert_eq!(t.head_part(7, 2), "site/line-3/cam-1/head/7/2");
        assert_eq!(t.reply(Op::Label), "site/line-3/cam-1/reply/label");
        assert_eq!(t.cmd_filter(), "site/line-3/cam-1/cmd/+");
        assert!(t.head_part(1, 0).matches('/').count() <= 7);
    }

    #[test]
    fn bad_bases_and_devices_are_refused_by_reason() {
        for base in ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a\nb", "a/b/c/d/e", &"x".repeat(200)] {
            assert!(matches!(Topics::new(base, "cam"), Err(TopicError::Base(..))), "{base:?}");
        }
        for device in ["", "Cam", "a b", "a/b", "ä", "a_b", &"x".repeat(65)] {
            assert!(matches!(Topics::new("graft", device), Err(TopicError::Device(_))), "{device:?}");
        }
        assert!(Topics::new("graft", &"x".repeat(64)).is_ok());
    }

    #[test]
    fn only_own_known_commands_parse() {
        let t = Topics::new("graft", "cam").unwrap();
        for op in Op::ALL {
            assert_eq!(t.parse_cmd(&t.cmd(op)), Some(op));
        }
        for other in [
            "graft/cam/cmd/",
            "graft/cam/cmd/mode/x",
            "graft/camcmd/mode",
            "graft/cam2/cmd/mode",
            "graft/cam/reply/mode",
            "graft/cam/cmd/fly",
            "x/graft/cam/cmd/mode",
        ] {
            assert_eq!(t.parse_cmd(other), None, "{other}");
        }
        assert_eq!(t.cmd_word("graft/cam/cmd/fly"), Some("fly"));
    }

    #[test]
    fn response_topics_stay_under_their_prefixes() {
        let t = Topics::new("graft", "cam").unwrap();
        let prefixes = ["graft".to_owned(), "clients/".to_owned()];
        for good in ["graft/cam/reply/mode", "clients/7", "graft/other/answers"] {
            assert!(t.allows_response(good, &prefixes), "{good}");
        }
        for bad in [
            "",
            "graftx/1",
            "client",
            "clients/+",
            "#",
            "$SYS/x",
            "graft/cam/cmd/mode",
            "graft/cam/cmd",
            "clients/\u{0}",
            &format!("clients/{}", "x".repeat(600)),
        ] {
            assert!(!t.allows_response(bad, &prefixes), "{bad}");
        }
        assert!(!t.allows_response("anything", &[String::new(), "/".to_owned()]));
    }

    proptest! {
        #[test]
        fn parse_cmd_never_panics(topic in "\\PC*") {
            let t = Topics::new("graft", "cam").unwrap();
            let _ = t.parse_cmd(&topic);
            let _ = t.allows_response(&topic, &["graft".to_owned()]);
            let _ = Topics::new(&topic, &topic);
        }
    }
}
