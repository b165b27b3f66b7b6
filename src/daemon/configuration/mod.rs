//! Settings that change while the daemon runs: by `config set`, or by SIGHUP after a file was edited.

pub mod tasks;

use self::tasks::{Done, Reading};
use super::context::{Asked, Context};
use super::effects::{Effect, Effects, Service};
use super::store_thread::StoreTask;
use crate::config::Settings;
use graft_wire::{Reply, command};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `cmd/config`.
pub fn command(cx: &Context, asked: &Asked, command: command::Config, fx: &mut Effects) {
    match command {
        command::Config::Get => {
            fx.finish(asked.token, Ok(Reply::with(None, cx.settings.effective.masked())));
        }
        command::Config::Set { values } => {
            let present = Arc::clone(&cx.settings);
            fx.store(StoreTask::Configure(Reading { token: Some(asked.token), values, present }));
        }
    }
}

/// SIGHUP: the files are read again.
pub fn reload(cx: &Context, fx: &mut Effects) {
    fx.send(Effect::Service(Service::Reloading));
    let (values, present) = (BTreeMap::new(), Arc::clone(&cx.settings));
    fx.store(StoreTask::Configure(Reading { token: None, values, present }));
}

/// The settings were read; gives them, if they are to be taken over.
pub fn handle(done: Done, status: String, fx: &mut Effects) -> Option<Arc<Settings>> {
    let Done { token, values, settings } = done;
    match token {
        Some(token) => {
            let reply = settings.as_ref().map(|_| Reply::with(None, json!({ "set": values })));
            fx.finish(token, reply.map_err(Clone::clone));
        }
        None => {
            match &settings {
                Ok(_) => tracing::info!("configuration read again; keys not marked runtime need a restart"),
                Err(error) => tracing::error!("the configuration was not taken over: {}", error.message),
            }
            fx.send(Effect::Service(Service::Ready(status)));
        }
    }
    settings.ok()
}
