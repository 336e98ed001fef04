//! Layers are written as they say, and what is hostile in them is refused with a reason.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::{Tar, unpack_to};
use proffer_image::{Compression, Limits, UnpackError};
use proptest::prelude::*;
use tar::EntryType;

fn unpacked(content: &[u8]) -> (tempfile::TempDir, Result<proffer_image::Unpacked, UnpackError>) {
    let dir = tempfile::tempdir().unwrap();
    let result = unpack_to(dir.path(), content, Compression::Gzip, &Limits::default());
    (dir, result)
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn modes_times_and_links_are_kept() {
    let archive = Tar::default()
        .directory("bin/", 0o1777)
        .entry(EntryType::Regular, "bin/su", "", b"program", 0o4755)
        .symlink("bin/sh", "/nowhere/at/all")
        .hard_link("bin/su2", "./bin/su")
        .entry(EntryType::Fifo, "bin/pipe", "", b"", 0o622);
    let (dir, result) = unpacked(&archive.done());
    assert_eq!(result.unwrap().implicit, [Vec::<u8>::new()]);
    let bin = dir.path().join("bin");
    let program = fs::metadata(bin.join("su")).unwrap();
    assert_eq!(
        (program.mode() & 0o7777, program.nlink(), program.mtime()),
        (0o4755, 2, 1_000_000_000)
    );
    assert_eq!(fs::read(bin.join("su2")).unwrap(), b"program");
    assert_eq!(
        fs::read_link(bin.join("sh")).unwrap(),
        Path::new("/nowhere/at/all")
    );
    let pipe = fs::symlink_metadata(bin.join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o7777 == 0o622);
    let directory = fs::metadata(&bin).unwrap();
    assert_eq!(
        (directory.mode() & 0o7777, directory.mtime()),
        (0o1777, 1_000_000_000)
    );
}

#[test]
fn an_archive_may_end_with_the_last_byte_of_its_last_file() {
    let mut archive = Tar::default().file("a", b"12345").0;
    archive.truncate(512 + 5);
    let (dir, result) = unpacked(&archive);
    result.unwrap();
    assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"12345");
}

#[test]
fn a_directory_that_may_not_be_written_is_filled_all_the_same() {
    let archive = Tar::default()
        .directory("a/", 0o555)
        .file("a/b", b"x")
        .directory("a/c/", 0)
        .file("a/c/d", b"y");
    let (dir, result) = unpacked(&archive.done());
    result.unwrap();
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o7777, 0o555);
    fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("a/c"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read(dir.path().join("a/c/d")).unwrap(), b"y");
}

#[test]
fn whiteouts_take_the_form_of_overlayfs() {
    let archive = Tar::default()
        .file("etc/.wh.gone", b"")
        .file("var/.wh..wh..opq", b"")
        .file("var/new", b"x")
        // Of a directory that is there again: the old one's content is gone.
        .file(".wh.srv", b"")
        .directory("srv/", 0o755)
        .file(".wh.kept", b"")
        .file("kept", b"here")
        .file(".wh..wh.plnk/1.2", b"");
    let (dir, result) = unpacked(&archive.done());
    assert!(!result.unwrap().hides_below);
    let gone = fs::symlink_metadata(dir.path().join("etc/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = match rustix::process::geteuid().is_root() {
        true => "trusted.overlay.opaque",
        false => "user.overlay.opaque",
    };
    assert_eq!(
        xattr(&dir.path().join("var"), opaque).as_deref(),
        Some(b"y".as_slice())
    );
    assert_eq!(
        xattr(&dir.path().join("srv"), opaque).as_deref(),
        Some(b"y".as_slice())
    );
    assert_eq!(xattr(&dir.path().join("etc"), opaque), None);
    assert_eq!(fs::read(dir.path().join("kept")).unwrap(), b"here");
    assert!(!dir.path().join(".wh..wh.plnk").exists());

    let (_dir, result) = unpacked(&Tar::default().file(".wh..wh..opq", b"").done());
    assert!(result.unwrap().hides_below);
}

#[test]
fn capabilities_are_kept_and_what_overlayfs_reads_is_not() {
    // struct vfs_cap_data, revision 2: CAP_NET_RAW permitted; with a line end in it.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Tar::default()
        .pax(&[
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"a\nb"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.security.selinux", b"x"),
        ])
        .file("ping", b"x");
    let (dir, result) = unpacked(&archive.done());
    result.unwrap();
    let ping = dir.path().join("ping");
    if rustix::process::geteuid().is_root() {
        assert_eq!(
            xattr(&ping, "security.capability").as_deref(),
            Some(capability.as_slice())
        );
    }
    assert_eq!(xattr(&ping, "user.note").as_deref(), Some(b"a\nb".as_slice()));
    assert_eq!(xattr(&ping, "user.overlay.opaque"), None);
    assert_eq!(xattr(&ping, "trusted.overlay.redirect"), None);
}

#[test]
fn names_longer_than_a_header_are_read_in_both_forms() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let gnu = Tar::default()
        .entry(
            EntryType::GNULongName,
            "././@LongLink",
            "",
            format!("{long}\0").as_bytes(),
            0o644,
        )
        .file("short", b"gnu");
    let pax = Tar::default()
        .pax(&[("path", long.as_bytes()), ("mtime", b"7.5")])
        .file("short", b"pax");
    for (archive, content) in [(gnu, "gnu"), (pax, "pax")] {
        let (dir, result) = unpacked(&archive.done());
        result.unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(&long)).unwrap(), content);
    }
}

