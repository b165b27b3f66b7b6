use super::*;
use clap::CommandFactory;
use graft_wire::error::Exit;
use graft_wire::parse;
use serde_json::Value;

fn parsed(line: &str) -> Cli {
    let words = std::iter::once("graft").chain(line.split(' '));
    Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_lines_of_the_manual_are_understood() {
    let lines = [
        "run --config /etc/graft/config.toml --set mqtt.host=broker",
        "config check",
        "config show --origin --json",
        "config default",
        "config set predict.vote=4 learn.head=ridge",
        "status --json --socket /run/graft/graft.sock",
        "watch --count 3",
        "start",
        "stop -q",
        "train --wait --method ridge",
        "train --cancel",
        "job show 7 --wait",
        "head list --limit 3",
        "head show",
        "head verify m.json h.safetensors --key AAAA",
        "head export 3 --format merged-onnx --out m.onnx --manifest m.json",
        "head export --head h.safetensors --format merged-onnx --out m.onnx --backbone b.onnx --card b.toml",
        "web token --viewer --json",
        "web token --forget",
        "web cert",
        "label relabel 4,7 ok",
        "label delete 4",
        "doctor --json",
        "camera list",
        "camera probe /dev/video1",
        "camera controls --json",
        "camera snapshot x.jpg --device /dev/video1",
        "backbone ls",
        "backbone inspect b.onnx --features t --json",
        "backbone card b.onnx --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --size 224 --resize 256 --crop center --features t --out c.toml",
        "backbone fetch mobilenet --out b.onnx",
        "embed --backbone X.onnx --card C --images DIR --out F.npz",
        "eval --backbone X.onnx --card C --train A --val B --groups ^(.+)_ --head softmax --json",
        "completions bash",
        "man --out d",
    ];
    for line in lines {
        parsed(line);
    }
}

#[test]
fn usage_error_is_refused() {
    let lines = [
        "",
        "nonsense",
        "mode fast",
        "label set a/b",
        "offload start --recipe partial:0",
        "train --method mlp",
        "train --cancel --wait",
        "capture start",
        "backbone card b.onnx --mean 1,2",
        "eval --backbone b --train a --val b --groups [0-9]",
        "eval --backbone b --train a --val b --head mlp",
        "embed --images d --out f",
        "head export --format pickle --out f",
        "head verify",
    ];
    for line in lines {
        let words = std::iter::once("graft").chain(line.split(' ').filter(|word| !word.is_empty()));
        let error = Cli::try_parse_from(words).err().unwrap_or_else(|| panic!("{line} was taken"));
        assert!(error.use_stderr() && error.exit_code() == 2, "{line}");
    }
}

/// What a command line sends has to be what the daemon reads.
#[test]
fn every_body_is_a_command_of_the_interface() {
    let cases = [
        ("capture start --class ok --seconds 10", r#"{"action":"start","class":"ok","seconds":10.0}"#),
        (
            "capture start --class ok --seconds 3 --hz 1.5 --max 5 --burst b1",
            r#"{"action":"start","class":"ok","hz":1.5,"seconds":3.0,"max":5,"burst":"b1"}"#,
        ),
        ("capture start --class ok", r#"{"action":"start","class":"ok"}"#),
        ("capture stop", r#"{"action":"stop"}"#),
        ("capture snap", r#"{"action":"snap"}"#),
        ("capture snap --class ok", r#"{"action":"snap","class":"ok"}"#),
        ("label set ok", r#"{"action":"set","class":"ok"}"#),
        ("label set ok --frame 17 --burst b", r#"{"action":"set","class":"ok","frame":17,"burst":"b"}"#),
        ("label relabel 4 bad", r#"{"action":"relabel","sample":4,"class":"bad"}"#),
        ("label delete 4", r#"{"action":"delete","sample":4}"#),
        ("label undo", r#"{"action":"undo"}"#),
        ("dataset import /data/x", r#"{"action":"import","path":"/data/x"}"#),
        ("dataset export", r#"{"action":"export"}"#),
        ("dataset ls --class ok", r#"{"action":"list","class":"ok","limit":20,"offset":0}"#),
        ("dataset add-class ok", r#"{"action":"add_class","class":"ok"}"#),
        ("dataset rename-class ok fine", r#"{"action":"rename_class","class":"ok","to":"fine"}"#),
        ("dataset remove-class ok", r#"{"action":"remove_class","class":"ok","dry_run":true}"#),
        ("dataset remove-class ok --yes", r#"{"action":"remove_class","class":"ok","dry_run":false}"#),
        ("dataset seal", r#"{"action":"seal"}"#),
        ("dataset clear --yes", r#"{"action":"clear"}"#),
        ("train", r#"{"action":"start"}"#),
        ("train --method softmax", r#"{"action":"start","method":"softmax"}"#),
        ("train --cancel", r#"{"action":"cancel"}"#),
        ("mode adapt", r#"{"action":"adapt"}"#),
        ("mode infer", r#"{"action":"infer"}"#),
        ("mode pause", r#"{"action":"pause"}"#),
        ("head apply 3", r#"{"action":"apply","version":3}"#),
        ("head rollback", r#"{"action":"rollback"}"#),
        ("head rollback --to 2", r#"{"action":"rollback","to":2}"#),
        ("head pin", r#"{"action":"pin","on":true}"#),
        ("head pin --off", r#"{"action":"pin","on":false}"#),
        ("head publish", r#"{"action":"publish"}"#),
        ("offload start", r#"{"action":"start"}"#),
        ("offload start --recipe partial:2", r#"{"action":"start","recipe":"partial:2"}"#),
        ("offload cancel 7", r#"{"action":"cancel","job":"7"}"#),
    ];
    for (line, expected) in cases {
        let sent = match parsed(line).command {
            Command::Capture(command) => capture::request(&command),
            Command::Label(command) => label::request(&command),
            Command::Dataset(command) => dataset::request(&command).unwrap(),
            Command::Train(args) => train::request(&args),
            Command::Mode(args) => graft_wire::Command::Mode(mode::request(args.mode)),
            Command::Head(command) => head::request(&command).unwrap(),
            Command::Offload(command) => offload::request(&command).unwrap(),
            other => panic!("{other:?}"),
        };
        let body = sent.to_value();
        assert_eq!(body, serde_json::from_str::<Value>(expected).unwrap(), "{line}");
        let read = parse(sent.op(), body.to_string().as_bytes()).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(read.command, sent, "{line}");
    }
}

#[test]
fn what_cannot_be_sent_is_said_before_sending() {
    let request = |line: &str| match parsed(line).command {
        Command::Dataset(command) => dataset::request(&command),
        other => panic!("{other:?}"),
    };
    assert_eq!(exit_code(&request("dataset clear").unwrap_err()), 2);
    let relative = request("dataset import here").unwrap().to_value();
    assert!(relative["path"].as_str().unwrap().starts_with('/'), "{relative}");
}

/// docs/reference/cli.md names every command and every exit code.
#[test]
fn the_page_about_the_command_line_is_whole() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    let page = std::fs::read_to_string(path).expect("docs/reference/cli.md");
    fn check(page: &str, command: &clap::Command, name: &str) {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let name = format!("{name} {}", below.get_name());
            assert!(page.contains(&name), "docs/reference/cli.md says nothing of `{name}`");
            check(page, below, &name);
        }
    }
    check(&page, &Cli::command(), "graft");
    for (code, meaning) in Exit::ALL.iter().map(|exit| (exit.code(), exit.meaning())) {
        assert!(
            page.contains(&format!("| {code} | {meaning}")),
            "docs/reference/cli.md lacks exit code {code}: {meaning}"
        );
    }
}
