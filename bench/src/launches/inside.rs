//! The measuring, in a mount namespace arranged for it: every kind of launch in turn, round by round.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context as _, Result};

use super::guest::is_inside;
use super::oci::{Bundle, bwrap};
use super::ours::{Kind, Network, Ours, Took, layers};
use super::stamp;

/// Milliseconds of each round, by what took them; or why there are none.
pub(super) type Series = BTreeMap<String, std::result::Result<Vec<f64>, String>>;

/// Layers of a deep image.
pub(super) const N_LAYERS: usize = 50;

/// Where nothing hides the program from a container on the host's own files.
pub(crate) const DIR: &str = "/var/tmp";

/// Measures so many rounds; one more comes first, so that all is warm.
pub(super) fn measure(n_rounds: usize) -> Result<Series> {
    // A guest has a disk of its own for what it writes.
    let parent = if is_inside() { env::temp_dir() } else { DIR.into() };
    let dir = tempfile::tempdir_in(parent)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let stamp = stamp::build(dir.path())?;
    let image = layers(dir.path(), &stamp, N_LAYERS)?;
    let ours = Ours::new(dir.path(), &stamp)?;
    let kinds = [
        ("free", Kind::default()),
        (
            "limited",
            Kind {
                is_limited: true,
                ..Kind::default()
            },
        ),
        (
            "network",
            Kind {
                network: Network::New,
                ..Kind::default()
            },
        ),
        (
            "image",
            Kind {
                image: Some(&image),
                ..Kind::default()
            },
        ),
    ];
    let mut crun = Bundle::crun(dir.path(), &stamp, false)?;
    let mut limited_crun = Bundle::crun(dir.path(), &stamp, true)?;
    let mut limited_runc = Bundle::runc(dir.path(), &stamp)?;
    let mut series = Series::new();
    for round in 0..=n_rounds {
        let mut add = |name: String, took: Result<f64>| {
            if round > 0 || took.is_err() {
                add(&mut series, name, took);
            }
        };
        for (name, kind) in kinds {
            let took = ours.run(kind);
            let mut part = |part: &str, of: fn(&Took) -> f64| {
                let took = took.as_ref().map(of);
                add(
                    format!("{name} {part}"),
                    took.map_err(|error| anyhow::anyhow!("{error:#}")),
                );
            };
            part("executed", |took| took.executed);
            part("ran", |took| took.ran);
            part("destroyed", |took| took.destroyed);
        }
        add("joins".to_owned(), joins());
        add("bwrap".to_owned(), stamp::time(bwrap(&stamp)));
        add("crun".to_owned(), stamp::time(crun.command()));
        add("limited crun".to_owned(), stamp::time(limited_crun.command()));
        add("limited runc".to_owned(), stamp::time(limited_runc.command()));
    }
    Ok(series)
}

/// One failure stands for the whole series.
fn add(series: &mut Series, name: String, took: Result<f64>) {
    let all = series.entry(name).or_insert_with(|| Ok(Vec::new()));
    match (all.as_mut(), took) {
        (Ok(all), Ok(took)) => all.push(took),
        (Ok(_), Err(error)) => *all = Err(format!("{error:#}")),
        (Err(_), _) => {}
    }
}

/// What it takes a thread to move itself into the hierarchies of cgroup v1 that a limited container is in, as its
/// processes do.
fn joins() -> Result<f64> {
    let tops = ["cpu", "cpuacct", "memory", "pids", "devices"]
        .map(|name| PathBuf::from("/sys/fs/cgroup").join(name));
    let groups = tops.map(|top| top.join(format!("proffer-bench-joins-{}", std::process::id())));
    let measured = std::thread::scope(|scope| {
        let moving = scope.spawn(|| -> Result<f64> {
            for group in &groups {
                fs::create_dir(group)?;
            }
            let start = Instant::now();
            for group in &groups {
                join(group)?;
            }
            Ok(start.elapsed().as_secs_f64() * 1e3)
        });
        moving.join()
    });
    for group in &groups {
        // The thread that was in it has ended.
        let _ = fs::remove_dir(group);
    }
    measured.ok().context("the thread that moves died")?
}

fn join(group: &Path) -> Result<()> {
    let tasks = group.join("tasks");
    fs::write(&tasks, "0").with_context(|| tasks.display().to_string())
}
