//! A job from offer to result, and the ways in which it may end otherwise.

use super::kit::{Engine, Kit, put, raw, request};
use super::{Host, Played, until};
use crate::support::{block_on, broker};
use graft_wire::BackboneManifest;
use graft_wire::backbone_manifest::{Golden, TunedHead, Wanted};
use graft_wire::command::Outcome;
use graft_wire::offload::Blob;
use tempfile::TempDir;

const QUICK: Engine = Engine { steps: 2, pause: 0.05, exit: 0 };

#[test]
fn a_job_goes_from_offer_to_a_signed_result() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let mut host = Host::new(dir.path(), "gpu-1", &broker, &kit.engine(&Engine { pause: 0.3, ..QUICK }));
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;

        // Nothing is open without the token, or with that of another job.
        let mut stranger = claim.clone();
        stranger.token = "x".repeat(64);
        for path in ["/v1/jobs/16/manifest", "/v1/blobs/00"] {
            assert_eq!(request(&stranger, "PUT", path, &[], Vec::new()).await.0, 401);
        }
        assert_eq!(request(&claim, "PUT", "/v1/jobs/17/manifest", &[], Vec::new()).await.0, 401);
        // Another list than that of the offer.
        let mut other = kit.dataset("cam-1");
        other.rev = 2;
        let list = other.to_json().into_bytes();
        assert_eq!(request(&claim, "PUT", "/v1/jobs/16/manifest", &[], list).await.0, 422);

        let missing = board.list(&claim).await;
        assert_eq!(missing.len(), board.dataset.blobs().len());
        let name = missing[3].clone();
        let (bytes, path) = (kit.blob(&name), format!("/v1/blobs/{name}"));
        // A file that the list does not have, wrong bytes, a gap, a piece at a time.
        assert_eq!(
            raw(&claim, "HEAD", &format!("/v1/blobs/{}", "0".repeat(64)), &[], Vec::new()).await.0,
            404
        );
        let wrong = vec![7; bytes.len()];
        assert_eq!(put(&claim, &name, 0, &wrong, wrong.len()).await.0, 422);
        assert_eq!(raw(&claim, "HEAD", &path, &[], Vec::new()).await.1, Some(0));
        assert_eq!(put(&claim, &name, 0, bytes, 100).await.0, 202);
        assert_eq!(put(&claim, &name, 200, bytes, 300).await.0, 416);
        assert_eq!(raw(&claim, "HEAD", &path, &[], Vec::new()).await.1, Some(100));
        let range = vec![("Content-Range", format!("bytes 100-99999999/{}", bytes.len()))];
        assert_eq!(request(&claim, "PUT", &path, &range, bytes.to_vec()).await.0, 400);
        // A kill in the middle of a file: it goes on where its copy ends.
        host.kill();
        host.start();
        let url = board.claim_url_after_restart(&claim).await;
        let claim = graft_wire::offload::Claim { url, ..claim };
        assert_eq!(raw(&claim, "HEAD", &path, &[], Vec::new()).await.1, Some(100));
        assert_eq!(put(&claim, &name, 100, bytes, bytes.len()).await.0, 201);
        assert_eq!(raw(&claim, "HEAD", &path, &[], Vec::new()).await.1, Some(bytes.len() as u64));
        assert_eq!(board.send(&claim, &kit).await, missing.len() - 1);

        let progress = board.progress("gradual").await;
        assert_eq!((progress.steps, progress.loss), (2, Some(0.5)));
        let manifest = board.result().await;
        let wanted = Wanted {
            device: "cam-1",
            group: None,
            job: Some("16"),
            base: Some(&board.dataset.backbone.digest),
            line: "tiny",
            floor: 0,
            max_jump: 100,
            max_bytes: 1 << 30,
            now_ms: Some(super::now_ms()),
        };
        manifest.verify(&[host.key()], &wanted).unwrap();
        assert_eq!(manifest.metrics["baseline_accuracy"], manifest.metrics["accuracy"] / 2.0);
        let mut fetched = std::collections::HashMap::new();
        for (name, blob) in manifest.files.named() {
            let path = format!("/v1/blobs/{}", blob.hex());
            let (status, _, bytes) = raw(&claim, "GET", &path, &[], Vec::new()).await;
            assert_eq!(status, 200);
            BackboneManifest::is_file(name, blob, &bytes).unwrap();
            let (status, _, rest) =
                raw(&claim, "GET", &path, &[("Range", "bytes=10-".into())], Vec::new()).await;
            assert_eq!((status, &rest[..]), (206, &bytes[10..]));
            fetched.insert(name, bytes);
        }
        TunedHead::read(&fetched["head"], &manifest).unwrap();
        Golden::read(&fetched["golden"], &manifest).unwrap();
        let card = String::from_utf8(fetched["card"].clone()).unwrap();
        let card = graft_backbone::Card::parse(&card, "card").unwrap();
        graft_backbone::Backbone::from_bytes(&fetched["onnx"], &card).unwrap();
        // A picture is nobody's to fetch.
        let path = format!("/v1/blobs/{}", missing[3]);
        assert_eq!(raw(&claim, "GET", &path, &[], Vec::new()).await.0, 404);
        let status = host.json(&["status"]);
        assert_eq!((&status["running"], &status["jobs"][0]["phase"]), (&true.into(), &"returned".into()));
        assert_eq!(status["backbones"][0]["version"], 1);

        board.clear().await;
        until("the job's files to go", || host.jobs() == 0).await;
        assert_eq!(raw(&claim, "GET", &path, &[], Vec::new()).await.0, 401);
    });
}

