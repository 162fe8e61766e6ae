//! Metrics of the process, by the names that Prometheus's clients use.

use super::Kind::{Counter, Gauge};
use super::{Family, family};

/// `process_cpu_seconds_total`
pub const CPU: Family =
    family("process_cpu_seconds_total", Counter, &[], "Time of processors used, in seconds.");
/// `process_resident_memory_bytes`
pub const RESIDENT: Family = family("process_resident_memory_bytes", Gauge, &[], "Resident memory in bytes.");
/// `process_virtual_memory_bytes`
pub const VIRTUAL: Family = family("process_virtual_memory_bytes", Gauge, &[], "Virtual memory in bytes.");
/// `process_open_fds`
pub const OPEN_FDS: Family = family("process_open_fds", Gauge, &[], "Open file descriptors.");
/// `process_max_fds`
pub const MOST_FDS: Family =
    family("process_max_fds", Gauge, &[], "File descriptors that may be open at most.");
/// `process_start_time_seconds`
pub const STARTED: Family =
    family("process_start_time_seconds", Gauge, &[], "When the process started, in seconds since 1970.");
