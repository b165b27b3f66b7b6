//! `graft watch`: what the daemon says, as it says it.

use super::Common;
use super::client::word;
use super::findings;
use super::output::{Output, percent};
use anyhow::Result;
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Follow predictions, labels, jobs and events until interrupted
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Stop after so many lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub fn run(args: &WatchArgs, common: &Common) -> Result<()> {
    let output = common.output();
    let (mut left, mut outcome) = (args.count.unwrap_or(u64::MAX), Ok(()));
    if left == 0 {
        return Ok(());
    }
    common.client().watch(|line| {
        let told = if output.json { Some(line.to_owned()) } else { text(line) };
        if let Some(told) = told {
            outcome = Output::line(output, &told);
            left -= 1;
        }
        outcome.is_ok() && left > 0
    })?;
    outcome
}

/// One line for people; `None` for what is no news.
fn text(line: &str) -> Option<String> {
    let message: Value = serde_json::from_str(line).ok()?;
    let (kind, data) = (message.get("type")?.as_str()?, message.get("data")?);
    let part = |pointer: &str| word(data, pointer);
    Some(match kind {
        "prediction" if data.pointer("/top/0").is_none() => format!("frame {}  no head yet", part("/frame")),
        "prediction" => {
            let unknown =
                if data.get("label").is_some_and(Value::is_null) { "unknown, nearest " } else { "" };
            let score = data.get("score").and_then(Value::as_f64).map_or("-".to_owned(), percent);
            format!("frame {}  {unknown}{} {score}", part("/frame"), part("/top/0/class"))
        }
        "label" => format!("label  {}", data.as_str().unwrap_or_default()),
        "job" => format!("job {}  {} {}", part("/id"), part("/status"), part("/step")),
        "event" if part("/type") == "drift" => {
            format!("drift  {}", findings::drift(&read(data.get("data")?)?))
        }
        "event" if part("/type") == "trained" => {
            let advice = read(data.pointer("/data/advice")?)?;
            format!("trained  {} head, {}", part("/data/method"), findings::advice(&advice))
        }
        "event" => match data.pointer("/error/message").and_then(Value::as_str) {
            Some(why) => format!("{}  {why}", part("/type")),
            None => format!("{}  {}", part("/type"), part("/data")),
        },
        "state" => format!("mode {}  head {}  job {}", part("/mode"), part("/head/version"), part("/job")),
        _ => return None,
    })
}

fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn messages_become_short_lines() {
        let line = r#"{"type":"event","data":{"type":"head_rejected","error":{"code":"regression","message":"worse"}}}"#;
        assert_eq!(text(line).as_deref(), Some("head_rejected  worse"));
        let line =
            r#"{"type":"prediction","data":{"frame":7,"label":null,"score":0.5591,"top":[{"class":"b"}]}}"#;
        assert_eq!(text(line).as_deref(), Some("frame 7  unknown, nearest b 55.9 %"));
        let line = r#"{"type":"prediction","data":{"frame":8,"label":null,"score":0.0,"top":[]}}"#;
        assert_eq!(text(line).as_deref(), Some("frame 8  no head yet"));
        let line = r#"{"type":"job","data":{"id":"7","status":"executing","step":"ridge"}}"#;
        assert_eq!(text(line).as_deref(), Some("job 7  executing ridge"));
        assert_eq!(text("not json"), None);
    }
}
