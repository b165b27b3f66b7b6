//! The real daemon in a folder of its own, with a real broker where one is wanted.

use graft_testing::broker::Broker;
use graft_testing::operator::{Message, Operator};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Long: the machine may be busy. A hang guard, no measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A broker for one test; `None` where mosquitto is not installed and a test may go without.
pub fn broker(dir: &Path) -> Option<Broker> {
    if graft_testing::broker::find().is_none() {
        graft_testing::skip("mosquitto", "mosquitto is not installed (apt-get install mosquitto)");
        return None;
    }
    Some(Broker::start(dir).unwrap())
}

/// The program, emulated where these tests are (`cross/build.sh test`).
fn program() -> Command {
    let program = env!("CARGO_BIN_EXE_graft");
    match std::env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER") {
        Ok(emulator) if cfg!(target_arch = "aarch64") => {
            let mut command = Command::new(emulator);
            command.arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// A folder, a configuration, and a daemon that can be started and killed.
pub struct Board {
    pub dir: TempDir,
    pub child: Option<Child>,
    settings: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    /// The frame that was labelled last.
    labelled: Cell<Option<u64>>,
}

impl Board {
    /// A board with the built-in scene as its camera and no broker.
    pub fn new() -> Self {
        let mut board = Self {
            dir: TempDir::new().unwrap(),
            child: None,
            settings: Vec::new(),
            variables: Vec::new(),
            labelled: Cell::new(None),
        };
        for (key, value) in [
            ("device.id", "board"),
            ("camera.source", "pattern"),
            ("camera.fps", "20"),
            ("camera.hold_frames", "40"),
            ("camera.width", "160"),
            ("camera.height", "120"),
            ("capture.ring_hz", "20"),
            ("predict.max_hz", "20"),
            ("learn.idle_s", "0.5"),
            ("store.free_floor", "0 B"),
            ("store.quota", "100 MB"),
            ("mqtt.enabled", "false"),
            ("web.listen", ""),
        ] {
            board.set(key, value);
        }
        let state = board.path("state").display().to_string();
        let socket = board.path("graft.sock").display().to_string();
        board.set("store.dir", &state);
        board.set("socket.path", &socket);
        board
    }

    /// The same board on a broker.
    pub fn on(broker: &Broker) -> Self {
        let mut board = Self::new();
        board.set("mqtt.enabled", "true");
        board.set("mqtt.port", &broker.port().to_string());
        board
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sets a configuration key from the next start on.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.retain(|(k, _)| k != key);
        self.settings.push((key.into(), value.into()));
    }

    /// Sets a variable of the daemon's environment from the next start on.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    fn graft(&self) -> Command {
        let mut command = program();
        for (name, _) in std::env::vars().filter(|(n, _)| n.starts_with("GRAFT_") && n != "GRAFT_SHARED") {
            command.env_remove(name);
        }
        command.env_remove("NOTIFY_SOCKET").env("GRAFT_SOCKET", self.path("graft.sock"));
        let config = self.path("config.toml");
        if !config.exists() {
            std::fs::write(&config, "").unwrap();
        }
        command.arg("--config").arg(config);
        command
    }

    /// Starts the daemon and waits until it answers on its socket.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        // Frames are counted anew.
        self.labelled.set(None);
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.graft();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let child =
            command.arg("run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        // The socket is there before the page and the loop are: what answers is all there.
        while std::os::unix::net::UnixStream::connect(self.path("graft.sock")).is_err()
            || !self.cli(&["status"]).status.success()
        {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().unwrap()) {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon does not come up:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the daemon where it must not come up, and waits for its end.
    pub fn run_to_its_end(&self) -> Output {
        let mut command = self.graft();
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        command.arg("run").stdin(Stdio::null()).output().unwrap()
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// As systemd would; the exit status has to be clean.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}:\n{}", self.log());
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Runs a client command.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.graft().args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a client command that has to succeed and prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[&["--json"], arguments].concat());
        assert!(
            output.status.success(),
            "graft {arguments:?}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("graft {arguments:?}: {e}: {}", String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Labels what the camera sees now, another frame than the last that this labelled, since a second label of one
    /// frame corrects the first. Asks again while a busy machine has no fresh frame to label.
    pub fn label(&self, class: &str) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let output = self.cli(&["--json", "label", "set", class]);
            let said: Value = match output.status.code() {
                Some(0) => serde_json::from_slice(&output.stdout).unwrap(),
                Some(69) => json!(null),
                _ => panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
            };
            if let Some(frame) = said["data"]["frame"].as_u64() {
                if self.labelled.replace(Some(frame)) != Some(frame) {
                    return said;
                }
                self.json(&["label", "undo"]);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no fresh frame to label:\n{}", self.log());
    }

    /// What `graft doctor` finds with the board's settings: check → (verdict, remedy).
    pub fn examine(&self) -> BTreeMap<String, (String, String)> {
        let mut command = self.graft();
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let output = command.args(["doctor", "--json"]).stdin(Stdio::null()).output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = said["findings"].as_array().unwrap();
        let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let found = findings.iter().map(|f| (word(f, "check"), (word(f, "verdict"), word(f, "remedy"))));
        let found: BTreeMap<_, _> = found.collect();
        let fails = found.values().any(|(verdict, _)| verdict == "fail");
        assert_eq!(output.status.code(), Some(i32::from(fails)), "{said:#}");
        assert!(found.values().all(|(verdict, remedy)| (verdict == "ok") == remedy.is_empty()), "{said:#}");
        found
    }

    /// Waits until the daemon's status says so.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.json(&["status"]);
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "waited for {what}; last status {status:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

/// An operator of device `board` at this broker.
pub async fn operator(broker: &Broker) -> Operator {
    Operator::connect("127.0.0.1", broker.port(), "graft/board").await.unwrap()
}

/// Sends a command that has to succeed.
pub async fn order(operator: &mut Operator, op: &str, body: Value) -> Value {
    let reply = operator.command(op, &body, PATIENCE).await.unwrap();
    assert_ne!(reply["status"], "error", "{op} {body}: {reply}");
    reply
}

/// Sends a command that has to be refused; gives the error.
pub async fn refused(operator: &mut Operator, op: &str, body: Value) -> Value {
    let reply = operator.command(op, &body, PATIENCE).await.unwrap();
    assert_eq!(reply["status"], "error", "{op} {body}: {reply}");
    reply["error"].clone()
}

/// The JSON of a message.
pub fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap_or(json!(null))
}

/// A runtime like the daemon's own.
pub fn block_on<F: std::future::Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
