//! The `[mqtt]` table of the configuration.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Whether the connection to the broker is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Plain TCP: for a broker on this machine or in a trusted network.
    #[default]
    Off,
    /// TLS 1.2 or 1.3; the broker's certificate must be valid for `host`.
    On,
}

/// How to reach the broker and how to behave there.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Off: the daemon runs without MQTT and is commanded over its socket alone.
    pub enabled: bool,
    /// Name or address of the broker.
    pub host: String,
    /// Port of the broker: 1883 usually, 8883 with TLS.
    pub port: u16,
    /// User name at the broker; empty = none.
    pub username: String,
    /// File whose first line is the password. It is read at every connect, so it can be replaced while running.
    pub password_file: Option<PathBuf>,
    /// `off` or `on`.
    pub tls: Tls,
    /// PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our own certificate, where the broker asks for one. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Seconds between signs of life, 5 to 3600.
    pub keep_alive_s: u16,
    /// Seconds for which the broker keeps commands for us while we are away; 0 = not at all.
    pub session_expiry_s: u32,
    /// Largest packet accepted from the broker, bytes; told to the broker.
    pub max_packet_in: u32,
    /// Largest packet sent, bytes; the broker's own limit also applies.
    pub max_packet_out: u32,
    /// MQTT client id: the broker keeps the session under it. Empty in the configuration = made from the device id, before
    /// the session starts. Two clients of one id throw each other out.
    pub client_id: String,
    /// Longest pause between two attempts to connect, seconds, 1 to 3600.
    pub reconnect_max_s: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            host: "127.0.0.1".into(),
            port: 1883,
            username: String::new(),
            password_file: None,
            tls: Tls::Off,
            ca_file: None,
            cert_file: None,
            key_file: None,
            keep_alive_s: 30,
            session_expiry_s: 300,
            max_packet_in: 1 << 20,
            max_packet_out: 1 << 20,
            client_id: String::new(),
            reconnect_max_s: 30,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password itself is never in here; the user name and key paths are nobody's business in a log.
        f.debug_struct("Settings")
            .field("enabled", &self.enabled)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &if self.username.is_empty() { "" } else { "(set)" })
            .field("password_file", &self.password_file.as_ref().map(|_| "(set)"))
            .field("tls", &self.tls)
            .field("ca_file", &self.ca_file)
            .field("cert_file", &self.cert_file.as_ref().map(|_| "(set)"))
            .field("key_file", &self.key_file.as_ref().map(|_| "(set)"))
            .field("keep_alive_s", &self.keep_alive_s)
            .field("session_expiry_s", &self.session_expiry_s)
            .field("max_packet_in", &self.max_packet_in)
            .field("max_packet_out", &self.max_packet_out)
            .field("client_id", &self.client_id)
            .field("reconnect_max_s", &self.reconnect_max_s)
            .finish()
    }
}

impl Settings {
    /// Checks what the types cannot. Each fault is one sentence that begins with the key.
    pub fn check(&self) -> Result<(), String> {
        let fault = |text: String| Err(text);
        if self.host.is_empty() || self.host.len() > 253 {
            return fault("mqtt.host must be a name or an address".into());
        }
        if self.port == 0 {
            return fault("mqtt.port must be 1 to 65535 (1883 usually, 8883 with TLS)".into());
        }
        if !(5..=3600).contains(&self.keep_alive_s) {
            return fault(format!("mqtt.keep_alive_s is {}, must be 5 to 3600", self.keep_alive_s));
        }
        if !(1..=3600).contains(&self.reconnect_max_s) {
            return fault(format!("mqtt.reconnect_max_s is {}, must be 1 to 3600", self.reconnect_max_s));
        }
        for (key, bytes) in [("max_packet_in", self.max_packet_in), ("max_packet_out", self.max_packet_out)] {
            // 70,000 leaves room for one part of a head (64 KiB) and its topic.
            if !(70_000..=268_435_455).contains(&bytes) {
                return fault(format!("mqtt.{key} is {bytes}, must be 70000 to 268435455 bytes"));
            }
        }
        if self.password_file.is_some() && self.username.is_empty() {
            return fault("mqtt.password_file is set but mqtt.username is not: set both".into());
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return fault("mqtt.cert_file and mqtt.key_file belong together: set both or none".into());
        }
        let files = [&self.ca_file, &self.cert_file, &self.key_file];
        if self.tls == Tls::Off && files.iter().any(|file| file.is_some()) {
            return fault("mqtt.ca_file, cert_file and key_file need mqtt.tls = \"on\"".into());
        }
        if self.tls == Tls::On && self.host.contains(':') {
            return fault(
                "mqtt.host is an IPv6 address, which TLS cannot be used with here: use a name".into(),
            );
        }
        if self.client_id.len() > 256 || self.client_id.chars().any(char::is_control) {
            return fault("mqtt.client_id must be at most 256 bytes without control characters".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_settings_are_valid() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn each_fault_names_its_key() {
        type Break = fn(&mut Settings);
        let cases: [(&str, Break); 9] = [
            ("mqtt.host", |s| s.host.clear()),
            ("mqtt.port", |s| s.port = 0),
            ("mqtt.keep_alive_s", |s| s.keep_alive_s = 4),
            ("mqtt.reconnect_max_s", |s| s.reconnect_max_s = 0),
            ("mqtt.max_packet_in", |s| s.max_packet_in = 10_240),
            ("mqtt.max_packet_out", |s| s.max_packet_out = 1 << 30),
            ("mqtt.password_file", |s| s.password_file = Some("p".into())),
            ("mqtt.cert_file", |s| s.cert_file = Some("c".into())),
            ("mqtt.ca_file", |s| s.ca_file = Some("c".into())),
        ];
        for (key, break_it) in cases {
            let mut settings = Settings::default();
            break_it(&mut settings);
            let fault = settings.check().unwrap_err();
            assert!(fault.starts_with(key), "{fault}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let fault = serde_json::from_str::<Settings>(r#"{"hots": "x"}"#).unwrap_err().to_string();
        assert!(fault.contains("hots"), "{fault}");
    }

    #[test]
    fn i18_debug_shows_no_credential() {
        let settings = Settings {
            username: "line-3".into(),
            password_file: Some("/run/credentials/pw".into()),
            ..Settings::default()
        };
        let text = format!("{settings:?}");
        assert!(!text.contains("line-3") && !text.contains("credentials"), "{text}");
    }
}
