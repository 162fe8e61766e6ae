//! `GET /tag/audit`: what is wrong with the vocabulary of tags. Reads the facts, bounded; what follows from them is the
//! core's to say (`tagway_core::audit`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::{Timestamp, ToSpan as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::audit::{self, Broken, Carried, Check, Declared, Facts, Finding, Place, Seen, Weight};
use tagway_core::money::Nanos;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::super::spend::csv::Sheet;
use super::moment;
use crate::live::Current;
use crate::objects::{Key, Tag, Team};
use crate::store::{Dim, SeenTag, Slice, Stored, TagView};
use crate::tags::Violation;

/// No more of each kind of fact is looked at.
const MOST: i64 = 100_000;

/// What is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// What was not used for so many days is not in use.
    #[param(minimum = 1, maximum = 400)]
    days: i32,
    /// As many findings of each check are listed; all are counted.
    #[param(minimum = 1, maximum = 10000)]
    limit: usize,
    /// These checks alone: a comma list of their names.
    only: Option<String>,
    /// `json`, `csv`, or `text` for people; without it the `Accept` header decides.
    #[param(pattern = "^(json|csv|text)$")]
    format: Option<String>,
}

impl Default for Which {
    fn default() -> Self {
        Self { days: 30, limit: 100, only: None, format: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Text,
}

impl Which {
    fn form(&self, headers: &HeaderMap) -> Result<Form, Refusal> {
        match self.format.as_deref() {
            Some("json") => return Ok(Form::Json),
            Some("csv") => return Ok(Form::Csv),
            Some("text") => return Ok(Form::Text),
            Some(_) => {
                return Err(Refusal::field("format", "Invalid format. Must be 'json', 'csv' or 'text'"));
            }
            None => {}
        }
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|one| one.to_str().ok());
        let kinds = accepted.flat_map(|one| one.split(',')).filter_map(|kind| kind.split(';').next());
        let known = kinds.filter_map(|kind| match kind.trim().to_ascii_lowercase().as_str() {
            "application/json" => Some(Form::Json),
            "text/csv" => Some(Form::Csv),
            "text/plain" => Some(Form::Text),
            _ => None,
        });
        Ok(known.into_iter().next().unwrap_or(Form::Json))
    }

    fn checks(&self) -> Result<Vec<Check>, Refusal> {
        let Some(only) = &self.only else { return Ok(Check::ALL.to_vec()) };
        let named = |name: &str| Check::ALL.into_iter().find(|check| check.as_str() == name);
        let names = only.split(',').map(str::trim).filter(|name| !name.is_empty());
        names
            .map(|name| {
                named(name).ok_or_else(|| {
                    let all = Check::ALL.map(Check::as_str).join(", ");
                    Refusal::field("only", format!("There is no check '{name}'. There are {all}"))
                })
            })
            .collect()
    }
}

/// Looks for what is wrong with the vocabulary of tags: declared ones that nobody uses, used ones that nobody has
/// declared, tags that look like one, tags no deployment serves, deployments no tags lead to, idle budgets.
#[utoipa::path(
    get, path = "/tag/audit", tag = "tags", params(Which),
    responses((status = 200, description = "Findings, the most important first", body = Object), Refusals)
)]
pub(super) async fn audit(
    State(shared): State<Shared>,
    actor: Actor,
    headers: HeaderMap,
    Asked(which): Asked<Which>,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let (form, checks) = (which.form(&headers)?, which.checks()?);
    if !(1..=400).contains(&which.days) {
        return Err(Refusal::field("days", "days must be between 1 and 400."));
    }
    if !(1..=10_000).contains(&which.limit) {
        return Err(Refusal::field("limit", "limit must be between 1 and 10000."));
    }
    let read = Read::new(&shared, which.days).await?;
    // Looking takes as long as the facts are many: not on the runtime that answers everybody.
    let looked = tokio::task::spawn_blocking(move || {
        let findings = read.findings();
        (read, findings)
    });
    let (read, mut findings) = looked.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The audit broke off; the log says why.")
    })?;
    findings.retain(|finding| checks.contains(&finding.check));
    let mut told = Told::new(findings, which.limit);
    told.name(&shared).await?;
    Ok(match form {
        Form::Json => Json(told.json(&read)).into_response(),
        Form::Csv => told.sheet().answer("tag-audit.csv"),
        Form::Text => {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            ([(header::CONTENT_TYPE, plain)], told.text()).into_response()
        }
    })
}

