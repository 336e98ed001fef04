//! CNI network configurations: files of the operator's, one network each.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tracing::warn;

use super::{Chain, CniError, Plugin};

/// The largest configuration that is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The most plugins of a network: far more than make sense.
const MAX_PLUGINS: usize = 32;

/// Versions whose results are understood; those before have other fields.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Finds a network by name. Of two with one name the file that sorts first counts, as with other runtimes.
pub(super) fn find(dir: &Path, name: &str) -> Result<Chain, CniError> {
    let mut known = Vec::new();
    for (path, found_name, found) in named(dir)? {
        if found_name == name {
            return chain(&path, found);
        }
        known.push(found_name);
    }
    Err(CniError::Unknown {
        name: name.to_owned(),
        dir: dir.to_owned(),
        known,
    })
}

/// Every network; none where there is no directory. A configuration that is wrong is none, and logged.
pub(super) fn all(dir: &Path) -> Result<Vec<Chain>, CniError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut chains = Vec::new();
    for (path, _, found) in named(dir)? {
        match chain(&path, found) {
            Ok(chain) => chains.push(chain),
            Err(error) => warn!(%error, "ignoring a CNI configuration"),
        }
    }
    Ok(chains)
}

/// A file, its network's name, and what it holds.
type Named = (PathBuf, String, Map<String, Value>);

/// The configurations that have names, in the order of their files.
fn named(dir: &Path) -> Result<Vec<Named>, CniError> {
    let error = |source| CniError::ConfigDir {
        dir: dir.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let extension = path.extension().unwrap_or_default();
        if ["conflist", "conf", "json"]
            .iter()
            .any(|known| extension == *known)
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let found = match read(&path) {
            Ok(found) => found,
            Err(error) => {
                warn!(path = %path.display(), %error, "ignoring a CNI configuration that cannot be read");
                continue;
            }
        };
        match found.get("name").and_then(Value::as_str) {
            Some(name) => all.push((path, name.to_owned(), found)),
            None => warn!(path = %path.display(), "ignoring a CNI configuration without a name"),
        }
    }
    Ok(all)
}

fn read(path: &PathBuf) -> io::Result<Map<String, Value>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Vec::new();
    file.take(MAX_CONFIG_BYTES).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// A list of plugins, or the older form: one plugin alone.
fn chain(path: &Path, mut found: Map<String, Value>) -> Result<Chain, CniError> {
    let wrong = |why: &str| CniError::Config {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(found.get("name")).ok_or_else(|| wrong("it has no name"))?;
    let cni_version = text(found.get("cniVersion")).ok_or_else(|| wrong("it has no `cniVersion`"))?;
    if !VERSIONS.contains(&cni_version.as_str()) {
        let known = VERSIONS.join(", ");
        return Err(wrong(&format!("`cniVersion` {cni_version} is none of {known}")));
    }
    let plugins = match found.remove("plugins") {
        None => vec![Value::Object(found)],
        Some(Value::Array(plugins)) => plugins,
        Some(_) => return Err(wrong("`plugins` is no list")),
    };
    if plugins.is_empty() || plugins.len() > MAX_PLUGINS {
        return Err(wrong(&format!(
            "it has {} plugins, not 1 to {MAX_PLUGINS}",
            plugins.len()
        )));
    }
    let plugin = |plugin: Value| {
        let Value::Object(config) = plugin else {
            return Err(wrong("a plugin is no object"));
        };
        let program = text(config.get("type")).ok_or_else(|| wrong("a plugin has no `type`"))?;
        if program.is_empty() || program.starts_with('.') || program.contains(['/', '\0']) {
            return Err(wrong(&format!(
                "`{}` is no name of a plugin",
                program.escape_debug()
            )));
        }
        Ok(Plugin { program, config })
    };
    Ok(Chain {
        name,
        cni_version,
        plugins: plugins.into_iter().map(plugin).collect::<Result<_, _>>()?,
        result: None,
    })
}
