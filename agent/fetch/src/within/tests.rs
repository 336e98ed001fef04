//! Whoever writes to a directory cannot make us leave it.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

#[test]
fn a_link_that_comes_and_goes_while_we_open_is_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("sandbox/dir")).unwrap();
    fs::create_dir(root.join("outside")).unwrap();
    fs::write(root.join("outside/file"), "secret").unwrap();
    fs::write(root.join("sandbox/dir/file"), "own").unwrap();
    symlink("../outside", root.join("sandbox/other")).unwrap();
    let within = Within::open(&root.join("sandbox")).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // `dir` is by turns a directory and a link out of the sandbox.
            let [dir, other] = ["sandbox/dir", "sandbox/other"].map(|name| root.join(name));
            while !done.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(CWD, &dir, CWD, &other, exchange).unwrap();
            }
        });
        let (mut n_read, mut n_refused) = (0, 0);
        while n_read < 500 || n_refused < 500 {
            match within.read(Path::new("dir/file")) {
                Ok(mut file) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "own");
                    n_read += 1;
                }
                Err(_) => n_refused += 1,
            }
            let _ = within.create(Path::new("dir/new"), None);
            let _ = within.make_dir(Path::new("dir/made/deep"), None);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(root.join("outside")).unwrap().count(), 1);
}

#[test]
fn only_allowed_paths_are_allowed_wherever_links_lead() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for made in ["allowed/inner", "allowed-not"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    symlink("allowed", root.join("alias")).unwrap();
    symlink("../allowed-not", root.join("allowed/out")).unwrap();
    let entries = [root.join("alias"), root.join("missing")];
    let real = |path: &str| allowed(&root.join(path), &entries).unwrap();
    assert_eq!(real("allowed/inner"), Some(root.join("allowed/inner")));
    assert_eq!(real("alias/inner"), Some(root.join("allowed/inner")));
    for refused in ["allowed-not", "allowed/out", "allowed/..", "."] {
        assert_eq!(real(refused), None, "{refused}");
    }
    assert!(open_plain(&root.join("alias/inner"), OFlags::PATH).is_err());
}
