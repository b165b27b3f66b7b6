use super::*;
use graft_camera as camera;
use graft_mqtt as mqtt;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A machine with this /etc/graft/config.toml and these variables.
struct Machine {
    root: tempfile::TempDir,
    sources: Sources,
}

fn machine(config: &str, variables: &[(&str, &str)], set: &[&str]) -> Machine {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("etc/graft/config.toml", config);
    write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let surroundings = Surroundings { variables, root: true, system: root.path().to_owned() };
    let set = set.iter().map(|s| (*s).to_owned()).collect();
    Machine { sources: Sources { file: None, set, surroundings }, root }
}

impl Machine {
    fn load(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The problems with the machine's folder cut off.
    fn problems(&self) -> String {
        let folder = format!("{}/", self.root.path().display());
        load(&self.sources).expect_err("must be refused").to_string().replace(&folder, "/")
    }
}

#[test]
fn it_works_without_any_file() {
    let machine = machine("", &[], &[]);
    std::fs::remove_file(machine.root.path().join("etc/graft/config.toml")).unwrap();
    let settings = machine.load();
    assert_eq!(settings.camera, camera::Settings::default());
    assert!(settings.mqtt.session == mqtt::Settings::default());
    assert_eq!(settings.store.dir, machine.root.path().join("var/lib/graft"));
    assert_eq!(settings.socket.path, machine.root.path().join("run/graft/graft.sock"));
    assert_eq!((settings.socket.mode, settings.store.quota_bytes), (0o660, 2_000_000_000));
    assert_eq!(settings.backbone.file, None);
    assert_eq!(settings.device.id.len(), 12);
    assert_eq!(settings.policy().gate, graft_control::GatePolicy::default());
    assert_eq!(settings.learn.options(), graft_learn::Options::default());
}

#[test]
fn stronger_layers_win_and_origins_are_told() {
    let variables = [("GRAFT__PREDICT__VOTE", "6"), ("GRAFT__PREDICT__MAX_HZ", "6"), ("GRAFT_OTHER", "1")];
    let config = "schema = 1\n[predict]\nvote = 4\nmax_hz = 4\nthreshold = 0.4\n[learn]\nfolds = 4\n";
    let machine = machine(config, &variables, &["predict.max_hz=7"]);
    let folder = machine.root.path().join("etc/graft/conf.d");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("20-b.toml"), "predict.threshold = 0.52\n").unwrap();
    std::fs::write(folder.join("10-a.toml"), "predict = {threshold = 0.51, vote = 5}\n").unwrap();
    std::fs::write(folder.join("notes.txt"), "not read").unwrap();
    let settings = machine.load();
    let predict = &settings.predict;
    assert_eq!((predict.vote, predict.max_hz, settings.learn.folds), (6, 7.0, 4));
    assert!((predict.threshold - 0.52).abs() < 1e-6);
    let origin = |key: &str| settings.effective.0[key].origin.to_string();
    assert_eq!(origin("predict.vote"), "GRAFT__PREDICT__VOTE");
    assert_eq!(origin("predict.max_hz"), "--set");
    assert_eq!(origin("predict.threshold"), format!("{}:1", folder.join("20-b.toml").display()));
    assert!(origin("learn.folds").ends_with("config.toml:7"));
    assert_eq!(origin("learn.nice"), "default");
}

#[test]
fn budgets_metrics_and_buttons_that_cannot_work_are_refused() {
    for (set, says) in [
        ("metrics.listen=0.0.0.0:9464", "this machine alone"),
        ("metrics.listen=localhost", "this machine alone"),
        ("web.listen=localhost:8470", "address and port"),
        ("web.cert_file=a", "belong together"),
        ("budget.resume_c=80", "below budget.pause_c"),
        ("gpio.button=17", "gpio.class is needed"),
        ("camera.controls=focus", "write name=number"),
    ] {
        let text = machine("", &[], &[set]).problems();
        assert!(text.contains(says), "{set}: {text}");
    }
    let settings = machine("", &[], &["metrics.listen=127.0.0.1:9464"]).load();
    assert_eq!(settings.metrics.listen, Some(([127, 0, 0, 1], 9464).into()));
    assert_eq!(settings.budget.policy().write_per_day, 100_000_000);
}

