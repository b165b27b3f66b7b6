//! The first steps of README.md and the *Try it* of docs/reference/mqtt.md, typed as they stand, end with a head.

use crate::support::{Board, PATIENCE, block_on, body, broker, operator};
use graft_testing::operator::Message;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// The shell blocks of a document between two of its lines.
fn blocks(document: &str, from: &str, to: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let part = text.split_once(from).unwrap_or_else(|| panic!("{document} has no {from:?}")).1;
    let part = part.split_once(to).unwrap_or_else(|| panic!("{document} has no {to:?}")).0;
    let blocks = part.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned());
    blocks.collect()
}

/// A folder with the programs that a reader would have: `graft` as it was built here, and a `cargo` that has built it.
fn programs(folder: &Path) {
    let programs = folder.join("programs");
    std::fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_graft"), programs.join("graft")).unwrap();
    let cargo = programs.join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A shell that ends at the first error.
fn shell(folder: &Path) -> Command {
    let mut shell = Command::new("bash");
    let path = std::env::var("PATH").unwrap();
    shell.args(["-euo", "pipefail"]).current_dir(folder).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{path}", folder.join("programs").display()));
    shell
}

#[test]
fn the_first_steps_end_with_a_head() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    programs(folder);
    let steps = blocks("README.md", "## First steps", "Some more commands:");
    assert_eq!(steps.len(), 3, "{steps:#?}");
    let script = format!(
        "trap 'kill %1; wait' EXIT\n{}\n\
         until graft --json head list | grep -Eq '\"active\": *(true|[0-9])'; do sleep 1; done\n\
         graft --json status > status.json\n",
        steps.join("\n")
    );
    let mut shell = shell(folder);
    for (name, value) in
        [("STATE_DIRECTORY", "state"), ("RUNTIME_DIRECTORY", "run"), ("GRAFT_SOCKET", "run/graft.sock")]
    {
        shell.env(name, folder.join(value));
    }
    std::fs::create_dir(folder.join("run")).unwrap();
    // Whatever else this machine has must not matter.
    shell.env("GRAFT__MQTT__ENABLED", "false").env("GRAFT__STORE__FREE_FLOOR", "0 B");
    let output = shell.args(["-c", &script]).output().unwrap();
    let log = std::fs::read_to_string(folder.join("graft.log")).unwrap_or_default();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}\n{log}", String::from_utf8_lossy(&output.stderr));
    let status: Value = serde_json::from_slice(&std::fs::read(folder.join("status.json")).unwrap()).unwrap();
    let classes = status["head"]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 4, "{status:#}");
    // Two bursts of each can be judged, though perhaps to more than 30 points.
    let head = &status["head"];
    assert!(head["accuracy"]["value"].is_number() != head["missing"].is_string(), "{status:#}");
    assert!(told.contains("capturing washer") && told.contains("of a second class"), "{told}");
}

#[test]
fn what_mqtt_md_lets_people_try_ends_with_a_head() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let mut board = Board::on(&broker);
    board.set("learn.idle_s", "10");
    board.start();
    board.until("frames", |s| s["frame"]["id"].is_u64());
    let steps = blocks("docs/reference/mqtt.md", "## Try it", "Ask and get the answer");
    assert_eq!(steps.len(), 3, "{steps:#?}");
    // The words of each command, as a shell reads them, are published here: a broker is there, its clients may not be.
    let script = format!(
        "mosquitto_pub() {{ while [ $# -gt 0 ]; do case $1 in -t) t=$2;; -m) m=$2;; esac; shift 2; done\n\
         printf 'publish\\t%s\\t%s\\n' \"$t\" \"$m\"; }}\n\
         mosquitto_sub() {{ echo listen; }}\n{}\n",
        steps.join("\n").replace("graft/DEVICE", "graft/board")
    );
    let mut shell = Command::new("bash");
    let shell = shell.args(["-euo", "pipefail", "-c", &script]).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let typed = BufReader::new(shell.stdout.take().unwrap());
    let mut published = 0;
    block_on(async {
        let mut operator = operator(&broker).await;
        for line in typed.lines().map(Result::unwrap) {
            let Some((topic, payload)) = line.strip_prefix("publish\t").and_then(|l| l.split_once('\t'))
            else {
                continue;
            };
            let from = operator.now();
            operator.publish(topic, payload.to_owned(), false).await.unwrap();
            let replied = |m: &Message| m.topic.contains("/reply/");
            let reply = body(&operator.wait_for(from, PATIENCE, "the reply", replied).await.unwrap());
            assert_eq!(reply["status"], "ok", "{topic} {payload}: {reply}");
            published += 1;
        }
    });
    assert!(shell.wait().unwrap().success());
    assert_eq!(published, 3, "the mode and two captures");
    let status = board.until("a head", |s| s["head"]["version"].is_u64());
    assert_eq!(status["head"]["classes"], serde_json::json!(["ok", "scratched"]));
}
