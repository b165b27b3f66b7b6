//! Where the log goes: to the journal with its fields under systemd, else to standard error as text.

mod journal;
mod repeats;

pub use repeats::tell as tell_repeats;

use journal::Journal;
use repeats::Repeats;
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

/// Starts logging. `RUST_LOG` overrides the level, for more detail of one module.
pub fn start(level: &str) {
    let level = format!("{level},rumqttc=warn,tract_core=warn,tract_onnx=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    let journal = under_systemd.then(|| Journal::open().ok()).flatten();
    let text = || {
        let text = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        // The journal stamps its lines itself.
        let text = text.with_target(false);
        if under_systemd { text.without_time().boxed() } else { text.boxed() }
    };
    let out = match journal {
        Some(journal) => journal.boxed(),
        None => text(),
    };
    // Tests start more than one daemon in a process; the first log serves them all.
    drop(tracing_subscriber::registry().with(out.with_filter(Repeats)).with(filter).try_init());
}
