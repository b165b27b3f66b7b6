//! `graft run`: the daemon.

use super::Common;
use anyhow::Result;
use clap::Args;

/// Run the daemon: camera, predictions, labels, rounds, MQTT
#[derive(Args, Clone, Debug)]
pub struct RunArgs {}

pub fn run(_: &RunArgs, common: &Common) -> Result<()> {
    crate::daemon::run(crate::config::load(&common.sources())?)
}
