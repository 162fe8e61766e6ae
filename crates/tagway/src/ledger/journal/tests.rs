//! The journal on a disk: whoever reads it, whatever was shipped of it, and where it is damaged.

use std::os::unix::fs::FileExt as _;

use super::super::frame::End;
use super::*;

const ALL: usize = 1000;

fn texts(batch: &Batch) -> Vec<String> {
    batch.found.entries.iter().map(|entry| postcard::from_bytes(&entry.whole()).unwrap()).collect()
}

fn write(lanes: &Lanes, lane: usize, text: &str) {
    lanes.append(lane, &Frame::whole(&text, &()).unwrap()).unwrap();
}

/// Reads and forgets.
fn take(folder: &mut Folder, most: usize) -> Vec<String> {
    let batch = folder.read(most).unwrap();
    folder.forget(&batch).unwrap();
    texts(&batch)
}

#[test]
fn what_is_forgotten_is_never_read_again_and_the_rest_survives_its_writer() {
    let root = tempfile::TempDir::new().unwrap();
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 2).unwrap();
    for at in 0..10 {
        write(&lanes, at % 2, &format!("{at}"));
    }
    assert_eq!(take(&mut folder, 3), ["0", "2", "4"]);
    // Read again until it is forgotten.
    assert_eq!(texts(&folder.read(2).unwrap()), ["6", "8"]);
    assert_eq!(texts(&folder.read(2).unwrap()), ["6", "8"]);
    assert!(Folder::orphans(root.path(), "s").unwrap().is_empty(), "it is locked");
    drop((folder, lanes));
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    write(&lanes, 0, "new");
    let old = folder.read(ALL).unwrap();
    assert_eq!((texts(&old), old.own), (["6", "8", "1", "3", "5", "7", "9"].map(Into::into).into(), false));
    folder.forget(&old).unwrap();
    let new = folder.read(ALL).unwrap();
    assert_eq!((texts(&new), new.own), (vec!["new".to_owned()], true));
    assert_eq!(std::fs::read_dir(root.path().join("0")).unwrap().count(), 2, "the lock and one file");
}

#[test]
fn gateways_have_folders_of_their_own_and_read_what_others_left_for_the_same_store() {
    let root = tempfile::TempDir::new().unwrap();
    let (mut one, _one) = Folder::claim(root.path(), "s", 1).unwrap();
    for store in ["s", "another store"] {
        let (_, lanes) = Folder::claim(root.path(), store, 1).unwrap();
        write(&lanes, 0, store);
    }
    let mut orphans = Folder::orphans(root.path(), "s").unwrap();
    assert_eq!(orphans.len(), 1);
    assert_eq!(take(&mut orphans[0], ALL), ["s"]);
    assert!(take(&mut one, ALL).is_empty());
    drop(orphans);
    assert!(Folder::orphans(root.path(), "s").unwrap().is_empty());
    assert_eq!(Folder::orphans(root.path(), "another store").unwrap().len(), 1);
}

#[test]
fn long_files_give_way_to_new_ones() {
    let root = tempfile::TempDir::new().unwrap();
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    let long = "x".repeat(2 << 20);
    for at in 0..9 {
        write(&lanes, 0, &long);
        write(&lanes, 0, &format!("{at}"));
        folder.turn().unwrap();
    }
    assert!(3 <= folder.segments.len());
    folder.sync().unwrap();
    let mut read = Vec::new();
    loop {
        let some = take(&mut folder, 3);
        if some.is_empty() {
            break;
        }
        read.extend(some.into_iter().filter(|text| text.len() < 9));
    }
    assert_eq!(read, (0..9).map(|at| at.to_string()).collect::<Vec<_>>());
    assert_eq!((folder.segments.len(), folder.left().unwrap()), (1, 0));
    folder.close().unwrap();
    assert!(!has_segments(&root.path().join("0")).unwrap());
}

/// Writes one that ends like another one; says whether its file was still written.
fn write_like(lanes: &Lanes, lane: usize, own: &str, place: Place) -> bool {
    lanes.append(lane, &Frame::like(&own, place).unwrap()).unwrap() != Appended::Not
}

/// Writes one that others may end like.
fn write_whole(lanes: &Lanes, lane: usize, own: &str, end: &str) -> Place {
    match lanes.append(lane, &Frame::whole(&own, &end).unwrap()).unwrap() {
        Appended::At(Some(place)) => place,
        other => panic!("{other:?}"),
    }
}

