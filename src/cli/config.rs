//! `graft config`: look at the configuration, or set runtime keys of the running daemon.

use super::client::body;
use super::{Common, Usage};
use crate::config::{self, DEFAULT_TOML, rules};
use anyhow::Result;
use clap::Subcommand;
use graft_wire::Op;
use serde_json::{Map, Value, json};

/// Look at the configuration, or change it
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Check the configuration; tells everything that is wrong at once
    Check,
    /// Show the effective configuration, secrets masked
    Show {
        /// Also where each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Print every key with its meaning and default, as a file to start from
    Default,
    /// Set runtime keys of the running daemon; kept over restarts
    Set {
        /// `section.key=value`; an empty value takes back what was set
        #[arg(required = true, value_name = "KEY=VALUE")]
        values: Vec<String>,
    },
}

pub fn run(command: ConfigCommand, common: &Common) -> Result<()> {
    let output = common.output();
    match command {
        ConfigCommand::Check => {
            let settings = config::load(&common.sources())?;
            output.show(&json!({"ok": true, "device": settings.device.id}), |_| "configuration ok".to_owned())
        }
        ConfigCommand::Show { origin } => {
            let effective = config::load(&common.sources())?.effective;
            let json = if origin { effective.with_origins() } else { effective.masked() };
            output.show(&json, |_| effective.to_text(origin))
        }
        ConfigCommand::Default => output.line(DEFAULT_TOML),
        ConfigCommand::Set { values } => {
            let values = read(&values)?;
            common.send(Op::Config, &body("set", &[("values", values)]), |_| "set".to_owned())
        }
    }
}

/// `key=value` words as the JSON that the daemon reads; what it allows is for the daemon to say.
fn read(words: &[String]) -> Result<Value> {
    let mut values = Map::new();
    for word in words {
        let (key, text) =
            word.split_once('=').ok_or_else(|| Usage(format!("{word:?}: write section.key=value")))?;
        let value = match rules().get(key) {
            _ if text.is_empty() => Value::Null,
            Some(rule) => rule.value_of(text),
            None => json!(text),
        };
        values.insert(key.to_owned(), value);
    }
    Ok(Value::Object(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_get_the_type_of_their_key() {
        let words =
            ["predict.vote=4", "learn.head=ridge", "predict.threshold=", "odd.key=1"].map(str::to_owned);
        let expected =
            json!({"predict.vote": 4, "learn.head": "ridge", "predict.threshold": null, "odd.key": "1"});
        assert_eq!(read(&words).unwrap(), expected);
        assert!(read(&["x".to_owned()]).is_err());
    }
}
