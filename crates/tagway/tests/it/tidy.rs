//! The house rules that a compiler does not hold: who may import whom, what the core may know, how long a file
//! may be. ARCHITECTURE.md gives the reasons; a rule is changed there and here, or not at all.

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `crates/tagway/src`, from top to bottom. One may import those of lower rows, never its own row.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["boot"],
    &["listen"],
    &["admin"],
    &["data"],
    &["access", "route", "tags"],
    &["auth", "catalog", "checks", "judge", "peers"],
    &["directory", "live", "seen"],
    &["ledger"],
    &["accounts"],
    &["alerts"],
    &["store"],
    &["capacity", "jwt", "mirrors", "objects", "places", "ramps"],
    &["meter"],
    &[
        "call",
        "cors",
        "error",
        "health",
        "host",
        "metrics",
        "receipt",
        "seal",
        "tasks",
        "telemetry",
        "valkey",
        "web",
    ],
];

/// Modules that only some may import, whatever the rows say.
const ONLY: &[(&str, &[&str])] = &[
    // The command line and management suppose requests, and have them decided as real ones are.
    ("data", &["admin", "boot", "cli", "listen"]),
    ("admin", &["boot", "listen"]),
    ("listen", &["boot"]),
    // The path of requests never waits for a database.
    (
        "store",
        &[
            "accounts",
            "admin",
            "alerts",
            "boot",
            "catalog",
            "cli",
            "directory",
            "judge",
            "ledger",
            "peers",
            "seen",
        ],
    ),
];

/// Modules of which some see one part only.
const PARTS: &[(&str, &str, &[&str])] = &[("data", "suppose", &["admin", "cli"])];

/// What the core must not name: it gets time, randomness, files and variables as arguments, and never waits.
const IMPURE_WORDS: &[&str] = &[
    "SystemTime",
    "Mutex",
    "RwLock",
    "Condvar",
    "Barrier",
    "mpsc",
    "fastrand",
    "getrandom",
    "rand",
    "tokio",
    "hyper",
    "axum",
    "tracing",
    "async",
    "await",
];
const IMPURE_STD: &[&str] = &["env", "fs", "net", "os", "process", "thread"];
const IMPURE_CALLS: &[&str] = &["Instant::now", ".elapsed("];

/// Dependencies a crate must not have.
const NO_DEPENDENCY: &[(&str, &[&str])] = &[
    (
        "tagway-core",
        &[
            "axum",
            "fastrand",
            "getrandom",
            "hyper",
            "hyper-util",
            "rand",
            "socket2",
            "tagway",
            "tokio",
            "tracing",
        ],
    ),
    ("tagway-fake", &["tagway", "tagway-core"]),
    ("tagway", &["tagway-fake"]),
];

/// The longest a source file may be; most stay below 300.
const MOST_LINES: usize = 500;

#[test]
fn imports_point_down() {
    let root = crates().join("tagway/src");
    let mut broken = Vec::new();
    for file in sources(&root) {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let place: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        broken.extend(imports_broken(&file, &place, &fs::read_to_string(&file).unwrap()));
    }
    report(&broken);
}

#[test]
fn the_core_is_pure() {
    let files = sources(&crates().join("tagway-core/src"));
    let broken: Vec<String> =
        files.iter().flat_map(|file| impurities(file, &fs::read_to_string(file).unwrap())).collect();
    report(&broken);
}

#[test]
fn crates_depend_on_what_they_may() {
    let mut broken = Vec::new();
    for (name, banned) in NO_DEPENDENCY {
        let file = crates().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&file).unwrap();
        let mut section = "";
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                section = line;
            }
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            if section == "[dependencies]" && banned.contains(&dependency) {
                let rule = format!("{name} must not depend on {dependency} (NO_DEPENDENCY)");
                broken.push(complaint(&file, index + 1, &rule));
            }
        }
    }
    report(&broken);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mut broken = Vec::new();
    let all = ["tagway", "tagway-core", "tagway-fake"].map(|name| sources(&crates().join(name).join("src")));
    for file in all.iter().flatten() {
        let text = fs::read_to_string(file).unwrap();
        if !text.starts_with("//! ") {
            let rule = "a file begins with a `//!` line: what it decides, what it must not know";
            broken.push(complaint(file, 1, rule));
        }
        let lines = text.lines().count();
        if MOST_LINES < lines {
            broken.push(complaint(
                file,
                lines,
                &format!("longer than {MOST_LINES} lines: split it by subject"),
            ));
        }
    }
    report(&broken);
}

