//! The file of `tagway test`: requests that are supposed, and where each of them is to go. Reads it as strictly as a
//! configuration; knows nothing of how a request is routed.

use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::load::Host;
use super::model::Tier;
use super::problem::Problems;
use super::report::Report;
use super::scope::{At, Rule, Scope, Table, nearest, strict};
use super::supposed_owner::{self, Owner};
use super::yaml::Kind;
use super::{files, tags, times};
use crate::tag::{Expression, Origin};

/// A request that is supposed.
#[derive(Debug, Default)]
pub struct Supposed {
    /// The path it is sent to; empty for chat completions.
    pub path: String,
    /// Whose key it is made with, and what stands above that; nobody's is the master key.
    pub owners: Vec<Owner>,
    /// The claims of the token it is made with.
    pub claims: Option<Value>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Map<String, Value>,
    /// Deployments that are cooling down when it comes.
    pub cooling_down: Vec<String>,
    /// When it comes, in milliseconds since 1970; now, where nothing is said.
    pub at: Option<i64>,
}

/// What is to become of it.
#[derive(Debug, Default)]
pub struct Expected {
    /// Exactly these deployments may serve it.
    pub deployments: Option<Vec<String>>,
    /// These may, perhaps among others.
    pub includes: Vec<String>,
    /// These may not.
    pub excludes: Vec<String>,
    /// It carries these tags, wherever they come from.
    pub tags: Vec<String>,
    /// It does not carry these.
    pub without_tags: Vec<String>,
    /// It is refused.
    pub error: Option<ExpectedError>,
}

/// How a request is to be refused.
#[derive(Debug, Default)]
pub struct ExpectedError {
    /// The HTTP status.
    pub status: Option<u16>,
    /// A part of the message.
    pub message: Option<String>,
    /// `error.reason`.
    pub reason: Option<String>,
}

impl Expected {
    fn is_empty(&self) -> bool {
        self.deployments.is_none()
            && self.includes.is_empty()
            && self.excludes.is_empty()
            && self.tags.is_empty()
            && self.without_tags.is_empty()
            && self.error.is_none()
    }
}

/// A request and what is to become of it.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The line it begins in.
    pub line: usize,
    /// The request.
    pub request: Supposed,
    /// What is to become of it.
    pub expected: Expected,
}

/// A case as far as read.
struct Draft {
    known: Arc<[String]>,
    name: Option<String>,
    request: Supposed,
    tier: Option<Tier>,
    region: Option<Box<str>>,
    expected: Option<Expected>,
}

/// The file as far as read.
struct File {
    known: Arc<[String]>,
    cases: Vec<Case>,
}

const FILE: Table<File> = &[
    // Read with each case, which may say otherwise.
    ("defaults", Rule::Works(|_, _, _| {})),
    ("cases", Rule::Works(|_, _, _| {})),
];

const CASE: Table<Draft> = &[
    ("name", Rule::Works(|case, at, scope| case.name = scope.text(at))),
    ("model", Rule::Works(|case, at, scope| field(case, at, scope, "model"))),
    ("user", Rule::Works(|case, at, scope| field(case, at, scope, "user"))),
    ("path", Rule::Works(|case, at, scope| case.request.path = scope.text(at).unwrap_or_default())),
    ("tags", Rule::Works(request_tags)),
    ("tag_expression", Rule::Works(expression)),
    ("messages", Rule::Works(messages)),
    ("stream", Rule::Works(stream)),
    ("body", Rule::Works(body)),
    ("headers", Rule::Works(headers)),
    ("user_agent", Rule::Works(user_agent)),
    ("key", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::Key))),
    ("team", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::Team))),
    ("project", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::Project))),
    ("organization", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::Organization))),
    ("internal_user", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::User))),
    ("customer", Rule::Works(|case, at, scope| owner(case, at, scope, Origin::Customer))),
    ("claims", Rule::Works(claims)),
    ("tier", Rule::Works(|case, at, scope| case.tier = supposed_owner::tier(at, scope))),
    ("region", Rule::Works(|case, at, scope| case.region = scope.text(at).map(Into::into))),
    ("cooling_down", Rule::Works(|case, at, scope| case.request.cooling_down = ids(&case.known, at, scope))),
    ("at", Rule::Works(|case, at, scope| case.request.at = times::time(at, scope))),
    ("expect", Rule::Works(expect)),
];

