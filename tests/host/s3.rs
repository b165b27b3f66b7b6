//! The store in a bucket, on a real S3-compatible server: moto's.

use super::kit::{Engine, Kit};
use super::{Host, Played, until};
use crate::support::{block_on, broker};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server of the package `moto`, where `make deps-test` has put it.
fn server(port: u16) -> Option<Server> {
    let python = std::env::var_os("GRAFT_MOTO_PYTHON").unwrap_or_else(|| "python3".into());
    let there = Command::new(&python).args(["-c", "import moto.server"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        let why = "no python with moto's server (scripts/install.sh moto, then GRAFT_MOTO_PYTHON)";
        graft_testing::skip("moto", why);
        return None;
    }
    let mut command = Command::new(python);
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
    Some(Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()))
}

#[test]
fn a_job_with_its_files_in_a_bucket() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = broker(dir.path()) else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(_server) = server(port) else { return };
    let kit = Kit::new(dir.path());
    block_on(async {
        until("the server to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
        let endpoint = format!("http://127.0.0.1:{port}");
        let at = endpoint.clone();
        let listed = move |path: &str| {
            let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
            agent.get(format!("{at}{path}")).call().unwrap().body_mut().read_to_string().unwrap()
        };
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        agent.put(format!("{endpoint}/pictures")).send_empty().unwrap();
        let mut host =
            Host::new(dir.path(), "gpu-1", &broker, &kit.engine(&Engine { steps: 1, pause: 0.05, exit: 0 }));
        host.set("store.url=s3://pictures/of/boards");
        host.environment([
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]);
        host.start();
        let mut board = Played::offer(&broker, "cam-1", "16", &kit).await;
        let claim = board.claimed_by(&host).await;
        board.send(&claim, &kit).await;
        let manifest = board.result().await;
        let listing = listed("/pictures?list-type=2");
        for blob in board.dataset.blobs() {
            assert!(listing.contains(&format!("of/boards/{}", blob.hex())), "{listing}");
        }
        let onnx = manifest.files.onnx.clone();
        let path = format!("/v1/blobs/{}", onnx.hex());
        let (status, _, bytes) =
            super::kit::raw(&claim, "GET", &path, &[("Range", "bytes=9-".into())], Vec::new()).await;
        assert_eq!((status, bytes.len() as u64), (206, onnx.size - 9));
        assert!(!host.dir.join("blobs").exists(), "something lies in a folder, too");
    });
}
