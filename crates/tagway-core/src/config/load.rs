//! From files to a checked configuration, in one readable order. Reads nothing by itself: a [`Host`] does.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::model::{Config, Deployment};
use super::problem::{Problem, Problems};
use super::report::Report;
use super::scope::{At, Rule, Scope, Table};
use super::tag_settings::TagSettings;
use super::tags::{TagDeclaration, TagKind};
use super::yaml::{Kind, Node};
use super::{
    deployment, experiments, files, general, links, lint, mirrors, prices, proxy, routing, rules,
    tag_settings, tags, valkey, vocabulary,
};
use crate::catalogue::Catalogue;
use crate::experiment::{Experiment, Mirror};

/// What loading needs of the world.
pub trait Host {
    /// The content of a file.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn read(&self, path: &Path) -> std::io::Result<String>;

    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Warnings, and what is ignored.
    pub notes: Vec<Problem>,
    /// Every key LiteLLM knows and tagway does without, by path: `model_list[].litellm_params.caching`.
    pub ignored: Vec<String>,
    /// Every file read, with its content: a reload is due when one changes.
    pub files: Vec<(PathBuf, String)>,
}

/// Reads the configuration at `path` with everything it includes.
///
/// # Errors
/// Every problem, warnings among them, when at least one keeps the configuration from being used.
pub fn load(path: &Path, host: &dyn Host) -> Result<Loaded, Problems> {
    run(path, host, |_, _, _| {})
}

/// The same, with the lints among the notes: what works, but probably not as meant.
///
/// # Errors
/// As [`load`]; a configuration with errors is not linted.
pub fn check(path: &Path, host: &dyn Host) -> Result<Loaded, Problems> {
    run(path, host, lint::run)
}

