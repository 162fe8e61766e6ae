//! Every file of `examples/` is one that tagway finds nothing to say about, every `curl` command in its head does what the
//! head says, and its route tests pass, and would not if a line of it were missing.

use std::path::{Path, PathBuf};

use reqwest::header::{HeaderName, HeaderValue};

use crate::gateway::{Answered as _, Gateway, PATIENCE, command};

/// The key the examples share, since it is the one of LiteLLM's documents, and one that nothing is said about.
const PUBLIC_KEY: &str = "sk-1234";
const LONG_KEY: &str = "sk-0123456789abcdef0123456789abcdef";

#[test]
fn examples_pass_the_check_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        let copy = dir.path().join(file.file_name().unwrap());
        std::fs::write(&copy, text.replace(PUBLIC_KEY, LONG_KEY)).unwrap();
        let mut check = command();
        for variable in variables(&text) {
            check.env(variable, LONG_KEY);
        }
        let checked = check.arg("check").arg(&copy).args(["--deny", "warnings"]).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{said}");
    }
}

#[tokio::test]
async fn commands_in_the_heads_of_examples_do_what_they_say() {
    for file in examples() {
        let text = std::fs::read_to_string(&file).unwrap();
        let commands = commands(&text);
        if commands.is_empty() {
            // It calls real providers.
            assert!(!variables(&text).is_empty(), "{}: no command to try", file.display());
            continue;
        }
        let gateway = Gateway::start(&text);
        for (words, expected) in commands {
            let at = format!("{}: {words:?}", file.display());
            let got = run(&gateway, &words).await;
            assert!(expected.split(" or ").any(|one| one == got), "{at}: expected {expected}, got {got}");
        }
    }
}

/// Lines without a part in routing: what a mock says, where a provider would be, who may call, what people read, and
/// what stops a ramp, which depends on how requests end.
const NOT_ABOUT_ROUTING: [&str; 6] =
    ["mock_response:", "api_base:", "master_key:", "description:", "owner:", "hold:"];

#[test]
fn route_tests_of_examples_pass_and_fail_when_a_line_is_missing() {
    let mut tried = 0;
    for file in examples() {
        let routes = file.parent().unwrap().join("routes").join(file.file_name().unwrap());
        if !routes.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = tested(&routes, &text);
        assert_eq!(whole.status.code(), Some(0), "{}: {}", routes.display(), said(&whole));
        let lines: Vec<&str> = text.lines().collect();
        let significant = |line: &str| {
            !line.is_empty()
                && !line.starts_with('#')
                && !NOT_ABOUT_ROUTING.iter().any(|it| line.starts_with(it))
        };
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| significant(line.trim())) {
            let left: Vec<&str> = [&lines[..at], &lines[at + 1..]].concat();
            let broken = tested(&routes, &left.join("\n"));
            let at = format!("{}:{}: `{}`", file.display(), at + 1, line.trim());
            assert!(matches!(broken.status.code(), Some(1 | 2)), "{at} is missing, and no test fails");
            tried += 1;
        }
    }
    assert!(100 < tried, "{tried} lines");
}

fn tested(routes: &Path, config: &str) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    std::fs::write(&file, config).unwrap();
    command().arg("test").arg(routes).arg("--config").arg(&file).output().unwrap()
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|it| it == "yaml")).collect();
    assert!(!files.is_empty(), "no examples in {}", folder.display());
    files
}

/// The environment variables a file needs.
fn variables(text: &str) -> Vec<&str> {
    let settings = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let named = settings.iter().filter_map(|line| line.split_once("os.environ/"));
    named.map(|(_, name)| name.trim()).collect()
}

/// The commands in the head, as words, each with the line after it that says what comes back.
fn commands(text: &str) -> Vec<(Vec<String>, String)> {
    let head: Vec<&str> =
        text.lines().take_while(|line| line.starts_with('#')).map(|line| line[1..].trim()).collect();
    let value = |name: &str| {
        let set = head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
        set.trim_matches('\'').to_owned()
    };
    let variables = ["url", "key", "body"].map(|name| (format!("${name}"), value(name)));
    let mut found = Vec::new();
    for pair in head.windows(2) {
        let (Some(command), Some(outcome)) = (pair[0].strip_prefix("curl "), pair[1].strip_prefix("→ "))
        else {
            continue;
        };
        let mut words = words(command);
        for (name, value) in &variables {
            words.iter_mut().filter(|word| *word == name).for_each(|word| word.clone_from(value));
        }
        let outcome = outcome.trim_start_matches("x-litellm-model-id: ");
        found.push((words, outcome.to_owned()));
    }
    let said = head.iter().filter(|line| line.starts_with("→")).count();
    assert_eq!(found.len(), said, "a → line stands below its curl command");
    found
}

/// Splits a command as a shell does, as far as the examples need it: words in quotes are one.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut quote) = (vec![String::new()], None);
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Does what curl would do; gives the deployment that answered, or the status.
async fn run(gateway: &Gateway, words: &[String]) -> String {
    let mut words = words.iter().map(String::as_str);
    let (mut url, mut request_headers, mut body) = (None, Vec::new(), None);
    while let Some(word) = words.next() {
        match word {
            "-i" => {}
            "-H" => request_headers.push(words.next().unwrap().split_once(": ").unwrap()),
            "-d" => body = Some(words.next().unwrap().to_owned()),
            word => url = Some(word.replace("http://localhost:4000", &gateway.url)),
        }
    }
    let mut request = gateway.client.post(url.unwrap()).timeout(PATIENCE).body(body.unwrap());
    for (name, value) in request_headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request = request.header(name, HeaderValue::from_str(value).unwrap());
    }
    let answer = request.send().await.unwrap();
    match answer.deployment() {
        "" => format!("HTTP {}", answer.status().as_u16()),
        deployment => deployment.to_owned(),
    }
}
