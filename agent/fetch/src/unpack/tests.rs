//! Archives as they are made, and as somebody would make them to harm.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;
use crate::place::Cancel;

/// Unpacks into `sandbox` beside a file `outside`, and checks that nothing but the sandbox was touched.
fn unpacked(kind: Kind, archive: &[u8], limits: Limits) -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("outside"), "outside").unwrap();
    let sandbox = dir.path().join("sandbox");
    fs::create_dir(&sandbox).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(archive).unwrap();
    file.rewind().unwrap();
    let (_cancel, cancelled) = Cancel::new();
    let into = Sink::new(Within::open(&sandbox).unwrap(), None, limits, cancelled);
    let result = unpack(kind, file, into);
    let mut beside: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    beside.sort();
    assert_eq!(beside, ["outside", "sandbox"]);
    assert_eq!(fs::read(dir.path().join("outside")).unwrap(), b"outside");
    result.map(|()| dir).map_err(|error| error.to_string())
}

enum Entry<'a> {
    Dir(&'a str),
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
    Other(&'a str, EntryType),
}
use ::tar::EntryType;

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for entry in entries {
        let (name, kind, content, target): (_, _, &[u8], _) = match *entry {
            Entry::Dir(name) => (name, EntryType::Directory, b"", None),
            Entry::File(name, content) => (name, EntryType::Regular, content, None),
            Entry::Link(name, target) => (name, EntryType::Symlink, b"", Some(target)),
            Entry::Hard(name, target) => (name, EntryType::Link, b"", Some(target)),
            Entry::Other(name, kind) => (name, kind, b"", None),
        };
        let mut header = ::tar::Header::new_gnu();
        // As bytes: the builder itself would refuse what we want to see refused.
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(target) = target {
            let field = &mut header.as_old_mut().linkname;
            field[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(name: &str, content: &[u8], mode: u32) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = ::zip::write::SimpleFileOptions::default().unix_permissions(mode);
    writer.start_file(name, options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn every_kind_of_archive_is_unpacked_without_set_user_ids() {
    let plain = tar(&[
        Entry::Dir("./d/"),
        Entry::File("d/f", b"content"),
        Entry::Link("d/l", "../d/f"),
        Entry::Hard("h", "d/f"),
    ]);
    let bzip2 = {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    let archives = [
        (Kind::TarGzip, gzip(&plain)),
        (Kind::TarZstd, zstd::encode_all(plain.as_slice(), 1).unwrap()),
        (Kind::TarBzip2, bzip2),
        (Kind::Tar, plain),
    ];
    for (kind, archive) in archives {
        let dir = unpacked(kind, &archive, Limits::DEFAULT).unwrap();
        let sandbox = dir.path().join("sandbox");
        for name in ["d/f", "d/l", "h"] {
            assert_eq!(
                fs::read(sandbox.join(name)).unwrap(),
                b"content",
                "{kind:?} {name}"
            );
        }
        let mode = fs::metadata(sandbox.join("d/f")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
    let dir = unpacked(Kind::Zip, &zip("a/b", b"zipped", 0o754), Limits::DEFAULT).unwrap();
    let file = dir.path().join("sandbox/a/b");
    assert_eq!(fs::read(&file).unwrap(), b"zipped");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o754);
}

#[test]
fn an_archive_that_reaches_out_is_refused() {
    let cases: [(&[Entry<'_>], &str); 9] = [
        (&[Entry::File("../outside", b"x")], "`..`"),
        (&[Entry::File("/outside", b"x")], "absolute"),
        (&[Entry::Link("l", "/etc")], "out of the directory"),
        (&[Entry::Link("a/l", "../../outside")], "out of the directory"),
        (&[Entry::Link("l", "a/../../outside")], "in its middle"),
        // Through a link of its own, even where that leads to is allowed.
        (
            &[Entry::Dir("d"), Entry::Link("l", "d"), Entry::File("l/f", b"x")],
            "entry `l/f`",
        ),
        (&[Entry::Hard("h", "../outside")], "`..`"),
        (&[Entry::Other("null", EntryType::Char)], "device"),
        (&[Entry::Other("pipe", EntryType::Fifo)], "pipe"),
    ];
    for (entries, why) in cases {
        let error = unpacked(Kind::Tar, &tar(entries), Limits::DEFAULT).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let error = unpacked(Kind::Zip, &zip("../outside", b"x", 0o644), Limits::DEFAULT).unwrap_err();
    assert!(error.contains("`..`"), "{error}");
}

#[test]
fn an_archive_that_is_far_larger_unpacked_is_refused() {
    let zeros = vec![0; 33 << 20];
    let bomb = gzip(&tar(&[Entry::File("zeros", &zeros)]));
    let error = unpacked(Kind::TarGzip, &bomb, Limits::DEFAULT).unwrap_err();
    assert!(error.contains("an archive of its size may"), "{error}");
    let error = unpacked(Kind::Zip, &zip("zeros", &zeros, 0o644), Limits::DEFAULT).unwrap_err();
    assert!(error.contains("an archive of its size may"), "{error}");
    let few = Limits {
        max_entries: 1,
        ..Limits::DEFAULT
    };
    let two = tar(&[Entry::Dir("a"), Entry::Dir("b")]);
    let error = unpacked(Kind::Tar, &two, few).unwrap_err();
    assert!(error.contains("more than 1 files"), "{error}");
    // A name of 33 MiB, which a reader of tar would keep in memory.
    let mut long = ::tar::Header::new_gnu();
    long.set_entry_type(EntryType::GNULongName);
    long.set_size(zeros.len() as u64);
    long.set_cksum();
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.append(&long, zeros.as_slice()).unwrap();
    let error = unpacked(Kind::Tar, &builder.into_inner().unwrap(), Limits::DEFAULT).unwrap_err();
    assert!(error.contains("too long"), "{error}");
}

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof!["[ab]", Just("..".to_owned()), Just(".".to_owned())],
        1..4,
    )
    .prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// `unpacked` looks at what is beside the sandbox; and no link that was made leads out of it.
    #[test]
    fn no_archive_reaches_out(entries in proptest::collection::vec((0..4_u8, name(), name()), 1..8)) {
        let entries: Vec<_> = entries
            .iter()
            .map(|(kind, name, target)| match kind {
                0 => Entry::Dir(name),
                1 => Entry::File(name, b"x"),
                2 => Entry::Link(name, target),
                _ => Entry::Hard(name, target),
            })
            .collect();
        // What came before an entry that is refused was made, so one is unpacked at a time.
        for n in 1..=entries.len() {
            let Ok(dir) = unpacked(Kind::Tar, &tar(&entries[..n]), Limits::DEFAULT) else { break };
            let sandbox = dir.path().join("sandbox").canonicalize().unwrap();
            for name in ["a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "b/a/b"] {
                if let Ok(real) = sandbox.join(name).canonicalize() {
                    prop_assert!(real.starts_with(&sandbox), "{name} leads to {}", real.display());
                }
            }
        }
    }
}
