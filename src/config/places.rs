//! Defaults that depend on the machine: state folder, socket, device id.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The surroundings that defaults are taken from.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Whether this is the root user.
    pub root: bool,
    /// `/`, elsewhere in tests.
    pub system: PathBuf,
}

impl Surroundings {
    /// Those of this machine.
    pub fn here() -> Self {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        Self {
            variables: std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect(),
            root: rustix::process::geteuid().is_root(),
            system: PathBuf::from("/"),
        }
    }

    fn folder(&self, variable: &str) -> Option<PathBuf> {
        // systemd may give several, separated by colons.
        let first = self.variables.get(variable)?.split(':').next()?;
        first.starts_with('/').then(|| PathBuf::from(first))
    }

    /// `/etc/graft/config.toml`.
    pub fn config_file(&self) -> PathBuf {
        self.system.join("etc/graft/config.toml")
    }

    /// The state folder where `store.dir` is empty.
    pub fn state_dir(&self) -> PathBuf {
        let system = self.system.join("var/lib/graft");
        if let Some(folder) = self.folder("STATE_DIRECTORY") {
            return folder;
        }
        if self.root {
            return system;
        }
        let own = || self.folder("HOME").map(|home| home.join(".local/state"));
        self.folder("XDG_STATE_HOME").or_else(own).map_or(system, |folder| folder.join("graft"))
    }

    /// The socket that a daemon opens where `socket.path` is empty.
    pub fn socket(&self, state_dir: &Path) -> PathBuf {
        if let Some(folder) = self.folder("RUNTIME_DIRECTORY") {
            return folder.join("graft.sock");
        }
        if self.root {
            return self.system.join("run/graft/graft.sock");
        }
        self.folder("XDG_RUNTIME_DIR")
            .map_or_else(|| state_dir.to_owned(), |folder| folder.join("graft"))
            .join("graft.sock")
    }

    /// The socket that a client tries where nobody names one: the own daemon's, else the system's.
    pub fn client_socket(&self) -> PathBuf {
        let system = self.system.join("run/graft/graft.sock");
        let own = self.socket(&self.state_dir());
        if own.exists() { own } else { system }
    }

    /// A device id that stays: a hash of the machine id, else of the first network card's address. Neither
    /// is given away itself.
    pub fn device_id(&self) -> Option<String> {
        let read = |path: &str| {
            let text = std::fs::read_to_string(self.system.join(path)).ok()?;
            let text = text.trim().to_owned();
            (text.len() >= 16 && text.bytes().any(|b| b != b'0' && b != b'-')).then_some(text)
        };
        let machine = read("etc/machine-id").or_else(|| read("var/lib/dbus/machine-id"));
        machine.or_else(|| self.network_address()).map(|secret| hashed(&secret))
    }

    fn network_address(&self) -> Option<String> {
        let cards = std::fs::read_dir(self.system.join("sys/class/net")).ok()?;
        let address = |card: std::fs::DirEntry| {
            let text = std::fs::read_to_string(card.path().join("address")).ok()?;
            let text = text.trim().to_owned();
            (!text.is_empty() && text.bytes().any(|b| b != b'0' && b != b':'))
                .then(|| (card.file_name(), text))
        };
        cards.flatten().filter_map(address).min().map(|(_, text)| text)
    }
}

fn hashed(secret: &str) -> String {
    let digest = Sha256::digest(format!("graft-device-id-v1\n{secret}"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: bool, variables: &[(&str, &str)]) -> Surroundings {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Surroundings {
            variables: variables.iter().map(own).collect(),
            root,
            system: PathBuf::from("/nowhere"),
        }
    }

    #[test]
    fn state_and_socket_follow_systemd_then_the_user() {
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let cases: [(bool, Variables, &str, &str); 5] = [
            (true, &[], "/nowhere/var/lib/graft", "/nowhere/run/graft/graft.sock"),
            (
                false,
                &[("STATE_DIRECTORY", "/var/lib/graft:/x"), ("RUNTIME_DIRECTORY", "/run/graft")],
                "/var/lib/graft",
                "/run/graft/graft.sock",
            ),
            (
                false,
                &[("HOME", "/home/ann"), ("XDG_RUNTIME_DIR", "/run/user/1000")],
                "/home/ann/.local/state/graft",
                "/run/user/1000/graft/graft.sock",
            ),
            (false, &[("XDG_STATE_HOME", "/s")], "/s/graft", "/s/graft/graft.sock"),
            (false, &[("HOME", "relative")], "/nowhere/var/lib/graft", "/nowhere/var/lib/graft/graft.sock"),
        ];
        for (root, variables, state, socket) in cases {
            let here = place(root, variables);
            assert_eq!(here.state_dir(), Path::new(state));
            assert_eq!(here.socket(&here.state_dir()), Path::new(socket));
        }
    }

    #[test]
    fn the_device_id_is_a_hash_of_the_machine_id_else_of_a_network_address() {
        let folder = tempfile::tempdir().unwrap();
        let here = Surroundings { variables: BTreeMap::new(), root: false, system: folder.path().to_owned() };
        assert_eq!(here.device_id(), None);
        std::fs::create_dir_all(folder.path().join("sys/class/net/eth0")).unwrap();
        std::fs::create_dir_all(folder.path().join("sys/class/net/lo")).unwrap();
        std::fs::write(folder.path().join("sys/class/net/lo/address"), "00:00:00:00:00:00\n").unwrap();
        assert_eq!(here.device_id(), None);
        std::fs::write(folder.path().join("sys/class/net/eth0/address"), "02:fc:00:00:00:01\n").unwrap();
        let by_card = here.device_id().unwrap();
        std::fs::create_dir_all(folder.path().join("etc")).unwrap();
        std::fs::write(folder.path().join("etc/machine-id"), "uninitialized\n").unwrap();
        assert_eq!(here.device_id().as_ref(), Some(&by_card));
        let id = "0123456789abcdef0123456789abcdef";
        std::fs::write(folder.path().join("etc/machine-id"), format!("{id}\n")).unwrap();
        let by_machine = here.device_id().unwrap();
        assert!(by_machine != by_card && !id.contains(&by_machine), "{by_machine}");
        assert_eq!((by_machine.len(), here.device_id()), (12, Some(by_machine)));
    }
}