#[test]
fn every_problem_is_told_with_its_place_and_a_way_out() {
    let cases: [(&str, &str); 14] = [
        ("[mqtt]\nhots = 'x'", "/etc/graft/config.toml:2: unknown key mqtt.hots; did you mean mqtt.host?"),
        ("host = 'x'", "/etc/graft/config.toml:1: unknown key host; did you mean mqtt.host?"),
        ("[mqt]\nhost = 'x'", "/etc/graft/config.toml:1: unknown key mqt; did you mean [mqtt]?"),
        (
            "[learn]\nthreshold = 1",
            "/etc/graft/config.toml:2: unknown key learn.threshold; did you mean predict.threshold?",
        ),
        ("zebra = 1", "/etc/graft/config.toml:1: unknown key zebra; `graft config default` lists all keys"),
        ("mqtt = 3", "/etc/graft/config.toml:1: mqtt is a section: write [mqtt] on a line of its own"),
        (
            "[predict]\n\nthreshold = 3",
            "/etc/graft/config.toml:3: predict.threshold = 3 is not allowed: write a number from 0 to 1",
        ),
        (
            "[camera]\nsource = 'usb'",
            "/etc/graft/config.toml:2: camera.source = \"usb\" is not allowed: write one of v4l2, directory, \
             video_file, pattern, pipe, http_mjpeg",
        ),
        (
            "store.quota = '2 parsec'",
            "/etc/graft/config.toml:1: store.quota = \"2 parsec\" is not allowed: write a size from 10 MB to 100 TB, \
             like \"2 GB\"",
        ),
        (
            "backbone.roi = [0, 0, 1]",
            "/etc/graft/config.toml:1: backbone.roi = [0, 0, 1] is not allowed: write a list of 4 numbers from 0 to \
             1, or [] for none",
        ),
        (
            "backbone.roi = [0.5, 0, 0.6, 1]",
            "/etc/graft/config.toml:1: backbone.roi leaves the frame or is empty: left + width and top + height are \
             at most 1",
        ),
        ("schema = 2", "/etc/graft/config.toml:1: schema = 2 is not allowed: write 1"),
        (
            "device.id = 'Line 3'\nlog.level = 7",
            "/etc/graft/config.toml:1: device.id = \"Line 3\" is not allowed: write 1 to 64 of the letters a-z, 0-9 \
             and -, or \"\" for none\n/etc/graft/config.toml:2: log.level = 7 is not allowed: write one of error, \
             warn, info, debug, trace",
        ),
        (
            "[mqtt]\nport = 18830000000000000000000",
            "/etc/graft/config.toml:2: mqtt.port: a number out of range; write a whole number from 1 to 65535",
        ),
    ];
    for (config, text) in cases {
        assert_eq!(machine(config, &[], &[]).problems(), text, "{config}");
    }
}

#[test]
fn problems_of_all_layers_come_at_once() {
    let variables = [("GRAFT__MQTT__PORT", "abc"), ("GRAFT__MQT__PORT", "1")];
    let machine = machine("[log]\nlevel = 'loud'", &variables, &["mqtt.prot=1", "nonsense"]);
    let text = "/etc/graft/config.toml:2: log.level = \"loud\" is not allowed: write one of error, warn, info, debug, trace
GRAFT__MQTT__PORT: mqtt.port = \"abc\" is not allowed: write a whole number from 1 to 65535
GRAFT__MQT__PORT: unknown key mqt.port; did you mean mqtt.port?
--set mqtt.prot: unknown key mqtt.prot; did you mean mqtt.port?
--set nonsense: write --set section.key=value";
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(&machine.problems()), sorted(text));
}

#[test]
fn what_belongs_together_is_checked_where_somebody_wrote_it() {
    let text = machine("[camera]\nsource = 'pipe'", &[], &[]).problems();
    assert!(text.starts_with("/etc/graft/config.toml:2: ") && text.contains("camera.command"), "{text}");
    let text = machine("", &[("GRAFT__MQTT__CA_FILE", "/x")], &[]).problems();
    assert!(text.starts_with("GRAFT__MQTT__CA_FILE: ") && text.contains("mqtt.tls"), "{text}");
}

#[test]
fn broken_toml_names_the_line() {
    let text = machine("[mqtt]\nhost = \"x\n", &[], &[]).problems();
    assert!(text.starts_with("/etc/graft/config.toml:2: not TOML: "), "{text}");
    let text = machine("[log]\nlevel = 'info'\nlevel = 'warn'\n", &[], &[]).problems();
    assert!(text.starts_with("/etc/graft/config.toml:3: not TOML: "), "{text}");
}

#[test]
fn a_named_file_must_be_there_and_brings_its_own_conf_d() {
    let mut machine = machine("[predict]\nvote = 9", &[], &[]);
    machine.sources.file = Some(machine.root.path().join("mine/own.toml"));
    assert_eq!(machine.problems(), "/mine/own.toml: no such file; create it or give the right path");
    std::fs::create_dir_all(machine.root.path().join("mine/conf.d")).unwrap();
    assert_eq!(machine.problems(), "/mine/own.toml: no such file; create it or give the right path");
    std::fs::write(machine.root.path().join("mine/own.toml"), "[backbone]\nfile = 'nets/a.onnx'").unwrap();
    std::fs::write(machine.root.path().join("mine/conf.d/a.toml"), "[predict]\nmax_hz = 1").unwrap();
    let settings = machine.load();
    assert_eq!((settings.predict.vote, settings.predict.max_hz), (3, 1.0));
    assert_eq!(settings.backbone.file, Some(machine.root.path().join("mine/nets/a.onnx")));
}

