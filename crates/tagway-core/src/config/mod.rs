//! Configuration: LiteLLM's `config.yaml`, read strictly.

mod model;

pub use model::*;

use std::path::{Path, PathBuf};
/// x
pub trait Host {
    /// x
    fn read(&self, path: &Path) -> std::io::Result<String>;
    /// x
    fn env(&self, name: &str) -> Option<String>;
}
/// x
pub struct Loaded {
    /// x
    pub config: Config,
    /// x
    pub notes: Vec<String>,
    /// x
    pub files: Vec<(PathBuf, String)>,
}
/// x
pub fn load(_path: &Path, _host: &dyn Host) -> Result<Loaded, String> {
    Err("stub".into())
}
