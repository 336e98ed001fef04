//! What there is of an agent and its tasks: on the disk, in the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use crate::world::{SECRET, World, run, tree};

/// Where an ended task's files stay, an image's layers, and what was fetched: kept on purpose, as long as their policies say.
const KEPT: [&str; 3] = ["sandboxes", "images", "fetched"];

/// What of the images is no image: what is being made, and who uses one.
const TRANSIENT: [&str; 2] = ["images/tmp", "images/pins"];

/// Everything there is, a line each.
pub(crate) fn left(world: &World) -> Result<BTreeSet<String>> {
    let data = world.data();
    let mut found = BTreeSet::new();
    for path in tree(&data) {
        let relative = path.strip_prefix(&data)?;
        let is_kept = KEPT
            .iter()
            .any(|kept| relative.starts_with(kept) && relative != Path::new(kept));
        let is_transient = |dir: &&str| relative.starts_with(dir) && relative != Path::new(dir);
        if !is_kept || TRANSIENT.iter().any(is_transient) {
            found.insert(format!("file {}", relative.display()));
        }
    }
    let given = tree(&world.addresses()).into_iter();
    let names = given.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
    let addresses = names.filter(|name| name.parse::<Ipv4Addr>().is_ok());
    found.extend(addresses.map(|address| format!("address {address}")));
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let ours = targets.filter(|target| Path::new(target).starts_with(&world.dir));
    found.extend(ours.map(|target| format!("mount {target}")));
    let links = run("ip", &["-o", "link"])?;
    let names = links.lines().filter_map(|line| line.split_whitespace().nth(1));
    found.extend(names.map(|name| format!("link {}", name.split(['@', ':']).next().unwrap_or_default())));
    let rules = run("nft", &["list", "ruleset"])?;
    found.extend(rules.lines().map(|line| format!("nft {}", line.trim())));
    for group in groups(world) {
        found.insert(format!("cgroup {}", group.display()));
    }
    Ok(found)
}

/// The agent's cgroups, in every hierarchy.
pub(crate) fn groups(world: &World) -> Vec<std::path::PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(top).into_iter().flatten().flatten();
    let hierarchies = hierarchies.map(|entry| entry.path()).chain([top.to_owned()]);
    let mut found = Vec::new();
    for hierarchy in hierarchies {
        let root = hierarchy.join("proffer").join(world.tag());
        if root.is_dir() {
            found.extend(tree(&root).into_iter().filter(|path| path.is_dir()));
            found.push(root);
        }
    }
    found
}

/// What ended tasks keep.
pub(crate) fn sandboxes(world: &World) -> Result<BTreeSet<String>> {
    let root = world.data().join("sandboxes");
    let paths = tree(&root).into_iter();
    paths
        .map(|path| Ok(path.strip_prefix(&root)?.display().to_string()))
        .collect()
}

/// The files that hold the secret.
pub(crate) fn secrets(world: &World) -> Vec<String> {
    let is_told = |path: &Path| {
        fs::symlink_metadata(path).is_ok_and(|kind| kind.is_file())
            && fs::read(path).is_ok_and(|bytes| {
                let parts = &mut bytes.windows(SECRET.len());
                parts.any(|part| part == SECRET.as_bytes())
            })
    };
    let data = world.data();
    let found = tree(&data).into_iter().filter(|path| is_told(path));
    found.map(|path| path.display().to_string()).collect()
}