/// The facts as they were read.
struct Read {
    current: Arc<Current>,
    stored: Vec<Stored<Tag>>,
    seen: Vec<SeenTag>,
    /// Requests of the days in question by tag, and what they cost.
    by_tag: HashMap<String, (u64, Nanos)>,
    /// … and by deployment.
    by_place: HashMap<String, u64>,
    /// Tag, kind and id.
    carried: Vec<(String, String, String)>,
    budgets: Vec<String>,
    /// What has broken the vocabulary lately, as far as this gateway has met it.
    violations: Vec<Violation>,
    days: i32,
    now: Timestamp,
    since: Timestamp,
    /// Nothing was left out.
    complete: bool,
}

impl Read {
    async fn new(shared: &Shared, days: i32) -> Result<Self, Refusal> {
        let db = &shared.db;
        let now = Timestamp::now();
        let today = now.to_zoned(jiff::tz::TimeZone::UTC);
        let first = today.date().saturating_sub(days.days());
        let since = first.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MIN, |day| day.timestamp());
        let slice = Slice { from: Some(first), most: Some(MOST + 1), ..Slice::default() };
        let stored: Vec<Stored<Tag>> = db.everything().await?;
        let mut seen = db.seen_tags(i64::MIN, i64::MAX, "", MOST + 1).await?;
        let mut carried = db.carried_tags(MOST + 1).await?;
        let mut budgets = db.budgets_of_nobody(MOST).await?;
        let current = shared.live.current();
        // What the configuration refers to is somebody's.
        let given = current.snapshot.config.proxy.customers.budget_id.as_deref();
        budgets.retain(|id| given != Some(id.as_str()));
        let tags = db.activity(&slice, &[Dim::Tag], TagView::Full).await?;
        let places = db.activity(&slice, &[Dim::Deployment], TagView::Full).await?;
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        let complete =
            [seen.len(), carried.len(), tags.len(), places.len()].iter().all(|count| *count <= most);
        seen.truncate(most);
        carried.truncate(most);
        let count = |requests: i64| u64::try_from(requests).unwrap_or(0);
        let named = |at: Vec<Option<String>>| at.into_iter().next().flatten();
        Ok(Self {
            current,
            stored,
            seen,
            by_tag: tags
                .into_iter()
                .filter_map(|(at, sums)| Some((named(at)?, (count(sums.requests), sums.cost))))
                .collect(),
            by_place: places
                .into_iter()
                .filter_map(|(at, sums)| Some((named(at)?, count(sums.requests))))
                .collect(),
            carried,
            budgets,
            violations: shared.violations.recent(),
            days,
            now,
            since,
            complete,
        })
    }

    fn findings(&self) -> Vec<Finding> {
        let snapshot = &self.current.snapshot;
        let config = &snapshot.config;
        let stored: HashMap<&str, &Tag> =
            self.stored.iter().map(|tag| (tag.id.as_str(), &tag.object)).collect();
        let says = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.trim().is_empty());
        let declared = config.tags.iter().map(|tag| {
            let limits = stored.get(tag.name.as_str());
            let shared = limits.is_some_and(|tag| tag.limits.max_budget.is_some() || tag.budget_id.is_some());
            Declared {
                name: &tag.name,
                kind: tag.kind,
                former: &tag.aliases,
                described: says(&tag.description),
                owned: says(&tag.owner),
                budget: tag.budget.max.is_some() || tag.budget.soft.is_some() || shared,
                retires: tag.terms.retirement.as_ref().map(|retirement| (retirement.at, &*retirement.text)),
                replaced_by: tag.terms.replaced_by.as_deref(),
                quarantined: tag.terms.quarantined,
            }
        });
        let broken = self.violations.iter().map(|violation| Broken {
            tag: &violation.tag,
            outcome: violation.outcome.as_str(),
            message: &violation.message,
            count: violation.count,
            last: violation.last_at,
            by: &violation.key,
        });
        let labels: Vec<String> =
            config.proxy.spend_tag_headers.iter().map(|name| format!("{name}: *")).collect();
        let variants = || {
            let variants = snapshot.trials.iter().flat_map(|trial| &trial.experiment.variants);
            variants.map(|variant| &*variant.tag)
        };
        let granted = labels.iter().map(String::as_str).chain(["default"]).chain(variants());
        let seen = self.seen.iter().map(|seen| {
            let (requests, spend) = self.by_tag.get(&seen.tag).copied().unwrap_or_default();
            Seen { name: &seen.tag, last: seen.last_at, requests, spend }
        });
        let carried = self.carried.iter().map(|(tag, kind, id)| Carried { tag, kind, id });
        let facts = Facts {
            declared: declared.collect(),
            seen: seen.collect(),
            carried: carried.collect(),
            derived: config
                .tag_rules
                .iter()
                .flat_map(|rule| rule.add.iter().map(|tag| &**tag))
                .chain(variants())
                .collect(),
            deployments: self.places(),
            budgets: self.budgets.iter().map(String::as_str).collect(),
            granted: granted.collect(),
            hierarchy: config.router.tags.hierarchy,
            prefix: &config.router.tags.prefix,
            broken: broken.collect(),
            now: self.now.as_millisecond(),
            since: self.since.as_millisecond(),
        };
        audit::audit(&facts)
    }

    fn places(&self) -> Vec<Place<'_>> {
        let snapshot = &self.current.snapshot;
        let of_group = |group: &tagway_core::snapshot::Group| -> bool {
            let own = group.deployments.iter().map(|id| &snapshot.deployment(*id).entry.info);
            let own = own.filter_map(|info| info.enable_tag_filtering).next();
            own.unwrap_or(snapshot.config.router.tags.enable_tag_filtering)
        };
        let mut places = Vec::with_capacity(snapshot.deployments.len());
        for group in &snapshot.groups {
            let filtered = of_group(group);
            for id in &group.deployments {
                let entry = &snapshot.deployment(*id).entry;
                places.push(Place {
                    id: &entry.info.id,
                    group: &group.name,
                    tags: &entry.tags,
                    patterns: !entry.tag_regex.is_empty(),
                    filtered,
                    requests: self.by_place.get(&entry.info.id).copied().unwrap_or(0),
                });
            }
        }
        places
    }
}

