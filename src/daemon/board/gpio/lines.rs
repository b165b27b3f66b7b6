//! The lines of a GPIO chip, by the kernel's character device.

use crate::config::Gpio;
use crate::daemon::event::{Event, Inbox};
use gpiocdev::Request;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};
use std::time::Duration;

/// A contact bounces for some milliseconds.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// The lamp's line, if there is one.
pub struct Lamp(Option<(Request, bool)>);

impl Lamp {
    /// Lights it, or puts it out.
    pub fn set(&mut self, lit: bool) {
        let Some((line, is_lit)) = &mut self.0 else { return };
        if *is_lit == lit {
            return;
        }
        *is_lit = lit;
        if let Err(error) = line.set_lone_value(if lit { Value::Active } else { Value::Inactive }) {
            tracing::warn!(%error, "the lamp cannot be set");
        }
    }
}

/// Takes the configured lines; a thread of its own waits for the button.
///
/// # Errors
/// What is wrong and what to do.
pub fn watch(settings: &Gpio, inbox: &Inbox) -> Result<Lamp, String> {
    let fault = |what: &str, error: gpiocdev::Error| {
        format!(
            "gpio.{what} cannot be used on {}: {error}; check the line's number with gpioinfo, and that the service may \
             use it (gpio.conf, see systemd/README.md)",
            settings.chip.display()
        )
    };
    if let Some(line) = settings.button {
        let button = Request::builder()
            .on_chip(&settings.chip)
            .with_consumer("graft button")
            .with_line(line)
            .as_active_low()
            .with_bias(Bias::PullUp)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_debounce_period(DEBOUNCE)
            .request()
            .map_err(|error| fault("button", error))?;
        let inbox = inbox.clone();
        let wait = move || {
            loop {
                match button.read_edge_event() {
                    Ok(event) => {
                        let down = event.kind == EdgeKind::Rising;
                        inbox.send(Event::Button(down));
                    }
                    Err(error) => return tracing::error!(%error, "the button is gone"),
                }
            }
        };
        std::thread::Builder::new().name("button".into()).spawn(wait).map_err(|error| error.to_string())?;
    }
    let lamp = settings.lamp.map(|line| {
        let request = Request::builder()
            .on_chip(&settings.chip)
            .with_consumer("graft lamp")
            .with_line(line)
            .as_output(Value::Inactive)
            .request();
        request.map_err(|error| fault("lamp", error)).map(|line| (line, false))
    });
    Ok(Lamp(lamp.transpose()?))
}