/// What is expected, and which deployments there are.
type Expecting = (Arc<[String]>, Expected);

const EXPECT: Table<Expecting> = &[
    ("deployments", Rule::Works(|(known, to), at, scope| to.deployments = Some(ids(known, at, scope)))),
    ("includes", Rule::Works(|(known, to), at, scope| to.includes = ids(known, at, scope))),
    ("excludes", Rule::Works(|(known, to), at, scope| to.excludes = ids(known, at, scope))),
    ("tags", Rule::Works(|(_, to), at, scope| to.tags = scope.texts(at))),
    ("without_tags", Rule::Works(|(_, to), at, scope| to.without_tags = scope.texts(at))),
    ("error", Rule::Works(|(_, to), at, scope| to.error = Some(error(at, scope)))),
];

const ERROR: Table<ExpectedError> = &[
    ("status", Rule::Works(|error, at, scope| error.status = status(at, scope))),
    ("message", Rule::Works(|error, at, scope| error.message = scope.text(at))),
    ("reason", Rule::Works(|error, at, scope| error.reason = scope.text(at))),
];

fn status(at: &At<'_>, scope: &mut Scope<'_>) -> Option<u16> {
    scope.whole(at, 400, 599).and_then(|status| u16::try_from(status).ok())
}

fn field(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>, name: &str) {
    if let Some(text) = scope.text(at) {
        case.request.body.insert(name.to_owned(), text.into());
    }
}

fn request_tags(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let given = match &at.node.kind {
        Kind::List(items) if items.is_empty() => Vec::new(),
        _ => tags::given(at, scope),
    };
    case.request.body.insert("tags".to_owned(), given.into());
}

fn expression(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(text) = scope.text(at) else { return };
    if let Err(why) = Expression::parse(&text) {
        scope.error(at, why.to_string());
    }
    case.request.body.insert("tag_expression".to_owned(), text.into());
}

/// Messages as the API has them, or a text that the user says.
fn messages(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let messages = match &at.node.kind {
        Kind::Text(_) => scope.text(at).map(|text| json!([{"role": "user", "content": text}])),
        Kind::List(_) => scope.json(at),
        _ => {
            let what = at.node.what();
            scope.error(at, format!("must be a text or a list of messages, not {what}"));
            None
        }
    };
    case.request.body.extend(messages.map(|messages| ("messages".to_owned(), messages)));
}

fn stream(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let stream = scope.bool(at).map(Value::Bool);
    case.request.body.extend(stream.map(|stream| ("stream".to_owned(), stream)));
}

fn body(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    for entry in scope.entries(at) {
        let value = scope.json(&at.entry(entry));
        case.request.body.extend(value.map(|value| (entry.key.clone(), value)));
    }
}

fn headers(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    for entry in scope.entries(at) {
        let value_at = at.entry(entry);
        let Ok(name) = entry.key.parse::<HeaderName>() else {
            scope.error_at_key(&value_at, "this is no name of a header");
            continue;
        };
        let Some(text) = scope.text(&value_at) else { continue };
        header(case, name, &text, &value_at, scope);
    }
}

fn header(case: &mut Draft, name: HeaderName, text: &str, at: &At<'_>, scope: &mut Scope<'_>) {
    match HeaderValue::from_bytes(text.as_bytes()) {
        Ok(value) => {
            case.request.headers.insert(name, value);
        }
        Err(_) => {
            scope.error(at, "no header can hold this");
        }
    }
}

fn user_agent(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if let Some(text) = scope.text(at) {
        header(case, http::header::USER_AGENT, &text, at, scope);
    }
}

fn owner(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>, origin: Origin) {
    // `key:` is who calls, and holds no secret.
    let at = At { secret: false, ..at.clone() };
    case.request.owners.retain(|owner| owner.policy.origin != origin);
    case.request.owners.push(supposed_owner::read(origin, &at, scope));
}

fn claims(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    if matches!(at.node.kind, Kind::Map(_)) {
        case.request.claims = scope.json(at);
    } else {
        scope.error(at, "must be a map of claims").help("write e.g. `{sub: ann, groups: [research]}`");
    }
}

