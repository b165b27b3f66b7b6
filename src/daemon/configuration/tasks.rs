//! Reading settings again while the daemon runs: files, so on the store's thread.

use crate::config::{self, SetError, Settings};
use graft_control::Token;
use graft_wire::{Code, Error};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Settings that are to be read again.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The command that asks for it; `None`: SIGHUP.
    pub token: Option<Token>,
    /// Values to be set before.
    pub values: BTreeMap<String, Value>,
    /// The settings in force.
    pub present: Arc<Settings>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Done {
    /// See [`Reading::token`].
    pub token: Option<Token>,
    /// The values that were set.
    pub values: BTreeMap<String, Value>,
    /// The settings from now on.
    pub settings: Result<Arc<Settings>, Error>,
}

impl Reading {
    /// Sets what is to be set, then reads.
    pub fn run(self) -> Done {
        let Self { token, values, present } = self;
        let set = match token {
            Some(_) => config::set_runtime(&present.store.dir, &values).map_err(|error| refused(&error)),
            None => Ok(()),
        };
        let settings = set.and_then(|()| read_again(&present)).map(Arc::new);
        Done { token, values, settings }
    }
}

fn read_again(old: &Settings) -> Result<Settings, Error> {
    let fresh = config::load(&old.sources).map_err(|e| Error::new(Code::BadRequest, e.to_string()))?;
    // What is built into threads and connections stays as it was started.
    Ok(Settings {
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
    })
}

fn refused(error: &SetError) -> Error {
    let code = match error {
        SetError::Unknown { .. } => Code::UnknownField,
        SetError::Io { .. } => Code::DiskFull,
        _ => Code::BadRequest,
    };
    Error::new(code, error.to_string())
}
