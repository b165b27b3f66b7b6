use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::class_name::ClassName;
use crate::error::{Code, Error};
use crate::offload::Recipe;

fn ok(op: Op, body: &str) -> Command {
    parse(op, body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e}")).command
}

fn refused(op: Op, body: &str) -> Error {
    parse(op, body.as_bytes()).map(|e| panic!("{body} was read as {e:?}")).unwrap_err()
}

fn class(name: &str) -> ClassName {
    ClassName::new(name).unwrap()
}

#[test]
fn bare_words_say_modes_with_or_without_quotes() {
    let words = [
        ("adapt", Mode::Adapt),
        ("start", Mode::Adapt),
        ("ON", Mode::Adapt),
        ("infer", Mode::Infer),
        ("stop", Mode::Infer),
        ("OFF", Mode::Infer),
        ("pause", Mode::Pause),
    ];
    for (word, mode) in words {
        assert_eq!(ok(Op::Mode, word), Command::Mode(mode));
        assert_eq!(ok(Op::Mode, &format!("\"{word}\"\n")), Command::Mode(mode));
        assert_eq!(ok(Op::Mode, &format!(" {word} \n")), Command::Mode(mode));
    }
    assert_eq!(ok(Op::Mode, r#"{"action":"start"}"#), Command::Mode(Mode::Adapt));
}

#[test]
fn bare_words_of_the_other_ops() {
    assert_eq!(ok(Op::Capture, "stop"), Command::Capture(Capture::Stop));
    assert_eq!(ok(Op::Capture, "snap"), Command::Capture(Capture::Snap { class: None }));
    assert_eq!(ok(Op::Train, "start"), Command::Train(Train::Start { method: None }));
    assert_eq!(ok(Op::Train, "cancel"), Command::Train(Train::Cancel));
    assert_eq!(ok(Op::Head, "publish"), Command::Head(Head::Publish));
    assert_eq!(ok(Op::Head, "rollback"), Command::Head(Head::Rollback { to: None }));
    assert_eq!(ok(Op::Head, "pin"), Command::Head(Head::Pin { on: true }));
    assert_eq!(ok(Op::Dataset, "export"), Command::Dataset(Dataset::Export { path: None }));
    assert_eq!(ok(Op::Dataset, "seal"), Command::Dataset(Dataset::Seal));
    assert_eq!(ok(Op::Config, "get"), Command::Config(Config::Get));
    assert!(refused(Op::Capture, "start").message.contains("class"));
    assert!(refused(Op::Job, "cancel").message.contains("job"));
}

#[test]
fn a_bare_class_name_labels_the_newest_frame() {
    let set = |name| Command::Label(Label::Set { class: class(name), frame: None, burst: None });
    assert_eq!(ok(Op::Label, "ok"), set("ok"));
    assert_eq!(ok(Op::Label, "\"Schraube fehlt\""), set("Schraube fehlt"));
    assert_eq!(ok(Op::Label, "7"), set("7"));
    assert_eq!(ok(Op::Label, "undo"), Command::Label(Label::Undo));
    assert_eq!(ok(Op::Label, r#"{"action":"set","class":"undo"}"#), set("undo"));
    assert_eq!(refused(Op::Label, "a/b").detail["pointer"], "/class");
}

#[test]
fn samples_are_named_in_one_way() {
    let chosen = |body: &str| match ok(Op::Label, body) {
        Command::Label(label) => label.chosen().unwrap().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(chosen(r#"{"action":"delete","sample":4}"#), Chosen::Samples(vec![4]));
    assert_eq!(chosen(r#"{"action":"delete","samples":[4,2]}"#), Chosen::Samples(vec![4, 2]));
    assert_eq!(chosen(r#"{"action":"relabel","burst":"b","class":"ok"}"#), Chosen::Burst("b".into()));
    let many = format!(r#"{{"action":"delete","samples":{:?}}}"#, [1; 1001]);
    for body in [
        r#"{"action":"delete"}"#,
        r#"{"action":"relabel","class":"ok"}"#,
        r#"{"action":"delete","sample":1,"burst":"b"}"#,
        r#"{"action":"delete","samples":[]}"#,
        r#"{"action":"delete","samples":[0]}"#,
        r#"{"action":"delete","samples":[1,"2"]}"#,
        r#"{"action":"delete","samples":7}"#,
        r#"{"action":"delete","burst":""}"#,
        &many,
    ] {
        assert_eq!(refused(Op::Label, body).code, Code::BadRequest, "{body}");
    }
}

#[test]
fn the_duration_of_a_capture_is_bounded() {
    for seconds in ["0", "-5", "601", "\"5\""] {
        let body = format!(r#"{{"action":"start","class":"ok","seconds":{seconds}}}"#);
        let error = refused(Op::Capture, &body);
        assert_eq!(error.detail["pointer"], "/seconds", "{body}");
        assert!(error.message.contains("0.1 to 600"), "{error:?}");
    }
}

#[test]
fn absent_fields_take_their_defaults() {
    assert_eq!(
        ok(Op::Capture, r#"{"action":"start","class":" ok "}"#),
        Command::Capture(Capture::Start {
            class: class("ok"),
            hz: None,
            seconds: None,
            max: None,
            burst: None
        })
    );
    assert_eq!(
        ok(Op::Capture, r#"{"action":"start","class":"ok","burst":null}"#),
        Command::Capture(Capture::start(class("ok")))
    );
    assert_eq!(
        ok(Op::Dataset, r#"{"action":"remove_class","class":"x"}"#),
        Command::Dataset(Dataset::RemoveClass { class: class("x"), dry_run: true })
    );
}

#[test]
fn an_unknown_field_is_named_with_its_nearest() {
    let error = refused(Op::Capture, r#"{"action":"start","clas":"ok"}"#);
    assert_eq!(error.code, Code::UnknownField);
    assert_eq!(error.detail["pointer"], "/clas");
    assert_eq!(error.detail["nearest"], "class");
    let error = refused(Op::Mode, r#"{"action":"adapt","a/b~c":1}"#);
    assert_eq!(error.detail["pointer"], "/a~1b~0c");
    assert!(!error.detail.contains_key("nearest"));
    // A field of another action of the same op is unknown to this one.
    assert_eq!(refused(Op::Capture, r#"{"action":"stop","class":"ok"}"#).code, Code::UnknownField);
    assert_eq!(refused(Op::Mode, r#"{"acton":"adapt"}"#).detail["nearest"], "action");
}

#[test]
fn wrong_types_missing_fields_and_actions_say_where() {
    let cases = [
        (Op::Capture, r#"{"action":"start"}"#, "/class", "missing"),
        (Op::Capture, r#"{"action":"start","class":7}"#, "/class", "text"),
        (Op::Capture, r#"{"action":"start","class":"a","hz":"4"}"#, "/hz", "0.1 to 30"),
        (Op::Capture, r#"{"action":"start","class":"a","hz":31}"#, "/hz", "0.1 to 30"),
        (Op::Capture, r#"{"action":"start","class":"a","max":0}"#, "/max", "1 to 1000"),
        (Op::Capture, r#"{"action":"start","class":"a","max":1.5}"#, "/max", "whole"),
        (Op::Capture, r#"{"action":"start","class":"a","max":1e300}"#, "/max", "whole"),
        (Op::Label, r#"{"action":"set","class":"a","frame":-1}"#, "/frame", "from 0"),
        (Op::Label, r#"{"action":"relabel","class":"a"}"#, "/sample", "missing"),
        (Op::Label, r#"{"action":"delete","sample":null}"#, "/sample", "missing"),
        (Op::Head, r#"{"action":"apply","version":3,"digest":"sha256:00"}"#, "/digest", "64"),
        (Op::Head, r#"{"action":"pin","on":"yes"}"#, "/on", "true or false"),
        (Op::Train, r#"{"action":"start","method":"magic"}"#, "/method", "ridge"),
        (Op::Config, r#"{"action":"set","values":[]}"#, "/values", "object"),
        (Op::Config, r#"{"action":"set","values":{}}"#, "/values", "1 to 64"),
        (Op::Config, r#"{"action":"set","values":{"A.b":1}}"#, "/values/A.b", "dotted"),
        (Op::Job, r#"{"action":"clear","job":"a/b"}"#, "/job", "letters"),
        (Op::Offload, r#"{"action":"start","recipe":"partial:0"}"#, "/recipe", "gradual"),
        (Op::Offload, r#"{"action":"cancel","job":"a/b"}"#, "/job", "letters"),
        (Op::Offload, r#"{"action":"claim","job":"1","host":"Big"}"#, "/host", "a-z"),
        (Op::Offload, r#"{"action":"result","job":"1","host":"gpu"}"#, "/manifest", "missing"),
        (Op::Offload, r#"{"action":"release","job":"1","host":"gpu","outcome":"x"}"#, "/outcome", "retry"),
        (Op::Backbone, r#"{"action":"apply","url":"ftp://x/12345"}"#, "/url", "http"),
        (Op::Mode, r#"{"action":"fly"}"#, "/action", "adapt, infer, pause"),
        (Op::Mode, r#"{"action":3}"#, "/action", "adapt, infer, pause"),
        (Op::Mode, "{}", "/action", "missing"),
        (Op::Mode, r#"{"action":"adapt","id":""}"#, "/id", "1 to 128"),
        (Op::Mode, r#"{"action":"adapt","id":"a\nb"}"#, "/id", "control"),
        (Op::Mode, r#"{"action":"adapt","expires":"soon"}"#, "/expires", "2026"),
        (Op::Mode, r#"{"action":"adapt","if_rev":-1}"#, "/if_rev", "from 0"),
        (Op::Mode, "", "", "empty"),
        (Op::Mode, "[1]", "", "object"),
        (Op::Mode, "\"adapt", "", "JSON"),
        (Op::Mode, r#"{"action":"adapt","action":"infer"}"#, "", "twice"),
        (Op::Mode, r#"{"action":"adapt""#, "", "line 1"),
    ];
    for (op, body, pointer, says) in cases {
        let error = refused(op, body);
        assert_eq!(error.code, Code::BadRequest, "{body}");
        assert_eq!(error.detail["pointer"], pointer, "{body}");
        assert!(error.message.contains(says), "{body}: {}", error.message);
    }
    assert_eq!(refused(Op::Mode, "adpt").detail["nearest"], "adapt");
    assert!(parse(Op::Mode, &[0xff, 0xfe]).unwrap_err().message.contains("UTF-8"));
}

#[test]
fn size_and_depth_have_their_limits() {
    let long = format!(r#"{{"action":"adapt","id":"{}"}}"#, "x".repeat(MAX_BYTES));
    assert_eq!(refused(Op::Mode, &long).code, Code::TooLarge);
    let deep = format!(r#"{{"action":"set","values":{{"a":{}{}}}}}"#, "[".repeat(20), "]".repeat(20));
    assert!(refused(Op::Config, &deep).message.contains("deeply"));
}

#[test]
fn the_envelope_is_read() {
    let body = r#"{"action":"undo","id":"p-7","expires":"2026-03-01T12:00:00Z","if_rev":41}"#;
    let envelope = parse(Op::Label, body.as_bytes()).unwrap();
    assert_eq!(envelope.id.as_deref(), Some("p-7"));
    assert_eq!(envelope.if_rev, Some(41));
    let end = envelope.expires_ms.unwrap();
    assert!(!envelope.expired(end) && envelope.expired(end + 1));
    assert!(!Envelope::bare(envelope.command).expired(i64::MAX));
}

#[test]
fn a_refused_command_still_gives_its_id() {
    assert_eq!(peek_id(br#"{"id":"p-7","action":"fly"}"#).as_deref(), Some("p-7"));
    for body in [&b"adapt"[..], br#"{"id":7}"#, br#"{"id":"a\u0000"}"#, b"{", b"\xff", b"", br#"{"id":""}"#] {
        assert_eq!(peek_id(body), None);
    }
}

#[test]
fn the_actions_of_an_op_are_those_of_its_type() {
    assert_eq!(read::actions(Op::Capture), ["start", "stop", "snap"]);
    assert_eq!(read::actions(Op::Mode), ["adapt", "infer", "pause"]);
    assert!(Op::ALL.iter().all(|op| !read::actions(*op).is_empty()));
}

#[test]
fn null_is_as_good_as_absent_under_names_that_are_known() {
    let pin = Command::Head(Head::Pin { on: true });
    assert_eq!(ok(Op::Head, r#"{"action":"pin","on":null,"id":null,"expires":null,"if_rev":null}"#), pin);
    let error = refused(Op::Head, r#"{"action":"pin","off":null}"#);
    assert_eq!((error.code, &error.detail["pointer"]), (Code::UnknownField, &"/off".into()));
    assert_eq!(refused(Op::Head, r#"{"action":"publish","on":null}"#).code, Code::UnknownField);
}

fn class_names() -> impl Strategy<Value = ClassName> {
    "[a-zA-Zäß犬 _.-]{1,20}".prop_filter_map("reserved", |s| ClassName::new(&s).ok())
}

fn commands() -> impl Strategy<Value = Command> {
    let text = || prop::option::of("[ -~]{1,30}");
    let sample = || 1..=i64::MAX;
    let chosen = || {
        prop_oneof![
            sample().prop_map(|one| (Some(one), None, None)),
            prop::collection::vec(sample(), 1..5).prop_map(|several| (None, Some(several), None)),
            "[a-z]{1,9}".prop_map(|burst| (None, None, Some(burst))),
        ]
    };
    let version = || 1..=i64::MAX as u64;
    prop_oneof![
        prop_oneof![Just(Mode::Adapt), Just(Mode::Infer), Just(Mode::Pause)].prop_map(Command::Mode),
        (
            class_names(),
            prop::option::of(0.1f64..=30.0),
            prop::option::of(0.1f64..=600.0),
            prop::option::of(1u32..=1000),
            text()
        )
            .prop_map(|(class, hz, seconds, max, burst)| {
                Command::Capture(Capture::Start { class, hz, seconds, max, burst })
            }),
        Just(Command::Capture(Capture::Stop)),
        prop::option::of(class_names()).prop_map(|class| Command::Capture(Capture::Snap { class })),
        (class_names(), prop::option::of(0..=i64::MAX as u64), text())
            .prop_map(|(class, frame, burst)| Command::Label(Label::Set { class, frame, burst })),
        (chosen(), class_names()).prop_map(|((sample, samples, burst), class)| {
            Command::Label(Label::Relabel { sample, samples, burst, class })
        }),
        chosen().prop_map(|(sample, samples, burst)| Command::Label(Label::Delete {
            sample,
            samples,
            burst
        })),
        Just(Command::Label(Label::Undo)),
        text().prop_map(|path| Command::Dataset(Dataset::Export { path })),
        "[ -~]{1,30}".prop_map(|path| Command::Dataset(Dataset::Import { path })),
        Just(Command::Dataset(Dataset::Clear)),
        class_names().prop_map(|class| Command::Dataset(Dataset::AddClass { class })),
        (class_names(), class_names())
            .prop_map(|(class, to)| Command::Dataset(Dataset::RenameClass { class, to })),
        (class_names(), any::<bool>())
            .prop_map(|(class, dry_run)| Command::Dataset(Dataset::RemoveClass { class, dry_run })),
        Just(Command::Dataset(Dataset::Seal)),
        (prop::option::of(class_names()), 1u32..=1000, 0..=i64::MAX as u64)
            .prop_map(|(class, limit, offset)| Command::Dataset(Dataset::List { class, limit, offset })),
        (1u32..=200).prop_map(|limit| Command::Dataset(Dataset::Suspects { limit })),
        prop::option::of(prop::sample::select(Method::WORDS).prop_map(|word| word.parse().unwrap()))
            .prop_map(|method| Command::Train(Train::Start { method })),
        Just(Command::Train(Train::Cancel)),
        Just(Command::Head(Head::Publish)),
        (version(), prop::option::of("sha256:[0-9a-f]{64}"))
            .prop_map(|(version, digest)| Command::Head(Head::Apply { version, digest })),
        prop::option::of(version()).prop_map(|to| Command::Head(Head::Rollback { to })),
        any::<bool>().prop_map(|on| Command::Head(Head::Pin { on })),
        prop::collection::btree_map("[a-z_]{1,9}(\\.[a-z0-9_]{1,9}){0,3}", 0i64..9, 1..5).prop_map(
            |values| {
                let values = values.into_iter().map(|(key, value)| (key, json!([value, null]))).collect();
                Command::Config(Config::Set { values })
            }
        ),
        offload(),
        Just(Command::Backbone(Backbone::Rollback)),
        Just(Command::Config(Config::Get)),
        "[A-Za-z0-9-]{1,64}".prop_map(|job| Command::Job(Job::Clear { job })),
        "[A-Za-z0-9-]{1,64}".prop_map(|job| Command::Job(Job::Cancel { job })),
    ]
}

fn offload() -> impl Strategy<Value = Command> {
    let recipes = ["auto", "head", "partial:7", "gradual+frozen", "full+live", "scratch+plain"]
        .map(|r| r.parse::<Recipe>().unwrap());
    let ids = ("[A-Za-z0-9-]{1,64}", "[a-z0-9-]{1,64}");
    let figure = || prop::option::of(0.0f64..=1.0);
    prop_oneof![
        prop::option::of(prop::sample::select(recipes.to_vec())).prop_map(|recipe| Offload::Start { recipe }),
        prop::option::of("[A-Za-z0-9-]{1,64}").prop_map(|job| Offload::Cancel { job }),
        (ids, "[ -~]{1,64}", 0..=i64::MAX as u64, figure(), figure()).prop_map(
            |((job, host), stage, step, loss, val_accuracy)| {
                let at = Progress {
                    job,
                    host,
                    stage,
                    step,
                    steps: step,
                    loss,
                    val_accuracy,
                    ..Progress::default()
                };
                Offload::Progress(at)
            }
        ),
        (
            ids,
            prop::sample::select(&[Outcome::Retry, Outcome::NoImprovement, Outcome::Failed][..]),
            prop::option::of("[ -~]{1,30}")
        )
            .prop_map(|((job, host), outcome, reason)| Offload::Release {
                job,
                host,
                outcome,
                reason
            }),
    ]
    .prop_map(Command::Offload)
}

fn envelopes() -> impl Strategy<Value = Envelope> {
    let id = prop::option::of("[!-~é]{1,128}");
    let expires = prop::option::of(0i64..253_402_300_799_999);
    (id, expires, prop::option::of(0..=i64::MAX), commands())
        .prop_map(|(id, expires_ms, if_rev, command)| Envelope { id, expires_ms, if_rev, command })
}

proptest! {
    #[test]
    fn commands_survive_the_round_trip(envelope in envelopes()) {
        let body = envelope.to_value().to_string();
        let read = parse(envelope.command.op(), body.as_bytes());
        prop_assert_eq!(read, Ok(envelope.clone()), "{}", body);
        prop_assert_eq!(peek_id(body.as_bytes()), envelope.id);
    }

    #[test]
    fn one_more_field_is_always_refused(envelope in envelopes(), name in "[a-z]{10,14}") {
        let mut value = envelope.to_value();
        value[&name] = Value::from(1);
        let error = parse(envelope.command.op(), value.to_string().as_bytes()).unwrap_err();
        prop_assert_eq!(error.code, Code::UnknownField);
    }

    #[test]
    fn one_field_of_another_type_is_always_refused(envelope in envelopes(), at in any::<prop::sample::Index>()) {
        let mut value = envelope.to_value();
        let map = value.as_object_mut().unwrap();
        let name = map.keys().nth(at.index(map.len())).unwrap().clone();
        map.insert(name.clone(), json!([[]]));
        let error = parse(envelope.command.op(), value.to_string().as_bytes()).unwrap_err();
        prop_assert_eq!(error.detail["pointer"].as_str().unwrap(), format!("/{name}"));
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for &op in Op::ALL {
            let _ = parse(op, &body);
        }
        let _ = peek_id(&body);
    }

    #[test]
    fn arbitrary_json_never_panics(
        action in "[a-z_]{0,12}",
        name in "(class|hz|max|burst|frame|sample|path|to|version|digest|values|job|id|expires|if_rev|\\PC{0,8})",
        value in "(null|true|-?[0-9]{1,30}|[0-9]e[0-9]{1,3}|\"\\PC{0,12}\"|\\[\\]|\\{\"a\":1\\})",
    ) {
        for &op in Op::ALL {
            let name = Value::from(name.as_str());
            let _ = parse(op, format!(r#"{{"action":"{action}",{name}:{value}}}"#).as_bytes());
            for action in read::actions(op) {
                let _ = parse(op, format!(r#"{{"action":"{action}",{name}:{value}}}"#).as_bytes());
            }
        }
    }
}
