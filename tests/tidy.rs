//! The house rules that rustc and cargo cannot check: pure crates stay pure, files stay small, documents point at things
//! that exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, endings: &[&str], out: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "node_modules" | "__pycache__" | "corpus") {
                files(&path, endings, out);
            }
        } else if endings.iter().any(|e| name.ends_with(e)) {
            out.push(path);
        }
    }
}

/// `(path relative to the root, text)` of every file of these kinds below `folder`.
fn texts(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files(&root().join(folder), endings, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap_or_default())
        })
        .collect()
}

/// Files that are compiled for tests alone.
fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

/// The lines of a Rust file that are code: comments and the test module at its end left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn complain(what: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{what}:\n  {}", offences.join("\n  "));
}

/// learn, control, wire and the host's decisions touch no file, clock, thread, socket or log; learn and control no serde.
#[test]
fn pure_rooms_stay_pure() {
    let banned = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::process",
        "std::env",
        "Instant::now",
        "SystemTime::now",
        "tokio::",
        "tracing::",
        "println!",
        "eprintln!",
        "getrandom",
    ];
    let mut offences = Vec::new();
    for room in ["learn/src", "control/src", "wire/src", "host/src/decide"] {
        for (name, text) in texts(&format!("crates/{room}"), &[".rs"]) {
            if is_test(&name) {
                continue;
            }
            for (at, line) in code(&text) {
                let impure = banned.iter().any(|b| line.contains(b));
                let serde = matches!(room, "learn/src" | "control/src")
                    && (line.contains("serde") || line.contains("Serialize"));
                if impure || serde {
                    offences.push(format!("{name}:{}: {}", at + 1, line.trim()));
                }
            }
        }
    }
    complain("a pure room is not pure", &offences);
}

#[test]
fn files_stay_small() {
    let mut offences = Vec::new();
    for (name, text) in texts("src", &[".rs"])
        .into_iter()
        .chain(texts("crates", &[".rs"]))
        .chain(texts("models", &[".py"]))
        .chain(texts("trainer", &[".py"]))
    {
        let lines = text.lines().count();
        if lines > 420 {
            offences.push(format!("{name}: {lines} lines"));
        }
    }
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap_or_default();
    if architecture.lines().count() > 150 {
        offences.push("ARCHITECTURE.md: over 150 lines".into());
    }
    if fs::read_to_string(root().join("src/main.rs")).unwrap_or_default().lines().count() > 60 {
        offences.push("src/main.rs: over 60 lines".into());
    }
    complain("too long", &offences);
}

/// Every link of a document inside the repository, and every path that ARCHITECTURE.md names, exists.
#[test]
fn documents_point_at_what_is_there() {
    let mut documents = texts("docs", &[".md"]);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md"] {
        match fs::read_to_string(root().join(name)) {
            Ok(text) => documents.push((name.into(), text)),
            Err(_) => documents.push((name.into(), format!("[missing]({name})"))),
        }
    }
    let mut offences = Vec::new();
    for (name, text) in &documents {
        let folder = root().join(name).parent().map(Path::to_path_buf).unwrap_or_default();
        for (at, _) in text.match_indices("](") {
            let target: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !folder.join(path).exists() {
                offences.push(format!("{name}: {target}"));
            }
        }
        if name == "ARCHITECTURE.md" {
            for quoted in text.split('`').skip(1).step_by(2) {
                let file = quoted.starts_with("src/")
                    || quoted.starts_with("crates/")
                    || quoted.starts_with("tests/")
                    || quoted.starts_with("docs/");
                if file && !quoted.contains('*') && !root().join(quoted.trim_end_matches('/')).exists() {
                    offences.push(format!("{name}: {quoted}"));
                }
            }
        }
    }
    complain("a document points at nothing", &offences);
}

/// Words that say nothing do not become names of files.
#[test]
fn names_say_something() {
    let banned = ["model", "data", "info", "manager", "helper", "helpers", "util", "utils", "misc", "common"];
    let mut offences = Vec::new();
    for (name, _) in texts("src", &[".rs"]).into_iter().chain(texts("crates", &[".rs"])) {
        if name.trim_end_matches(".rs").split('/').any(|part| banned.contains(&part)) {
            offences.push(name);
        }
    }
    complain("a name that says nothing (docs/glossary.md)", &offences);
}

/// Every decision has a number of its own and the three parts that a reader looks for.
#[test]
fn decisions_are_whole() {
    let mut offences = Vec::new();
    let mut numbers = Vec::new();
    for (name, text) in texts("docs/decisions", &[".md"]) {
        let file = name.rsplit('/').next().unwrap_or_default();
        if file == "README.md" {
            continue;
        }
        let number = file.chars().take(4).collect::<String>();
        if number.parse::<u32>().is_err() || numbers.contains(&number) {
            offences.push(format!("{name}: the number is missing or used twice"));
        }
        numbers.push(number);
        if !text.starts_with("# ") {
            offences.push(format!("{name}: no title"));
        }
    }
    complain("decisions", &offences);
}
