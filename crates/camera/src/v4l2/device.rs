//! What only a device knows: its formats, sizes and kind.

use super::capture::call;
use super::choice::{self, Code, Offer, Sizes};
use super::listing::DeviceListing;
use super::trouble::{NodeKind, RECIPES, explain};
use std::io;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;
use v4l::{Device, FourCC};

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

/// Fills in what only the device knows.
pub(super) fn ask(listing: &mut DeviceListing) {
    let path = listing.path.clone();
    let note = |what: &'static str| {
        let path = path.clone();
        move |error: io::Error| explain(&path, what, &error).to_string()
    };
    let asked = call(|| Device::with_path(&path)).map_err(note("opening")).and_then(|device| {
        let caps = call(|| device.query_caps()).map_err(note("asking what it is"))?;
        Ok((device, caps))
    });
    let (device, caps) = match asked {
        Ok(asked) => asked,
        Err(text) => {
            listing.note = text;
            return;
        }
    };
    let kind = NodeKind::of(caps.capabilities.bits());
    listing.driver = format!("{} {}", caps.driver.trim(), caps.bus.trim()).trim().into();
    listing.kind = Some(kind);
    listing.note = kind.hint(&path);
    let offers = offers(&device).unwrap_or_default();
    listing.formats = offers.iter().map(described).collect();
    if kind == NodeKind::Capture && !offers.iter().any(|offer| choice::layout(offer.code).is_some()) {
        let bayer = offers.iter().any(|offer| choice::is_bayer(offer.code));
        let recipe = if bayer { RECIPES } else { "Set camera.source = \"pipe\" with ffmpeg" };
        listing.note = format!("none of its formats can be read here. {recipe}");
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
