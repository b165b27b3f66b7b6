//! Where the log goes: standard error, which is the journal under systemd.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` overrides the level, for a closer look at one room.
pub fn start(level: &str) {
    let level = format!("{level},rumqttc=warn,tract_core=warn,tract_onnx=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // The journal stamps its lines itself.
    let started = if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
    // Tests start more than one daemon in a process; the first log serves them all.
    drop(started);
}
