//! Streaming from a V4L2 device through the `v4l` crate.
//!
//! The binding panics on some answers of drivers (unknown colour space, a failing stop), so every call into it is
//! contained.

use super::choice::{self, Choice};
use super::controls::driver;
use super::device::{call, offers};
use super::errors::{NodeKind, RECIPES, explain};
use crate::settings::{Timeouts, size_allowed};
use crate::{CameraError, Settings, Source, jpeg, yuv};
use graft_base::frame::{Frame, PixelFormat};
use rustix::io::Errno;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use v4l::buffer::{Flags, Metadata, Type};
use v4l::device::Handle;
use v4l::io::mmap::Stream;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Device, Format, FourCC, Fraction};

/// Buffers asked for: one is held while it is copied, the driver always has some to fill.
const BUFFERS: u32 = 4;
/// Most buffers a driver may give (`VIDEO_MAX_FRAME`).
const MOST_BUFFERS: usize = 32;
/// Frames per second asked for when the settings name none: drivers start at rates as low as 5.
const USUAL_FPS: f64 = 30.0;
/// `POLLIN` of poll(2).
const READABLE: i16 = 1;

pub(super) struct V4l2Source {
    device: String,
    /// None only while it is being dropped.
    stream: Option<Stream<'static>>,
    handle: Arc<Handle>,
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: u32,
    /// Whether the binding holds a buffer that the next call gives back to the driver.
    holds: bool,
    text: String,
    timeouts: Timeouts,
    id: u64,
    last_sequence: Option<u32>,
}

impl V4l2Source {
    /// Opens the device, negotiates, starts the stream.
    pub fn open(settings: &Settings) -> Result<Self, CameraError> {
        let path = settings.device.as_str();
        let fail = |what: &'static str| move |error: io::Error| explain(path, what, &error);
        let device = call(|| Device::with_path(path)).map_err(fail("opening"))?;
        let caps = call(|| device.query_caps()).map_err(fail("asking what it is"))?;
        let kind = NodeKind::of(caps.capabilities.bits());
        if kind != NodeKind::Capture {
            return Err(CameraError::settings(kind.hint(path)));
        }
        let offers = offers(&device).map_err(fail("listing its formats"))?;
        let wanted =
            choice::choose(&offers, settings.format, settings.width, settings.height).map_err(|text| {
                let bayer = offers.iter().any(|offer| choice::is_bayer(offer.code));
                let recipe = if bayer { RECIPES } else { "" };
                CameraError::settings(format!("{path}: {text}. {recipe}"))
            })?;
        let got = negotiate(&device, wanted).map_err(fail("setting the format"))?;
        let format = choice::layout(got.fourcc.repr).filter(|_| size_allowed(got.width, got.height));
        let Some(format) = format.filter(|_| got.width > 0 && got.height > 0) else {
            return Err(CameraError::settings(format!(
                "{path}: asked for {}, the driver set {} {}x{}, which cannot be read; try another camera.format",
                choice::name(wanted.code),
                choice::name(got.fourcc.repr),
                got.width,
                got.height
            )));
        };
        let controls = driver::set(&device, path, &settings.controls);
        let rate = set_rate(&device, settings.fps);
        let stride = match yuv::packed_size(format, got.width, got.height) {
            Some((_, packed)) => got.stride.max(packed),
            None => 0,
        };
        let text = format!(
            "{} ({path}, {}): {} {}x{}, {} bytes a row, {rate}{controls}",
            caps.card.trim(),
            caps.driver.trim(),
            choice::name(got.fourcc.repr),
            got.width,
            got.height,
            stride
        );
        let stream = start(&device).map_err(fail("starting the stream"))?;
        tracing::info!("camera opened: {text}");
        Ok(Self {
            device: path.into(),
            handle: stream.handle(),
            stream: Some(stream),
            format,
            width: got.width,
            height: got.height,
            stride,
            holds: false,
            text,
            timeouts: settings.timeouts(),
            id: 0,
            last_sequence: None,
        })
    }

    /// The newest frame of those that are ready; the others go back to the driver unread.
    fn take(&mut self) -> io::Result<Option<Taken>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        if !self.holds {
            // The binding shows a buffer's bytes only when it swaps a held buffer for it, so the first one is held
            // back. Cameras' first frames are the worst exposed ones anyway.
            call(|| CaptureStream::dequeue(stream))?;
            self.holds = true;
            return Ok(None);
        }
        for left in (0..MOST_BUFFERS).rev() {
            // Until the swap has worked nothing is held.
            self.holds = false;
            let handle = &self.handle;
            let taken = call(|| {
                let (bytes, meta) = CaptureStream::next(stream)?;
                if left > 0 && handle.poll(READABLE, 0)? > 0 {
                    return Ok(None);
                }
                let used = (meta.bytesused as usize).min(bytes.len());
                let error = meta.flags.contains(Flags::ERROR);
                Ok(Some(Taken {
                    bytes: bytes[..used].into(),
                    sequence: meta.sequence,
                    error,
                    age: age(meta),
                }))
            })?;
            self.holds = true;
            if taken.is_some() {
                return Ok(taken);
            }
        }
        Ok(None)
    }

    fn frame(&mut self, taken: Taken) -> Result<Frame, CameraError> {
        // Sequence numbers count frames that the driver dropped as well.
        let step = self.last_sequence.map_or(1, |last| taken.sequence.wrapping_sub(last));
        self.id += if (1..1 << 16).contains(&step) { u64::from(step) } else { 1 };
        self.last_sequence = Some(taken.sequence);
        if taken.error {
            return Err(CameraError::Broken("the driver marks it as damaged".into()));
        }
        let (mut width, mut height) = (self.width, self.height);
        if self.format == PixelFormat::Jpeg {
            let found = jpeg::dimensions(&taken.bytes);
            (width, height) = found.ok_or_else(|| CameraError::Broken("the camera sent no JPEG".into()))?;
        }
        Ok(Frame {
            id: self.id,
            width,
            height,
            stride: self.stride,
            format: self.format,
            bytes: taken.bytes,
            taken: Instant::now().checked_sub(taken.age).unwrap_or_else(Instant::now),
            wall: SystemTime::now().checked_sub(taken.age).unwrap_or_else(SystemTime::now),
            name: None,
        })
    }
}

