//! Countable devices: an operator lists the devices behind the name of a resource, and a task that has so many of that
//! resource gets as many of them to itself.
//!
//! Which are in use is an argument; that what is given away is never given away twice follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, PathBuf};
use std::str::FromStr;

use proffer_types::{ResourceName, Resources};
use thiserror::Error;

/// The most devices of one agent: more than any machine has slots for.
const MAX_DEVICES: usize = 1024;

/// The devices of an agent by the resource they are counted as.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool(BTreeMap<ResourceName, Vec<PathBuf>>);

/// The devices behind the name of one resource, as an operator writes them: `gpus=/dev/nvidia0,/dev/nvidia1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedDevices {
    pub name: ResourceName,
    pub paths: Vec<PathBuf>,
}

/// What one task got, by resource.
pub type Assignment = BTreeMap<ResourceName, Vec<PathBuf>>;

/// Devices that cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    #[error("`{0}` is not `name=/dev/path,/dev/path`")]
    Syntax(String),
    #[error("`{0}` has a meaning of its own and cannot count devices")]
    Name(ResourceName),
    #[error("`{}` is not the path of a device below /dev", .0.display())]
    Path(PathBuf),
    #[error("device `{}` is listed twice", .0.display())]
    Twice(PathBuf),
    #[error("`{0}` is listed twice")]
    NameTwice(ResourceName),
    #[error("more than {MAX_DEVICES} devices")]
    TooMany,
}

/// A task that gets no devices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PickError {
    #[error("`{name}` are counted whole: {millis} thousandths cannot be had")]
    Fraction { name: ResourceName, millis: u64 },
    #[error("{wanted} devices of `{name}` are wanted, {free} of {all} are free")]
    Short {
        name: ResourceName,
        wanted: u64,
        free: usize,
        all: usize,
    },
}

impl FromStr for CountedDevices {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Self, PoolError> {
        let syntax = || PoolError::Syntax(text.escape_debug().to_string());
        let (name, paths) = text.trim().split_once('=').ok_or_else(syntax)?;
        let name = ResourceName::new(name).map_err(|_| syntax())?;
        if !matches!(name, ResourceName::Custom(_)) {
            return Err(PoolError::Name(name));
        }
        let paths = paths.split(',').map(PathBuf::from).collect::<Vec<_>>();
        let plain = |component: Component<'_>| matches!(component, Component::RootDir | Component::Normal(_));
        let is_good = |path: &&PathBuf| {
            path.starts_with("/dev") && path.components().count() > 2 && path.components().all(plain)
        };
        match paths.iter().find(|path| !is_good(path)) {
            Some(bad) => Err(PoolError::Path(bad.clone())),
            None => Ok(Self { name, paths }),
        }
    }
}

impl Pool {
    /// Puts the lists of an operator together.
    pub fn new(lists: impl IntoIterator<Item = CountedDevices>) -> Result<Self, PoolError> {
        let (mut pool, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for CountedDevices { name, paths } in lists {
            for path in &paths {
                if !seen.insert(path.clone()) {
                    return Err(PoolError::Twice(path.clone()));
                }
            }
            if pool.insert(name.clone(), paths).is_some() {
                return Err(PoolError::NameTwice(name));
            }
        }
        if seen.len() > MAX_DEVICES {
            return Err(PoolError::TooMany);
        }
        Ok(Self(pool))
    }

    /// Every device.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().flatten()
    }

    /// What the agent has to offer of them.
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.0.iter().fold(Resources::new(), |all, (name, paths)| {
            let n_devices = u64::try_from(paths.len()).unwrap_or(u64::MAX);
            all.with(name.clone(), n_devices * name.units())
        })
    }

    /// Picks devices for a task, the first that are not in use.
    pub fn pick(&self, resources: &Resources, used: &BTreeSet<PathBuf>) -> Result<Assignment, PickError> {
        let mut assignment = Assignment::new();
        for (name, paths) in &self.0 {
            let millis = resources.scalar(name);
            let wanted = millis / name.units();
            if !millis.is_multiple_of(name.units()) {
                let name = name.clone();
                return Err(PickError::Fraction { name, millis });
            }
            if wanted == 0 {
                continue;
            }
            let free = paths.iter().filter(|path| !used.contains(*path));
            let mut picked = free.cloned().collect::<Vec<_>>();
            let n_wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if picked.len() < n_wanted {
                return Err(PickError::Short {
                    name: name.clone(),
                    wanted,
                    free: picked.len(),
                    all: paths.len(),
                });
            }
            picked.truncate(n_wanted);
            assignment.insert(name.clone(), picked);
        }
        Ok(assignment)
    }
}

