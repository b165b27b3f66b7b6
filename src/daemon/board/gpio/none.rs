//! A build without the feature `gpio`: lines that are configured are an error.

use crate::config::Gpio;
use crate::daemon::event::Inbox;

/// No lamp.
pub struct Lamp;

impl Lamp {
    /// Nothing to light.
    pub fn set(&mut self, _: bool) {}
}

/// Says that there is no support, if any line is configured.
pub fn watch(settings: &Gpio, _: &Inbox) -> Result<Lamp, String> {
    if settings.button.is_some() || settings.lamp.is_some() {
        return Err("this build has no GPIO support: build with --features gpio, or leave gpio.button and gpio.lamp out".into());
    }
    Ok(Lamp)
}