#[test]
fn text_of_variables_becomes_the_right_type() {
    let set = [
        "backbone.roi=0.1, 0.2,0.3,0.4",
        "store.quota=3 GiB",
        "camera.repeat=true",
        "camera.fps=5",
        "camera.command=a 'b c'",
    ];
    let settings = machine("", &[("GRAFT__MQTT__USERNAME", "7")], &set).load();
    assert_eq!(settings.backbone.roi, Some([0.1, 0.2, 0.3, 0.4]));
    assert_eq!((settings.store.quota_bytes, settings.camera.repeat), (3 << 30, true));
    assert_eq!((settings.camera.fps, settings.camera.command.as_str()), (Some(5.0), "a 'b c'"));
    assert_eq!(settings.mqtt.session.username, "7");
    assert_eq!(machine("camera.fps = 5", &[], &["camera.fps="]).load().camera.fps, None);
}

#[test]
fn runtime_keys_are_set_kept_and_taken_back() {
    let mut machine = machine("[predict]\nvote = 4\nthreshold = 0.4", &[], &[]);
    let state = machine.root.path().join("state");
    machine.sources.set.push(format!("store.dir={}", state.display()));
    let set = |changes: &[(&str, serde_json::Value)]| {
        let changes: BTreeMap<_, _> = changes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        set_runtime(&state, &changes)
    };
    set(&[("predict.threshold", json!(1)), ("learn.head", json!("ridge"))]).unwrap();
    set(&[("predict.vote", json!(8))]).unwrap();
    let settings = machine.load();
    assert_eq!((settings.predict.vote, settings.predict.threshold), (8, 1.0));
    assert_eq!(settings.learn.head, "ridge");
    let text = std::fs::read_to_string(runtime_file(&state)).unwrap();
    let line = 1 + text.lines().position(|line| line == "vote = 8").unwrap();
    assert_eq!(settings.effective.0["predict.vote"].origin, Origin::File(runtime_file(&state), line));
    set(&[("predict.vote", json!(null))]).unwrap();
    assert_eq!(machine.load().predict.vote, 4);

    let before = std::fs::read_to_string(runtime_file(&state)).unwrap();
    let wrong = [
        (("predict.vot", json!(1)), "unknown key predict.vot; did you mean predict.vote?"),
        (
            ("mqtt.host", json!("x")),
            "mqtt.host cannot be set while the daemon runs; put it into the configuration file and restart",
        ),
        (
            ("predict.vote", json!("x")),
            "predict.vote = \"x\" is not allowed: write a whole number from 1 to 100",
        ),
        (("predict.vote", json!({})), "predict.vote = {} is not allowed: write a whole number from 1 to 100"),
    ];
    for (change, text) in wrong {
        let error = set(&[("learn.head", json!("softmax")), change]).unwrap_err();
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(
        std::fs::read_to_string(runtime_file(&state)).unwrap(),
        before,
        "a refused set changed something"
    );

    // What another version wrote must not keep the board from starting.
    std::fs::write(runtime_file(&state), "mqtt.host = 'evil'\n[predict]\nvote = 9\nmax_hz = 'x'\nodd = 1\n")
        .unwrap();
    let settings = machine.load();
    assert_eq!((settings.mqtt.session.host.as_str(), settings.predict.vote), ("127.0.0.1", 9));
}

#[test]
fn secrets_are_masked_everywhere() {
    let config = "[mqtt]\nusername = 'line-3'\n[camera]\nurl = 'http://ann:hunter2@cam/s'";
    let settings = machine(config, &[], &[]).load();
    let effective = &settings.effective;
    let texts =
        [effective.to_text(true), effective.masked().to_string(), effective.with_origins().to_string()];
    for text in texts {
        assert!(!text.contains("line-3") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("***") && text.contains("http://***@cam/s"), "{text}");
    }
    let text = machine(&config.replace("'line-3'", "33"), &[], &[]).problems();
    assert!(text.contains("mqtt.username = \"***\""), "{text}");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let first = machine("[camera]\nfps = 3\n[store]\nquota = '1.5 GB'\n", &[], &[]).load();
    let again = machine(&first.effective.to_text(true), &[], &[]).load();
    assert_eq!(first.effective.masked(), again.effective.masked());
}

/// default.toml and the structs name the same keys: unknown ones are refused by serde when loading, and here
/// every field is looked up.
#[test]
fn every_field_has_a_key_in_default_toml() {
    let set = [
        "backbone.file=a",
        "backbone.card=b",
        "backbone.features=c",
        "backbone.roi=0,0,1,1",
        "camera.fps=1",
        "camera.path=p",
        "camera.command=c",
        "camera.url=u",
        "camera.user=u",
        "camera.password_file=p",
        "mqtt.username=u",
        "mqtt.password_file=p",
        "mqtt.tls=on",
        "mqtt.ca_file=a",
        "mqtt.cert_file=b",
        "mqtt.key_file=c",
        "mqtt.client_id=d",
        "device.id=e",
        "offload.ca_file=a",
        "offload.group=b",
        "offload.max_frame_ms=9",
        "store.dir=f",
        "socket.path=g",
        "mqtt.home_assistant=h",
        "metrics.listen=[::1]:9",
        "gpio.button=1",
        "gpio.lamp=2",
        "gpio.class=c",
        "web.cert_file=a",
        "web.key_file=b",
    ];
    let settings = machine("", &[], &set).load();
    let mut fields = BTreeSet::from(["schema", "mqtt.base", "mqtt.home_assistant"].map(str::to_owned));
    let mut add = |section: &str, value: serde_json::Value| {
        fields.extend(value.as_object().unwrap().keys().map(|key| format!("{section}.{key}")));
    };
    add("device", json!(settings.device));
    add("camera", json!(settings.camera));
    add("backbone", json!(settings.backbone));
    add("capture", json!(settings.capture));
    add("learn", json!(settings.learn));
    add("gate", json!(settings.gate));
    add("predict", json!(settings.predict));
    add("offload", json!(settings.offload));
    add("store", json!(settings.store));
    add("mqtt", json!(settings.mqtt.session));
    add("socket", json!(settings.socket));
    add("budget", json!(settings.budget));
    add("web", json!(settings.web));
    add("gpio", json!(settings.gpio));
    add("metrics", json!(settings.metrics));
    add("log", json!(settings.log));
    assert_eq!(fields, rules().keys().map(str::to_owned).collect());
}

#[test]
fn sizes_are_read_and_written_for_people() {
    let cases = [("2 GB", 2_000_000_000), ("1.5GiB", 1_610_612_736), ("10", 10), ("0 B", 0), ("7 kb", 7000)];
    for (text, size) in cases {
        assert_eq!(bytes(text), Some(size), "{text}");
    }
    for text in ["", "GB", "-1", "1 parsec", "1e3", "99999999999 TB", "1..2 MB"] {
        assert_eq!(bytes(text), None, "{text}");
    }
    let cases =
        [(0, "0 B"), (512, "512 B"), (1500, "1.5 KB"), (2_000_000_000, "2 GB"), (340_200_000, "340 MB")];
    for (size, text) in cases {
        assert_eq!(bytes_text(size), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}", lines in prop::collection::vec("(\\[[a-z]{1,8}\\]|[a-z_.]{1,12} = [-0-9a-z.'\"\\[\\]{}]{0,9}|\\PC{0,9})", 0..8)) {
        let mut problems = Vec::new();
        let mut effective = Effective::defaults();
        effective.read_text(Path::new("x.toml"), &text, &mut problems);
        effective.read_text(Path::new("x.toml"), &lines.join("\n"), &mut problems);
        effective.read_options(&[text.clone(), format!("predict.vote={text}"), format!("backbone.roi={text}")], &mut problems);
        let variables = rules().keys().map(|key| (format!("GRAFT__{}", key.replace('.', "__").to_uppercase()), text.clone()));
        effective.read_variables(&variables.collect(), &mut problems);
        effective.to_text(true);
        effective.with_origins();
    }

    #[test]
    fn what_a_rule_admits_the_settings_take(picks in prop::collection::vec((any::<prop::sample::Index>(), "(0|1|true|off|on|0\\.5|64|600|[a-z]{1,5})"), 0..6)) {
        let keys: Vec<&str> = rules().keys().collect();
        let set: Vec<String> = picks.iter().map(|(i, value)| format!("{}={value}", i.get(&keys))).collect();
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        if let Err(error) = load(&machine("", &[], &set).sources) {
            // A section in brackets would be serde's word: the rules let something through.
            prop_assert!(error.problems.iter().all(|p| !p.place.starts_with('[')), "{error}");
        }
    }
}

#[test]
fn the_runtime_file_is_found_from_the_state_folder() {
    assert_eq!(runtime_file(Path::new("/s")), PathBuf::from("/s/conf.d/90-runtime.toml"));
}