/// The environment variable that tells a task its devices of one resource, separated by commas.
#[must_use]
pub fn variable(name: &ResourceName) -> String {
    let upper = name.as_str().to_ascii_uppercase();
    let plain = upper
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("PROFFER_DEVICES_{}", plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(lists: &[&str]) -> Result<Pool, PoolError> {
        let lists = lists.iter().map(|list| list.parse());
        Pool::new(lists.collect::<Result<Vec<_>, _>>()?)
    }

    fn gpus() -> Pool {
        pool(&["gpus=/dev/g0,/dev/g1,/dev/g2", "fpgas=/dev/f/0"]).unwrap()
    }

    fn picked(resources: &str, used: &[&str]) -> Result<Vec<String>, PickError> {
        let used = used.iter().map(PathBuf::from).collect();
        let assignment = gpus().pick(&resources.parse().unwrap(), &used)?;
        let line = |(name, paths): (ResourceName, Vec<PathBuf>)| {
            let paths = paths.iter().map(|path| path.display().to_string());
            format!("{}={}", variable(&name), paths.collect::<Vec<_>>().join(","))
        };
        Ok(assignment.into_iter().map(line).collect())
    }

    #[test]
    fn a_task_gets_devices_that_nobody_has_and_knows_which() {
        assert_eq!(gpus().resources().to_string(), "fpgas:1;gpus:3");
        assert_eq!(
            picked("cpus:1;gpus:2;fpgas:1", &["/dev/g1"]),
            Ok(vec![
                "PROFFER_DEVICES_FPGAS=/dev/f/0".to_owned(),
                "PROFFER_DEVICES_GPUS=/dev/g0,/dev/g2".to_owned()
            ])
        );
        assert_eq!(picked("cpus:1", &[]), Ok(vec![]));
    }

    #[test]
    fn parts_of_devices_and_more_than_are_free_cannot_be_had() {
        let name = ResourceName::new("gpus").unwrap();
        let fraction = PickError::Fraction {
            name: name.clone(),
            millis: 500,
        };
        assert_eq!(picked("gpus:0.5", &[]), Err(fraction));
        let short = PickError::Short {
            name,
            wanted: 3,
            free: 2,
            all: 3,
        };
        assert_eq!(picked("gpus:3", &["/dev/g1", "/dev/other"]), Err(short));
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        for (lists, why) in [
            (&["gpus"][..], "`gpus` is not `name=/dev/path,/dev/path`"),
            (&["a b=/dev/x"], "`a b=/dev/x` is not `name=/dev/path,/dev/path`"),
            (
                &["cpus=/dev/x"],
                "`cpus` has a meaning of its own and cannot count devices",
            ),
            (&["gpus="], "`` is not the path of a device below /dev"),
            (&["gpus=/dev"], "`/dev` is not the path of a device below /dev"),
            (
                &["gpus=/etc/passwd"],
                "`/etc/passwd` is not the path of a device below /dev",
            ),
            (
                &["gpus=/dev/../etc/x"],
                "`/dev/../etc/x` is not the path of a device below /dev",
            ),
            (&["gpus=/dev/x,/dev/x"], "device `/dev/x` is listed twice"),
            (
                &["gpus=/dev/x", "fpgas=/dev/x"],
                "device `/dev/x` is listed twice",
            ),
            (&["gpus=/dev/x", "gpus=/dev/y"], "`gpus` is listed twice"),
        ] {
            assert_eq!(pool(lists).unwrap_err().to_string(), why);
        }
    }
}
