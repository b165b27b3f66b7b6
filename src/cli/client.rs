//! Talking to the daemon over its socket.

use super::output::Output;
use super::{Common, NotFound};
use crate::config;
use crate::web::Client;
use crate::web::client::encode;
use anyhow::{Context, Result};
use graft_wire::messages::{JobMessage, JobStatus};
use graft_wire::{Command, Reply};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a job is looked at.
const POLL: Duration = Duration::from_millis(200);

impl Common {
    /// A client of the daemon that is meant.
    pub(super) fn client(&self) -> Client {
        Client::new(self.socket_path())
    }

    /// `--socket`, else `$GRAFT_SOCKET`, else what the configuration says, else where a daemon usually is.
    fn socket_path(&self) -> PathBuf {
        let named = std::env::var_os("GRAFT_SOCKET").filter(|path| !path.is_empty());
        if let Some(path) = self.socket.clone().or(named.map(PathBuf::from)) {
            return path;
        }
        let sources = self.sources();
        // A configuration that this user may not read, or that is broken, must not keep a client from trying.
        let configured = config::load(&sources).ok().and_then(|settings| {
            let entry = settings.effective.0.get("socket.path")?;
            (entry.origin != config::Origin::Default).then_some(settings.socket.path)
        });
        configured.unwrap_or_else(|| sources.surroundings.client_socket())
    }

    /// Sends a command and gives its reply. A refusal is an error.
    pub(super) fn command(&self, command: &Command) -> Result<Reply> {
        let value = self.client().command(command.op().as_str(), &command.to_value())?;
        let reply: Reply = serde_json::from_value(value).context("the daemon's reply cannot be read")?;
        match reply.error {
            Some(error) => Err(error.into()),
            None => Ok(reply),
        }
    }

    /// Sends a command and shows the reply: whole as JSON, or what `text` makes of its `data`.
    pub(super) fn send(&self, command: &Command, text: impl FnOnce(&Value) -> String) -> Result<()> {
        let reply = self.command(command)?;
        self.output().show(&reply, |reply| text(reply.data.as_ref().unwrap_or(&Value::Null)))
    }

    /// Reads a view of the daemon.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let value = self.client().get(path)?;
        serde_json::from_value(value)
            .context("the daemon's answer cannot be read; is it of the same version?")
    }

    /// The version of the active head.
    pub(super) fn active_head(&self) -> Result<u64> {
        let heads: Value = self.get("/v1/heads")?;
        let none = || NotFound("there is no head yet; label some bursts, then `graft train`".to_owned());
        Ok(heads.get("active").and_then(Value::as_u64).ok_or_else(none)?)
    }

    /// Sends a command that becomes a job; waits for its end where wanted. The job as last seen.
    pub(super) fn job(&self, command: &Command, wait: bool) -> Result<JobMessage> {
        let id = self.command(command)?.job.context("the daemon named no job; is it of the same version?")?;
        if !wait {
            self.output().note(&format!("job {id} runs; `graft job show {id}` tells how far it is"));
            return Ok(JobMessage::new(id, command.op().as_str()));
        }
        self.wait(&id, self.output())
    }

    /// Waits for the end of a job. One that failed is an error.
    pub(super) fn wait(&self, id: &str, output: Output) -> Result<JobMessage> {
        let bar = output.bar(0, "");
        loop {
            let job: JobMessage = self.get(&format!("/v1/jobs/{}", encode(id)))?;
            if let Some(progress) = job.progress {
                bar.set_length(progress.total.max(0.0) as u64);
                bar.set_position(progress.done.max(0.0) as u64);
            }
            bar.set_message(job.step.clone().unwrap_or_default());
            if job.status.is_final() {
                bar.finish_and_clear();
                return match (job.status, job.error.clone()) {
                    (JobStatus::Successful, _) | (_, None) => Ok(job),
                    (_, Some(error)) => Err(error.into()),
                };
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A path as the daemon understands it: absolute.
pub fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    path.into_os_string().into_string().map_err(|path| {
        let text = format!("{} is not Unicode; use another name", path.to_string_lossy());
        super::Usage(text).into()
    })
}

/// A text of an answer, `-` where it is not there.
pub fn word(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
