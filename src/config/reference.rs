//! docs/reference/config.md, made from default.toml.

use super::rules::{Rule, rules};
use std::fmt::Write;

/// The reference of every key as Markdown.
pub fn reference() -> String {
    let mut text = String::from(HEAD);
    let mut section = None;
    for rule in &rules().list {
        let (own, name) = rule.key.split_once('.').unwrap_or(("", &rule.key));
        if section != Some(own) {
            section = Some(own);
            let title = if own.is_empty() { "top".to_owned() } else { format!("`[{own}]`") };
            let _ =
                write!(text, "\n## {title}\n\n| key | default | allowed | meaning |\n|---|---|---|---|\n");
        }
        let _ = writeln!(text, "{}", row(rule, name));
    }
    text
}

fn row(rule: &Rule, name: &str) -> String {
    let mark = if rule.runtime { " ↻" } else { "" };
    let cell = |text: &str| text.replace('|', "\\|");
    let default = rule.default.as_ref().map(|value| format!("`{}`", cell(&value.to_string())));
    format!(
        "| `{name}`{mark} | {} | {} | {} |",
        default.unwrap_or_default(),
        cell(&rule.allowed()),
        cell(&rule.meaning)
    )
}

const HEAD: &str = "# Settings

<!-- Made from src/config/default.toml by `GRAFT_BLESS=1 cargo test config`. Do not edit. -->

Without any file graft runs with the defaults below. Layers, each stronger than the one before:

1. the defaults (`graft config default` prints them with comments)
2. `/etc/graft/config.toml`, or the file named by `--config`
3. `*.toml` in the folder `conf.d` beside that file, in the order of their names
4. what was set while the daemon ran (`config` command): `conf.d/90-runtime.toml` in the state folder
5. environment: `GRAFT__MQTT__HOST=broker` sets `mqtt.host`
6. command line: `--set mqtt.host=broker`

Paths in a file are meant from that file's folder. An unknown key, a wrong type or a value out of range is an
error that names file and line; all errors are shown at once, and the exit code is 78. Check with
`graft config check`, see every value and where it came from with `graft config show --origin`.

Keys marked ↻ can be set while the daemon runs. Sizes are written `\"500 MB\"`, `\"2 GiB\"`, or as bytes.

A container without a fixed `/etc/machine-id` should set `device.id`: topics and signatures carry it.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_reference_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/config.md");
        if std::env::var_os("GRAFT_BLESS").is_some() {
            std::fs::write(&path, super::reference()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found,
            super::reference(),
            "docs/reference/config.md is stale: run GRAFT_BLESS=1 cargo test config"
        );
    }
}
