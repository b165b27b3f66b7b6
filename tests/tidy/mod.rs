//! The house rules that neither rustc nor cargo nor clippy can check. Each is a function over text, so that each is tested
//! with an offence; the tests at the end of the file apply them to the tree.
//!
//! What the tools hold is not repeated here: which crate may use which is in the manifests, `unsafe` in the attributes of
//! the crates, files, clocks, threads and sockets of the pure crates in `crates/pure-clippy.toml`.

mod rooms;
mod walls;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, at most.
const LONGEST: usize = 420;
/// Crates that only tests and developers use.
const DEVELOPERS: [&str; 2] = ["graft-lab", "graft-testing"];
/// What the pure crates are built of: no crate among them touches a file, a clock, a socket or a thread, but for the pool of
/// graft-simd, which learn runs on where its caller has made one; and no serde comes into learn and control.
const PURE: [(&str, &[&str]); 3] = [
    ("learn", &["fastrand", "graft-simd", "half", "matrixmultiply", "thiserror"]),
    ("control", &["graft-learn"]),
    (
        "wire",
        &[
            "base64",
            "ed25519-dalek",
            "graft-learn",
            "half",
            "humantime",
            "safetensors",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "sha2",
            "strsim",
            "strum",
            "thiserror",
        ],
    ),
];
/// Crates with loops in vectors: there `unsafe` is denied and each file that has some says so.
const KERNELS: [&str; 3] = ["kernels", "learn", "simd"];
/// Is a file longer than `most` lines?
fn too_long(name: &str, text: &str, most: usize) -> Option<String> {
    let lines = text.lines().count();
    (lines > most).then(|| format!("{name}: {lines} lines, of {most} at most"))
}

/// Names of files that say nothing.
fn empty_name(name: &str) -> bool {
    let banned = ["model", "data", "info", "manager", "helper", "helpers", "util", "utils", "misc", "common"];
    name.trim_end_matches(".rs").split('/').any(|part| banned.contains(&part))
}

/// The links inside the repository, and in ARCHITECTURE.md the paths, that lead to nothing. `exists` gets paths as written.
fn dead_ends(name: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut dead = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target: String = text[at + 2..].chars().take_while(|c| *c != ')').collect();
        let path = target.split('#').next().unwrap_or_default();
        let outside = path.is_empty() || target.contains("://") || target.starts_with("mailto:");
        if !outside && !exists(format!("{folder}/{path}").trim_start_matches('/')) {
            dead.push(format!("{name}: {target}"));
        }
    }
    if name == "ARCHITECTURE.md" {
        for quoted in text.split('`').skip(1).step_by(2) {
            let file =
                ["src/", "crates/", "tests/", "docs/", "scripts/"].iter().any(|top| quoted.starts_with(top));
            if file && !quoted.contains('*') && !exists(quoted.trim_end_matches('/')) {
                dead.push(format!("{name}: {quoted}"));
            }
        }
    }
    dead
}

/// What a decision lacks: a title with its number, a status, and the three parts that a reader looks for.
/// Lines of prose with more than 100 characters: no table, code block, heading, nor one word that cannot be broken.
fn wide_prose(name: &str, text: &str) -> Vec<String> {
    let mut code = false;
    let wide = text.lines().enumerate().filter(|(_, line)| {
        code ^= line.trim_start().starts_with("```");
        let table = line.trim_start().starts_with(['|', '#', '<', '`']) || line.starts_with('[');
        !code && !table && line.chars().count() > 100 && !line.starts_with("    ")
    });
    wide.map(|(at, line)| format!("{name}:{}: {} columns", at + 1, line.chars().count())).collect()
}

fn missing_in_decision(file: &str, text: &str) -> Vec<&'static str> {
    let number: String = file.chars().take(4).collect();
    let mut missing = Vec::new();
    if number.parse::<u32>().is_err() || !text.starts_with(&format!("# {number} ")) {
        missing.push("a title that begins with the number of its file");
    }
    for part in ["Status: ", "## Context", "## Decision", "## Consequences"] {
        if !text.lines().any(|line| line.starts_with(part)) {
            missing.push(part);
        }
    }
    missing
}

/// Promises of ARCHITECTURE.md's invariants that name no file with the check that holds them.
fn unheld_invariants(text: &str) -> Vec<String> {
    let section = text.split("\n## ").find(|section| section.starts_with("Invariants")).unwrap_or_default();
    let promises = section.split("\n- ").skip(1);
    let unheld = promises.filter(|promise| {
        let names = promise.rsplit_once("Held by").map(|(_, names)| names);
        !names.is_some_and(|names| names.contains(".rs`") || names.contains(".toml`"))
    });
    unheld.map(|promise| promise.lines().next().unwrap_or_default().to_owned()).collect()
}

