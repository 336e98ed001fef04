//! The command: its arguments and its environment.

use std::collections::BTreeMap;

use super::{Draft, mounts, no_nul, sandbox};
use crate::{ContainerConfig, PayloadStep, PlanError};

/// The `PATH` of a task that sets none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Executes the command. The agent's own environment does not reach it.
pub(crate) fn execute(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let argv = config.command.clone();
    if argv.first().is_none_or(String::is_empty) {
        return Err(PlanError::EmptyCommand);
    }
    for argument in &argv {
        no_nul("the command", argument)?;
    }
    let env = environment(config)?;
    draft.payload.push(PayloadStep::Execute { argv, env });
    Ok(())
}

fn environment(config: &ContainerConfig) -> Result<Vec<String>, PlanError> {
    let mut env = BTreeMap::from([
        ("PATH", DEFAULT_PATH),
        ("HOME", mounts::SANDBOX),
        ("PWD", sandbox::working_directory(config)?),
        ("PROFFER_SANDBOX", mounts::SANDBOX),
    ]);
    for (name, value) in config.env.iter().chain(&config.spec.env) {
        if name.is_empty() || name.contains(['=', '\0']) {
            let name = name.escape_debug().to_string();
            return Err(PlanError::EnvName { name });
        }
        no_nul("the environment", value)?;
        env.insert(name, value);
    }
    Ok(env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}