fn pairs(batch: &Batch) -> Vec<(String, String)> {
    batch.found.entries.iter().map(|entry| postcard::from_bytes(&entry.whole()).unwrap()).collect()
}

fn pair(own: &str, end: &str) -> (String, String) {
    (own.to_owned(), end.to_owned())
}

#[test]
fn what_an_entry_ends_like_is_found_whoever_reads_it_and_whatever_was_shipped() {
    let root = tempfile::TempDir::new().unwrap();
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 2).unwrap();
    let eu = write_whole(&lanes, 0, "1", "eu");
    let us = write_whole(&lanes, 0, "2", "us");
    assert!(!write_like(&lanes, 1, "lost", eu), "it is in another file");
    assert!(write_like(&lanes, 0, "3", eu) && write_like(&lanes, 0, "4", us));
    let batch = folder.read(3).unwrap();
    assert_eq!(pairs(&batch), [pair("1", "eu"), pair("2", "us"), pair("3", "eu")]);
    folder.forget(&batch).unwrap();
    drop((folder, lanes));
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    assert!(!write_like(&lanes, 0, "lost", eu), "it is in a file of before");
    let batch = folder.read(ALL).unwrap();
    assert_eq!(pairs(&batch), [pair("4", "us")]);
    folder.forget(&batch).unwrap();
    let long = "x".repeat(5 << 20);
    let place = write_whole(&lanes, 0, &long, "long");
    folder.turn().unwrap();
    assert!(!write_like(&lanes, 0, "lost", place), "its file is full");
}

#[test]
fn an_entry_whose_end_is_damaged_is_damaged_itself() {
    let root = tempfile::TempDir::new().unwrap();
    let (folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    let place = write_whole(&lanes, 0, "1", "end");
    assert!(write_like(&lanes, 0, "2", place));
    write_whole(&lanes, 0, "3", "end");
    let nowhere = Place { end: End { at: 1 << 30, from: 0 }, ..place };
    let beyond = Place { end: End { from: 1 << 30, ..place.end }, ..place };
    let between = Place { end: End { at: place.end.at + 1, ..place.end }, ..place };
    for other in [nowhere, beyond, between] {
        assert!(write_like(&lanes, 0, "4", other));
    }
    write_whole(&lanes, 0, "5", "end");
    drop((folder, lanes));
    let path = root.path().join("0/0.log");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"#", u64::from(place.end.at) + 8 + u64::from(place.end.from) + 1).unwrap();
    let batch = Folder::orphans(root.path(), "s").unwrap()[0].read(ALL).unwrap();
    assert_eq!((pairs(&batch), batch.found.damaged.len()), (vec![pair("3", "end"), pair("5", "end")], 5));
}

#[test]
fn damage_costs_what_is_damaged() {
    let root = tempfile::TempDir::new().unwrap();
    let (folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    for text in ["first", "second", "third"] {
        write(&lanes, 0, text);
    }
    drop((folder, lanes));
    let path = root.path().join("0/0.log");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    // Within the second entry, and the last one cut short.
    file.write_all_at(b"#", 16 + 8 + 7 + 8 + 3).unwrap();
    file.set_len(file.metadata().unwrap().len() - 2).unwrap();
    let mut orphan = Folder::orphans(root.path(), "s").unwrap().remove(0);
    let batch = orphan.read(ALL).unwrap();
    assert_eq!((texts(&batch), batch.found.damaged.len()), (vec!["first".to_owned()], 1));
    orphan.set_aside(&batch.found.damaged[0]).unwrap();
    orphan.forget(&batch).unwrap();
    assert_eq!(orphan.left().unwrap(), 0);
    assert!(!path.exists());
}

#[test]
fn nothing_of_an_entry_that_could_not_be_written_stays() {
    let root = tempfile::TempDir::new().unwrap();
    let (mut folder, lanes) = Folder::claim(root.path(), "s", 1).unwrap();
    write(&lanes, 0, "whole");
    // What a full disk leaves: part of an entry behind the last whole one.
    let file = OpenOptions::new().append(true).open(root.path().join("0/0.log")).unwrap();
    (&file).write_all(b"\x40\0\0\0half").unwrap();
    lanes.lock(0).unwrap().pen.tear();
    write(&lanes, 0, "next");
    assert_eq!(take(&mut folder, ALL), ["whole", "next"]);
}