fn run(
    path: &Path,
    host: &dyn Host,
    lints: impl FnOnce(&Config, &Node, &mut Scope<'_>),
) -> Result<Loaded, Problems> {
    let env = |name: &str| host.env(name);
    let mut scope = Scope::new(Report::default(), &env);
    let config = files::read(path, &|path| host.read(path), &mut scope).map(|tree| {
        let mut config = compile(&tree, &mut scope);
        config.catalogue =
            prices::catalogue(config.proxy.price_catalog.as_ref(), path, &tree, host, &mut scope);
        if !scope.report.has_errors() {
            lints(&config, &tree, &mut scope);
        }
        config
    });
    let failed = scope.report.has_errors();
    let ignored = scope.report.ignored_paths();
    let (problems, files) = scope.report.finish();
    match config {
        Some(config) if !failed => Ok(Loaded { config, notes: problems.0, ignored, files }),
        _ => Err(problems),
    }
}

/// The file as far as read.
#[derive(Default)]
struct Draft {
    deployments: Vec<Deployment>,
    router: routing::Draft,
    proxy: proxy::Draft,
    tags: Vec<TagDeclaration>,
    tag_settings: TagSettings,
    tag_rules: Vec<crate::rule::Rule>,
    experiments: Vec<Experiment>,
    mirrors: Vec<Mirror>,
}

const NO_GUARD: &str = "remove it only if requests may pass without these checks";

const FILE: Table<Draft> = &[
    ("model_list", Rule::Works(|draft, at, scope| draft.deployments = deployment::list(at, scope))),
    ("router_settings", Rule::Works(|draft, at, scope| routing::read(&mut draft.router, at, scope))),
    ("litellm_settings", Rule::Works(|draft, at, scope| draft.proxy = proxy::read(at, scope))),
    // Read for itself: the master key may come from elsewhere.
    ("general_settings", Rule::Works(|_, _, _| {})),
    ("tags", Rule::Works(|draft, at, scope| draft.tags = tags::declared(at, scope))),
    ("tag_settings", Rule::Works(|draft, at, scope| draft.tag_settings = tag_settings::read(at, scope))),
    // Read before everything else.
    ("environment_variables", Rule::Works(|_, _, _| {})),
    ("tag_rules", Rule::Works(|draft, at, scope| draft.tag_rules = rules::read(at, scope))),
    ("experiments", Rule::Works(|draft, at, scope| draft.experiments = experiments::read(at, scope))),
    ("mirrors", Rule::Works(|draft, at, scope| draft.mirrors = mirrors::read(at, scope))),
    ("guardrails", Rule::Refused(NO_GUARD)),
    ("policies", Rule::Refused(NO_GUARD)),
    ("policy_attachments", Rule::Refused(NO_GUARD)),
    ("plugins", Rule::Refused(NO_GUARD)),
    ("classifier_plugin", Rule::Refused(NO_GUARD)),
    ("pass_through_endpoints", Rule::Missed("requests to these paths get 404")),
    ("mcp_servers", Rule::Missed("tagway is no MCP gateway")),
    ("mcp_tools", Rule::Missed("tagway is no MCP gateway")),
    ("prompts", Rule::Missed("requests go out as the client sent them")),
    ("search_tools", Rule::Ignored),
    ("sandbox_tools", Rule::Ignored),
    ("vector_store_registry", Rule::Ignored),
    ("credential_list", Rule::Ignored),
    ("callback_settings", Rule::Ignored),
    ("assistant_settings", Rule::Ignored),
    ("files_settings", Rule::Ignored),
    ("finetune_settings", Rule::Ignored),
    ("default_vertex_config", Rule::Ignored),
    ("agent_list", Rule::Ignored),
    ("agents", Rule::Ignored),
    ("worker_registry", Rule::Ignored),
];

/// `x-…` keys hold anchors for the rest of the file, as in other tools.
fn anchors(_: &mut Draft, _: &At<'_>, key: &str, _: &mut Scope<'_>) -> bool {
    key.starts_with("x-")
}

fn compile(tree: &Node, scope: &mut Scope<'_>) -> Config {
    let root = At::root(tree);
    let mut draft = Draft::default();
    scope.walk(&root, FILE, &mut draft, anchors);
    let general = tree.get("general_settings").map(|entry| root.entry(entry));
    let general = general::read(general.as_ref(), scope);
    let valkey = valkey::settle(valkeys(tree, &mut draft.router, scope), scope);
    for name in &draft.proxy.proxy.spend_tag_headers {
        let label = format!("{name}: *");
        if !draft.tags.iter().any(|tag| tag.name == label) {
            // It says what a request is, and not where it goes.
            draft.tags.push(TagDeclaration { name: label, kind: TagKind::Attribution, ..Default::default() });
        }
    }
    let config = Config {
        deployments: draft.deployments,
        router: routing::settle(draft.router, draft.proxy.routing, valkey),
        proxy: draft.proxy.proxy,
        general,
        tags: draft.tags,
        tag_settings: draft.tag_settings,
        tag_rules: draft.tag_rules,
        experiments: draft.experiments,
        mirrors: draft.mirrors,
        catalogue: Catalogue::default(),
    };
    links::check(&config, &group_names(tree), tree, scope);
    vocabulary::check(&config, tree, scope);
    experiments::check(&config, tree, scope);
    mirrors::check(&config, tree, scope);
    config
}

/// What the sections say of Valkey, the first to be asked first.
fn valkeys(tree: &Node, router: &mut routing::Draft, scope: &mut Scope<'_>) -> [valkey::Draft; 3] {
    let root = At::root(tree);
    let section = |name: &str| tree.get(name).map(|entry| root.entry(entry));
    let mut coordination = valkey::Draft::default();
    if let Some(general) = section("general_settings")
        && let Some(entry) = general.node.get("coordination_redis")
        && !matches!(entry.value.kind, Kind::Null)
    {
        valkey::coordination(&mut coordination, &general.entry(entry), scope);
    }
    let cache = section("litellm_settings").map(|settings| valkey::of_cache(&settings, scope));
    [coordination, std::mem::take(&mut router.valkey), cache.unwrap_or_default()]
}

/// Every `model_name` of the file: an entry that is broken elsewhere still names its group.
fn group_names(tree: &Node) -> HashSet<String> {
    let Some(Kind::List(items)) = tree.get("model_list").map(|entry| &entry.value.kind) else {
        return HashSet::new();
    };
    let names = items.iter().filter_map(|item| item.get("model_name"));
    names
        .filter_map(|entry| match &entry.value.kind {
            Kind::Text(name) => Some(name.clone()),
            _ => None,
        })
        .collect()
}
