//! The gateway under test: the real binary as a process of its own, with a configuration of its own, spoken to
//! over real sockets.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stores::{Home, Store};

pub const KEY: &str = "sk-test-master-key-0123456789";

/// How long anything may take before a test has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a gateway has of its own: a folder with its configuration and its store, or a database in the latter's place
/// where `TAGWAY_TEST_STORE` says `postgres`: scripts/test runs what depends on the store once more that way.
pub struct Folder {
    dir: TempDir,
    database: Option<Home>,
}

impl Folder {
    fn new(env: &[(&str, &str)]) -> Self {
        let chosen = env.iter().any(|(name, _)| matches!(*name, "TAGWAY_DATA_DIR" | "DATABASE_URL"));
        let database = match std::env::var("TAGWAY_TEST_STORE").as_deref() {
            Ok("postgres") if !chosen => Some(Home::new(Store::Postgres)),
            Ok("postgres" | "sqlite") | Err(_) => None,
            Ok(other) => panic!("TAGWAY_TEST_STORE={other}: sqlite or postgres"),
        };
        Self { dir: TempDir::new().unwrap(), database }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// All that the store holds.
    pub fn stored(&self) -> Vec<u8> {
        match &self.database {
            Some(Home::Database(database)) => database.dump().into_bytes(),
            _ => {
                let (mut held, mut folders) = (Vec::new(), vec![self.path().join("data")]);
                while let Some(folder) = folders.pop() {
                    for entry in std::fs::read_dir(folder).unwrap() {
                        let path = entry.unwrap().path();
                        if path.is_dir() {
                            folders.push(path)
                        } else {
                            held.extend(std::fs::read(path).unwrap())
                        }
                    }
                }
                held
            }
        }
    }
}

impl From<TempDir> for Folder {
    /// One that has its configuration, and perhaps a store, already.
    fn from(dir: TempDir) -> Self {
        Self { dir, database: None }
    }
}

/// A running gateway; stopped when dropped.
pub struct Gateway {
    child: Child,
    pub url: String,
    pub dir: Arc<Folder>,
    pub client: Client,
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Gateway {
    /// Starts one with this config; `general_settings.master_key` is to be [`KEY`] if the test uses keys.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[], &[])
    }

    /// Starts one with more arguments and environment variables.
    pub fn start_with(config: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = Folder::new(env);
        std::fs::write(dir.path().join("config.yaml"), config).unwrap();
        Self::start_in(Arc::new(dir), args, env)
    }

    /// Starts one on the configuration and the store of another that has ended: `dir` is a clone of its own.
    pub fn start_in(dir: Arc<Folder>, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = command();
        command
            .arg("--config")
            .arg(dir.path().join("config.yaml"))
            .args(["--host", "127.0.0.1", "--port", "0"])
            .env("TAGWAY_DATA_DIR", dir.path().join("data"))
            .envs(dir.database.as_ref().map(Home::env))
            .args(args)
            .envs(env.iter().copied().filter(|(_, value)| !value.is_empty()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A variable without a value is one that is not set.
        for (name, _) in env.iter().filter(|(_, value)| value.is_empty()) {
            command.env_remove(name);
        }
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        let again = send.clone();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut early = Vec::new();
        let url = loop {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                let mut errors = String::new();
                child.kill().unwrap();
                child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                panic!("the gateway did not start:\n{errors}");
            };
            if let Some((_, url)) = line.split_once("serves on ") {
                break url.split(|c: char| c.is_whitespace() || c == '"').next().unwrap().to_owned();
            }
            // What was said before is there to be waited for as well.
            early.push(line);
        };
        early.into_iter().for_each(|line| again.send(line).unwrap());
        drop(again);
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        Self { child, url, dir, client, lines: Mutex::new(lines) }
    }

    /// Waits for a log line that holds `text`.
    pub fn log(&self, text: &str) -> String {
        let lines = self.lines.lock().unwrap();
        loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no log line holds {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("config.yaml")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended and gives its exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Waits until the process has ended and gives its folder, for another to start in.
    pub fn stopped(mut self) -> Arc<Folder> {
        self.child.wait().unwrap();
        Arc::clone(&self.dir)
    }

    /// Ends it in good order and gives everything it has logged.
    pub fn ended_with_log(mut self) -> String {
        self.signal("TERM");
        self.child.wait().unwrap();
        let mut logged: String =
            self.lines.lock().unwrap().iter().flat_map(|line| [line, "\n".to_owned()]).collect();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        logged
    }

    /// A POST with the master key.
    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(KEY).json(body)
    }

    /// A GET with the master key.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(KEY)
    }

    /// A chat request for `model`, with more fields.
    pub fn chat(&self, model: &str, more: Value) -> RequestBuilder {
        self.post("/v1/chat/completions", &chat_body(model, more))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary, without this process's environment of settings.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tagway"));
    for name in [
        "LITELLM_MASTER_KEY",
        "TAGWAY_MASTER_KEY",
        "CONFIG_FILE_PATH",
        "PORT",
        "RUST_LOG",
        "OPENAI_API_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "REDIS_HOST",
        "TAGWAY_API_KEY",
        "TAGWAY_URL",
        "TAGWAY_SALT_KEY",
        "LITELLM_SALT_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

pub fn chat_body(model: &str, more: Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// What tests ask of answers.
pub trait Answered {
    fn header(&self, name: &str) -> &str;
    /// The deployment that answered.
    fn deployment(&self) -> &str;
}

impl Answered for Response {
    fn header(&self, name: &str) -> &str {
        self.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn deployment(&self) -> &str {
        self.header("x-litellm-model-id")
    }
}

/// The status, and the error's JSON.
pub async fn error(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// One line of a deployment of `model_list`.
pub fn deployment(model_name: &str, id: &str, params: &str) -> String {
    format!("  - {{model_name: {model_name}, litellm_params: {{{params}}}, model_info: {{id: {id}}}}}\n")
}

/// A whole config: deployments, then more.
pub fn config(deployments: &[String], more: &str) -> String {
    format!(
        "model_list:\n{}general_settings:\n  master_key: {KEY}\n{}",
        deployments.concat(),
        if more.is_empty() {
            "router_settings: {enable_tag_filtering: true, num_retries: 0}\n"
        } else {
            more
        }
    )
}

/// A deployment of a fake upstream.
pub fn at(model_name: &str, id: &str, url: &str, tags: &str) -> String {
    deployment(
        model_name,
        id,
        &format!("model: openai/gpt-4o, api_base: \"{url}/v1\", api_key: sk-upstream, tags: {tags}"),
    )
}
