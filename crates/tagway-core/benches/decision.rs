//! How long a tag decision takes. Targets: under 150 ns for 2 tags × 10 deployments, under 3 µs for 4 tags ×
//! 10,000 deployments with 1,000 distinct tags; under 5 µs with fifty rules and 1,000 declared tags.
#![expect(clippy::unwrap_used, reason = "a benchmark of a refusal would measure the wrong thing")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tagway_core::config::{TagDeclaration, TagSettings};
use tagway_core::rule::{self, Owner, Program, TextField};
use tagway_core::strategy::{self, Recent, Running};
use tagway_core::tag::{
    Ask, DeploymentTags, Expression, GroupIndex, Members, Origin, RequestTags, Settings, Silent, explain,
};
use tagway_core::vocabulary::{self, Objection, Setter, Setters, Terms, Vocabulary, Watch};

struct Group {
    ids: Vec<String>,
    tags: Vec<Vec<String>>,
    regex: Vec<String>,
}

impl Group {
    /// `size` deployments, each with three of `distinct` tags; every tenth also has a pattern.
    fn new(size: usize, distinct: usize) -> Self {
        let tag = |number: usize| format!("team:{}", number % distinct);
        Self {
            ids: (0..size).map(|at| format!("deployment-{at}")).collect(),
            tags: (0..size).map(|at| vec![tag(at), tag(at * 7 + 1), tag(at * 13 + 2)]).collect(),
            regex: vec!["^User-Agent: claude-code/".to_owned(), r"curl/\d+".to_owned()],
        }
    }

    fn index(&self) -> GroupIndex {
        self.index_with(&[])
    }

    fn index_with(&self, declared: &[TagDeclaration]) -> GroupIndex {
        let deployments: Vec<DeploymentTags<'_>> = (0..self.ids.len())
            .map(|at| DeploymentTags {
                id: &self.ids[at],
                tags: &self.tags[at],
                tag_regex: if at % 10 == 9 { &self.regex } else { &[] },
                allow_fail_open: false,
                enable_tag_filtering: None,
                tier: None,
                region: None,
            })
            .collect();
        GroupIndex::build(
            &Settings { enable_tag_filtering: true, ..Settings::default() },
            declared,
            &deployments,
        )
    }
}

fn tags<'a>(given: &[(&'a str, Origin)]) -> RequestTags<'a> {
    let mut tags = RequestTags::new();
    given.iter().for_each(|&(tag, origin)| tags.push(tag, origin));
    tags
}

fn decisions(c: &mut Criterion) {
    let small = Group::new(10, 8).index();
    let large_group = Group::new(10_000, 1_000);
    let large = large_group.index();
    let two = tags(&[("team:3", Origin::Body), ("!team:5", Origin::Body)]);
    let four = tags(&[
        ("team:3", Origin::Body),
        ("team:500", Origin::Body),
        ("!team:7", Origin::Body),
        ("&team:22", Origin::Body),
    ]);
    let inherited = tags(&[("team:3", Origin::Key), ("team:500", Origin::Team), ("!team:7", Origin::Body)]);
    let agent = Some("claude-code/1.2.3 (external, cli)");
    let expression = Expression::parse("team:3 or team:500 and not (team:7 or team:9)").unwrap();
    let expressions = [(&expression, Origin::Key)];
    let narrowed = tags(&[("team:3", Origin::Body)]);
    let cases = [
        ("2 tags x 10 deployments", &small, Ask::new(&two)),
        ("2 tags + pattern x 10 deployments", &small, Ask { user_agent: agent, ..Ask::new(&two) }),
        ("4 tags x 10,000 deployments", &large, Ask::new(&four)),
        ("boundary x 10,000 deployments", &large, Ask::new(&inherited)),
        ("expression x 10,000 deployments", &large, Ask { expressions: &expressions, ..Ask::new(&narrowed) }),
    ];
    for (name, index, ask) in cases {
        index.decide(&ask, index.all(), &mut Silent).unwrap();
        c.bench_function(name, |b| {
            b.iter(|| black_box(index).decide(black_box(&ask), index.all(), &mut Silent))
        });
    }
    c.bench_function("explain 2 tags x 10 deployments", |b| {
        b.iter(|| explain(black_box(&small), black_box(&Ask::new(&two)), small.all(), "m"));
    });
    c.bench_function("resolve 2 tags", |b| {
        b.iter(|| tags(black_box(&[("team:3", Origin::Body), ("!team:5", Origin::Body)])));
    });
    c.bench_function("build 10,000 deployments", |b| b.iter(|| black_box(&large_group).index()));
}

/// What a request is for rules, in a benchmark.
struct Facts {
    agent: &'static str,
}

