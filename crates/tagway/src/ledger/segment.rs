//! One file of the journal: a head that tells how far it has been shipped, and entries behind it. One writer appends,
//! one reader follows; both may be in the same process. Knows no receipts.

use std::collections::hash_map;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, End, Frame, Next};

/// The format, and how far all has been shipped.
const HEAD: u64 = 16;
/// Its last byte is the version of what entries say: another one where [`crate::receipt::Receipt`] gains or loses a
/// field.
const FORMAT: [u8; 8] = *b"tagway\x00\x04";
/// The same, but that no entry ends like another one: read as well.
const BEFORE: [u8; 8] = *b"tagway\x00\x03";
/// This much is read at once, and more where one entry is longer.
const CHUNK: u64 = 1 << 20;

/// The writing end.
#[derive(Debug)]
pub(super) struct Pen {
    file: File,
    /// Up to here stand whole entries.
    len: u64,
    /// The file holds part of an entry that could not be taken back.
    torn: bool,
}

impl Pen {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        let head = [FORMAT, HEAD.to_le_bytes()].concat();
        if let Err(error) = file.write_all(&head) {
            // An empty file that nobody can use is not to stay.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self { file, len: HEAD, torn: false })
    }

    /// Appends an entry: it has reached the system's page cache when this returns.
    ///
    /// # Errors
    /// It could not be written; nothing of it stays.
    pub(super) fn write(&mut self, frame: &Frame) -> io::Result<()> {
        if self.torn {
            self.take_back()?;
        }
        if let Err(error) = self.file.write_all(frame.bytes()) {
            self.torn = true;
            // What is still torn now is tried again before the next entry.
            let _ = self.take_back();
            return Err(error);
        }
        self.len += frame.len();
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.torn = false;
        Ok(())
    }

    /// As after a write that failed.
    #[cfg(test)]
    pub(super) fn tear(&mut self) {
        self.torn = true;
    }

    /// How long the file is, up to its last whole entry.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A handle to make durable what was written so far.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) entries: Vec<Entry>,
    /// What is no entry, or not what was written.
    pub(super) damaged: Vec<Vec<u8>>,
    /// Bytes passed, these and those.
    pub(super) bytes: u64,
}

/// What an entry says.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// All of it, or what is its own.
    pub(super) own: Vec<u8>,
    /// The end that it has in common with others of its file.
    pub(super) end: Option<Arc<[u8]>>,
}

impl Entry {
    /// All of it.
    pub(super) fn whole(&self) -> Vec<u8> {
        [&self.own[..], self.end.as_deref().unwrap_or_default()].concat()
    }
}

/// The reading end.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    /// Up to here all has been shipped.
    shipped: u64,
}

impl Segment {
    /// Opens a file; `None` for one that is no journal's.
    pub(super) fn open(path: PathBuf) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let mut head = [0; HEAD as usize];
        match file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let Some((format, shipped)) = head.split_first_chunk::<8>() else { return Ok(None) };
        let Ok(shipped) = shipped.try_into().map(u64::from_le_bytes) else { return Ok(None) };
        let is_known = [FORMAT, BEFORE].contains(format);
        Ok((is_known && HEAD <= shipped).then_some(Self { path, file, shipped }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How long the file is now.
    pub(super) fn file_len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// How many bytes before `end` are still to be shipped.
    pub(super) fn left(&self, end: u64) -> u64 {
        end.saturating_sub(self.shipped)
    }

    /// Reads entries between what was shipped and `end` until there are `most`. With `whole`, nothing is written
    /// behind `end` any more: what is cut there stays so. Gives where it stopped.
    pub(super) fn read(&self, end: u64, whole: bool, most: usize, found: &mut Found) -> io::Result<u64> {
        let mut at = self.shipped;
        let mut chunk = CHUNK;
        let mut ends = foldhash::HashMap::<End, Option<Arc<[u8]>>>::default();
        while at < end && found.entries.len() < most {
            let length = usize::try_from(chunk.min(end - at)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, at)?;
            let last = at + length as u64 == end;
            let mut inside = 0;
            loop {
                if most <= found.entries.len() {
                    break;
                }
                match frame::next(&bytes, inside) {
                    Next::Entry(span) => {
                        inside = span.end;
                        if !span.is_empty() {
                            found.entries.push(Entry { own: bytes[span].to_vec(), end: None });
                        }
                    }
                    Next::Like(span, end) => {
                        inside = span.end;
                        let own = bytes[span].to_vec();
                        let end = match ends.entry(end) {
                            hash_map::Entry::Occupied(known) => known.into_mut(),
                            hash_map::Entry::Vacant(new) => new.insert(self.end(end)?),
                        };
                        match end {
                            Some(end) => found.entries.push(Entry { own, end: Some(Arc::clone(end)) }),
                            None => found.damaged.push(own),
                        }
                    }
                    Next::Damaged(span) => {
                        inside = span.end;
                        found.damaged.push(bytes[span].to_vec());
                    }
                    Next::Lost => {
                        // Nothing behind it can be found again.
                        let from = at + inside as u64;
                        let mut rest = vec![0; usize::try_from(end - from).unwrap_or(usize::MAX)];
                        self.file.read_exact_at(&mut rest, from)?;
                        found.damaged.push(rest);
                        found.bytes += end - self.shipped;
                        return Ok(end);
                    }
                    Next::Cut if last && whole => {
                        // The process ended within a write: no answer waited for what it began.
                        tracing::info!(bytes = bytes.len() - inside, "the journal ends in half an entry");
                        found.bytes += end - self.shipped;
                        return Ok(end);
                    }
                    Next::Cut | Next::End => break,
                }
            }
            at += inside as u64;
            // One entry is longer than what was read.
            chunk = if inside == 0 { chunk * 2 } else { CHUNK };
            if inside == 0 && last {
                break;
            }
        }
        found.bytes += at - self.shipped;
        Ok(at)
    }

    /// The end of an entry, where there is one and it is what was written.
    fn end(&self, End { at, from }: End) -> io::Result<Option<Arc<[u8]>>> {
        let mut bytes = vec![0; frame::LEAD];
        if !self.fill(&mut bytes, at.into())? {
            return Ok(None);
        }
        let Some(length) = frame::length(&bytes) else { return Ok(None) };
        bytes.resize(frame::LEAD + length, 0);
        if !self.fill(&mut bytes, at.into())? {
            return Ok(None);
        }
        let Next::Entry(span) = frame::next(&bytes, 0) else { return Ok(None) };
        Ok(bytes[span].get(from as usize..).map(Arc::from))
    }

    /// Reads what stands at a place; says whether the file is long enough.
    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<bool> {
        match self.file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| true),
        }
    }

    /// Notes that all before `at` has been shipped: it is not read again, by this process or the next.
    pub(super) fn forget(&mut self, at: u64) -> io::Result<()> {
        // Whatever the disk says: this process need not ship it twice.
        self.shipped = at;
        self.file.write_all_at(&at.to_le_bytes(), FORMAT.len() as u64)
    }
}