/// The crates that a manifest has its code use, those of single targets and of build scripts too.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    fn collect(table: &toml::Table, all: &mut BTreeSet<String>) {
        for (key, value) in table {
            let Some(below) = value.as_table() else { continue };
            match key.as_str() {
                "dependencies" | "build-dependencies" => {
                    // One that is given another name still is what `package` says.
                    all.extend(below.iter().map(|(name, about)| {
                        about.get("package").and_then(|package| package.as_str()).unwrap_or(name).to_owned()
                    }));
                }
                "target" => {
                    below.values().filter_map(toml::Value::as_table).for_each(|table| collect(table, all))
                }
                _ => {}
            }
        }
    }
    let mut all = BTreeSet::new();
    collect(&manifest.parse().expect("a manifest"), &mut all);
    all
}

/// What a clippy.toml forbids.
fn bans(configuration: &str) -> BTreeSet<String> {
    let table: toml::Table = configuration.parse().expect("a clippy.toml");
    let lists = table.iter().filter(|(key, _)| key.starts_with("disallowed-"));
    let entries = lists.flat_map(|(_, list)| list.as_array().into_iter().flatten());
    entries.filter_map(|entry| Some(entry.get("path")?.as_str()?.to_owned())).collect()
}

/// The root file of a crate says what it thinks of `unsafe`; in a crate with kernels it may let single modules have it.
fn unsafe_is_shut_out(text: &str, kernels: bool) -> bool {
    let has = |attribute: &str| text.lines().any(|line| line.starts_with(attribute));
    has("#![forbid(unsafe_code)]") || (kernels && has("#![deny(unsafe_code)]"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
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
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            out.push(path);
        }
    }
}

/// `(path relative to the root, text)` of every file of these kinds below the folders.
fn texts(folders: &[&str], endings: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    for folder in folders {
        files(&root().join(folder), endings, &mut paths);
    }
    paths.sort();
    let name = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap_or_default();
        (name, text)
    };
    let all: Vec<_> = paths.into_iter().map(name).collect();
    assert!(!all.is_empty(), "{folders:?} have no files {endings:?}");
    all
}

fn complain(what: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{what}:\n  {}", offences.join("\n  "));
}

#[test]
fn files_stay_small() {
    let sources = texts(&["src", "crates", "tests"], &[".rs"]).into_iter();
    let sources = sources.chain(texts(&["models", "trainer"], &[".py"]));
    let mut offences: Vec<String> =
        sources.filter_map(|(name, text)| too_long(&name, &text, LONGEST)).collect();
    for (name, most) in [("ARCHITECTURE.md", 150), ("src/main.rs", 60)] {
        offences.extend(too_long(name, &read(name), most));
    }
    complain("too long", &offences);
    assert!(too_long("x", "a\nb\nc\n", 2).is_some() && too_long("x", "a\nb\n", 2).is_none());
}

#[test]
fn names_say_something() {
    let names = texts(&["src", "crates"], &[".rs"]).into_iter().map(|(name, _)| name);
    let offences: Vec<String> = names.filter(|name| empty_name(name)).collect();
    complain("a name that says nothing (docs/glossary.md)", &offences);
    for name in ["src/utils.rs", "crates/common/src/lib.rs", "src/data/mod.rs"] {
        assert!(empty_name(name), "{name}");
    }
    assert!(!empty_name("src/database.rs"));
}

/// Every link of a document inside the repository, and every path that ARCHITECTURE.md names, exists.
#[test]
fn documents_point_at_what_is_there() {
    let exists = |path: &str| root().join(path).exists();
    let mut documents = texts(&["docs"], &[".md"]);
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "models/README.md"] {
        documents.push((name.into(), read(name)));
    }
    let offences: Vec<String> =
        documents.iter().flat_map(|(name, text)| dead_ends(name, text, &exists)).collect();
    complain("a document points at nothing", &offences);
    let dead = |name: &str, text: &str| dead_ends(name, text, &|path| path == "docs/store.md").len();
    assert_eq!(dead("docs/x.md", "[a](store.md#b) [b](#c) [c](https://d.e/f) [d](mailto:g@h)"), 0);
    assert_eq!(dead("docs/x.md", "[a](strore.md)"), 1);
    assert_eq!(dead("x.md", "[a](store.md)"), 1);
    assert_eq!(dead("ARCHITECTURE.md", "`docs/store.md` and `src/gone.rs`, `crates/*/src`"), 1);
}

#[test]
fn prose_of_documents_has_at_most_100_columns() {
    let mut documents = texts(&["docs"], &[".md"]);
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        documents.push((name.into(), read(name)));
    }
    let offences: Vec<String> = documents.iter().flat_map(|(name, text)| wide_prose(name, text)).collect();
    complain("a line of prose is too wide", &offences);
    let wide = "word ".repeat(30);
    assert_eq!(wide_prose("a.md", &format!("{wide}\n")).len(), 1);
    let fine = format!("| {wide} |\n# {wide}\n```sh\n{wide}\n```\n{}\n", "ä".repeat(100));
    assert_eq!(wide_prose("a.md", &fine), Vec::<String>::new());
}

