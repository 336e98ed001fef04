//! Networks made by CNI plugins (Container Network Interface specification, 0.3 to 1.1).
//!
//! Plugins are programs of the operator's. They are called in the order of the configuration, each with what the one
//! before it returned, and in reverse with the last result to undo it. What they are called with is remembered, so that
//! a configuration that has changed meanwhile undoes what it did.

mod config;
mod plugin;
mod result;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::error::chain as told;
use crate::links::INSIDE;
use crate::request::{Bandwidth, Dns, Port};
use plugin::{Call, Verb};

/// A network by CNI that was not made, or not undone.
#[derive(Debug, Error)]
pub enum CniError {
    #[error("cannot read the CNI configurations in `{}`", dir.display())]
    ConfigDir { dir: PathBuf, source: std::io::Error },
    #[error("no CNI network `{name}` in `{}`; there are: {}", dir.display(), if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
    Unknown {
        name: String,
        dir: PathBuf,
        known: Vec<String>,
    },
    #[error("the CNI configuration `{}` is wrong: {why}", path.display())]
    Config { path: PathBuf, why: String },
    #[error(
        "the CNI network `{name}` has no plugin with the capability `{capability}`, which the task needs"
    )]
    NoCapability { name: String, capability: &'static str },
    #[error("the CNI plugin `{plugin}` is not in {dirs}")]
    NoPlugin { plugin: String, dirs: String },
    #[error("cannot run the CNI plugin `{plugin}`")]
    Run { plugin: String, source: std::io::Error },
    #[error("the CNI plugin `{plugin}` did not end {verb} within {} s, and was killed", after.as_secs())]
    TimedOut {
        plugin: String,
        verb: &'static str,
        after: Duration,
    },
    #[error("the CNI plugin `{plugin}` failed {verb}: {why}")]
    Failed {
        plugin: String,
        verb: &'static str,
        why: String,
    },
    #[error("the CNI plugin `{plugin}` returned no result that can be understood: {why}")]
    Result { plugin: String, why: String },
}

/// What the agent takes from the output of a plugin that succeeded: addresses and name servers.
pub fn cni_result(output: &[u8]) -> Result<(Vec<IpAddr>, Dns), CniError> {
    result::read("", &result::parse("", output)?)
}

/// What the agent says of a plugin that failed, by what it printed on standard output and standard error.
#[must_use]
pub fn cni_complaint(status: ExitStatus, output: &[u8], errors: &[u8]) -> String {
    plugin::why(status, output, errors)
}

/// One network's plugins, as they are configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chain {
    name: String,
    cni_version: String,
    plugins: Vec<Plugin>,
    /// What the last plugin that succeeded returned.
    result: Option<Value>,
}

/// One plugin: its configuration as it stands on its standard input, but for what the chain adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plugin {
    program: String,
    config: Map<String, Value>,
}

/// Where configurations and plugins are.
#[derive(Debug)]
pub(crate) struct Cni {
    config_dir: PathBuf,
    plugin_dirs: Vec<PathBuf>,
    timeout: Duration,
}

/// Whose network it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) network_id: &'a str,
    pub(crate) namespace: &'a Path,
}

impl Cni {
    pub(crate) fn new(config_dir: PathBuf, plugin_dirs: Vec<PathBuf>) -> Self {
        Self {
            config_dir,
            plugin_dirs,
            timeout: plugin::TIMEOUT,
        }
    }

    /// The plugins of a network, told of ports and bandwidth. Blocks on files.
    pub(crate) fn chain(&self, name: &str, ports: &[Port], bandwidth: Bandwidth) -> Result<Chain, CniError> {
        let mut chain = config::find(&self.config_dir, name)?;
        if !ports.is_empty() {
            chain.tell("portMappings", &port_mappings(ports))?;
        }
        if bandwidth.is_limited() {
            chain.tell("bandwidth", &rates(bandwidth))?;
        }
        chain.without_capabilities();
        for plugin in &chain.plugins {
            plugin::find(&self.plugin_dirs, &plugin.program)?;
        }
        Ok(chain)
    }

    /// Makes the network. On failure [`Cni::delete`] undoes what was done.
    pub(crate) async fn add(
        &self,
        chain: &mut Chain,
        target: Target<'_>,
    ) -> Result<(Vec<IpAddr>, Dns), CniError> {
        for nth in 0..chain.plugins.len() {
            let output = self.call(Verb::Add, chain, nth, target).await?;
            let plugin = &chain.plugins[nth].program;
            let result = result::parse(plugin, &output)?;
            chain.result = Some(result);
        }
        chain.told()
    }

