//! The log: text for people or JSON for machines, on standard output. Lines are gathered and written by a thread
//! of their own, so that a request never waits for whoever reads the log.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// A line is written at the latest after this time.
const FLUSH: Duration = Duration::from_millis(20);
/// Room for lines made at the start.
const ROOM: usize = 64 << 10;
/// When the reader of the log is this far behind, requests wait for it: a log that forgets is none.
const TOO_MUCH: usize = 16 << 20;

/// Lines on their way to standard output.
#[derive(Clone)]
struct Lines(Arc<Shared>);

struct Shared {
    gathered: Mutex<Vec<u8>>,
    some: Condvar,
    /// Held while lines are being written, so that a flush can wait for those before it.
    writing: Mutex<()>,
}

impl Shared {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write_out(&self) {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = self.take();
        if !lines.is_empty() {
            let mut out = io::stdout().lock();
            // Nobody can be told that the log cannot be written.
            let _ = out.write_all(&lines).and_then(|()| out.flush());
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let first = gathered.is_empty();
        gathered.extend_from_slice(line);
        let length = gathered.len();
        drop(gathered);
        if first {
            self.0.some.notify_one();
        }
        if TOO_MUCH <= length {
            self.0.write_out();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A line of text an event: time, level, target, message, fields. The library's own format spends more on colours
/// it does not print than on the text, and every request has a line.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let about = event.metadata();
        SystemTime.format_time(&mut line)?;
        write!(line, " {:>5} {}:", about.level().as_str(), about.target())?;
        let mut fields = Fields { line: line.by_ref(), result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        line.write_char('\n')
    }
}

/// Writes fields as `name=value`; text in quotes with its control characters escaped, so that a line stays one.
struct Fields<'w> {
    line: Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let name = field.name();
        let written = if name == "message" {
            write!(self.line, " {value}")
        } else {
            self.line
                .write_char(' ')
                .and_then(|()| self.line.write_str(name))
                .and_then(|()| write!(self.line, "={value}"))
        };
        self.result = self.result.and(written);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, format_args!("{}", itoa::Buffer::new().format(value)));
    }
}

/// Writes what is left when dropped.
pub(crate) struct Log(Lines);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.0.write_out();
    }
}

/// Starts the log. `RUST_LOG` chooses what is logged (default `info`).
pub(crate) fn start(json: bool, verbose: bool) -> io::Result<Log> {
    let lines = Lines(Arc::new(Shared {
        gathered: Mutex::new(Vec::with_capacity(ROOM)),
        some: Condvar::new(),
        writing: Mutex::default(),
    }));
    let default = if verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone()).with_ansi(false);
    if json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        log.event_format(Plain).init();
    }
    let shared = Arc::clone(&lines.0);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        loop {
            let gathered = shared.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            drop(shared.some.wait_while(gathered, |lines| lines.is_empty()));
            // More come while this sleeps, and go out together.
            std::thread::sleep(FLUSH);
            shared.write_out();
        }
    })?;
    Ok(Log(lines))
}
