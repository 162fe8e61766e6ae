//! A host of files and variables held in memory.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::panic,
    reason = "each test binary uses a part of it"
)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tagway_core::config::{Host, Loaded, Problems, check, load};

#[derive(Default)]
pub struct Files {
    files: HashMap<PathBuf, String>,
    variables: HashMap<String, String>,
    first: PathBuf,
}

impl Files {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn one(text: &str) -> Self {
        Self::new().file("config.yaml", text).at("config.yaml")
    }

    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn at(mut self, path: &str) -> Self {
        self.first = PathBuf::from(path);
        self
    }

    pub fn load(&self) -> Result<Loaded, Problems> {
        load(&self.first, self)
    }

    pub fn must_load(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// All that is said of it with lints, as a person sees it.
    pub fn linted(&self) -> String {
        match check(&self.first, self) {
            Ok(loaded) => Problems(loaded.notes).to_string(),
            Err(problems) => problems.to_string(),
        }
    }

    /// All that is said of it, as a person sees it.
    pub fn said(&self) -> String {
        match self.load() {
            Ok(loaded) => Problems(loaded.notes).to_string(),
            Err(problems) => problems.to_string(),
        }
    }
}

impl Host for Files {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}
