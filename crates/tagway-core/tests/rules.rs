//! Conditions of rules: what holds, what cannot be answered, and what is refused when it is loaded.

use serde_json::{Value, json};
use tagway_core::rule::{Facts, Owner, Program, TextField};

struct Request {
    headers: Vec<(&'static str, String)>,
    metadata: Value,
    tags: Vec<String>,
    user: &'static str,
    model: &'static str,
    tokens: u64,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            headers: vec![("user-agent", "claude-cli/2.0".into()), ("x-team", "Research".into())],
            metadata: json!({"tier": "gold", "level": 3, "beta": true, "of": {"site": "ber"}, "none": null}),
            tags: vec!["eng".into(), "customer:7".into()],
            user: "u-17",
            model: "gpt-4",
            tokens: 1200,
        }
    }
}

impl Facts for Request {
    fn text(&self, field: TextField) -> &str {
        match field {
            TextField::Path => "/v1/chat/completions",
            TextField::Model => self.model,
            TextField::EndUser => self.user,
            TextField::Id(Owner::Team) => "t-1",
            TextField::Alias(Owner::Key) => "nightly",
            _ => "",
        }
    }

    fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.iter().find(|(known, _)| name == known).map(|(_, value)| value.as_str())
    }

    fn metadata(&self, of: Owner) -> Option<&Value> {
        (of == Owner::Request).then_some(&self.metadata)
    }

    fn tags(&self, of: Owner, each: &mut dyn FnMut(&str) -> bool) {
        if of == Owner::Request {
            let _ = self.tags.iter().any(|tag| each(tag));
        }
    }

    fn stream(&self) -> bool {
        true
    }

    fn tokens(&self) -> u64 {
        self.tokens
    }

    fn contains_pii(&self) -> bool {
        false
    }
}

/// Whether a sound condition holds for the request that all tests know.
fn holds(text: &str) -> Option<bool> {
    Program::compile(text).ok()?.holds(&Request::default()).ok()
}

#[test]
fn what_is_true_of_a_request_holds() {
    for text in [
        r#"request.headers["user-agent"].startsWith("claude-c")"#,
        r#"request.headers["User-Agent"].matches("^claude-(cli|code)/")"#,
        r#"request.headers.host == "x" || request.stream"#,
        r#"has(request.headers.x) == false && "x-team" in request.headers"#,
        r#"request.headers["x-team"].lowerAscii() == "research""#,
        r#"request.model in ["gpt-4", "gpt-5"] && request.path.endsWith("/completions")"#,
        r#"request.metadata.tier == "gold" && request.metadata.level >= 3 && request.metadata.beta"#,
        r#"request.metadata.of["site"] != "fra" && !has(request.metadata.none) && has(request.metadata.of.site)"#,
        r#""eng" in request.tags && request.tags.exists(tag, tag.startsWith("customer:"))"#,
        r#"request.tags.all(tag, size(tag) > 2) && size(request.tags) == 2 && !("x" in key.tags)"#,
        "request.tokens > 1000 && request.tokens < 1.5e3 && !request.contains_pii",
        r#"team.id == "t-1" && team.alias == "" && key.alias != "daily""#,
        r#"request.stream ? request.user == "u-17" : false"#,
        "request.metadata.level in [1, 2, 3] && -1 < request.metadata.level",
        r#"sticky(request.user, "canary") >= 0.0 && sticky(request.user, "canary") < 1.0"#,
    ] {
        assert_eq!(holds(text), Some(true), "{text}");
        assert_eq!(holds(&format!("!({text})")), Some(false), "{text}");
    }
}

