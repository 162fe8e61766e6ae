//! The files a configuration is made of: the one named, and what it includes. Merges them into one tree as
//! LiteLLM does: lists are concatenated, of other values the included file's wins.

use std::collections::VecDeque;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::report::Source;
use super::scope::{At, Scope};
use super::yaml::{self, Entry, Kind, Mark, Node};

/// More files than anyone splits a configuration into.
const MOST_FILES: usize = 100;

struct Pending {
    path: PathBuf,
    /// The same, from the directory of the first file.
    from_root: PathBuf,
    mark: Mark,
    at: String,
    /// The files that led here.
    trail: Vec<PathBuf>,
}

/// Reads `path` and everything it includes. `None` when the first file cannot be read at all.
pub(super) fn read(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    scope: &mut Scope<'_>,
) -> Option<Node> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            scope.report.sources.push(source(path, String::new()));
            scope.report.error(Mark::default(), "", format!("cannot be read: {error}"));
            return None;
        }
    };
    let first = normal(path);
    let mut tree = document(path, text, scope)?;
    variables(&tree, scope);
    let mut queue = includes(&mut tree, path, path, std::slice::from_ref(&first), scope);
    let mut done = vec![first];
    while let Some(next) = queue.pop_front() {
        let mut place = normal(&next.path);
        if next.trail.contains(&place) {
            let names: Vec<String> =
                next.trail.iter().chain([&place]).map(|path| path.display().to_string()).collect();
            scope
                .report
                .error(next.mark, &next.at, format!("files include each other: {}", names.join(" → ")))
                .help("remove one of these includes");
            continue;
        }
        if done.contains(&place) {
            continue;
        }
        if done.len() >= MOST_FILES {
            scope.report.error(next.mark, &next.at, format!("more than {MOST_FILES} files are included"));
            break;
        }
        let mut path = next.path;
        let mut result = read(&path);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && normal(&next.from_root) != place
            && let Ok(text) = read(&next.from_root)
        {
            // Older configurations name every file from the first one's directory.
            scope
                .report
                .warning(
                    next.mark,
                    &next.at,
                    "found beside the first file, not beside the file that includes it",
                )
                .help(format!("move it to `{}`", path.display()));
            place = normal(&next.from_root);
            path = next.from_root;
            result = Ok(text);
            if next.trail.contains(&place) || done.contains(&place) {
                continue;
            }
        }
        let text = match result {
            Ok(text) => text,
            Err(error) => {
                let message = format!("`{}` cannot be read: {error}", path.display());
                scope.report.error(next.mark, &next.at, message);
                continue;
            }
        };
        done.push(place.clone());
        let Some(mut included) = document(&path, text, scope) else { continue };
        let mut trail = next.trail;
        trail.push(place);
        queue.extend(includes(&mut included, &path, first_dir(&done), &trail, scope));
        merge(&mut tree, included, "", scope);
    }
    // Included files may have brought more.
    variables(&tree, scope);
    Some(tree)
}

fn first_dir(done: &[PathBuf]) -> &Path {
    done.first().map_or(Path::new(""), PathBuf::as_path)
}

fn source(path: &Path, text: String) -> Source {
    Source { path: path.to_owned(), text, secrets: Vec::new(), parsed: false }
}

/// Reads a file that includes none and begins with `section`.
pub(super) fn one(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<String>,
    section: &str,
    scope: &mut Scope<'_>,
) -> Option<Node> {
    match read(path) {
        Ok(text) => parse(path, text, section, scope),
        Err(error) => {
            scope.report.sources.push(source(path, String::new()));
            scope.report.error(Mark::default(), "", format!("cannot be read: {error}"));
            None
        }
    }
}

/// Parses a file of a configuration.
fn document(path: &Path, text: String, scope: &mut Scope<'_>) -> Option<Node> {
    parse(path, text, "model_list", scope)
}

