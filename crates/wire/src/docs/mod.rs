//! The documents that are written from these types: `docs/reference/mqtt.md`, `docs/reference/asyncapi.yaml`,
//! `docs/reference/head-format.md`. A test compares them with the files; `GRAFT_BLESS=1` writes the files.

mod asyncapi;
mod example;
mod examples;
mod markdown;
mod schemas;
#[cfg(test)]
mod tests;
mod yaml;

pub use asyncapi::asyncapi_yaml;
#[cfg(test)]
pub(crate) use example::example_backbone;
pub use example::head_format_markdown;
pub use examples::{Example, examples};
pub use markdown::mqtt_markdown;
pub use schemas::{command_schema, schemas};
