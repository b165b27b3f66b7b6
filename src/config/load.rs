//! From sources to checked settings.

use super::layers::{Effective, Origin, Sources};
use super::places::Surroundings;
use super::problem::{ConfigError, Problem};
use super::rules::rules;
use super::runtime;
use super::settings::Settings;
use std::collections::BTreeMap;
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

/// Checks options of the command line by themselves: names and values.
///
/// # Errors
/// Everything that is wrong with them.
pub fn check_options(set: &[String]) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    Effective::default().read_options(set, &mut problems);
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
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
    if settings.web.cert_file.is_some() != settings.web.key_file.is_some() {
        let text = "web.cert_file and web.key_file belong together: set both, or neither";
        faults.push(("web.cert_file", text.to_owned()));
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
    let read: Result<Settings, _> = Value::Table(sections(effective)).try_into();
    let settings = read.map_err(|error| {
        vec![Problem { place: "the configuration".to_owned(), text: error.to_string().trim().to_owned() }]
    })?;
    Ok(Settings { sources: sources.clone(), effective: effective.clone(), ..settings })
}

/// The admitted values as a table of sections, keys without a value left out.
fn sections(effective: &Effective) -> Table {
    let mut sections: BTreeMap<&str, Table> = BTreeMap::new();
    for (key, entry) in &effective.0 {
        let Some((section, name)) = key.split_once('.') else { continue };
        let section = sections.entry(section).or_default();
        section.extend(entry.admitted.clone().map(|value| (name.to_owned(), value)));
    }
    // The session's settings are a struct of their own, of another crate.
    if let Some(mqtt) = sections.get_mut("mqtt") {
        let (own, session) = std::mem::take(mqtt)
            .into_iter()
            .partition(|(name, _)| matches!(name.as_str(), "base" | "home_assistant"));
        *mqtt = own;
        mqtt.insert("session".to_owned(), Value::Table(session));
    }
    sections.into_iter().map(|(name, table)| (name.to_owned(), Value::Table(table))).collect()
}
