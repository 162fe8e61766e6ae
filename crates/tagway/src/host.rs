//! The machine tagway runs on, as the configuration reader sees it: files and environment variables.

use std::path::Path;

use tagway_core::config::Host;

/// The real file system and environment.
pub(crate) struct System;

impl Host for System {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}