struct Taken {
    bytes: Arc<[u8]>,
    sequence: u32,
    error: bool,
    /// Time since the driver filled it.
    age: Duration,
}

/// Beyond this a driver's stamp is of another clock than it says.
const OLDEST: Duration = Duration::from_secs(60);

/// How old a buffer is, where the driver stamps by the clock that durations are measured with.
fn age(meta: &Metadata) -> Duration {
    if meta.flags & Flags::TIMESTAMP_MASK != Flags::TIMESTAMP_MONOTONIC {
        return Duration::ZERO;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let micros = (now.tv_sec - meta.timestamp.sec) * 1_000_000 + now.tv_nsec / 1000 - meta.timestamp.usec;
    let age = Duration::from_micros(micros.try_into().unwrap_or(0));
    if age > OLDEST { Duration::ZERO } else { age }
}

/// Whether an error only means "ask again".
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl Source for V4l2Source {
    fn describe(&self) -> String {
        self.text.clone()
    }

    fn poll(&mut self, limit: Duration) -> Result<Option<Frame>, CameraError> {
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        let ready = call(|| self.handle.poll(READABLE, limit));
        let taken = match ready {
            Ok(0) => return Ok(None),
            // An error of the device shows in the call that takes the frame.
            Ok(_) => self.take(),
            Err(error) => Err(error),
        };
        match taken {
            Ok(Some(taken)) => self.frame(taken).map(Some),
            Ok(None) => Ok(None),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(explain(&self.device, "taking a frame", &error)),
        }
    }

    fn timeouts(&self) -> Timeouts {
        self.timeouts
    }
}

impl Drop for V4l2Source {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        match call(|| stream.stop()) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::NODEV) => {
                // Its own drop would panic twice over and abort; an open descriptor is the lesser evil.
                tracing::warn!(
                    "{}: the stream cannot be stopped ({error}); its memory is left behind",
                    self.device
                );
                std::mem::forget(stream);
            }
            _ => {
                if let Err(error) = call(|| {
                    drop(stream);
                    Ok(())
                }) {
                    tracing::warn!("{}: closing: {error}", self.device);
                }
            }
        }
    }
}

/// Maps the buffers, gives all of them to the driver and starts.
fn start(device: &Device) -> io::Result<Stream<'static>> {
    let mut stream = call(|| Stream::with_buffers(device, Type::VideoCapture, BUFFERS))?;
    stream.set_timeout(Duration::from_millis(100));
    let mut queued = 0;
    let started = loop {
        match call(|| CaptureStream::queue(&mut stream, queued)) {
            Ok(()) if queued + 1 < MOST_BUFFERS => queued += 1,
            Ok(()) => break call(|| stream.start()),
            // One past the last buffer. The driver may have given more or fewer than asked for.
            Err(error) if queued > 0 && Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                break call(|| stream.start());
            }
            Err(error) => break Err(error),
        }
    };
    match started {
        Ok(()) => Ok(stream),
        Err(error) => {
            // As in V4l2Source::drop.
            let _ = call(|| {
                drop(stream);
                Ok(())
            });
            Err(error)
        }
    }
}

/// Asks for a format; drivers answer with the nearest they have, which may be another one altogether.
fn negotiate(device: &Device, wanted: Choice) -> io::Result<Format> {
    let format = Format::new(wanted.width, wanted.height, FourCC::new(&wanted.code));
    let got = call(|| Capture::set_format(device, &format))?;
    if (got.fourcc.repr, got.width, got.height) != (wanted.code, wanted.width, wanted.height) {
        tracing::warn!(
            "camera: asked for {} {}x{}, the driver set {} {}x{}",
            choice::name(wanted.code),
            wanted.width,
            wanted.height,
            choice::name(got.fourcc.repr),
            got.width,
            got.height
        );
    }
    Ok(got)
}

/// Sets the frame rate, as far as the driver lets it be set, and says what it is.
fn set_rate(device: &Device, fps: Option<f64>) -> String {
    let fps = fps.filter(|&fps| fps > 0.0).unwrap_or(USUAL_FPS);
    let interval = if fps.fract() == 0.0 {
        Fraction::new(1, fps as u32)
    } else {
        Fraction::new(1000, (fps * 1000.0).round().max(1.0) as u32)
    };
    match call(|| Capture::set_params(device, &Parameters::new(interval))) {
        Ok(got) if got.interval.numerator > 0 => {
            let rate = f64::from(got.interval.denominator) / f64::from(got.interval.numerator);
            format!("{rate:.2} frames a second")
        }
        Ok(_) | Err(_) => "frame rate not settable".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{CameraError, Settings, open};

    #[test]
    fn a_missing_device_and_a_plain_file_say_what_to_do() {
        let missing = Settings { device: "/dev/no-such-camera".into(), ..Default::default() };
        let text = open(&missing).err().unwrap().to_string();
        assert!(
            text.contains("/dev/no-such-camera does not exist") && text.contains("camera.device"),
            "{text}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let plain = Settings { device: file.path().to_str().unwrap().into(), ..Default::default() };
        assert!(matches!(open(&plain), Err(CameraError::Lost(text)) if text.contains("not a V4L2 device")));
    }
}
