//! Profiles of an operator: the JSON that Docker and other engines take, or rather the part of it that means the same
//! everywhere. What is not understood is an error: a filter that is not what its author meant helps nobody.

use std::collections::BTreeMap;

use seccompiler::{SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule, TargetArch};
use serde::Deserialize;

use super::{EPERM, Policy, SeccompError, architecture, calls};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    /// Of the host's architecture only: others are killed.
    #[serde(default, rename = "architectures")]
    _architectures: Vec<String>,
    #[serde(default, rename = "archMap")]
    _arch_map: Vec<serde_json::Value>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

/// When a rule applies, by what the container has; only the empty condition is understood.
#[derive(Debug, Default, Deserialize)]
struct Condition(serde_json::Map<String, serde_json::Value>);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Compiles a profile.
pub fn profile_filter(json: &str) -> Result<Vec<u8>, SeccompError> {
    policy(json, architecture()?)?.compile()
}

fn policy(json: &str, architecture: TargetArch) -> Result<Policy, SeccompError> {
    let profile = serde_json::from_str::<Profile>(json)?;
    let otherwise = action(&profile.default_action, profile.default_errno_ret)?;
    let mut policy = Policy {
        matched: otherwise.clone(),
        otherwise,
        calls: BTreeMap::new(),
        conditional: BTreeMap::new(),
        last: None,
    };
    for rule in &profile.syscalls {
        add(&mut policy, rule, architecture)?;
    }
    // A rule without arguments says all there is to say about a call.
    let Policy {
        calls, conditional, ..
    } = &mut policy;
    conditional.retain(|number, _| u32::try_from(*number).is_ok_and(|number| !calls.contains_key(&number)));
    Ok(policy)
}

fn add(policy: &mut Policy, rule: &Rule, architecture: TargetArch) -> Result<(), SeccompError> {
    for (what, condition) in [("includes", &rule.includes), ("excludes", &rule.excludes)] {
        if !condition.0.is_empty() {
            let value = serde_json::Value::Object(condition.0.clone()).to_string();
            return Err(SeccompError::Unsupported { what, value });
        }
    }
    let action = action(&rule.action, rule.errno_ret)?;
    let arguments = rule.args.as_deref().unwrap_or_default();
    for name in &rule.names {
        let Some(number) = calls::number(name, architecture) else {
            // A call that is not there need not be allowed: profiles list those of every architecture.
            if action == SeccompAction::Allow && policy.otherwise != SeccompAction::Allow {
                continue;
            }
            return Err(SeccompError::UnknownCall(name.clone()));
        };
        if arguments.is_empty() {
            policy.calls.insert(number, action.clone());
            continue;
        }
        if !policy.conditional.is_empty() && policy.matched != action {
            return Err(SeccompError::TwoActions {
                first: format!("{:?}", policy.matched),
                second: format!("{action:?}"),
            });
        }
        policy.matched = action.clone();
        let rules = policy.conditional.entry(number.into()).or_default();
        rules.push(SeccompRule::new(
            arguments.iter().map(condition).collect::<Result<_, _>>()?,
        )?);
    }
    Ok(())
}

fn action(name: &str, errno: Option<u32>) -> Result<SeccompAction, SeccompError> {
    match name {
        "SCMP_ACT_ALLOW" => Ok(SeccompAction::Allow),
        "SCMP_ACT_ERRNO" => Ok(SeccompAction::Errno(errno.unwrap_or(EPERM))),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Ok(SeccompAction::KillThread),
        "SCMP_ACT_KILL_PROCESS" => Ok(SeccompAction::KillProcess),
        "SCMP_ACT_LOG" => Ok(SeccompAction::Log),
        "SCMP_ACT_TRAP" => Ok(SeccompAction::Trap),
        other => Err(SeccompError::Unsupported {
            what: "action",
            value: other.to_owned(),
        }),
    }
}

fn condition(argument: &Argument) -> Result<SeccompCondition, SeccompError> {
    let (operator, value) = match argument.op.as_str() {
        "SCMP_CMP_EQ" => (SeccompCmpOp::Eq, argument.value),
        "SCMP_CMP_NE" => (SeccompCmpOp::Ne, argument.value),
        "SCMP_CMP_LT" => (SeccompCmpOp::Lt, argument.value),
        "SCMP_CMP_LE" => (SeccompCmpOp::Le, argument.value),
        "SCMP_CMP_GT" => (SeccompCmpOp::Gt, argument.value),
        "SCMP_CMP_GE" => (SeccompCmpOp::Ge, argument.value),
        "SCMP_CMP_MASKED_EQ" => (SeccompCmpOp::MaskedEq(argument.value), argument.value_two),
        other => {
            return Err(SeccompError::Unsupported {
                what: "op",
                value: other.to_owned(),
            });
        }
    };
    let len = SeccompCmpArgLen::Qword;
    Ok(SeccompCondition::new(argument.index, len, operator, value)?)
}
