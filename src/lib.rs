//! graft teaches a camera on the spot: it runs a frozen ONNX backbone on camera frames, lets people label
//! what it sees, trains a small head on the board, gates it on held-out bursts, swaps it in and publishes
//! it, signed, over MQTT. ARCHITECTURE.md is the map.
#![forbid(unsafe_code)]

pub mod board;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod lab;
pub mod log;
pub mod offload;
pub mod web;