/// What is told of the findings.
struct Told {
    findings: Vec<Finding>,
    /// Of each check, how many there are, and how many are not listed.
    counts: BTreeMap<Check, u64>,
    left_out: BTreeMap<Check, u64>,
    weights: BTreeMap<Weight, u64>,
}

impl Told {
    fn new(all: Vec<Finding>, limit: usize) -> Self {
        let mut told = Self {
            findings: Vec::new(),
            counts: BTreeMap::new(),
            left_out: BTreeMap::new(),
            weights: BTreeMap::new(),
        };
        for finding in all {
            *told.weights.entry(finding.weight).or_default() += 1;
            let count = told.counts.entry(finding.check).or_default();
            *count += 1;
            if usize::try_from(*count).is_ok_and(|count| count <= limit) {
                told.findings.push(finding);
            } else {
                *told.left_out.entry(finding.check).or_default() += 1;
            }
        }
        told
    }

    /// Names keys and teams for people.
    async fn name(&mut self, shared: &Shared) -> Result<(), Refusal> {
        let ids = |kind: &str| -> Vec<String> {
            let ids = self.findings.iter().filter_map(|finding| finding.subject.strip_prefix(kind));
            let mut ids: Vec<String> = ids.map(str::to_owned).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let keys: Vec<Stored<Key>> = shared.db.find_all(&ids("key ")).await?;
        let teams: Vec<Stored<Team>> = shared.db.find_all(&ids("team ")).await?;
        let keys = keys.into_iter().filter_map(|key| {
            let alias = key.object.key_alias.or(key.object.key_name)?;
            Some((format!("key {}", key.id), format!("key {alias}")))
        });
        let teams = teams.into_iter().filter_map(|team| {
            Some((format!("team {}", team.id), format!("team {}", team.object.team_alias?)))
        });
        let names: HashMap<String, String> = keys.chain(teams).collect();
        for finding in self.findings.iter_mut().filter(|finding| of_owner(finding)) {
            finding.name = names.get(&finding.subject).cloned();
        }
        Ok(())
    }

    fn json(&self, read: &Read) -> Value {
        let named = |counts: &BTreeMap<Check, u64>| -> Map<String, Value> {
            counts.iter().map(|(check, count)| (check.as_str().to_owned(), (*count).into())).collect()
        };
        let weight = |weight: Weight| self.weights.get(&weight).copied().unwrap_or(0);
        json!({
            "generated_at": read.now.to_string(),
            "days": read.days,
            "since": read.since.to_string(),
            "looked_at": {
                "declared_tags": read.current.snapshot.config.tags.len(),
                "seen_tags": read.seen.len(),
                "tags_of_owners": read.carried.len(),
                "deployments": read.current.snapshot.deployments.len(),
                "complete": read.complete,
            },
            "errors": weight(Weight::Error),
            "warnings": weight(Weight::Warning),
            "notes": weight(Weight::Note),
            "counts": named(&self.counts),
            "left_out": named(&self.left_out),
            "findings": self.findings.iter().map(row).collect::<Vec<_>>(),
        })
    }

    fn sheet(&self) -> Sheet {
        const COLUMNS: [&str; 11] = [
            "check",
            "weight",
            "subject",
            "name",
            "tag",
            "similar",
            "message",
            "action",
            "last_used_at",
            "requests",
            "spend",
        ];
        let mut sheet = Sheet::new(&COLUMNS);
        for finding in &self.findings {
            sheet
                .plain(finding.check.as_str())
                .plain(finding.weight.as_str())
                .text(&finding.subject)
                .maybe(finding.name.as_deref())
                .maybe(finding.tag.as_deref())
                .maybe(finding.similar.as_deref())
                .text(&finding.message)
                .plain(format_args!("\"{}\"", finding.check.advice()))
                .maybe(finding.last_used.and_then(moment).as_deref())
                .plain(finding.requests.map_or(String::new(), |count| count.to_string()));
            match finding.spend {
                Some(spend) => sheet.money(spend),
                None => sheet.plain(""),
            };
            sheet.end();
        }
        sheet
    }

    fn text(&self) -> String {
        audit::in_words(&self.findings, &self.left_out, |at| moment(at).unwrap_or_default())
    }
}

fn of_owner(finding: &Finding) -> bool {
    finding.tag.is_some()
}

/// A finding as answers show it.
fn row(finding: &Finding) -> Value {
    let mut row = json!({
        "check": finding.check.as_str(),
        "weight": finding.weight.as_str(),
        "subject": finding.subject,
        "message": finding.message,
        "action": finding.check.advice(),
    });
    let beside = [
        ("name", finding.name.clone().map(Value::from)),
        ("tag", finding.tag.clone().map(Value::from)),
        ("similar", finding.similar.clone().map(Value::from)),
        ("last_used_at", finding.last_used.and_then(moment).map(Value::from)),
        ("requests", finding.requests.map(Value::from)),
        ("spend", finding.spend.map(|spend| spend.dollars().into())),
    ];
    for (name, value) in beside {
        if let (Some(value), Value::Object(row)) = (value, &mut row) {
            row.insert(name.to_owned(), value);
        }
    }
    row
}