#[test]
fn what_is_not_there_cannot_be_answered_unless_something_else_decides() {
    let request = Request { user: "", ..Request::default() };
    for text in [
        r#"request.headers["x-none"] == "a""#,
        r#"request.metadata.level == "gold""#,
        "request.metadata.of.site.deeper",
        r#"team.metadata.tier == "gold""#,
        r#"sticky(request.user, "canary") < 0.05"#,
        r#"request.tags.exists(tag, tag == request.headers["x-none"])"#,
    ] {
        let program = Program::compile(text).unwrap();
        assert!(program.holds(&request).is_err(), "{text}");
        let either = Program::compile(&format!("({text}) || true")).unwrap();
        assert_eq!(either.holds(&request), Ok(true));
        let both = Program::compile(&format!("({text}) && false")).unwrap();
        assert_eq!(both.holds(&request), Ok(false));
    }
    let program = Program::compile(r#"request.headers["x-none"] == "a""#).unwrap();
    assert_eq!(program.holds(&request).unwrap_err().0, "there is no header `x-none`");
}

#[test]
fn a_share_of_users_sticks() {
    let program = Program::compile(r#"sticky(request.user, "gpt-5-canary") < 0.05"#).unwrap();
    let of = |user: u32| {
        let request =
            Request { user: Box::leak(format!("user-{user}").into_boxed_str()), ..Request::default() };
        program.holds(&request).unwrap()
    };
    let chosen: Vec<bool> = (0..20_000).map(of).collect();
    let count = chosen.iter().filter(|chosen| **chosen).count();
    assert!((850..1150).contains(&count), "{count} of 20,000");
    assert!((0..20_000).step_by(97).all(|user| of(user) == chosen[user as usize]));
}

#[test]
fn facts_that_must_be_made_are_made_for_those_who_ask() {
    let asks = |text: &str| {
        let asks = Program::compile(text).unwrap().asks();
        (asks.contains_pii, asks.tokens, asks.metadata)
    };
    assert_eq!(asks("request.stream"), (false, false, false));
    assert_eq!(asks("request.contains_pii && request.stream"), (true, false, false));
    assert_eq!(asks("request.tags.exists(t, request.tokens > 5)"), (false, true, false));
    assert_eq!(asks(r#"request.metadata.a == "b" || team.metadata.a == "b""#), (false, false, true));
    assert_eq!(asks(r#"team.metadata.a == "b""#), (false, false, false));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let mut said = String::new();
    for text in [
        "request.",
        "request.modle == \"x\"",
        "requst.model == \"x\"",
        "request.model",
        "request.model == 3",
        "request.tokens == \"3\"",
        "request.metadata.a == request.metadata.b",
        "request.model.startWith(\"x\")",
        "request.model.startsWith(3)",
        "request.tokens + 1 > 5",
        "request.tags.map(t, t) == []",
        "request.tags.exists_one(t, t == \"x\")",
        "[1, 2].exists(x, x == 1)",
        "request.model.matches(request.user)",
        "request.model.matches(\"(a\")",
        "request.model.matches(\"(a{1000}){1000}\")",
        "has(request.model)",
        "{\"a\": 1}.a == 1",
        "request.user in request.headers",
        "request.model in [request.user]",
        "key",
        "request.headers.a.b == \"x\"",
        "request.stream == request.metadata.a && request.tokens",
        "duration(\"3s\") < duration(\"4s\")",
        "",
    ] {
        let bad = Program::compile(text).unwrap_err();
        said.push_str(&format!(
            "{text}\n  {}: {}\n",
            bad.at.map_or(String::new(), |at| at.to_string()),
            bad.message
        ));
        said.extend(bad.help.map(|help| format!("  = {help}\n")));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_hostile_condition_is_refused_when_it_is_loaded() {
    let deep = format!("{}request.stream{}", "!(".repeat(200), ")".repeat(200));
    let long = vec!["request.stream"; 2000].join(" && ");
    let chain = format!("request{}", ".metadata".repeat(200));
    let choices = format!("{}true", "request.stream ? false : ".repeat(50));
    let nested = "request.tags.exists(a, request.tags.exists(b, request.tags.exists(c, a == b && b == c)))";
    let regexes = vec![r#"request.model.matches("(x+x+)+y")"#; 40].join(" || ");
    for text in [&deep, &long, &chain, &choices, nested, &regexes] {
        let bad = Program::compile(text).unwrap_err();
        assert!(!bad.message.is_empty());
    }
}

#[test]
fn the_dearest_condition_that_is_let_in_keeps_nobody_waiting() {
    let dear = [
        r#"request.tags.exists(a, a.contains("x") || a.startsWith(request.user) || a.endsWith("q"))"#
            .to_owned(),
        vec![r#"request.headers.long.matches("(x+x+)+y")"#; 20].join(" || "),
        vec![r#"request.headers.long.lowerAscii().contains("y")"#; 30].join(" || "),
    ];
    let request = Request {
        tags: (0..256).map(|number| format!("{}{number}", "t".repeat(64))).collect(),
        headers: vec![("long", "x".repeat(1 << 20))],
        ..Request::default()
    };
    for text in dear {
        let program = Program::compile(&text).unwrap();
        let began = std::time::Instant::now();
        assert_eq!(program.holds(&request), Ok(false));
        let took = began.elapsed();
        assert!(took < std::time::Duration::from_millis(250), "{text}: {took:?}");
    }
}

/// Pieces of conditions, in any order: most of it is nothing, some of it almost something.
const PIECES: [&str; 24] = [
    "request", ".", "tags", "model", "exists", "(", ")", "t", ",", "==", "\"a\"", "&&", "||", "!", "?", ":",
    "[", "]", "in", "1", "-", "has", "{", "\\",
];

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_refused_or_answered(
        pieces in proptest::collection::vec(0..PIECES.len(), 0..24), noise in "\\PC{0,12}"
    ) {
        let mut text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        for text in [text.clone(), { text.push_str(&noise); text }] {
            match Program::compile(&text) {
                Ok(program) => {
                    let _ = program.holds(&Request::default());
                }
                Err(bad) => proptest::prop_assert!(!bad.message.is_empty()),
            }
        }
    }
}
