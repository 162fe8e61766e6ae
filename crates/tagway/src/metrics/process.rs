//! How the process is, as Linux tells: memory, processor time, open files. Elsewhere nothing is told.

use tagway_core::config::MetricRules;
use tagway_core::metrics::{Family, process};

use super::page::Page;

/// Linux counts processor time for programs in hundredths of a second, on every platform there is.
const TICKS: f64 = 100.0;
/// Where a line of `/proc/self/stat` continues behind the program's name, at its third field.
const THIRD: usize = 3;

/// Tells how the process is. Reads a few small files.
pub(crate) fn tell(page: &mut Page, rules: &MetricRules) {
    for (family, value) in figures() {
        if rules.labels(family).is_some() {
            page.begin(family);
            page.number(family, &[], value);
        }
    }
}

fn figures() -> Vec<(&'static Family, f64)> {
    let mut figures = Vec::new();
    let mut add = |family, value: Option<f64>| figures.extend(value.map(|value| (family, value)));
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold spaces and brackets.
    let stat: Vec<&str> = stat.rsplit_once(") ").map_or(Vec::new(), |(_, rest)| rest.split(' ').collect());
    let field = |number: usize| stat.get(number - THIRD)?.parse::<f64>().ok();
    add(&process::CPU, field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    add(&process::RESIDENT, kilobytes("VmRSS:").map(|size| size * 1024.0));
    add(&process::VIRTUAL, kilobytes("VmSize:").map(|size| size * 1024.0));
    let open = std::fs::read_dir("/proc/self/fd").ok().and_then(|files| u32::try_from(files.count()).ok());
    // The folder itself is open while it is read.
    add(&process::OPEN_FDS, open.map(|open| f64::from(open.saturating_sub(1))));
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    add(&process::MOST_FDS, files.and_then(|files| files.split_whitespace().next()?.parse().ok()));
    let booted = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    add(&process::STARTED, booted.zip(field(22)).map(|(booted, after)| booted + after / TICKS));
    figures
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_all_of_it() {
        let figures = figures();
        assert_eq!(figures.len(), 6);
        let of = |family: &Family| figures.iter().find(|(told, _)| *told == family).unwrap().1;
        assert!(of(&process::RESIDENT) > 1e6 && of(&process::OPEN_FDS) > 2.0);
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
            - of(&process::STARTED);
        assert!((-2.0..1000.0).contains(&age), "{age}");
    }
}
