//! scikit-learn beside us, in a Python of this machine.

use anyhow::{Context, Result, ensure};
use graft_learn::Snapshot;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const SCRIPT: &str = include_str!("../../benches/peers/peers.py");
/// CPU seconds that one fit of a peer may take.
const LIMIT_S: f64 = 120.0;

/// What a peer did.
#[derive(Debug, Deserialize)]
pub struct Measured {
    /// As in the contract of `lab bench head --json`.
    pub peer: String,
    /// CPU milliseconds.
    pub ms: f64,
    /// Above the optimum, relative to it; none for another objective.
    pub gap: Option<f64>,
    /// False: it stopped before it was as near as asked.
    pub reached: bool,
}

/// A Python that has scikit-learn.
pub fn python() -> Option<&'static str> {
    ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let probe = Command::new(python).args(["-c", "import sklearn"]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    })
}

/// Runs the peers on a snapshot whose least objective is known.
pub fn measure(python: &str, snapshot: &Snapshot, optimum: f64, gap: f64) -> Result<Vec<Measured>> {
    let request =
        json!({"n": snapshot.len(), "d": snapshot.width, "optimum": optimum, "gap": gap, "limit_s": LIMIT_S});
    let mut body = bytes(snapshot.embeddings.iter().map(|value| value.to_bits().to_le_bytes()));
    body.extend(bytes(snapshot.labels.iter().map(|label| label.to_le_bytes())));
    converse(python, SCRIPT, &request, &body)
}

/// Runs a script of `crates/lab/benches/peers` with a line of JSON and some bytes on its standard input; what it answers in
/// JSON.
pub fn converse<T: DeserializeOwned>(python: &str, script: &str, request: &Value, body: &[u8]) -> Result<T> {
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{python} cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        writeln!(stdin, "{request}")?;
        stdin.write_all(body)?;
    }
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "a script of crates/lab/benches/peers failed; what it said stands above");
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// All in a row.
pub fn bytes<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    values.flatten().collect()
}