/// The rules above, tried on text that breaks them: a check that finds nothing may be blind.
#[test]
fn violations_are_found() {
    let at = |place: &[&str], code: &str| {
        let found = imports_broken(Path::new("x.rs"), place, code);
        found.iter().map(|line| line.split(": ").last().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(at(&["data", "intake"], "use crate::admin::Known;"), ["only boot, listen may import admin"]);
    assert_eq!(at(&["admin", "keys"], "\nlet x = crate::data::mock::play();").len(), 1);
    assert!(at(&["admin", "keys"], "use crate::data::suppose::{self, Ground};").is_empty());
    assert_eq!(
        at(&["cli", "diff"], "use crate::data::{intake, suppose};"),
        ["admin and cli see only data::suppose, not intake"]
    );
    assert_eq!(at(&["route"], "use super::data;"), ["only admin, boot, cli, listen may import data"]);
    assert_eq!(
        at(&["route"], "use super::tags::Malformed;"),
        ["route may import only the rows below it, not tags"]
    );
    assert_eq!(
        at(&["cli", "check"], "use crate::{\n    host::System,\n    listen::{self, Workers},\n};").len(),
        1
    );
    assert_eq!(
        at(&["tags"], "mod tests {\n    use super::*;\n    use super::super::boot::run;\n}\n").len(),
        1
    );
    assert_eq!(at(&["pool"], "").len(), 1, "a module without a row");
    assert_eq!(at(&["tags"], "use crate::pool;"), ["pool has no row in LAYERS"]);
    assert!(
        at(&["data", "intake"], "use super::mock;\nuse crate::{auth, tags};\n// crate::admin\n").is_empty()
    );
    assert!(at(&["listen"], "use crate::admin::Admin;\nuse crate::data::{answer, upstream};").is_empty());

    let impure = |code: &str| impurities(Path::new("x.rs"), code).len();
    assert_eq!(impure("use std::{collections::HashMap, fs};"), 1);
    assert_eq!(impure("use std::sync::{Arc, Mutex};\nlet now = Instant::now();\nstd::net::lookup()"), 3);
    assert_eq!(impure("pub async fn wait() {}"), 1);
    assert_eq!(
        impure("/// No Mutex, no std::fs.\nuse std::time::Instant; let randomly = \"x\"; std::io::Result"),
        0
    );
}

/// The imports of a file that break a rule. `place` is its path below `src`, without the ending.
fn imports_broken(file: &Path, place: &[&str], text: &str) -> Vec<String> {
    let module = place[0];
    let Some(own) = row(module) else {
        return vec![complaint(file, 1, &format!("{module} has no row in LAYERS"))];
    };
    // `super` from here: how many of them lead to the root.
    let depth = if matches!(place.last(), Some(&"mod" | &"main")) { place.len() - 1 } else { place.len() };
    let code = code(text);
    let mut found = named_after(&code, "crate::");
    for (offset, path) in supers(&code) {
        // Modules inside a file are one deeper.
        let inner = usize::from(within_inner_module(&code, offset));
        if path.len() / "super::".len() == depth + inner {
            found.extend(names(&code[offset + path.len()..]).map(|name| (line(&code, offset), name)));
        }
    }
    let mut broken = Vec::new();
    for (whole, part, by) in PARTS.iter().filter(|(.., by)| by.contains(&module)) {
        let seen = named_after(&code, &format!("crate::{whole}::"));
        let others = seen.into_iter().filter(|(_, name)| name != part);
        broken.extend(others.map(|(line, name)| {
            complaint(file, line, &format!("{} see only {whole}::{part}, not {name}", by.join(" and ")))
        }));
    }
    for (line, name) in found {
        // Items of the root itself and globs over it lead nowhere.
        if name == module || name.is_empty() || name.starts_with(char::is_uppercase) {
            continue;
        }
        let rule = match (row(name), ONLY.iter().find(|(module, _)| *module == name)) {
            (None, _) => format!("{name} has no row in LAYERS"),
            (_, Some((_, by))) if !by.contains(&module) => {
                format!("only {} may import {name}", by.join(", "))
            }
            (Some(row), _) if row <= own => format!("{module} may import only the rows below it, not {name}"),
            _ => continue,
        };
        broken.push(complaint(file, line, &rule));
    }
    broken
}

fn row(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// What a file of the core names and must not.
fn impurities(file: &Path, text: &str) -> Vec<String> {
    let code = code(text);
    let mut found: Vec<(usize, &str)> = named_after(&code, "std::");
    found.retain(|(_, name)| IMPURE_STD.contains(name));
    for word in IMPURE_WORDS {
        let whole = |at: &usize| {
            let (before, after) = (&code[..*at], &code[at + word.len()..]);
            !before.ends_with(is_word) && !after.starts_with(is_word)
        };
        let places = code.match_indices(word).map(|(at, _)| at);
        found.extend(places.filter(whole).map(|at| (line(&code, at), *word)));
    }
    for call in IMPURE_CALLS {
        found.extend(code.match_indices(call).map(|(at, _)| (line(&code, at), *call)));
    }
    let rule = |name: &str| format!("the core must not use {name}: take what it gives as an argument");
    found.into_iter().map(|(line, name)| complaint(file, line, &rule(name))).collect()
}

/// The text without comments and string literals' contents; every line keeps its place.
fn code(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut before = ' ';
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            if !in_string && c == '/' && rest.peek() == Some(&'/') {
                break;
            }
            match c {
                '\\' if in_string => drop(rest.next()),
                // Not the character literal '"'.
                '"' if before != '\'' => in_string = !in_string,
                _ if in_string => {}
                _ => out.push(c),
            }
            before = c;
        }
        out.push('\n');
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line(code: &str, offset: usize) -> usize {
    code[..offset].matches('\n').count() + 1
}

/// Every name that follows `root` in a path or a group of paths, with its line.
fn named_after<'c>(code: &'c str, root: &str) -> Vec<(usize, &'c str)> {
    let starts = code.match_indices(root).map(|(at, _)| at);
    let starts = starts.filter(|&at| !code[..at].ends_with(|c| is_word(c) || matches!(c, ':' | '$')));
    starts.flat_map(|at| names(&code[at + root.len()..]).map(move |name| (line(code, at), name))).collect()
}

/// The first names of a path, or of each path of a group in braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    let mut items = Vec::new();
    match path.strip_prefix('{') {
        None => items.push(path),
        Some(group) => {
            let (mut depth, mut start) = (0, 0);
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => {
                        items.push(&group[start..at]);
                        break;
                    }
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        items.push(&group[start..at]);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
        }
    }
    items.into_iter().map(|item| item.trim_start().split(|c| !is_word(c)).next().unwrap_or_default())
}

/// Every run of `super::`, with its offset.
fn supers(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("super::").map(|at| from + at) {
        let mut end = at;
        while code[end..].starts_with("super::") {
            end += "super::".len();
        }
        if !code[..at].ends_with(is_word) {
            found.push((at, &code[at..end]));
        }
        from = end;
    }
    found
}

/// Whether a place lies in a `mod name { … }` of the file, as rustfmt lays it out.
fn within_inner_module(code: &str, offset: usize) -> bool {
    let before = code[..offset].lines();
    let mut inside = false;
    for line in before {
        let declared = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        inside = (inside && line != "}") || (declared.starts_with("mod ") && line.ends_with('{'));
    }
    inside
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every source file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no source below {}", folder.display());
    found.sort();
    found
}

fn complaint(file: &Path, line: usize, rule: &str) -> String {
    let file = file.strip_prefix(crates().parent().unwrap()).unwrap_or(file);
    format!("{}:{line}: {rule}", file.display())
}

fn report(broken: &[String]) {
    assert!(
        broken.is_empty(),
        "house rules are broken; ARCHITECTURE.md tells why they are there\n{}",
        broken.join("\n")
    );
}