#[test]
fn decisions_are_whole() {
    let mut numbers = BTreeSet::new();
    let mut offences = Vec::new();
    for (name, text) in texts(&["docs/design/decisions"], &[".md"]) {
        let file = name.rsplit('/').next().unwrap_or_default();
        if file != "README.md" {
            offences.extend(missing_in_decision(file, &text).iter().map(|part| format!("{name}: {part}")));
            if !numbers.insert(file.chars().take(4).collect::<String>()) {
                offences.push(format!("{name}: the number is used twice"));
            }
        }
    }
    complain("a decision lacks something", &offences);
    let whole = "# 0007 A\n\nStatus: accepted\n\n## Context\n\n## Decision\n\n## Consequences\n";
    assert!(missing_in_decision("0007-a.md", whole).is_empty());
    assert_eq!(missing_in_decision("0008-a.md", whole).len(), 1);
    assert_eq!(missing_in_decision("0007-a.md", &whole.replace("## Decision", "**Decision.**")).len(), 1);
    assert_eq!(missing_in_decision("a.md", "# A\n").len(), 5);
}

#[test]
fn invariants_name_what_holds_them() {
    let architecture = read("ARCHITECTURE.md");
    assert!(architecture.matches("\n- ").count() > 5 && architecture.contains("\n## Invariants"));
    complain("an invariant that nothing holds", &unheld_invariants(&architecture));
    let held = "# A\n\n## Invariants\n\n- One is\n  held. Held by `tests/crash.rs`.\n- Only two. Held by cargo: `Cargo.toml`.\n\n## B\n- c\n";
    assert!(unheld_invariants(held).is_empty());
    let unheld = held.replace("Held by cargo: `Cargo.toml`", "Held by people");
    assert_eq!(unheld_invariants(&unheld), ["Only two. Held by people."]);
}

#[test]
fn pure_crates_are_built_of_pure_crates() {
    let mut offences = Vec::new();
    let strange = |manifest: &str, allowed: &[&str]| {
        let used = dependencies(manifest).into_iter();
        used.filter(|name| !allowed.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let everywhere = bans(&read("clippy.toml"));
    for (name, allowed) in PURE {
        let used = strange(&read(&format!("crates/{name}/Cargo.toml")), allowed);
        offences.extend(used.iter().map(|used| format!("crates/{name} uses {used}")));
        // Clippy reads the file that is nearest to a crate, and no other.
        let own = bans(&read(&format!("crates/{name}/clippy.toml")));
        offences
            .extend(everywhere.difference(&own).map(|ban| format!("crates/{name}/clippy.toml lacks {ban}")));
        for ban in ["std::fs::read", "std::time::Instant::now", "std::thread::spawn", "fastrand::u64"] {
            assert!(own.contains(ban), "crates/{name}/clippy.toml lets {ban} through");
        }
    }
    complain("a pure crate is not pure", &offences);
    let manifest = "[dependencies]\nhalf = \"2\"\nclock = { package = \"rustix\", version = \"1\" }\n\
        [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n[build-dependencies]\ncc = \"1\"\n\
        [dev-dependencies]\nproptest = \"1\"\n";
    assert_eq!(strange(manifest, &["half"]), ["cc", "libc", "rustix"]);
    let kept = bans(
        "disallowed-methods = [{ path = \"a::b\", reason = \"c\" }]\ndisallowed-types = [{ path = \"d\" }]",
    );
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), ["a::b", "d"]);
}

#[test]
fn the_product_uses_nothing_of_the_developers() {
    let manifests = texts(&["crates"], &["Cargo.toml"]).into_iter();
    let manifests = manifests.chain([("Cargo.toml".to_owned(), read("Cargo.toml"))]);
    let product = manifests.filter(|(name, _)| !["crates/lab/Cargo.toml"].contains(&name.as_str()));
    let used = |manifest: &str| {
        let used = dependencies(manifest);
        DEVELOPERS.into_iter().filter(|name| used.contains(*name)).collect::<Vec<_>>()
    };
    let offences: Vec<String> = product
        .flat_map(|(name, text)| used(&text).into_iter().map(move |used| format!("{name}: {used}")))
        .collect();
    complain("the product depends on what only developers use", &offences);
    assert_eq!(used("[dependencies]\ngraft-lab.workspace = true\n"), ["graft-lab"]);
    assert!(used("[dev-dependencies]\ngraft-testing.workspace = true\n").is_empty());
}

#[test]
fn every_crate_shuts_out_unsafe() {
    let mut offences = Vec::new();
    for (name, text) in texts(&["src", "crates"], &["lib.rs", "main.rs"]) {
        let kernels = KERNELS.iter().any(|crate_| name == format!("crates/{crate_}/src/lib.rs"));
        if !unsafe_is_shut_out(&text, kernels) {
            offences.push(name);
        }
    }
    complain("a crate lets unsafe in", &offences);
    assert!(!unsafe_is_shut_out("//! Docs.\n\npub mod a;\n", true));
    assert!(!unsafe_is_shut_out("#![deny(unsafe_code)]\n", false));
    assert!(!unsafe_is_shut_out("// #![forbid(unsafe_code)]\n", false));
    assert!(unsafe_is_shut_out("#![deny(unsafe_code)]\n", true));
}
