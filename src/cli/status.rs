//! `graft status`: what the daemon is doing.

use super::Common;
use super::client::word;
use super::findings;
use super::output::{percent, table};
use crate::config::bytes_text;
use anyhow::{Context, Result};
use clap::Args;
use graft_wire::messages::{Interval, State};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Show what the daemon is doing
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {}

pub fn run(_: &StatusArgs, common: &Common) -> Result<()> {
    let status: Value = common.get("/v1/status")?;
    let state: State = serde_json::from_value(status.clone())
        .context("the daemon's answer cannot be read; is it of the same version?")?;
    common.output().show(&status, |status| text(&state, status))
}

fn text(state: &State, status: &Value) -> String {
    let part = |pointer: &str| word(status, pointer);
    let reasons: Vec<&str> = status
        .get("reasons")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let uptime = humantime::format_duration(Duration::from_secs(state.uptime_ms / 1000));
    let broker = match status.pointer("/mqtt/connected").and_then(Value::as_bool) {
        None => "off".to_owned(),
        Some(connected) => {
            let said = if connected { "connected to" } else { "NOT connected to" };
            format!("{said} {}:{}", part("/mqtt/host"), part("/mqtt/port"))
        }
    };
    let camera = part("/camera/description");
    let adaptation = &state.adaptation;
    let backbone = state.backbone.as_ref().map_or("none", |backbone| backbone.name.as_str());
    let mut lines = vec![
        format!("device      {}, graft {}, up {uptime}", part("/device"), part("/version")),
        format!("mode        {}{reasons}, wanted {}", part("/mode"), part("/wanted")),
        format!(
            "adaptation  {}, {} new {} ({} {} a round)",
            part("/adaptation/phase"),
            adaptation.new_samples,
            if adaptation.new_samples == 1 { "sample" } else { "samples" },
            adaptation.needed,
            if adaptation.needed == 1 { "starts" } else { "start" }
        ),
        adaptation.waiting_for.as_ref().map_or_else(String::new, |missing| format!("            {missing}")),
        format!("camera      {camera}, {}", newest_frame(status)),
        format!("broker      {broker}"),
        format!("backbone    {backbone}"),
        format!("head        {}", head(state)),
    ];
    if let Some(advice) = &state.advice {
        lines.push(format!("advice      {}", findings::advice(advice)));
    }
    if let Some(drift) = &state.drift {
        lines.push(format!("drift       {}", findings::drift(drift)));
    }
    if let Some(job) = &state.job {
        lines.push(format!("job         {job} runs"));
    }
    if let Some(capture) = status.get("capture").filter(|capture| !capture.is_null()) {
        lines.push(format!("capture     of {}, {} kept", word(capture, "/class"), word(capture, "/kept")));
    }
    lines.retain(|line| !line.is_empty());
    let (data, bytes) = (&state.dataset, bytes_text(state.dataset.bytes));
    let samples: u64 = data.counts.values().sum();
    lines.push(format!("data set    {samples} samples, {bytes}, revision {}", data.rev));
    let count =
        |counts: &BTreeMap<String, u64>, class: &String| counts.get(class).copied().unwrap_or(0).to_string();
    let row = |class: &String| vec![class.clone(), count(&data.counts, class), count(&data.bursts, class)];
    if !data.classes.is_empty() {
        lines.push(String::new());
        lines.push(table(&["class", "samples", "bursts"], data.classes.iter().map(row)));
    }
    lines.join("\n")
}

/// The newest frame and its age.
fn newest_frame(status: &Value) -> String {
    let frame = status.pointer("/frame/id").and_then(Value::as_u64);
    let age_ms = status.pointer("/frame/age_ms").and_then(Value::as_u64);
    match frame.zip(age_ms) {
        None => "no frame yet".to_owned(),
        Some((frame, age_ms @ ..10_000)) => format!("newest frame {frame} is {age_ms} ms old"),
        Some((frame, age_ms)) => {
            let age = humantime::format_duration(Duration::from_secs(age_ms / 1000));
            format!("newest frame {frame} is {age} old")
        }
    }
}

fn head(state: &State) -> String {
    let Some(head) = &state.head else { return "no head yet".to_owned() };
    let accuracy = |i: &Interval| {
        format!(", {} ({} to {}) on held-out bursts", percent(i.value), percent(i.low), percent(i.high))
    };
    let missing = head.missing.as_ref().map_or(String::new(), |missing| format!(": {missing}"));
    let accuracy = head.accuracy.as_ref().map_or(format!(", not judged yet{missing}"), accuracy);
    let pinned = if head.pinned { ", pinned" } else { "" };
    format!("{} {}{accuracy}{pinned}", head.version, head.method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_person_sees_the_whole_at_a_glance() {
        let status = json!({"schema": 1, "ts": "2026-01-01T00:00:00Z", "clock": "synced", "uptime_ms": 65_000, "boot_id": "b",
            "seq": 1, "mode": "degraded", "wanted": "adapt", "reasons": ["camera_lost"],
            "adaptation": {"phase": "suspended", "new_samples": 3, "needed": 10},
            "head": {"version": 4, "digest": "sha256:00", "method": "ridge", "classes": ["ok"], "samples": 40, "bursts": 4,
                "accuracy": {"value": 0.95, "low": 0.9, "high": 1.0}, "pinned": true},
            "backbone": {"name": "tiny", "digest": "sha256:00"}, "job": null,
            "dataset": {"rev": 9, "classes": ["ok", "bad"], "counts": {"ok": 40}, "bursts": {"ok": 4}, "bytes": 1500},
            "device": "line-3", "version": "0.1.0", "camera": {"source": "v4l2", "description": "/dev/video0"},
            "mqtt": {"connected": false, "host": "127.0.0.1", "port": 1883}, "frame": null, "capture": null});
        let state: State = serde_json::from_value(status.clone()).unwrap();
        let expected = "\
device      line-3, graft 0.1.0, up 1m 5s
mode        degraded (camera_lost), wanted adapt
adaptation  suspended, 3 new samples (10 start a round)
camera      /dev/video0, no frame yet
broker      NOT connected to 127.0.0.1:1883
backbone    tiny
head        4 ridge, 95.0 % (90.0 % to 100.0 %) on held-out bursts, pinned
data set    40 samples, 1.5 KB, revision 9

class  samples  bursts
ok     40       4
bad    0        0
";
        assert_eq!(text(&state, &status), expected);
    }
}