/// Ids of deployments: one, or a list of them.
fn ids(known: &[String], at: &At<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let one = matches!(at.node.kind, Kind::Text(_));
    let items = if one { std::slice::from_ref(at.node) } else { scope.items(at) };
    let mut ids = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = if one { at.clone() } else { at.item(index, node) };
        let Some(id) = scope.text(&item) else { continue };
        if !known.contains(&id) {
            let near = nearest(&id, known.iter().map(String::as_str)).map(str::to_owned);
            let said = scope.error(&item, format!("the configuration has no deployment {}", item.shown()));
            said.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "give the deployment a `model_info.id`, and that here".to_owned(),
            });
        }
        ids.push(id);
    }
    ids
}

fn expect(case: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let mut expecting: Expecting = (Arc::clone(&case.known), Expected::default());
    match &at.node.kind {
        Kind::Map(_) => scope.walk(at, EXPECT, &mut expecting, strict),
        _ => expecting.1.deployments = Some(ids(&case.known, at, scope)),
    }
    let expected = expecting.1;
    let serves =
        expected.deployments.is_some() || !expected.includes.is_empty() || !expected.excludes.is_empty();
    if serves && expected.error.is_some() {
        scope.error(at, "a request that is refused has no deployments: `error` stands without them");
    }
    if expected.deployments.as_ref().is_some_and(Vec::is_empty) {
        scope
            .error(at, "no deployments")
            .help("a request that nothing serves is refused: `error: {status: 401}`");
    }
    case.expected = Some(expected);
}

fn error(at: &At<'_>, scope: &mut Scope<'_>) -> ExpectedError {
    let mut error = ExpectedError::default();
    match &at.node.kind {
        Kind::Int(..) => error.status = status(at, scope),
        Kind::Text(_) => error.message = scope.text(at),
        _ => scope.walk(at, ERROR, &mut error, strict),
    }
    error
}

fn case(index: usize, at: &At<'_>, defaults: Option<&At<'_>>, file: &mut File, scope: &mut Scope<'_>) {
    let mut draft = Draft {
        known: Arc::clone(&file.known),
        name: None,
        request: Supposed::default(),
        tier: None,
        region: None,
        expected: None,
    };
    if let Some(defaults) = defaults {
        scope.walk(defaults, CASE, &mut draft, strict);
    }
    scope.walk(at, CASE, &mut draft, strict);
    if !matches!(at.node.kind, Kind::Map(_)) {
        return;
    }
    let Draft { name, mut request, tier, region, expected, .. } = draft;
    supposed_owner::bind(&mut request.owners, tier, region);
    if !request.body.contains_key("model") {
        scope.error(at, "`model` is missing").help("name the model asked for, here or in `defaults`");
    }
    let expected = expected.unwrap_or_default();
    if expected.is_empty() {
        scope
            .error(at, "nothing is expected")
            .help("say where it goes: `expect: [ID]`, or `expect: {error: 401}`");
    }
    let name = name.unwrap_or_else(|| format!("case {}", index + 1));
    if file.cases.iter().any(|case| case.name == name) {
        scope.error(at, format!("there is another case called `{name}`"));
    }
    file.cases.push(Case { name, line: at.node.mark.line, request, expected });
}

/// Reads the cases of a file. `known` are the deployments there are.
///
/// # Errors
/// Every problem of the file.
pub fn route_tests(path: &Path, host: &dyn Host, known: &[&str]) -> Result<Vec<Case>, Problems> {
    let env = |name: &str| host.env(name);
    let mut scope = Scope::new(Report::default(), &env).without_homes();
    let known: Arc<[String]> = known.iter().map(|id| (*id).to_owned()).collect();
    let mut file = File { known, cases: Vec::new() };
    if let Some(tree) = files::one(path, &|path| host.read(path), "cases", &mut scope) {
        let root = At::root(&tree);
        scope.walk(&root, FILE, &mut file, strict);
        let defaults = tree.get("defaults").map(|entry| root.entry(entry));
        if let Some(cases) = tree.get("cases").map(|entry| root.entry(entry)) {
            for (index, node) in scope.items(&cases).iter().enumerate() {
                case(index, &cases.item(index, node), defaults.as_ref(), &mut file, &mut scope);
            }
        }
        if file.cases.is_empty() && !scope.report.has_errors() {
            scope
                .error(&root, "no cases")
                .help("write `cases:` with `- name: …`, `model: …` and `expect: …`");
        }
    }
    let failed = scope.report.has_errors();
    let (problems, _) = scope.report.finish();
    if failed { Err(problems) } else { Ok(file.cases) }
}