/// Parses one file; reports what is wrong with its form.
fn parse(path: &Path, text: String, section: &str, scope: &mut Scope<'_>) -> Option<Node> {
    let file = scope.report.sources.len();
    let parsed = yaml::parse(file, &text);
    scope.report.sources.push(Source {
        secrets: parsed.secrets,
        parsed: parsed.root.is_some(),
        ..source(path, text)
    });
    for fault in parsed.faults {
        let said = scope.report.error(fault.mark, "", fault.message);
        if let Some(help) = fault.help {
            said.help(help);
        }
    }
    let root = parsed.root;
    match &root {
        Some(Node { kind: Kind::Map(_), .. }) => root,
        Some(Node { kind: Kind::Null, .. }) => {
            scope
                .report
                .error(Mark { file, ..Mark::default() }, "", "the file is empty")
                .help(format!("begin with `{section}:`"));
            None
        }
        Some(node) => {
            let message = format!("must be a map of sections such as `{section}`, not {}", node.what());
            scope.report.error(node.mark, "", message);
            None
        }
        None if !scope.report.has_errors() => {
            scope
                .report
                .error(Mark { file, ..Mark::default() }, "", "the file is empty")
                .help(format!("begin with `{section}:`"));
            None
        }
        None => None,
    }
}

/// `environment_variables`, before anything refers to them.
fn variables(tree: &Node, scope: &mut Scope<'_>) {
    let root = At::root(tree);
    let Some(entry) = tree.get("environment_variables") else { return };
    let at = root.entry(entry);
    for entry in scope.entries(&at) {
        let value = at.entry(entry);
        let text = match &value.node.kind {
            // A variable that stands for another one that is not set stays unset: its users will say so.
            Kind::Text(text) => match text.strip_prefix("os.environ/") {
                Some(name) => scope.env(name),
                None => Some(text.clone()),
            },
            Kind::Int(_, text) | Kind::Float(_, text) => Some(text.clone()),
            Kind::Bool(value) => Some(if *value { "True" } else { "False" }.to_owned()),
            Kind::Null => None,
            _ => {
                scope.error(&value, format!("must be a text, not {}", value.node.what()));
                None
            }
        };
        if let Some(text) = text {
            scope.set_variable(&entry.key, text);
        }
    }
}

/// Takes `include` out of a tree and gives the files it names.
fn includes(
    tree: &mut Node,
    declared_in: &Path,
    first: &Path,
    trail: &[PathBuf],
    scope: &mut Scope<'_>,
) -> VecDeque<Pending> {
    let Kind::Map(entries) = &mut tree.kind else { return VecDeque::new() };
    let Some(index) = entries.iter().position(|entry| entry.key == "include") else { return VecDeque::new() };
    let entry = entries.remove(index);
    let at = At { node: &entry.value, key: entry.mark, path: "include".to_owned(), secret: false };
    let beside = |file: &Path, name: &str| file.parent().unwrap_or(Path::new("")).join(name);
    let mut pending = VecDeque::new();
    for (index, node) in scope.items(&at).iter().enumerate() {
        let item = at.item(index, node);
        let Some(name) = scope.text(&item) else { continue };
        pending.push_back(Pending {
            path: beside(declared_in, &name),
            from_root: beside(first, &name),
            mark: node.mark,
            at: item.path,
            trail: trail.to_owned(),
        });
    }
    pending
}

/// A path without `.` and `..`, as far as that is possible without a file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// LiteLLM replaces a whole section by the included file's; here a section that both have keeps the keys that
/// only one of them sets, and a key that both set is worth a warning.
fn merge(base: &mut Node, included: Node, path: &str, scope: &mut Scope<'_>) {
    let (Kind::Map(base), Kind::Map(included)) = (&mut base.kind, included.kind) else { return };
    for entry in included {
        let at = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        let Some(own) = base.iter_mut().find(|own| own.key == entry.key) else {
            base.push(entry);
            continue;
        };
        match (&mut own.value.kind, entry.value.kind) {
            (Kind::List(own), Kind::List(more)) if path.is_empty() => own.extend(more),
            (Kind::Map(_), kind @ Kind::Map(_)) if path.is_empty() => {
                merge(&mut own.value, Node { mark: entry.value.mark, kind }, &at, scope);
            }
            (Kind::Null, kind) => replace(own, entry.mark, Node { mark: entry.value.mark, kind }),
            (_, Kind::Null) => {}
            (_, kind) => {
                let line = own.mark.line;
                let file = scope.report.sources.get(own.mark.file).map(|s| s.path.display().to_string());
                let message = format!("set in {} line {line} too: this one wins", file.unwrap_or_default());
                scope.report.warning(entry.mark, &at, message).help("set it in one file only");
                replace(own, entry.mark, Node { mark: entry.value.mark, kind });
            }
        }
    }
}

fn replace(entry: &mut Entry, mark: Mark, value: Node) {
    entry.mark = mark;
    entry.value = value;
}