    /// Undoes whatever network it is, of those that are configured: a plugin that did nothing for it has nothing to undo
    /// (specification 1.0, section 2). Returns all complaints.
    pub(crate) async fn delete_any(&self, target: Target<'_>) -> Vec<String> {
        let chains = match config::all(&self.config_dir) {
            Ok(chains) => chains,
            Err(error) => return vec![told(&error)],
        };
        let mut complaints = Vec::new();
        for mut chain in chains {
            chain.without_capabilities();
            complaints.extend(self.delete(&chain, target).await.err().into_iter().flatten());
        }
        complaints
    }

    /// Undoes the network; asks every plugin, and returns all complaints. What is gone already is no error to a plugin.
    pub(crate) async fn delete(&self, chain: &Chain, target: Target<'_>) -> Result<(), Vec<String>> {
        let mut complaints = Vec::new();
        for nth in (0..chain.plugins.len()).rev() {
            if let Err(error) = self.call(Verb::Del, chain, nth, target).await {
                complaints.push(told(&error));
            }
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(complaints)
        }
    }

    async fn call(
        &self,
        verb: Verb,
        chain: &Chain,
        nth: usize,
        target: Target<'_>,
    ) -> Result<Vec<u8>, CniError> {
        let plugin = &chain.plugins[nth];
        let call = Call {
            verb,
            plugin: &plugin.program,
            program: plugin::find(&self.plugin_dirs, &plugin.program)?,
            dirs: &self.plugin_dirs,
            target,
            interface: INSIDE,
            input: chain.input(plugin),
            timeout: self.timeout,
        };
        call.run().await
    }
}

impl Chain {
    /// What the last plugin returned of addresses and name servers.
    pub(crate) fn told(&self) -> Result<(Vec<IpAddr>, Dns), CniError> {
        let last = self.plugins.last().map_or("", |plugin| &plugin.program);
        result::read(last, self.result.as_ref().unwrap_or(&json!({})))
    }

    /// Gives a runtime value to the plugins that know what to do with it.
    fn tell(&mut self, capability: &'static str, value: &Value) -> Result<(), CniError> {
        let mut is_told = false;
        for Plugin { config, .. } in &mut self.plugins {
            let has = config.get("capabilities").and_then(|all| all.get(capability));
            if has != Some(&Value::Bool(true)) {
                continue;
            }
            let runtime = config.entry("runtimeConfig").or_insert_with(|| json!({}));
            if let Some(runtime) = runtime.as_object_mut() {
                runtime.insert(capability.to_owned(), value.clone());
                is_told = true;
            }
        }
        let name = self.name.clone();
        is_told
            .then_some(())
            .ok_or(CniError::NoCapability { name, capability })
    }

    /// What plugins can be told is for who tells them, not for them.
    fn without_capabilities(&mut self) {
        for plugin in &mut self.plugins {
            plugin.config.remove("capabilities");
        }
    }

    /// What a plugin reads (specification 1.0, section 4).
    fn input(&self, plugin: &Plugin) -> Vec<u8> {
        let mut config = plugin.config.clone();
        config.insert("name".to_owned(), json!(self.name));
        config.insert("cniVersion".to_owned(), json!(self.cni_version));
        if let Some(result) = &self.result {
            config.insert("prevResult".to_owned(), result.clone());
        }
        Value::Object(config).to_string().into_bytes()
    }
}

fn port_mappings(ports: &[Port]) -> Value {
    let mapping = |port: &Port| {
        json!({
            "hostPort": port.host, "containerPort": port.container, "protocol": port.transport.to_string(),
        })
    };
    ports.iter().map(mapping).collect()
}

/// In bits a second, and bits: a burst is what may be sent at once after a pause.
fn rates(bandwidth: Bandwidth) -> Value {
    /// Large enough for packets before they are segmented.
    const BURST_BITS: u64 = 8 * (256 << 10);
    let mut rates = Map::new();
    for (name, kbps) in [
        ("ingress", bandwidth.ingress_kbps),
        ("egress", bandwidth.egress_kbps),
    ] {
        if let Some(kbps) = kbps {
            rates.insert(format!("{name}Rate"), json!(kbps.saturating_mul(1000)));
            rates.insert(format!("{name}Burst"), json!(BURST_BITS));
        }
    }
    rates.into()
}