/// GNU tar writes what this reads.
#[test]
fn sparse_files_of_every_form_keep_their_holes() {
    let source = tempfile::tempdir().unwrap();
    let file = fs::File::create(source.path().join("sparse")).unwrap();
    // More pieces than fit one header.
    for piece in 0..40_u64 {
        std::os::unix::fs::FileExt::write_all_at(&file, b"data", piece << 20).unwrap();
    }
    file.set_len(64 << 20).unwrap();
    for form in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let archive = Command::new("tar")
            .arg("-cS")
            .args(form)
            .arg("-C")
            .arg(source.path())
            .arg("sparse")
            .output()
            .unwrap();
        let (dir, result) = unpacked(&archive.stdout);
        result.unwrap_or_else(|error| panic!("{form:?}: {error}"));
        let written = dir.path().join("sparse");
        assert!(
            fs::read(&written).unwrap() == fs::read(source.path().join("sparse")).unwrap(),
            "{form:?}"
        );
        assert!(
            fs::metadata(&written).unwrap().blocks() * 512 < 8 << 20,
            "{form:?}"
        );
    }
}

/// A tree to be packed: files with content and mode, links, and directories.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(Vec<u8>, u32),
    Directory(u32),
    Link(String),
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Node>> {
    let name = "[a-c\\. ]{1,3}".prop_filter("a plain name", |name| !matches!(name.as_str(), "." | ".."));
    let path = prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"));
    let node = prop_oneof![
        (prop::collection::vec(any::<u8>(), 0..2000), 0_u32..0o10000)
            .prop_map(|(data, mode)| Node::File(data, mode)),
        (0_u32..0o10000).prop_map(Node::Directory),
        "[a-z./]{1,20}".prop_map(Node::Link),
    ];
    prop::collection::btree_map(path, node, 0..12).prop_map(|nodes| {
        // Whatever something lies below is a directory.
        let below = |path: &str| nodes.keys().any(|other| other.starts_with(&format!("{path}/")));
        let fit = |(path, node): (&String, &Node)| match below(path) {
            true => (path.clone(), Node::Directory(0o755)),
            false => (path.clone(), node.clone()),
        };
        nodes.iter().map(fit).collect()
    })
}

fn read_tree(root: &Path, at: &Path, found: &mut BTreeMap<String, Node>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.mode() & 0o7777;
        let node = if metadata.is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            read_tree(root, &path, found);
            Node::Directory(mode)
        } else if metadata.is_symlink() {
            Node::Link(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
        } else {
            Node::File(fs::read(&path).unwrap_or_default(), mode)
        };
        found.insert(name, node);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(tree in trees(), how in prop::sample::select(vec![Compression::None, Compression::Gzip, Compression::Zstd])) {
        let mut archive = Tar::default();
        for (path, node) in &tree {
            archive = match node {
                Node::File(data, mode) => archive.entry(EntryType::Regular, path, "", data, *mode),
                Node::Directory(mode) => archive.directory(path, *mode),
                Node::Link(link) => archive.symlink(path, link),
            };
        }
        let dir = tempfile::tempdir().unwrap();
        let unpacked = unpack_to(dir.path(), &archive.done(), how, &Limits::default()).unwrap();
        let mut found = BTreeMap::new();
        read_tree(dir.path(), dir.path(), &mut found);
        for path in unpacked.implicit {
            found.remove(std::str::from_utf8(&path).unwrap());
        }
        prop_assert_eq!(found, tree);
    }

    /// Any bytes at all: it ends, and nothing is made outside.
    #[test]
    fn no_archive_gets_out(damage in prop::collection::vec((0_usize..4096, any::<u8>()), 1..20)) {
        let around = tempfile::tempdir().unwrap();
        let inside = around.path().join("in");
        fs::create_dir(&inside).unwrap();
        let mut archive = Tar::default()
            .directory("a/", 0o755)
            .symlink("a/l", "../../..")
            .pax(&[("path", b"a/b/c"), ("SCHILY.xattr.user.x", b"y")])
            .file("x", b"data")
            .hard_link("a/h", "a/b/c")
            .done();
        for (at, byte) in damage {
            let at = at % archive.len();
            archive[at] = byte;
            // Most damage would only show as a wrong checksum.
            let block = at / 512 * 512;
            let sum: u32 = (block..block + 512).map(|i| if (148..156).contains(&(i - block)) { 32 } else { u32::from(archive[i]) }).sum();
            archive[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        drop(unpack_to(&inside, &archive, Compression::None, &Limits::default()));
        prop_assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1);
    }
}

#[test]
fn the_directory_itself_may_not_be_a_link() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/", dir.path().join("l")).unwrap();
    let archive = Tar::default().file("a", b"").done();
    assert!(
        unpack_to(
            &dir.path().join("l"),
            &archive,
            Compression::None,
            &Limits::default()
        )
        .is_err()
    );
}
