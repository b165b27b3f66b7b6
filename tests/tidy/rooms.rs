//! Which rooms of the crate `graft` use which others: its modules are one crate, so that the compiler lets each use all.

use super::{complain, texts};

/// The rooms of the crate `graft` and which others each may use. `cli` may use all.
const ROOMS: [(&str, &[&str]); 7] = [
    ("board", &[]),
    ("config", &[]),
    ("log", &[]),
    ("offload", &[]),
    ("web", &[]),
    ("daemon", &["board", "config", "log", "offload", "web"]),
    ("lab", &["cli", "config", "daemon", "web"]),
];

/// The words and signs of Rust code, without comments, texts and the test module at the end of a file.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let text = &text[..text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len())];
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|rest| rest.trim_start_matches('#'));
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw.filter(|raw| raw.starts_with('"')) {
            let hashes = rest.len() - raw.len() - 1;
            let end = format!("\"{}", "#".repeat(hashes));
            raw[1..].find(&end).map_or(rest.len(), |at| hashes + 2 + at + end.len())
        } else if let Some(sign) =
            ["'\"'", r#"'\"'"#, r"'\''", r"'\\'"].iter().find(|sign| rest.starts_with(**sign))
        {
            sign.len()
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let token = &rest[..length];
        if !token.starts_with("//") && !token.contains('"') && !first.is_whitespace() {
            tokens.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// Reads one tree of paths from `at` on, adds every path of it to `all`, and gives where it ends.
fn tree(tokens: &[String], mut at: usize, mut path: Vec<String>, all: &mut Vec<Vec<String>>) -> usize {
    let is = |at: usize, sign: &str| tokens.get(at).is_some_and(|token| token == sign);
    loop {
        if is(at, "{") {
            at += 1;
            while at < tokens.len() && !is(at, "}") {
                at = if is(at, ",") { at + 1 } else { tree(tokens, at, path.clone(), all) };
            }
            return at + 1;
        }
        match tokens.get(at) {
            Some(word) if word.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '*') => {
                path.push(word.clone());
            }
            _ => return at + 1,
        }
        at += 1;
        if !is(at, "::") {
            break;
        }
        at += 1;
    }
    all.push(path);
    // A new name does not make it another thing.
    if is(at, "as") { at + 2 } else { at }
}

/// Every path of a file of the crate `graft` that begins in the crate, from its root on; `["*"]` and `[]` are all of it.
fn paths_in_crate(name: &str, text: &str) -> Vec<Vec<String>> {
    let file = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let own: Vec<String> = file.split('/').filter(|part| *part != "lib").map(str::to_owned).collect();
    let tokens = tokens(text);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let starts = matches!(tokens[at].as_str(), "crate" | "super" | "self" | "graft");
        let after = |words: &[&str]| {
            tokens[..at].ends_with(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
        };
        // `pub(super)` says who may see a thing and uses nothing.
        let visibility = after(&["pub", "("]) || after(&["pub", "(", "in"]);
        if starts && !visibility && !after(&["::"]) {
            tree(&tokens, at, Vec::new(), &mut found);
        }
    }
    let absolute = |path: Vec<String>| {
        let mut whole = own.clone();
        for (at, part) in path.into_iter().enumerate() {
            match part.as_str() {
                "crate" | "graft" if at == 0 => whole.clear(),
                "super" => drop(whole.pop()),
                "self" => {}
                _ => whole.push(part),
            }
        }
        whole
    };
    found.into_iter().map(absolute).collect()
}

/// What a file of the crate `graft` uses of rooms that its own may not know.
fn strangers(name: &str, text: &str) -> Vec<String> {
    let file = name.trim_start_matches("src/").trim_end_matches(".rs");
    let room = file.split('/').next().unwrap_or_default();
    let Some((_, known)) = ROOMS.iter().find(|(own, _)| *own == room) else { return Vec::new() };
    let rooms: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).chain(["cli"]).collect();
    let strange = paths_in_crate(name, text).into_iter().filter(|path| match path.first() {
        None => true,
        Some(first) if first == "*" => true,
        Some(first) => first != room && rooms.contains(&first.as_str()) && !known.contains(&first.as_str()),
    });
    strange.map(|path| format!("{name}: crate::{}", path.join("::"))).collect()
}

/// Where code uses what product crates have for the developers' crate: their modules `lab`.
fn uses_of_the_seam(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if matches!(tokens[at].as_str(), "graft" | "graft_learn" | "graft_backbone" | "crate") {
            tree(&tokens, at, Vec::new(), &mut found);
        }
    }
    found.retain(|path| path.get(1).is_some_and(|module| module == "lab"));
    found.into_iter().map(|path| path.join("::")).collect()
}

