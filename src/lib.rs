//! graft teaches a camera on the spot: it runs a frozen ONNX backbone on camera frames, lets people label
//! what it sees, trains a small head on the board, gates it on held-out bursts, swaps it in and publishes
//! it, signed, over MQTT. ARCHITECTURE.md is the map.

pub mod backbone;
pub mod board;
pub mod camera;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
pub mod frame;
#[cfg(feature = "host")]
pub mod host;
pub mod key_file;
pub mod learn;
pub mod log;
pub mod mqtt;
pub mod offload;
pub mod store;
pub mod systemd;
pub mod web;
pub mod whole_file;
pub mod wire;
