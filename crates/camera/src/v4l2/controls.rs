//! A camera's own settings: exposure, white balance, focus, mains frequency. Automatic ones change how every class
//! looks, so they can be set from the configuration.

use super::errors::explain;
use crate::CameraError;
use serde::Serialize;

/// One setting of a camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// As it is written in `camera.controls`, such as `power_line_frequency`.
    pub name: String,
    pub minimum: i64,
    pub maximum: i64,
    /// Values are this far apart.
    pub step: u64,
    pub default: i64,
    /// The value now, where it can be read.
    pub value: Option<i64>,
    /// What the values of a menu mean, `1 50 Hz`.
    pub menu: Vec<String>,
    /// Another setting overrules it at the moment, or it can only be read.
    pub locked: bool,
}

/// The settings of a device.
///
/// # Errors
/// The device cannot be opened or asked; the text says what to do.
#[cfg(feature = "v4l")]
pub fn controls(path: &str) -> Result<Vec<Control>, CameraError> {
    use super::device::call;
    let device = call(|| v4l::Device::with_path(path)).map_err(|e| explain(path, "opening", &e))?;
    driver::list(&device).map_err(|e| explain(path, "asking for its settings", &e))
}

/// Without the feature: says so.
#[cfg(not(feature = "v4l"))]
pub fn controls(path: &str) -> Result<Vec<Control>, CameraError> {
    let unsupported = std::io::Error::other("this build has no V4L2 support; build with --features v4l");
    Err(explain(path, "asking for its settings", &unsupported))
}

#[cfg(feature = "v4l")]
pub(super) mod driver {
    use super::super::device::call;
    use super::Control;
    use crate::settings::{control_name, parse_control};
    use std::io;
    use v4l::Device;
    use v4l::control::{Description, Flags, MenuItem, Type, Value};

    /// Those that are one number.
    fn offered(device: &Device) -> io::Result<Vec<Description>> {
        let all = match call(|| device.query_controls()) {
            Ok(all) => all,
            // A device without any says so in this way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Vec::new(),
            Err(error) => return Err(error),
        };
        let numbers = [Type::Integer, Type::Boolean, Type::Menu, Type::IntegerMenu, Type::Integer64];
        let usable = |d: &Description| numbers.contains(&d.typ) && !d.flags.contains(Flags::DISABLED);
        Ok(all.into_iter().filter(usable).collect())
    }

    pub fn list(device: &Device) -> io::Result<Vec<Control>> {
        let control = |d: Description| Control {
            value: value(device, d.id),
            name: control_name(&d.name),
            minimum: d.minimum,
            maximum: d.maximum,
            step: d.step,
            default: d.default,
            menu: d.items.iter().flatten().map(|(index, item)| format!("{index} {}", word(item))).collect(),
            locked: d.flags.intersects(Flags::READ_ONLY | Flags::INACTIVE | Flags::GRABBED),
        };
        Ok(offered(device)?.into_iter().map(control).collect())
    }

    fn word(item: &MenuItem) -> String {
        match item {
            MenuItem::Name(name) => name.clone(),
            MenuItem::Value(value) => value.to_string(),
        }
    }

    fn value(device: &Device, id: u32) -> Option<i64> {
        match call(|| device.control(id)).ok()?.value {
            Value::Integer(value) => Some(value),
            Value::Boolean(on) => Some(i64::from(on)),
            _ => None,
        }
    }

    /// Sets what is wanted, in this order, as far as the device has it. What is in force afterwards, for the
    /// camera's description and so for the record of every sample; what is not is warned of.
    pub fn set(device: &Device, path: &str, wanted: &[String]) -> String {
        if wanted.is_empty() {
            return String::new();
        }
        let offered = offered(device).unwrap_or_default();
        let mut in_force = String::new();
        for text in wanted {
            match set_one(device, &offered, text) {
                Ok(now) => in_force += &format!(", {now}"),
                Err(why) => tracing::warn!("{path}: camera.controls {text}: {why}"),
            }
        }
        in_force
    }

    fn set_one(device: &Device, offered: &[Description], text: &str) -> Result<String, String> {
        let (name, value) = parse_control(text)?;
        let found = offered.iter().find(|d| control_name(&d.name) == name);
        let found = found.ok_or("the camera has no such setting; see `graft camera controls`")?;
        if !(found.minimum..=found.maximum).contains(&value) {
            return Err(format!("give {} to {}", found.minimum, found.maximum));
        }
        let typed =
            if found.typ == Type::Boolean { Value::Boolean(value != 0) } else { Value::Integer(value) };
        let control = v4l::Control { id: found.id, value: typed };
        call(|| device.set_control(control)).map_err(|e| format!("the driver refuses: {e}"))?;
        let now = self::value(device, found.id).unwrap_or(value);
        if now != value {
            tracing::warn!("camera: asked for {name}={value}, the driver set {now}");
        }
        Ok(format!("{name}={now}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_camera_says_what_to_do() {
        let text = controls("/dev/no-such-camera").unwrap_err().to_string();
        assert!(text.contains("/dev/no-such-camera"), "{text}");
    }
}