#[test]
fn the_seam_of_the_developers_is_used_by_them_alone() {
    let product = texts(&["src", "crates"], &[".rs"]);
    let product = product.iter().filter(|(name, _)| !name.starts_with("crates/lab/"));
    let offences: Vec<String> = product
        .flat_map(|(name, text)| {
            uses_of_the_seam(text).into_iter().map(move |path| format!("{name}: {path}"))
        })
        .collect();
    complain("product code uses a module that is there for the laboratory", &offences);
    for text in [
        "use graft_learn::lab;",
        "use graft_learn::{Snapshot,\n    lab as probe};",
        "let a = graft_backbone::lab::peak_gflops();",
        "use crate::{cli, lab::nice};",
    ] {
        assert_eq!(uses_of_the_seam(text).len(), 1, "{text}");
    }
    assert!(uses_of_the_seam("use graft_learn::label; mod lab; // graft_learn::lab").is_empty());
}

#[test]
fn rooms_of_the_program_know_only_those_below() {
    let offences: Vec<String> =
        texts(&["src"], &[".rs"]).iter().flat_map(|(name, text)| strangers(name, text)).collect();
    complain("a room uses one that it may not know", &offences);
    for (name, text) in [
        ("src/web/serve.rs", "use super::super::daemon::Clock;"),
        ("src/web/mod.rs", "use super::daemon::Clock;"),
        ("src/web/serve.rs", "use crate::{\n    web::Request,\n    daemon::{\n        Clock,\n    },\n};"),
        ("src/web/serve.rs", "use crate::daemon as below;"),
        ("src/web/serve.rs", "use {std::fs, crate::cli::{self as c}};"),
        ("src/board.rs", "fn a() { let b = crate::web::serve::c(\"use x\"); }"),
        ("src/config/load.rs", "pub use crate::log::Level as L;"),
        ("src/log/mod.rs", "use crate as all;"),
        ("src/log/mod.rs", "use super::*;"),
        ("src/log/journal.rs", "use graft::daemon::Clock;"),
        ("src/daemon/pair.rs", "use super::super::{board, cli};"),
    ] {
        assert_eq!(strangers(name, text).len(), 1, "{name}: {text}: {:?}", paths_in_crate(name, text));
    }
    for (name, text) in [
        (
            "src/daemon/pair.rs",
            "use super::{Clock, inference as i}; use crate::{board::Board, config, web::Request};",
        ),
        (
            "src/web/serve.rs",
            "use super::answer; // use crate::daemon;\nuse self::x::y; let t = \"crate::daemon::z\";",
        ),
        ("src/cli/run.rs", "use crate::daemon;"),
        ("src/web/mod.rs", "pub(super) fn a() {} pub(in crate::web) fn b(&self) { self.c(); }"),
        ("src/web/serve.rs", "let a = '\"'; let b = r#\"a \"crate::cli\" \"#; use super::answer;"),
        ("src/web/serve.rs", "#[cfg(test)]\nmod tests {\n    use super::super::super::daemon;\n}"),
    ] {
        assert_eq!(strangers(name, text), [""; 0], "{name}: {text}: {:?}", paths_in_crate(name, text));
    }
}
