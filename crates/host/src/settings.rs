//! The settings of a host: one TOML file, whose defaults are `host.toml` beside this one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use toml::{Table, Value};

use graft_mqtt as mqtt;
use graft_wire::Topics;

/// Every key with its default and what it is for.
pub const DEFAULTS: &str = include_str!("host.toml");

/// The settings of a host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of this host: 1 to 64 of a-z, 0-9 and '-'.
    pub id: String,
    /// The state folder.
    pub dir: PathBuf,
    pub(crate) base: String,
    pub(crate) mqtt: mqtt::Settings,
    pub(crate) http: Http,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) offers: Offers,
}

/// Where boards reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// Address to listen on.
    pub(crate) listen: std::net::SocketAddr,
    /// What boards are told; empty: made from machine and port.
    pub(crate) url: String,
    /// Certificate, PEM; empty: no TLS.
    pub(crate) cert_file: PathBuf,
    /// Its key, PEM.
    pub(crate) key_file: PathBuf,
}

/// Where bytes are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    /// A folder or an address; empty: `blobs` in the state folder.
    pub(crate) url: String,
    quota_gb: f64,
    keep_hours: f64,
}

/// The training engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Engine {
    /// Program and arguments; the job folder and `--device` are appended.
    pub(crate) command: Vec<String>,
    /// Folder of the Python package.
    pub(crate) pythonpath: PathBuf,
    /// One job at a time on each.
    pub(crate) devices: Vec<String>,
    /// Seconds that one job may train.
    pub(crate) seconds: f64,
    /// Most passes over the samples; 0: no bound.
    pub(crate) epochs: u32,
    /// A mirrored picture is of the same class.
    pub(crate) flip: bool,
}

/// Which offers are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Offers {
    /// Ids of devices; none: all.
    pub(crate) devices: Vec<String>,
    max_gb: f64,
    expires_days: f64,
}

impl Store {
    /// Bytes that may be kept.
    pub(crate) fn quota_bytes(&self) -> u64 {
        (self.quota_gb * 1e9) as u64
    }

    /// How long what nobody needs is kept.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs_f64(self.keep_hours * 3600.0)
    }
}

impl Offers {
    /// Bytes of the largest job that is taken.
    pub(crate) fn max_bytes(&self) -> u64 {
        (self.max_gb * 1e9) as u64
    }

    /// How long a backbone may be taken on.
    pub(crate) fn expires(&self) -> Duration {
        Duration::from_secs_f64(self.expires_days * 86_400.0)
    }
}

impl Settings {
    /// Reads a settings file over the defaults; `set` are `key=value` pairs that are stronger than the file.
    ///
    /// # Errors
    /// What is wrong and where, for people.
    pub fn read(file: Option<&Path>, set: &[String]) -> Result<Self> {
        let mut table: Table = DEFAULTS.parse().context("the built-in settings cannot be read")?;
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the settings {} cannot be read", path.display()))?;
            let given: Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
            lay_over(&mut table, given);
        }
        for pair in set {
            let (key, value) = pair.split_once('=').with_context(|| format!("{pair:?} is not KEY=VALUE"))?;
            let value: Value = format!("v = {value}")
                .parse::<Table>()
                .ok()
                .and_then(|mut table| table.remove("v"))
                .unwrap_or_else(|| Value::String(value.to_owned()));
            let nested = key
                .rsplit('.')
                .fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
            if let Value::Table(nested) = nested {
                lay_over(&mut table, nested);
            }
        }
        let place = file.map_or_else(|| "the settings".to_owned(), |path| path.display().to_string());
        let mut settings: Self = table.try_into().with_context(|| format!("{place} cannot be used"))?;
        if settings.id.is_empty() {
            settings.id = machine();
        }
        settings.check().with_context(|| format!("{place} cannot be used"))?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        Topics::new(&self.base, &self.id).context("base, or id")?;
        self.mqtt.check().map_err(anyhow::Error::msg)?;
        let [program, ..] = &self.engine.command[..] else { bail!("engine.command is empty") };
        if program.is_empty() || self.engine.devices.is_empty() {
            bail!("engine.command and engine.devices need an entry");
        }
        if (self.http.cert_file == Path::new("")) != (self.http.key_file == Path::new("")) {
            bail!("http.cert_file and http.key_file belong together: set both or none");
        }
        let url = &self.http.url;
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("http.url has to begin with https:// or http://");
        }
        for (key, value, most) in [
            ("store.quota_gb", self.store.quota_gb, 1e9),
            ("store.keep_hours", self.store.keep_hours, 1e6),
            ("engine.seconds", self.engine.seconds, 1e7),
            ("offers.max_gb", self.offers.max_gb, 1e9),
            ("offers.expires_days", self.offers.expires_days, 36_500.0),
        ] {
            if !(0.0..=most).contains(&value) {
                bail!("{key} is {value}, must be 0 to {most}");
            }
        }
        Ok(())
    }

    /// Whether TLS is on.
    pub(crate) fn tls(&self) -> bool {
        self.http.cert_file != Path::new("")
    }

    /// What boards are told, where it listens on `port`.
    pub(crate) fn url(&self, port: u16) -> String {
        match self.http.url.as_str() {
            "" => {
                let scheme = if self.tls() { "https" } else { "http" };
                let ip = self.http.listen.ip();
                let name = if ip.is_unspecified() { machine() } else { ip.to_string() };
                if name.contains(':') {
                    format!("{scheme}://[{name}]:{port}")
                } else {
                    format!("{scheme}://{name}:{port}")
                }
            }
            url => url.trim_end_matches('/').to_owned(),
        }
    }
}

/// The keys of `above` replace those of `below`, table by table.
fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// The name of the machine in the alphabet of ids.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().to_lowercase();
    let id: String =
        name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    if id.is_empty() { "host".to_owned() } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotated_defaults_are_settings() {
        let settings = Settings::read(None, &[]).unwrap();
        assert_eq!(settings.mqtt, mqtt::Settings::default());
        assert_eq!(settings.store.quota_bytes(), 50_000_000_000);
        assert!(!settings.id.is_empty());
    }

    #[test]
    fn a_file_changes_what_it_names_and_options_are_stronger() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("host.toml");
        std::fs::write(
            &file,
            "id = \"gpu-1\"\n[http]\nlisten = \"127.0.0.1:0\"\n[engine]\ndevices = [\"cpu\"]\n",
        )
        .unwrap();
        let set = ["id=gpu-2".to_owned(), "engine.epochs=3".to_owned()];
        let settings = Settings::read(Some(&file), &set).unwrap();
        assert_eq!((settings.id.as_str(), settings.engine.epochs), ("gpu-2", 3));
        assert_eq!(settings.engine.devices, ["cpu"]);
        assert_eq!(settings.url(4711), "http://127.0.0.1:4711");
    }

    #[test]
    fn slips_are_named() {
        for (slip, says) in [
            ("engine.sconds=3", "sconds"),
            ("id=GPU 1", "id"),
            ("store.quota_gb=-1", "quota_gb"),
            ("http.cert_file=x", "belong together"),
            ("engine.devices=[]", "devices"),
            ("mqtt.port=0", "mqtt.port"),
        ] {
            let error = Settings::read(None, &[slip.to_owned()]).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{slip}: {error:#}");
        }
    }
}
