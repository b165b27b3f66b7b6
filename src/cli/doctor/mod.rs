//! `graft doctor`: everything that has to be well for a board to work, one line each, and the way out where it is not.

mod broker;
mod frames;
mod machine;

use super::output::table;
use super::{Common, Silent};
use crate::board::Board;
use crate::config;
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

/// Check everything a board needs: camera, disk, heat, clock, broker, backbone
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty when all is well.
    remedy: String,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), remedy: String::new() }
    }

    fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), remedy: remedy.into() }
    }

    fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), remedy: remedy.into() }
    }
}

/// Runs it. Exit code 1 where something fails.
pub fn run(_: &DoctorArgs, common: &Common) -> Result<()> {
    let findings = examine(common);
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    common.output().show(&json!({"verdict": worst, "findings": findings}), |_| text(&findings))?;
    if worst == Verdict::Fail { Err(Silent.into()) } else { Ok(()) }
}

fn examine(common: &Common) -> Vec<Finding> {
    let sources = common.sources();
    let board = Board::below(&sources.surroundings.system);
    let mut findings = vec![machine::processor(&board)];
    let settings = match config::load(&sources) {
        Ok(settings) => settings,
        Err(error) => {
            let text = error.to_string();
            let found = text.lines().next().unwrap_or_default().to_owned();
            findings.push(Finding::fail(
                "configuration",
                found,
                "mend it; `graft config check` tells all that is wrong",
            ));
            return findings;
        }
    };
    findings.push(Finding::ok("configuration", format!("right; this board is {}", settings.device.id)));
    let status: Option<Value> = common.client().get("/v1/status").ok();
    findings.push(daemon(status.as_ref(), common));
    findings.extend(machine::heat(&board, &settings));
    findings.push(machine::clock());
    findings.extend(machine::state_folder(&settings));
    let running = status.as_ref();
    findings.extend(frames::camera(&settings, running));
    findings.push(frames::backbone(&settings));
    findings.push(broker::broker(&settings));
    findings
}

fn daemon(status: Option<&Value>, common: &Common) -> Finding {
    match status {
        Some(status) => {
            let word = |pointer| super::client::word(status, pointer);
            Finding::ok("daemon", format!("runs, version {}, mode {}", word("/version"), word("/mode")))
        }
        None => Finding::warn(
            "daemon",
            format!("none answers at {}", common.client().socket().display()),
            "sudo systemctl start graft (or graft run); as another user join its group: sudo usermod -aG graft $USER",
        ),
    }
}

fn text(findings: &[Finding]) -> String {
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let rows = findings.iter().map(|f| vec![word(f.verdict).into(), f.check.into(), f.found.clone()]);
    let mut text = table(&["", "check", "found"], rows);
    let ailing: Vec<&Finding> = findings.iter().filter(|f| f.verdict != Verdict::Ok).collect();
    if !ailing.is_empty() {
        text += "\nWhat to do:\n";
    }
    for finding in ailing {
        text += &format!("  {}: {}\n", finding.check, finding.remedy);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_well_names_its_remedy() {
        let findings = [
            Finding::ok("clock", "set"),
            Finding::warn("temperature", "76 °C", "give it air"),
            Finding::fail("camera", "none", "plug one in"),
        ];
        let expected = "\x20     check        found
ok    clock        set
warn  temperature  76 °C
FAIL  camera       none

What to do:
  temperature: give it air
  camera: plug one in
";
        assert_eq!(text(&findings), expected);
        assert_eq!(text(&findings[..1]).lines().count(), 2);
    }
}
