//! What a device says about itself: its formats, sizes and kind.

use super::choice::{self, Code, Offer, Sizes};
use super::errors::{NodeKind, RECIPES, explain};
use graft_base::contain::contain;
use std::io;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::{Device, FourCC};

/// Calls into the binding; a panic inside becomes an error.
pub(super) fn call<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    contain(work).unwrap_or_else(|panic| Err(io::Error::other(format!("the V4L2 binding failed ({panic})"))))
}

/// The formats and sizes of a device.
pub(super) fn offers(device: &Device) -> io::Result<Vec<Offer>> {
    let formats = call(|| Capture::enum_formats(device))?;
    Ok(formats
        .iter()
        .map(|format| Offer { code: format.fourcc.repr, sizes: sizes(device, format.fourcc) })
        .collect())
}

fn sizes(device: &Device, code: FourCC) -> Sizes {
    let Ok(found) = call(|| Capture::enum_framesizes(device, code)) else { return Sizes::Unknown };
    let mut list = Vec::new();
    for size in found {
        match size.size {
            FrameSizeEnum::Discrete(size) => list.push((size.width, size.height)),
            FrameSizeEnum::Stepwise(size) => {
                return Sizes::Range(
                    [size.min_width, size.max_width, size.step_width],
                    [size.min_height, size.max_height, size.step_height],
                );
            }
        }
    }
    if list.is_empty() { Sizes::Unknown } else { Sizes::List(list) }
}

/// What a device says about itself.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// Driver and bus; empty where the device cannot be asked.
    pub driver: String,
    pub kind: Option<NodeKind>,
    /// Formats and sizes, such as `MJPG 1280x720 640x480`.
    pub formats: Vec<String>,
    /// Why it cannot be used and what to do; empty if it can.
    pub note: String,
}

/// Asks the device at `path`.
pub(super) fn describe(path: &str) -> Description {
    let failed = |what: &'static str| move |error: io::Error| explain(path, what, &error).to_string();
    let opened = call(|| Device::with_path(path)).map_err(failed("opening")).and_then(|device| {
        let caps = call(|| device.query_caps()).map_err(failed("asking what it is"))?;
        Ok((device, caps))
    });
    let (device, caps) = match opened {
        Ok(opened) => opened,
        Err(note) => return Description { note, ..Default::default() },
    };
    let kind = NodeKind::of(caps.capabilities.bits());
    let offers = offers(&device).unwrap_or_default();
    let is_readable = |offer: &Offer| choice::layout(offer.code).is_some();
    let note = if kind == NodeKind::Capture && !offers.iter().any(is_readable) {
        let bayer = offers.iter().any(|offer| choice::is_bayer(offer.code));
        let recipe = if bayer { RECIPES } else { "Set camera.source = \"pipe\" with ffmpeg" };
        format!("none of its formats can be read here. {recipe}")
    } else {
        kind.hint(path)
    };
    Description {
        driver: format!("{} {}", caps.driver.trim(), caps.bus.trim()).trim().into(),
        kind: Some(kind),
        formats: offers.iter().map(described).collect(),
        note,
    }
}

/// `MJPG 1280x720 640x480`.
fn described(offer: &Offer) -> String {
    let code: Code = offer.code;
    let sizes = match &offer.sizes {
        Sizes::Unknown => String::new(),
        Sizes::List(list) => list.iter().map(|(width, height)| format!(" {width}x{height}")).collect(),
        Sizes::Range(across, down) => format!(" {}x{} to {}x{}", across[0], down[0], across[1], down[1]),
    };
    format!("{}{sizes}", choice::name(code))
}