impl Played {
    /// Where the host listens after a restart: it takes another port in these tests, and claims once more.
    pub async fn claim_url_after_restart(&mut self, before: &graft_wire::offload::Claim) -> String {
        self.offer_again().await;
        let host = before.host.clone();
        let claim = self
            .order("another claim", |order| match order {
                graft_wire::command::Offload::Claim(claim)
                    if claim.host == host && claim.url != before.url =>
                {
                    Some(claim.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(claim.token, before.token, "a job keeps its token");
        self.accept(&host).await;
        claim.url
    }
}

/// One host after the other, each with an engine of its own.
async fn ends(
    dir: &TempDir,
    broker: &graft_testing::broker::Broker,
    kit: &Kit,
    id: &'static str,
    engine: Engine,
) -> (Outcome, String) {
    let mut host = Host::new(dir.path(), id, broker, &kit.engine(&engine));
    host.start();
    let mut board = Played::offer(broker, "cam-1", id, kit).await;
    let claim = board.claimed_by(&host).await;
    board.send(&claim, kit).await;
    let ended = board.release().await;
    board.clear().await;
    until("the job's files to go", || host.jobs() == 0).await;
    ended
}

#[test]
fn a_job_that_cannot_be_done_or_is_not_worth_it_is_given_back() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let (outcome, why) = ends(&dir, &broker, &kit, "bad", Engine { exit: 2, ..QUICK }).await;
        assert_eq!((outcome, why.as_str()), (Outcome::Failed, "the engine of the test ends"));
        let (outcome, _) = ends(&dir, &broker, &kit, "same", Engine { exit: 3, ..QUICK }).await;
        assert_eq!(outcome, Outcome::NoImprovement);
        // An engine that says more than tract finds, or that made it worse.
        kit.claim_accuracy(0.31, 0.3);
        let (outcome, why) = ends(&dir, &broker, &kit, "liar", QUICK).await;
        assert_eq!(outcome, Outcome::Failed);
        assert!(why.contains("tract finds"), "{why}");
        let kit = Kit::new(dir.path());
        kit.claim_accuracy(1.0, 1.1);
        let (_, why) = ends(&dir, &broker, &kit, "worse", QUICK).await;
        assert!(why.contains("head alone"), "{why}");
        // A network that is not a number, golden vectors of another network, a file cut short.
        let kit = Kit::new(dir.path());
        let onnx = std::fs::read(kit.out("backbone.onnx")).unwrap();
        let golden = std::fs::read(kit.out("golden.safetensors")).unwrap();
        std::fs::write(kit.out("backbone.onnx"), &onnx[..onnx.len() / 2]).unwrap();
        assert_eq!(ends(&dir, &broker, &kit, "cut", QUICK).await.0, Outcome::Failed);
        std::fs::write(kit.out("backbone.onnx"), &onnx).unwrap();
        let mut other = golden.clone();
        let at = other.len() - 4;
        other[at..].copy_from_slice(&9e9f32.to_le_bytes());
        std::fs::write(kit.out("golden.safetensors"), other).unwrap();
        let (outcome, why) = ends(&dir, &broker, &kit, "golden", QUICK).await;
        assert_eq!(outcome, Outcome::Failed);
        assert!(why.contains("golden vectors"), "{why}");
    });
}

#[test]
fn a_cancelled_job_ends_its_engine_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let mut host = Host::new(
            dir.path(),
            "gpu-1",
            &broker,
            &kit.engine(&Engine { steps: 10_000, pause: 0.05, exit: 0 }),
        );
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;
        board.send(&claim, &kit).await;
        board.progress("gradual").await;
        let work = host.dir.join("jobs/cam-1.16/work");
        let pid: u32 = std::fs::read_to_string(work.join("engine.pid")).unwrap().parse().unwrap();
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        board.clear().await;
        until("the job's files to go", || host.jobs() == 0).await;
        until("the engine to end", || !alive(pid)).await;
        // The host is free for the next one.
        let mut next = Played::offer(&broker, "cam-2", "1", &kit).await;
        next.claimed_by(&host).await;
    });
}

/// Whether a process runs: one that only waits to be fetched does not.
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

#[test]
fn nothing_is_stored_above_the_quota_and_one_job_runs_at_a_time() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        let mut host = Host::new(dir.path(), "gpu-1", &broker, &kit.engine(&QUICK));
        host.set("store.quota_gb=0.0001");
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;
        // A second offer waits: there is one device.
        let mut second = Played::offer(&broker, "cam-2", "1", &kit).await;
        let list = board.dataset.to_json().into_bytes();
        let (status, text) = request(&claim, "PUT", "/v1/jobs/16/manifest", &[], list).await;
        assert_eq!(status, 507, "{text}");
        assert!(text.contains("disk_full") && text.contains("quota_gb"), "{text}");
        let blob = Blob::of(kit.dataset("cam-1").to_json().as_bytes());
        assert_eq!(put(&claim, blob.hex(), 0, b"xx", 2).await.0, 404);
        assert!(!host.dir.join("jobs/cam-1.16/dataset.json").exists());
        assert_eq!(std::fs::read_dir(host.dir.join("blobs")).unwrap().count(), 0);
        assert!(!second.operator.messages().iter().any(|m| m.topic.ends_with("/cmd/offload")));
        board.clear().await;
        second.claimed_by(&host).await;

        // A job over the largest size is not even claimed.
        let mut small = Host::new(dir.path(), "gpu-2", &broker, &kit.engine(&QUICK));
        small.set("offers.max_gb=0.00001");
        small.start();
        let _third = Played::offer(&broker, "cam-3", "1", &kit).await;
        until("the offer to be left alone", || small.log().contains("left alone")).await;
        assert_eq!(small.jobs(), 0);
    });
}
