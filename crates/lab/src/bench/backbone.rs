//! `lab bench backbone`: frames through our operators, by one thread and by all, and through tract alone, in turn.

use super::limits;
use super::speed::{OperatorTimes, Speed, Way, speed};
use anyhow::Result;
use clap::Args;
use graft::lab::{Output, table};
use graft_backbone::Card;
use serde_json::json;
use std::path::PathBuf;

/// Time backbones: with graft's operators, and by tract alone, in turn
#[derive(Args, Debug)]
pub struct BackboneArgs {
    /// ONNX files; a card beside one is used
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Frames each way
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Threads that share a frame [default: one, then as many as the processor has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
    /// Frames a second, with a pause before each, as a camera gives them [default: one after the other]
    #[arg(long, value_parser = positive)]
    hz: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    let hz = text.parse().map_err(|e| format!("{e}"))?;
    if (0.1..=1000.0).contains(&hz) { Ok(hz) } else { Err("a number from 0.1 to 1000".into()) }
}

pub fn run(args: &BackboneArgs, output: Output) -> Result<()> {
    let peak = limits::gflops();
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = args.threads.map_or_else(|| vec![1, all], |threads| vec![threads.into()]);
    threads.dedup();
    let mut rows = Vec::new();
    for file in &args.files {
        let (card, warning) = Card::for_file(file)?;
        if let Some(warning) = warning {
            output.note(&warning);
        }
        for threads in &threads {
            let way = Way { frames: args.frames as usize, threads: *threads, hz: args.hz };
            rows.push(speed(file, &card, way)?);
        }
    }
    let told: Vec<_> = rows.iter().map(|row| row_json(row, peak)).collect();
    output.show(&json!({"peak_gflops": peak, "rows": told}), |_| text(&rows, peak))
}

/// A row as docs/lab/performance.md describes it; the peer's columns are filled by benches/peers.
fn row_json(row: &Speed, peak: f64) -> serde_json::Value {
    let mut value = json!(row);
    for column in ["peer", "peer_ms", "ratio"] {
        value[column] = serde_json::Value::Null;
    }
    value["roofline_share"] = json!(row.gflops / peak);
    value
}

fn text(rows: &[Speed], peak: f64) -> String {
    let head = [
        "file", "engine", "threads", "p50 ms", "p99 ms", "tract ms", "GFLOP/s", "of peak", "load ms",
        "first", "tract", "RSS MB", "apart",
    ];
    let line = |row: &Speed| {
        vec![
            row.file.clone(),
            row.engine.clone(),
            row.threads.to_string(),
            format!("{:.2}", row.ours_ms),
            format!("{:.2}", row.ours_p99_ms),
            format!("{:.2}", row.plain_tract_ms),
            format!("{:.1}", row.gflops),
            format!("{:.0} %", 100.0 * row.gflops / peak),
            format!("{:.0}", row.load_ms),
            format!("{:.0}", row.first_load_ms),
            format!("{:.0}", row.plain_load_ms),
            format!("{:.0}", row.rss_mb),
            format!("{:.1e}", row.difference),
        ]
    };
    let all = table(&head, rows.iter().map(line));
    let mut text = format!("{all}\none core does at most {peak:.0} GFLOP/s here\n");
    for row in rows.iter().filter(|row| !row.operators.is_empty()) {
        text.push_str(&format!("\n{}, threads: {}\n", row.file, row.threads));
        let line = |operator: &OperatorTimes| {
            vec![
                operator.kind.clone(),
                operator.calls.to_string(),
                format!("{:.3}", operator.ms),
                format!("{:.0} %", 100.0 * operator.ms / row.ours_ms),
                format!("{:.1}", 2.0 * operator.macs as f64 / operator.ms / 1e6),
            ]
        };
        let head = ["operator", "calls", "ms a frame", "share", "GFLOP/s"];
        text.push_str(&table(&head, row.operators.iter().map(line)));
    }
    text
}
