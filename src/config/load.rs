//! From sources to checked settings.

use super::layers::{Effective, Origin, Sources};
use super::places::Surroundings;
use super::problem::{ConfigError, Problem};
use super::rules::rules;
use super::runtime;
use super::settings::{Mqtt, Settings};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Reads and checks a whole configuration.
///
/// # Errors
/// Everything that is wrong in any layer, at once.
pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
    let mut problems = Vec::new();
    let mut effective = Effective::defaults();
    for file in files(sources, &mut problems) {
        effective.read_file(&file, &mut problems);
    }
    // The state folder is no runtime key, so what was set at run time cannot move itself.
    let mut above = Effective::default();
    above.read_variables(&sources.surroundings.variables, &mut problems);
    above.read_options(&sources.set, &mut problems);
    let state_dir = above.path("store.dir").or_else(|| match above.0.get("store.dir") {
        None => effective.path("store.dir"),
        Some(_) => None,
    });
    let state_dir = state_dir.unwrap_or_else(|| sources.surroundings.state_dir());
    runtime::read(&state_dir, &mut effective, &mut problems);
    effective.0.append(&mut above.0);
    derive(&mut effective, &state_dir, &sources.surroundings, &mut problems);
    if problems.is_empty() {
        match settings(&effective, sources) {
            Ok(settings) => {
                together(&settings, &mut problems);
                if problems.is_empty() {
                    return Ok(settings);
                }
            }
            Err(more) => problems = more,
        }
    }
    Err(ConfigError { problems })
}

/// The files to read, weak to strong.
fn files(sources: &Sources, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let standard = sources.surroundings.config_file();
    let file = sources.file.as_deref().unwrap_or(&standard);
    let mut files = Vec::new();
    if sources.file.is_some() || file.exists() {
        files.push(file.to_owned());
    }
    let folder = file.parent().unwrap_or(Path::new("")).join("conf.d");
    match std::fs::read_dir(&folder) {
        Ok(entries) => {
            let mut drop_ins: Vec<PathBuf> = entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "toml"))
                .collect();
            drop_ins.sort();
            files.append(&mut drop_ins);
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => problems.push(Problem {
            place: folder.display().to_string(),
            text: format!("cannot be read ({e}); check its permissions"),
        }),
    }
    files
}

/// Fills in what follows from the machine.
fn derive(effective: &mut Effective, state_dir: &Path, here: &Surroundings, problems: &mut Vec<Problem>) {
    effective.derive("store.dir", state_dir.to_string_lossy().into_owned());
    if effective.text("socket.path").is_none() {
        effective.derive("socket.path", here.socket(state_dir).to_string_lossy().into_owned());
    }
    if effective.text("device.id").is_none() {
        match here.device_id() {
            Some(id) => effective.derive("device.id", id),
            None => problems.push(Problem {
                place: "device.id".to_owned(),
                text: "this machine has no /etc/machine-id to make a name from; set device.id".to_owned(),
            }),
        }
    }
}

/// What must hold between keys.
fn together(settings: &Settings, problems: &mut Vec<Problem>) {
    let mut faults = Vec::new();
    faults.extend(settings.camera.check().err().map(|e| ("camera.source", e.to_string())));
    faults.extend(settings.mqtt.session.check().err().map(|e| ("mqtt.enabled", e)));
    if let Some([left, top, width, height]) = settings.backbone.roi {
        let inside = left + width <= 1.0 + 1e-9 && top + height <= 1.0 + 1e-9;
        if !inside || width <= 0.0 || height <= 0.0 {
            let text =
                "backbone.roi leaves the frame or is empty: left + width and top + height are at most 1";
            faults.push(("backbone.roi", text.to_owned()));
        }
    }
    if let Err(text) = settings.offload.keys() {
        faults.push(("offload.host_keys", text));
    }
    let budget = &settings.budget;
    if budget.resume_c >= budget.pause_c {
        let text = "budget.resume_c must be below budget.pause_c, or rounds start and stop without end";
        faults.push(("budget.resume_c", text.to_owned()));
    }
    if settings.gpio.button.is_some() && settings.gpio.class.is_empty() {
        faults.push((
            "gpio.button",
            "gpio.class is needed with gpio.button: what does the button show?".to_owned(),
        ));
    }
    for (otherwise, text) in faults {
        // A fault names its key; what somebody wrote is a better place than a default.
        let is_key = |word: &&str| rules().get(word).is_some();
        let named = text.split(|c: char| c.is_whitespace() || c == ',').find(is_key);
        let written = |key: &&str| settings.effective.0.get(*key).filter(|e| e.origin != Origin::Default);
        let entry = named.as_ref().and_then(written).or_else(|| written(&otherwise));
        let place = entry.map_or_else(|| otherwise.to_owned(), |entry| entry.origin.to_string());
        problems.push(Problem { place, text });
    }
}

fn settings(effective: &Effective, sources: &Sources) -> Result<Settings, Vec<Problem>> {
    let mut sections = sections(effective);
    let mut problems = Vec::new();
    let mut mqtt = sections.remove("mqtt").unwrap_or_default();
    let base = mqtt.remove("base").and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    let home_assistant = mqtt.remove("home_assistant").and_then(|v| v.as_str().map(str::to_owned));
    let session = section("mqtt", mqtt, &mut problems);
    let mut part = |name: &str| sections.remove(name).unwrap_or_default();
    let (device, camera, backbone) = (part("device"), part("camera"), part("backbone"));
    let (capture, learn, gate, predict) = (part("capture"), part("learn"), part("gate"), part("predict"));
    let (offload, store, socket, log) = (part("offload"), part("store"), part("socket"), part("log"));
    let (budget, gpio, metrics) = (part("budget"), part("gpio"), part("metrics"));
    let settings = (|| {
        Some(Settings {
            device: section("device", device, &mut problems)?,
            camera: section("camera", camera, &mut problems)?,
            backbone: section("backbone", backbone, &mut problems)?,
            capture: section("capture", capture, &mut problems)?,
            learn: section("learn", learn, &mut problems)?,
            gate: section("gate", gate, &mut problems)?,
            budget: section("budget", budget, &mut problems)?,
            predict: section("predict", predict, &mut problems)?,
            offload: section("offload", offload, &mut problems)?,
            store: section("store", store, &mut problems)?,
            mqtt: Mqtt { base, home_assistant, session: session? },
            socket: section("socket", socket, &mut problems)?,
            gpio: section("gpio", gpio, &mut problems)?,
            metrics: section("metrics", metrics, &mut problems)?,
            log: section("log", log, &mut problems)?,
            sources: sources.clone(),
            effective: effective.clone(),
        })
    })();
    settings.ok_or(problems)
}

/// The admitted values by section, keys without a value left out.
fn sections(effective: &Effective) -> std::collections::BTreeMap<String, Table> {
    let mut sections: std::collections::BTreeMap<String, Table> = std::collections::BTreeMap::new();
    for (key, entry) in &effective.0 {
        if let (Some((section, name)), Some(value)) = (key.split_once('.'), &entry.admitted) {
            sections.entry(section.to_owned()).or_default().insert(name.to_owned(), value.clone());
        }
    }
    sections
}

fn section<T: DeserializeOwned>(name: &str, table: Table, problems: &mut Vec<Problem>) -> Option<T> {
    match Value::Table(table).try_into() {
        Ok(section) => Some(section),
        Err(e) => {
            problems.push(Problem { place: format!("[{name}]"), text: e.to_string().trim().to_owned() });
            None
        }
    }
}
