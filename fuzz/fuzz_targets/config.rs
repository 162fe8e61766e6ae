//! A configuration file: any bytes load or are refused, and nothing that is printed of them shows a secret,
//! whether it stands in the file or in the environment.
#![no_main]

use std::io;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tagway_core::config::{Host, Problems, check, load};
use tagway_core::snapshot::Snapshot;

/// Stands in the file wherever an input says `key: @`.
const IN_FILE: &str = "sk-planted-0123456789abcdefABCDEF";
/// Stands in the environment only.
const IN_ENV: &str = "planted8Zq1tR7vXw3";

/// One text for every path: a file that includes another includes itself.
struct OneText(Result<String, ()>);

impl Host for OneText {
    fn read(&self, _path: &Path) -> io::Result<String> {
        self.0.clone().map_err(|()| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "KEY" | "MASTER" | "OPENAI_API_KEY" | "LITELLM_MASTER_KEY" => Some(IN_ENV.to_owned()),
            "NUMBER" => Some("7".to_owned()),
            "FLAG" => Some("true".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let text = std::str::from_utf8(data).map_err(|_| ());
    let planted = format!("key: {IN_FILE}");
    let host = OneText(text.map(|text| text.replace("key: @", &planted)));
    let path = Path::new("config.yaml");
    show(match check(path, &host) {
        Ok(loaded) => Problems(loaded.notes),
        Err(problems) => problems,
    });
    show(match load(path, &host) {
        Ok(loaded) => {
            let shown = format!("{:?}", loaded.config.general);
            assert!(!shown.contains(IN_FILE) && !shown.contains(IN_ENV), "Debug shows a secret: {shown}");
            // What loads must compile, too.
            let _ = Snapshot::compile(loaded.config);
            Problems(loaded.notes)
        }
        Err(problems) => {
            assert!(problems.has_errors());
            problems
        }
    });
});

/// Prints problems as people see them; no secret may be among that.
fn show(problems: Problems) {
    let shown = problems.to_string();
    assert!(!shown.contains(IN_FILE), "a secret of the file is shown:\n{shown}");
    assert!(!shown.contains(IN_ENV), "a secret of the environment is shown:\n{shown}");
}
