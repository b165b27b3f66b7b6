//! Files, drop-ins, environment and command line become checked [`Settings`]. `default.toml` is the truth: it
//! lists every key with its meaning, type, range and default. docs/reference/config.md is made from it.

mod kind;
mod layers;
mod load;
mod nearest;
mod places;
mod problem;
mod rules;
mod runtime;
mod settings;
mod show;
#[cfg(test)]
mod tests;

pub use kind::{bytes, bytes_text};
pub use layers::{Effective, Entry, Origin, Sources};
pub use load::{check_options, load};
pub use nearest::nearest;
pub use places::Surroundings;
pub use problem::{ConfigError, Problem};
pub use rules::{DEFAULT_TOML, Rule, rules};
pub use runtime::{SetError, runtime_file, runtime_keys, set_runtime};
pub use settings::{
    Backbone, Budget, Capture, Device, Gate, Gpio, Learn, Log, Metrics, Mqtt, Offload, Predict, Settings,
    Socket, Store, Web, WebTls, choice,
};
