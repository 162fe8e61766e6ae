//! A Valkey (or Redis) of one test's own, which it may stop and start again. What it knew is gone then.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::gateway::PATIENCE;

pub struct Valkey {
    folder: TempDir,
    pub port: u16,
    more: Vec<String>,
    server: Option<Child>,
}

impl Valkey {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments; `{port}` in them is its port.
    pub fn start_with(more: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let more = more.iter().map(|text| text.replace("{port}", &port.to_string())).collect();
        let mut valkey = Self { folder: TempDir::new().unwrap(), port, more, server: None };
        valkey.up();
        valkey
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it, or starts it again.
    pub fn up(&mut self) {
        let mut command = Command::new(program("server"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--dir").arg(self.folder.path()).stdout(Stdio::null());
        if !self.more.iter().any(|text| text == "--port") {
            command.args(["--port", &self.port.to_string()]);
        }
        self.server = Some(command.args(&self.more).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "Valkey does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a crash does.
    pub fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        self.down();
    }
}

/// Valkey's program of this name, or Redis'.
pub fn program(name: &str) -> String {
    let there = |program: &String| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let programs = ["valkey", "redis"].map(|kind| format!("{kind}-{name}"));
    programs
        .into_iter()
        .find(there)
        .unwrap_or_else(|| panic!("neither valkey-{name} nor redis-{name} is installed"))
}
