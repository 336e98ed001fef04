//! Hostile layers, layers past their limits, and layers that are not the ones they should be: each refused with a reason.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proffer_image::{Compression, Limits, PathError, UnpackError, WriteError, unpack};
use tar::EntryType;

use crate::support::{Tar, compress, expected, form, unpack_to};

/// Every archive here is refused, and nothing is written beside the directory it was unpacked to.
#[test]
fn hostile_archives_are_refused_with_a_reason() {
    type Check = fn(&UnpackError) -> bool;
    let path = |path: &str| Tar::default().file(path, b"x").done();
    let cases: Vec<(&str, Vec<u8>, Check)> = vec![
        ("parent", path("../out"), |e| {
            matches!(
                e,
                UnpackError::Path {
                    reason: PathError::Parent,
                    ..
                }
            )
        }),
        ("parent within", path("a/../../out"), |e| {
            matches!(
                e,
                UnpackError::Path {
                    reason: PathError::Parent,
                    ..
                }
            )
        }),
        ("absolute", path("/out"), |e| {
            matches!(
                e,
                UnpackError::Path {
                    reason: PathError::Absolute,
                    ..
                }
            )
        }),
        (
            "absolute in pax",
            Tar::default().pax(&[("path", b"/out")]).file("a", b"").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Path {
                        reason: PathError::Absolute,
                        ..
                    }
                )
            },
        ),
        (
            "NUL",
            Tar::default().pax(&[("path", b"a\0b")]).file("a", b"").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Path {
                        reason: PathError::Nul,
                        ..
                    }
                )
            },
        ),
        (
            "through a link",
            Tar::default().symlink("a", "../..").file("a/out", b"x").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "through a link within",
            Tar::default()
                .directory("b/", 0o755)
                .symlink("a", "b")
                .file("a/c", b"x")
                .done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "through a file",
            Tar::default().file("a", b"").file("a/b", b"x").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "over a link",
            Tar::default().symlink("a", "../out").file("a", b"x").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::Duplicate,
                        ..
                    }
                )
            },
        ),
        (
            "directory over a link",
            Tar::default().symlink("a", "..").directory("a", 0o777).done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::Duplicate,
                        ..
                    }
                )
            },
        ),
        (
            "twice",
            Tar::default().file("a", b"").file("a", b"").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::Duplicate,
                        ..
                    }
                )
            },
        ),
        (
            "file for the root",
            Tar::default().file("./", b"").symlink(".", "/etc").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::Duplicate,
                        ..
                    }
                )
            },
        ),
        (
            "hard link out",
            Tar::default().hard_link("a", "../../../../etc/passwd").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Link {
                        reason: PathError::Parent,
                        ..
                    }
                )
            },
        ),
        (
            "absolute hard link",
            Tar::default().hard_link("a", "/etc/passwd").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Link {
                        reason: PathError::Absolute,
                        ..
                    }
                )
            },
        ),
        (
            "hard link through a link",
            Tar::default()
                .symlink("e", "/etc")
                .hard_link("a", "e/passwd")
                .done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "hard link to nothing",
            Tar::default().hard_link("a", "b").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NoTarget,
                        ..
                    }
                )
            },
        ),
        (
            "hard link to a directory",
            Tar::default().directory("b/", 0o755).hard_link("a", "b").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NoTarget,
                        ..
                    }
                )
            },
        ),
        (
            "character device",
            Tar::default()
                .entry(EntryType::Char, "null", "", b"", 0o666)
                .done(),
            |e| matches!(e, UnpackError::Device { .. }),
        ),
        (
            "block device",
            Tar::default()
                .entry(EntryType::Block, "sda", "", b"", 0o666)
                .done(),
            |e| matches!(e, UnpackError::Device { .. }),
        ),
        ("whiteout of the parent", path("a/.wh..."), |e| {
            matches!(
                e,
                UnpackError::Path {
                    reason: PathError::Whiteout,
                    ..
                }
            )
        }),
        (
            "whiteout through a link",
            Tar::default().symlink("a", "..").file("a/.wh.b", b"").done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "opaque through a link",
            Tar::default()
                .symlink("a", "..")
                .file("a/.wh..wh..opq", b"")
                .done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::NotADirectory,
                        ..
                    }
                )
            },
        ),
        (
            "no user",
            Tar::default()
                .pax(&[("uid", b"4294967295")])
                .file("a", b"")
                .done(),
            |e| {
                matches!(
                    e,
                    UnpackError::Write {
                        source: WriteError::Owner,
                        ..
                    }
                )
            },
        ),
        (
            "a huge sparse file",
            Tar::default()
                .pax(&[
                    ("GNU.sparse.realsize", b"9000000000000000000"),
                    ("GNU.sparse.map", b"0,1"),
                ])
                .file("a", b"x")
                .done(),
            |e| matches!(e, UnpackError::TooManyBytes { .. }),
        ),
        (
            "sparse pieces over each other",
            Tar::default()
                .pax(&[("GNU.sparse.realsize", b"9"), ("GNU.sparse.map", b"4,4,0,4")])
                .file("a", b"xxxxxxxx")
                .done(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
        (
            "a header of 2 MiB",
            Tar::default()
                .entry(EntryType::XHeader, "x", "", &vec![b' '; 2 << 20], 0)
                .file("a", b"")
                .done(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
        (
            "a header alone",
            Tar::default().pax(&[("path", b"a")]).done(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
        (
            "a global path",
            Tar::default()
                .entry(EntryType::XGlobalHeader, "g", "", b"9 path=a\n", 0)
                .file("a", b"")
                .done(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
        (
            "unknown type",
            Tar::default().entry(EntryType::new(b'Z'), "a", "", b"", 0).done(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
        ("no archive", b"something else entirely".to_vec(), |e| {
            matches!(e, UnpackError::Tar(_))
        }),
        (
            "cut short",
            Tar::default().file("a", &[1; 5000]).0[..2000].to_vec(),
            |e| matches!(e, UnpackError::Tar(_)),
        ),
    ];
    for (name, archive, check) in cases {
        let around = tempfile::tempdir().unwrap();
        let inside = around.path().join("x/y");
        fs::create_dir_all(&inside).unwrap();
        match unpack_to(&inside, &archive, Compression::None, &Limits::default()) {
            Err(error) => assert!(check(&error), "{name}: {error:?}"),
            Ok(_) => panic!("{name} is taken"),
        }
        let names = |dir: &Path| {
            fs::read_dir(dir)
                .unwrap()
                .map(|one| one.unwrap().file_name())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (names(around.path()), names(&around.path().join("x"))),
            (vec!["x".into()], vec!["y".into()]),
            "{name}"
        );
    }
}

#[test]
fn limits_hold_while_a_layer_is_unpacked() {
    let dir = || tempfile::tempdir().unwrap();
    let many = (0..11)
        .fold(Tar::default(), |tar, n| tar.file(&n.to_string(), b""))
        .done();
    let limits = Limits {
        layer_entries: 10,
        ..Limits::default()
    };
    let error = unpack_to(dir().path(), &many, Compression::None, &limits).unwrap_err();
    assert!(
        matches!(error, UnpackError::TooManyEntries { limit: 10 }),
        "{error}"
    );

    let large = Tar::default().file("a", &[7; 100_000]).done();
    let limits = Limits {
        layer_bytes: 50_000,
        ..Limits::default()
    };
    let error = unpack_to(dir().path(), &large, Compression::Gzip, &limits).unwrap_err();
    assert!(
        matches!(error, UnpackError::TooManyBytes { limit: 50_000 }),
        "{error}"
    );

    // What follows the archive's end counts too.
    let mut tail = Tar::default().file("a", b"").done();
    tail.resize(200_000, 0);
    let error = unpack_to(dir().path(), &tail, Compression::Zstd, &limits).unwrap_err();
    assert!(
        matches!(error, UnpackError::TooManyBytes { limit: 50_000 }),
        "{error}"
    );

    let bomb = Tar::default().file("zeros", &vec![0; 80 << 20]).done();
    for how in [Compression::Gzip, Compression::Zstd] {
        let error = unpack_to(dir().path(), &bomb, how, &Limits::default()).unwrap_err();
        assert!(matches!(error, UnpackError::Bomb { .. }), "{error}");
    }
}

#[test]
fn a_layer_that_is_not_the_one_it_should_be_is_refused() {
    let content = Tar::default().file("a", b"one").done();
    let stored = compress(&content, Compression::Gzip);
    let other = Tar::default().file("a", b"two").done();
    let right = expected(&content, &stored, Compression::Gzip);
    let go = |stored: &[u8], expected| {
        let dir = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        unpack(
            &mut &stored[..],
            dir.path(),
            &expected,
            &Limits::default(),
            form(),
            &stop,
        )
    };
    assert!(go(&stored, right).is_ok());
    let mut longer = stored.clone();
    longer.push(0);
    assert!(matches!(go(&longer, right), Err(UnpackError::Size { .. })));
    assert!(matches!(go(&stored[..20], right), Err(UnpackError::Size { .. })));
    let mut damaged = stored.clone();
    damaged[15] ^= 1;
    assert!(matches!(go(&damaged, right), Err(UnpackError::Digest { .. })));
    let lie = proffer_image::Expected {
        diff_id: proffer_image::Digest::of(&other),
        ..right
    };
    assert!(matches!(go(&stored, lie), Err(UnpackError::DiffId { .. })));
    let lie = proffer_image::Expected {
        compression: Compression::Zstd,
        ..right
    };
    assert!(matches!(go(&stored, lie), Err(UnpackError::Tar(_))));
    let stop = AtomicBool::new(true);
    let dir = tempfile::tempdir().unwrap();
    let stopped = unpack(
        &mut &stored[..],
        dir.path(),
        &right,
        &Limits::default(),
        form(),
        &stop,
    );
    assert!(matches!(stopped, Err(UnpackError::Stopped)));
}
