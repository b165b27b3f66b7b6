//! The real `graft host` with a real broker, an engine made here, and a board that is played by the test.

mod faults;
mod fleet;
mod https;
mod jobs;
mod kit;
mod s3;

use graft_testing::broker::Broker;
use graft_testing::operator::{Message, Operator};
use graft_wire::command::{self, Command as Order, Offload};
use graft_wire::messages::Schema1;
use graft_wire::offload::{Claim, Dataset, Offer, OfferState, OfferedBackbone, OfferedDataset, Recipe};
use graft_wire::{BackboneManifest, Op, PublicKey};
use kit::Kit;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::PATIENCE;

/// A host process with a folder of its own.
pub struct Host {
    pub dir: PathBuf,
    pub id: &'static str,
    child: Option<Child>,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Host {
    /// A host that trains with this engine script.
    pub fn new(dir: &Path, id: &'static str, broker: &Broker, engine: &Path) -> Self {
        let own = dir.join(id);
        std::fs::create_dir_all(&own).unwrap();
        let settings = vec![
            format!("id={id}"),
            format!("dir={}", own.display()),
            format!("mqtt.port={}", broker.port()),
            "http.listen=127.0.0.1:0".into(),
            format!("engine.command=[\"sh\", {:?}]", engine.display().to_string()),
            "store.keep_hours=0".into(),
        ];
        Self { dir: own, id, child: None, settings, environment: Vec::new() }
    }

    pub fn set(&mut self, pair: impl Into<String>) {
        self.settings.push(pair.into());
    }

    pub fn environment(&mut self, pairs: [(&str, &str); 5]) {
        self.environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_graft"));
        command.env_remove("NOTIFY_SOCKET").envs(self.environment.clone());
        // No file of this machine: everything is said here.
        std::fs::write(self.dir.join("host.toml"), "").unwrap();
        command.arg("--config").arg(self.dir.join("host.toml"));
        for pair in &self.settings {
            command.arg("--set").arg(pair);
        }
        command
    }

    pub fn start(&mut self) {
        assert!(self.child.is_none());
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut command = self.command();
        command.args(["host", "run"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.command().arg("--json").arg("host").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), self.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn key(&self) -> PublicKey {
        PublicKey::from_base64(self.json(&["keys"])["public_key"].as_str().unwrap()).unwrap()
    }

    /// Folders of jobs that it has.
    pub fn jobs(&self) -> usize {
        std::fs::read_dir(self.dir.join("jobs")).map_or(0, Iterator::count)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the log of host {} ---\n{}", self.id, self.log());
        }
    }
}

/// Waits for something outside of MQTT.
pub async fn until(what: &str, mut wanted: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The board's side of a job, played by the test.
pub struct Played {
    pub operator: Operator,
    pub device: &'static str,
    pub offer: Offer,
    pub dataset: Dataset,
    heard: u64,
}

impl Played {
    /// Offers a job of this kit.
    pub async fn offer(broker: &Broker, device: &'static str, job: &str, kit: &Kit) -> Self {
        let dataset = kit.dataset(device);
        let list = dataset.to_json();
        let offer = Offer {
            schema: Schema1,
            job: job.into(),
            recipe: Recipe::default(),
            backbone: OfferedBackbone {
                name: "tiny".into(),
                digest: dataset.backbone.digest.clone(),
                size: dataset.backbone.size,
                tensor: kit.tensor.clone(),
            },
            dataset: OfferedDataset {
                rev: 1,
                digest: graft_wire::digest::sha256(list.as_bytes()),
                samples: dataset.samples.len() as u64,
                classes: 2,
                bytes: dataset.blobs().iter().map(|b| b.size).sum(),
            },
            state: OfferState::Offered,
            host: None,
            expires: "2099-01-01T00:00:00Z".into(),
        };
        let operator =
            Operator::connect("127.0.0.1", broker.port(), &format!("graft/{device}")).await.unwrap();
        let mut played = Self { operator, device, offer, dataset, heard: 0 };
        played.say().await;
        played
    }

    fn topic(&self) -> String {
        format!("graft/{}/offload/{}", self.device, self.offer.job)
    }

    /// Publishes the offer as it stands.
    pub async fn say(&mut self) {
        let text = serde_json::to_vec(&self.offer).unwrap();
        self.operator.publish(&self.topic(), text, true).await.unwrap();
    }

    /// Clears the offer.
    pub async fn clear(&mut self) {
        self.operator.publish(&self.topic(), Vec::new(), true).await.unwrap();
    }

    pub async fn accept(&mut self, host: &str) {
        self.offer.state = OfferState::Claimed;
        self.offer.host = Some(host.into());
        self.say().await;
    }

    pub async fn offer_again(&mut self) {
        self.offer.state = OfferState::Offered;
        self.offer.host = None;
        self.say().await;
    }

    /// The next command about offload that `wanted` takes.
    pub async fn order<T>(&mut self, what: &str, wanted: impl Fn(&Offload) -> Option<T>) -> T {
        let read = |m: &Message| match m.topic.ends_with("/cmd/offload") {
            true => match graft_wire::parse(Op::Offload, &m.payload).unwrap().command {
                Order::Offload(order) => wanted(&order),
                _ => None,
            },
            false => None,
        };
        let found = self.operator.wait_for(self.heard, PATIENCE, what, |m| read(m).is_some()).await.unwrap();
        self.heard = found.number;
        read(&found).unwrap()
    }

    pub async fn claim(&mut self) -> Claim {
        self.order("a claim", |order| match order {
            Offload::Claim(claim) => Some(claim.clone()),
            _ => None,
        })
        .await
    }

    /// A claim of that host, taken.
    pub async fn claimed_by(&mut self, host: &Host) -> Claim {
        let id = host.id;
        let claim = self
            .order("a claim", |order| match order {
                Offload::Claim(claim) if claim.host == id => Some(claim.clone()),
                _ => None,
            })
            .await;
        claim.verify(self.device, &[host.key()], Some(now_ms())).unwrap();
        self.accept(id).await;
        claim
    }

    pub async fn progress(&mut self, stage: &str) -> command::Progress {
        self.order(stage, |order| match order {
            Offload::Progress(progress) if progress.stage == stage => Some(progress.clone()),
            _ => None,
        })
        .await
    }

    pub async fn result(&mut self) -> BackboneManifest {
        self.order("a result", |order| match order {
            Offload::Result { manifest, .. } => Some((**manifest).clone()),
            _ => None,
        })
        .await
    }

    pub async fn release(&mut self) -> (command::Outcome, String) {
        self.order("a release", |order| match order {
            Offload::Release { outcome, reason, .. } => Some((*outcome, reason.clone().unwrap_or_default())),
            _ => None,
        })
        .await
    }

    /// Sends the list and every file that the host lacks; gives how many those were.
    pub async fn send(&self, claim: &Claim, kit: &Kit) -> usize {
        let missing = self.list(claim).await;
        for name in &missing {
            assert_eq!(kit::put(claim, name, 0, kit.blob(name), kit.blob(name).len()).await.0, 201);
        }
        missing.len()
    }

    /// Sends the list; gives the names of the files that the host lacks.
    pub async fn list(&self, claim: &Claim) -> Vec<String> {
        let path = format!("/v1/jobs/{}/manifest", self.offer.job);
        let (status, text) =
            kit::request(claim, "PUT", &path, &[], self.dataset.to_json().into_bytes()).await;
        assert_eq!(status, 200, "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        answer["missing"].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    }
}

pub fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}
