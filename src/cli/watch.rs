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
        "prediction" if part("/why") == "no_head" => format!("frame {}  no head yet", part("/frame")),
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
            let advice = data.pointer("/data/advice").and_then(read);
            let advice = advice.map_or("which could not be judged yet".to_owned(), |a| findings::advice(&a));
            format!("trained  {} head, {advice}", part("/data/method"))
        }
        "event" if part("/type") == "captured" => {
            format!("captured  {}", super::capture::captured(data.get("data")?))
        }
        "event" => match data.pointer("/error/message").and_then(Value::as_str) {
            Some(why) => format!("{}  {why}", part("/type")),
            None => format!("{}  {}", part("/type"), part("/data")),
        },
        "state" => {
            let head = match part("/head/version") {
                none if none == "-" => "no head yet".to_owned(),
                version => format!("head {version}"),
            };
            let waits = data.pointer("/adaptation/waiting_for").and_then(Value::as_str);
            let waits = waits.map_or(String::new(), |waits| format!("  {waits}"));
            format!("mode {}  {head}  job {}{waits}", part("/mode"), part("/job"))
        }
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
        let line = r#"{"type":"prediction","data":{"frame":8,"why":"no_head","top":[]}}"#;
        assert_eq!(text(line).as_deref(), Some("frame 8  no head yet"));
        let line = r#"{"type":"state","data":{"mode":"infer","head":null,"job":null,"adaptation":{"waiting_for":"learning is off"}}}"#;
        assert_eq!(text(line).as_deref(), Some("mode infer  no head yet  job -  learning is off"));
        let line = r#"{"type":"event","data":{"type":"captured","data":{"class":"a","kept":6,"skipped":15,"seconds":5.0,"waiting_for":"only a has samples"}}}"#;
        let expected = "captured  a: 6 frames kept, 15 near-copies skipped, of 5.0 s\nonly a has samples";
        assert_eq!(text(line).as_deref(), Some(expected));
        let line = r#"{"type":"event","data":{"type":"trained","data":{"method":"ridge","advice":null}}}"#;
        assert_eq!(text(line).as_deref(), Some("trained  ridge head, which could not be judged yet"));
        let line = r#"{"type":"job","data":{"id":"7","status":"executing","step":"ridge"}}"#;
        assert_eq!(text(line).as_deref(), Some("job 7  executing ridge"));
        assert_eq!(text("not json"), None);
    }
}
