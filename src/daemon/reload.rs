//! Settings that change while the daemon runs: by `config set`, or by SIGHUP after a file was edited.

use super::Daemon;
use crate::config::{self, SetError};
use graft_base::systemd;
use graft_control::Token;
use graft_wire::{Code, Error, Reply, command};
use serde_json::json;

impl Daemon {
    pub(super) fn config_command(&mut self, token: Token, command: command::Config) {
        let result = match command {
            command::Config::Get => Ok(Reply::with(None, self.settings.effective.masked())),
            command::Config::Set { values } => config::set_runtime(&self.settings.store.dir, &values)
                .map_err(|error| refused(&error))
                .and_then(|()| self.read_again())
                .map(|()| Reply::with(None, json!({ "set": values }))),
        };
        self.finish(token, result);
    }

    /// SIGHUP: reads the files again and takes over what may change while running.
    pub(super) fn reload(&mut self) {
        systemd::reloading();
        match self.read_again() {
            Ok(()) => tracing::info!("configuration read again; keys not marked runtime need a restart"),
            Err(error) => tracing::error!("the configuration was not taken over: {}", error.message),
        }
        systemd::ready(&self.status_line());
    }

    fn read_again(&mut self) -> Result<(), Error> {
        let fresh =
            config::load(&self.settings.sources).map_err(|e| Error::new(Code::BadRequest, e.to_string()))?;
        let old = &self.settings;
        // What is built into threads and connections stays as it was started.
        self.settings = config::Settings {
            device: old.device.clone(),
            camera: old.camera.clone(),
            backbone: old.backbone.clone(),
            store: old.store.clone(),
            offload: config::Offload {
                host_keys: old.offload.host_keys.clone(),
                ca_file: old.offload.ca_file.clone(),
                group: old.offload.group.clone(),
                ..fresh.offload
            },
            mqtt: old.mqtt.clone(),
            socket: old.socket.clone(),
            gpio: old.gpio.clone(),
            metrics: old.metrics.clone(),
            ..fresh
        };
        self.control.set_policy(self.settings.policy());
        self.state_changed = true;
        Ok(())
    }
}

fn refused(error: &SetError) -> Error {
    let code = match error {
        SetError::Unknown { .. } => Code::UnknownField,
        SetError::Io { .. } => Code::DiskFull,
        _ => Code::BadRequest,
    };
    Error::new(code, error.to_string())
}