impl rule::Facts for Facts {
    fn text(&self, field: TextField) -> &str {
        if field == TextField::EndUser { "user-17" } else { "gpt-4" }
    }

    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        (*name == http::header::USER_AGENT).then_some(self.agent)
    }

    fn metadata(&self, _: Owner) -> Option<&serde_json::Value> {
        None
    }

    fn tags(&self, _: Owner, each: &mut dyn FnMut(&str) -> bool) {
        let _ = ["team:3", "customer:17"].iter().any(|tag| each(tag));
    }

    fn stream(&self) -> bool {
        true
    }

    fn tokens(&self) -> u64 {
        1000
    }

    fn contains_pii(&self) -> bool {
        false
    }
}

/// Hears nothing, and has room for everything.
struct Deaf;

impl Watch for Deaf {
    fn has_room(&mut self, _: &str, _: &str, _: u64) -> bool {
        true
    }

    fn hear(&mut self, _: &Objection, _: vocabulary::Outcome) {}
}

/// Fifty rules, the check of the tags, and a decision among a thousand declared tags.
fn rules(c: &mut Criterion) {
    let conditions = [
        r#"request.headers["user-agent"].startsWith("claude-c")"#,
        r#"request.model in ["gpt-4", "gpt-5"] && request.stream"#,
        r#"request.user != "" && sticky(request.user, "canary") < 0.05"#,
        r#"request.tags.exists(tag, tag.startsWith("customer:"))"#,
        r#"request.tokens > 8000 || "batch" in request.tags"#,
    ];
    let programs: Vec<Program> =
        (0..50).filter_map(|at| Program::compile(conditions[at % conditions.len()]).ok()).collect();
    let facts = Facts { agent: "curl/8.5.0" };
    let set_by: Setters = [Setter::Caller, Setter::Rule].into_iter().collect();
    let values: Vec<String> = (0..20).map(|value| value.to_string()).collect();
    let declared: Vec<TagDeclaration> = (0..1000)
        .map(|at| {
            let (name, terms) = match at % 2 {
                0 => (format!("team:{}", at / 2), Terms { set_by: Some(set_by), ..Terms::default() }),
                _ if at == 1 => {
                    ("customer:*".to_owned(), Terms { values: values.clone(), ..Terms::default() })
                }
                _ => (format!("customer:{at}:*"), Terms { max_values: Some(10), ..Terms::default() }),
            };
            TagDeclaration { name, terms, ..TagDeclaration::default() }
        })
        .collect();
    let vocabulary = Vocabulary::new(&declared, &TagSettings::default(), &Settings::default(), &[]);
    let index = Group::new(10, 8).index_with(&declared);
    let given = tags(&[("team:3", Origin::Body), ("customer:17", Origin::Body)]);
    c.bench_function("50 rules, and 2 tags x 10 deployments with 1,000 declared tags", |b| {
        b.iter(|| {
            let applied = programs.iter().filter(|rule| rule.holds(black_box(&facts)) == Ok(true)).count();
            let checked = black_box(&vocabulary).check(&mut given.clone(), None, 1, &mut Deaf);
            (
                applied,
                checked.is_ok(),
                black_box(&index).decide(&Ask::new(&given), index.all(), &mut Silent).is_ok(),
            )
        });
    });
}

/// What a strategy adds to a decision.
fn strategies(c: &mut Criterion) {
    let among = Members::all(10);
    let weight = |_: usize, place: usize| Some(f64::from(u32::try_from(place).unwrap_or(0)));
    let took = |place: usize| Recent { took: Some(1.0 / (place as f32 + 1.0)), in_progress: 1 };
    let running = |place: usize| Running { takes: Some(place as f32), in_progress: 1 };
    c.bench_function("shuffle 10 candidates", |b| {
        b.iter(|| strategy::shuffle(black_box(&among), 1, weight, black_box(0.7)));
    });
    c.bench_function("least of 10 candidates", |b| {
        b.iter(|| strategy::least(black_box(&among), |place| place / 2, black_box(0.7)));
    });
    c.bench_function("fastest of 10 candidates", |b| {
        b.iter(|| strategy::fastest(black_box(&among), took, 0.1, black_box(0.7)));
    });
    c.bench_function("best of two of 10 candidates", |b| {
        b.iter(|| strategy::best_of_two(black_box(&among), running, black_box([0.7, 0.2, 0.5])));
    });
    c.bench_function("rendezvous of 10 candidates", |b| {
        b.iter(|| strategy::rendezvous(black_box(&among), |place| (place as u64, 1.0), black_box(7)));
    });
}

criterion_group!(benches, decisions, rules, strategies);
criterion_main!(benches);
