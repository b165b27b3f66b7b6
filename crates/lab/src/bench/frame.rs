//! `lab bench frame`: what a camera frame costs before the backbone, by its format.

use super::limits::{machine, median_ms};
use anyhow::{Context, Result};
use clap::Args;
use graft::lab::{Output, table};
use graft_backbone::{self as backbone, Card, Crop, Layout, Preprocessor, crop_rect, cut_out};
use graft_base::frame::{Frame, PixelFormat, Rgb};
use graft_camera::pattern::{PatternSettings, Scene};
use graft_camera::{FrameCheck, encode_jpeg, to_rgb};
use serde::Serialize;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Of the JPEG that is made of the drawn scene.
const QUALITY: u8 = 85;
/// Longest side and quality of a kept crop, as in the default configuration.
const KEPT: (u32, u8) = (320, 90);

/// Time what happens to a 640 x 480 frame before the backbone: decoding, a look at it, crop and resize, normalising
///
/// Medians of CPU milliseconds of one thread, for the centre crop of a network of 224 pixels.
#[derive(Args, Clone, Debug)]
pub struct FrameArgs {
    /// JPEG file to take for MJPEG [default: a frame of the drawn scene]
    #[arg(long, value_name = "FILE")]
    jpeg: Option<PathBuf>,
    /// Region of interest instead of the centre crop: left, top, width, height as fractions
    #[arg(long, value_delimiter = ',', num_args = 4, value_name = "X,Y,W,H")]
    roi: Option<Vec<f64>>,
}

/// The outcome. Its keys are a contract: keep them.
#[derive(Debug, Serialize)]
struct Outcome {
    machine: String,
    rows: Vec<Row>,
}

/// One format; all in milliseconds.
#[derive(Debug, Serialize)]
struct Row {
    format: &'static str,
    decode_ms: f64,
    /// Whether it is black, blinded or frozen.
    look_ms: f64,
    /// Crop and antialiased resize.
    resize_ms: f64,
    /// To the network's numbers.
    normalise_ms: f64,
    all_ms: f64,
    /// Crop as JPEG, for frames that are kept to be labelled.
    keep_ms: f64,
}

pub fn run(args: &FrameArgs, output: Output) -> Result<()> {
    let roi = args.roi.as_deref().and_then(|roi| roi.try_into().ok());
    let usual = PatternSettings { width: WIDTH, height: HEIGHT, ..PatternSettings::default() };
    let scene = Scene::new(usual).render(100);
    let jpeg = match &args.jpeg {
        Some(file) => std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?,
        None => encode_jpeg(&scene, QUALITY),
    };
    let card = Card { size: 224, resize: 256, crop: Crop::Center, ..backbone::tiny().1 };
    let mut rows = Vec::new();
    for (name, format, bytes) in [
        ("yuyv", PixelFormat::Yuyv, yuyv(&scene)),
        ("nv12", PixelFormat::Nv12, nv12(&scene)),
        ("mjpeg", PixelFormat::Jpeg, jpeg),
        ("rgb", PixelFormat::Rgb8, scene.bytes.clone()),
    ] {
        rows.push(row(name, &frame(format, bytes), &card, roi)?);
    }
    output.show(&Outcome { machine: machine(), rows }, text)
}

fn row(format: &'static str, frame: &Frame, card: &Card, roi: Option<[f64; 4]>) -> Result<Row> {
    let mut rgb = Rgb::default();
    to_rgb(frame, &mut rgb)?;
    let part = crop_rect(card, rgb.width, rgb.height, roi);
    let mut preprocessor = Preprocessor::new(card, Layout::Nchw);
    let mut pixels = vec![0.0; preprocessor.square(&rgb, part)?.len()];
    let decode_ms = median_ms(|| {
        black_box(to_rgb(black_box(frame), &mut rgb)).ok();
    });
    let look_ms = median_ms(|| {
        black_box(FrameCheck::of(black_box(&rgb)));
    });
    let resize_ms = median_ms(|| {
        black_box(preprocessor.square(black_box(&rgb), part)).ok();
    });
    let normalise_ms = median_ms(|| preprocessor.normalise(black_box(&mut pixels)));
    let all_ms = median_ms(|| {
        let done = to_rgb(black_box(frame), &mut rgb).is_ok() && preprocessor.square(&rgb, part).is_ok();
        preprocessor.normalise(&mut pixels);
        black_box((done, FrameCheck::of(&rgb)));
    });
    let keep_ms = median_ms(|| {
        black_box(cut_out(&rgb, part, KEPT.0).map(|crop| encode_jpeg(&crop, KEPT.1))).ok();
    });
    Ok(Row { format, decode_ms, look_ms, resize_ms, normalise_ms, all_ms, keep_ms })
}

fn frame(format: PixelFormat, bytes: Vec<u8>) -> Frame {
    let stride = match format {
        PixelFormat::Rgb8 => 3 * WIDTH,
        PixelFormat::Yuyv => 2 * WIDTH,
        PixelFormat::Jpeg => 0,
        _ => WIDTH,
    };
    Frame {
        id: 1,
        width: WIDTH,
        height: HEIGHT,
        stride,
        format,
        bytes: bytes.into(),
        taken: Instant::now(),
        wall: SystemTime::now(),
        name: None,
    }
}

/// Green stands for luma; the colours do not matter for the time.
fn yuyv(scene: &Rgb) -> Vec<u8> {
    scene.bytes.chunks_exact(3).flat_map(|pixel| [pixel[1], pixel[0] / 2 + 64]).collect()
}

fn nv12(scene: &Rgb) -> Vec<u8> {
    let luma = scene.bytes.chunks_exact(3).map(|pixel| pixel[1]);
    luma.chain(scene.bytes.iter().take((WIDTH * HEIGHT / 2) as usize).map(|value| value / 2 + 64)).collect()
}

fn text(o: &Outcome) -> String {
    let head = ["format", "to RGB ms", "look ms", "resize ms", "normalise ms", "all ms", "keep ms"];
    let line = |row: &Row| {
        let times = [row.decode_ms, row.look_ms, row.resize_ms, row.normalise_ms, row.all_ms, row.keep_ms];
        let mut line = vec![row.format.to_owned()];
        line.extend(times.map(|ms| format!("{ms:.3}")));
        line
    };
    format!("{}\n\n{}", o.machine, table(&head, o.rows.iter().map(line)))
}
